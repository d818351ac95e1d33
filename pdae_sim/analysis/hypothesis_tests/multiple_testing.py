"""Several tests at once, corrected for their number: Holm for any false rejection, BH for their share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import between, choice, listed, naming
from pdae_sim._random import SeedLike, child, seed_sequence
from pdae_sim.analysis.hypothesis_tests.two_sample import TwoSampleTest, energy_test, mmd_test
from pdae_sim.errors import InputError

_TESTS: dict[str, Callable[..., TwoSampleTest]] = {"energy": energy_test, "mmd": mmd_test}

_Test = TypeVar("_Test")


@dataclass(frozen=True)
class CorrectedTests(Generic[_Test]):
    """p-values of several hypotheses with their corrections, all by the name of the hypothesis.

    Args:
        p_values: As each test gave them.
        holm: Adjusted so that rejecting those ≤ α errs anywhere with probability ≤ α, whatever their dependence.
        bh: Adjusted so that of those ≤ q a share ≤ q is expected to be false, if independent or positively dependent.
        tests: The tests behind the p-values, where they were run here.
        skipped: Why other hypotheses could not be tested.

    Example:
        >>> adjust_p_values({"A": 0.01, "B": 0.2}).rejected()
        ('A',)
    """

    p_values: dict[str, float]
    holm: dict[str, float]
    bh: dict[str, float]
    tests: dict[str, _Test]
    skipped: dict[str, str] = field(default_factory=dict)

    def rejected(self, level: float = 0.05, *, correction: str = "holm") -> tuple[str, ...]:
        """The names whose corrected p-value is at most `level`, in the order given."""
        values = {"holm": self.holm, "bh": self.bh}[choice("correction", correction, ("holm", "bh"))]
        between("level", level, 0.0, 1.0)
        return tuple(name for name, value in values.items() if value <= level)

    def to_json(self) -> dict[str, object]:
        """p-values and corrections by name."""
        return {"p_values": self.p_values, "holm": self.holm, "bh": self.bh}


@checked_numbers
def adjust_p_values(
    p_values: Mapping[str, float],
    *,
    tests: Mapping[str, _Test] | None = None,
    skipped: Mapping[str, str] | None = None,
) -> CorrectedTests[_Test]:
    """Adjust p-values for their number, after Holm and after Benjamini and Hochberg.

    Args:
        p_values: By the name of the hypothesis.
        tests: The tests behind them, by the same names.
        skipped: Why other hypotheses could not be tested; they do not count.

    Raises:
        InputError: If a p-value is not a number in [0, 1].

    References:
        Holm (1979), Scand. J. Statist. 6; Benjamini & Hochberg (1995), JRSS B 57.

    Example:
        >>> adjust_p_values({"A": 0.01, "B": 0.04}).holm == {"A": 0.02, "B": 0.04}
        True
    """
    names, p = list(p_values), np.array(list(p_values.values()), dtype=np.float64)
    bad = [name for name, value in zip(names, p, strict=True) if not 0 <= value <= 1]
    if bad:
        raise InputError(f"p_values must lie in [0, 1]; received {p_values[bad[0]]!r} for {bad[0]!r}")
    own, holm, bh = (dict(zip(names, values.tolist(), strict=True)) for values in (p, _holm(p), _benjamini_hochberg(p)))
    return CorrectedTests(own, holm, bh, dict(tests or {}), dict(skipped or {}))


@checked_numbers
def two_sample_tests(
    predicted: Mapping[str, np.ndarray],
    observed: Mapping[str, np.ndarray],
    *,
    kind: str = "energy",
    n_permutations: int = 999,
    rng: SeedLike = None,
) -> CorrectedTests[TwoSampleTest]:
    """Run one two-sample test per environment and correct their p-values over all of them.

    Each environment draws its relabellings from a stream of its own name, whatever the others are.

    Args:
        predicted: (n_e, d) samples by condition, predicted from cells that are not in `observed`.
        observed: (m_e, d) samples by condition; the same conditions.
        kind: ``energy`` or ``mmd``.
        n_permutations: Relabellings per environment; Holm at level α over E of them needs more than E / α.
        rng: Whatever `numpy.random.default_rng` takes.

    Raises:
        InputError: If conditions differ, or as the test, with the condition in front.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(2, 100, 2))
        >>> observed = {"A": x[0, :50], "B": x[1, :50]}
        >>> predicted = {"A": x[0, 50:], "B": x[1, 50:] + 2.0}
        >>> two_sample_tests(predicted, observed, n_permutations=99, rng=0).rejected()
        ('B',)
    """
    if set(predicted) != set(observed):
        raise InputError(f"predicted and observed must have the same conditions; {_difference(predicted, observed)}")
    run, root = _TESTS[choice("kind", kind, _TESTS)], seed_sequence(rng)
    tests = {}
    for name in observed:
        with naming(name):
            tests[name] = run(
                predicted[name], observed[name], n_permutations=n_permutations, rng=child(root, "environment", name)
            )
    return adjust_p_values({name: test.p_value for name, test in tests.items()}, tests=tests)


def _holm(p: np.ndarray) -> np.ndarray:
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(steps)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def _benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    order = np.argsort(-p, kind="stable")
    steps = np.minimum.accumulate(p[order] * len(p) / np.arange(len(p), 0, -1))
    adjusted = np.empty_like(steps)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def _difference(predicted: Mapping, observed: Mapping) -> str:
    only = sorted(set(predicted) ^ set(observed), key=str)
    return f"in one of them only: {listed(only)}"
