"""The second model of claim 2.6 for a fitted PDAE: as good a fit to everything it saw, another prediction beyond.

With a witness v of a label outside the training span and any u (d_Z,),

    Ŵ' = Ŵ + u vᵀ,   g'(x) = g(x) + u vᵀ l_0,   f̂'(z) = f̂(z − u vᵀ l_0).

Base latents g'(x) − Ŵ' l_e = g(x) − Ŵ l_e, every counterfactual between training conditions and with them every term
of the loss but the row norms of Ŵ (which is a preference, not a fit) are those of the first.
"""

from __future__ import annotations

import copy

import numpy as np
import torch

from pdae_sim._arguments import checked
from pdae_sim._checks import nonzero
from pdae_sim.errors import InputError
from pdae_sim.estimation._kept_cells import KeptCells
from pdae_sim.estimation._networks import Network
from pdae_sim.estimation._posterior import PosteriorNetwork
from pdae_sim.estimation._scaling import LabelScaling
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.labels import nearest_to_control

_MOVED = 1e-6
"""A training condition counts as untouched if Ŵ Δ_e moves by less than this share of u."""

_Networks = Network | PosteriorNetwork


@checked
def second_pdae(model: PDAE, move: np.ndarray, *, witness: np.ndarray, test: str | np.ndarray) -> PDAE:
    """The fitted PDAE with Ŵ' = Ŵ + u vᵀ: the same history and predictions in training, moved by u at the test label.

    Predictions at training conditions with the same rng are the same cells, up to rounding in float32. It is saved and
    loaded as any other. Nothing of the data favours the first over it.

    Args:
        model: Fitted.
        move: u (d_Z,), in the model's latent units: standard deviations of the base latent.
        witness: v (K,) with vᵀ Δ_e = 0 for every training label and vᵀ Δ_t = 1, as `check_span` gives it.
        test: The condition or label outside the training span.

    Raises:
        InputError: If the model is not fitted, shapes disagree, u is zero or v is no witness.

    References:
        Theory, claim 2.6.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> shifts = np.repeat([[0, 0, 0], [2, 0, 0], [0, 2, 0]], 100, axis=0)
        >>> x = np.random.default_rng(0).normal(size=(300, 3)) + shifts
        >>> data = PerturbationData.from_arrays(x, np.repeat([[0, 0], [1, 0], [2, 0]], 100, axis=0), names=("A", "B"))
        >>> from pdae_sim.estimation import DEFAULT
        >>> model = PDAE(2, phases=DEFAULT.shortened(3).phases).fit(data)
        >>> second = second_pdae(model, np.array([1.0, 0.0]), witness=np.array([0.0, 1.0]), test="B")
        >>> seen, unseen = (np.abs(second.sample(c, 9, rng=0) - model.sample(c, 9, rng=0)).max() for c in ("A", "B"))
        >>> bool(seen < 1e-5 < unseen)
        True
    """
    model._check_fitted()
    d_Z, K = model._network.shift.shape[1:]
    u, v = nonzero("move", move, d_Z), nonzero("witness", witness, K)
    _check_witness(v, model.train_labels_, model.space_.label(test))
    return _displaced(model, u, v, u * (v @ nearest_to_control(model.train_labels_)))


def _displaced(model: PDAE, move: np.ndarray, direction: np.ndarray, offset: np.ndarray) -> PDAE:
    """The PDAE with Ŵ + u vᵀ, g(x) + offset and f̂(z − offset), for any v whatever; base latents are shared.

    Args:
        model: Fitted; left as it is.
        move: u (d_Z,).
        direction: v (K,).
        offset: (d_Z,).
    """
    second = copy.copy(model)
    second.history_ = copy.deepcopy(model.history_)
    second.perturbation_matrix_ = model.perturbation_matrix_ + np.outer(move, direction)
    internal = np.outer(move, direction * LabelScaling.of(model.train_labels_, model.train_counts_).unit)
    second._network = _displaced_network(model._network, internal, offset)
    second._kept = None if model._kept is None else KeptCells(second, model._kept.cells)
    return second


@torch.no_grad()
def _displaced_network(network: _Networks, internal: np.ndarray, offset: np.ndarray) -> _Networks:
    second = copy.deepcopy(network)
    second.shift.add_(torch.as_tensor(internal).to(second.shift))
    if offset.any():
        a, identity = (torch.as_tensor(value)[None].to(second.shift) for value in (offset, np.eye(len(offset))))
        if isinstance(second, PosteriorNetwork):
            second.encoder.compose(identity, -a)
            second.decoder.precompose(identity, -a)
        else:
            second.encoder.map.compose(identity, -a)
            second.decoder.network.precompose(identity, -a)
    return second


def _check_witness(v: np.ndarray, train: np.ndarray, test: np.ndarray) -> None:
    l_0 = nearest_to_control(train)
    seen, moved = np.abs((train - l_0) @ v).max(), v @ (test - l_0)
    if seen > _MOVED or abs(moved - 1) > _MOVED:
        raise InputError(
            f"witness must have vᵀ Δ_e = 0 for every training label and vᵀ Δ_t = 1, as check_span gives it; received "
            f"|vᵀ Δ_e| up to {seen:.3g} and vᵀ Δ_t = {moved:.3g}"
        )
