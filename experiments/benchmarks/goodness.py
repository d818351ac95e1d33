"""Goodness of fit: false alarms of the true model, what is found of a wrong one and by which part, and fitted models.

Run: `python -m experiments.benchmarks.goodness [WORLDS] [--power-worlds 50] [--fits 3] [--workers 2]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace

import numpy as np

from experiments.benchmarks._table import machine, options, print_table
from experiments.benchmarks._worlds import band, measure_worlds
from pdae_sim import PDAE, LinearLatentModel, PerturbationData, Simulator
from pdae_sim.analysis.hypothesis_tests.goodness import GoodnessOfFit, ModelPart
from pdae_sim.estimation.presets import DEFAULT, PRESETS
from pdae_sim.study.goodness import check_fit

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


@dataclass(frozen=True, eq=False)
class ExactNoisy:
    """The true model of cells x = F z + σ ε, with z ~ N(W l, I), whose posterior is known.

    Args:
        loadings: F (d_X, d_Z).
        perturbation_matrix_: W (d_Z, K).
        sd: σ.
        draws: Whether latents are posterior draws, as they should be; else posterior means.
    """

    loadings: np.ndarray
    perturbation_matrix_: np.ndarray
    sd: float
    draws: bool = True
    observation_ = SimpleNamespace(noisy=True)

    @classmethod
    def random(cls, seed: int, **settings: bool) -> ExactNoisy:
        """Two latents, effects of length 1.5 and five coordinates, two thirds of whose variation is noise."""
        rng = np.random.default_rng([seed, 3])
        return cls(rng.normal(size=(5, 2)), 1.5 * np.linalg.qr(rng.normal(size=(2, 2)))[0], 2.0, **settings)

    def encode(self, x: np.ndarray, *, draws: int, condition: np.ndarray, rng: object) -> np.ndarray:
        """(draws, n, d_Z) latents given cells and their label."""
        prior = self.perturbation_matrix_ @ condition
        covariance = np.linalg.inv(np.eye(len(prior)) + self.loadings.T @ self.loadings / self.sd**2)
        mean = prior + (x - self.loadings @ prior) @ self.loadings @ covariance / self.sd**2
        noise = np.random.default_rng(rng).normal(size=(draws, *mean.shape))
        return mean + self.draws * noise @ np.linalg.cholesky(covariance).T

    def measure(self, z: np.ndarray, rng: object) -> np.ndarray:
        """Cells of latents."""
        return z @ self.loadings.T + self.sd * np.random.default_rng(rng).normal(size=(len(z), len(self.loadings)))

    def transport(self, x: np.ndarray, source: np.ndarray, target: np.ndarray, *, rng: object) -> np.ndarray:
        """Cells whose latents are moved, measured anew."""
        root = np.random.default_rng(rng)
        return self.measure(
            self.encode(x, draws=1, condition=source, rng=root)[0] + self.perturbation_matrix_ @ (target - source), root
        )

    def cells(self, n: int, rng: object) -> PerturbationData:
        """Cells of every condition."""
        labels, root = np.repeat([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], n, axis=0), np.random.default_rng(rng)
        z = root.normal(size=(3 * n, 2)) + labels @ self.perturbation_matrix_.T
        return PerturbationData.from_arrays(self.measure(z, root), labels, names=("A", "B"))


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


def judged_noisy(seed: int, cells: int, *, draws: bool = True) -> GoodnessOfFit:
    """A goodness of fit of the true model of noisy cells, or of the same with posterior means for latents."""
    model = ExactNoisy.random(seed, draws=draws)
    return check_fit(model, model.cells(cells, [seed, 1]), max_cells=cells, n_resamples=199, rng=[seed, 2])


def p_values(judge: Callable[[int], GoodnessOfFit], seed: int) -> dict[str, float]:
    """P-values of the true model in a world: test by test, part by part and in all."""
    fit = judge(seed)
    single = {f"{part}, one condition": next(iter(fit.parts[part].tests.p_values.values())) for part in ModelPart}
    corrected = {f"{part}, Holm over conditions": fit.parts[part].p_value for part in ModelPart}
    return {**single, **corrected, "any part, Holm": min(fit.holm.values())}


NULLS: dict[str, Callable[[int], GoodnessOfFit]] = {
    "without noise": partial(judged, Exact, cells=NULL_CELLS),
    "with noise": partial(judged_noisy, cells=NULL_CELLS),
}


def false_alarms(judge: Callable[[int], GoodnessOfFit], worlds: int, workers: int) -> Iterator[tuple]:
    """How often the true model is rejected, by test and level, in per cent."""
    for name, p in measure_worlds(partial(p_values, judge), worlds, workers=workers).items():
        yield name, *(100 * np.mean(p <= level + 1e-12) for level in LEVELS)
    yield "exact 99 % band", *(f"{100 * low:.1f} to {100 * high:.1f}" for low, high in band(LEVELS, worlds))


def faults(fit: GoodnessOfFit) -> dict[str, object]:
    """Which parts of a model are at fault, and what its transported cells are worth."""
    parts, transport = fit.faults(LEVEL), fit.parts["transport"]
    return {
        **{part: part in parts for part in ModelPart},
        "any": bool(parts),
        "worth": transport.worth[transport.least].value,
    }


def power_row(name: str, measured: Mapping[str, np.ndarray]) -> tuple:
    """A row of the tables of power: shares of worlds, and the median worth."""
    return name, *(measured[key].mean() for key in (*ModelPart, "any")), f"{np.median(measured['worth']):.3g}"


POWER = {"what": "", **dict.fromkeys((*ModelPart, "any"), ".2f"), "median worth of transported cells": ""}

DIRECT = PRESETS["represent"].architecture
HASTY = (replace(PRESETS["represent"].phases[0], steps=800), replace(DEFAULT.phases[-1], steps=30))
MODELS: dict[str, Callable[[int], PDAE]] = {
    "PDAE": lambda seed: PDAE(2, random_state=seed),
    "PDAE, one latent less": lambda seed: PDAE(1, random_state=seed),
    "PDAE, one latent more": lambda seed: PDAE(3, random_state=seed),
    "decoder of 30 steps": lambda seed: PDAE(
        2, architecture=PRESETS["represent"].architecture, phases=HASTY, random_state=seed
    ),
}


def fitted_and_judged(model: PDAE, seed: int) -> GoodnessOfFit:
    """Fit to some cells, judge on others."""
    sim = simulator(seed)
    data, fresh = (sim.sample(CONDITIONS, FIT_CELLS, rng=[seed, i]).data for i in (3, 4))
    return check_fit(model.fit(data), fresh, fitted_on=data, rng=seed)


def main(words: list[str] | None = None) -> None:
    """Print the tables."""
    arguments = options(__doc__, words, worlds=1000, power_worlds=50, fits=3, workers=2)
    workers, alarms = arguments.workers, {"test": "", **{f"rejected at {level:.0%}, %": ".1f" for level in LEVELS}}
    title = f"The true model in {arguments.worlds} worlds, {NULL_CELLS} cells of each of {', '.join(CONDITIONS)}"
    for how, judge in NULLS.items():
        rows = false_alarms(judge, arguments.worlds, workers)
        print_table(alarms, rows, title=f"{title}, {how}; seeds from 0; {machine()}")

    def power(measure: Callable, alternatives: Mapping[str, Callable], worlds: int) -> Iterator[tuple]:
        for name, build in alternatives.items():
            yield power_row(name, measure_worlds(partial(measure, build), worlds, workers=workers))

    if worlds := arguments.power_worlds:
        title = f"Share of {worlds} worlds where a part is at fault at {LEVEL} (Holm over conditions and parts)"
        rows = power(lambda build, seed: faults(judged(build, seed, POWER_CELLS)), WRONG, worlds)
        print_table(POWER, rows, title=f"{title}; {POWER_CELLS} cells of each condition")
    if worlds := arguments.fits:
        title = f"Models fitted to {FIT_CELLS} cells of each condition, judged on as many, {worlds} worlds"
        print_table(
            POWER, power(lambda build, seed: faults(fitted_and_judged(build(seed), seed)), MODELS, worlds), title=title
        )


if __name__ == "__main__":
    main()
