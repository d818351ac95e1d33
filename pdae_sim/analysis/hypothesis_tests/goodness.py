"""Goodness of fit of a model, in four parts, each with a test and with a worth in cells.

    transport   cells of the *other* environments moved to h, against cells of h: the whole model, one test by h.
                From an environment to itself the shift would cancel, and any Ŵ pass.
    shifts      base latents g(x) − Ŵ l have one law in every environment: Ŵ, and that effects add.
    base        that law is N(0, I), read off the reference, where l = 0 and Ŵ has no say: d_Z, and that latents are
                identified better than up to an affine map.
    decoder     f̂(g(x)) of half of the cells of h against the other half: the decoder, by h.

Where shifts and decoder hold so does transport, in law: f̂(g(x_e) + Ŵ(l_h − l_e)) has the law of f̂(g(x_h)). The parts
say which link is broken; `transport` says what it costs. Where shifts are at fault, conditions at which the spread of
latents changes are named, and whether there is a fault beyond that, once all have the spread of all.

All cells must be new to the model. Then every p-value is exact for the model as it is. No fitted model is exactly
right: with cells enough each of them is told apart from the truth, so that beside each test stand its worth, the number
of measured cells that would do as well, and a test for being worth more than a stated number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import at_least, between, choice, naming, repetitions
from pdae_sim._random import SeedLike, child, seed_sequence, stream
from pdae_sim.analysis.hypothesis_tests.latent_law import (
    LawTest,
    SpreadTest,
    common_law_test,
    equal_spread,
    normal_law_test,
    spread_tests,
)
from pdae_sim.analysis.hypothesis_tests.multiple_testing import CorrectedTests, adjust_p_values
from pdae_sim.analysis.hypothesis_tests.two_sample import (
    _EQUIVALENCE_ROWS,
    EquivalenceTest,
    TwoSampleTest,
    _equivalence,
    energy_test,
    refuse_shared_rows,
)
from pdae_sim.analysis.prediction_error import Worth, energy_estimate, worth
from pdae_sim.errors import InputError

ALL_CONDITIONS = "all conditions"
"""Name of a test of all conditions at once, where other tests have the name of theirs."""


class ModelPart(StrEnum):
    """The parts of a goodness of fit: what is compared in each is said at the head of this module.

    Example:
        >>> [str(part) for part in ModelPart]
        ['transport', 'shifts', 'base', 'decoder']
    """

    TRANSPORT = "transport"
    SHIFTS = "shifts"
    BASE = "base"
    DECODER = "decoder"


_FAULTS = {
    ModelPart.TRANSPORT: "cells transported from other conditions differ from cells measured",
    ModelPart.SHIFTS: "base latents differ between conditions: Ŵ is wrong, effects do not add, or g misses the latents",
    ModelPart.BASE: "base latents are not N(0, I): the number of latents is wrong, or latents are known up to an "
    "affine map only",
    ModelPart.DECODER: "cells encoded and decoded differ from cells: the decoder is trained too little, or latents are "
    "too few",
}

_NAMED = 3  # conditions at most that a sentence names

MIN_CELLS_PER_CONDITION = 8
"""Fewest cells of every condition: halves of four are the smallest samples that can be judged."""


@dataclass(frozen=True, eq=False)
class FitSamples:
    """Cells that a model transports, encodes and decodes, beside the disjoint cells they are compared with.

    Args:
        transported: By condition h: cells (n, d_X) of other conditions moved to h.
        observed: By condition h: cells (m, d_X) of h.
        base: By condition: base latents g(x) − Ŵ l (n, d_Z).
        reference: g(x) (n, d_Z) of cells with label zero, under the name of that condition; where there are none,
            base latents of all conditions under `ALL_CONDITIONS`.
        decoded: By condition: f̂(g(x)) (n, d_X) of half of its cells.
        kept: By condition: the other half (m, d_X).

    Raises:
        InputError: If the samples are not of the same two or more conditions.

    Example:
        >>> x = {"ctrl": np.zeros((8, 1)), "A": np.ones((8, 1))}
        >>> FitSamples(x, x, x, {"ctrl": np.zeros((8, 1))}, x, x).base["A"].shape
        (8, 1)
    """

    transported: Mapping[str, np.ndarray]
    observed: Mapping[str, np.ndarray]
    base: Mapping[str, np.ndarray]
    reference: Mapping[str, np.ndarray]
    decoded: Mapping[str, np.ndarray]
    kept: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        names, parts = set(self.base), (self.transported, self.observed, self.decoded, self.kept)
        if len(names) < 2 or any(set(part) != names for part in parts):
            raise InputError("transported, observed, base, decoded and kept need the same two or more conditions")
        if len(self.reference) != 1:
            raise InputError(f"reference must hold one sample; received {len(self.reference)}")


@dataclass(frozen=True, eq=False)
class PartGoodness:
    """Tests, worths and equivalence tests of one part of a model.

    Args:
        name: The part.
        tests: p-values by condition, or under `ALL_CONDITIONS`, corrected over them.
        worth: n_eff by condition, or under `ALL_CONDITIONS`.
        equivalence: Test of H0 "worth no more than the stated cells", by condition, or under `ALL_CONDITIONS`.

    Example:
        >>> PartGoodness(ModelPart.SHIFTS, adjust_p_values({"A": 0.01, "B": 0.04}), {}, {}).p_value
        0.02
    """

    name: ModelPart
    tests: CorrectedTests[TwoSampleTest]
    worth: dict[str, Worth]
    equivalence: dict[str, EquivalenceTest]

    @property
    def p_value(self) -> float:
        """Least of Holm's p-values: the p-value of the part as a whole."""
        return min(self.tests.holm.values())

    @property
    def least(self) -> str:
        """The condition where the model is worth least."""
        return min(self.worth, key=lambda name: (self.worth[name].value, self.worth[name].interval.low))

    @property
    def equivalence_p_value(self) -> float:
        """Small where the model is worth more than the stated cells in every condition (intersection–union)."""
        return max(test.p_value for test in self.equivalence.values())


@dataclass(frozen=True, eq=False)
class GoodnessOfFit:
    """Goodness of fit of a model on cells it has not seen, part by part.

    Args:
        parts: By name, in the order of `ModelPart`.
        holm: p-values of the parts, corrected for their number.
        cells: What equivalence asks: worth more than so many cells.
        base_mean: (d_Z,) mean of the base latents of the reference.
        base_variances: (d_Z,) eigenvalues of their covariance, ascending; all one under the model.
        spread: By condition, whether the covariance of its base latents is that of the others.
        beyond_spread: Whether base latents have one law once each condition has the covariance of all.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(2, 5, 10, 1))
        >>> by_part = [dict(zip(("ctrl", "A"), part)) for part in x.swapaxes(0, 1)]
        >>> fit = goodness_of_fit(FitSamples(*by_part[:3], {"ctrl": x[0, 2]}, *by_part[3:]), n_resamples=99, rng=0)
        >>> list(fit.parts) == list(ModelPart)
        True
    """

    parts: dict[ModelPart, PartGoodness]
    holm: dict[ModelPart, float]
    cells: float
    base_mean: np.ndarray
    base_variances: np.ndarray
    spread: dict[str, SpreadTest]
    beyond_spread: LawTest

    def faults(self, level: float = 0.05) -> tuple[ModelPart, ...]:
        """The parts told apart from the truth; a right model has any with at most the probability `level`."""
        between("level", level, 0.0, 1.0)
        return tuple(name for name, p_value in self.holm.items() if p_value <= level)

    def threshold(self, name: str, level: float = 0.05) -> float:
        """Greatest p-value that Holm's method rejects in a part, if the part is at fault.

        The k-th smallest of the parts has to reach level / (parts − k + 1), and within it conditions step alike.
        """
        part, faults = self.parts[ModelPart(choice("name", name, ModelPart))], self.faults(level)
        before = sum(self.parts[other].p_value < part.p_value for other in faults)
        share, E = level / (len(self.parts) - before), len(part.tests.holm)
        passed = sum(p_value <= share for p_value in part.tests.holm.values())
        return share / (E - min(passed, E - 1))

    def is_worth_it(self, level: float = 0.05) -> bool:
        """Whether transported cells are worth more than the stated number in every condition."""
        return self.parts[ModelPart.TRANSPORT].equivalence_p_value <= level

    def in_words(self, level: float = 0.05) -> str:
        """Whether the model was told apart from the truth, by which part, and what it is worth all the same."""
        return f"{self._faults_in_words(level)}; {self._worth_in_words(level)}"

    def to_json(self) -> dict[str, object]:
        """Faults, sentences and a row for every comparison, as plain values."""
        return {
            "faults": list(self.faults()),
            "in_words": self.in_words(),
            "cells": self.cells,
            "base_mean": self.base_mean.tolist(),
            "base_variances": self.base_variances.tolist(),
            "spread": {name: test.to_json() for name, test in self.spread.items()},
            "beyond_spread": self.beyond_spread.to_json(),
            "rows": [row for part in self.parts.values() for row in self._rows(part)],
        }

    def _rows(self, part: PartGoodness) -> list[dict[str, object]]:
        """A row for every comparison; where one test is of all conditions its p-value stands in a row of its own."""
        conditions = dict.fromkeys([*part.tests.p_values, *part.worth])
        return [_row(part, condition, self.holm[part.name]) for condition in conditions]

    def _faults_in_words(self, level: float) -> str:
        faults = self.faults(level)
        if not faults:
            return f"not told apart from the truth (p = {min(self.holm.values()):.2g} over all parts)"
        if faults == (ModelPart.TRANSPORT,):
            fault = self._fault(ModelPart.TRANSPORT, level)
            return f"told apart from the truth: {fault}, though no part on its own does it"
        inner = [name for name in faults if name != ModelPart.TRANSPORT]
        return "told apart from the truth: " + "; ".join(self._fault(name, level) for name in inner)

    def _fault(self, name: ModelPart, level: float) -> str:
        part = self.parts[name]
        evidence = f"p = {self.holm[name]:.2g}"
        if name == ModelPart.BASE:
            low, high = self.base_variances[[0, -1]]
            evidence += f"; variances {low:.2g} to {high:.2g}, mean {np.linalg.norm(self.base_mean):.2g} from zero"
        elif part.least != ALL_CONDITIONS:
            evidence += f"; most at {part.least}"
        if name == ModelPart.SHIFTS and (
            changed := [name for name, test in self.spread.items() if test.p_value <= level]
        ):
            return f"{self._spread_in_words(changed, level)} ({evidence})"
        return f"{_FAULTS[name]} ({evidence})"

    def _spread_in_words(self, changed: Sequence[str], level: float) -> str:
        """The conditions at which spread changes, most changed first, and what is wrong beyond that."""
        order = sorted(changed, key=lambda name: -abs(np.log(self.spread[name].ratio)))
        told = ", ".join(self.spread[name].in_words(name) for name in order[:_NAMED])
        more = f" and at {len(order) - _NAMED} more" if len(order) > _NAMED else ""
        beyond = self.beyond_spread.p_value
        rest = _FAULTS[ModelPart.SHIFTS] if beyond <= level else "no other difference of base latents was found"
        return f"{told}{more}; beyond that {rest} (p = {beyond:.2g})"

    def _worth_in_words(self, level: float) -> str:
        part = self.parts[ModelPart.TRANSPORT]
        worst = f"transported cells are {part.worth[part.least].in_words()} at {part.least}, the least of all"
        enough = "" if self.is_worth_it(level) else "not shown to be "
        return f"{worst}, and {enough}worth more than {self.cells:g} everywhere"


@checked_numbers
def goodness_of_fit(
    samples: FitSamples, *, cells: float = 100, n_resamples: int = 999, rng: SeedLike = None
) -> GoodnessOfFit:
    """Judge a model by its transported, encoded and decoded cells.

    Args:
        samples: Cells of the model beside cells it has not seen.
        cells: The worth that equivalence asks for: its margin is the energy distance E‖Y − Y'‖ / cells.
        n_resamples: Relabellings and redraws of each test, at least; tests by condition use 400 per condition or more.
            A part of E tests with n redraws cannot be at fault at a level below 4 E / (n + 1).
        rng: Whatever `numpy.random.default_rng` takes.

    Raises:
        InputError: If conditions differ, shapes disagree or samples share cells, with the condition in front.

    References:
        Theory, claims 2.1 and 2.3 for what must hold; Holm (1979) over conditions and again over parts.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(2, 5, 60, 1))
        >>> by_part = [dict(zip(("ctrl", "A"), part)) for part in x.swapaxes(0, 1)]
        >>> samples = FitSamples(*by_part[:3], {"ctrl": x[0, 2]}, *by_part[3:])
        >>> goodness_of_fit(samples, rng=0).faults()
        ()
    """
    at_least("cells", cells, 1.0)
    repetitions("n_resamples", n_resamples, at_least=19)
    root, settings = seed_sequence(rng), _Settings(cells, max(n_resamples, 400 * len(samples.base)))
    parts = (
        _by_condition(
            ModelPart.TRANSPORT, samples.transported, samples.observed, settings, child(root, ModelPart.TRANSPORT)
        ),
        _shifts(samples.base, cells, n_resamples, child(root, ModelPart.SHIFTS)),
        _base(samples.reference, cells, n_resamples, child(root, ModelPart.BASE)),
        _by_condition(ModelPart.DECODER, samples.decoded, samples.kept, settings, child(root, ModelPart.DECODER)),
    )
    (reference,) = samples.reference.values()
    variances = np.linalg.eigvalsh(np.atleast_2d(np.cov(reference.T)))
    holm = adjust_p_values({part.name: part.p_value for part in parts}).holm
    by_part = {part.name: holm[part.name] for part in parts}
    return GoodnessOfFit(
        {part.name: part for part in parts},
        by_part,
        cells,
        reference.mean(0),
        variances,
        spread_tests(samples.base, rng=child(root, "spread")),
        common_law_test(equal_spread(samples.base), n_permutations=n_resamples, rng=child(root, "beyond spread")),
    )


@dataclass(frozen=True)
class _Settings:
    cells: float
    n_permutations: int


def _by_condition(
    name: ModelPart,
    made: Mapping[str, np.ndarray],
    measured: Mapping[str, np.ndarray],
    settings: _Settings,
    root: np.random.SeedSequence,
) -> PartGoodness:
    """A two-sample test, a worth and an equivalence test for every condition."""
    tests, values, matches = {}, {}, {}
    for h in measured:
        with naming(f"{name}, {h}"):
            tests[h] = energy_test(
                made[h], measured[h], n_permutations=settings.n_permutations, rng=child(root, "environment", h)
            )
            values[h], matches[h] = _practical(made[h], measured[h], settings.cells)
    corrected = adjust_p_values({h: t.p_value for h, t in tests.items()}, tests=tests)
    return PartGoodness(name, corrected, values, matches)


def _shifts(
    base: Mapping[str, np.ndarray], cells: float, n_resamples: int, root: np.random.SeedSequence
) -> PartGoodness:
    """One test of all conditions; worth and equivalence of each against the others."""
    test = common_law_test(base, n_permutations=n_resamples, rng=root)
    values, matches = {}, {}
    for h in base:
        with naming(f"{ModelPart.SHIFTS}, {h}"):
            others = np.vstack([z for e, z in base.items() if e != h])
            values[h], matches[h] = _practical(others, base[h], cells)
    return PartGoodness(ModelPart.SHIFTS, adjust_p_values({ALL_CONDITIONS: test.p_value}), values, matches)


def _base(
    reference: Mapping[str, np.ndarray], cells: float, n_resamples: int, root: np.random.SeedSequence
) -> PartGoodness:
    """Base latents against N(0, I): in closed form for the test, by draws of it for the worth."""
    ((name, z),) = reference.items()
    test = normal_law_test(z, n_resamples=n_resamples, rng=root)
    with naming(f"{ModelPart.BASE}, {name}"):
        value, match = _practical(z, stream(root, "worth").standard_normal(z.shape), cells)
    return PartGoodness(ModelPart.BASE, adjust_p_values({name: test.p_value}), {name: value}, {name: match})


def _practical(made: np.ndarray, measured: np.ndarray, cells: float) -> tuple[Worth, EquivalenceTest]:
    estimate = energy_estimate(made, measured, spectrum_rows=_EQUIVALENCE_ROWS)
    if not estimate.spread > 0:
        raise InputError("latents or cells must vary to be worth something; the encoder or the decoder has collapsed")
    refuse_shared_rows(made, measured)
    return worth(estimate), _equivalence(estimate, estimate.spread / cells)


def _row(part: PartGoodness, condition: str, holm_of_part: float) -> dict[str, object]:
    worth, match = part.worth.get(condition), part.equivalence.get(condition)
    return {
        "part": part.name,
        "condition": condition,
        "p_value": part.tests.p_values.get(condition),
        "holm": part.tests.holm.get(condition),
        "holm_of_part": holm_of_part,
        **(dict.fromkeys(("n_eff", "n_eff_low", "n_eff_high")) if worth is None else worth.to_json()),
        "equivalence_p_value": match and match.p_value,
    }
