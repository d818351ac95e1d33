"""Counterexamples to identification: two models of one data set that differ at an unseen condition.

Outside the span of the training shifts a witness v gives a second model for every u: the same law at every training
condition, another at the test condition (theory, claim 2.6). Here both are made and sampled; `compare_models` judges
them as one would judge a fit, and no amount of training data would choose between the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pdae_sim import _random
from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import between, nonzero, whole
from pdae_sim._random import SeedLike
from pdae_sim.analysis.span import SpanCertificate, check_span
from pdae_sim.errors import InputError
from pdae_sim.estimation.counterexample import second_pdae
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.labels import LabelSpace
from pdae_sim.simulation.counterexample import second_simulator
from pdae_sim.simulation.simulator import Simulator
from pdae_sim.study.model_comparison import PairedSamples

_VISIBLE_CELLS = 2000
_Decode = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Counterexample:
    """A model and its second, alike at every training condition and apart at one other.

    Args:
        first: A simulator or a fitted PDAE.
        second: One of the same kind, with W + u vᵀ.
        train: Names of the training conditions.
        test: The name of the condition at which they part.
        certificate: Certificate of the test label; its `witness` is v.
        move: u (d_Z,), in the latent units of the model.
        effect: The length of u in standard deviations of the base latent, √(uᵀ Σ⁻¹ u).

    Example:
        >>> from pdae_sim import LinearLatentModel
        >>> world = Simulator.random(LinearLatentModel.random(2, 3, rng=0), n_observed=5, rng=0)
        >>> pair = find_counterexample(world, "C", train=["ctrl", "A"], effect=2.0, rng=0)
        >>> pair.train == ("ctrl", "A") and pair.test == "C"
        True
    """

    first: Simulator | PDAE
    second: Simulator | PDAE
    train: tuple[str, ...]
    test: str
    certificate: SpanCertificate
    move: np.ndarray
    effect: float

    def sample(self, *, n: int = 2000, rng: SeedLike = None) -> PairedSamples:
        """Cells of both models at every condition, see `sample_pair`."""
        return sample_pair(self.first, self.second, (*self.train, self.test), n=n, rng=rng)


@checked_numbers
def find_counterexample(
    model: Simulator | PDAE,
    test: str | Sequence,
    *,
    train: Sequence[str] | np.ndarray | None = None,
    effect: float = 1.0,
    direction: np.ndarray | None = None,
    rng: SeedLike = None,
) -> Counterexample:
    """Construct an observationally equivalent model that differs at an unidentified condition.

    For a witness v, with vᵀ Δ_e = 0 at every training condition and vᵀ Δ_t = 1, it has W + u vᵀ in the place of W.

    Args:
        model: A simulator or a fitted PDAE.
        test: A condition or label outside the span of the training labels.
        train: Training conditions or labels; those a PDAE was fitted on when absent.
        effect: The length of u > 0, in standard deviations of the base latent: those of Σ for a simulator, 1 for a
            PDAE, whose base latents are fitted to N(0, I).
        direction: (d_Z,) of u, in the model's latents; by default the one, of that length, that changes the mean cell
            at the test condition most (see `most_visible_move`).
        rng: Whatever `numpy.random.default_rng` takes, for the cells on which that direction is found.

    Raises:
        InputError: If the test condition is identified, or a departure of the simulator breaks the argument.

    References:
        Theory, claim 2.6.

    Example:
        >>> from pdae_sim import LinearLatentModel
        >>> from pdae_sim.study import compare_models
        >>> world = Simulator.random(LinearLatentModel.random(2, 3, rng=0), n_observed=5, rng=0)
        >>> pair = find_counterexample(world, "A+C", train=["ctrl", "A", "B"], rng=0)
        >>> compare_models(pair.sample(n=200, rng=1), margin=0.2, rng=0).holds
        True
    """
    adapted = _adapted(model)
    space, labels = adapted.space, adapted.labels(train)
    target = space.exact(test) if isinstance(test, str) else space.label(test)
    names, name = tuple(space.condition(label) for label in labels), space.condition(target)
    (certificate,) = check_span(labels, [target])
    if certificate.witness is None:
        raise InputError(
            f"{name!r} is identified, {certificate.in_words(name, names, space.names)}: models of the class that fit "
            "the training conditions alike agree there; choose a condition that is not"
        )
    size = between("effect", effect, 0.0, math.inf)
    u = most_visible_move(model, target, size, rng=rng) if direction is None else _scaled(direction, adapted.root, size)
    second = adapted.second(u, certificate.witness, labels, target)
    return Counterexample(model, second, names, name, certificate, u, size)


@checked_numbers
def most_visible_move(
    model: Simulator | PDAE, label: str | np.ndarray, size: float, *, rng: SeedLike = None
) -> np.ndarray:
    """The move u (d_Z,) of a given length that changes the mean cell at a label most, to first order.

    With R the root of Σ and M = [(E f(z + size R_j) − E f(z − size R_j)) / 2 size]_j, a derivative taken over the whole
    move, u = ± size · R times the first right singular vector of M; the sign is the one that changes the mean more.

    Args:
        model: A simulator (f is before observation noise) or a fitted PDAE.
        label: The condition or label.
        size: Length of u in standard deviations of the base latent.
        rng: Whatever `numpy.random.default_rng` takes, for 2,000 latents.

    Example:
        >>> from pdae_sim import LinearLatentModel
        >>> latent = LinearLatentModel.from_covariance([[4.0]], [[1.0]])
        >>> world = Simulator.random(latent, n_observed=3, rng=0)
        >>> bool(np.isclose(abs(most_visible_move(world, "A", 1.0, rng=0)[0]), 2.0))
        True
    """
    adapted = _adapted(model)
    decode, z = adapted.visible(adapted.space.label(label), _random.seed_sequence(rng))
    means = [[decode(z + sign * size * column).mean(0) for sign in (1, -1)] for column in adapted.root.T]
    M = np.array([(up - down) / (2 * size) for up, down in means])
    u = size * adapted.root @ np.linalg.svd(M.T, full_matrices=False)[2][0]
    at_rest = decode(z).mean(0)
    return max((u, -u), key=lambda move: float(np.linalg.norm(decode(z + move).mean(0) - at_rest)))


@checked_numbers
def sample_pair(
    first: Simulator | PDAE, second: Simulator | PDAE, conditions: Sequence[str], *, n: int = 2000, rng: SeedLike = None
) -> PairedSamples:
    """2 n cells of either of two models at every condition, from the same draws; half of the draws are compared.

    Args:
        first: A simulator or a fitted PDAE.
        second: Another, with the same observed coordinates.
        conditions: The test condition last.
        n: Cells a model and condition to compare, at least 4.
        rng: Whatever `numpy.random.default_rng` takes; each condition has a stream of its own.

    Example:
        >>> from pdae_sim import LinearLatentModel
        >>> world = Simulator.random(LinearLatentModel.random(2, 3, rng=0), n_observed=5, rng=0)
        >>> samples = sample_pair(world, world, ["ctrl", "A"], n=5, rng=0)
        >>> bool((samples.first["A"] == samples.second["A"]).all())
        True
    """
    root, count = _random.seed_sequence(rng), 2 * whole("n", n, at_least=4)
    one, other = _adapted(first), _adapted(second)
    return PairedSamples(
        {condition: one.cells(condition, count, root) for condition in conditions},
        {condition: other.cells(condition, count, root) for condition in conditions},
        resampled=one.resampled or other.resampled,
    )


def _scaled(direction: np.ndarray, root: np.ndarray, size: float) -> np.ndarray:
    """The move along a direction with √(uᵀ Σ⁻¹ u) = size."""
    u = nonzero("direction", direction, len(root))
    return size * u / np.linalg.norm(np.linalg.solve(root, u))


@dataclass(frozen=True, eq=False)
class _Adapted:
    """Common interface to a simulator or a fitted PDAE.

    Args:
        space: Its label space.
        root: R (d_Z, d_Z) with R Rᵀ = Σ, its columns a standard deviation long.
        train: Labels that it was fitted to; None for a simulator.
        visible: From a label to f, with one draw of its noise for all calls, and latents (n, d_Z) there.
        second: From u, v, training labels and test label to the second model.
        cells: From condition, number and root seed to cells (n, d_X).
        resampled: Whether it draws base latents with replacement.
    """

    space: LabelSpace
    root: np.ndarray
    train: np.ndarray | None
    visible: Callable[[np.ndarray, np.random.SeedSequence], tuple[_Decode, np.ndarray]]
    second: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], Simulator | PDAE]
    cells: Callable[[str, int, np.random.SeedSequence], np.ndarray]
    resampled: bool

    def labels(self, train: Sequence[str] | np.ndarray | None) -> np.ndarray:
        """Exact training labels (M, K)."""
        if train is not None:
            return np.array([self.space.exact(c) if isinstance(c, str) else self.space.label(c) for c in train], object)
        if self.train is None:
            raise InputError("train must name the training conditions of a simulator")
        return self.train


def _adapted(model: Simulator | PDAE) -> _Adapted:
    return _adapted_simulator(model) if isinstance(model, Simulator) else _adapted_pdae(model)


def _adapted_simulator(model: Simulator) -> _Adapted:
    def visible(label: np.ndarray, root: np.random.SeedSequence) -> tuple[_Decode, np.ndarray]:
        return model.decode, model.latent.draw(_VISIBLE_CELLS, label, rng=_random.stream(root, "visible"))[1]

    return _Adapted(
        space=model.space,
        root=np.linalg.cholesky(model.latent.covariance),
        train=None,
        visible=visible,
        second=lambda u, v, train, test: second_simulator(model, u, witness=v, train=train, test=test),
        # its streams are named by labels already, so that a joint sample has the same cells
        cells=lambda condition, n, root: model.sample([condition], n, rng=root).data.x,
        resampled=False,
    )


def _adapted_pdae(model: PDAE) -> _Adapted:
    W = model.perturbation_matrix_

    def visible(label: np.ndarray, root: np.random.SeedSequence) -> tuple[_Decode, np.ndarray]:
        z = _random.stream(root, "visible").standard_normal((_VISIBLE_CELLS, len(W))) + W @ label
        return partial(model.decode, rng=_random.child(root, "noise")), z

    return _Adapted(
        space=model.space,
        root=np.eye(len(W)),
        train=model.train_labels_,
        visible=visible,
        second=lambda u, v, _, test: second_pdae(model, u, witness=v, test=test),
        cells=lambda condition, n, root: model.sample(condition, n, rng=_random.child(root, condition)),
        resampled=True,
    )
