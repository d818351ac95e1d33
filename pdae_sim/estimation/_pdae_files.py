"""A fitted PDAE as plain values and arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pdae_sim.data import PerturbationData
from pdae_sim.estimation import _bank as bank
from pdae_sim.estimation import _framing as framing
from pdae_sim.estimation._dimension import Dimension
from pdae_sim.estimation._kept_cells import KeptCells
from pdae_sim.estimation._observation import ObservationChoice
from pdae_sim.estimation._scaling import LabelScaling
from pdae_sim.estimation._selection import Selection
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.phases import Phase
from pdae_sim.labels import LabelSpace

if TYPE_CHECKING:
    from pdae_sim.estimation.pdae import PDAE


def config_of(model: PDAE) -> dict:
    """Settings, choices and label space as plain JSON values."""
    return {
        "n_latents": None if model.n_latents is None else int(model.n_latents),
        "observation": model.observation_.to_json(),
        "source": model.source_,
        "select": bool(model.select),
        "selection": model.selection_ and model.selection_.to_json(),
        "architecture": vars(model.plan_.architecture).copy(),
        "phases": [phase.to_json() for phase in model.plan_.phases],
        "beta": float(model.beta),
        "random_state": int(model.random_state),
        "precision": model.precision,
        "dimension": model.dimension_ and model.dimension_.to_json(),
        "names": list(model.space_.names),
        "control": model.space_.control,
        **model.space_.separators,
        "features": list(model.features_),
        "read_as": dict(model.read_as_),
    }


def settings_of(config: Mapping) -> dict[str, Any]:
    """Arguments of the constructor from what `config_of` wrote."""
    return {
        "n_latents": config["n_latents"],
        "observation": ObservationChoice.from_json(config.get("observation")).name,
        "architecture": Architecture(**config["architecture"]),
        "phases": [Phase(**phase) for phase in config["phases"]],
        "select": config.get("select", False),
        "beta": config["beta"],
        "random_state": config["random_state"],
        "precision": config.get("precision", "float32"),
    }


def tensors_of(model: PDAE) -> dict[str, torch.Tensor]:
    """Networks, scalings, Ŵ and the base latents."""
    scaling = getattr(model._units, "scaling", None)
    scales = {} if scaling is None else {"scaling.centre": scaling.centre, "scaling.scale": scaling.scale}
    arrays = scales | {
        "train_labels": model.train_labels_,
        "train_counts": model.train_counts_,
        "perturbation_matrix": model.perturbation_matrix_,
        "information": model.information_,
        "exposure": model._exposure,
        "base": model.base_latents_.astype(np.float32),
        "base_environment": model._base_environment.astype(np.int64),
    }
    if model._kept is not None:
        arrays |= {"cells": model._kept.cells.x, "environment": model._kept.cells.environment}
    networks = {f"network.{k}": v.detach().cpu() for k, v in model._network.state_dict().items()}
    return networks | {k: torch.from_numpy(np.array(v, order="C")) for k, v in arrays.items()}


def restore(model: PDAE, config: Mapping, tensors: Mapping[str, torch.Tensor], history: list[dict]) -> None:
    """Give a model of the same settings what was fitted."""
    arrays = {k: v.numpy() for k, v in tensors.items() if not k.startswith("network.")}
    separators = {name: config[name] for name in ("separator", "dose_separator") if name in config}
    model.space_ = LabelSpace(tuple(config["names"]), config["control"], **separators)
    model.features_, model.history_ = tuple(config["features"]), history
    model.read_as_ = config.get("read_as", {})
    model.dimension_ = Dimension.from_json(config.get("dimension"))
    model.observation_ = ObservationChoice.from_json(config.get("observation"))
    model.source_, model.plan_ = config.get("source", "pool"), framing.plan_of(model, noisy=model.observation_.noisy)
    model._units = model.observation_.restored_units(arrays.get("scaling.centre"), arrays.get("scaling.scale"))
    model.train_labels_, model.train_counts_ = arrays["train_labels"], arrays["train_counts"]
    model._label_scaling = LabelScaling.of(model.train_labels_, model.train_counts_)
    model.perturbation_matrix_, model._d_Z = arrays["perturbation_matrix"], len(arrays["perturbation_matrix"])
    model.base_latents_, model._base_environment = arrays["base"].astype(np.float64), arrays["base_environment"]
    model._exposure = arrays.get("exposure", np.empty((len(model.base_latents_), 0), np.float32))
    model.information_ = arrays.get("information", np.eye(model._d_Z))
    model.selection_, cells = Selection.from_json(config.get("selection")), arrays.get("cells")
    model._kept = None
    if cells is not None:
        space = model.space_
        data = PerturbationData(
            cells,
            model.train_labels_,
            arrays["environment"],
            space.names,
            control=space.control,
            read_as=space.separators,
        )
        model._kept = KeptCells(model, data)
    model._network = bank.untrained([model])
    model._network.load_state_dict(
        {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
    )
