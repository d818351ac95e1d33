"""Which outputs are the same again, to the bit or to a tolerance: the table of CONTRIBUTING.md, row by row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from pdae_sim import PerturbationData
from pdae_sim.analysis.hypothesis_tests import additivity_test
from tests.test_reliability import outputs

ROOT = Path(__file__).parents[2]


def table() -> dict[str, list[str]]:
    """What the document says of each output: by process, by threads, by order of rows."""
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## What is the same again")[1]
    lines = [line for line in section.split("\n## ")[0].splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: said for name, *said in cells}


@pytest.fixture(scope="module")
def once():
    return outputs.numbers()


def compared(found: dict[str, list[float]], once: dict[str, list[float]], column: int) -> None:
    assert found.keys() == once.keys() == table().keys()
    for name, said in table().items():
        x, y = np.array(found[name]), np.array(once[name])
        assert x.shape == y.shape, name
        if said[column] == "bits":
            assert np.array_equal(x, y), name
        elif said[column] != "draw":
            assert np.abs(x - y).max() <= float(said[column]) * np.abs(y).max(), name


@pytest.mark.parametrize("seed", ["0", pytest.param("1", marks=pytest.mark.slow)])
def test_processes_hash_seeds_and_working_directories_change_no_bit(once, tmp_path, seed):
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.test_reliability.outputs"]
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    compared({name: [float.fromhex(v) for v in values] for name, values in json.loads(said).items()}, once, 0)


def test_the_order_of_rows(once):
    compared(outputs.numbers(outputs.permuted(outputs.dataset())), once, 2)


def test_additivity_does_not_depend_on_threads():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 20))
    data = PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "B", "A+B"], 200))
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            found.append(additivity_test(data, "A+B", n_multipliers=99, rng=0))
    assert np.array_equal(found[0].slopes, found[1].slopes)
    assert found[0].statistic == found[1].statistic


@pytest.mark.slow
def test_two_threads(once):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with threadpool_limits(2):
            compared(outputs.numbers(), once, 1)
    finally:
        torch.set_num_threads(before)
