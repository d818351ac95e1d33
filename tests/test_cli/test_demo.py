"""`demo`: everything is written, the same each time."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.test_cli.calls import answer, refusal

FILES = ["data.h5ad", "model", "report.html", "results.parquet"]


def test_a_small_demo_writes_everything_and_is_deterministic(tmp_path, capsys):
    for name in ("one", "two"):
        arguments = ("demo", "--out", tmp_path / name, "--steps", 5, "--cells", 64)
        assert set(answer(capsys, *arguments)["verdicts"].values()) >= {"not identified"}
    one, two = (pd.read_parquet(tmp_path / name / "results.parquet") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two)
    assert {"study", "task_id", "scenario", "estimator", "seed", "condition", "verdict", "metric", "value"} <= set(one)
    page = (tmp_path / "one" / "report.html").read_text()
    assert page == (tmp_path / "two" / "report.html").read_text()
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == FILES
    assert "already exists" in refusal(capsys, "demo", "--out", tmp_path / "one", "--quiet")


@pytest.mark.slow
def test_the_demo_meets_its_figures(tmp_path, capsys, monkeypatch):
    monkeypatch.undo()  # as many cells as it takes
    result = answer(capsys, "demo", "--out", tmp_path / "d")
    distance = {
        r["estimator"]: r["value"]
        for r in result["rows"]
        if (r["condition"], r["metric"]) == ("A+B", "energy_distance")
    }
    assert distance.pop("transport_parts") > 5 * distance["pdae"]
    rivals = [v for name, v in distance.items() if name not in ("pdae", "tilting", "ceiling")]
    assert min(rivals) > 50 * distance["pdae"]
    assert result["identification"]["orthogonal_r2"] > 0.98
    assert list(result["verdicts"].values()) == [
        "identified and supported",
        "identified, off support",
        "not identified",
    ]
