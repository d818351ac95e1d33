"""`fit` and `predict`: a model made and used."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pdae_sim import _files as files
from pdae_sim._checks import choice, naming
from pdae_sim.analysis.span import check_span
from pdae_sim.cli._options import Device, File, Force, Json, Model, Out, Quiet, Seed
from pdae_sim.cli._output import Output
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation._persistence import check_place
from pdae_sim.estimation.networks import PRECISIONS
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.presets import PLANS, shortened

COMPLETE = [name for name in PLANS if name != "represent"]
"""Plans that train a decoder."""


def fit(
    file: File,
    out: Out,
    latents: Annotated[int | None, typer.Option(min=1, help="Latent dimension; estimated where absent.")] = None,
    plan: Annotated[str, typer.Option(help=f"{', '.join(COMPLETE)}.")] = "staged",
    steps: Annotated[int | None, typer.Option(min=1, help="Gradient steps of each phase.")] = None,
    device: Device = "cpu",
    precision: Annotated[str, typer.Option(help="float32; bfloat16 halves activations on CUDA.")] = "float32",
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Fit a PDAE; started again after an interruption it goes on from its own checkpoint."""
    output = Output.started(as_json, quiet)
    check_place(out, force=force)
    choice("--plan", plan, COMPLETE)
    choice("--precision", precision, PRECISIONS)
    data = PerturbationData.read(file)
    phases, architecture = shortened(PLANS[plan].phases, steps), PLANS[plan].architecture
    runs = {"random_state": seed, "device": checked_device(device), "precision": precision}
    model = PDAE(latents, architecture=architecture, phases=phases, **runs)
    checkpoint = out.parent / f".{out.name}.checkpoint"
    with naming(file), output.fitting(phases) as on_step:
        model.fit(data, checkpoint=checkpoint, on_step=on_step)
    model.save(out, force=force)
    checkpoint.unlink(missing_ok=True)
    ended = _ended(model.history_)
    payload = {"model": str(out), "latents": len(model.perturbation_matrix_), "losses": ended}
    payload["dimension"] = model.dimension_ and model.dimension_.state()
    losses = "; ".join(
        f"{phase}: " + ", ".join(f"{k} {v:.4g}" for k, v in terms.items()) for phase, terms in ended.items()
    )
    output.result(
        payload, f"{out}: {payload['latents']} latents, {len(data.train.labels)} training conditions; {losses}"
    )


def _ended(history: list[dict]) -> dict[str, dict[str, float]]:
    """The losses each phase ended with: of its best look at cells kept out, else of its last step."""
    ended: dict[str, dict] = {}
    for row in history:
        best = ended.get(row["phase"], {}).get("held_out", math.inf)
        if row.get("held_out", math.inf) <= best or (best == math.inf and "held_out" not in row):
            ended[row["phase"]] = {k: v for k, v in row.items() if k not in ("phase", "step")}
    return ended


def predict(
    model: Model,
    condition: Annotated[str, typer.Option(help='For example "A:0.5+B".')],
    out: Out,
    samples: Annotated[int, typer.Option(min=1, help="Cells to draw.")] = 1000,
    allow_unidentified: Annotated[
        bool, typer.Option(help="Sample even where nothing in the data fixes the answer.")
    ] = False,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Sample an unseen condition; one that is not identified is refused."""
    output = Output.started(as_json, quiet)
    files.refuse_existing(out, force=force)
    fitted = PDAE.load(model)
    with naming(f"{model}: --condition"):
        label = fitted.space_.exact(condition)
    (certificate,) = check_span(fitted.train_labels_, [label])
    if not certificate.identified and not allow_unidentified:
        train = [fitted.space_.condition(row) for row in fitted.train_labels_]
        why = certificate.in_words(condition, train, fitted.space_.names)
        raise InputError(
            f"--condition {condition!r} is not identified: {why}; pass --allow-unidentified to sample it anyway"
        )
    drawn = fitted.sample(condition, samples, rng=seed)
    write_cells(out, drawn, condition, fitted, force=force)
    payload = {"file": str(out), "condition": condition, "cells": samples, "identified": certificate.identified}
    output.result(payload, f"{out}: {samples} cells of {condition}")


def write_cells(out: Path, cells: np.ndarray, condition: str, model: PDAE, *, force: bool) -> None:
    """Predicted cells as .h5ad, .csv or .parquet, by suffix."""
    import pandas as pd

    if out.suffix == ".h5ad":
        labels = np.broadcast_to(model.space_.vector(condition), (len(cells), len(model.space_)))
        names = {"names": model.space_.names, "features": model.features_, "control": model.space_.control}
        PerturbationData.from_arrays(cells, labels, **names).write(out, force=force)
    elif out.suffix in (".csv", ".parquet"):
        frame = pd.DataFrame(cells, columns=list(model.features_))
        frame.insert(0, "condition", condition)
        with files.whole_file(out, force=force) as temporary:
            frame.to_csv(temporary, index=False) if out.suffix == ".csv" else frame.to_parquet(temporary, index=False)
    else:
        raise InputError(f"{out}: --out must end in .h5ad, .csv or .parquet")


def checked_device(device: str) -> str:
    """`device`, if torch knows it and it is there."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {device!r} is not available ({reason}); `pdae-sim doctor` lists devices") from None
    return device
