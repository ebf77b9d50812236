"""Report and rank what is in the results database: on the terminal, and as JSON, CSV, PNG, text and HTML."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Run the command; 0 when the report was written, 1 when it cannot be made, 2 when not be written."""
    options = _parse()
    sys.path.insert(0, str(ROOT))
    from src.registry import RegistryError, load_registry
    from src.report.benchmark import read_benchmark
    from src.report.files import write_report
    from src.report.question import BenchmarkError, ask
    from src.report.text import as_text
    from src.results.database import ResultsError, open_results

    try:
        registry = load_registry()
        models = [name.strip() for name in options.models.split(",") if name.strip()]
        question = ask(registry, options.stage, options.metric, options.experiment_name, models)
        with open_results(options.db) as results:
            benchmark = read_benchmark(results.query, registry, question, options.dataset)
    except (ResultsError, RegistryError, BenchmarkError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"cannot read {error.filename}: {error.strerror}; choose another --db", file=sys.stderr)
        return 1
    out = options.out or ROOT / "results" / "benchmarks" / _folder(question.stage)
    try:
        files = write_report(benchmark, out)
    except OSError as error:
        print(as_text(benchmark))
        place = error.filename or out
        print(
            f"cannot write {place}: {error.strerror or error}; choose another --out or make room there",
            file=sys.stderr,
        )
        return 2
    print(as_text(benchmark))  # last, for whoever reads it may close the pipe
    print(f"{len(files)} files in {out}; look at {out / 'benchmark_report.html'}")
    return 0


def _folder(stage: str) -> str:
    """A stage's report lies in a folder of its own, so that none takes the place of another."""
    return "" if stage == "classification" else stage


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, help="database (default: data/public/foundation_plr_results.db)")
    parser.add_argument("--experiment-name", default="", help="MLflow experiment; stands for its stage")
    parser.add_argument("--dataset", default="", help="source, or first letters of the cohort's hash")
    parser.add_argument("--models", default="", help="names to keep, comma separated (default: all)")
    parser.add_argument("--stage", default="", help="classification, imputation or outlier_detection")
    parser.add_argument("--metric", default="", help="metric to rank by (default: auroc, mae, f1 by stage)")
    parser.add_argument(
        "--out", type=Path, help="folder to write to (default: results/benchmarks, below it one for --stage)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
