"""Verdicts against what came: standard errors, effective sample sizes and the coverage of their intervals.

Run: `python -m experiments.benchmarks.verdicts [WORLDS] [--fits 0] [--steps 300] [--noisy 0] [--workers 2]`.
Prints tables with machine, versions and seeds. Random linear latent causal worlds of 1 to 8 latents and 2 to 8
perturbations, singles and random combinations as 0/1 or as doses, 50 to 4,000 cells a condition; seed = number of the
world.

With z seen, replicate data sets are replicate latent means of the training conditions, and the covariance within them:
they hold all that the cells say of W. Importance weights are ratios of the true densities of z. With `--fits` so many
worlds are also fitted by a PDAE that sees x alone, and its shift, rotated onto the true latents, is held against W.
With `--noisy` so many of each named world with noisy cells are judged, by an oracle that has the true posterior of the
latents and by a default fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import logsumexp
from scipy.stats import chi2, f, wishart

from experiments.benchmarks._noisy_verdicts import measure_noisy, print_noisy
from experiments.benchmarks._table import machine, options, print_table
from experiments.benchmarks._worlds import band_in_words, measure_worlds
from pdae_sim import PDAE, LinearLatentModel, Simulator, _random, align, check_span
from pdae_sim.analysis.support import ShiftError, pooling_gain, supports
from pdae_sim.analysis.verdict import Verdict, judge
from pdae_sim.estimation.presets import LATENTS

REPLICATES, DRAWS, MOST_SHIFT, LEVEL = 200, 40_000, 1.5, 0.95
SCALES = ("scale known", "scale estimated")


@dataclass(frozen=True, eq=False)
class World:
    """A latent model, a design with its cells, and one identified label to judge.

    Args:
        latent: The model.
        train: (E, K) training labels.
        counts: (E,) cells.
        label: (K,).
    """

    latent: LinearLatentModel
    train: np.ndarray
    counts: np.ndarray
    label: np.ndarray

    @property
    def perturbation_matrix(self) -> np.ndarray:
        """W in the isotropic form."""
        return self.latent.whitening @ self.latent.perturbation_matrix

    @property
    def shift(self) -> np.ndarray:
        """The label less the reference, which is the control."""
        return self.label - self.train[0]


def world(seed: int, *, most_latents: int = 8, fewest_cells: int = 50) -> World:
    """A random world; the label is a combination of up to three training labels."""
    rng = _random.stream(_random.seed_sequence(seed), "verdicts")
    d, K = int(rng.integers(1, most_latents + 1)), int(rng.integers(2, 9))
    size = float(np.exp(rng.uniform(np.log(0.2), np.log(2.0))))
    latent = LinearLatentModel.random(d, K, targets="multi", normalise=True, shift=size, rng=rng)
    n_more = int(rng.integers(0, 7))
    more = rng.integers(0, 2, (n_more, K)) if rng.random() < 0.5 else rng.integers(0, 16, (n_more, K)) / 10
    train = np.unique(np.vstack([np.zeros(K), np.eye(K), more]), axis=0)
    counts = np.rint(np.exp(rng.uniform(np.log(fewest_cells), np.log(4000), len(train)))).astype(int)
    label = rng.choice(train[1:], min(int(rng.integers(1, 4)), len(train) - 1), replace=False).sum(axis=0)
    label = label + np.eye(K)[int(rng.integers(K))] * ((train == label).all(axis=1).any())
    return World(latent, train, counts, np.round(label, 1))


def means(w: World, rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, E, d_Z) latent means of the training conditions in n replicate data sets, isotropic."""
    centres = w.train @ w.perturbation_matrix.T
    return centres + rng.standard_normal((n, *centres.shape)) / np.sqrt(w.counts)[:, None]


def least_squares(w: World, latent_means: np.ndarray) -> np.ndarray:
    """Ŵ (d_Z, K) from latent means (E, d_Z) with an offset, environments weighing by their cells."""
    root = np.sqrt(w.counts)[:, None]
    design = np.column_stack([np.ones(len(w.train)), w.train])
    return np.linalg.lstsq(root * design, root * latent_means, rcond=None)[0][1:].T


def standard_errors(w: World, seed: int) -> dict[str, tuple[float, float]]:
    """Predicted and realised standard error of the shift: by α of least norm, of least gain, and by least squares."""
    rng = _random.stream(_random.seed_sequence(seed), "replicates")
    replicates, truth = means(w, rng, REPLICATES), w.perturbation_matrix @ w.shift
    compared = {}
    for name, counts in (("α of least norm", None), ("α of least noise gain", w.counts.tolist())):
        certificates = check_span(w.train, [w.label], counts=counts)
        (verdict,) = judge(w.train, [w.label], counts=w.counts, certificates=certificates)
        alpha = verdict.certificate.coefficients
        estimates = np.einsum("e,red->rd", alpha, replicates - replicates[:, :1])
        compared[name] = verdict.standard_error, spread(estimates - truth)
    estimates = np.array([least_squares(w, one) @ w.shift for one in replicates])
    return compared | {"least squares Ŵ": (verdict.least_standard_error, spread(estimates - truth))}


def spread(errors: np.ndarray) -> float:
    """Root mean square over replicates and latent coordinates."""
    return float(np.sqrt((errors**2).mean()))


def verdict_of(w: World, W: np.ndarray, error: ShiftError) -> Verdict:
    """The verdict from an estimate with its sampling error."""
    return judge(w.train, [w.label], counts=w.counts, perturbation_matrix=W, error=error)[0]


def covered(w: World, seed: int, scale: str) -> dict[str, float]:
    """Whether each interval from one replicate holds the truth, z seen; δ² as the share of environments."""
    rng = _random.stream(_random.seed_sequence(seed), "coverage", scale)
    W, d = least_squares(w, means(w, rng, 1)[0]), w.latent.n_latents
    error = ShiftError.of(w.train, w.counts, degrees=np.inf if scale == SCALES[0] else None)
    root = np.eye(d)
    if np.isfinite(error.degrees):
        values, vectors = np.linalg.eigh(np.reshape(wishart.rvs(error.degrees, np.eye(d), random_state=rng), (d, d)))
        root = vectors / np.sqrt(values / error.degrees) @ vectors.T
    verdict = verdict_of(w, root @ W, error)
    true_error = verdict.least_standard_error * np.linalg.norm(root[0])  # of the first latent, as it was whitened
    low, high = verdict.least_standard_error_interval
    return {
        **held(w, verdict),
        "standard error": float(low <= true_error * (1 + 1e-9) and true_error <= high * (1 + 1e-9)),
        "shift": float(_within(root @ (W - w.perturbation_matrix) @ w.shift, root, verdict, error)),
    }


def _within(miss: np.ndarray, root: np.ndarray, verdict: Verdict, error: ShiftError) -> bool:
    """Whether the shift lies in the ball that its predicted standard error draws around the estimate."""
    d, m = len(miss), error.free(len(miss))
    radius = chi2.ppf(LEVEL, d) if np.isinf(m) else d * error.degrees / m * f.ppf(LEVEL, d, m)
    return bool((miss**2).sum() <= radius * verdict.least_standard_error**2)


def held(w: World, verdict: Verdict) -> dict[str, float]:
    """Whether the intervals of δ² and of the effective cells hold the truth."""
    true = truth_of(w)
    ends = verdict.support.distance_intervals
    inside = (ends[:, 0] <= true.distances + 1e-9) & (true.distances <= ends[:, 1] + 1e-9)
    low, high = verdict.interval
    return {"δ²": float(inside.mean()), "effective cells": float(low <= true.effective_cells <= high)}


def truth_of(w: World):
    """The support of the label under the true W."""
    (support,) = supports(w.train, [w.label], counts=w.counts, perturbation_matrix=w.perturbation_matrix)
    return support


def effective_cells(w: World, seed: int) -> dict[str, tuple[float, float]]:
    """Predicted and realised worth of the training cells, one by one and pooled, by weights from the true densities.

    An environment that is further than `MOST_SHIFT` is left out of both, together with its cells: the weights of what
    is far are too heavy to be averaged.
    """
    near = np.flatnonzero(truth_of(w).distances <= MOST_SHIFT)
    if not near.size:
        return {}
    rng = _random.stream(_random.seed_sequence(seed), "weights")
    train, n = w.train[near], w.counts[near]
    cells = [w.latent.draw(DRAWS, label, rng=rng)[1] for label in train]
    alone = sum(
        count * worth(ratios(w, z, label[None], [1.0])) for count, z, label in zip(n, cells, train, strict=True)
    )
    pooled = np.concatenate([z[: max(int(DRAWS * share), 1)] for z, share in zip(cells, n / n.sum(), strict=True)])
    together = n.sum() * worth(ratios(w, pooled, train, n / n.sum()))
    W = w.perturbation_matrix
    (support,) = supports(train, [w.label], counts=n, perturbation_matrix=W)
    gain, _ = pooling_gain(train @ W.T, n, W @ w.label, rng=seed)
    return {
        "added up": (support.effective_cells, float(alone)),
        "pooled": (support.effective_cells * gain, float(together)),
    }


def ratios(w: World, z: np.ndarray, labels: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """log p(z | label) − log Σ_e share_e p(z | l_e)."""
    mixture = logsumexp([w.latent.log_density(z, label) for label in labels], axis=0, b=np.reshape(shares, (-1, 1)))
    return w.latent.log_density(z, w.label) - mixture


def worth(logs: np.ndarray) -> float:
    """Kish's effective sample size of importance weights, as a fraction."""
    return float(np.exp(2 * logsumexp(logs) - logsumexp(2 * logs)) / len(logs))


def fitted(seed: int, steps: int) -> dict[str, float] | None:
    """A PDAE's shift in units of its predicted standard error, and whether its intervals hold the truth."""
    w = world(seed, most_latents=3, fewest_cells=500)
    simulator = Simulator.random(w.latent, n_observed=10, rng=seed)
    simulation = simulator.sample(w.train, w.counts, rng=seed)
    model = PDAE(w.latent.n_latents, phases=LATENTS.shortened(steps).phases, random_state=seed).fit(simulation.data)
    Q = align(model.encode(simulation.data.x), simulation.truth.isotropic().z).rotation
    miss = (Q @ model.perturbation_matrix_ - simulation.truth.isotropic().perturbation_matrix) @ w.shift
    z, environment = simulation.truth.isotropic().z, simulation.data.environment
    seen = np.array([z[environment == e].mean(axis=0) for e in range(len(w.train))])
    oracle = (least_squares(w, seen) - w.perturbation_matrix) @ w.shift
    verdict = verdict_of(w, model.perturbation_matrix_, ShiftError.of(w.train, w.counts))
    error, true = verdict.least_standard_error, truth_of(w)
    return {
        "error of the shift / predicted": spread(miss) / error,
        "the same, z seen": spread(oracle) / error,
        **held(w, verdict),
        "log error of effective cells": float(np.log(verdict.effective_cells / true.effective_cells)),
    }


def quantiles(ratio: np.ndarray) -> list[float]:
    """Median, 5 % and 95 % quantile."""
    return np.quantile(ratio, [0.5, 0.05, 0.95]).tolist()


RATIO = {"realised / predicted, median": ".3f", "5 %": ".3f", "95 %": ".3f"}


def print_errors(rows: list[dict]) -> None:
    """Print predicted against realised standard errors."""

    def lines() -> Iterator[tuple]:
        for name in rows[0]["errors"]:
            predicted, realised = np.array([row["errors"][name] for row in rows]).T
            ratio, dof = realised / predicted, np.array([REPLICATES * row["d"] for row in rows])
            yield name, *quantiles(ratio), (np.abs(chi2.cdf(dof * ratio**2, dof) - 0.5) <= LEVEL / 2).mean()

    title = f"Standard error of the shift, {len(rows)} worlds, {REPLICATES} replicates each, z seen"
    print_table({"estimator": "", **RATIO, "worlds within the 95 % band of replicates": ".3f"}, lines(), title=title)
    excess = np.array([row["errors"]["α of least norm"][0] / row["errors"]["least squares Ŵ"][0] for row in rows])
    print(f"α of least norm is noisier than it need be by a factor of {np.median(excess):.2f} "
          f"(median; most {excess.max():.1f})\n")  # fmt: skip


def print_worth(rows: list[dict]) -> None:
    """Print predicted against realised effective sample sizes."""
    rows = [row["worth"] for row in rows if row["worth"]]
    if not rows:
        return
    pairs = {name: np.array([row[name] for row in rows]).T for name in rows[0]}
    print_table(
        {"environments": "", **RATIO},
        ((name, *quantiles(realised / predicted)) for name, (predicted, realised) in pairs.items()),
        title=f"Effective cells, {len(rows)} worlds with an environment within {MOST_SHIFT} standard deviations; "
        f"weights from the true densities on {DRAWS:,} draws of z",
    )
    gain = pairs["pooled"][0] / pairs["added up"][0]
    print(f"Pooled is worth {np.median(gain):.2f} times the sum (median; most {gain.max():.1f}, "
          f"least {gain.min():.2f})\n")  # fmt: skip


def print_coverage(rows: list[dict]) -> None:
    """Print the coverage of every interval."""
    names = list(rows[0][SCALES[0]])
    print_table(
        {"scale of the latents": "", **dict.fromkeys(names, ".3f")},
        ((scale, *(np.mean([row[scale][name] for row in rows]) for name in names)) for scale in SCALES),
        title=f"Coverage of intervals, one data set a world, z seen; {band_in_words(LEVEL, len(rows))}",
    )


def print_fits(fits: dict[str, np.ndarray], steps: int) -> None:
    """Print what a fitted encoder adds."""

    def lines() -> Iterator[tuple]:
        for name, v in fits.items():
            if name in ("δ²", "effective cells"):
                yield f"interval of {name} holds the truth, share", v.mean(), None, None
            else:
                yield name, np.sqrt((v**2).mean()), np.median(v), np.abs(v).max()

    setting = f"plan of latents at {steps} steps a phase), {len(fits['δ²'])} worlds"
    columns = {"quantity": "", "root mean square": ".2f", "median": ".2f", "most": ".2f"}
    print_table(columns, lines(), title=f"PDAE that sees x (d_X = 10, up to 3 latents, {setting}")


def measure(seed: int) -> dict:
    """Everything of one world."""
    w = world(seed)
    intervals = {scale: covered(w, seed, scale) for scale in SCALES}
    return {
        "d": w.latent.n_latents,
        "errors": standard_errors(w, seed),
        "worth": effective_cells(w, seed) if seed % 4 == 0 else {},
        **intervals,
    }


def main() -> None:
    """Print the tables."""
    arguments = options(__doc__, worlds=600, fits=0, steps=300, noisy=0, workers=2)
    print(f"{machine()}; seeds 0 … {arguments.worlds - 1}\n")
    rows = measure_worlds(lambda seed: {"world": measure(seed)}, arguments.worlds, workers=arguments.workers)["world"]
    for print_part in (print_errors, print_worth, print_coverage):
        print_part(list(rows))
    if arguments.fits:
        fits = measure_worlds(partial(fitted, steps=arguments.steps), arguments.fits, workers=arguments.workers)
        print_fits(fits, arguments.steps)
    if arguments.noisy:
        noisy = measure_worlds(measure_noisy, arguments.noisy, workers=arguments.workers)
        print_noisy({name: list(found) for name, found in noisy.items()})


if __name__ == "__main__":
    main()
