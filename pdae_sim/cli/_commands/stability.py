"""`stability`: what fits to halves of the cells agree in, and what that says of a fit to all of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

import pdae_sim
from pdae_sim import _files as files
from pdae_sim import estimation, study
from pdae_sim._checks import naming
from pdae_sim.cli._matching import observation_in_words, read_matching, training_cells
from pdae_sim.cli._options import DatasetFile, DatasetOptions, Force, Seed, command
from pdae_sim.cli._output import Output
from pdae_sim.cli._tables import Table, number, with_interval
from pdae_sim.errors import InputError
from pdae_sim.intervals import Interval

if TYPE_CHECKING:
    from pdae_sim import PDAE, PerturbationData
    from pdae_sim.estimation import HalfFits, Progress
    from pdae_sim.study import Stability

_AS_WELL = 3
"""Times as much disagreement as without shuffling at which perturbations make no difference worth the name."""
_COMES_BACK = 0.9
"""Share of the variance of a direction from which on it is said to come back."""


@command
def stability(
    output: Output,
    file: DatasetFile,
    options: DatasetOptions,
    model: Annotated[
        Path | None,
        typer.Option(
            help="A model fitted to FILE, whose settings are taken, and which keeps the fits for span, predict."
        ),
    ] = None,
    latents: Annotated[int | None, typer.Option(min=1, help="Latent dimension; estimated where absent.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Gradient steps of each phase.")] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(help="A condition whose prediction to compare; repeat for more. The held-out ones."),
    ] = None,
    splits: Annotated[int, typer.Option(min=1, max=500, help="How often cells are split; each takes two fits.")] = 5,
    shuffled: Annotated[bool, typer.Option(help="Also two fits to cells whose conditions are shuffled.")] = True,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Refit to halves of the cells: what is the same each time.

    Latents are aligned by one rotation each. With --model the fits are kept in its folder, split by split, and from
    then on intervals of span and predict count them; the same command goes on after the last, --force begins anew.
    """
    if model is not None and (latents is not None or steps is not None):
        raise InputError("--latents and --steps are those of --model; leave them out")
    fitted, data = _settings(file, options, model, latents, steps, seed)
    conditions, unanswered = _conditions(file, data, test)
    kept = None if model is None or force else _kept(output, model, splits, seed)
    done = len(kept.pairs) if kept else 0
    with naming(file), files.claimed(model) if model else nullcontext(), output.bar("fitting") as tell:
        halves = estimation.fit_halves(
            fitted,
            data,
            n_splits=splits,
            rng=seed,
            begun=kept,
            on_step=_telling(tell, done, splits) if tell else None,
            on_split=(lambda fits: fits.save(model)) if model else None,
        )
    null = None
    if shuffled:
        output.say("fitting to cells with their conditions shuffled")
        with naming(file):
            null = estimation.fit_halves(halves.fits[0], study.shuffled_conditions(data, seed), n_splits=1, rng=seed)
    found = study.stability(halves, data, conditions=conditions, shuffled=null, rng=seed)
    told = {"fits": len(halves.fits), "latents": len(found.agreement), "observation": halves.fits[0].observation_.name}
    output.result(found.to_json() | told | {"not_identified": unanswered}, _text(found, halves, unanswered))


def _settings(
    file: Path, options: DatasetOptions, folder: Path | None, latents: int | None, steps: int | None, seed: int
) -> tuple[PDAE, PerturbationData]:
    """The model whose halves are to be fitted, and its data."""
    if folder is None:
        data = pdae_sim.PerturbationData.read(file, **options)
        return pdae_sim.PDAE(latents, steps=steps, select=False, random_state=seed), data
    fitted = pdae_sim.PDAE.load(folder)
    data = read_matching(fitted, folder, file, options)
    return fitted, training_cells(fitted, data, folder, file)


def _conditions(file: Path, data: PerturbationData, test: list[str] | None) -> tuple[list[str], list[str]]:
    """Conditions whose predictions are compared, and those that nothing determines."""
    held_out = [c for c, apart in zip(data.conditions, data.held_out, strict=True) if apart]
    conditions = test or held_out
    if not conditions:
        return [], []
    with naming(f"{file}: --test"):
        labels = np.array([data.space.exact(condition) for condition in conditions])
    certificates = pdae_sim.check_span(data.train.labels, labels)
    identified = [each.identified for each in certificates]
    return (
        [c for c, inside in zip(conditions, identified, strict=True) if inside],
        [c for c, inside in zip(conditions, identified, strict=True) if not inside],
    )


def _kept(output: Output, folder: Path, splits: int, seed: int) -> HalfFits | None:
    """The fits that a model keeps, enough or to go on from; None if it keeps none."""
    kept = estimation.HalfFits.load(folder)
    if kept is None:
        return None
    if kept.seed != seed and len(kept.pairs) < splits:
        by = "an unknown seed" if kept.seed is None else f"--seed {kept.seed}"
        raise InputError(
            f"{folder}: its fits to {_counted(kept)} are by {by}; give that to go on, or --force to fit all anew"
        )
    output.say(f"{folder}: keeps fits to {_counted(kept)}; --force fits them anew")
    return kept


def _counted(halves: HalfFits) -> str:
    return f"{len(halves.pairs)} split{'s' * (len(halves.pairs) > 1)}"


def _telling(tell: Callable[..., None], begun: int, splits: int) -> Callable[[Progress], None]:
    """Which split is under way, from its first step on."""

    def show(progress: Progress) -> None:
        nonlocal begun
        if progress.phase == 0 and progress.step == 1:
            begun += 1
            tell((begun - 1) / splits, f"split {begun} of {splits}")

    return show


def _text(found: Stability, halves: HalfFits, unanswered: list[str]) -> list[str | Table]:
    null = [None] * len(found.agreement) if found.shuffled is None else found.shuffled.tolist()
    directions = [
        (str(number_of), float(a), s, c)
        for number_of, (a, s, c) in enumerate(zip(found.agreement, null, found.along, strict=True), 1)
    ]
    effects = [
        (c, with_interval(float(size), Interval(*map(float, ends))), float(cosine), float(error))
        for c, size, ends, cosine, error in zip(
            found.conditions, found.sizes, found.size_intervals, found.cosines, found.standard_errors, strict=True
        )
    ]
    parts: list[str | Table] = [
        _in_words(found, halves),
        Table(
            "Directions of the latents: share of the variance that is the same in every fit",
            ("direction", "the same", "conditions shuffled", "effect along it"),
            directions,
        ),
        Table(
            "Effects ‖Ŵ Δ‖: a fit to all cells varies by its cells and seed as the interval says",
            ("condition", "size", "cosine between fits", "standard error"),
            effects,
        ),
    ]
    if found.predictions:
        rows = [(p.condition, p.error, p.misfit, p.limit, p.worth, p.total_variation) for p in found.predictions]
        heads = ("condition", "error of cells and seed", "misfit", "at most", "worth at least", "TV of the shift")
        parts.append(Table("Predictions: expected energy distance to the law, were the model true", heads, rows))
    parts += [f"{condition}: not identified, so its predictions are not compared." for condition in unanswered]
    return parts


def _in_words(found: Stability, halves: HalfFits) -> str:
    """How many directions come back, and whether shuffled conditions do as well."""
    back, d = int((found.agreement >= _COMES_BACK).sum()), len(found.agreement)
    all_of_them = f"All {d} directions come back" if d > 1 else "The direction comes back"
    told = all_of_them if back == d else f"{back} of {d} directions come back"
    told = (
        f"{len(halves.fits)} fits to halves of the cells, {observation_in_words(halves.fits[0])}: {told} (agreement of"
        f" {_COMES_BACK:.0%} or more; least {number(float(found.agreement[0]))})."
    )
    if found.shuffled is not None and 1 - found.shuffled[0] <= _AS_WELL * (1 - found.agreement[0]):
        told += " Fits to shuffled conditions agree as well: it is the law of the cells that fixes these directions."
    return told
