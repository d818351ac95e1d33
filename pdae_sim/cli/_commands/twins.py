"""`twins`: two models of one data set, and where they part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

import pdae_sim
from pdae_sim import _files as files
from pdae_sim import io, report, study
from pdae_sim._checks import between, naming
from pdae_sim.cli._figures import write_figure
from pdae_sim.cli._matching import read_matching
from pdae_sim.cli._options import DatasetFile, DatasetOptions, Force, Seed, command
from pdae_sim.cli._output import Output
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pdae_sim import PDAE, PerturbationData, Simulation, Simulator
    from pdae_sim.study import Counterexample, ModelComparison, PairedSamples

_SAMPLES, _FIGURE, _MODEL = ("first.h5ad", "second.h5ad"), "twins.png", "second"


@command
def twins(
    output: Output,
    file: DatasetFile,
    options: DatasetOptions,
    test: Annotated[str, typer.Option(help="The unseen condition at which the models are to part.")],
    model: Annotated[Path | None, typer.Option(help="A fitted model; else the truth of a simulated file.")] = None,
    effect: Annotated[float, typer.Option(help="By how many standard deviations of the base latent.")] = 1.0,
    cells: Annotated[int, typer.Option(min=50, help="Cells a model and condition to compare.")] = 2000,
    margin: Annotated[
        float, typer.Option(help="Energy distance of a match, as a share of the mean distance between cells.")
    ] = 0.03,
    out: Annotated[Path | None, typer.Option("--out", help="A folder for both samples and the figure.")] = None,
    seed: Seed = 0,
    force: Force = False,
) -> int:
    """Find a second model with the same fit that predicts otherwise. Status 1 if comparing cells does not show it."""
    with naming("--margin"):
        between("margin", margin, 0.0, math.inf)
    first, train = _model_and_train(file, options, model)
    if out is not None:
        files.check_folder(out, (*_SAMPLES, _FIGURE, *([_MODEL] if model else [])), force=force)
    with naming(file):
        pair = study.find_counterexample(first, test, train=train, effect=effect, rng=seed)
    output.say(f"comparing {cells:,} cells of each model at {len(pair.train) + 1} conditions")
    samples = pair.sample(n=cells, rng=seed)
    comparison = study.compare_models(samples, margin=margin, rng=seed)
    written = {} if out is None else _write(out, pair, samples, comparison, seed, force=force)
    output.result(_payload(pair, comparison, written), _lines(pair, comparison, written))
    return 0 if comparison.holds else 1


def _model_and_train(
    file: Path, options: DatasetOptions, folder: Path | None
) -> tuple[Simulator | PDAE, tuple[str, ...] | None]:
    """The first model; a fitted one knows its own training conditions."""
    if folder is not None:
        fitted = pdae_sim.PDAE.load(folder)
        read_matching(fitted, folder, file, options)
        return fitted, None
    if not io.has_truth(file):
        raise InputError(f"{file}: holds no truth to start from; pass a fitted model with --model")
    simulation = pdae_sim.Simulation.read(file, **options)
    return pdae_sim.Simulator.from_state(simulation.simulator), simulation.data.train.conditions


def _write(
    out: Path, pair: Counterexample, samples: PairedSamples, comparison: ModelComparison, seed: int, *, force: bool
) -> dict[str, Path]:
    """Both samples, with their truth if they are simulated; the figure; the second model if it is a fitted one."""
    paths = {Path(name).stem: out / name for name in (*_SAMPLES, _FIGURE)}
    n = len(samples.first[pair.test])
    out.mkdir(parents=True, exist_ok=True)
    for name, model, cells in (("first", pair.first, samples.first), ("second", pair.second, samples.second)):
        sample = _simulated(model, pair, n, seed) if isinstance(model, pdae_sim.Simulator) else _predicted(model, cells)
        sample.write(paths[name], force=force)
    p_values = comparison.tests.p_values | {pair.test: comparison.test.p_value}
    both = {condition: (samples.first[condition], samples.second[condition]) for condition in samples.first}
    write_figure(paths["twins"], lambda: report.counterexample_figure(both, p_values), force=force)
    if not isinstance(pair.second, pdae_sim.Simulator):
        paths["model"] = out / _MODEL
        pair.second.save(paths["model"], force=force)
    return paths


def _simulated(model: Simulator, pair: Counterexample, n: int, seed: int) -> Simulation:
    """The cells that were compared, drawn again together with their truth."""
    return model.sample([*pair.train, pair.test], n, rng=seed, held_out=[False] * len(pair.train) + [True])


def _predicted(model: PDAE, cells: Mapping[str, np.ndarray]) -> PerturbationData:
    space, held_out = model.space_, [False] * (len(cells) - 1) + [True]
    labels = [space.vector(condition) for condition in cells]
    environment = np.repeat(np.arange(len(cells)), [len(x) for x in cells.values()])
    x = np.vstack(list(cells.values()))
    return pdae_sim.PerturbationData(
        x, labels, environment, space.names, held_out, model.features_, space.control, space.separators
    )


def _payload(pair: Counterexample, comparison: ModelComparison, written: dict[str, Path]) -> dict:
    witness = pair.certificate.evidence(pair.train, pair.first.space.names)["witness"]
    about = {"condition": pair.test, "witness": witness, "effect": pair.effect, "move": pair.move}
    return about | comparison.to_json() | {"files": written}


def _lines(pair: Counterexample, comparison: ModelComparison, written: dict[str, Path]) -> list[str]:
    why = pair.certificate.in_words(pair.test, pair.train, pair.first.space.names)
    size = f"the second model has W + u vᵀ, u of length {pair.effect:g} in standard deviations of the base latent"
    ends = "a good fit to these conditions says nothing about which of the two is right there"
    verdict = [comparison.in_words(), *([ends] if comparison.holds else [])]
    return [f"{pair.test} is not identified: {why}", size, *verdict, *map(str, written.values())]
