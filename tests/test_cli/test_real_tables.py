"""Measured tables from the command line: converted, judged, fitted for a few steps and evaluated.

The tables are not part of the project. They are looked for in the folder that the environment variable
``PDAE_SIM_TABLES`` names, else in ``shared/data`` beside the repository.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.test_cli.calls import answer, refusal

TABLES = Path(os.environ.get("PDAE_SIM_TABLES", Path(__file__).parents[3] / "shared" / "data"))


@dataclass(frozen=True)
class Measured:
    """A table: its file, its cells, features and conditions, what to hold out, and how to read and fit it."""

    file: str
    shape: tuple[int, int, int]
    test: tuple[str, ...]
    transform: str = "none"
    observation: str = "gaussian_by_feature"


CELLS = {
    "sachs": Measured(
        "sachs2005_flow_cytometry.csv", (9877, 11, 12), ("ICAM2+AKTinh", "ICAM2+G0076", "ICAM2+U0126"), "log"
    ),
    "pbmc": Measured(
        "pbmc_cytof_celltype_stim.csv",
        (14753, 14, 16),
        ("BCR+B", "BCR+CD8", "PMA+CD8", "PMA+NK", "PMA+B", "VAN+CD8"),
    ),
    "mcfaline": Measured("mcfaline_gbm_lognorm.csv", (2586, 320, 30), ("MAP4K3+T98G", "MAP2K6+T98G", "MAP3K21+T98G")),
    "norman": Measured(
        "norman_k562_counts.csv",
        (3373, 87, 34),
        ("KLF1+MAP2K6", "KLF1+TGFBR2", "MAPK1+TGFBR2", "MAP2K3+MAP2K6", "MAP2K3+SLC38A2"),
        observation="negative_binomial",
    ),
}
BULK = Measured("cellbox_rppa.csv", (90, 87, 89), ("aHDAC:0.551+aMEK:0.863",))


def found(table: Measured) -> Path:
    """The file of a table; the test is skipped where there is none."""
    path = TABLES / table.file
    if not path.is_file():
        pytest.skip(f"{table.file} is neither in PDAE_SIM_TABLES nor in shared/data beside the repository")
    return path


def converted(table: Measured, out: Path, capsys) -> dict:
    """What `convert` says of a table whose `test` is held out."""
    hold_out = [word for condition in table.test for word in ("--test", condition)]
    return answer(capsys, "convert", found(table), "--out", out, "--transform", table.transform, *hold_out)


def identified(data: Path, capsys) -> dict[str, bool]:
    """Whether each held-out condition is identified."""
    return {row["condition"]: row["identified"] for row in answer(capsys, "span", data)["verdicts"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CELLS))
def test_cells_from_the_table_to_the_evaluation(name, tmp_path, capsys):
    table, data, model = CELLS[name], tmp_path / "t.h5ad", tmp_path / "m"
    result = converted(table, data, capsys)
    assert (result["cells"], result["features"], len(result["conditions"])) == table.shape
    assert result["left_out"] == {}
    verdicts = identified(data, capsys)
    assert len(verdicts) == len(table.test)
    assert all(verdicts.values())
    fit = ("fit", data, "--out", model, "--latents", "2", "--steps", "20", "--observation", table.observation)
    assert answer(capsys, *fit)["observation"]["name"] == table.observation
    metrics = ("--metrics", "energy_distance,mean_difference")
    rows = answer(capsys, "evaluate", model, data, "--baselines", *metrics)["rows"]
    judged = {(row["estimator"], row["condition"]) for row in rows if row["value"] is not None}
    assert {(who, condition) for who in ("pdae", "control", "additive", "ceiling") for condition in verdicts} <= judged


@pytest.mark.slow
def test_means_of_drugs_are_judged_by_dose(tmp_path, capsys):
    result = converted(BULK, tmp_path / "t.h5ad", capsys)
    assert (result["cells"], result["features"], len(result["conditions"])) == BULK.shape
    assert identified(tmp_path / "t.h5ad", capsys) == dict.fromkeys(BULK.test, True)


@pytest.mark.slow
def test_a_control_that_is_not_there_is_refused(tmp_path, capsys):
    path = found(CELLS["sachs"])
    message = refusal(capsys, "convert", path, "--out", tmp_path / "t.h5ad", "--control", "DMSO")
    assert "no condition is the control 'DMSO'; likely --control 'ctrl'" in message
