"""Sources of the base latents of a prediction: the prior, or the cells of some training conditions."""

from __future__ import annotations

import numpy as np

SOURCES = ("model", "near", "parts", "reference", "pool")
"""N(0, I), or those of cells: of the nearest training condition, of those that share a part with the label and have no
other, of the control, of all."""


def environment_weights(source: str, label: np.ndarray, labels: np.ndarray, W: np.ndarray) -> np.ndarray:
    """(E,) weights of the training environments as sources of base latents for a label; they add to one.

    Args:
        source: One of `SOURCES`; with ``model`` they are where totals of counts are drawn from.
        label: (K,) to be predicted.
        labels: (E, K) of the training environments.
        W: (d_Z, K) Ŵ.
    """
    chosen = np.ones(len(labels), bool)
    if source == "near":
        distances = np.linalg.norm((labels - label) @ W.T, axis=1)
        chosen = distances <= distances.min() * (1 + 1e-9)
    elif source == "parts":
        parts = ((labels != 0) & (label != 0)).any(1) & ~((labels != 0) & (label == 0)).any(1)
        chosen = parts if parts.any() else chosen
    elif source == "reference":
        zero = (labels == 0).all(1)
        chosen = zero if zero.any() else np.arange(len(labels)) == 0
    return chosen / chosen.sum()
