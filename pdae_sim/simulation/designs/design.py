"""A design of experiments: labels to train on, labels held out, and the answer where it is planted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import finite
from pdae_sim._matrices import Locked
from pdae_sim.errors import InputError
from pdae_sim.labels import LabelSpace


@dataclass(frozen=True, eq=False)
class Design(Locked):
    """Training labels, test labels and, where it is planted, the answer.

    Args:
        train: (E, K) labels of the training environments; row 0 is the reference, usually the control.
        test: (T, K) labels held out; none when absent.
        planted: (T,) whether each test label lies in the span of the training labels, known by construction; None where
            the construction does not tell.
        rank: Rank of the training labels, counted from the first, where the construction tells it.

    Raises:
        InputError: If shapes disagree, train is empty, or a label occurs twice.

    Example:
        >>> design = Design([[0, 0], [1, 0], [0, 1]], [[1, 1]], [True])
        >>> design.conditions(LabelSpace(("A", "B"))) == ["ctrl", "A", "B", "A+B"]
        True
    """

    train: np.ndarray
    test: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    planted: np.ndarray | None = None
    rank: int | None = None

    @checked_numbers
    def __post_init__(self) -> None:
        train, test = _table("train", self.train), _table("test", self.test)
        if not train.size:
            raise InputError("train must hold at least one label, the reference")
        test = test if test.size else np.empty((0, train.shape[1]))
        if test.shape[1] != train.shape[1]:
            raise InputError(f"test must have {train.shape[1]} columns, as train; received {test.shape[1]}")
        _check_distinct(np.vstack([train, test]))
        planted = None if self.planted is None else np.array(self.planted, dtype=bool)
        if planted is not None and planted.shape != (len(test),):
            raise InputError(f"planted must have shape ({len(test)},); received {planted.shape}")
        for name, array in (("train", train), ("test", test), ("planted", planted)):
            if array is not None:
                array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def labels(self) -> np.ndarray:
        """(E + T, K): training labels, then test labels."""
        return np.vstack([self.train, self.test])

    @property
    def held_out(self) -> np.ndarray:
        """(E + T,) booleans: which rows of `labels` are test."""
        return np.arange(len(self.train) + len(self.test)) >= len(self.train)

    def conditions(self, space: LabelSpace) -> list[str]:
        """The rows of `labels` as condition strings of a label space."""
        return [space.condition(label) for label in self.labels]


def _table(name: str, labels: object) -> np.ndarray:
    """`labels` as a finite (n, K) float64 copy without negative zeros."""
    table = np.array(labels, dtype=np.float64) + 0.0
    if table.size and table.ndim != 2:
        raise InputError(f"{name} must have shape (n, K); received {table.shape}")
    return finite(name, table)


def _check_distinct(labels: np.ndarray) -> None:
    distinct, counts = np.unique(labels, axis=0, return_counts=True)
    if len(distinct) < len(labels):
        raise InputError(f"labels must differ; {distinct[counts > 1][0].tolist()} occurs {counts[counts > 1][0]} times")
