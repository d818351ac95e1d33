"""`geometry`: what it prints of distances, and what it leaves out."""

import numpy as np
import pytest

from pdae_sim import PerturbationData
from tests.test_cli.calls import answer, ran, refusal


def write(path, shifts, n=400):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n * len(shifts), 2)) + np.repeat(list(shifts.values()), n, axis=0)
    PerturbationData.from_arrays(np.sinh(0.5 * z), np.repeat(list(shifts), n)).write(path)
    return path


@pytest.fixture
def near(tmp_path):
    return write(tmp_path / "d.h5ad", {"ctrl": (0, 0), "A": (1.5, 0), "B": (0, 1.5)})


@pytest.mark.statistical
def test_pairs_with_intervals_and_what_the_shifts_span(near, capsys):
    found = answer(capsys, "geometry", near, "--multipliers", 99)
    assert [(row["condition"], row["other"]) for row in found["pairs"]] == [("ctrl", "A"), ("ctrl", "B"), ("A", "B")]
    for row, true in zip(found["pairs"], (2.25, 2.25, 4.5), strict=True):
        assert row["interval"][0] < true < row["interval"][1]
        assert row["lower_limit"] < true
        assert row["overlap"]
    assert found["rank"] == 2
    _, out, _ = ran(capsys, "geometry", near, "--multipliers", 99)
    assert "Rank of the shifts: 2." in out


def test_where_no_two_overlap_nothing_is_judged(tmp_path, capsys):
    far = write(tmp_path / "far.h5ad", {"ctrl": (0, 0), "A": (12, 0)}, n=40)
    found = answer(capsys, "geometry", far, status=3)
    assert not found["pairs"][0]["overlap"]
    assert found["rank"] is None
    assert found["pairs"][0]["lower_limit"] > 4


def test_too_few_cells_are_refused_with_the_condition(tmp_path, capsys):
    few = write(tmp_path / "few.h5ad", {"ctrl": (0, 0), "A": (1, 0)}, n=20)
    assert "'ctrl' has 20 cells" in refusal(capsys, "geometry", few)


def test_conditions_of_few_cells_are_left_out_and_told(tmp_path, capsys):
    data = PerturbationData.read(
        write(tmp_path / "d.h5ad", {"ctrl": (0, 0), "A": (1, 0), "B": (0, 1), "C": (1, 1)}, n=60)
    )
    cells = np.flatnonzero(~np.isin(data.environment, [2, 3]) | (np.arange(len(data.environment)) % 60 < 5))
    PerturbationData.from_arrays(data.x[cells], np.array(data.conditions)[data.environment[cells]]).write(
        tmp_path / "few.h5ad"
    )
    _, out, _ = ran(capsys, "geometry", tmp_path / "few.h5ad", "--multipliers", 99)
    assert "2 of 4 conditions have fewer than 30 cells and are left out, the first B" in out
    assert [row["other"] for row in answer(capsys, "geometry", tmp_path / "few.h5ad")["pairs"]] == ["A"]


def test_no_distance_stands_where_two_hardly_overlap_and_many_pairs_are_those_with_the_reference(
    tmp_path, capsys, monkeypatch
):
    far = write(tmp_path / "far.h5ad", {"ctrl": (0, 0), "A": (12, 0), "B": (12, 1)}, n=40)
    _, out, _ = ran(capsys, "geometry", far, "--multipliers", 99)
    (row,) = [line.split() for line in out.splitlines() if line.startswith("ctrl – A")]
    assert row[3:5] == ["–", "–"]
    assert row[-1] == "no"
    monkeypatch.setattr("pdae_sim.cli._commands.geometry._LISTED", 2)
    _, out, _ = ran(capsys, "geometry", far, "--multipliers", 99)
    assert "A – B" not in out
    assert "1 more pairs are in --json" in out


def test_the_picture_has_the_dimensions_that_the_shifts_span():
    from types import SimpleNamespace

    from pdae_sim.cli._commands.geometry import _plane

    found = {rank: _plane(SimpleNamespace(rank=rank, conditions="abcde")) for rank in (0, 1, 2, 4, None)}
    assert found == {0: 2, 1: 2, 2: 2, 4: 4, None: 3}
