"""Nested simulator states as JSON text and a table of arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def packed(tree: object) -> tuple[object, list[np.ndarray]]:
    """A nested state as JSON values, its arrays taken out and counted: ``{"array": 3}`` stands for the fourth."""
    arrays: list[np.ndarray] = []

    def walk(node: object) -> object:
        if isinstance(node, np.ndarray):
            arrays.append(node)
            return {"array": len(arrays) - 1}
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        return [walk(value) for value in node] if isinstance(node, (list, tuple)) else node

    return walk(tree), arrays


def unpacked(tree: object, arrays: Mapping[str, np.ndarray]) -> object:
    """The state that `packed` took apart."""
    if isinstance(tree, dict) and tree.keys() == {"array"}:
        return np.asarray(arrays[str(tree["array"])])
    if isinstance(tree, dict):
        return {key: unpacked(value, arrays) for key, value in tree.items()}
    return [unpacked(value, arrays) for value in tree] if isinstance(tree, list) else tree


def observed_by(simulator: Mapping) -> list[str]:
    """The kinds of noise, counting and transform between f(z) and x, in order, from a simulator's state."""
    observation = simulator.get("observation", {"kind": "none"})
    return [step["kind"] for step in observation.get("steps", [observation])]
