"""What the error off the support is made of: of the decoder, of the latents, of the shift, or of chance.

Run: `python -m experiments.benchmarks.beyond [WORLDS] [--workers 1]`. The plane of the benchmark of accuracy, without
noise. Beside the default stand four that know more or decode otherwise, by a polyharmonic spline through some cells,
which is exact at these and as smooth as can be between and beyond them:

- *spline*: the latents and the shift of the fit, decoded by a spline;
- *true shift*: the latents of the fit, decoded by a spline, moved as the true latents are by the true shift;
- *latents seen*: true latents, the shift from their means, decoded by a spline: who has to learn f, and nothing else;
- *f known*: true latents, the shift from their means, decoded by f.

All draw the same base latents, the default too. *Limit* is what the best estimator that has to learn f would have, by
the joint errors of W and f that scores allow in large samples (theory, claim 2.10f), polynomials of a degree standing
for all changes of f: from below, the more so the farther off the support. Medians of unbiased energy distances.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.interpolate import RBFInterpolator

from experiments.benchmarks._efficient import EfficientErrors
from experiments.benchmarks._table import Spread, machine, options, print_table
from experiments.benchmarks._worlds import measure_worlds
from experiments.benchmarks.accuracy import CELLS, OFF_SUPPORT, PLANE, SUPPORTED
from pdae_sim import PDAE, Simulator
from pdae_sim.analysis import energy_estimate
from pdae_sim.simulation.worlds import world

CONDITIONS = (*SUPPORTED, *OFF_SUPPORT)
DEGREES = (1, 2, 3, 4)
LIMITS = tuple(f"limit, degree {degree}" for degree in DEGREES)
PREDICTORS = ("default", "spline", "true shift", "latents seen", "f known", *LIMITS)
DRAWN, THROUGH, ERRORS = 8192, 2000, 8


def spline(z: np.ndarray, x: np.ndarray) -> RBFInterpolator:
    """The smoothest function, by its third derivatives, through cells x (n, d_X) at latents z (n, d_Z)."""
    return RBFInterpolator(z, x, kernel="quintic", degree=2)


def regressed(on: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The matrix (d_Z, K) of the regression of latents (n, d_Z), with an intercept, on labels or others (n, K)."""
    return np.linalg.lstsq(np.column_stack([np.ones(len(on)), on]), z, rcond=None)[0][1:].T


def measure(seed: int, *, cells: int = CELLS, steps: int | None = None, drawn: int = DRAWN) -> dict[str, float]:
    """Energy distances of a world by predictor and condition."""
    config = world(str(PLANE["base"]), (f"design.cells={cells}",), seed=seed)
    simulator, simulation = config.simulator(), config.simulate()
    train, truth = simulation.data.train, simulation.truth.isotropic()
    z = truth.z[~simulation.data.held_out[simulation.data.environment]]
    labels, W = train.labels[train.environment], truth.perturbation_matrix
    model = PDAE(z.shape[1], observation="noiseless", steps=steps, random_state=seed).fit(train)
    fitted, Ŵ, W_seen = model.encode(train.x), model.perturbation_matrix_, regressed(labels, z)
    turned = regressed(z, fitted)  # what makes a true shift one of the fit
    rng = np.random.default_rng(seed)
    some, base = rng.permutation(len(z))[:THROUGH], rng.integers(0, len(z), drawn)
    of_fit, of_truth = spline(fitted[some], train.x[some]), spline(z[some], train.x[some])
    unmoved, truly_unmoved = (fitted - labels @ Ŵ.T)[base], (z - labels @ W_seen.T)[base]
    found = {}
    for number, condition in enumerate(CONDITIONS):
        label = train.space.label(condition)
        x = simulator.sample([condition], 2 * drawn, rng=[seed, number]).data.x
        predicted = {
            "default": model.decode(unmoved + Ŵ @ label),
            "spline": of_fit(unmoved + Ŵ @ label),
            "true shift": of_fit(unmoved + turned @ W @ label),
            "latents seen": of_truth(truly_unmoved + W_seen @ label),
            "f known": simulator.decode(truly_unmoved + W_seen @ label),
        }
        found |= {f"{name} at {condition}": energy_estimate(each, x).value for name, each in predicted.items()}
    return found | limits(simulator, train.labels, W, cells, drawn // 2, rng)


def limits(
    simulator: Simulator, labels: np.ndarray, W: np.ndarray, cells: int, drawn: int, rng: np.random.Generator
) -> dict[str, float]:
    """Mean energy distances over some drawn errors of the best estimator, by degree and condition."""
    found = {}
    for name, degree in zip(LIMITS, DEGREES, strict=True):
        best = EfficientErrors(labels, W, cells, degree, rng)
        for condition in CONDITIONS:
            label, distances = simulator.space.label(condition), []
            for _ in range(ERRORS):
                off, field = best.draw(rng)
                z = rng.normal(size=(3 * drawn, len(W)))
                z[:drawn] += (W + off) @ label
                z[drawn:] += W @ label
                z[:drawn] = best.moved(z[:drawn], field)
                x = simulator.decode(z)
                distances.append(energy_estimate(x[:drawn], x[drawn:]).value)
            found[f"{name} at {condition}"] = float(np.mean(distances))
    return found


def main() -> None:
    """Print the table."""
    arguments = options(__doc__, worlds=10, workers=1)
    found = measure_worlds(measure, arguments.worlds, workers=arguments.workers)

    def rows() -> Iterator[tuple]:
        for condition in CONDITIONS:
            yield condition, *(Spread.of(found[f"{name} at {condition}"]) for name in PREDICTORS)

    title = f"Energy distances, medians (quartiles) over {arguments.worlds} worlds; {machine()}"
    print_table({"condition": "", **dict.fromkeys(PREDICTORS, ".4f")}, rows(), title=title)


if __name__ == "__main__":
    main()
