"""Output where letters are few: every command on every encoding, in forty columns, without colours or a terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
import torch

from pdae_sim.cli import _app
from pdae_sim.cli._encoding import spelt
from tests.test_cli.calls import ran

COMMANDS = {
    "help": ["span", "--help"],
    "usage": ["span", "--tset", "−Ŵ"],
    "worlds": ["worlds"],
    "doctor": ["doctor"],
    "simulate": ["simulate", "demo", "--out", "{t}/s.h5ad", "--set", "design.cells=20"],
    "convert": ["convert", "{t}/σ.csv", "--out", "{t}/c.h5ad"],
    "fit": ["fit", "{t}/few.h5ad", "--out", "{t}/m", "--latents", "1", "--steps", "2"],
    "predict": ["predict", "{f}/m", "--condition", "A:0.5", "--out", "{t}/p.csv"],
    "refused": ["predict", "{f}/m", "--condition", "C", "--out", "{t}/q.csv"],
    "span": ["span", "{f}/d.h5ad", "--model", "{f}/m", "--figure", "{t}/s.png"],
    "identify": ["identify", "{f}/m", "{f}/d.h5ad"],
    "evaluate": ["evaluate", "{f}/m", "{f}/d.h5ad", "--figure", "{t}/e.png"],
    "goodness": ["evaluate", "{f}/m", "{f}/d.h5ad", "--goodness"],
    "additivity": ["additivity", "{f}/d.h5ad", "--multipliers", "19"],
    "design": ["design", "{f}/d.h5ad", "--target", "A+C", "--standard-error", "0.1"],
    "twins": ["twins", "{f}/d.h5ad", "--test", "A+C", "--cells", "50"],
    "studies": ["study", "list", "{t}"],
    "no file": ["span", "{t}/Ŵ.h5ad"],
}  # fmt: skip

LONG = ("fit", "identify", "goodness", "simulate")


class Narrow(io.TextIOWrapper):
    """A strict stream of an encoding; no terminal."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict", write_through=True)

    def written(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)


@pytest.fixture
def streams(monkeypatch):
    """Standard output and standard error of an encoding, forty columns wide."""
    for name, value in {"COLUMNS": "40", "NO_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)

    def opened(encoding: str) -> tuple[Narrow, Narrow]:
        out, err = Narrow(encoding), Narrow(encoding)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        return out, err

    return opened


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        *((name, "ascii") for name in COMMANDS if name not in LONG),
        *(("span", encoding) for encoding in ("cp1252", "latin-1")),
        *(
            pytest.param(name, encoding, marks=pytest.mark.slow)
            for name in COMMANDS
            for encoding in ("ascii", "cp1252", "latin-1")
            if name in LONG or encoding != "ascii"
        ),
    ],
)
def test_every_command_writes_in_every_encoding(folder, singles, tmp_path, streams, name, encoding):
    (tmp_path / "σ.csv").write_text("condition,Δ\nctrl,1\nα-tocopherol,2\n", encoding="utf-8")
    (tmp_path / "few.h5ad").write_bytes(singles.read_bytes())
    out, err = streams(encoding)
    status = _app.run([word.format(f=folder, t=tmp_path) for word in COMMANDS[name]])
    assert status in (0, 1, 2), err.written()
    assert (status == 2) == (name in ("usage", "refused", "no file")), err.written()
    if name == "help" and encoding == "ascii":
        return  # typer takes a stream of ASCII for one of UTF-8 whose locale is not set
    assert out.written() or err.written()
    assert "\\u" not in out.written() + err.written()


def test_a_table_of_forty_ascii_letters_is_straight(folder, streams):
    out, _ = streams("ascii")
    assert _app.run(["evaluate", str(folder / "m"), str(folder / "d.h5ad"), "--baselines", "--quiet"]) == 0
    lines = [line for line in out.written().splitlines() if line[19:20] == "|"]  # prose is wrapped by the terminal
    assert lines
    assert max(map(len, lines)) <= 40


def test_json_keeps_every_letter(tmp_path, streams):
    (tmp_path / "t.csv").write_text("condition,x\nctrl,1\nα-tocopherol,2\n", encoding="utf-8")
    out, _ = streams("ascii")
    assert _app.run(["convert", str(tmp_path / "t.csv"), "--out", str(tmp_path / "t.h5ad"), "--json"]) == 0
    assert json.loads(out.written())["conditions"][1]["condition"] == "α-tocopherol"


@pytest.mark.parametrize(
    ("letters", "ascii_letters"),
    [
        ("A − B – C …", "A - B - C ..."),
        ("≤ ≥ ≠ ± ∞", "<= >= != +/- inf"),
        ("Ŵ Σ λ Δ mean R² Rᵀ x₁ ½", "W^ Sigma lambda Delta mean R^2 R^T x_1 1/2"),
        ("naïve Müller", "naive Muller"),
        ("药", "\\u836f"),
        ("\udcff", "\\udcff"),
    ],
)
def test_letters_are_spelt(letters, ascii_letters):
    assert spelt(letters, "ascii") == ascii_letters
    assert spelt("é", "latin-1") == "é"


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_the_demo_writes_its_report_through_a_pipe(tmp_path, encoding):
    environment = os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "40", "LC_ALL": "C", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "pdae_sim", "demo", "--out", str(tmp_path / "o"), "--cells", "64", "--steps", "5"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert "²" in (tmp_path / "o" / "report.html").read_text(encoding="utf-8")


def test_a_standard_stream_of_ascii_is_no_obstacle():
    command = [sys.executable, "-m", "pdae_sim", "worlds"]
    done = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode("ascii")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 7.28 TiB for an array with shape (10,) and data type float64"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you\nframe 1"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    ],
)
def test_memory_that_runs_out_is_one_line(capsys, monkeypatch, error):
    def exhausted(*_):
        raise error

    monkeypatch.setattr("pdae_sim.cli._commands.doctor._installed", exhausted)
    status, out, err = ran(capsys, "doctor")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: out of memory: ")
    assert "ask for less" in err


def test_a_reader_that_finds_no_memory_does_not_blame_the_file(folder, capsys, monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError

    monkeypatch.setattr("h5py.File", exhausted)
    assert "out of memory" in ran(capsys, "evaluate", folder / "m", folder / "d.h5ad")[2]


def test_any_other_error_is_told_as_the_bug_it_is(monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("a defect")

    monkeypatch.setattr("pdae_sim.cli._commands.doctor._installed", broken)
    assert _app.run(["doctor"]) == 4
    assert "RuntimeError: a defect" in capsys.readouterr().err
