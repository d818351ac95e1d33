"""Cross-fitted log ratios of all environments at once: ridge softmax regression on columns and Nyström features of x.

Each third of the cells is judged by two fits, on the other two thirds, that share no cell. Their mean is the estimate,
their difference says how much of its error is variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, optimize
from scipy.special import logsumexp

from pdae_sim.analysis._affinity import components, judged_twice, thirds
from pdae_sim.analysis._kernels import median_distance, nystrom_features

_PENALTIES = 10.0 ** np.arange(-0.5, -6.5, -0.5)
_WEAKER = 2  # penalties below the best: variance is removed afterwards, what a penalty hides is not
_LANDMARKS, _STEPS = 150, 100
_CUT = 1e-5  # share of the greatest eigenvalue of the kernel below which a feature costs more than it tells


@dataclass(frozen=True, eq=False)
class LogRatios:
    """Logits of environments at cells that no fit behind them has seen.

    Args:
        eta: (n, E) mean of two fits; differences of columns are log density ratios, up to constants.
        gap: (n, E) difference of the two.
    """

    eta: np.ndarray
    gap: np.ndarray


def cross_fitted_log_ratios(x: np.ndarray, environment: np.ndarray, rng: np.random.Generator) -> LogRatios:
    """Estimate the log ratios of environments 0 … E − 1 from cells x (n, d)."""
    z, fold = components(x), thirds(environment, rng)
    basis = _basis(z, rng)
    return LogRatios(*judged_twice(basis, fold, lambda seen, judge: _fit(basis, environment, seen, judge)))


def _basis(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, p) centred columns and kernel features; they see no environment, so no fold has to be left out of them."""
    landmarks = z[rng.permutation(len(z))[:_LANDMARKS]]
    features = nystrom_features(landmarks, 2**0.5 * median_distance(landmarks) or 1.0, cut=_CUT)
    B = np.hstack([z, features(z) * z.shape[1] ** 0.5])
    return B - B.mean(0)


def _fit(basis: np.ndarray, environment: np.ndarray, seen: np.ndarray, judge: np.ndarray) -> np.ndarray:
    """(1 + p, E) intercepts and slopes at a penalty somewhat weaker than the one that is best on other cells."""
    E = int(environment.max()) + 1
    s, U = linalg.eigh(basis[seen].T @ basis[seen] / seen.sum())
    F, J = basis[seen] @ U, basis[judge] @ U
    t, path, losses = np.zeros((len(s) + 1, E)), [], []
    for penalty in _PENALTIES:
        t = _softmax_fit(F, environment[seen], penalty, np.sqrt(np.maximum(s, 0) / E + penalty), t)
        path.append(t)
        losses.append(_cross_entropy(J @ t[1:] + t[0], environment[judge]))
        if len(path) - 1 - int(np.argmin(losses)) >= _WEAKER:
            break
    return np.vstack([t[:1], U @ t[1:]])


def _softmax_fit(F: np.ndarray, truth: np.ndarray, penalty: float, root: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Ridge softmax regression by L-BFGS in coordinates in which the Hessian is near the identity.

    Args:
        F: (n, p) features along the eigenvectors of their covariance.
        root: (p,) roots of a bound of the Hessian's eigenvalues.
        start: (1 + p, E) coefficients to start from.
    """
    (n, E), scaled = (len(F), start.shape[1]), F / root
    ridge, observed = (penalty / root**2)[:, None], np.eye(E)[truth]

    def objective(v: np.ndarray) -> tuple[float, np.ndarray]:
        T = v.reshape(-1, E)
        eta = scaled @ T[1:] + T[0]
        residual = (np.exp(eta - logsumexp(eta, axis=1, keepdims=True)) - observed) / n
        gradient = np.vstack([residual.sum(0), scaled.T @ residual + ridge * T[1:]])
        return _cross_entropy(eta, truth) + float((ridge * T[1:] ** 2).sum()) / 2, gradient.ravel()

    begin = np.vstack([start[:1], start[1:] * root[:, None]]).ravel()
    settled = 1e-5 * min(objective(begin)[0], 1.0)  # of the loss itself: where laws are far apart it is small
    limits = {"maxiter": _STEPS, "maxcor": 20, "ftol": settled, "gtol": 1e-5}
    T = optimize.minimize(objective, begin, jac=True, method="L-BFGS-B", options=limits).x.reshape(-1, E)
    return np.vstack([T[:1], T[1:] / root[:, None]])


def _cross_entropy(eta: np.ndarray, truth: np.ndarray) -> float:
    return float((logsumexp(eta, axis=1) - eta[np.arange(len(eta)), truth]).mean())
