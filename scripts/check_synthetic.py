"""Hold the synthetic cohort against real recordings: noise, blinks, constriction, shape of the response."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from src.cohort.cohort import Cohort, CohortError
from src.cohort.device import read_device_file
from src.cohort.synthetic import generate

LONGEST_BLINK_S = 0.9
SHAPE_S = np.arange(-5.0, 19.01, 0.1)
MEASURES = {
    "noise_pct": "sample noise, SD in % of baseline",
    "blink_s": "median blink, s",
    "blinks_per_min": "blinks per minute",
    "blinks_lit_share": "share of blinks under light",
    "losses": "losses longer than 0.9 s",
    "blue_constriction_pct": "largest constriction under blue, %",
    "red_constriction_pct": "largest constriction under red, %",
}
COLOURS = {"blue": "#0072B2", "red": "#D55E00"}


@dataclass(frozen=True)
class Trace:
    """One recording at its own sample times; `light` holds onset and offset per colour, s."""

    name: str
    source: str
    time: np.ndarray
    pupil: np.ndarray
    light: dict[str, tuple[float, float]]


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=Path, required=True, help="folder of raw device files (CSV)")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder for PNG, PDF and CSV")
    parser.add_argument("--seed", type=int, default=2023, help="seed of the synthetic cohort")
    arguments = parser.parse_args(argv)
    try:
        real = real_traces(arguments.recordings)
    except CohortError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    traces = real + synthetic_traces(generate(seed=arguments.seed))
    table = pd.DataFrame([measure(trace) for trace in traces])
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / "synthetic_against_real"
    table.to_csv(target.with_suffix(".csv"), index=False)
    figure = draw(traces, table)
    for suffix in (".png", ".pdf"):
        figure.savefig(target.with_suffix(suffix), dpi=110)
    plt.close(figure)
    print(summary(table).to_string())
    print(f"figure and data: {target}.png, .pdf, .csv")
    return 0


def real_traces(folder: Path) -> list[Trace]:
    """Read all raw files of a folder."""
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise CohortError(f"{folder}: no raw recordings (*.csv) there; expected a folder of device files")
    traces = []
    for file in files:
        recording = read_device_file(file)
        drives = {"blue": recording.blue, "red": recording.red}
        light = {colour: _on(recording.time, drive) for colour, drive in drives.items()}
        kept = recording.time <= 66.0  # the grid's end cuts the device's read-out samples
        traces.append(Trace(file.stem, "real", recording.time[kept], recording.pupil[kept], light))
    return traces


def _on(time: np.ndarray, drive: np.ndarray) -> tuple[float, float]:
    lit = time[drive > 0]
    return float(lit[0]), float(lit[-1])


def synthetic_traces(cohort: Cohort) -> list[Trace]:
    """Take the recordings of a cohort as traces."""
    return [
        Trace(
            name,
            "synthetic",
            cohort.time,
            cohort.pupil[row],
            {colour: (edges[row, 0], edges[row, 1]) for colour, edges in cohort.light.items()},
        )
        for row, name in enumerate(cohort.subjects["recording"])
    ]


def measure(trace: Trace) -> dict[str, object]:
    """Measure a trace from its recorded samples alone, the same way for real and synthetic ones."""
    lost, clean = find_lost(trace)
    runs = _runs(lost)
    length_s = (runs[:, 1] - runs[:, 0]) / 30
    blinks = runs[length_s <= LONGEST_BLINK_S]
    lit = np.zeros(len(trace.time), dtype=bool)
    for onset, offset in trace.light.values():
        lit |= (trace.time >= onset) & (trace.time <= offset)
    onset, _ = trace.light["blue"]
    baseline = _baseline(trace.time, clean, onset)
    step = np.diff(clean)
    spread = 1.4826 * np.nanmedian(np.abs(step - np.nanmedian(step))) / np.sqrt(2)
    row: dict[str, object] = {"recording": trace.name, "source": trace.source}
    row["noise_pct"] = 100 * spread / baseline
    row["blink_s"] = np.median(length_s[length_s <= LONGEST_BLINK_S]) if len(blinks) else np.nan
    row["blinks_per_min"] = 60 * len(blinks) / (trace.time[-1] - trace.time[0])
    row["blinks_lit_share"] = lit[blinks[:, 0]].mean() if len(blinks) else np.nan
    row["losses"] = int((length_s > LONGEST_BLINK_S).sum())
    for colour in COLOURS:
        row[f"{colour}_constriction_pct"] = -np.nanmin(response(trace, colour)[SHAPE_S >= 0])
    return row


def _baseline(time: np.ndarray, clean: np.ndarray, onset: float) -> float:
    return float(np.nanmedian(clean[(time >= onset - 5) & (time <= onset)]))


def find_lost(trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    """Return where the pupil is lost or partly covered, and the pupil without these samples."""
    around = pd.Series(trace.pupil).rolling(31, center=True, min_periods=3).median().to_numpy()
    lost = ~np.isfinite(trace.pupil) | ~(trace.pupil > 0.82 * around)
    odd = lost | (trace.pupil > 1.18 * around) | (trace.time > trace.time[-1] - 0.15)  # read-out at the end
    return lost, np.where(odd, np.nan, trace.pupil)


def _runs(flags: np.ndarray) -> np.ndarray:
    """Return start and end (exclusive) of each run of True, shape (k, 2)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return edges.reshape(-1, 2)


def response(trace: Trace, colour: str) -> np.ndarray:
    """Return the change from baseline in % at `SHAPE_S` seconds after onset."""
    onset, _ = trace.light[colour]
    _, clean = find_lost(trace)
    smooth = pd.Series(clean).rolling(7, center=True, min_periods=1).median().to_numpy()
    baseline = _baseline(trace.time, clean, onset)
    curve = np.interp(SHAPE_S + onset, trace.time, smooth, right=np.nan)
    return 100 * (curve - baseline) / baseline


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Set each real recording beside the synthetic 2.5, 50 and 97.5 % quantiles."""
    made = table[table["source"] == "synthetic"][list(MEASURES)].astype(float)
    out = made.quantile([0.025, 0.5, 0.975]).T
    out.columns = ["synthetic 2.5 %", "synthetic median", "synthetic 97.5 %"]
    for _, row in table[table["source"] == "real"].iterrows():
        out[str(row["recording"])] = row[list(MEASURES)].astype(float)
    return out.rename(index=MEASURES).round(2)


def draw(traces: list[Trace], table: pd.DataFrame) -> Figure:
    """Draw histograms of the measures, the normalised responses and some raw traces."""
    figure, axes = plt.subplots(3, 4, figsize=(17, 11), layout="constrained")
    figure.suptitle(
        "Synthetic cohort (grey) against real recordings (coloured). SYNTHETIC, no measured result"
    )
    for axis, (name, label) in zip(axes.flat, MEASURES.items(), strict=False):
        _histogram(axis, table, name, label)
    axes[1, 3].axis("off")
    real = [trace for trace in traces if trace.source == "real"]
    made = [trace for trace in traces if trace.source == "synthetic"]
    for axis, colour in zip(axes[2, :2], COLOURS, strict=True):
        _shapes(axis, made, real, colour)
    _examples(axes[2, 2], real[:4], "real recordings")
    controls, glaucoma = ([trace for trace in made if trace.name.startswith(letter)] for letter in "HG")
    _examples(axes[2, 3], controls[:2] + glaucoma[:2], "SYNTHETIC recordings")
    return figure


def _histogram(axis: plt.Axes, table: pd.DataFrame, name: str, label: str) -> None:
    values = table.groupby("source")[name]
    axis.hist(values.get_group("synthetic").astype(float).dropna(), bins=30, color="0.75")
    for place, value in enumerate(values.get_group("real").astype(float)):
        axis.axvline(value, color=f"C{place}", lw=2)
    axis.set(xlabel=label, ylabel="synthetic recordings")


def _shapes(axis: plt.Axes, made: list[Trace], real: list[Trace], colour: str) -> None:
    """Draw responses as share of their own largest constriction."""
    curves = np.array([_normalised(trace, colour) for trace in made])
    low, middle, high = np.nanquantile(curves, [0.05, 0.5, 0.95], axis=0)
    axis.fill_between(SHAPE_S, low, high, color="0.85", label="synthetic, 5 to 95 %")
    axis.plot(SHAPE_S, middle, color="0.3", label="synthetic, median")
    for place, trace in enumerate(real):
        axis.plot(SHAPE_S, _normalised(trace, colour), color=f"C{place}", lw=1, label=trace.name)
    axis.axvspan(0, 9, color=COLOURS[colour], alpha=0.1)
    axis.set(xlabel=f"s after {colour} onset", ylabel="share of largest constriction")
    axis.legend(fontsize=7)


def _normalised(trace: Trace, colour: str) -> np.ndarray:
    curve = response(trace, colour)
    return curve / -np.nanmin(curve)


def _examples(axis: plt.Axes, traces: list[Trace], title: str) -> None:
    """Draw whole recordings one above the other, as share of their median."""
    for place, trace in enumerate(traces):
        axis.plot(trace.time, trace.pupil / np.nanmedian(trace.pupil) + place, lw=0.6, color=f"C{place}")
    for colour, (onset, offset) in traces[0].light.items():
        axis.axvspan(onset, offset, color=COLOURS[colour], alpha=0.1)
    axis.set(title=title, xlabel="s", yticks=[])


if __name__ == "__main__":
    raise SystemExit(main())
