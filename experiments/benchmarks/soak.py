"""A soak: studies, fits and other commands, disturbed for hours, end as those that nobody disturbed.

Run: `python -m experiments.benchmarks.soak [--minutes 120] [--seed 0] [--out FILE]` (Linux). In each round a command
is disturbed one to three times: killed (SIGKILL) at a random moment, met by a second one on the same folder, which must
be refused, or given files that cannot grow beyond a random size, as on a full disk. Then it is given again, and what it
wrote must have the bytes of an undisturbed run; no process and, once they are an hour old, no hidden file may be left.
Another study has more tasks than the soak has rounds; one of its runs is killed in each round, and its table is
compared at the end. Between rounds this process itself simulates, writes, fits, saves, loads and runs a study: its
results must stay the same, its open files too, and its memory flat. The first fault ends the soak.
"""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np

from experiments.benchmarks._table import machine, options, print_table
from experiments.benchmarks._timing import memory
from pdae_sim import PDAE, PerturbationData, energy_distance
from pdae_sim._files import remove
from pdae_sim.simulation.worlds import world
from pdae_sim.study import Store, Study, run_study

SMALL = "--set design.cells=60 --set design.test_cells=60"
COMMANDS = {
    "study run": ("study run s.toml --out out --workers 1", "out/results.parquet"),
    "study run, two workers": ("study run s.toml --out out --workers 2", "out/results.parquet"),
    "study report": ("study report done", "done/report.html"),
    "fit": ("fit d.h5ad --out out --latents 2 --steps 40", "out"),
    "fit --force": ("fit d.h5ad --out old --latents 2 --steps 20 --seed 5 --force", "old"),
    "simulate": (f"simulate demo --out out.h5ad {SMALL}", "out.h5ad"),
    "predict": ("predict m --condition A+B --samples 200 --out out.csv", "out.csv"),
    "evaluate": ("evaluate m d.h5ad --metrics mean_difference --csv out.csv", "out.csv"),
}
"""By name: a command, and what it writes."""
LOCKED = ("study run", "study run, two workers", "fit", "fit --force")
"""Commands that claim their folder while they work."""
STUDY = """
name = "{name}"
question = "?"
claim = "none"
prediction = "."
seeds = {seeds}
estimators = ["additive", "linear", {{kind = "pdae", steps = 2}}]
metrics = ["mean_difference"]
worlds = [{{base = "three-singles", set = {{"design.cells" = 40, "design.test_cells" = 40}}}}]
"""
HOUR, PATIENCE = 3600.0, 600.0
MOST_GROWTH = 32.0
"""MiB by which the median memory of the last quarter of rounds may exceed that of the second quarter."""


@dataclass
class Ended:
    """A command that has ended: its status (less than 0: the signal), what it wrote to stderr, and its seconds."""

    status: int
    err: str
    seconds: float


@dataclass
class Tally:
    """What was done to commands and how they ended, and what this process took meanwhile."""

    ends: Counter[str] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    resident: list[float] = field(default_factory=list)
    open_files: list[int] = field(default_factory=list)


class Soak:
    """A folder in which commands are disturbed, and what they write when they are not."""

    def __init__(self, folder: Path, rng: np.random.Generator):
        self.folder, self.rng, self.tally = folder, rng, Tally()
        self.inputs = folder / "inputs"
        self.inputs.mkdir()
        (self.inputs / "s.toml").write_text(STUDY.format(name="s", seeds=4))
        for words in (f"simulate demo --out d.h5ad {SMALL}", "fit d.h5ad --out m --latents 2 --steps 2"):
            expect(ran(words, self.inputs).status == 0, words)
        ran("study run s.toml --out done --workers 1", self.inputs)
        self.whole = {name: self._undisturbed(name) for name in COMMANDS}

    def _undisturbed(self, name: str) -> tuple[str, set[str], float]:
        """Digest of what a command writes, names of all files afterwards, and seconds."""
        place = self.workplace()
        words, output = COMMANDS[name]
        ended = ran(words, place)
        expect(ended.status == 0, f"{name}: {ended}")
        result = digest(place / output), names(place), ended.seconds
        remove(place)
        return result

    def workplace(self) -> Path:
        """A folder with copies of all inputs."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        subprocess.run(["cp", "-r", *map(str, self.inputs.iterdir()), str(place)], check=True)
        subprocess.run(["cp", "-r", str(place / "m"), str(place / "old")], check=True)
        return place

    def round(self) -> None:
        """Disturb one command, give it again, and compare."""
        name = str(self.rng.choice(list(COMMANDS)))
        words, output = COMMANDS[name]
        expected, files, seconds = self.whole[name]
        place = self.workplace()
        before = digest(place / output)
        for _ in range(self.rng.integers(1, 4)):
            self._disturb(name, place, seconds)
            found = digest(place / output)
            expect(found in (before, expected), f"{name}: {output} is neither as before nor whole")
        again = ran(words, place)
        if again.status == 2 and "already exists" in again.err:
            expect(digest(place / output) == expected, f"{name}: half of {output} is in the way")
            again = ran(f"{words} --force", place)
        expect(again.status == 0, f"{name}: {again}")
        self.tally.commands[name] += 1
        expect(digest(place / output) == expected, f"{name}: {output} has other bytes than without disturbance")
        grow_old(place)
        expect(ran(f"{words} --force" if "study" not in words else words, place).status in (0, 2), name)
        left = names(place) - files
        expect(not left, f"{name}: left {sorted(left)}")
        remove(place)

    def _disturb(self, name: str, place: Path, seconds: float) -> None:
        words = COMMANDS[name][0]
        kind = self.rng.choice(["killed", "full disk", "second"], p=[0.5, 0.2, 0.3])
        if kind == "second" and name in LOCKED:
            self._second(name, place)
        elif kind == "full disk":
            size = int(2 ** self.rng.uniform(3, 18))
            ended = ran(words, place, largest=size)
            refused = ended.status == 2 and ended.err.splitlines()[-1].startswith("error: ")
            expect(ended.status == 0 or refused, f"{name}, files of at most {size} bytes: {ended}")
            self.tally.ends[f"full disk: {'refused in a line' if refused else 'done'}"] += 1
        else:
            ended = ran(words, place, kill_at=self.rng.uniform(0, 1) * seconds)
            expect(ended.status in (0, 2, -signal.SIGKILL), f"{name}, killed: {ended}")
            self.tally.ends["killed" if ended.status < 0 else "done before it was killed"] += 1

    def _second(self, name: str, place: Path) -> None:
        """Stop a command while it holds its folder; another is refused; the first goes on."""
        words, output = COMMANDS[name]
        first = Command(words, place)
        while first.status is None and not first.holds_lock():
            time.sleep(0.002)
        if first.status is None:
            first.signal(signal.SIGSTOP)
            second = ran(words, place)
            first.signal(signal.SIGCONT)
            told = "at work" in second.err or "already exists" in second.err
            expect(second.status == 2 and told, f"{name}, a second one: {second}")
            self.tally.ends["second runner: refused"] += 1
        ended = first.ended()
        expect(ended.status in (0, 2), f"{name}, met by a second one: {ended}")
        expect(digest(place / output) == self.whole[name][0], f"{name}: a second one changed {output}")


def at_home(folder: Path) -> str:
    """Every part of the library once in this process; a digest of the results."""
    simulation = world("three-singles", ("design.cells=60", "design.test_cells=60"), seed=3).simulator()
    data = simulation.sample(("ctrl", "A", "B", "A+B"), 60, rng=3).data
    with tempfile.TemporaryDirectory(dir=folder) as place:
        data.write(Path(place) / "d.h5ad")
        data = PerturbationData.read(Path(place) / "d.h5ad")
        PDAE(2, steps=4, observation="gaussian", random_state=0).fit(data, checkpoint=Path(place) / "c").save(
            Path(place) / "m"
        )
        x = PDAE.load(Path(place) / "m").sample("A+B", 500, rng=0)
        study = Study("toy", "?", "none", ".", [{"seed": seed} for seed in range(20)], _squares)
        run_study(study, Store(Path(place) / "s"))
        rows = Store(Path(place) / "s").rows(study.name, study.ids)
    parts = [x.tobytes(), repr(rows).encode(), repr(energy_distance(x, data.x)).encode()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _squares(task: dict) -> list[dict]:
    return [{"seed": task["seed"], "metric": "square", "value": float(task["seed"] ** 2)}]


class Command:
    """A command in a process of its own, forked from this one, and in a group of its own."""

    def __init__(self, words: str, folder: Path, largest: int | None = None):
        self.started, (self._err, write) = time.monotonic(), os.pipe()  # no file: those have no limit of size
        self._folder, arguments = folder, [*words.split(), "--quiet"]
        self.process = multiprocessing.get_context("fork").Process(
            target=_command, args=(arguments, folder, write, largest)
        )
        self.process.start()
        os.close(write)

    @property
    def status(self) -> int | None:
        """How it ended, less than 0 by a signal; None while it works."""
        return self.process.exitcode

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(cast(int, self.process.pid), number)

    def holds_lock(self) -> bool:
        """Whether it holds a lock file of its folder, not that of a file which it reads."""
        nodes = {path.stat().st_ino for path in self._folder.rglob(".*lock")}
        locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        return any(str(self.process.pid) in lock and int(lock[5].rpartition(":")[2]) in nodes for lock in locks)

    def ended(self, kill_at: float | None = None) -> Ended:
        """Wait for its end, or kill it, with all of its workers alive, after so many seconds.

        Raises:
            RuntimeError: If a process that it started is there two minutes later.
        """
        self.process.join(PATIENCE if kill_at is None else kill_at)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        seconds, group = time.monotonic() - self.started, cast(int, self.process.pid)
        expect(_all_gone(group), f"processes {members(group)} are left")
        with open(self._err, encoding="utf-8", errors="replace") as file:
            said = file.read()
        status = cast(int, self.process.exitcode)
        self.process.close()
        return Ended(status, said, seconds)


def _command(arguments: list[str], folder: Path, err: int, largest: int | None) -> None:
    from joblib.externals.loky import reusable_executor as loky

    from pdae_sim.cli._app import run
    from pdae_sim.estimation import _checkpoint

    os.setpgid(0, 0)
    os.chdir(folder)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(err, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    _checkpoint.CHECKPOINT_SECONDS = 0.0  # kills come between checkpoints
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    status = run(arguments)
    sys.stderr.flush()
    if loky._executor is not None:  # the end of a forked process does not let workers go, as that of others does
        loky._executor.shutdown(wait=True, kill_workers=True)
    os._exit(status)


def _all_gone(group: int) -> bool:
    """Whether the processes of a group have ended within two minutes."""
    ends = time.monotonic() + 120
    while members(group) and time.monotonic() < ends:
        time.sleep(0.02)
    return not members(group)


def members(group: int) -> list[int]:
    """Living processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, own = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(own) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def ran(words: str, folder: Path, *, kill_at: float | None = None, largest: int | None = None) -> Ended:
    """Run a command to its end, or kill it after so many seconds."""
    return Command(words, folder, largest).ended(kill_at)


def digest(path: Path) -> str | None:
    """A checksum of a file, or of all files of a folder; None where there is neither."""
    if not path.exists():
        return None
    total = hashlib.sha256()
    for part in [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file()):
        total.update(str(part.relative_to(path)).encode() + b"\0" + part.read_bytes())
    return total.hexdigest()


def names(folder: Path) -> set[str]:
    """Names of all files and folders below a folder, hidden ones too."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def grow_old(folder: Path) -> None:
    """Let all files below a folder be two hours old."""
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (time.time() - 2 * HOUR,) * 2)


def expect(holds: bool, what: str) -> None:
    """Raise a RuntimeError that says what does not hold."""
    if not holds:
        raise RuntimeError(what)


class LongStudy:
    """A study with more tasks than there will be rounds, killed in each, and finished at the end."""

    def __init__(self, folder: Path, tasks: int):
        self.folder = folder
        for name in ("disturbed", "undisturbed"):
            (folder / name).mkdir(parents=True)
            (folder / name / "s.toml").write_text(STUDY.format(name="long", seeds=tasks))

    def round(self, rng: np.random.Generator) -> None:
        """Work on it for some seconds, then kill it."""
        ran("study run s.toml --out out --workers 1", self.folder / "disturbed", kill_at=rng.uniform(0.2, 3))

    def finish(self) -> int:
        """The number of rows, equal to those of a study that is run undisturbed."""
        tables = []
        for name in ("disturbed", "undisturbed"):
            place = self.folder / name
            ended = [ran("study run s.toml --out out --workers 1", place) for _ in range(2)][-1]
            expect(ended.status == 0, f"long study, {name}: {ended}")
            tables.append((place / "out" / "results.parquet").read_bytes())
        expect(tables[0] == tables[1], "the table of the long study has other bytes than that of an undisturbed run")
        import pandas as pd

        return len(pd.read_parquet(place / "out" / "results.parquet"))


def soak(folder: Path, minutes: float, seed: int) -> dict:
    """Disturb commands for so long; what was done and found."""
    os.environ["OMP_NUM_THREADS"] = "1"
    rng = np.random.default_rng(seed)
    done = Soak(folder, rng)
    tally = done.tally
    long = LongStudy(folder / "long", max(4, int(2 * minutes)))
    first, started = at_home(folder), time.monotonic()
    while time.monotonic() - started < 60 * minutes:
        done.round()
        long.round(rng)
        expect(at_home(folder) == first, "the same work in one process gave another result")
        gc.collect()
        tally.resident.append(memory("VmRSS"))
        tally.open_files.append(len(os.listdir("/proc/self/fd")))
    rows = long.finish()
    return summary(tally, minutes=(time.monotonic() - started) / 60, seed=seed, rows=rows)


def summary(tally: Tally, *, minutes: float, seed: int, rows: int) -> dict:
    """Counts, memory and open files of a soak that found no fault but in these.

    Raises:
        RuntimeError: If memory or open files grew.
    """
    rounds = len(tally.resident)
    expect(rounds >= 8, f"{rounds} rounds tell nothing of memory; soak for longer")
    quarters = np.array_split(tally.resident, 4)
    early, late = float(np.median(quarters[1])), float(np.median(quarters[3]))
    growth = float(np.polyfit(np.arange(rounds // 4, rounds), tally.resident[rounds // 4 :], 1)[0])
    expect(late - early <= MOST_GROWTH, f"memory grew from {early:.0f} to {late:.0f} MiB: {tally.resident}")
    expect(tally.open_files[-1] <= tally.open_files[0], f"open files grew: {tally.open_files}")
    return {
        "machine": machine(),
        "minutes": round(minutes, 1),
        "seed": seed,
        "rounds": rounds,
        "commands": dict(sorted(tally.commands.items())),
        "disturbed": dict(sorted(tally.ends.items())),
        "rows of the long study": rows,
        "MiB resident, second and last quarter": [round(early, 1), round(late, 1)],
        "MiB a round after the first quarter": round(growth, 4),
        "open files, first and last": [tally.open_files[0], tally.open_files[-1]],
        "faults": 0,
    }


def main() -> None:
    """Soak, print what was done, and keep it with `--out`."""
    arguments = options(__doc__, minutes=120.0, seed=0, out=None)
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), arguments.minutes, arguments.seed)
    print_table({"": "", "found": ""}, [(name, json.dumps(value)) for name, value in found.items()])
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
