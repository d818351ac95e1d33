"""A search for rivals: all smooth ways to leave a model that keep every training law, to first order.

A family of rivals that starts at the model moves the latents along a vector field v, the perturbation matrix along dW
and the covariance along dΣ. It keeps the law of x at every training label if

    div v − vᵀ P (z − mₑ) + (z − mₑ)ᵀ P dW lₑ + ½ (z − mₑ)ᵀ P dΣ P (z − mₑ) − ½ tr P dΣ = 0

for all z and e, mₑ = W lₑ. The equations are linear. Their solutions among cubic v, whatever dW and dΣ, are found by a
singular value decomposition, and a claim on equivalent models must hold for every one of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from theory.engine.instances import EPS, World
from theory.engine.record import Measurement


@dataclass(frozen=True)
class Flow:
    """One way to leave a model.

    Attributes:
        bend: coefficients of v of second and third order.
        slope: A (d_Z, d_Z), v = A z + … .
        coefficients: of all monomials of v (monomials, d_Z).
        dW: (d_Z, K).
        dSigma: (d_Z, d_Z).
    """

    bend: np.ndarray
    slope: np.ndarray
    coefficients: np.ndarray
    dW: np.ndarray  # noqa: N815, the letters of the model
    dSigma: np.ndarray  # noqa: N815


def flows(world: World, *, isotropic: bool) -> tuple[tuple[Flow, ...], float]:
    """All flows of a world that keep its training laws, of length 1, and a bound on the rounding in them.

    Args:
        world: with covariance I if `isotropic`, else its own.
        isotropic: whether dΣ = 0.
    """
    points = np.vstack([world.z_base, -world.z_base / 2])
    equations = np.vstack([conditions(world, points, label, isotropic=isotropic) for label in world.labels])
    values, axes = np.linalg.svd(equations)[1:]
    rank = int((values > 1e-9 * values[0]).sum())
    bound = 64 * len(equations) * EPS * float(values[0] / values[rank - 1])
    return tuple(_flow(world, axis) for axis in axes[rank:]), bound


def conditions(world: World, points: np.ndarray, label: np.ndarray, *, isotropic: bool) -> np.ndarray:
    """The equations at one label, a row for each point and a column for each unknown of v, dW and dΣ."""
    size, K = world.W.shape
    P = np.eye(size) if isotropic else np.linalg.inv(world.Sigma)
    apart = (points - world.W @ label) @ P
    field = [_divergence(points, i) - monomials(points) * apart[:, [i]] for i in range(size)]
    shift = [apart[:, [i]] * label[k] for i in range(size) for k in range(K)]
    pairs = [] if isotropic else _pairs(size)
    spread = [_symmetric_part(apart, P, i, j) for i, j in pairs]
    return np.hstack([*field, *shift, *spread])


def monomials(points: np.ndarray) -> np.ndarray:
    """All monomials up to degree 3, the constant and the linear ones first."""
    return np.stack([(points**row).prod(axis=1) for row in powers(points.shape[1])], axis=1)


def powers(size: int, degree: int = 3) -> np.ndarray:
    """Exponents of the monomials, one row each."""
    chosen = [c for total in range(degree + 1) for c in combinations_with_replacement(range(size), total)]
    return np.array([[list(c).count(i) for i in range(size)] for c in chosen])


def search(
    name: str, world: World, of: Callable[[Flow], np.ndarray], *, isotropic: bool, fault: float = 0.0
) -> Measurement:
    """The largest violation of a claim, `of` a flow, over all flows."""
    found, bound = flows(world, isotropic=isotropic)
    worst = max((float(np.abs(of(flow)).max(initial=0)) for flow in found), default=0.0)
    size = (1 + float(np.abs(world.W @ world.shifts).max())) * (1 + float(np.abs(world.labels).max()))
    return Measurement(name, worst + fault * float(not found), bound * size**2)


def _flow(world: World, axis: np.ndarray) -> Flow:
    (size, K), n = world.W.shape, len(powers(len(world.W)))
    coefficients = axis[: n * size].reshape(size, n).T
    dW = axis[n * size : n * size + size * K].reshape(size, K)
    rest, dSigma = axis[n * size + size * K :], np.zeros((size, size))
    for value, (i, j) in zip(rest, _pairs(size) if len(rest) else (), strict=True):
        dSigma[i, j] = dSigma[j, i] = value
    return Flow(coefficients[1 + size :], coefficients[1 : 1 + size].T, coefficients, dW, dSigma)


def _divergence(points: np.ndarray, i: int) -> np.ndarray:
    exponents = powers(points.shape[1])
    lowered = np.maximum(exponents - np.eye(points.shape[1], dtype=int)[i], 0)
    return np.stack(
        [row[i] * (points**less).prod(axis=1) for row, less in zip(exponents, lowered, strict=True)], axis=1
    )


def _pairs(size: int) -> list[tuple[int, int]]:
    return list(combinations_with_replacement(range(size), 2))


def _symmetric_part(apart: np.ndarray, P: np.ndarray, i: int, j: int) -> np.ndarray:
    twice = 1.0 if i == j else 2.0
    return (twice * (apart[:, i] * apart[:, j] - P[i, j]) / 2)[:, None]
