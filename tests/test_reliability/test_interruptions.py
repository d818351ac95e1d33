"""Commands killed at any moment, or on a full disk: what they write is whole or absent, and they can be given again.

In `make test` some commands die at some of the moments at which they touch their files; under ``slow`` every command is
killed at ``PDAE_SIM_KILLS`` random moments (20), with the seed of all campaigns.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdae_sim import PDAE
from pdae_sim import _files as files
from pdae_sim.cli._app import run
from pdae_sim.cli._saving import save_or_keep
from pdae_sim.errors import InputError
from pdae_sim.estimation import _persistence as persistence
from tests.test_reliability.mutations import SEED
from tests.test_reliability.processes import KILLED, Ended, dying_before_change, forked, with_files_of_at_most

KILLS = int(os.environ.get("PDAE_SIM_KILLS", "20"))

STUDY = """
name = "s"
question = "?"
claim = "none"
prediction = "."
seeds = 3
estimators = ["additive", "linear"]
metrics = ["mean_difference"]
worlds = [{base = "three-singles", set = {"design.cells" = 40, "design.test_cells" = 40}}]
"""


@dataclass(frozen=True)
class Command:
    """A command and what it writes: each of these is whole or absent at every moment."""

    arguments: str
    outputs: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        return [*self.arguments.split(), "--quiet"]


SIZE = "--set design.cells=60 --set design.test_cells=60"
DEMO = ("data.h5ad", "model", "results.parquet", "report.html")
COMMANDS = {
    "simulate": Command(f"simulate demo --out out.h5ad {SIZE}", ("out.h5ad",)),
    "convert": Command("convert cells.csv --out out.h5ad", ("out.h5ad",)),
    "fit": Command("fit d.h5ad --out out --latents 2 --steps 3", ("out",)),
    "fit --force": Command("fit d.h5ad --out old --latents 2 --steps 3 --seed 5 --force", ("old",)),
    "predict .h5ad": Command("predict m --condition A+B --samples 50 --out out.h5ad", ("out.h5ad",)),
    "predict .csv --force": Command("predict m --condition A --samples 50 --out old.csv --force", ("old.csv",)),
    "predict .parquet": Command("predict m --condition A --samples 50 --out out.parquet", ("out.parquet",)),
    "span": Command("span d.h5ad --no-additivity --model m --figure out.png", ("out.png",)),
    "identify": Command("identify m d.h5ad --figure out.png", ("out.png",)),
    "evaluate": Command(
        "evaluate m d.h5ad --goodness --metrics energy_distance --csv out.csv --figure out.png", ("out.csv", "out.png")
    ),
    "evaluate --export": Command(
        "evaluate mc c.h5ad --metrics mean_difference --export cell-eval out", ("out/real.h5ad", "out/pdae.h5ad")
    ),
    "additivity": Command("additivity d.h5ad --multipliers 199 --figure out.png", ("out.png",)),
    "geometry": Command("geometry d.h5ad", ()),
    "stability": Command("stability d.h5ad --latents 2 --steps 3 --splits 1 --no-shuffled", ()),
    "design": Command("design d.h5ad --target A+C --figure out.png", ("out.png",)),
    "twins": Command(
        "twins d.h5ad --test A+C --cells 60 --out out", ("out/first.h5ad", "out/second.h5ad", "out/twins.png")
    ),
    "demo": Command("demo --out out --steps 2 --cells 64", tuple(f"out/{name}" for name in DEMO)),
    "study run": Command("study run s.toml --out out --workers 1", ("out/results.parquet",)),
    "study report": Command("study report done", ("done/results.parquet", "done/report.html")),
    "study merge": Command("study merge done --out out", ("out/results.parquet",)),
    "study index": Command("study index .", ("index.html",)),
}
CHANGES = (2, 3, 5, 8, 13)
FAST = ("predict .csv --force", "study run")
INPUTS = ("d.h5ad", "m", "c.h5ad", "mc", "cells.csv", "s.toml")
COPIED = {"old": "m", "old.csv": "old.csv", "done": "done"}
"""What is there before a command, and of what it is a copy."""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("base")
    before = os.getcwd()
    os.chdir(path)
    try:
        (path / "s.toml").write_text(STUDY)
        (path / "old.csv").write_text("old")
        rng = np.random.default_rng(0)
        pd.DataFrame(rng.normal(size=(90, 3)), columns=list("xyz")).assign(condition=["ctrl", "A", "B"] * 30).to_csv(
            "cells.csv"
        )
        for words in (
            f"simulate demo --out d.h5ad {SIZE}",
            "fit d.h5ad --out m --latents 2 --steps 2",
            f"simulate counts --out c.h5ad {SIZE}",
            "fit c.h5ad --out mc --latents 2 --steps 2 --observation poisson",
            "study run s.toml --out done --workers 1",
        ):
            assert run([*words.split(), "--quiet"]) == 0
    finally:
        os.chdir(before)
    return path


@pytest.fixture(autouse=True)
def _few_cells(monkeypatch):
    monkeypatch.setattr("pdae_sim.study.evaluation._LEAST_SAMPLES", 60)
    monkeypatch.setattr("pdae_sim.cli._commands.evaluate._FRESH", 60)
    monkeypatch.setattr("pdae_sim.estimation._checkpoint.CHECKPOINT_SECONDS", 0.0)


def workplace(base: Path, tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    for each in INPUTS:
        (folder / each).symlink_to(base / each)
    for each, source in COPIED.items():
        os.system(f"cp -r {base / source} {folder / each}")
    return folder


def seen(folder: Path, outputs: tuple[str, ...]) -> dict[str, str | None]:
    """What each output holds, None where it is absent."""
    return {name: _digest(folder / name) for name in outputs}


def _digest(path: Path) -> str | None:
    if not path.exists():
        return None
    parts = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    digest = hashlib.sha256()
    for part in parts:
        digest.update(str(part.relative_to(path)).encode())
        digest.update(part.read_bytes())
    return digest.hexdigest()


class Campaign:
    """One command, disturbed in many folders, against a run of it that nobody disturbed."""

    def __init__(self, name: str, base: Path, tmp_path: Path):
        self.command, self.base, self.tmp_path, self.count = COMMANDS[name], base, tmp_path, 0
        folder = workplace(base, tmp_path, "undisturbed")
        self.before = seen(folder, self.command.outputs)
        self.there = {path.name for path in folder.iterdir()}
        self.ended = forked(self.command.words, folder)
        assert self.ended.status in (0, 1, 3), self.ended
        self.after = seen(folder, self.command.outputs)
        assert all(self.after.values())

    def disturbed(self, **how) -> tuple[Path, Ended]:
        """Disturb the command in a folder of its own; what is there afterwards is whole."""
        self.count += 1
        folder = workplace(self.base, self.tmp_path, f"disturbed{self.count}")
        ended = forked(self.command.words, folder, **how)
        for name, digest in seen(folder, self.command.outputs).items():
            assert digest in (self.before[name], self.after[name]), f"{name} is neither as before nor whole: {ended}"
        return folder, ended

    def killed(self, **how) -> bool:
        """Whether the command was killed, after which it can be given again."""
        folder, ended = self.disturbed(**how)
        self.given_again(folder)
        return ended.status == KILLED

    def given_again(self, folder: Path) -> None:
        """The command given again ends as it would have; where files were written it may ask for ``--force``."""
        again = forked(self.command.words, folder)
        if again.status == 2:
            assert "already exists" in again.err
            assert any(seen(folder, self.command.outputs).values())
            again = forked([*self.command.words, "--force"], folder)
        assert again.status == self.ended.status, again
        assert seen(folder, self.command.outputs) == self.after


@pytest.fixture
def campaign(request, base, tmp_path):
    return Campaign(request.param, base, tmp_path)


@pytest.mark.parametrize("campaign", FAST, indirect=True)
def test_killed_between_two_changes_of_files(campaign):
    killed = [campaign.killed(disturb=dying_before_change(number)) for number in CHANGES]
    assert any(killed)


@pytest.mark.slow
@pytest.mark.parametrize("campaign", COMMANDS, indirect=True)
def test_killed_at_any_moment(campaign):
    rng = np.random.default_rng(SEED)
    killed = sum(campaign.killed(kill_at=rng.uniform(0, campaign.ended.seconds)) for _ in range(KILLS))
    print(f"{killed} of {KILLS} killed, {campaign.ended.seconds:.2f} s")
    assert killed > KILLS // 5  # others were done before, for the first run is the slowest


def check_full_disk(campaign, size: int) -> None:
    folder, ended = campaign.disturbed(disturb=with_files_of_at_most(size))
    if ended.status != campaign.ended.status:
        lines = [line for line in ended.err.splitlines() if line.startswith("error: ")]
        assert ended.status == 2, ended
        assert len(lines) == 1, ended
        assert "File too large" in lines[0], lines
        assert any(name.split("/")[0] in lines[0] for name in campaign.command.outputs), lines
        left = [path for path in folder.rglob(".*") if files._LEFT.fullmatch(path.name)]
        assert not left
        campaign.given_again(folder)


@pytest.mark.parametrize("campaign", FAST, indirect=True)
def test_a_full_disk_is_one_line_that_names_the_file(campaign):
    check_full_disk(campaign, 0)


@pytest.mark.slow
@pytest.mark.parametrize("campaign", [name for name in COMMANDS if COMMANDS[name].outputs], indirect=True)
def test_a_disk_that_is_full_after_some_bytes(campaign):
    rng = np.random.default_rng(SEED)
    for size in (0, *(2 ** rng.uniform(3, 18, 6)).astype(int).tolist()):
        check_full_disk(campaign, size)


@pytest.fixture
def fitted(simulation):
    return PDAE(2, steps=2, observation="noiseless").fit(simulation.data)


class TestModels:
    def test_one_that_cannot_be_written_is_kept_elsewhere(self, base, tmp_path, monkeypatch, capsys):
        import tempfile

        other, write = tmp_path / "other", persistence.save_file
        other.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(other))

        def full(tensors, path):
            if other not in Path(path).parents:
                raise OSError(28, "No space left on device")
            write(tensors, path)

        monkeypatch.setattr(persistence, "save_file", full)
        out = tmp_path / "out"
        assert run(["fit", str(base / "d.h5ad"), "--out", str(out), "--latents", "2", "--steps", "2", "--quiet"]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith(f"error: {out}: cannot be written (No space left on device)")
        _, kept, to = line.rsplit(maxsplit=2)
        assert to == str(out)
        assert PDAE.load(kept).perturbation_matrix_.shape == (2, 3)
        assert (tmp_path / ".out.checkpoint").is_file()

    def test_the_command_that_moves_it_puts_it_in_the_place_of_the_old_one(self, fitted, tmp_path, monkeypatch):
        (tmp_path / "other").mkdir()
        fitted.save(tmp_path / "m")
        place, save = tmp_path / "m", type(fitted).save
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "other"))

        def full(model, directory, *, force=False):
            if directory == place:
                raise OSError(28, "No space left on device")
            save(model, directory, force=force)

        monkeypatch.setattr(type(fitted), "save", full)
        old = (place / "config.json").stat().st_ino
        with pytest.raises(InputError) as told:
            save_or_keep(fitted, place, force=True, checkpoint=tmp_path / "none")
        command = str(told.value).partition("is kept, ")[2]
        subprocess.run(command, shell=True, check=True)
        assert (place / "config.json").stat().st_ino != old
        assert not (place / "m").exists()
        with pytest.raises(InputError, match=r"the model is kept in \S+$"):
            save_or_keep(fitted, place, force=False, checkpoint=tmp_path / "none")

    def test_one_is_there_at_every_moment_of_being_overwritten(self, fitted, tmp_path):
        fitted.save(tmp_path / "m")
        assert files._exchanged.__doc__
        exchanged = []
        rename = files._exchanged

        def watched(new, final):
            exchanged.append(rename(new, final))
            return exchanged[-1]

        files._exchanged = watched
        try:
            fitted.save(tmp_path / "m", force=True)
        finally:
            files._exchanged = rename
        assert exchanged == [True] or os.uname().sysname != "Linux"
        assert [path.name for path in tmp_path.iterdir()] == ["m"]
        PDAE.load(tmp_path / "m")

    def test_without_an_exchange_of_names_the_old_one_is_told_of(self, fitted, tmp_path, monkeypatch):
        fitted.save(tmp_path / "m")
        monkeypatch.setattr(files, "_exchanged", lambda new, final: False)
        fitted.save(tmp_path / "m", force=True)
        assert [path.name for path in tmp_path.iterdir()] == ["m"]
        (tmp_path / "m").rename(files.set_aside(tmp_path / "m"))
        with pytest.raises(ValueError, match=r"is in .*\.m\.old, rename it back"):
            PDAE.load(tmp_path / "m")

    def test_what_a_killed_save_left_is_swept_an_hour_later(self, fitted, tmp_path):
        left = files.beside(tmp_path / "another")
        left.mkdir()
        (left / "weights.safetensors").write_bytes(b"half")
        fitted.save(tmp_path / "m")
        assert left.is_dir()
        for path in (left / "weights.safetensors", left):
            os.utime(path, (time.time() - 4000,) * 2)
        fitted.save(tmp_path / "m", force=True)
        assert [path.name for path in tmp_path.iterdir()] == ["m"]


class TestTwoAtOnce:
    @pytest.mark.parametrize("name", ["fit", "demo"])
    def test_the_second_is_refused_at_the_start(self, base, tmp_path, name):
        folder = workplace(base, tmp_path, "two")
        (folder / "out").mkdir(exist_ok=name == "demo") if name == "demo" else None
        place = folder / "out" / "demo" if name == "demo" else folder / "out"
        with files.claimed(place):
            second = forked(COMMANDS[name].words, folder)
        assert second.status == 2
        assert "another process is at work on it" in second.err
        assert not list(folder.rglob(".*.lock"))

    def test_a_file_that_came_there_meanwhile_is_not_overwritten(self, tmp_path):
        path = tmp_path / "a.txt"

        def write():
            with files.whole_file(path) as temporary:
                temporary.write_text("ours")
                path.write_text("theirs")

        with pytest.raises(ValueError, match="already exists"):
            write()
        assert path.read_text() == "theirs"
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_demo_goes_on_where_it_was_interrupted(base, tmp_path):
    folder = workplace(base, tmp_path, "demo")
    note = folder / "out" / ".demo.json"
    words = COMMANDS["demo"].words

    def interrupted_at_report():
        from pdae_sim import report

        def interrupt(_):
            raise KeyboardInterrupt

        report.demo_page = interrupt

    ended = forked(words, folder, interrupted_at_report)
    assert (ended.status, "the same command goes on" in ended.err) == (130, True)
    assert note.is_file()
    assert (folder / "out" / "model").is_dir()
    assert forked([*words, "--seed", "1"], folder).status == 2
    assert forked(words, folder).status == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted(DEMO)


def test_the_index_leaves_out_a_damaged_folder(base, tmp_path, capsys):
    folder = workplace(base, tmp_path, "index")
    shutil.copytree(folder / "done", folder / "broken")
    for content in (b"{}", b"\xff", b""):
        (folder / "broken" / "study.json").write_bytes(content)
        assert run(["study", "index", str(folder)]) == 0
        assert "left out of the index" in capsys.readouterr().err
        page = (folder / "index.html").read_text(encoding="utf-8")
        assert "done/report.html" in page
        assert "broken/report.html" not in page
