"""Goodness of fit: false alarms of the true model, what is found of a wrong one and by which part, and fitted models.

Run: `python -m experiments.benchmarks.goodness [null worlds] [power worlds] [fits]`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binom

from experiments.benchmarks.machine import describe
from pdae_sim import PDAE, LinearLatentModel, Simulator
from pdae_sim.analysis.hypothesis_tests.goodness import PARTS, GoodnessOfFit
from pdae_sim.estimation.presets import DIRECT, REPRESENT, STAGED
from pdae_sim.study.goodness import check_fit

NULL_WORLDS, POWER_WORLDS, FITS = 1000, 50, 3
NULL_CELLS, POWER_CELLS, FIT_CELLS = 30, 300, 2000
CONDITIONS, LEVELS, LEVEL = ("ctrl", "A", "B"), (0.01, 0.05, 0.1), 0.05


@dataclass(frozen=True, eq=False)
class Exact:
    """The true model of a noiseless simulator, in isotropic form; or a wrong one, with parts of it replaced.

    Args:
        simulator: The truth.
        matrix: Ŵ where it is not the true W.
        lens: Applied to latents after the true encoder.
        before: Applied to latents before the true decoder.
    """

    simulator: Simulator
    matrix: np.ndarray | None = None
    lens: Callable[[np.ndarray], np.ndarray] = lambda z: z
    before: Callable[[np.ndarray], np.ndarray] = lambda z: z

    @property
    def perturbation_matrix_(self) -> np.ndarray:
        """R W, or what stands for it."""
        return self.true_matrix if self.matrix is None else self.matrix

    @property
    def true_matrix(self) -> np.ndarray:
        """R W."""
        return self.simulator.latent.whitening @ self.simulator.latent.perturbation_matrix

    def encode(self, x: np.ndarray) -> np.ndarray:
        """R f⁻¹(x)."""
        return self.lens(self.simulator.encode(x) @ self.simulator.latent.whitening.T)

    def decode(self, z: np.ndarray, *, rng: object = None) -> np.ndarray:
        """f(R⁻¹ z)."""
        return self.simulator.decode(np.linalg.solve(self.simulator.latent.whitening, self.before(z).T).T)

    def transport(self, x: np.ndarray, source: object, target: object, *, rng: object = None) -> np.ndarray:
        """f(f⁻¹(x) + W (l_h − l_e))."""
        shift = self.simulator.space.label(target) - self.simulator.space.label(source)
        return self.decode(self.encode(x) + self.perturbation_matrix_ @ shift)


def simulator(seed: int) -> Simulator:
    """Two latents, two perturbations whose isotropic effects have length 1.5, five observed coordinates."""
    latent = LinearLatentModel.random(2, 2, rng=seed)
    effects = np.linalg.norm(latent.whitening @ latent.perturbation_matrix, axis=0)
    return Simulator.random(replace(latent, targets=1.5 * latent.targets / effects), n_observed=5, rng=seed)


def rotated(degrees: float) -> Callable[[Simulator], Exact]:
    """Ŵ turned by an angle."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return lambda sim: Exact(sim, matrix=np.array([[c, -s], [s, c]]) @ Exact(sim).true_matrix)


def longer(factor: float) -> Callable[[Simulator], Exact]:
    """Ŵ with the effect of B alone multiplied."""
    return lambda sim: Exact(sim, matrix=Exact(sim).true_matrix * [1.0, factor])


def squeezed(factor: float) -> Callable[[Simulator], Exact]:
    """A decoder that pulls cells to the middle, as one that was trained too little does."""
    return lambda sim: Exact(sim, before=lambda z: factor * z)


def one_latent_less(sim: Simulator) -> Exact:
    """The second latent neither encoded nor decoded."""
    W = Exact(sim).true_matrix[:1]
    return Exact(sim, W, lambda z: z[:, :1], lambda z: np.column_stack([z, 0 * z]))


def one_latent_more(sim: Simulator) -> Exact:
    """A third latent that hangs on the first two and is not used."""
    W = np.vstack([Exact(sim).true_matrix, np.zeros(2)])
    return Exact(sim, W, lambda z: np.column_stack([z, (z[:, 0] ** 2 - 1) / 2**0.5]), lambda z: z[:, :2])


def affine_only(sim: Simulator) -> Exact:
    """Latents and Ŵ stretched by 1.5 along the first axis, undone by the decoder: the same law of cells."""
    stretch = np.array([1.5, 1.0])
    return Exact(sim, Exact(sim).true_matrix * stretch[:, None], lambda z: z * stretch, lambda z: z / stretch)


WRONG: dict[str, Callable[[Simulator], Exact]] = {
    "nothing": Exact,
    **{f"Ŵ turned by {angle}°": rotated(angle) for angle in (10, 20, 40)},
    **{f"effect of B times {factor}": longer(factor) for factor in (1.2, 1.5)},
    "one latent less": one_latent_less,
    "one latent more": one_latent_more,
    "affine map only (1.5)": affine_only,
    **{f"decoder squeezed by {factor}": squeezed(factor) for factor in (0.8, 0.5)},
}


def judged(build: Callable[[Simulator], Exact], seed: int, cells: int) -> GoodnessOfFit:
    """A goodness of fit in a world of its own."""
    sim = simulator(seed)
    fresh = sim.sample(CONDITIONS, cells, rng=[seed, 1]).data
    return check_fit(build(sim), fresh, max_cells=cells, n_resamples=199, rng=[seed, 2])


def false_alarms(worlds: int) -> None:
    """Print how often the true model is rejected, test by test, part by part and in all."""
    found = [judged(Exact, seed, NULL_CELLS) for seed in range(worlds)]
    lines = {f"{part}, one condition": [next(iter(g.parts[part].tests.p_values.values())) for g in found]
             for part in PARTS}  # fmt: skip
    lines |= {f"{part}, Holm over conditions": [g.parts[part].p_value for g in found] for part in PARTS}
    lines |= {"any part, Holm": [min(g.holm.values()) for g in found]}
    bands = [binom.interval(0.99, worlds, level) for level in LEVELS]
    print(f"\nThe true model in {worlds} worlds, {NULL_CELLS} cells of each of {', '.join(CONDITIONS)}\n")
    print("| test | " + " | ".join(f"rejected at {level:.0%}" for level in LEVELS) + " |\n|---|" + "---|" * len(LEVELS))
    for name, p in lines.items():
        counts = [int((np.array(p) <= level + 1e-12).sum()) for level in LEVELS]
        print(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    print("| exact binomial 99 % band | " + " | ".join(f"{low:.0f} to {high:.0f}" for low, high in bands) + " |")


def power(worlds: int) -> None:
    """Print which parts find what is wrong, and what the model is worth."""
    print(f"\nShare of {worlds} worlds where a part is at fault at {LEVEL} (Holm over conditions and parts); "
          f"{POWER_CELLS} cells of each condition\n")  # fmt: skip
    print(f"| what is wrong | {' | '.join(PARTS)} | any | median worth of transported cells |\n|{'---|' * 7}")
    for name, build in WRONG.items():
        report(name, [judged(build, seed, POWER_CELLS) for seed in range(worlds)])


def report(name: str, found: Sequence[GoodnessOfFit]) -> None:
    """Print one row of the table of power."""
    faults = [g.faults(LEVEL) for g in found]
    shares = [f"{np.mean([part in parts for parts in faults]):.2f}" for part in PARTS]
    least = [g.parts["transport"].worth[g.parts["transport"].least].value for g in found]
    print(f"| {name} | {' | '.join(shares)} | {np.mean([bool(f) for f in faults]):.2f} | {np.median(least):.3g} |",
          flush=True)  # fmt: skip


def fits(seeds: int) -> None:
    """Print the same for fitted models: right, of too few and too many latents, and with a decoder hardly trained."""
    hasty = (replace(REPRESENT[0], steps=800), replace(STAGED[-1], steps=30))
    models = {
        "PDAE": lambda seed: PDAE(2, random_state=seed),
        "PDAE, one latent less": lambda seed: PDAE(1, random_state=seed),
        "PDAE, one latent more": lambda seed: PDAE(3, random_state=seed),
        "decoder of 30 steps": lambda seed: PDAE(2, architecture=DIRECT, phases=hasty, random_state=seed),
    }
    print(f"\nModels fitted to {FIT_CELLS} cells of each condition, judged on as many, {seeds} worlds\n")
    print(f"| model | {' | '.join(PARTS)} | any | median worth of transported cells |\n|{'---|' * 7}")
    for name, build in models.items():
        report(name, [fitted_and_judged(build(seed), seed) for seed in range(seeds)])


def fitted_and_judged(model: PDAE, seed: int) -> GoodnessOfFit:
    """Fit to some cells, judge on others."""
    sim = simulator(seed)
    data, fresh = (sim.sample(CONDITIONS, FIT_CELLS, rng=[seed, i]).data for i in (3, 4))
    return check_fit(model.fit(data), fresh, fitted_on=data, rng=seed)


def main(null_worlds: int = NULL_WORLDS, power_worlds: int = POWER_WORLDS, n_fits: int = FITS) -> None:
    """Print the tables."""
    print(f"Seeds from 0; {describe()}", flush=True)
    false_alarms(null_worlds)
    if power_worlds:
        power(power_worlds)
    if n_fits:
        fits(n_fits)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:4]))
