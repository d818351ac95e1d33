"""Goodness of fit of a model on cells it has not seen: transported, encoded and decoded cells against others.

Under noise the latents of a cell are a draw from their posterior under its own condition. If the model is right, cell
and draw have its joint law: base latents are then N(0, I) draws, and cells decoded are cells measured anew, as without
noise. Posterior means have neither law. Draws lean on the model as far as cells are uninformative, so the noisier the
cells, the less the parts see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
from scipy.spatial import cKDTree

from pdae_sim import _random
from pdae_sim._arguments import checked
from pdae_sim._checks import naming, repetitions, whole
from pdae_sim._coding import factorize, row_keys
from pdae_sim._random import SeedLike
from pdae_sim.analysis.hypothesis_tests.goodness import (
    ALL_CONDITIONS,
    MIN_CELLS_PER_CONDITION,
    FitSamples,
    GoodnessOfFit,
    goodness_of_fit,
)
from pdae_sim.analysis.hypothesis_tests.predictive_checks import ObservationFit, observation_fit
from pdae_sim.analysis.hypothesis_tests.two_sample import refuse_shared_rows
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation import PDAE, remeasure
from pdae_sim.labels import Condition
from pdae_sim.protocols import LatentModel

_ROUNDING = 1e-5  # latents of one cell, encoded twice in single precision, differ by less


class _Autoencoder(LatentModel, Protocol):
    """A fitted `PDAE`, or anything that encodes and transports."""

    def transport(self, x: np.ndarray, source: Condition, target: Condition, *, rng: SeedLike = None) -> np.ndarray:
        """Cells (n, d_X), measured under label `source`, as they would be under `target`."""


@checked
def check_fit(
    model: _Autoencoder,
    fresh: PerturbationData,
    *,
    fitted_on: PerturbationData | None = None,
    cells: float = 100,
    max_cells: int = 1000,
    n_resamples: int = 999,
    rng: SeedLike = None,
) -> GoodnessOfFit:
    """Judge a fitted model on fresh cells of the conditions it was fitted on.

    Args:
        model: The model.
        fresh: Cells of two conditions or more, 8 of each or more, none of them used in the fit. All its conditions take
            part; one whose label is outside the training span blames Ŵ for what no data fixed.
        fitted_on: The data of the fit, to make sure of that; a noiseless `PDAE` remembers its cells by their base
            latents.
        cells: The worth in cells that equivalence asks for.
        max_cells: Cells of a sample that is compared, at most: time and memory grow with its square.
        n_resamples: Resamples of each test, at least.
        rng: Whatever `numpy.random.default_rng` takes.

    Raises:
        InputError: If cells are too few, of other features or perturbations, or cells of the fit.

    References:
        The published check transports an environment to itself, where the shift cancels; here sources are the cells of
        all other environments.

    Example:
        >>> from types import SimpleNamespace
        >>> rng = np.random.default_rng(0)
        >>> labels = np.repeat([[0.0], [1.0]], 100, axis=0)
        >>> fresh = PerturbationData.from_arrays(rng.normal(size=(200, 1)) + 2 * labels, labels)
        >>> move = lambda x, source, target, rng: x + 2 * (target - source)
        >>> exact = dict(encode=lambda x: x, decode=lambda z, rng: z, transport=move)
        >>> check_fit(SimpleNamespace(perturbation_matrix_=np.full((1, 1), 2.0), **exact), fresh, rng=0).faults(0.01)
        ()
    """
    whole("max_cells", max_cells, at_least=MIN_CELLS_PER_CONDITION)
    _refuse_few(fresh)
    refuse_cells_of_fit(model, fresh, fitted_on)
    root = _random.seed_sequence(rng)
    samples = fit_samples(model, fresh, max_cells=max_cells, rng=_random.child(root, "samples"))
    return goodness_of_fit(samples, cells=cells, n_resamples=n_resamples, rng=_random.child(root, "tests"))


@checked
def check_observation(
    model: PDAE,
    fresh: PerturbationData,
    *,
    fitted_on: PerturbationData | None = None,
    max_cells: int = 1000,
    n_draws: int = 99,
    rng: SeedLike = None,
) -> ObservationFit | None:
    """Judge the observation model of a fitted model, feature by feature, on fresh cells of the conditions of the fit.

    Args:
        model: The model.
        fresh: Cells that had no part in the fit, of conditions inside the training span.
        fitted_on: The data of the fit, to make sure of that.
        max_cells: Cells that are looked at, of all conditions together. A fitted model differs from the truth by what
            its own cells leave open, which many times as many fresh cells would see.
        n_draws: New measurements that each cell is ranked among.
        rng: Whatever `numpy.random.default_rng` takes.

    Returns:
        The goodness of fit; None if the model is noiseless, where nothing but the decoder can be wrong.

    Raises:
        InputError: If cells are too few, of other features, or cells of the fit.

    Example:
        >>> x = np.random.default_rng(0).poisson(20.0, size=(400, 4))
        >>> data = PerturbationData.from_arrays(x, ["ctrl", "A"] * 200)
        >>> model = PDAE(1, observation="poisson", steps=20).fit(data.rows(np.arange(200)))
        >>> check_observation(model, data.rows(np.arange(200, 400)), rng=0).cells
        200
    """
    if not model.observation_.noisy:
        return None
    refuse_cells_of_fit(model, fresh, fitted_on)
    repetitions("n_draws", n_draws, at_least=2)
    root, E = _random.seed_sequence(rng), len(fresh.labels)
    share = math.ceil(whole("max_cells", max_cells, at_least=MIN_CELLS_PER_CONDITION) / E)
    pairs = [
        remeasure(
            model,
            _shuffled(fresh, e, root)[:share],
            fresh.labels[e],
            draws=n_draws,
            rng=_random.child(root, "measured", fresh.conditions[e]),
        )
        for e in range(E)
    ]
    measurements = (np.vstack(rows) for rows in zip(*(again for _, again in pairs), strict=True))
    observed = np.vstack([x for x, _ in pairs])
    return observation_fit(observed, measurements, features=fresh.features, rng=_random.child(root, "ties"))


@checked
def fit_samples(
    model: _Autoencoder, fresh: PerturbationData, *, max_cells: int = 1000, rng: SeedLike = None
) -> FitSamples:
    """Transported, encoded and decoded cells, and the disjoint cells they are to be compared with.

    Every other environment gives as many sources to a target where it can. Base latents are of 2 `max_cells` in all.

    Args:
        model: The model.
        fresh: Cells that it was not fitted on.
        max_cells: Cells of a sample that is compared, at most.
        rng: Whatever `numpy.random.default_rng` takes.

    Example:
        >>> from types import SimpleNamespace
        >>> fresh = PerturbationData.from_arrays(np.random.default_rng(0).normal(size=(40, 2)), ["ctrl", "A"] * 20)
        >>> same = dict(encode=lambda x: x, decode=lambda z, rng: z, transport=lambda x, source, target, rng: x)
        >>> samples = fit_samples(SimpleNamespace(perturbation_matrix_=np.zeros((2, 1)), **same), fresh, rng=0)
        >>> samples.transported["A"].shape == (20, 2) and samples.kept["A"].shape == (10, 2)
        True
    """
    root, names, E = _random.seed_sequence(rng), fresh.conditions, len(fresh.labels)
    x = [_shuffled(fresh, e, root) for e in range(E)]
    W = np.asarray(model.perturbation_matrix_)
    share, few = math.ceil(max_cells / (E - 1)), max(math.ceil(2 * max_cells / E), 2)
    base = [_latents(model, fresh, e, x[e][:few], root) - W @ fresh.labels[e] for e in range(E)]
    first, second = zip(*(_halves(rows, max_cells) for rows in x), strict=True)

    def by_condition(parts: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, parts, strict=True))

    return FitSamples(
        transported=by_condition(_moved(model, fresh.labels, x, h, share, root) for h in range(E)),
        observed=by_condition(rows[:max_cells] for rows in x),
        base=by_condition(base),
        reference=_reference(model, fresh, x, base, max_cells, root),
        decoded=by_condition(
            model.transport(first[e], label, label, rng=_random.child(root, "decoded", names[e]))
            for e, label in enumerate(fresh.labels)
        ),
        kept=by_condition(second),
    )


@checked
def refuse_cells_of_fit(
    model: _Autoencoder, fresh: PerturbationData, fitted_on: PerturbationData | None = None
) -> None:
    """Refuse cells that a model was fitted on, as far as that can be told.

    From `fitted_on` by equal rows; without it from the base latents that a noiseless model remembers, where these meet
    those of the fresh cells far more often than neighbouring draws would. Fewer than five such cells go unseen, and all
    of them under noise, where posterior draws are remembered.

    Args:
        model: The model.
        fresh: Cells to judge it by.
        fitted_on: The data of the fit.

    Raises:
        InputError: With the number of cells.

    Example:
        >>> from types import SimpleNamespace
        >>> x = np.random.default_rng(0).normal(size=(40, 2))
        >>> data = PerturbationData.from_arrays(x, ["ctrl", "A"] * 20)
        >>> refuse_cells_of_fit(SimpleNamespace(), data.rows(np.arange(20)), data.rows(np.arange(20, 40)))
    """
    if fitted_on is not None:
        with naming("fresh (y) against the cells of the fit (x)"):
            keys = factorize([*row_keys(fitted_on.train.stored), *row_keys(fresh.stored)])[1][:, None]
            refuse_shared_rows(keys[: -len(fresh.environment)], keys[-len(fresh.environment) :])
    remembered = getattr(model, "base_latents_", None)
    if remembered is None or _noisy(model) or len(set(row_keys(fresh.stored))) < len(fresh.environment):
        return
    met = _meeting(model, fresh, remembered)
    if met:
        raise InputError(
            f"fresh must hold no cell of the fit; {met} of its {len(fresh.environment)} cells were fitted on"
        )


def _meeting(model: _Autoencoder, fresh: PerturbationData, remembered: np.ndarray) -> int:
    """Fresh cells whose base latents are remembered ones; 0 where chance explains it.

    By chance at least twice as many neighbours lie between one and three tolerances away as within one.
    """
    W = np.asarray(model.perturbation_matrix_)
    base = model.encode(fresh.x) - (fresh.labels @ W.T)[fresh.environment]
    tolerance = _ROUNDING * float(np.abs(remembered).max(initial=1.0))
    distances = cKDTree(remembered).query(base, distance_upper_bound=3 * tolerance)[0]
    inside = int((distances <= tolerance).sum())
    around = int(np.isfinite(distances).sum()) - inside
    return inside if inside > around + 4 * math.sqrt(around + 1) else 0


def _refuse_few(fresh: PerturbationData) -> None:
    if len(fresh.labels) < 2:
        raise InputError("fresh must hold two conditions or more: from a condition to itself any Ŵ passes")
    few = np.flatnonzero(fresh.counts < MIN_CELLS_PER_CONDITION)
    if few.size:
        name, n = fresh.conditions[few[0]], fresh.counts[few[0]]
        raise InputError(
            f"fresh must hold {MIN_CELLS_PER_CONDITION} cells of every condition or more; {name!r} has {n}"
        )


def _shuffled(fresh: PerturbationData, e: int, root: np.random.SeedSequence) -> np.ndarray:
    """The cells of an environment in random order, the same whatever the others are."""
    x = fresh.samples(e)
    return x[_random.stream(root, "order", fresh.conditions[e]).permutation(len(x))]


def _reference(
    model: _Autoencoder,
    fresh: PerturbationData,
    x: list[np.ndarray],
    base: list[np.ndarray],
    max_cells: int,
    root: np.random.SeedSequence,
) -> dict[str, np.ndarray]:
    """Latents of cells with label zero, in which Ŵ has no say; without such cells all base latents."""
    r = fresh.reference
    if fresh.labels[r].any():
        return {ALL_CONDITIONS: np.vstack(base)[:: math.ceil(sum(map(len, base)) / max_cells)]}
    return {fresh.conditions[r]: _latents(model, fresh, r, x[r][:max_cells], root)}


def _latents(
    model: _Autoencoder, fresh: PerturbationData, e: int, x: np.ndarray, root: np.random.SeedSequence
) -> np.ndarray:
    """g(x), or under noise a draw from the posterior of each cell given its condition."""
    if not _noisy(model):
        return model.encode(x)
    draw: Callable[..., np.ndarray] = model.encode
    return draw(x, draws=1, condition=fresh.labels[e], rng=_random.child(root, "latents", fresh.conditions[e]))[0]


def _noisy(model: object) -> bool:
    return bool(getattr(getattr(model, "observation_", None), "noisy", False))


def _halves(x: np.ndarray, max_cells: int) -> tuple[np.ndarray, np.ndarray]:
    middle = len(x) // 2
    return x[:middle][:max_cells], x[middle:][:max_cells]


def _moved(
    model: _Autoencoder, labels: np.ndarray, x: list[np.ndarray], h: int, share: int, root: np.random.SeedSequence
) -> np.ndarray:
    """Cells of every other environment transported to h."""
    return np.vstack(
        [
            model.transport(x[e][:share], labels[e], labels[h], rng=_random.child(root, "moved", e, h))
            for e in range(len(x))
            if e != h
        ]
    )
