"""How hard a mixing is: how far from affine, and how ill-conditioned, over latents of a known law."""

from __future__ import annotations

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import matrix, size, whole
from pdae_sim.errors import InputError
from pdae_sim.simulation.mixings.composition import Mixing


@checked_numbers
def linear_r2(mixing: Mixing, z: np.ndarray) -> float:
    """How much of the total variance of f(z) the best affine map z ↦ M z + b explains.

    1 − [Σ residual² / (n − d_Z − 1)] / [Σ (x − mean)² / (n − 1)]: with the degrees of freedom an estimate of the
    population's R², which the plain ratio exceeds by some (1 − R²) d_Z / n.

    Args:
        mixing: f.
        z: Latents (n, d_Z), n > d_Z + 1.

    Example:
        >>> from pdae_sim.simulation.mixings import Affine
        >>> bool(np.isclose(linear_r2(Mixing((Affine(np.eye(2), np.ones(2)),)), reference_latents(2, 64)), 1.0))
        True
    """
    z, x = matrix("z", z), mixing(z)
    n, d = z.shape
    if n <= d + 1:
        raise InputError(f"z must have more than d_Z + 1 = {d + 1} rows; received {n}")
    centred, x = z - z.mean(axis=0), x - x.mean(axis=0)
    residual = x - centred @ np.linalg.lstsq(centred, x, rcond=None)[0]
    return 1.0 - float((residual**2).sum() / (x**2).sum()) * (n - 1) / (n - d - 1)


@checked_numbers
def condition_numbers(mixing: Mixing, z: np.ndarray) -> np.ndarray:
    """The condition numbers of the Jacobians of f at z (n, d_Z), (n,); inf where a Jacobian is singular.

    Example:
        >>> from pdae_sim.simulation.mixings import Affine
        >>> condition_numbers(Mixing((Affine(np.diag([4.0, 1.0]), np.zeros(2)),)), np.zeros((1, 2))).tolist()
        [4.0]
    """
    numbers = [np.empty(0)]
    for J in mixing.jacobian_blocks(matrix("z", z)):
        s = np.linalg.svd(np.linalg.qr(J, mode="r") if J.shape[1] > 2 * J.shape[2] else J, compute_uv=False)
        with np.errstate(divide="ignore"):
            numbers.append(s[:, 0] / s[:, -1])
    return np.concatenate(numbers)


@checked_numbers
def reference_latents(n_latents: int, n: int = 4096, *, covariance: np.ndarray | None = None) -> np.ndarray:
    """A fixed sample (n, d_Z) of N(0, Σ): Sobol points, always scrambled alike, through the normal quantile function.

    Scrambled, because the plain points are too regular: a Hénon map of ten latents has nonlinearity 0.20 over the
    first 8,192 of them and 0.14 in truth.

    Args:
        n_latents: d_Z.
        n: Number of rows, a power of two.
        covariance: Σ (d_Z, d_Z); the identity when None.

    References:
        Owen (1998), Scrambling Sobol' and Niederreiter–Xing points.

    Example:
        >>> z = reference_latents(2, covariance=np.diag([4.0, 1.0]))
        >>> bool(np.allclose(np.cov(z.T), np.diag([4.0, 1.0]), atol=0.01))
        True
    """
    from scipy.special import ndtri
    from scipy.stats import qmc

    d, power = size("n_latents", n_latents), int(whole("n", n)).bit_length() - 1
    if n != 2**power:
        raise InputError(f"n must be a power of two; received {n}")
    u = qmc.Sobol(d, scramble=True, seed=np.random.default_rng(0)).random_base2(power)
    z = ndtri(u + 2.0**-31)  # 30 bits each: inside (0, 1)
    return z if covariance is None else z @ _root(covariance, d).T


def _root(covariance: np.ndarray, d: int) -> np.ndarray:
    S = matrix("covariance", covariance, columns=d)
    try:
        if S.shape != (d, d) or not np.allclose(S, S.T):
            raise np.linalg.LinAlgError
        return np.linalg.cholesky(S)
    except np.linalg.LinAlgError:
        raise InputError(f"covariance must be a symmetric positive definite matrix ({d}, {d})") from None
