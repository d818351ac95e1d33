"""`twins`: two models of one data set, and where they part."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from pdae_sim import _files as files
from pdae_sim._checks import between, naming
from pdae_sim.cli._certificates import evidence
from pdae_sim.cli._matching import check_match
from pdae_sim.cli._options import File, Force, Json, Quiet, Seed
from pdae_sim.cli._output import Output
from pdae_sim.cli._pictures import draw
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.errors import InputError
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.io import _anndata as io
from pdae_sim.simulation.simulator import Simulator

if TYPE_CHECKING:
    from pdae_sim.study.counterexample import Draws, Model, TwinComparison, Twins

SAMPLES, FIGURE, MODEL = ("first.h5ad", "second.h5ad"), "twins.png", "second"


def twins(
    file: File,
    test: Annotated[str, typer.Option(help="The unseen condition at which the models are to part.")],
    model: Annotated[Path | None, typer.Option(help="A fitted model; else the truth of a simulated file.")] = None,
    effect: Annotated[float, typer.Option(help="By how many standard deviations of the base latent.")] = 1.0,
    cells: Annotated[int, typer.Option(min=50, help="Cells a model and condition to compare.")] = 2000,
    margin: Annotated[
        float, typer.Option(help="Energy distance of a match, as a share of the mean distance between cells.")
    ] = 0.03,
    out: Annotated[Path | None, typer.Option("--out", help="A folder for both samples and the figure.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    force: Force = False,
) -> int:
    """A second model that fits every training condition as well and differs at the test condition."""
    from pdae_sim.study import counterexample as study

    output = Output.started(as_json, quiet)
    with naming("--margin"):
        between("margin", margin, 0.0, math.inf)
    first, train = _model_and_train(file, model)
    if out is not None:
        _check_place(out, fitted=model is not None, force=force)
    with naming(file):
        pair = study.twins(first, test, train=train, effect=effect, rng=seed)
    output.say(f"comparing {cells:,} cells of each model at {len(pair.train) + 1} conditions")
    drawn = study.draw(pair, n=cells, rng=seed)
    found = study.compare(drawn, margin=margin, rng=seed)
    written = {} if out is None else _write(out, pair, drawn, found, seed, force=force)
    output.result(_payload(pair, found, written), _lines(pair, found, written))
    return 0 if found.holds else 1


def _model_and_train(file: Path, place: Path | None) -> tuple[Model, tuple[str, ...] | None]:
    """The first model; a fitted one knows its own training conditions."""
    data = PerturbationData.read(file)
    if place is not None:
        fitted = PDAE.load(place)
        check_match(fitted, data, place, file)
        return fitted, None
    if not io.has_truth(file):
        raise InputError(f"{file}: holds no truth to start from; pass a fitted model with --model")
    return Simulator.from_state(Simulation.read(file).simulator), data.train.conditions


def _check_place(out: Path, *, fitted: bool, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; --out needs a folder")
    for name in (*SAMPLES, FIGURE, *([MODEL] if fitted else [])):
        files.refuse_existing(out / name, force=force)


def _write(out: Path, pair: Twins, drawn: Draws, found: TwinComparison, seed: int, *, force: bool) -> dict[str, str]:
    """Both samples, with their truth where there is one; the figure; the second model where it is a fitted one."""
    from pdae_sim.report.counterexample import twins as picture

    places = {Path(name).stem: out / name for name in (*SAMPLES, FIGURE)}
    n = len(drawn.first[pair.test])
    out.mkdir(parents=True, exist_ok=True)
    for name, model, cells in (("first", pair.first, drawn.first), ("second", pair.second, drawn.second)):
        sample = _simulated(model, pair, n, seed) if isinstance(model, Simulator) else _predicted(model, cells)
        sample.write(places[name], force=force)
    p_values = found.tests.p_values | {pair.test: found.test.p_value}
    cells = {c: (drawn.first[c], drawn.second[c]) for c in drawn.first}
    draw(places["twins"], lambda: picture(cells, p_values), force=force)
    if isinstance(pair.second, PDAE):
        places["model"] = out / MODEL
        pair.second.save(places["model"], force=force)
    return {name: str(place) for name, place in places.items()}


def _simulated(model: Simulator, pair: Twins, n: int, seed: int) -> Simulation:
    """The cells that were compared, drawn again together with their truth."""
    return model.sample([*pair.train, pair.test], n, rng=seed, held_out=[False] * len(pair.train) + [True])


def _predicted(model: PDAE, cells: dict[str, np.ndarray]) -> PerturbationData:
    labels = [model.space_.vector(condition) for condition in cells]
    held_out = [False] * (len(cells) - 1) + [True]
    environment = np.repeat(np.arange(len(cells)), [len(x) for x in cells.values()])
    x, about = np.vstack(list(cells.values())), {"features": model.features_, "control": model.space_.control}
    return PerturbationData(x, np.array(labels), environment, model.space_.names, held_out=np.array(held_out), **about)


def _payload(pair: Twins, found: TwinComparison, written: dict[str, str]) -> dict:
    witness = evidence(pair.certificate, pair.train, _names(pair.first))["witness"]
    about = {"condition": pair.test, "witness": witness, "effect": pair.effect, "move": pair.move}
    return about | found.to_json() | {"files": written}


def _lines(pair: Twins, found: TwinComparison, written: dict[str, str]) -> list[str]:
    why = pair.certificate.in_words(pair.test, pair.train, _names(pair.first))
    size = f"the second model has W + u vᵀ, u of length {pair.effect:g} in standard deviations of the base latent"
    ends = "a good fit to these conditions says nothing about which of the two is right there"
    verdict = [found.in_words(), *([ends] if found.holds else [])]
    return [f"{pair.test} is not identified: {why}", size, *verdict, *written.values()]


def _names(model: Model) -> tuple[str, ...]:
    return model.names if isinstance(model, Simulator) else model.space_.names
