"""`python -m experiments list | run NAME --out DIR [--workers N] | status DIR | report DIR`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from experiments import extrapolation
from experiments.page import study_page
from pdae_sim import io
from pdae_sim._checks import InputError, near_misses
from pdae_sim.report.page import render
from pdae_sim.study.run import Tally, run, tally
from pdae_sim.study.store import Store

STUDIES = {"extrapolation": extrapolation}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        sys.stderr.write(f"error: {message}; see `python -m experiments --help`\n")
        raise SystemExit(2)


def main() -> int:
    """Run a command; 0 fine, 2 bad input, 3 some tasks failed, 130 interrupted (what was finished is kept)."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
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
    return 0


def run_study(arguments: argparse.Namespace) -> int:
    """Run what is not finished, then write the report."""
    module, store = _module(arguments.name), Store(arguments.out)
    settings = module.SMOKE if arguments.smoke else {}
    study = module.study(**settings)
    arguments.out.mkdir(parents=True, exist_ok=True)
    kept = _settings(arguments.out)
    if kept is not None and kept != settings:
        raise InputError(f"{arguments.out}: holds a run with settings {kept}; choose another --out for {settings}")
    io.write_text(arguments.out / "settings.json", json.dumps(settings), force=True)
    done = run(study, store, workers=arguments.workers, retry=arguments.retry)
    _write_report(arguments.out)
    return _told(done)


def status(arguments: argparse.Namespace) -> int:
    """How far a study is."""
    study, store = _opened(arguments.dir)
    return _told(tally(study, store))


def report(arguments: argparse.Namespace) -> int:
    """Write the report again from the results there are."""
    _write_report(arguments.dir)
    return 0


def _write_report(directory: Path) -> None:
    study, store = _opened(directory)
    rows = store.collect(study)
    if not rows:
        raise InputError(f"{directory}: no task is finished yet; run the study first")
    page = study_page(study, STUDIES[study.name], rows)
    io.write_text(directory / "report.html", render(page), force=True)
    print(directory / "report.html")


def _opened(directory: Path) -> tuple:
    about = directory / "study.json"
    if not about.is_file():
        hint = f"make one with `python -m experiments run NAME --out {directory}`"
        raise InputError(f"{directory}: holds no study; {hint}")
    try:
        name, settings = json.loads(about.read_text())["name"], _settings(directory)
        return _module(name).study(**(settings or {})), Store(directory)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{directory}: study.json or settings.json is damaged ({error}); run the study again"
        ) from None


def _settings(directory: Path) -> dict | None:
    path = directory / "settings.json"
    return json.loads(path.read_text()) if path.is_file() else None


def _module(name: str):
    if name not in STUDIES:
        raise InputError(f"unknown study {name!r}; {near_misses(name, STUDIES)}")
    return STUDIES[name]


def _told(done: Tally) -> int:
    print(f"{done.finished} of {done.total} tasks finished, {done.failed} with failures")
    return 3 if done.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m experiments", description="Simulation studies.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("list", help="names and questions").set_defaults(command=list_studies)
    running = commands.add_parser("run", help="run what is not finished")
    running.add_argument("name")
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--workers", type=int, default=1)
    running.add_argument("--smoke", action="store_true", help="a small size that only shows that it runs")
    running.add_argument("--retry", action="store_true", help="run failed tasks again")
    running.set_defaults(command=run_study)
    for name, command in (("status", status), ("report", report)):
        sub = commands.add_parser(name, help=(command.__doc__ or "").split(".")[0].lower())
        sub.add_argument("dir", type=Path)
        sub.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
