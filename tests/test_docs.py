"""What the pages say exists: commands, paths, config names; and the example of a new method works."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from commands import ROOT, run
from hydra import compose, initialize_config_dir

from src.train import CONFIGS, register_resolvers

PAGES = {
    name: (ROOT / name).read_text()
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
}
BLOCKS = [
    (page, language, re.sub(r"^ {3}", "", body, flags=re.MULTILINE) if indent else body)
    for page, text in PAGES.items()
    for indent, language, body in re.findall(r"^( *)```(\w+)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
]
COMMANDS = [
    line.split("  #")[0].strip()
    for _, language, body in BLOCKS
    if language == "bash"
    for line in body.splitlines()
]
MADE_LATER = (
    "figures/index.html",
    "mlruns/",
    "data/private/",
    "results/bench",
    "data/public/foundation_plr_results.db",
    "data/public/foundation_plr_results_dictionary.html",
)


def test_no_other_pages():
    # "safe.directory": the checkout may belong to another user than the one who runs the tests
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(listed.stdout.split()) == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_path_in_backticks_exists(page):
    paths = re.findall(
        r"`((?:\.ci|configs|src|scripts|tests|benchmarks|data|notebooks)/[\w./-]*)`", PAGES[page]
    )
    gone = [p for p in paths if not (ROOT / p).exists() and p not in MADE_LATER and "small_pupil" not in p]
    assert [p for p in gone if "SmallPupil" not in p] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_every_make_target_exists(command):
    target = command.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", [c for c in COMMANDS if "scripts/" in c])
def test_every_script_takes_the_options_shown(command):
    words = command.split()
    script = next(word for word in words if word.startswith("scripts/"))
    usage = run(script, "--help").stdout
    for option in (word for word in words if word.startswith("--")):
        assert option in usage


@pytest.mark.parametrize("command", [c for c in COMMANDS if "src.train" in c and "--help" not in c])
def test_every_training_command_composes(command):
    register_resolvers()
    words = [w for w in command.split("src.train")[1].split() if w != "-m"]
    words = ["sweeps=default" if w == "sweeps" else w for w in words]
    first = [re.sub(r"=([^,]+),.*", r"=\1", word) for word in words]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        assert compose("train", first)


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda p: p.name)
def test_every_script_explains_itself(path):
    assert "usage:" in run(str(path), "--help").stdout


def test_the_example_of_a_new_method_is_three_files(tmp_path, empty_store):
    """Do what CONTRIBUTING says in a copy of the project; run the method and its contract."""
    copy = tmp_path / "copy"
    ignore = shutil.ignore_patterns("__pycache__", "*.duckdb", "private")
    for name in ("src", "configs", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", copy)
    code, config, entry = (
        body for page, language, body in BLOCKS if page == "CONTRIBUTING.md" and language != "bash"
    )
    (copy / "src/outliers/small_pupil.py").write_text(code)
    (copy / "configs/outlier/SmallPupil.yaml").write_text(config)
    registry = copy / "configs/mlflow_registry/methods.yaml"
    registry.write_text(registry.read_text().replace("outlier:\n", "outlier:\n" + entry, 1))
    (copy / "mlflow.db").write_bytes(empty_store.read_bytes())
    words = ("outlier=SmallPupil", "imputation=linear", "classifier=LogisticRegression", "data=smoke")
    done = run("-m", "src.train", *words, "evaluation.n_iterations=5", cwd=copy)
    assert "finished simple__SmallPupil__linear__LogisticRegression" in done.stdout
    contract = run("-m", "pytest", "tests/outliers", "-k", "contract and SmallPupil", cwd=copy)
    assert re.search(r"\d+ passed", contract.stdout)
