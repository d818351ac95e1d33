"""Effective cells in named worlds whose cells are noisy: an oracle's interval and that of a fit, beside the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from experiments.benchmarks._noise_oracle import information, shift_matrix, true_matrix
from experiments.benchmarks._table import print_table
from pdae_sim import PDAE, PerturbationData, Simulation
from pdae_sim.analysis.support import ShiftError, Support, supports
from pdae_sim.simulation.worlds import world

WORLDS = ("noisy", "heteroscedastic", "proteins", "dropout", "counts")
ESTIMATES = ("oracle", "oracle, J = I", "fit", "fit, J = I", "fit, true J")

Fit = Callable[[PerturbationData, int], PDAE]


def fitted_pdae(data: PerturbationData, seed: int) -> PDAE:
    """The default with two latents."""
    return PDAE(2, random_state=seed).fit(data)


def measure_noisy(seed: int) -> dict[str, dict[str, object]]:
    """Measurements of every named world, by its name."""
    return {name: measure(name, seed) for name in WORLDS}


def measure(name: str, seed: int, *, fit: Fit | None = fitted_pdae) -> dict[str, object]:
    """The truth, every estimate of the effective cells at the held-out double, and J by the fit and in truth.

    Args:
        name: One of `WORLDS`.
        seed: Of world and fit.
        fit: How a model is fitted; None leaves fits out.
    """
    config = world(name, ("design.test_cells=16",), seed=seed)
    simulation, simulator = config.simulate(), config.simulator()
    W = true_matrix(simulator)
    J, W_oracle = information(simulator, simulation.data), shift_matrix(simulator, simulation.data, steps=1)
    found: dict[str, object] = {"truth": _support(simulation, W, None).effective_cells}
    found["oracle"] = _judged(simulation, W_oracle, J, np.inf)  # who knows f knows the scale of the latents
    found["oracle, J = I"] = _judged(simulation, W_oracle, None, np.inf)
    if fit is not None:
        model = fit(simulation.data, seed)
        W_hat, own = model.perturbation_matrix_, model.information_
        for estimate, used in (("fit", own), ("fit, J = I", None), ("fit, true J", turned(J, W_hat, W))):
            found[estimate] = _judged(simulation, W_hat, used)
        found["left by fit / true"] = float(np.trace(np.eye(2) - own) / max(2 - np.trace(J), 1e-3))
    return found | {"true J": float(np.trace(J) / 2)}


def _support(simulation: Simulation, W: np.ndarray, error: ShiftError | None) -> Support:
    train, test = simulation.data.train, simulation.data.test
    (support,) = supports(train.labels, test.labels, counts=train.counts, perturbation_matrix=W, error=error)
    return support


def _judged(
    simulation: Simulation, W: np.ndarray, J: np.ndarray | None, degrees: float | None = None
) -> tuple[float, float, float]:
    """Effective cells with the ends of their interval."""
    train = simulation.data.train
    support = _support(simulation, W, ShiftError.of(train.labels, train.counts, degrees=degrees, information=J))
    assert support.interval is not None, "an estimate with an error has an interval"
    return support.effective_cells, *support.interval


def turned(J: np.ndarray, W_hat: np.ndarray, W: np.ndarray) -> np.ndarray:
    """J of the true latents as that of a fit's, by the rotation between their matrices."""
    U, _, Vh = np.linalg.svd(W_hat @ W.T)
    return (U @ Vh) @ J @ (U @ Vh).T


def print_noisy(rows: Mapping[str, Sequence[Mapping]]) -> None:
    """Print coverage, bias and width of every interval, by world.

    Args:
        rows: What `measure` returned, by the name of the world.
    """

    def lines() -> Iterator[tuple]:
        for name, found in rows.items():
            truth = np.array([row["truth"] for row in found])
            for estimate in (e for e in ESTIMATES if e in found[0]):
                value, low, high = np.array([row[estimate] for row in found]).T
                held = int(((low <= truth) & (truth <= high)).sum())
                width = np.median((high - low) / truth)
                yield name, estimate, truth[0], np.median(value), f"{held} of {len(found)}", width
            J = np.mean([row["true J"] for row in found])
            ratio = np.median([row["left by fit / true"] for row in found if "left by fit / true" in row] or [np.nan])
            yield name, f"mean share of information {J:.3f}; 1 − J by fit / true {ratio:.2f}", None, None, None, None

    columns = {"world": "", "estimate": "", "truth": ".0f", "median": ".0f", "intervals that hold it": ""}
    print_table({**columns, "median width / truth": ".3f"}, lines(), title="Effective cells at A+B through noise")
