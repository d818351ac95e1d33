"""What the README shows is run, and what it claims is where it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pdae_sim.cli.app import app

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_runs_and_says_what_its_comments_say(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    exec(compile(code, "README.md", "exec"), {})
    words, distance, r2 = capsys.readouterr().out.splitlines()
    assert words == "A+B = A + B − ctrl"
    assert float(distance) < 0.05
    assert float(r2) > 0.98


def test_the_example_is_short_and_the_picture_is_there():
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    assert len([line for line in code.splitlines() if line.strip()]) <= 14
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", TEXT):
        assert (ROOT / picture).is_file()


def test_every_command_shown_exists():
    known = {command.name for command in app.registered_commands}
    assert set(re.findall(r"pdae-sim (\w+)", TEXT)) <= known


def test_every_make_target_shown_exists():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`?make ([\w-]+)", TEXT)) <= targets


def test_the_project_names_no_package_registry():
    hosts = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|conda\.anaconda")
    files = [p for kind in ("*.md", "*.py", "*.toml", "Makefile", "*.txt") for p in ROOT.rglob(kind)]
    own = [p for p in files if not {".venv", "build", "dist"} & set(p.relative_to(ROOT).parts)]
    assert not [p.name for p in own if p != Path(__file__) and hosts.search(p.read_text(encoding="utf-8"))]
