"""Two models, one data set: what a good fit cannot tell (claim 2.6).

Outside the span of the training shifts a witness v gives a second model for every u: the same law at every training
condition, another at the test condition. Here both are sampled and judged as one would judge a fit: two-sample tests
that find nothing and equivalence tests that find a match at the training conditions, and at the test condition a
rejection and the size of the difference. No amount of training data would choose between the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from pdae_sim import _random
from pdae_sim._checks import between, finite, naming, whole
from pdae_sim.analysis.hypothesis_tests.multiple_testing import CorrectedTests, two_sample_tests
from pdae_sim.analysis.hypothesis_tests.two_sample import EquivalenceTest, TwoSampleTest, energy_test, equivalence_test
from pdae_sim.analysis.prediction_error import EnergyEstimate, energy_estimate, mean_difference
from pdae_sim.analysis.span import SpanCertificate, check_span
from pdae_sim.energy import mean_distance
from pdae_sim.errors import InputError
from pdae_sim.estimation.counterexample import second_pdae
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.labels import LabelSpace
from pdae_sim.simulation.counterexample import second_simulator
from pdae_sim.simulation.simulator import Simulator

Model = Simulator | PDAE

MARGIN = 0.03
"""Energy distances below this share of E‖X − X'‖, the mean distance of two cells of a condition, count as a match: an
experiment of 1 / 0.03 = 33 cells would be as far from the law it samples."""

LEVEL = 0.01
"""Of every test; also the chance that true twins are called apart anywhere in training."""

_VISIBLE_CELLS = 2000


@dataclass(frozen=True, eq=False)
class Twins:
    """A model and its second, alike at every training condition and apart at one other.

    Args:
        first: A simulator or a fitted PDAE.
        second: One of the same kind, with W + u vᵀ.
        train: Names of the training conditions.
        test: The name of the condition at which they part.
        certificate: Of the test label; its `witness` is v.
        move: u (d_Z,), in the latent units of the model.
        effect: The length of u in standard deviations of the base latent, √(uᵀ Σ⁻¹ u).
    """

    first: Model
    second: Model
    train: tuple[str, ...]
    test: str
    certificate: SpanCertificate
    move: np.ndarray
    effect: float


@dataclass(frozen=True, eq=False)
class Draws:
    """Cells of two models by condition, row for row from the same draws of everything random.

    Args:
        first: (2 n, d_X) cells of the first model by condition, the test condition last.
        second: The same of the second.
        resampled: Whether a row may come twice because a model draws its base latents with replacement.
    """

    first: Mapping[str, np.ndarray]
    second: Mapping[str, np.ndarray]
    resampled: bool = False

    @property
    def train(self) -> tuple[str, ...]:
        """Names of the training conditions."""
        return tuple(self.first)[:-1]

    @property
    def test(self) -> str:
        """The name of the test condition."""
        return tuple(self.first)[-1]

    def apart(self, condition: str) -> tuple[np.ndarray, np.ndarray]:
        """Cells of either model that have no draw in common: what a two-sample test needs.

        A fitted model decodes training cells drawn with replacement; of draws that came twice the first is kept. Rows
        of a simulator that are equal, as counts are, are cells of their own.
        """
        if not self.resampled:
            return self.first[condition][::2], self.second[condition][1::2]
        kept = np.sort(np.unique(self.first[condition], axis=0, return_index=True)[1])
        return self.first[condition][kept[::2]], self.second[condition][kept[1::2]]

    def gap(self, condition: str) -> float:
        """The largest distance between two cells of one draw, as a share of the mean distance between cells."""
        x, y = self.first[condition], self.second[condition]
        return float(np.linalg.norm(y - x, axis=1).max() / _spread(x))


@dataclass(frozen=True, eq=False)
class TwinComparison:
    """How far two models are apart where there are data, and where there are none.

    Args:
        condition: The test condition.
        tests: An energy test per training condition, with Holm's correction.
        equivalence: Per training condition a test of H0 "the energy distance is the margin or more".
        gaps: Per training condition the largest distance between cells of one draw, see `Draws.gap`: rounding, for
            twins.
        test: The energy test at the test condition.
        distance: The energy distance there.
        mean_difference: Of the mean cells there, in the data's units.
        level: Of every test.
        margin: As a share of the mean distance between cells.
    """

    condition: str
    tests: CorrectedTests
    equivalence: dict[str, EquivalenceTest]
    gaps: dict[str, float]
    test: TwoSampleTest
    distance: EnergyEstimate
    mean_difference: float
    level: float
    margin: float

    @property
    def told_apart(self) -> tuple[str, ...]:
        """Training conditions at which a test tells the models apart, Holm's correction made."""
        return self.tests.rejected(self.level)

    @property
    def unmatched(self) -> tuple[str, ...]:
        """Training conditions at which a match within the margin is not shown; all must be, so no correction."""
        return tuple(name for name, found in self.equivalence.items() if found.p_value > self.level)

    @property
    def differs(self) -> bool:
        """Whether the models are told apart at the test condition."""
        return self.test.p_value <= self.level

    @property
    def holds(self) -> bool:
        """Whether the argument was seen to hold: alike at all training conditions, apart at the test condition."""
        return not self.told_apart and not self.unmatched and self.differs

    def in_words(self) -> str:
        """What was found, in two sentences."""
        return f"{self._training_in_words()}; {self._test_in_words()}"

    def _training_in_words(self) -> str:
        n, p = len(self.equivalence), min(self.tests.holm.values())
        if self.told_apart:
            return f"the models are told apart at training conditions {', '.join(self.told_apart)} (Holm p = {p:.2g})"
        if self.unmatched:
            return (
                f"a match within {self.margin:.0%} of the mean distance between cells is not shown at "
                f"{', '.join(self.unmatched)}: draw more cells"
            )
        return (
            f"no test tells the two models apart at {'any of ' if n > 1 else ''}{n} training condition"
            f"{'s' if n > 1 else ''} (least Holm p = {p:.2g}), each matches within {self.margin:.0%} of the mean "
            f"distance between cells (greatest p = {max(t.p_value for t in self.equivalence.values()):.1g})"
        )

    def _test_in_words(self) -> str:
        found = f"{self.distance.value:.3g} ({self.distance.value / self.distance.spread:.0%} of that distance)"
        if not self.differs:
            return f"at {self.condition} they are not told apart (p = {self.test.p_value:.2g}): ask for a larger effect"
        return (
            f"at {self.condition} their energy distance is {found}, p = {self.test.p_value:.2g}, and their means "
            f"differ by {self.mean_difference:.3g}"
        )

    def to_json(self) -> dict:
        """The record as plain values."""
        training = [
            {
                "condition": name,
                "p_value": self.tests.p_values[name],
                "holm": self.tests.holm[name],
                "energy_distance": found.value,
                "upper": found.upper,
                "margin": found.margin,
                "equivalence_p_value": found.p_value,
                "gap": self.gaps[name],
            }
            for name, found in self.equivalence.items()
        ]
        low, high = self.distance.interval
        test = {"condition": self.condition, "p_value": self.test.p_value, "energy_distance": self.distance.value}
        test |= {"low": low, "high": high, "spread": self.distance.spread, "mean_difference": self.mean_difference}
        return {"holds": self.holds, "level": self.level, "margin": self.margin, "training": training, "test": test}


def twins(
    model: Model,
    test: str | Sequence,
    *,
    train: Sequence[str] | np.ndarray | None = None,
    effect: float = 1.0,
    direction: np.ndarray | None = None,
    rng: object = 0,
) -> Twins:
    """A second model that every training condition confirms as well as the first.

    Args:
        model: A simulator or a fitted PDAE.
        test: A condition or label outside the span of the training labels.
        train: Training conditions or labels; those a PDAE was fitted on when absent.
        effect: The length of u > 0, in standard deviations of the base latent: those of Σ for a simulator, 1 for a
            PDAE, whose base latents are fitted to N(0, I).
        direction: (d_Z,) of u, in the model's latents; by default the one, of that length, that changes the mean cell
            at the test condition most (see `most_visible`).
        rng: Seed or generator of the cells that this is found out on.

    Raises:
        InputError: If the test condition is identified, or a departure of the simulator breaks the argument.

    References:
        Claim 2.6.

    Example:
        >>> from pdae_sim import LinearLatentModel
        >>> world = Simulator.random(LinearLatentModel.random(2, 3, rng=0), n_observed=5, rng=0)
        >>> pair = twins(world, "A+C", train=["ctrl", "A", "B"])
        >>> compare(draw(pair, n=200, rng=1), margin=0.2).holds
        True
    """
    space, root = _space(model), _root(model)
    labels = model.train_labels_ if train is None and isinstance(model, PDAE) else _exact(space, train)
    target = space.exact(test) if isinstance(test, str) else space.label(test)
    names = tuple(space.condition(label) for label in labels)
    name = space.condition(target)
    (certificate,) = check_span(labels, [target])
    if certificate.identified:
        raise InputError(
            f"{name!r} is identified, {certificate.in_words(name, names, space.names)}: models that fit the training "
            "conditions alike agree there; choose a condition that is not"
        )
    size = between("effect", effect, 0.0, math.inf)
    u = most_visible(model, target, size, rng=rng) if direction is None else _scaled(direction, root, size)
    second = _second(model, u, certificate.witness, labels, target)
    return Twins(model, second, names, name, certificate, u, size)


def most_visible(model: Model, label: str | np.ndarray, size: float, *, rng: object = 0) -> np.ndarray:
    """The move u (d_Z,) of a given length that changes the mean cell at a label most, to first order.

    With R the root of Σ and M = [(E f(z + size R_j) − E f(z − size R_j)) / 2 size]_j, a derivative taken over the whole
    move, u = ± size · R times the first right singular vector of M; the sign is the one that changes the mean more.

    Args:
        model: A simulator (f is before observation noise) or a fitted PDAE.
        label: The condition or label.
        size: In standard deviations of the base latent.
        rng: Seed or generator of 2,000 latents.
    """
    decode, z = _decoder_and_latents(model, _space(model).label(label), _random.seed_sequence(rng))
    R = _root(model)
    means = [[decode(z + sign * size * column).mean(0) for sign in (1, -1)] for column in R.T]
    M = np.array([(up - down) / (2 * size) for up, down in means])
    u = size * R @ np.linalg.svd(M.T, full_matrices=False)[2][0]
    at_rest = decode(z).mean(0)
    return max((u, -u), key=lambda move: float(np.linalg.norm(decode(z + move).mean(0) - at_rest)))


def draw(pair: Twins, *, n: int = 2000, rng: object = 0) -> Draws:
    """2 n cells of either model at every condition; half of the draws of each are compared.

    Args:
        pair: The two models.
        n: Cells a model and condition to compare.
        rng: Seed or generator; each condition has a stream of its own.
    """
    return draws(pair.first, pair.second, (*pair.train, pair.test), n=n, rng=rng)


def draws(first: Model, second: Model, conditions: Sequence[str], *, n: int = 2000, rng: object = 0) -> Draws:
    """The same of any two models, twins or not.

    Args:
        first: A simulator or a fitted PDAE.
        second: Another, with the same observed coordinates.
        conditions: The test condition last.
        n: Cells a model and condition to compare.
        rng: Seed or generator.
    """
    root, count = _random.seed_sequence(rng), 2 * whole("n", n, at_least=4)
    cells = ({c: _cells(model, c, count, root) for c in conditions} for model in (first, second))
    return Draws(*cells, resampled=isinstance(first, PDAE) or isinstance(second, PDAE))


def compare(
    cells: Draws, *, level: float = LEVEL, margin: float = MARGIN, n_permutations: int = 999, rng: object = 0
) -> TwinComparison:
    """Judge two models by their cells: alike at the training conditions, apart at the test condition?

    Args:
        cells: Drawn by `draw`.
        level: Of every test.
        margin: As a share of the mean distance between cells of the first model.
        n_permutations: Relabellings of each energy test; more are taken where Holm's correction needs them.
        rng: Seed or generator of the relabellings.

    Raises:
        InputError: If a fitted model has too few distinct cells, with the condition in front.
    """
    between("level", level, 0.0, 1.0)
    between("margin", margin, 0.0, math.inf)
    root, pairs = _random.seed_sequence(rng), {c: cells.apart(c) for c in cells.first}
    x, y = ({c: pairs[c][side] for c in cells.train} for side in (0, 1))
    enough = {"n_permutations": max(n_permutations, math.ceil(2 * len(x) / level))}
    tests = two_sample_tests(x, y, **enough, rng=_random.child(root, "training"))
    equivalence = {c: _equivalence(c, x[c], y[c], margin) for c in x}
    at_test = pairs[cells.test]
    return TwinComparison(
        cells.test,
        tests,
        equivalence,
        {c: cells.gap(c) for c in x},
        energy_test(*at_test, **enough, rng=_random.child(root, "test")),
        energy_estimate(*at_test),
        mean_difference(cells.second[cells.test], cells.first[cells.test]),
        level,
        margin,
    )


def _equivalence(condition: str, x: np.ndarray, y: np.ndarray, margin: float) -> EquivalenceTest:
    with naming(condition):
        return equivalence_test(x, y, margin * _spread(x))


def _spread(x: np.ndarray) -> float:
    return float(mean_distance(torch.from_numpy(np.array(x, dtype=np.float64))))


def _space(model: Model) -> LabelSpace:
    return model.space if isinstance(model, Simulator) else model.space_


def _exact(space: LabelSpace, train: Sequence[str] | np.ndarray | None) -> np.ndarray:
    if train is None:
        raise InputError("train must name the training conditions of a simulator")
    return np.array([space.exact(c) if isinstance(c, str) else space.label(c) for c in train], dtype=object)


def _root(model: Model) -> np.ndarray:
    """R (d_Z, d_Z) with R Rᵀ = Σ, its columns a standard deviation long."""
    if isinstance(model, Simulator):
        return np.linalg.cholesky(model.latent.covariance)
    return np.eye(len(model.perturbation_matrix_))


def _scaled(direction: np.ndarray, root: np.ndarray, size: float) -> np.ndarray:
    """The move along a direction with √(uᵀ Σ⁻¹ u) = size."""
    u = finite("direction", np.asarray(direction, dtype=np.float64))
    if u.shape != (len(root),) or not u.any():
        raise InputError(f"direction must have shape ({len(root)},) and not be zero; received {direction!r}")
    return size * u / np.linalg.norm(np.linalg.solve(root, u))


def _decoder_and_latents(
    model: Model, label: np.ndarray, root: np.random.SeedSequence
) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """f, with one draw of its noise for all calls, and latents at a label."""
    rng = _random.stream(root, "visible")
    if isinstance(model, Simulator):
        return model.decode, model.latent.draw(_VISIBLE_CELLS, label, rng=rng)[1]
    W = model.perturbation_matrix_
    z = rng.standard_normal((_VISIBLE_CELLS, len(W))) + W @ label
    return partial(model.decode, rng=_random.child(root, "noise")), z


def _second(model: Model, u: np.ndarray, v: np.ndarray, train: np.ndarray, test: np.ndarray) -> Model:
    if isinstance(model, Simulator):
        return second_simulator(model, u, witness=v, train=train, test=test)
    return second_pdae(model, u, witness=v, test=test)


def _cells(model: Model, condition: str, n: int, root: np.random.SeedSequence) -> np.ndarray:
    """The stream of a simulator is named by its label already, so that a joint sample has the same cells."""
    if isinstance(model, Simulator):
        return model.sample([condition], n, rng=root).data.x
    return model.sample(condition, n, rng=_random.child(root, condition))
