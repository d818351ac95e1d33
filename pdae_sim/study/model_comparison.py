"""Two models compared by their cells: alike at the training conditions, apart at a test condition?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from pdae_sim import _random
from pdae_sim._arguments import checked
from pdae_sim._checks import between, listed, naming
from pdae_sim._random import SeedLike
from pdae_sim.analysis.hypothesis_tests.multiple_testing import CorrectedTests, two_sample_tests
from pdae_sim.analysis.hypothesis_tests.two_sample import EquivalenceTest, TwoSampleTest, energy_test, equivalence_test
from pdae_sim.analysis.prediction_error import EnergyEstimate, energy_estimate, mean_difference
from pdae_sim.energy import mean_distance

_LEVEL, _MARGIN = 0.01, 0.03


@dataclass(frozen=True, eq=False)
class PairedSamples:
    """Cells of two models by condition, row for row from the same draws of everything random.

    Args:
        first: (2 n, d_X) cells of the first model by condition, the test condition last.
        second: (2 n, d_X) cells of the second model by condition.
        resampled: Whether a row may come twice because a model draws its base latents with replacement.

    Example:
        >>> x = {"ctrl": np.zeros((4, 1)), "A": np.ones((4, 1))}
        >>> samples = PairedSamples(x, {"ctrl": x["ctrl"], "A": x["A"] + 1})
        >>> samples.test == "A" and [len(side) for side in samples.apart("A")] == [2, 2]
        True
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
class ModelComparison:
    """How far two models are apart where there are data, and where there are none.

    Args:
        condition: The test condition.
        tests: An energy test per training condition, with Holm's correction.
        equivalence: Per training condition a test of H0 "the energy distance is the margin or more".
        gaps: Per training condition the largest distance between cells of one draw, see `PairedSamples.gap`: rounding
            for a counterexample.
        test: The energy test at the test condition.
        distance: The energy distance there.
        mean_difference: Distance of the mean cells there, in the data's units.
        level: Level of every test.
        margin: Energy distance of a match, as a share of the mean distance between cells.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(80, 1))
        >>> samples = PairedSamples({"ctrl": x, "A": x}, {"ctrl": x, "A": x + 3})
        >>> compare_models(samples, margin=0.5, n_permutations=99, rng=0).differs
        True
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
        return tuple(name for name, test in self.equivalence.items() if test.p_value > self.level)

    @property
    def differs(self) -> bool:
        """Whether the models are told apart at the test condition."""
        return self.test.p_value <= self.level

    @property
    def holds(self) -> bool:
        """Whether the argument was seen to hold: alike at all training conditions, apart at the test condition."""
        return not self.told_apart and not self.unmatched and self.differs

    def in_words(self) -> str:
        """The comparison in two clauses: training conditions, test condition."""
        return f"{self._training_in_words()}; {self._test_in_words()}"

    def _training_in_words(self) -> str:
        n, p = len(self.equivalence), min(self.tests.holm.values())
        if self.told_apart:
            return f"the models are told apart at training conditions {listed(self.told_apart)} (Holm p = {p:.2g})"
        if self.unmatched:
            return (
                f"a match within {self.margin:.0%} of the mean distance between cells is not shown at "
                f"{listed(self.unmatched)}: draw more cells"
            )
        return (
            f"no test tells the two models apart at {'any of ' if n > 1 else ''}{n} training condition"
            f"{'s' if n > 1 else ''} (least Holm p = {p:.2g}), each matches within {self.margin:.0%} of the mean "
            f"distance between cells (greatest p = {max(t.p_value for t in self.equivalence.values()):.1g})"
        )

    def _test_in_words(self) -> str:
        distance = f"{self.distance.value:.3g} ({self.distance.value / self.distance.spread:.0%} of that distance)"
        if not self.differs:
            return f"at {self.condition} they are not told apart (p = {self.test.p_value:.2g}): ask for a larger effect"
        return (
            f"at {self.condition} their energy distance is {distance}, p = {self.test.p_value:.2g}, and their means "
            f"differ by {self.mean_difference:.3g}"
        )

    def to_json(self) -> dict:
        """The record as plain values."""
        training = [
            {
                "condition": name,
                "p_value": self.tests.p_values[name],
                "holm": self.tests.holm[name],
                "energy_distance": test.value,
                "upper": test.upper,
                "margin": test.margin,
                "equivalence_p_value": test.p_value,
                "gap": self.gaps[name],
            }
            for name, test in self.equivalence.items()
        ]
        low, high = self.distance.interval
        unseen = {"condition": self.condition, "p_value": self.test.p_value, "energy_distance": self.distance.value}
        unseen |= {"low": low, "high": high, "spread": self.distance.spread, "mean_difference": self.mean_difference}
        return {"holds": self.holds, "level": self.level, "margin": self.margin, "training": training, "test": unseen}


@checked
def compare_models(
    samples: PairedSamples,
    *,
    level: float = _LEVEL,
    margin: float = _MARGIN,
    n_permutations: int = 999,
    rng: SeedLike = None,
) -> ModelComparison:
    """Judge two models by their cells: alike at the training conditions, apart at the test condition?

    Args:
        samples: Cells of both models.
        level: Level of every test, in (0, 1).
        margin: Energy distances below this share of E‖X − X'‖, the mean distance of two cells of the first model,
            count as a match: an experiment of 1 / 0.03 = 33 cells would be as far from the law it samples.
        n_permutations: Relabellings of each energy test; more are taken where Holm's correction needs them.
        rng: Whatever `numpy.random.default_rng` takes, for the relabellings.

    Raises:
        InputError: If a fitted model has too few distinct cells, with the condition in front.

    Example:
        >>> x, y = np.random.default_rng(0).normal(size=(2, 80, 1))
        >>> comparison = compare_models(PairedSamples({"ctrl": x, "A": y}, {"ctrl": x, "A": y}), margin=0.5, rng=0)
        >>> comparison.differs, comparison.told_apart
        (False, ())
    """
    between("level", level, 0.0, 1.0)
    between("margin", margin, 0.0, math.inf)
    root, pairs = _random.seed_sequence(rng), {c: samples.apart(c) for c in samples.first}
    x, y = ({c: pairs[c][side] for c in samples.train} for side in (0, 1))
    enough = max(n_permutations, math.ceil(2 * len(x) / level))  # Holm's least p-value is len(x) / (enough + 1)
    tests = two_sample_tests(x, y, n_permutations=enough, rng=_random.child(root, "training"))
    equivalence = {c: _equivalence(c, x[c], y[c], margin) for c in x}
    at_test = pairs[samples.test]
    return ModelComparison(
        samples.test,
        tests,
        equivalence,
        {c: samples.gap(c) for c in x},
        energy_test(*at_test, n_permutations=enough, rng=_random.child(root, "test")),
        energy_estimate(*at_test),
        mean_difference(samples.second[samples.test], samples.first[samples.test]),
        level,
        margin,
    )


def _equivalence(condition: str, x: np.ndarray, y: np.ndarray, margin: float) -> EquivalenceTest:
    with naming(condition):
        return equivalence_test(x, y, margin * _spread(x))


def _spread(x: np.ndarray) -> float:
    return float(mean_distance(torch.from_numpy(np.array(x, dtype=np.float64))))
