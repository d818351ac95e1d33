"""What a command may raise, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from safetensors import SafetensorError

from tests.test_cli.calls import ran, refusal

FORESEEN = [
    SafetensorError("header too large"),
    pa.ArrowInvalid("not parquet"),
    json.JSONDecodeError("no value", "", 0),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    RecursionError("maximum recursion depth exceeded"),
    np.linalg.LinAlgError("singular matrix"),
    OverflowError("too large"),
    MemoryError(),
    OSError(28, "No space left on device", "x.h5ad"),
]


def raising(monkeypatch, error):
    def raised(*_):
        raise error

    monkeypatch.setattr("pdae_sim.cli._commands.doctor._installed", raised)


@pytest.mark.parametrize("error", FORESEEN, ids=lambda error: type(error).__name__)
def test_what_libraries_throw_is_one_line_with_status_two(capsys, monkeypatch, error):
    raising(monkeypatch, error)
    assert "bug" not in refusal(capsys, "doctor")


@pytest.mark.parametrize("error", [KeyError("seed"), AssertionError(), ValueError("two\nlines"), RuntimeError("odd")])
def test_a_bug_is_one_line_with_status_four_and_a_file_to_send(capsys, monkeypatch, tmp_path, error):
    raising(monkeypatch, error)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    status, out, err = ran(capsys, "doctor")
    assert (status, out, err.count("\n")) == (4, "", 1)
    (kept,) = tmp_path.iterdir()
    assert str(kept) in err
    text = Path(kept).read_text(encoding="utf-8")
    assert "Traceback" in text
    assert "['doctor']" in text
