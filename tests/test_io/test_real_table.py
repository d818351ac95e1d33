"""The main job's first commands on a real table: single-cell protein abundances, twelve conditions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pdae_sim.cli._app import run

TABLE = Path(__file__).parents[3] / "shared" / "data" / "sachs2005_flow_cytometry.csv"
DOUBLES = ("ICAM2+AKTinh", "ICAM2+G0076", "ICAM2+U0126")

pytestmark = pytest.mark.skipif(not TABLE.is_file(), reason=f"{TABLE.name} is not beside the repository")


def test_the_doubles_are_identified_from_their_singles(tmp_path, capsys):
    held_out = [word for double in DOUBLES for word in ("--test", double)]
    out = str(tmp_path / "s.h5ad")
    assert run(["convert", str(TABLE), "--out", out, "--transform", "log", *held_out, "--json", "--quiet"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["cells"], described["features"], len(described["conditions"])) == (9877, 11, 12)
    assert run(["span", out, *held_out, "--json", "--quiet"]) == 0
    rows = json.loads(capsys.readouterr().out)["verdicts"]
    assert [row["condition"] for row in rows] == list(DOUBLES)
    for row in rows:
        assert row["identified"]
        assert row["coefficients"] == dict.fromkeys(row["condition"].split("+"), 1.0)
        assert (row["noise_gain"], row["supported"]) == (3.0, None)
