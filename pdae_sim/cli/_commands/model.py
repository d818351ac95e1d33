"""`fit` and `predict`: a model made and used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

import pdae_sim
from pdae_sim import _files as files
from pdae_sim import estimation, io, study
from pdae_sim._checks import choice, naming
from pdae_sim.cli._contexts import shared_effects
from pdae_sim.cli._matching import KEPT_FRESH, observation_in_words
from pdae_sim.cli._options import DatasetFile, DatasetOptions, Force, HoldOut, ModelFolder, OutFile, Seed, command
from pdae_sim.cli._output import Output
from pdae_sim.cli._saving import save_or_keep
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pdae_sim import PDAE, PerturbationData

_PLANS = ("auto", "staged", "quick", "marginal", "marginal_screen", "screen", "joint", "published", "published_small")
"""Plans that train a decoder; ``auto`` is staged for cells without noise and marginal for those with it, ``quick`` is
the first in seconds."""

_OBSERVATIONS = (
    "auto",
    "noiseless",
    "gaussian",
    "gaussian_by_feature",
    "gaussian_growing",
    "log_normal",
    "dropout",
    "poisson",
    "negative_binomial",
)

_PRECISIONS = ("float32", "bfloat16")

_POOLED = "not to be relied on: training cells mixed were nearer to combinations that were left out than any prediction"

_LARGEST_LOG = 50.0
"""Larger than a logarithm or an arcsinh of anything that is measured."""

_EXPLODED = 1.0
"""Rise of a loss on cells kept out, in nats, that is no overfitting any more."""


@command
def fit(
    output: Output,
    file: DatasetFile,
    options: DatasetOptions,
    out: OutFile,
    latents: Annotated[int | None, typer.Option(min=1, help="Latent dimension; estimated where absent.")] = None,
    plan: Annotated[str, typer.Option(help=f"{', '.join(_PLANS)}.")] = "auto",
    observation: Annotated[str, typer.Option(help=f"{', '.join(_OBSERVATIONS)}.")] = "auto",
    steps: Annotated[int | None, typer.Option(min=1, help="Gradient steps of each phase.")] = None,
    select: Annotated[
        bool, typer.Option(help="Choose how to predict by training combinations left out, or else by composed cells.")
    ] = True,
    hold_out: HoldOut = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    precision: Annotated[str, typer.Option(help="float32; bfloat16 halves activations on CUDA.")] = "float32",
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Fit a PDAE. Started again after an interruption it goes on from its own checkpoint."""
    pdae_sim.PDAE.check_save(out, force=force)
    choice("--plan", plan, _PLANS)
    choice("--observation", observation, _OBSERVATIONS)
    choice("--precision", precision, _PRECISIONS)
    data = _read(file, options, hold_out, seed)
    preset = None if plan == "auto" else estimation.PRESETS[plan]
    if preset is not None and preset.architecture.output == "softplus" and data.train.stored.min() < 0:
        raise InputError(f"{file}: x has negative values and --plan {plan} decodes none; give --plan auto or marginal")
    model = pdae_sim.PDAE(
        latents,
        observation=observation,
        architecture=None if preset is None else preset.architecture,
        phases=None if preset is None else preset.phases,
        steps=steps,
        select=select,
        random_state=seed,
        device=_available(device),
        precision=precision,
    )
    checkpoint = out.parent / f".{out.name}.checkpoint"
    with files.claimed(out):
        with naming(file), output.fitting(lambda: model.plan_.phases) as on_step:
            model.fit(data, checkpoint=checkpoint, on_step=on_step)
        save_or_keep(model, out, force=force, checkpoint=checkpoint)
    losses, n_latents = _final_losses(model.history_), len(model.perturbation_matrix_)
    payload = {
        "model": out,
        "latents": n_latents,
        "losses": losses,
        "dimension": model.dimension_,
        "observation": model.observation_.to_json(),
        "source": model.source_,
        "selection": model.selection_ and model.selection_.to_json(),
        "composing": model.composing_ and model.composing_.to_json(),
    }
    ended = "; ".join(
        f"{phase}: " + ", ".join(f"{k} {v:.4g}" for k, v in terms.items()) for phase, terms in losses.items()
    )
    told = f"{n_latents} latents, {observation_in_words(model)}, {len(data.train.labels)} training conditions"
    tests, about_contexts = shared_effects(file, data, options, seed)
    line = f"{out}: {told}; {ended}{_selected(model)}"
    told_apart = [*_raw_values(model, data), *_diverged(model.history_), *about_contexts]
    output.result(payload | tests | {"notes": told_apart}, [line, *told_apart])


def _read(file: Path, options: DatasetOptions, hold_out: float | None, seed: int) -> PerturbationData:
    """The dataset without the cells to be held out, whose share and seed it remembers for the model."""
    data = pdae_sim.PerturbationData.read(file, **options)
    if hold_out is None:
        return data
    with naming(f"{file}: --hold-out"):
        data, _ = study.keep_fresh(data, hold_out, seed)
    return replace(data, x=data.stored, read_as=dict(data.read_as) | {KEPT_FRESH: [hold_out, seed]})


def _selected(model: PDAE) -> str:
    """What training combinations that were left out say of predictions, or else composed cells."""
    if model.selection_ is not None:
        return f"; predicts by {model.selection_.in_words()}"
    return f"; {model.composing_.in_words()}" if model.composing_ and model.composing_.chosen else ""


def _diverged(history: Sequence[dict]) -> list[str]:
    """Phases whose loss on cells kept out ended far above its start, each in a sentence."""
    looks: dict[str, list[float]] = {}
    for row in history:
        if "held_out" in row:
            looks.setdefault(row["phase"], []).append(row["held_out"])
    return [
        f"{phase}: the loss on cells kept out rose from {values[0]:.3g} to {values[-1]:.3g}: training diverged, and"
        f" its best step, {min(values):.3g}, is kept; look at the scale of x (logarithms?), --observation and --latents"
        for phase, values in looks.items()
        if values[-1] - min(values) > max(values[0] - min(values), _EXPLODED)
    ]


def _raw_values(model: PDAE, data: PerturbationData) -> list[str]:
    """A sentence, if values that look raw were fitted on the scale that they are on."""
    name, x = model.observation_.name, data.train.stored
    if name in ("negative_binomial", "poisson", "log_normal") or x.min() < 0 or x.max() <= _LARGEST_LOG:
        return []
    return [
        f"x reaches {x.max():,.4g} and was fitted as it is, with observation {name}; if it holds counts or intensities,"
        " give their logarithms, or --observation negative_binomial or log_normal"
    ]


def _final_losses(history: Sequence[dict]) -> dict[str, dict[str, float]]:
    """The losses each phase ended with: of its best look at cells kept out, else of its last step."""
    ended: dict[str, dict] = {}
    for row in history:
        best = ended.get(row["phase"], {}).get("held_out", math.inf)
        if row.get("held_out", math.inf) <= best or (best == math.inf and "held_out" not in row):
            ended[row["phase"]] = {k: v for k, v in row.items() if k not in ("phase", "step")}
    return ended


@command
def predict(
    output: Output,
    model: ModelFolder,
    condition: Annotated[str, typer.Option(help='For example "A:0.5+B".')],
    out: OutFile,
    samples: Annotated[int, typer.Option(min=1, help="Cells to draw.")] = 1000,
    source: Annotated[
        str | None,
        typer.Option(
            help="model, near, parts, reference or pool; near-scaled, near+tilting, …; default: what the fit chose."
        ),
    ] = None,
    allow_unidentified: Annotated[
        bool, typer.Option(help="Sample even where nothing in the data fixes the answer.")
    ] = False,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Sample an unseen condition. One that is not identified is refused.

    Where the model keeps fits to halves of its cells (stability --model) a table of every feature's mean and quantiles
    with intervals is written beside.
    """
    files.refuse_existing(out, force=force)
    if out.suffix.lower() not in (".h5ad", ".csv", ".parquet"):
        raise InputError(f"{out}: --out must end in .h5ad, .csv or .parquet")
    fitted, halves = pdae_sim.PDAE.load(model), estimation.HalfFits.load(model)
    features = out.with_name(f"{out.stem}.features{'.parquet' if out.suffix.lower() == '.parquet' else '.csv'}")
    files.refuse_existing(features, force=force)
    with naming(f"{model}: --condition"):
        label = fitted.space_.exact(condition)
    (certificate,) = pdae_sim.check_span(fitted.train_labels_, [label])
    if not certificate.identified and not allow_unidentified:
        train = [fitted.space_.condition(row) for row in fitted.train_labels_]
        why = certificate.in_words(condition, train, fitted.space_.names)
        raise InputError(
            f"--condition {condition!r} is not identified: {why}; pass --allow-unidentified to sample it anyway"
        )
    cells, told = fitted.sample(condition, samples, rng=seed, source=source), _unmeasured_doses(fitted, condition)
    payload = {"file": out, "condition": condition, "cells": samples, "identified": certificate.identified}
    payload |= {"observation": fitted.observation_.name, "source": source or fitted.source_at(condition)}
    if halves is not None:
        rows = study.feature_intervals(fitted, halves, condition, rng=seed, source=source)
        files.write_table(features, rows, force=force)
        payload |= {"features": features}
        composed = ", but not what composing cells errs by" if payload["source"] in estimation.COMPOSITIONS else ""
        what = f"with 95 % intervals that count the whole fit{composed}"
        told.append(f"{features}: mean and quantiles of every feature, {what}")
    elif features.is_file():
        features.unlink()
        told.append(f"{features}: removed, for it told of other cells; a model without fits to halves has no intervals")
    _write_cells(out, cells, condition, fitted, force=force)
    if fitted.selection_ is not None and fitted.selection_.pooling_is_nearer:
        told.append(_POOLED)
    said = [f"{out}: {samples} cells of {condition}, {observation_in_words(fitted)}", *told]
    output.result(payload | {"notes": told}, said)


def _unmeasured_doses(model: PDAE, condition: str) -> list[str]:
    """Perturbations at a dose that no training condition has, each in a sentence."""
    label, told = model.space_.vector(condition), []
    for k in np.flatnonzero(label):
        doses = np.setdiff1d(model.train_labels_[:, k], 0)
        if len(doses) and not np.isclose(doses, label[k], rtol=1e-9, atol=0).any():
            measured = ", ".join(f"{dose:g}" for dose in doses[:8]) + (", …" if len(doses) > 8 else "")
            told.append(
                f"dose {label[k]:g} of {model.space_.names[k]} was not measured (measured: {measured});"
                " effects are taken as straight in dose"
            )
    return told


def _write_cells(out: Path, x: np.ndarray, condition: str, model: PDAE, *, force: bool) -> None:
    """Write predicted cells as .h5ad, .csv or .parquet, by suffix."""
    suffix = out.suffix.lower()
    if suffix == ".h5ad":
        space = model.space_
        labels = np.broadcast_to(space.vector(condition), (len(x), len(space)))
        data = pdae_sim.PerturbationData.from_arrays(
            x,
            labels,
            names=space.names,
            features=model.features_,
            control=space.control,
            no_control=True,
            read_as=space.separators,
        )
        io.write_data(out, data, split=np.full(len(x), "predicted"), force=force)
        return
    import pandas as pd

    own = {"condition": model.space_.condition(model.space_.vector(condition)), "split": "predicted"}
    for name in own:
        if name in model.features_:
            raise InputError(f"{out}: a feature is called {name!r}, as a column of the table is; choose .h5ad")
    frame = pd.DataFrame(x, columns=list(model.features_)).assign(**own)[[*own, *model.features_]]
    with files.whole_file(out, force=force) as temporary:
        frame.to_csv(temporary, index=False) if suffix == ".csv" else frame.to_parquet(temporary, index=False)


def _available(device: str) -> str:
    """`device`, if torch knows it and it is there."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {device!r} is not available ({reason}); `pdae-sim doctor` lists devices") from None
    return device
