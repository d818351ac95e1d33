"""The stage's command line: `python -m experiments list | plan | run | merge | status | report | index`."""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import signal
import sys
import tomllib
from functools import partial
from pathlib import Path
from types import ModuleType

from experiments import declared
from experiments.index import index_page
from experiments.page import study_page
from experiments.studies import STUDIES
from pdae_sim._checks import near_misses
from pdae_sim._files import write_text
from pdae_sim.errors import InputError
from pdae_sim.report.page import render
from pdae_sim.study._cluster_file import read_cluster
from pdae_sim.study.backends import cores
from pdae_sim.study.declaration import Declaration
from pdae_sim.study.merging import merge_stores
from pdae_sim.study.planning import plan_study as planned
from pdae_sim.study.running import run_study as performed
from pdae_sim.study.spec import Study
from pdae_sim.study.store import Store, Tally
from pdae_sim.study.task import perform_world

DECLARATION, SETTINGS = "declaration.toml", "settings.json"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        sys.stderr.write(f"error: {message}; see `python -m experiments --help`\n")
        raise SystemExit(2)


def main() -> int:
    """Run a command; 0 fine, 2 bad input, 3 some tasks failed, 130 interrupted (what was finished is kept)."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("pdae_sim.study").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        return arguments.command(arguments)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"error: {error.filename}: {error.strerror}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; finished tasks are kept, run again to go on\n")
        return 130


def list_studies(arguments: argparse.Namespace) -> int:
    """Names and questions."""
    for name, module in STUDIES.items():
        print(f"{name}: {module.study().question}")
    for name in declared.files():
        print(f"{name}: {declared.question(name)}")
    return 0


def plan_study(arguments: argparse.Namespace) -> int:
    """Tasks, estimated time and peak memory, before anything runs."""
    study, _ = _chosen(arguments)
    store = Store(arguments.out) if arguments.out else None
    print(planned(study, store, workers=arguments.workers).in_words())
    return 0


def run_study(arguments: argparse.Namespace) -> int:
    """Run what is not finished, then write the report."""
    study, files = _chosen(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    backend = read_cluster(arguments.cluster, arguments.out) if arguments.cluster else None
    done = performed(
        study,
        Store(arguments.out),
        workers=arguments.workers,
        backend=backend,
        shard=arguments.shard,
        retry=arguments.retry,
        threads=arguments.threads,
        files=files,
    )
    _write_report(arguments.out)
    return _told(done)


def merge_shards(arguments: argparse.Namespace) -> int:
    """Bring the finished tasks of several folders together, then write the report."""
    done = merge_stores([Store(directory) for directory in arguments.dirs], Store(arguments.out))
    _write_report(arguments.out)
    return _told(done)


def status(arguments: argparse.Namespace) -> int:
    """How far a study is."""
    study, _, store = _opened(arguments.dir)
    return _told(store.tally(study.ids))


def report(arguments: argparse.Namespace) -> int:
    """Write the report again from the results there are."""
    _write_report(arguments.dir)
    return 0


def index(arguments: argparse.Namespace) -> int:
    """Write index.html over the studies in a folder."""
    write_text(arguments.dir / "index.html", index_page(arguments.dir), force=True)
    print(arguments.dir / "index.html")
    return 0


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _chosen(arguments: argparse.Namespace) -> tuple[Study, dict[str, str]]:
    """The study by its name or its file, and what a folder must keep to know it again."""
    path = declared.file_of(arguments.name)
    if path is not None:
        if arguments.set or arguments.smoke:
            raise InputError(f"{arguments.name}: --set and --smoke are for studies with a page; change {path}")
        study = Declaration.read(path).study()
        return study, {DECLARATION: path.read_text(encoding="utf-8")}
    module = _module(arguments.name)
    settings = {**(module.SMOKE if arguments.smoke else {}), **dict(_setting(text) for text in arguments.set)}
    return _made(module, settings), {SETTINGS: json.dumps(settings)}


def _made(module: ModuleType, settings: dict) -> Study:
    known = inspect.signature(module.study).parameters
    for key in settings:
        if key not in known:
            raise InputError(f"--set {key}: unknown setting; {near_misses(key, known)}")
    try:
        return module.study(**settings)
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if isinstance(error, InputError) else f"{settings} are no settings of it"
        raise InputError(f"{module.__name__.rpartition('.')[2]}: {reason}") from None


def _setting(text: str) -> tuple[str, object]:
    key, _, value = text.partition("=")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        raise InputError(f"--set {text!r}: expected key=value, for example seeds=20") from None


def _write_report(directory: Path) -> None:
    study, module, store = _opened(directory)
    rows = store.rows(study.name, study.ids)
    if not rows:
        raise InputError(f"{directory}: no task is finished yet; run the study first")
    write_text(directory / "report.html", render(study_page(study, module, rows)), force=True)
    print(directory / "report.html")


def _opened(directory: Path) -> tuple[Study, ModuleType, Store]:
    """The study that a folder holds, the module that shows it, and its store."""
    about, kept, store = directory / "study.json", directory / SETTINGS, Store(directory)
    if not about.is_file():
        hint = f"make one with `python -m experiments run NAME --out {directory}`"
        raise InputError(f"{directory}: holds no study; {hint}")
    try:
        if (directory / DECLARATION).is_file():
            return store.study(perform_world), declared, store
        module = _module(store.read_about()["name"])
        settings = json.loads(kept.read_text()) if kept.is_file() else {}
        return module.study(**settings), module, store
    except InputError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{directory}: study.json or {SETTINGS} is damaged ({error}); run the study again") from None


def _module(name: str) -> ModuleType:
    if name not in STUDIES:
        raise InputError(
            f"unknown study {name!r}; {near_misses(name, [*STUDIES, *declared.files()])}, or a file NAME.toml"
        )
    return STUDIES[name]


def _told(done: Tally) -> int:
    print(done.in_words())
    return 3 if done.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m experiments", description="Simulation studies.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = partial(_command, commands)
    add("list", list_studies)
    planning = add("plan", plan_study)
    running = add("run", run_study)
    for each in (planning, running):
        each.add_argument("name", metavar="NAME", help="a study of `list`, or a file NAME.toml")
        each.add_argument("--workers", type=_whole, default=cores(), help="processes on this machine (default: cores)")
        each.add_argument("--smoke", action="store_true", help="a small size that only shows that it runs")
        each.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the study")
        each.add_argument("--out", type=Path, required=each is running, metavar="DIR")
    running.add_argument("--cluster", type=Path, metavar="FILE", help="a TOML file that names a Dask or Slurm cluster")
    running.add_argument("--shard", type=_shard, metavar="i/n", help="run the i-th of n parts; `merge` joins them")
    running.add_argument("--retry", action="store_true", help="run failed tasks again")
    running.add_argument("--threads", type=_whole, default=1, help="threads of each worker (default: 1)")
    merging = add("merge", merge_shards)
    merging.add_argument("dirs", type=Path, nargs="+", metavar="DIR")
    merging.add_argument("--out", type=Path, required=True, metavar="DIR")
    for name, command in (("status", status), ("report", report), ("index", index)):
        add(name, command).add_argument("dir", type=Path, metavar="DIR")
    return parser


def _command(commands, name: str, command) -> argparse.ArgumentParser:
    sub = commands.add_parser(name, help=(command.__doc__ or "").split(".")[0].lower())
    sub.set_defaults(command=command)
    return sub


def _whole(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number ≥ 1; received {text!r}")
    return int(text)


def _shard(text: str) -> tuple[int, int]:
    i, slash, n = text.partition("/")
    if not (slash and i.isdigit() and n.isdigit() and 1 <= int(i) <= int(n)):
        raise argparse.ArgumentTypeError(f"expected i/n with 1 ≤ i ≤ n, for example 1/4; received {text!r}")
    return int(i), int(n)


if __name__ == "__main__":
    sys.exit(main())
