"""Exact span certificates at scale, against exact elimination with sympy.

Run: `python -m experiments.benchmarks.span [--tests 10000] [--rival-tests 40]`. Prints a table with machine and
versions. 500 perturbations, the control and 299 training conditions; half of the test labels are planted inside the
span (sums of training labels) and half have one unit of a random perturbation more. The rival eliminates [L | T] over
the rationals with sympy's `DomainMatrix`, all labels in one go: it decides the verdicts alone, without coefficients or
witnesses. It is timed on one label and on few, and the time for all is extrapolated as a line through the two. Seconds
are of processor time, one thread. Verdicts of both are compared on those few.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from sympy import ZZ
from sympy.polys.matrices import DomainMatrix

from experiments.benchmarks._table import machine, options, print_table
from experiments.benchmarks._timing import timed
from pdae_sim.analysis.span import check_span

K, M = 500, 300


def singles_and_doubles(rng: np.random.Generator) -> np.ndarray:
    """0/1 labels of one or two perturbations."""
    return _members(rng, [1, 2])


def many_at_a_time(rng: np.random.Generator) -> np.ndarray:
    """0/1 labels of one to twenty perturbations."""
    return _members(rng, range(1, 21))


def doses(rng: np.random.Generator) -> np.ndarray:
    """One to three perturbations at doses of 0.1, 0.2, …, 2.0."""
    return _members(rng, [1, 2, 3]) * rng.integers(1, 21, (M, K)) / 10


def _members(rng: np.random.Generator, sizes) -> np.ndarray:
    """Distinct labels (M, K) on the first 450 perturbations, the control first."""
    rows: dict[tuple, None] = {(): None}
    while len(rows) < M:
        rows[tuple(sorted(rng.choice(450, rng.choice(list(sizes)), replace=False).tolist()))] = None
    labels = np.zeros((M, K))
    for label, row in zip(labels, rows, strict=True):
        label[list(row)] = 1
    return labels


def tests(train: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Labels (n, K): the even rows inside the span, the odd ones moved by one unit of some perturbation."""
    labels = np.array([train[rng.choice(M, 3, replace=False)].sum(axis=0) for _ in range(n)])
    labels[1::2, rng.integers(0, K, n // 2)] += 1
    return np.round(labels, 1)


def inside_by_sympy(train: np.ndarray, labels: np.ndarray) -> list[bool]:
    """Whether each label is in the span, by one elimination of [L | T] in tenths."""
    columns = np.rint(10 * np.vstack([train[1:], labels])).astype(int).T.tolist()
    reduced, _, pivots = DomainMatrix(columns, (K, M - 1 + len(labels)), ZZ).rref_den()
    rank = sum(column < M - 1 for column in pivots)
    below = reduced.to_Matrix()[rank:, M - 1 :]
    return [not any(below[:, t]) for t in range(len(labels))]


def row(design: Callable, n: int, few: int) -> tuple:
    """One row of the table: labels inside, our seconds, the rival's, and what its line comes to at all labels."""
    rng = np.random.default_rng(0)
    train = design(rng)
    labels = tests(train, n, rng)
    ours, certificates = timed(partial(check_span, train, labels), time.process_time)
    first, _ = timed(partial(inside_by_sympy, train, labels[:1]), time.process_time)
    several, verdicts = timed(partial(inside_by_sympy, train, labels[:few]), time.process_time)
    assert verdicts == [c.identified for c in certificates[:few]]
    assert all(c.arithmetic == "exact" for c in certificates)
    each, inside = max(several - first, 0.0) / max(few - 1, 1), sum(c.identified for c in certificates)
    return design.__name__.replace("_", " "), inside, ours, first, each, first + each * (n - 1)


def main() -> None:
    """Print the table."""
    arguments = options(__doc__, tests=10_000, rival_tests=40)
    n, few = arguments.tests, arguments.rival_tests
    columns = {
        "training labels": "", "inside": "", "certificates, s": ".1f", "sympy, 1 label, s": ".2f",
        "each further, s": ".4f", "all, extrapolated, s": ",.0f",
    }  # fmt: skip
    title = f"{machine()}; {n} labels, K = {K}, {M} training conditions; rival on {few} labels"
    print_table(columns, (row(design, n, few) for design in (singles_and_doubles, doses, many_at_a_time)), title=title)


if __name__ == "__main__":
    main()
