"""`study`: plan, run and show studies, a user's own declarations or those of a registry."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pdae_sim._checks import listed
from pdae_sim.cli._options import command
from pdae_sim.cli._output import ALWAYS_LOGGED, Output
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pdae_sim.study.registry import StudyRegistry
    from pdae_sim.study.spec import Study
    from pdae_sim.study.store import Store, Tally

FINE, SOME_FAILED = 0, 3

study_app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A study of `list`, or a file NAME.toml.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes on this machine.", show_default="cores")]
Smoke = Annotated[bool, typer.Option("--smoke", help="A small size that only shows that it runs; studies in Python.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of a study in Python.")]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Where results go.")]


@study_app.callback()
def _describe() -> None:
    """Simulation studies, interrupted and shared at will. Worlds × estimators × metrics × seeds."""


@study_app.command("list")
@command
def list_studies(
    output: Output,
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="Holds declarations, NAME.toml.")] = None,
) -> None:
    """Names and questions."""
    registry = _registry(context, folder)
    unreadable = registry.unreadable()
    questions = registry.questions()
    payload = {"studies": [{"name": name, "question": question} for name, question in questions.items()]}
    lines = [f"{name}: {question}" for name, question in questions.items()]
    lines += [f"{name} cannot be read: {reason}" for name, reason in unreadable.items()]
    output.result(
        {**payload, "unreadable": unreadable}, lines or f"{registry.folder}: no file NAME.toml there declares a study"
    )


@study_app.command()
@command
def plan(
    output: Output,
    context: typer.Context,
    name: Name,
    workers: Workers = None,
    smoke: Smoke = False,
    overrides: Set = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where results go, with what is finished.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Import classes module:Class of the study, and check them.")
    ] = False,
) -> None:
    """Tasks, estimated time and peak memory, before anything runs."""
    from pdae_sim.study.planning import plan_study
    from pdae_sim.study.store import Store

    study, files = _registry(context).choose(name, overrides=overrides or (), smoke=smoke, trust=trust)
    result = plan_study(study, None if out is None else Store(out), workers=workers)
    code = _own_code(study) if "declaration.toml" in files else []
    told = f"{listed(code)} is code that `run` imports; it was not looked at, --trust imports it and checks it"
    payload = {"study": study.name, **result.to_json(), "code": code}
    output.result(payload, [result.in_words(), *([told] if code and not trust else [])])


@study_app.command()
@command
def run(
    output: Output,
    context: typer.Context,
    name: Name,
    out: Out,
    workers: Workers = None,
    smoke: Smoke = False,
    overrides: Set = None,
    cluster: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A TOML file that names a Dask or Slurm cluster.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="i/n", help="Run the i-th of n parts; `merge` joins them.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run failed tasks again.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each worker.")] = 1,
) -> int:
    """Run what is not finished, then write the report."""
    from pdae_sim.study.cluster_file import read_cluster
    from pdae_sim.study.running import run_study
    from pdae_sim.study.store import Store

    _log_progress(output)
    registry = _registry(context)
    part = None if shard is None else _shard(shard)
    study, files = registry.choose(name, overrides=overrides or (), smoke=smoke)
    tally = run_study(
        study,
        Store(out),
        workers=workers,
        backend=None if cluster is None else read_cluster(cluster, out),
        shard=part,
        retry=retry,
        threads=threads,
        files=files,
    )
    return _finished(output, Store(out), registry, tally)


@study_app.command()
@command
def merge(
    output: Output,
    context: typer.Context,
    folders: Annotated[list[Path], typer.Argument(metavar="DIR…", help="Folders of shards.")],
    out: Out,
) -> int:
    """Bring the finished tasks of several folders together, then write the report."""
    from pdae_sim.study.merging import merge_stores
    from pdae_sim.study.store import Store

    tally = merge_stores([Store(folder) for folder in folders], Store(out))
    return _finished(output, Store(out), _registry(context), tally)


@study_app.command()
@command
def status(output: Output, folder: Folder) -> int:
    """How far a study is, also while it runs."""
    from pdae_sim.study.store import Store

    store = Store(folder)
    study = store.study()
    tally = store.tally(study.ids)
    stopped = tally.finished < tally.total and not tally.running
    hint = "; no runner is at work, run the study again to go on" if stopped else ""
    output.result({"study": study.name, **tally.to_json()}, tally.in_words() + hint)
    return SOME_FAILED if tally.failed else FINE


@study_app.command()
@command
def report(output: Output, context: typer.Context, folder: Folder) -> None:
    """Write the report again from the results there are, also while it runs."""
    from pdae_sim.study.store import Store

    place = str(_report(Store(folder), _registry(context)))
    output.result({"report": place}, place)


@study_app.command()
@command
def index(
    output: Output,
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Holds the folders of runs.")],
) -> None:
    """Write index.html over the studies in a folder."""
    from pdae_sim._files import write_text
    from pdae_sim.report import study_index

    place = folder / "index.html"
    write_text(place, study_index(folder, _registry(context)), force=True)
    output.result({"index": str(place)}, str(place))


def _registry(context: typer.Context, folder: Path | None = None) -> StudyRegistry:
    """The registry that the command line was started with; of declarations in a folder where one is given."""
    from pdae_sim.study.registry import StudyRegistry

    if folder is not None:
        return StudyRegistry(folder=folder)
    return context.obj or StudyRegistry()


def _own_code(study: Study) -> list[str]:
    """Classes ``module:Class`` that a declared study imports when it runs."""
    kinds = {estimator["kind"] for task in study.tasks for estimator in task["estimators"]}
    return sorted(kind for kind in kinds if ":" in kind)


def _log_progress(output: Output) -> None:
    """Let a study tell of its progress, and its fits of warnings alone; SIGTERM ends it as Ctrl-C does."""
    for name in ("", *ALWAYS_LOGGED):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("pdae_sim.study").setLevel(logging.WARNING if output.quiet else logging.INFO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _shard(text: str) -> tuple[int, int]:
    i, slash, n = text.partition("/")
    if not (slash and i.isdigit() and n.isdigit() and 1 <= int(i) <= int(n)):
        raise typer.BadParameter(
            f"expected i/n with 1 ≤ i ≤ n, for example 1/4; received {text!r}", param_hint="--shard"
        )
    return int(i), int(n)


def _finished(output: Output, store: Store, registry: StudyRegistry, tally: Tally) -> int:
    place = str(_report(store, registry))
    payload = {"study": store.read_about()["name"], **tally.to_json(), "report": place}
    output.result(payload, [place, tally.in_words()])
    return SOME_FAILED if tally.failed else FINE


def _report(store: Store, registry: StudyRegistry) -> Path:
    """Write the report of a folder; tables are collected anew where no runner is about to do so."""
    from pdae_sim._files import write_text
    from pdae_sim.report import render_page, study_page

    study, place = store.study(), store.directory / "report.html"
    rows = store.collect_if_free(study.name, study.ids)
    if not rows:
        raise InputError(f"{store.directory}: no task is finished yet; run the study first")
    page = study_page(study, rows, module=registry.presentation(store), registry=registry)
    write_text(place, render_page(page), force=True)
    return place
