"""Do a model and a dataset speak of the same things?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pdae_sim import estimation, io, study
from pdae_sim._checks import naming, near_misses
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pdae_sim import PDAE, PerturbationData
    from pdae_sim.cli._options import DatasetOptions

_TOGETHER = {
    "condition": ("condition", "separator", "dose_separator", "control", "no_control", "reference"),
    "dose": ("dose",),
    "split": ("split", "train_words", "test_words"),
    "layer": ("layer",),
}
"""By the option that names a field: all that a field of that name is read by."""
KEPT_FRESH = "kept_fresh"
"""What a model remembers of the cells that `fit --hold-out` kept from it: their share and the seed."""


def observation_in_words(model: PDAE) -> str:
    """The observation model of a fit, and whether it is sure."""
    law = model.observation_
    return f"observation {law.name}" + ("" if law.sure else " (not sure)")


def check_unseen(model: PDAE, data: PerturbationData, where: Path, file: Path) -> None:
    """Raise an InputError if a condition held out in a dataset was among those a model was fitted on."""
    seen = {tuple(row) for row in model.train_labels_}
    held_out = zip(data.conditions, data.labels, data.held_out, strict=True)
    leaked = [condition for condition, label, apart in held_out if apart and tuple(label) in seen]
    if leaked:
        raise InputError(
            f"{file}: {where} was fitted on held-out condition {leaked[0]!r}; fit it on this file's training split"
        )


def match(model: PDAE, data: PerturbationData, where: Path, file: Path) -> PerturbationData:
    """A dataset in the features and perturbations of a model, by name.

    Args:
        model: The model.
        data: A dataset; it may have more features, and lack perturbations.
        where: The folder of the model.
        file: The file of the dataset.

    Raises:
        InputError: If a feature of the model is not in the dataset, or a perturbation of the dataset not in the model.
    """
    position = {name: j for j, name in enumerate(data.features)}
    missing = [name for name in model.features_ if name not in position]
    if missing:
        others = f", nor {len(missing) - 1} more" if missing[1:] else ", one"
        raise InputError(
            f"{file}: has no {missing[0]!r}{others} of the {len(model.features_)} features that {where} was fitted on;"
            " use a file with the same features"
        )
    unknown = [name for name in data.names if name not in model.space_.names]
    if unknown:
        raise InputError(
            f"{file}: {where} was fitted without its perturbation {unknown[0]!r}"
            + (f" and {len(unknown) - 1} more" if unknown[1:] else "")
            + f"; {near_misses(unknown[0], model.space_.names)}; fit on a file that has it, or leave its cells out"
        )
    same = model.features_ == data.features
    labels = np.zeros((len(data.labels), len(model.space_.names)))
    labels[:, [model.space_.names.index(name) for name in data.names]] = data.labels
    return replace(
        data,
        x=data.stored if same else data.stored[:, [position[name] for name in model.features_]],
        features=model.features_,
        labels=labels,
        names=model.space_.names,
        control=model.space_.control,
        read_as=dict(data.read_as) | model.space_.separators,
    )


def check_match(model: PDAE, data: PerturbationData, where: Path, file: Path) -> None:
    """Raise an InputError unless a model and a simulated dataset have the same features and perturbations in order."""
    match(model, data, where, file)
    for what, ours, theirs in (
        ("features", model.features_, data.features),
        ("perturbations", model.space_.names, data.names),
    ):
        if ours != theirs:
            raise InputError(f"{file}: its {what} are not those of {where} in the same order; fit on this file")


def training_cells(model: PDAE, data: PerturbationData, where: Path, file: Path) -> PerturbationData:
    """A dataset without the cells that were kept from a model, if what is left was what it was fitted to.

    Raises:
        InputError: If its training conditions or cells are others.
    """
    data, _ = without_fresh(model, data, file)
    fitted, held = (
        {tuple(row) for row in (labels + 0.0).tolist()} for labels in (model.train_labels_, data.train.labels)
    )
    if fitted != held:
        raise InputError(f"{file}: its training conditions are not those that {where} was fitted on; fit it again")
    if not estimation.fitted_to(model, data):
        raise InputError(f"{file}: its training cells are not those that {where} was fitted to; fit it to this file")
    return data


def without_fresh(model: PDAE, data: PerturbationData, file: Path) -> tuple[PerturbationData, PerturbationData | None]:
    """A dataset without the cells that `fit --hold-out` kept from the model, and these; None where it was another."""
    remembered = model.read_as_.get(KEPT_FRESH)
    if remembered is None or data.held_out.all():
        return data, None
    with naming(file):
        share, seed = cast("tuple[float, int]", remembered)
        rest, kept = study.keep_fresh(data, share, seed)
    return (rest, kept) if estimation.fitted_to(model, rest) else (data, None)


def read_matching(
    model: PDAE, where: Path, file: Path, options: DatasetOptions, *, control: bool = False
) -> PerturbationData:
    """A dataset read as a model's was, unless told otherwise or written by this package, in the terms of the model.

    Args:
        model: The model.
        where: Its folder.
        file: The dataset.
        options: What the command line says.
        control: Whether the file must have a control of its own; the model's stands for it otherwise.
    """
    told = _remembered(model, file, control=control) | options
    if "reference" not in options and "reference" in told and not _holds(file, told):
        del told["reference"]
    return match(model, io.read_data(file, **told), where, file)


def read_fresh(model: PDAE, where: Path, file: Path, options: DatasetOptions) -> PerturbationData | None:
    """The cells that a dataset keeps out of every fit, read as `read_matching` reads; None where it has none."""
    told = _remembered(model, file, control=False) | options
    told.pop("reference", None)
    fresh = io.read_fresh(file, **told)
    return None if fresh is None else match(model, fresh, where, file)


def _remembered(model: PDAE, file: Path, *, control: bool) -> dict[str, Any]:
    """How a model's data were read, as far as that bears on a file."""
    remembered = {name: value for name, value in model.read_as_.items() if name != KEPT_FRESH}
    if io.is_dataset(file):  # its conditions may be those of another file under the names of this package
        fields = io.field_names(file)
        there = [name for key, names in _TOGETHER.items() if remembered.get(key) in fields for name in names]
        told = {"covariate", "batch", "shared", *there}
        remembered = {name: value for name, value in remembered.items() if name in told}
    return remembered if control else remembered | {"no_control": True}


def _holds(file: Path, told: Mapping[str, Any]) -> bool:
    """Whether a file has cells of the condition that others are counted from."""
    data = io.read_labels(file, **{**told, "reference": None, "no_control": True})
    return told["reference"] in data.train.conditions
