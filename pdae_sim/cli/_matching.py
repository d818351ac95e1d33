"""Do a model and a dataset speak of the same things?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pdae_sim import PDAE, PerturbationData


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


def check_match(model: PDAE, data: PerturbationData, where: Path, file: Path) -> None:
    """Raise an InputError if a model and a dataset do not speak of the same things."""
    if model.features_ != data.features:
        raise InputError(
            f"{file}: its {len(data.features)} features are not those that {where} was fitted on; use that dataset"
        )
    if model.space_.names != data.names:
        theirs, ours = ", ".join(data.names), ", ".join(model.space_.names)
        raise InputError(
            f"{file}: perturbations are {theirs} where {where} has {ours}; use the dataset it was fitted on"
        )
