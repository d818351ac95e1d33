"""Scaling learnt in fit and undone in sample: a user never sees standardised units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdae_sim.data import PerturbationData


@dataclass(frozen=True, eq=False)
class Scaling:
    """x ↦ (x − centre) / scale by coordinate; a constant coordinate keeps scale 1.

    Args:
        centre: (d_X,) means over environments of the environments' means.
        scale: (d_X,) root mean square departures from the centre, each environment weighing the same.
    """

    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, data: PerturbationData, *, centred: bool = True) -> Scaling:
        """The scaling of training data, every environment with the same weight."""
        environments = [data.samples(e).astype(np.float64) for e in range(len(data.labels))]
        mean = np.mean([x.mean(0) for x in environments], axis=0)
        variance = np.mean([((x - mean) ** 2).mean(0) for x in environments], axis=0)
        floor = (4 * np.finfo(data.x.dtype).eps * np.abs(mean)) ** 2  # what rounding alone would leave
        return cls(mean if centred else np.zeros_like(mean), np.where(variance > floor, np.sqrt(variance), 1.0))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Standardised float32 cells."""
        return ((x - self.centre) / self.scale).astype(np.float32)

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """Cells in the data's units, float64."""
        return x.astype(np.float64) * self.scale + self.centre


@dataclass(frozen=True, eq=False)
class LabelScaling:
    """Doses divided by the largest training dose of their perturbation: units of a dose are no input.

    Args:
        unit: (K,) largest absolute training dose; 1 for a perturbation never seen.
    """

    unit: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray) -> LabelScaling:
        """The scaling of training labels (E, K)."""
        largest = np.abs(labels).max(0)
        return cls(np.where(largest > 0, largest, 1.0))

    def forward(self, labels: np.ndarray) -> np.ndarray:
        """Labels in internal units."""
        return labels / self.unit

    def matrix(self, internal: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Ŵ in the units of the labels, its rows projected on the span of the training labels.

        What lies outside that span was never fitted; it is set to zero rather than left at its starting value.
        """
        rows = self.forward(labels)
        return internal @ np.linalg.pinv(rows) @ rows / self.unit
