"""What the README shows is run, and what it claims is where it says."""

from __future__ import annotations

import importlib.util
import re
import runpy
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer

from pdae_sim import LinearLatentModel, Simulator
from pdae_sim.cli._app import app
from pdae_sim.simulation.config import WorldConfig
from pdae_sim.study.declaration import Declaration

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


WORLD_FILE, STUDY_FILE = re.findall(r"```toml\n(.*?)```", TEXT, re.S)
EXAMPLE, WORLD, MANY, OWN = re.findall(r"```python\n(.*?)```", TEXT, re.S)


@pytest.mark.slow
def test_the_example_runs_and_says_what_its_comments_say(capsys):
    code = EXAMPLE
    exec(compile(code, "README.md", "exec"), {})
    words, distance, r2 = capsys.readouterr().out.splitlines()
    assert words == "A+B = A + B − ctrl"
    assert float(distance) < 0.05
    assert float(r2) > 0.98


@pytest.mark.slow
def test_many_fits_at_once_are_as_many_models():
    latent = LinearLatentModel.random(n_latents=2, n_perturbations=3, rng=0)
    simulation = Simulator.random(latent, n_observed=5, rng=0).sample(["ctrl", "A", "B"], 300, rng=0)
    names: dict = {"simulation": simulation}
    exec(compile(MANY.replace("8", "2"), "README.md", "exec"), names)
    assert [model.encode(simulation.data.x).shape for model in names["models"]] == [(900, 2)] * 2
    assert names["best"].encode(simulation.data.x).shape == (900, 2)


def test_the_world_answers_as_its_comments_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(WORLD, "README.md", "exec"), names)
    simulator, x = names["simulator"], names["x"]
    z, ratio = simulator.encode(x), simulator.log_density_ratio(x, "A:0.5+B", "ctrl")
    design = np.column_stack([np.ones(len(z)), z])
    assert np.allclose(design @ np.linalg.lstsq(design, ratio, rcond=None)[0], ratio)
    assert simulator.assumptions(["ctrl", "A", "B"]).broken == ()


def test_the_file_shown_is_a_world():
    config = WorldConfig.parse(tomllib.loads(WORLD_FILE))
    assert config.breaks == ("additive", "noiseless")
    design, counts = config.experiments()
    assert sum(counts) == 20_000
    assert len(design.test) == 4


@pytest.mark.slow
def test_the_world_shown_meets_its_difficulty():
    data = WorldConfig.parse(tomllib.loads(WORLD_FILE), ["design.total=2000"]).simulate().data
    assert data.x.shape == (2000, 30)
    assert len(data.test.labels) == 4


def test_the_property_tests_shown_hold_and_find_what_is_wrong(tmp_path):
    own, wrong = tmp_path / "own.py", tmp_path / "wrong.py"
    own.write_text(OWN.replace("max_examples=20", "max_examples=5"), encoding="utf-8")
    wrong.write_text(OWN.replace('"linear"', '"stack"'), encoding="utf-8")
    names = runpy.run_path(str(own))
    names["test_a_label_and_its_text_are_the_same_condition"]()
    names["test_means_add_up_where_f_is_linear"]()
    with pytest.raises(AssertionError):
        runpy.run_path(str(wrong))["test_means_add_up_where_f_is_linear"]()


def test_the_declaration_shown_is_a_study():
    study = Declaration.parse(tomllib.loads(STUDY_FILE)).study()
    assert len(study.tasks) == 40
    assert {task["columns"]["design.cells"] for task in study.tasks} == {500, 2000}


def test_the_example_is_short_and_the_picture_is_there():
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) <= 14
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", TEXT):
        assert (ROOT / picture).is_file()


def test_every_command_shown_exists():
    known = set(typer.main.get_command(app).commands)
    assert set(re.findall(r"pdae-sim (\w+)", TEXT)) <= known


def test_every_link_and_every_module_shown_exists():
    for document in (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "experiments/results/README.md")):
        text = document.read_text(encoding="utf-8")
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (document.parent / link).exists(), f"{document.name}: {link}"
        for module in re.findall(r"python -m ((?:experiments|theory)[\w.]*)", text):
            assert importlib.util.find_spec(module), f"{document.name}: {module}"


def test_every_file_and_name_that_contributing_sends_to_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:pdae_sim|theory|tests|experiments)/[\w./]+)`", text))
    assert len(paths) > 25
    assert not [path for path in paths if not (ROOT / path).exists()]
    for path, name in SENT_TO.items():
        assert f"`{path}`" in text
        assert name in (ROOT / path).read_text(encoding="utf-8"), f"{path}: {name}"


SENT_TO = {
    "pdae_sim/estimation/_losses.py": "def term(",
    "pdae_sim/simulation/mixings/composition.py": "LAYERS",
    "pdae_sim/simulation/mixings/_draws.py": "FAMILIES",
    "tests/test_simulation/test_mixings_difficulty.py": "CASES",
    "theory/claims.py": "CLAIMS",
    "theory/typesetting/index.py": "INDEX",
    "pdae_sim/study/_estimators.py": "KINDS",
    "tests/test_estimation/test_base.py": "ESTIMATORS",
    "pdae_sim/cli/_app.py": "app.command()",
    "pdae_sim/simulation/worlds.py": "WORLDS",
    "experiments/studies/__init__.py": "STUDIES",
}
"""What is to be found in the files that CONTRIBUTING.md names."""


def test_the_new_import_paths_of_the_changelog_resolve():
    table = (
        (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("| until 0.1.0 | now |")[2].partition("###")[0]
    )
    new = [path for line in table.splitlines() for path in re.findall(r"`(pdae_sim[\w.]+)`", line.rpartition(" | ")[2])]
    assert len(new) > 40
    assert [path for path in new if not _resolves(path)] == []


def _resolves(path: str) -> bool:
    module, _, name = path.rpartition(".")
    return hasattr(importlib.import_module(module), name) or importlib.util.find_spec(path) is not None


def test_every_make_target_shown_exists():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    documents = TEXT + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(?:^|`)make ([\w-]+)", documents, re.M)) <= targets


def test_the_project_names_no_package_registry():
    hosts = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|conda\.anaconda")
    kinds = ("*.md", "*.py", "*.toml", "Makefile", "*.txt")
    folders = [p for p in ROOT.iterdir() if p.is_dir() and p.name not in {".venv", ".git", "build", "dist"}]
    files = [p for kind in kinds for p in (*ROOT.glob(kind), *(q for folder in folders for q in folder.rglob(kind)))]
    own = [p for p in files if p.is_file()]
    assert not [p.name for p in own if p != Path(__file__) and hosts.search(p.read_text(encoding="utf-8"))]
