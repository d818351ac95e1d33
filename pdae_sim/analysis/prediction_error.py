"""How good is a prediction? Energy distance with an interval, its worth in cells, MMD, and the means' difference.

An empirical law of n independent cells of P has expected energy distance E‖X − X'‖ / n from P, so that a prediction at
energy distance ED is worth n_eff = E‖X − X'‖ / ED cells: as good as an experiment that measures n_eff cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy.special import ndtri, stdtrit

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import between, matrix, repetitions, whole
from pdae_sim.analysis._energy_interval import TAIL, Noise, along, distance_interval
from pdae_sim.analysis._kernels import bandwidths, gaussian
from pdae_sim.analysis._permutation import distances_between, quadratic_forms
from pdae_sim.energy import marginal_sums
from pdae_sim.errors import InputError
from pdae_sim.intervals import Interval

_LEAST_ROWS = 4  # fewer rows have no variance worth the name
_LARGEST_DISTANCE = 1e100  # third powers, which intervals need, are finite


@dataclass(frozen=True)
class EnergyEstimate:
    """An unbiased estimate of ED(P̂, P).

    Args:
        value: The U-statistic; may be negative.
        spread: E‖X − X'‖^β of the reference law P.
        noise: Spectrum of the sampling noise of both samples.
        variance: First-order variance of `value`, from the spread of its influence function over rows.
        share_variance: First-order variance of value / spread.
        spread_error: Standard error of `spread`.
        sizes: Rows of the prediction and of the reference.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> estimate = energy_estimate(x[:100] + 1.0, x[100:])
        >>> estimate.value in estimate.interval
        True
    """

    value: float
    spread: float
    noise: Noise
    variance: float
    share_variance: float
    spread_error: float
    sizes: tuple[int, int]

    @property
    def standard_error(self) -> float:
        """Standard error of `value` at the estimated distance."""
        distance = max(self.value, 0.0)
        return math.sqrt(4 * along(self.noise.top, self.variance, distance) * distance + 2 * self.noise.squares)

    @property
    def interval(self) -> Interval:
        """A 95 % interval of the energy distance, never negative."""
        v = along(self.noise.top, self._student * self.variance, self.value)
        return distance_interval(self.value, self.noise, v)

    @property
    def share_interval(self) -> Interval:
        """A 95 % interval of ED / E‖X − X'‖ = 1 / n_eff, whose denominator is an estimate too."""
        if not self.spread > 0:  # a law of one point: nothing else is worth a cell
            return Interval(math.inf if self.value > 0 else 0.0, math.inf)
        share, noise = self.value / self.spread, self.noise.over(self.spread)
        error = self.spread_error / self.spread
        top = (math.sqrt(noise.top) + math.sqrt(max(share, 0.0)) * error / 2) ** 2
        return distance_interval(share, noise, along(top, self._student * self.share_variance, share))

    def to_json(self) -> dict[str, object]:
        """The estimate with its interval and the spread of the reference, as plain values."""
        return {
            "energy_distance": self.value,
            "interval": self.interval,
            "standard_error": self.standard_error,
            "spread": self.spread,
        }

    @property
    def _student(self) -> float:
        """Inflation factor of an estimated variance: squared ratio of Student's to the normal quantile."""
        return float((stdtrit(min(self.sizes) - 1, 1 - TAIL) / ndtri(1 - TAIL)) ** 2)


@dataclass(frozen=True)
class Worth:
    """The number n_eff of measured cells that a prediction is as good as.

    Args:
        value: n_eff; the lower end of the interval where the distance cannot be told from zero.
        interval: A 95 % interval; its upper end is infinite in that case.

    Example:
        >>> Worth(320.0, Interval(210.0, 540.0)).in_words()
        'worth 320 cells (210 to 540)'
        >>> Worth(900.0, Interval(900.0, math.inf)).bounded
        False
    """

    value: float
    interval: Interval

    @property
    def bounded(self) -> bool:
        """Whether the energy distance was distinguishable from zero."""
        return math.isfinite(self.interval.high)

    def in_words(self) -> str:
        """For instance ``worth 320 cells (210 to 540)`` or ``worth at least 900 cells``."""
        low, high = self.interval
        if not self.bounded:
            return f"worth at least {low:.3g} cells" if math.isfinite(low) else "not told apart from the law"
        return f"worth {self.value:.3g} cells ({low:.3g} to {high:.3g})"

    def to_json(self) -> dict[str, float | None]:
        """n_eff and its interval; the upper end is null where there is none."""
        low, high = self.interval
        return {"n_eff": self.value, "n_eff_low": low, "n_eff_high": high if self.bounded else None}


@dataclass(frozen=True, eq=False)
class EnergyReference:
    """A reference sample with what its own distances say, for many predictions to be compared with.

    Args:
        x: (m, d_X) rows less their mean.
        centre: (d_X,) that mean.
        own: (m,) means of ‖y_i − y_j‖^β over the other rows.
        spectrum: Eigenvalues of its noise, greatest first.
        beta: Exponent in (0, 2).
        spectrum_rows: Rows of each sample, at most, whose distances give the eigenvalues of the noise.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(1000, 2))
        >>> reference = EnergyReference.of(x[500:])
        >>> energy_estimate(x[:500], reference) == energy_estimate(x[:500], x[500:])
        True
    """

    x: np.ndarray
    centre: np.ndarray
    own: np.ndarray
    spectrum: np.ndarray
    beta: float
    spectrum_rows: int

    @classmethod
    @checked_numbers
    def of(cls, reference: np.ndarray, *, beta: float = 1.0, spectrum_rows: int = 500) -> EnergyReference:
        """A reference of (m, d_X) independent draws of its law, m ≥ 4.

        Raises:
            InputError: If a value is not finite or too large, or there are fewer than 4 rows.
        """
        y = _enough("reference", matrix("reference", reference))
        between("beta", beta, 0.0, 2.0)
        rows = whole("spectrum_rows", spectrum_rows, at_least=2)
        centre = y.mean(0)
        own = _own_means(y := y - centre, beta)
        _refuse_large(own)
        return cls(y, centre, own, _spectrum(y, beta, rows), beta, rows)


@checked_numbers
def energy_estimate(
    predicted: np.ndarray,
    reference: np.ndarray | EnergyReference,
    *,
    beta: float = 1.0,
    spectrum_rows: int = 500,
) -> EnergyEstimate:
    """Estimate the energy distance between the law of a prediction and that of a reference sample, without bias.

    Args:
        predicted: (n, d_X) independent draws of P̂, n ≥ 4; with replacement where P̂ is itself an empirical law.
        reference: (m, d_X) independent draws of P, m ≥ 4; or what was made of them once for many predictions, whose
            `beta` and `spectrum_rows` then hold.
        beta: Exponent in (0, 2).
        spectrum_rows: Rows of each sample, at most, whose distances give the eigenvalues of the noise.

    Returns:
        The U-statistic with what its interval and its worth need.

    Raises:
        InputError: If shapes disagree, a value is not finite or too large, or a sample has fewer than 4 rows.

    References:
        Székely & Rizzo (2013), Energy statistics, J. Statist. Plann. Inference 143; the interval is ours.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(1000, 2))
        >>> estimate = energy_estimate(x[:500], x[500:] + 1.0)
        >>> 0 < estimate.interval.low < estimate.value < estimate.interval.high
        True
    """
    known = reference if isinstance(reference, EnergyReference) else None
    y = known or EnergyReference.of(reference, beta=beta, spectrum_rows=spectrum_rows)  # type: ignore[arg-type]
    x = _enough("predicted", matrix("predicted", predicted, columns=len(y.centre))) - y.centre
    n, m, beta = len(x), len(y.x), y.beta
    rows, columns = marginal_sums(torch.from_numpy(x), torch.from_numpy(y.x), beta=beta)
    to_y, to_x = rows.numpy() / m, columns.numpy() / n
    _refuse_large(to_y)
    own_x, own_y = _own_means(x, beta), y.own
    spread = float(own_y.mean())
    value = float(2 * to_y.mean() - own_x.mean() - spread)
    share = value / spread if spread > 0 else 0.0
    first_x = _mean_variance(2 * (to_y - own_x))
    return EnergyEstimate(
        value,
        spread,
        _noise(_spectrum(x, beta, y.spectrum_rows) / n, y.spectrum / m),
        first_x + _mean_variance(2 * (to_x - own_y)),
        (first_x + _mean_variance(2 * (to_x - (1 + share) * own_y))) / spread**2 if spread > 0 else 0.0,
        2 * math.sqrt(_mean_variance(own_y)),
        (n, m),
    )


@checked_numbers
def worth(estimate: EnergyEstimate) -> Worth:
    """Convert an energy estimate into n_eff = E‖X − X'‖ / ED with its interval.

    Args:
        estimate: As `energy_estimate` returns it.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(1000, 2))
        >>> far, near = energy_estimate(x[:500] + 1.0, x[500:]), energy_estimate(x[:500], x[500:])
        >>> worth(far).value < 10 < worth(near).value
        True
    """
    low_share, high_share = estimate.share_interval
    low = 1 / high_share if high_share > 0 else math.inf
    if low_share <= 0:
        return Worth(low, Interval(low, math.inf))
    return Worth(estimate.spread / estimate.value, Interval(low, 1 / low_share))


@checked_numbers
def mmd(predicted: np.ndarray, reference: np.ndarray, *, n_bandwidths: int = 5) -> float:
    """Unbiased squared maximum mean discrepancy, averaged over Gaussian kernels exp(−‖x − y‖² / λ²).

    The kernels are those of `mmd_test`, with bandwidths from the reference alone, so that all predictions of one
    condition are measured alike.

    Args:
        predicted: (n, d_X), n ≥ 2.
        reference: (m, d_X) in random order, m ≥ 2; its first 1,000 rows set the bandwidths.
        n_bandwidths: How many λ, from half the 5 % to twice the 95 % quantile of the distances.

    Returns:
        MMD², which may be negative.

    Raises:
        InputError: If shapes disagree, a value is not finite or the rows of the reference are all equal.

    References:
        Gretton et al. (2012), A kernel two-sample test, JMLR 13, eq. 3.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(400, 2))
        >>> mmd(x[:200], x[200:]) < 0.01 < mmd(x[:200] + 1.0, x[200:])
        True
    """
    x, y = _pair(predicted, reference)
    widths = bandwidths(y, repetitions("n_bandwidths", n_bandwidths))
    n, m = len(x), len(y)
    first = np.repeat([1.0, 0.0], [n, m])
    members = np.column_stack([first, 1 - first, np.ones(n + m)])
    kernels = [partial(gaussian, bandwidth=width) for width in widths]
    within_x, within_y, total = quadratic_forms(np.vstack([x, y]), members, kernels)[0].mean(0)
    across = (total - within_x - within_y) / 2
    # k(x, x) = 1: less n and m, the sums are over pairs of distinct cells, which is what makes the estimate unbiased
    return float((within_x - n) / (n * (n - 1)) + (within_y - m) / (m * (m - 1)) - 2 * across / (n * m))


@checked_numbers
def mean_difference(predicted: np.ndarray, reference: np.ndarray) -> float:
    """Distance ‖mean of predicted − mean of reference‖ of the two means, in the data's units.

    Args:
        predicted: (n, d_X), n ≥ 2.
        reference: (m, d_X), m ≥ 2.

    Example:
        >>> import numpy as np
        >>> mean_difference(np.zeros((3, 2)), np.ones((3, 2))) == 2**0.5
        True
    """
    x, y = _pair(predicted, reference)
    return float(np.linalg.norm(x.mean(0) - y.mean(0)))


@checked_numbers
def mean_r2(predicted: np.ndarray, reference: np.ndarray) -> float:
    """R² over coordinates of the predicted mean; near 1 for useless models too, so read it beside other metrics.

    Args:
        predicted: (n, d_X), n ≥ 2.
        reference: (m, d_X), m ≥ 2.

    Returns:
        R², NaN where all coordinates of the reference have one mean, as a single one has.

    Example:
        >>> import numpy as np
        >>> mean_r2([[1.0, 2.0], [3.0, 4.0]], [[2.0, 3.0], [2.0, 3.0]])
        1.0
    """
    x, y = (v.mean(0) for v in _pair(predicted, reference))
    total = ((y - y.mean()) ** 2).sum()
    return float(1 - ((x - y) ** 2).sum() / total) if total > 0 else float("nan")


def _pair(predicted: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both samples as matrices of one width with two rows each at least."""
    y = matrix("reference", reference)
    x = matrix("predicted", predicted, columns=y.shape[1])
    if min(len(x), len(y)) < 2:
        raise InputError(f"predicted and reference need at least 2 rows; received {len(x)} and {len(y)}")
    return x, y


def _enough(name: str, x: np.ndarray) -> np.ndarray:
    if len(x) < _LEAST_ROWS:
        raise InputError(f"{name} must have at least {_LEAST_ROWS} rows; received {len(x)}")
    return x


def _refuse_large(distances: np.ndarray) -> None:
    if not distances.mean() < _LARGEST_DISTANCE:
        raise InputError("predicted and reference hold values too large for float64; rescale them")


def _own_means(x: np.ndarray, beta: float) -> np.ndarray:
    """(n,) means over j ≠ i of ‖x_i − x_j‖^β."""
    return marginal_sums(torch.from_numpy(x), beta=beta)[0].numpy() / (len(x) - 1)


def _mean_variance(values: np.ndarray) -> float:
    """The estimated variance of a mean of independent values."""
    return float(values.var(ddof=1)) / len(values)


def _noise(first: np.ndarray, second: np.ndarray) -> Noise:
    """From eigenvalues of C_P̂ / n and C_P / m, paired by size: exact for equal laws, else no less (von Neumann)."""
    k = max(len(first), len(second))
    nu = 2 * (np.pad(first, (0, k - len(first))) + np.pad(second, (0, k - len(second))))
    return Noise(float(nu[0]), float((nu**2).sum()), float((nu**3).sum()))


def _spectrum(x: np.ndarray, beta: float, rows: int) -> np.ndarray:
    """Eigenvalues of the covariance operator C, greatest first, from so many evenly spaced rows."""
    x = x[np.unique(np.linspace(0, len(x) - 1, rows).astype(int))]
    D = distances_between(x, x) ** beta
    row = D.mean(1)
    gram = -(D - row - row[:, None] + row.mean()) / (2 * (len(x) - 1))
    return np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0)
