"""Exact span certificates at scale, against exact elimination with sympy.

Run: `python -m experiments.benchmarks.span [--tests 10000] [--rival-tests 40]`. Prints a table with machine and
versions. 500 perturbations, the control and 299 training conditions; half of the test labels are planted inside the
span (sums of training labels) and half have one unit of a random perturbation more. The rival eliminates [L | T] over
the rationals with sympy's `DomainMatrix`, all labels in one go: it decides the verdicts alone, without coefficients or
witnesses. It is timed on one label and on few, and the time for all is extrapolated as a line through the two. Seconds
are of processor time, one thread. Verdicts of both are compared on those few.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sympy import ZZ
from sympy.polys.matrices import DomainMatrix

from experiments.benchmarks.machine import describe
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


def inside_by_sympy(train: np.ndarray, labels: np.ndarray) -> tuple[list[bool], float]:
    """Whether each label is in the span, by one elimination of [L | T] in tenths, and the seconds it took."""
    columns = np.rint(10 * np.vstack([train[1:], labels])).astype(int).T.tolist()
    start = time.process_time()
    reduced, _, pivots = DomainMatrix(columns, (K, M - 1 + len(labels)), ZZ).rref_den()
    rank = sum(column < M - 1 for column in pivots)
    below = reduced.to_Matrix()[rank:, M - 1 :]
    return [not any(below[:, t]) for t in range(len(labels))], time.process_time() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=10_000)
    parser.add_argument("--rival-tests", type=int, default=40)
    given = parser.parse_args()
    print(
        f"{describe()}; {given.tests} labels, K = {K}, {M} training conditions; rival on {given.rival_tests} labels\n"
    )
    head = "| training labels | inside | certificates, s | sympy, 1 label, s | each further, s | all, extrapolated, s |"
    print(f"{head}\n|---|---|---|---|---|---|")
    for design in (singles_and_doubles, doses, many_at_a_time):
        rng = np.random.default_rng(0)
        train = design(rng)
        labels = tests(train, given.tests, rng)
        start = time.process_time()
        certificates = check_span(train, labels)
        ours = time.process_time() - start
        first = inside_by_sympy(train, labels[:1])[1]
        verdicts, several = inside_by_sympy(train, labels[: given.rival_tests])
        each = max(several - first, 0.0) / max(given.rival_tests - 1, 1)
        assert verdicts == [c.identified for c in certificates[: given.rival_tests]]
        assert all(c.arithmetic == "exact" for c in certificates)
        inside, name = sum(c.identified for c in certificates), design.__name__.replace("_", " ")
        theirs = f"{first:.2f} | {each:.4f} | {first + each * (given.tests - 1):,.0f}"
        print(f"| {name} | {inside} | {ours:.1f} | {theirs} |", flush=True)


if __name__ == "__main__":
    main()
