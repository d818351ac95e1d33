"""A fitted PDAE as plain values and arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pdae_sim._checks import choice
from pdae_sim._seals import rebuilt
from pdae_sim.data import PerturbationData
from pdae_sim.estimation import _bank as bank
from pdae_sim.estimation import _framing as framing
from pdae_sim.estimation._composing import Composing
from pdae_sim.estimation._dimension import Dimension
from pdae_sim.estimation._kept_cells import KeptCells, compositions, sources
from pdae_sim.estimation._observation import ObservationChoice
from pdae_sim.estimation._scaling import LabelScaling
from pdae_sim.estimation._selection import Selection
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.phases import Phase
from pdae_sim.labels import LabelSpace

if TYPE_CHECKING:
    from pdae_sim.estimation.pdae import PDAE


_LARGEST = 1e9
"""Bound of the parameters of networks, whose inputs are standardised."""


def config_of(model: PDAE) -> dict:
    """Settings, choices and label space as plain JSON values."""
    return {
        "n_latents": None if model.n_latents is None else int(model.n_latents),
        "observation": model.observation_.to_json(),
        "source": model.source_,
        "select": bool(model.select),
        "selection": model.selection_ and model.selection_.to_json(),
        "composing": model.composing_ and model.composing_.to_json(),
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
        "architecture": rebuilt(Architecture, config["architecture"]),
        "phases": [rebuilt(Phase, phase) for phase in config["phases"]],
        "select": rebuilt(bool, config.get("select", False)),
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
    if model._moments is not None:
        arrays["train_moments"] = model._moments
    if model._kept is not None:
        arrays |= {"cells": model._kept.cells.x, "environment": model._kept.cells.environment}
    networks = {f"network.{k}": v.detach().cpu() for k, v in model._network.state_dict().items()}
    return networks | {k: torch.from_numpy(np.array(v, order="C")) for k, v in arrays.items()}


def restore(model: PDAE, config: Mapping, tensors: Mapping[str, torch.Tensor], history: list[dict]) -> None:
    """Give a model of the same settings what was fitted."""
    arrays = {k: v.numpy() for k, v in tensors.items() if not k.startswith("network.")}
    network = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
    texts = {name: rebuilt(str, config[name]) for name in ("separator", "dose_separator") if name in config}
    model.space_ = LabelSpace(rebuilt(tuple[str, ...], config["names"]), rebuilt(str, config["control"]), **texts)
    model.features_, model.history_ = rebuilt(tuple[str, ...], config["features"]), history
    model.read_as_ = rebuilt(dict[str, Any], config.get("read_as", {}))
    model.dimension_ = Dimension.from_json(config.get("dimension"))
    model.observation_ = ObservationChoice.from_json(config.get("observation"))
    model.selection_ = Selection.from_json(config.get("selection"))
    model.composing_ = Composing.from_json(config.get("composing"))
    model.plan_ = framing.plan_of(model, noisy=model.observation_.noisy)
    model.source_ = rebuilt(str, config.get("source", "pool"))
    d_Z = model.dimension_.n_latents if model.dimension_ else model.n_latents
    _check_arrays(arrays, len(model.features_), d_Z, len(model.space_))
    _check_network(network, model.plan_.architecture)
    model._units = model.observation_.restored_units(arrays.get("scaling.centre"), arrays.get("scaling.scale"))
    model.train_labels_, model.train_counts_ = arrays["train_labels"], arrays["train_counts"]
    model._moments = arrays.get("train_moments")
    model._label_scaling = LabelScaling.of(model.train_labels_, model.train_counts_)
    model.perturbation_matrix_, model._d_Z = arrays["perturbation_matrix"], len(arrays["perturbation_matrix"])
    model.base_latents_, model._base_environment = arrays["base"].astype(np.float64), arrays["base_environment"]
    model._exposure = arrays.get("exposure", np.empty((len(model.base_latents_), 0), np.float32))
    model.information_ = arrays.get("information", np.eye(model._d_Z))
    model._kept = _kept(model, arrays)
    choice("source", model.source_, sources(model))
    model._network = bank.untrained([model])
    model._network.load_state_dict(network)


def _kept(model: PDAE, arrays: Mapping[str, np.ndarray]) -> KeptCells | None:
    """The training cells that a model predicts by, if it does."""
    if "cells" not in arrays:
        if names := compositions(model):
            raise ValueError(f"the cells are gone that source {names[0]!r} is of")
        return None
    space = model.space_
    cells = PerturbationData(
        arrays["cells"],
        model.train_labels_,
        arrays["environment"],
        space.names,
        control=space.control,
        read_as=space.separators,
    )
    return KeptCells(model, cells)


def _check_arrays(arrays: Mapping[str, np.ndarray], d_X: int, d_Z: int | None, K: int) -> None:
    """Raise a ValueError unless the arrays of a model are finite, and of kinds, shapes and ranges that go together."""
    E, n, kept = (len(arrays.get(name, ())) for name in ("train_labels", "base", "cells"))
    units = arrays["exposure"].shape[-1] if "exposure" in arrays else 0
    expected = {
        "scaling.centre": ("f", (d_X,)),
        "scaling.scale": ("f", (d_X,)),
        "train_labels": ("f", (E, K)),
        "train_counts": ("i", (E,)),
        "train_moments": ("f", (E, 2)),
        "perturbation_matrix": ("f", (d_Z, K)),
        "information": ("f", (d_Z, d_Z)),
        "exposure": ("f", (n, units)),
        "base": ("f", (n, d_Z)),
        "base_environment": ("i", (n,)),
        "cells": ("f", (kept, d_X)),
        "environment": ("i", (kept,)),
    }
    for name, array in arrays.items():
        kind, shape = expected[name]
        if array.dtype.kind != kind or array.shape != shape or not np.isfinite(array).all():
            raise ValueError(
                f"{name} must be finite, of kind {kind!r} and shape {shape}; is {array.dtype} {array.shape}"
            )
    for name in ("base_environment", "environment"):
        if name in arrays and not np.array_equal(np.unique(arrays[name]), np.arange(E)):
            raise ValueError(f"{name} must hold every training condition, 0 to {E - 1}")
    if arrays["train_counts"].min() < 1 or arrays.get("scaling.scale", np.ones(1)).min() <= 0:
        raise ValueError("train_counts and scaling.scale must be above 0")


def _check_network(network: Mapping[str, torch.Tensor], shape: Architecture) -> None:
    """Raise a ValueError unless parameters are finite and layers no wider than they: none is made that is not there."""
    sizes = {size for tensor in network.values() for size in tensor.shape}
    if len(shape.hidden) > len(network) or not {*shape.hidden} <= sizes or shape.n_noise > max(sizes):
        raise ValueError(f"there are no layers of {shape.hidden} units among the weights")
    broken = [name for name, tensor in network.items() if not (tensor.abs() < _LARGEST).all()]
    if broken:
        raise ValueError(f"network.{broken[0]} is not finite, or beyond {_LARGEST:g}")
