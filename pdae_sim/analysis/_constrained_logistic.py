"""Multinomial logistic regression constrained by the product formula, applied to cells that no fit saw.

The logits, log odds of the environments given x, are functions η_e(x) with Σ_e w_e η_e(x) = const: all but the
baseline's, which is zero, and the target's, which is what the formula makes of the others', are free combinations of
the columns of x and of Nyström features of a Gaussian kernel, with a ridge penalty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.special import log_softmax, logsumexp, softmax

from pdae_sim._random import stream
from pdae_sim.analysis._kernels import median_distance, nystrom_features

_PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
_LANDMARKS = 100
_NEWTON_STEPS = 30
_ALTERNATIONS, _SETTLED, _STEREOTYPE_PENALTY = 20, 1e-3, 1e-3


@dataclass(frozen=True, eq=False)
class FittedOdds:
    """Log odds under the product formula.

    Args:
        eta: (n, E) logits of cells that the fit behind them has not seen.
        penalty: Ridge penalty that was best on them.
        cross_entropy: Mean negative log probability of their environments, in nats.
    """

    eta: np.ndarray
    penalty: float
    cross_entropy: float


def cross_fitted(
    z: np.ndarray, environment: np.ndarray, w: np.ndarray, *, n_folds: int, root: np.random.SeedSequence
) -> FittedOdds:
    """Logits of cells that no fit saw, under Σ_e w_e η_e = const, at the ridge penalty that is best on those cells.

    Args:
        z: (n, d) standardised rows.
        environment: (n,) numbers 0 … E − 1, each of them present in every training part.
        w: (E,) non-zero weights, adding to zero.
        n_folds: Parts of the rows, each predicted from the others.
        root: Seeds of the folds and the landmarks.
    """
    fold, U = _folds(environment, n_folds, stream(root, "folds")), _free(w)
    bases = [_basis(z, z[fold != k], stream(root, "landmarks", k)) for k in range(n_folds)]
    starts: list[np.ndarray | None] = [None] * n_folds
    fitted: list[FittedOdds] = []
    for penalty in _PENALTIES:
        eta = np.empty((len(z), len(w)))
        for k, B in enumerate(bases):
            seen = fold != k
            starts[k] = t = _fit(B[seen], environment[seen], U, penalty, starts[k])
            eta[~seen] = _logits(B[~seen], U, t)
        loss = _cross_entropy(eta, environment)
        if fitted and loss > fitted[-1].cross_entropy:
            break  # a weaker penalty only fits noise better
        fitted.append(FittedOdds(eta, penalty, loss))
    return fitted[-1]


def _folds(environment: np.ndarray, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) fold numbers, each environment shared out evenly."""
    order = rng.permutation(len(environment))
    fold = np.empty(len(environment), int)
    for e in range(environment.max() + 1):
        rows = order[environment[order] == e]
        fold[rows] = np.arange(len(rows)) % n_folds
    return fold


def _basis(z: np.ndarray, seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Columns of x and Nyström features of a Gaussian kernel, centred on the cells seen."""
    landmarks = seen[rng.permutation(len(seen))[:_LANDMARKS]]
    # the ridge penalty leaves nothing of what lies below the cut, and Newton steps cost the square of the features
    features = nystrom_features(landmarks, 2**0.5 * median_distance(landmarks) or 1.0, cut=1e-6)
    columns, at_seen = (np.hstack([v, features(v)]) for v in (z, seen))
    return _rotated(columns - at_seen.mean(0), at_seen - at_seen.mean(0))


def _rotated(columns: np.ndarray, at_seen: np.ndarray) -> np.ndarray:
    """Columns in fewer coordinates that fit as well: of many, a ridge penalty uses the span of the cells seen alone."""
    if at_seen.shape[1] <= len(at_seen):
        return columns
    Q, _ = linalg.qr(at_seen.T, mode="economic", check_finite=False)
    return columns @ Q


def _free(w: np.ndarray) -> np.ndarray:
    """U (q + E − 1, E): row a says how the logits move with the a-th free function, then with each free constant.

    The first environment is the baseline; the target's function is what the formula makes of the others'.
    """
    n_environments = len(w)
    functions = np.zeros((n_environments - 2, n_environments))
    functions[:, 1:-1] = np.eye(n_environments - 2)
    functions[:, -1] = -w[1:-1]
    return np.vstack([functions, np.eye(n_environments)[1:]])


def _fit(B: np.ndarray, environment: np.ndarray, U: np.ndarray, penalty: float, start: np.ndarray | None) -> np.ndarray:
    """Ridge multinomial regression by damped Newton steps: the functions' coefficients in turn, then the constants."""
    columns = _columns(B, U)
    ridge = np.concatenate([np.full(D.shape[1], penalty if D.shape[1] > 1 else 0.0) for D in columns])
    t = np.zeros(len(ridge)) if start is None else start
    value = _objective(B, environment, U, ridge, t)
    for _ in range(_NEWTON_STEPS):
        gradient, hessian = _derivatives(columns, B, environment, U, ridge, t)
        step = linalg.solve(hessian + 1e-10 * np.eye(len(t)), gradient, assume_a="pos")
        size, new = 1.0, _objective(B, environment, U, ridge, t - step)
        while new > value and size > 1e-3:
            size /= 2
            new = _objective(B, environment, U, ridge, t - size * step)
        if value - new < 1e-8:
            break
        t, value = t - size * step, new
    return t


def _columns(B: np.ndarray, U: np.ndarray) -> list[np.ndarray]:
    """What each row of U is multiplied by: B for the functions, ones for the constants."""
    n_functions = len(U) - (U.shape[1] - 1)
    return [B] * n_functions + [np.ones((len(B), 1))] * (U.shape[1] - 1)


def _logits(B: np.ndarray, U: np.ndarray, t: np.ndarray) -> np.ndarray:
    n_constants = U.shape[1] - 1
    theta, constants = t[:-n_constants].reshape(-1, B.shape[1]), t[-n_constants:]
    return (B @ theta.T) @ U[:-n_constants] + constants @ U[-n_constants:]


def _objective(B: np.ndarray, environment: np.ndarray, U: np.ndarray, ridge: np.ndarray, t: np.ndarray) -> float:
    return _cross_entropy(_logits(B, U, t), environment) + float(ridge @ t**2) / 2


def _cross_entropy(eta: np.ndarray, environment: np.ndarray) -> float:
    """The mean negative log probability, in nats, of the environments (n,) under logits (n, E)."""
    return -float(log_softmax(eta, axis=1)[np.arange(len(eta)), environment].mean())


def _derivatives(
    columns: list[np.ndarray], B: np.ndarray, environment: np.ndarray, U: np.ndarray, ridge: np.ndarray, t: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and Hessian; between rows a, b of U the weights are their covariance under π(x)."""
    n, P = len(B), softmax(_logits(B, U, t), axis=1)
    mean = P @ U.T
    residual = mean - U.T[environment]
    gradient = np.concatenate([D.T @ residual[:, a] for a, D in enumerate(columns)]) / n + ridge * t
    ends = np.cumsum([0, *(D.shape[1] for D in columns)])
    hessian = np.diag(ridge)
    for a, left in enumerate(columns):
        for b in range(a, len(U)):
            covariance = P @ (U[a] * U[b]) - mean[:, a] * mean[:, b]
            block = left.T @ (covariance[:, None] * columns[b]) / n
            rows, others = slice(*ends[a : a + 2]), slice(*ends[b : b + 2])
            hessian[rows, others] += block
            if a != b:
                hessian[others, rows] += block.T
    return gradient, hessian


def standardised(x: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1; those that do not vary are 0."""
    spread, rounding = x.std(0), 64 * np.finfo(float).eps * np.abs(x).max(0, initial=0.0)
    return np.where(spread > rounding, x - x.mean(0), 0.0) / np.where(spread > rounding, spread, 1.0)


def efficient_scores(eta: np.ndarray, environment: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R (n,) and v (n,); in logarithms, where one π is tiny."""
    log_pi = log_softmax(eta, axis=1)
    log_v = -logsumexp(2 * np.log(np.abs(w)) - log_pi, axis=1)
    return w[environment] * np.exp(log_v - log_pi[np.arange(len(eta)), environment]), np.exp(log_v)


def score_slopes(z: np.ndarray, R: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ R φ / Σ v φ² with φ a column less its v-weighted mean, and the standard error, (d,) each."""
    phi = z - v @ z / v.sum()
    information = np.maximum(v @ phi**2, np.finfo(float).tiny)
    return R @ phi / information, np.maximum(np.sqrt(R**2 @ phi**2) / information, np.finfo(float).tiny)


def stereotype(
    z: np.ndarray, environment: np.ndarray, start: np.ndarray, *, n_folds: int, root: np.random.SeedSequence
) -> np.ndarray:
    """φ (E,) with logits η_e(x) = φ_e b(x) + c_e: how far each environment lies along one tilt, the last at 1.

    b is fitted given φ on other cells than φ is fitted on given b, in turn until φ stays.

    Args:
        z: (n, d) standardised rows.
        environment: (n,) numbers 0 … E − 1, the first of them at φ = 0.
        start: (E,) where φ starts, ascending from 0 to 1.
        n_folds: Parts of the rows.
        root: Seeds of the folds and the landmarks.

    References:
        Anderson (1984), Regression and ordered categorical variables, JRSS B 46.
    """
    fold, constants = _folds(environment, n_folds, stream(root, "folds")), np.eye(len(start))[1:]
    bases = [_basis(z, z[fold != k], stream(root, "landmarks", k)) for k in range(n_folds)]
    tilts: list[np.ndarray | None] = [None] * n_folds
    phi = start
    for _ in range(_ALTERNATIONS):
        u, U = np.empty(len(z)), np.vstack([phi, constants])
        for k, B in enumerate(bases):
            seen = fold != k
            tilts[k] = t = _fit(B[seen], environment[seen], U, _STEREOTYPE_PENALTY, tilts[k])
            u[~seen] = B[~seen] @ t[: B.shape[1]]
        slopes = _fit(u[:, None], environment, np.vstack([constants, constants]), 0.0, None)[: len(constants)]
        before, phi = phi, np.append(0.0, slopes / slopes[-1])
        if np.abs(phi - before).max() < _SETTLED:
            break
    return phi
