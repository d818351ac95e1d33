"""A campaign against TOML files of worlds and studies: each mutation is a world or a study, or refused in a line."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from pdae_sim.simulation.config import WorldConfig
from pdae_sim.simulation.worlds import WORLDS
from pdae_sim.study.declaration import Declaration
from tests.test_reliability.mutations import SEED, SIZE, Tally, mutated_bytes, mutated_tree

SIZES = [60, pytest.param(SIZE, marks=pytest.mark.slow)]
SMALL = {"design": {"cells": 20, "test_cells": 20}}
STUDIES = sorted((Path(__file__).parents[2] / "experiments" / "declarations").glob("*.toml"))


def toml(tree: dict) -> str:
    """A nested mapping of plain values as TOML, in inline tables."""
    return "".join(f"{json.dumps(key)} = {_inline(value)}\n" for key, value in tree.items())


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, float):
        return "nan" if value != value else "inf" if abs(value) == np.inf else repr(value)
    return '""' if value is None else json.dumps(value)


def mutate(tree: dict, path: Path, rng: np.random.Generator) -> str:
    """Write a mutated file; says how."""
    if rng.random() < 0.3:
        what, content = mutated_bytes(toml(tree).encode(), rng)
        path.write_bytes(content)
    else:
        what, changed = mutated_tree(tree, rng)
        path.write_text(toml(changed), encoding="utf-8")
    return what


def simulated(path: Path) -> np.ndarray | None:
    """Some cells of a world, if it is one of few numbers."""
    config = WorldConfig.read(path)
    if max(config.latent.n_latents, config.latent.n_perturbations, config.mixing.n_observed) > 100:
        return None
    return config.simulator().sample(["ctrl"], 5, rng=0).data.x


@pytest.mark.parametrize("n", SIZES)
def test_worlds(tmp_path, n):
    tally, rng, names = Tally(), np.random.default_rng(SEED), sorted(WORLDS)
    for _ in range(n):
        name = names[rng.integers(len(names))]
        table = copy.deepcopy(WORLDS[name].table)
        table["design"] = {**table.get("design", {}), **SMALL["design"]}
        what = mutate(table, tmp_path / "w.toml", rng)
        finite = lambda x: None if x is None or np.isfinite(x).all() else "not finite"  # noqa: E731
        tally.judge(f"{name}: {what}", lambda: simulated(tmp_path / "w.toml"), finite)
    print(tally)
    assert not tally.faults, f"{tally}\n" + "\n".join(tally.faults)


@pytest.mark.parametrize("n", SIZES)
def test_studies(tmp_path, n):
    tally, rng = Tally(), np.random.default_rng(SEED)
    tables = [tomllib.loads(path.read_text(encoding="utf-8")) for path in STUDIES if path.stem != "real_table"]
    for _ in range(n):
        what = mutate(tables[rng.integers(len(tables))], tmp_path / "s.toml", rng)
        tally.judge(what, lambda: Declaration.read(tmp_path / "s.toml").check(), lambda found: None)
    print(tally)
    assert not tally.faults, f"{tally}\n" + "\n".join(tally.faults)
