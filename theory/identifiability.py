"""Claim 2.3: with an isotropic Gaussian base, equivalent models differ by a rotation and a shift of the latent space.

The proof asks nothing of f but that it is injective: it compares the two models at almost every latent through the
density ratios of the environments, which an injective f transports.
"""

from collections.abc import Callable
from itertools import combinations_with_replacement

import numpy as np
from sympy import Identity, MatrixSymbol, Rational

from theory import density_ratio, rivals
from theory.assumptions import ADDITIVE, DIVERSE, EQUIVALENT, GAUSSIAN, INJECTIVE, ISOTROPIC, NOISELESS, PAPER
from theory.instances import EPS, World, log_ratios, worlds
from theory.record import DEFINITION, Assumption, Case, Claim, Counterexample, Given, Lemma, Measurement, Step
from theory.symbols import Delta_e, L, M, W, W_rival, d, l_0, l_e, z

ASSUMPTIONS = (ADDITIVE, GAUSSIAN, ISOTROPIC, NOISELESS, INJECTIVE, DIVERSE, EQUIVALENT)

h = MatrixSymbol("h(z)", d, 1)
H = MatrixSymbol("H", d, d)
k = MatrixSymbol("k", d, 1)
b, b_rival, c, r = (MatrixSymbol(name, M, 1) for name in ("b", "b~", "c", "r"))
E, E_inverse, Y = (MatrixSymbol(name, d, d) for name in ("E", "E^-1", "Y"))
right_inverse = MatrixSymbol("(W L)^+", M, d)

TRANSPORT = Lemma(
    "transport",
    "for almost every z, the log density ratios r of x at f(z) = f~(h(z)), h = f~^-1 o f, are those of z and of h(z)",
    "push-forward of measures by an injective map (Radon-Nikodym); latents of both models have a density, so the"
    " exceptional set has Lebesgue measure zero",
    (NOISELESS.name, INJECTIVE.name, EQUIVALENT.name),
)
POINTS = Lemma(
    "points",
    "a set of full measure contains z_0, …, z_d whose differences E = [z_1 - z_0 … z_d - z_0] have an inverse",
    "the (d + 1)-tuples with det E = 0 are a null set, being the zeros of a polynomial that is not zero",
)
SQUARE = Lemma("square", "for square matrices N H = I implies H N = I", "rank-nullity")
MEANS = Lemma(
    "means",
    "E[h(z)] at label l_e is the rival's latent mean W~ l_e, and the model's is W l_e",
    "h carries the latent law of the model to that of the rival at every training label; expectation is linear",
    (ADDITIVE.name, NOISELESS.name, INJECTIVE.name, EQUIVALENT.name),
)

_ratio = (TRANSPORT.name, "density_ratio", ISOTROPIC.name)
_diverse = Given((DIVERSE.name,), W * L * right_inverse, Identity(d))

EQUAL_RATIOS = Step(
    "equal_ratios",
    "(W~ L)' h(z) = (W L)' z + c: claim 2.1 for either model, stacked over the training labels",
    L.T * W_rival.T * h,
    L.T * W.T * z + c,
    (
        Given(_ratio, L.T * W_rival.T * h, r - b_rival),
        Given(_ratio, L.T * W.T * z, r - b),
        Given((DEFINITION,), c, b - b_rival),
    ),
)


h_1, h_0, z_1, z_0 = (MatrixSymbol(name, d, 1) for name in ("h(z_1)", "h(z_0)", "z_1", "z_0"))
rise, run = MatrixSymbol("h(z_1) - h(z_0)", d, 1), MatrixSymbol("z_1 - z_0", d, 1)
_differences = (Given((DEFINITION,), rise, h_1 - h_0), Given((DEFINITION,), run, z_1 - z_0))

INCREMENTS = Step(
    "increments",
    "the constant c cancels between two points: (W~ L)' (h(z_1) - h(z_0)) = (W L)' (z_1 - z_0)",
    L.T * W_rival.T * rise,
    L.T * W.T * run,
    (*_differences, EQUAL_RATIOS.cited({h: h_1, z: z_1}), EQUAL_RATIOS.cited({h: h_0, z: z_0})),
)


def _affine_at(image: MatrixSymbol, point: MatrixSymbol) -> Given:
    """h(z) = H z + k at a point: what `affine` says once `square` turns N H = I into H N = I."""
    return Given(("inverse", "affine", SQUARE.name), image, H * point + k)


def _linear_part() -> tuple[Step | Lemma, ...]:
    stacked = INCREMENTS.cited({rise: Y, run: E})
    spread = Given((POINTS.name,), E * E_inverse, Identity(d))
    define_H = Given((DEFINITION,), H, Y * E_inverse)
    N = right_inverse.T * L.T * W_rival.T
    inverse = Step(
        "inverse",
        "N = (W L)^+' (W~ L)' and H = Y E^-1, Y the increments of h over E, satisfy N H = I; so rank(W~ L) = d_Z",
        N * H,
        Identity(d),
        (define_H, stacked, spread, _diverse),
    )
    affine = Step(
        "affine",
        "N h(z) = z + (W L)^+' c, so H N h(z) = H z + k with k = H (W L)^+' c",
        H * N * h,
        H * z + k,
        (EQUAL_RATIOS.cited(), _diverse, Given((DEFINITION,), k, H * right_inverse.T * c)),
    )
    slope = Step(
        "slope",
        "(W~ L)' H = (W L)'",
        L.T * W_rival.T * H,
        L.T * W.T,
        (define_H, stacked, spread),
    )
    constant_jacobian = Step(
        "constant_jacobian",
        "h(z_1) - h(z_0) = H (z_1 - z_0) for all pairs: the Jacobian of h is the constant H",
        rise,
        H * run,
        (*_differences, _affine_at(h_1, z_1), _affine_at(h_0, z_0)),
    )
    return POINTS, inverse, SQUARE, affine, constant_jacobian, slope


def _orthogonality(slope: Step) -> tuple[Step, ...]:
    means = tuple(
        Given((MEANS.name, "inverse", "affine", SQUARE.name), W_rival * label, H * W * label + k)
        for label in (l_e, l_0)
    )
    shifts = Step(
        "shifts",
        "W~ Delta_e = H W Delta_e for every training label, i.e. W~ L = H W L",
        W_rival * Delta_e,
        H * W * Delta_e,
        (*means, Given((DEFINITION,), Delta_e, l_e - l_0)),
    )
    one_way = Step(
        "one_way",
        "H' (W~ L) (W L)^+ = H' H, by `shifts`",
        H.T * W_rival * L * right_inverse,
        H.T * H,
        (shifts.cited({Delta_e: L}), _diverse),
    )
    orthogonal = Step(
        "orthogonal",
        "H' H = I: the same product is (W L) (W L)^+ = I by `slope`; with `square` also H H' = I",
        H.T * H,
        Identity(d),
        (one_way.reversed(), slope.cited(), _diverse),
    )
    return shifts, one_way, orthogonal


def _proof() -> tuple[Step | Lemma, ...]:
    linear_part = _linear_part()
    return TRANSPORT, EQUAL_RATIOS, INCREMENTS, *linear_part, MEANS, *_orthogonality(slope=linear_part[-1])


def measure(world: World, W_rival: np.ndarray) -> tuple[Measurement, ...]:
    """Recover h from the density ratios of x alone, as a cubic polynomial, and compare it with a rotation and shift.

    The ratios come from the model through its mixing; the rival explains them by (W~ L)ᵀ h(z) + b~, which is linear in
    the unknown h. Rounding of the two least squares: c·eps·cond(features)·cond(W~ L)·size, c = 8 n operations.
    """
    latents = world.unmix(world.mix(world.z_base / 2))
    ratios = log_ratios(latents, world.labels @ world.W.T, np.eye(len(world.W)))
    half_norms = np.square(world.labels @ W_rival.T).sum(axis=1, keepdims=True) / 2
    targets, B = ratios + half_norms[1:] - half_norms[0], W_rival @ world.shifts
    features = cubic(world.z_base / 2)
    coefficients = np.linalg.lstsq(features, np.linalg.lstsq(B.T, targets, rcond=None)[0].T, rcond=None)[0]
    H = coefficients[1 : 1 + len(world.W)].T
    size = (1 + np.abs(targets).max()) * (1 + np.abs(B).max())
    bound = 8 * len(features) * EPS * np.linalg.cond(features) * np.linalg.cond(B) * size
    return (
        Measurement("curvature", _largest(coefficients[1 + len(world.W) :]), bound),
        Measurement("orthogonality", _largest(H.T @ H - np.eye(len(H))), bound),
        Measurement("shifts", _largest(B - H @ world.W @ world.shifts), bound),
    )


def cubic(points: np.ndarray) -> np.ndarray:
    """All monomials of degree 0, 1, 2, 3 in the columns of `points`, the constant and the linear ones first."""
    columns = range(points.shape[1])
    chosen = [c for degree in range(4) for c in combinations_with_replacement(columns, degree)]
    return np.stack([points[:, list(c)].prod(axis=1) for c in chosen], axis=1)


def rival_matrix(world: World) -> np.ndarray:
    """A matrix W~ of an equivalent rival: Q W plus something that vanishes on the training shifts."""
    unseen = np.eye(len(world.labels[0])) - world.shifts @ np.linalg.pinv(world.shifts)
    return world.Q @ world.W + np.outer(world.u, unseen[0])


def _largest(deviation: np.ndarray) -> float:
    return float(np.abs(deviation).max())


def _check() -> tuple[Measurement, ...]:
    return tuple(m for world in worlds() for m in measure(world, rival_matrix(world)))


def _without(assumption: Assumption, statement: str, rival: Callable[[Rational], rivals.Rival]) -> Counterexample:
    def build(size: Rational) -> Case:
        model = rival(size)
        return Case(model.premises, model.identified)

    return Counterexample(assumption.name, statement, build)


CLAIM = Claim(
    name="identifiability",
    number="2.3",
    statement="equivalent models have f~^-1 o f (z) = Q z + c with Q orthogonal, and W~ L = Q W L",
    latex=r"\tilde f^{-1}\circ f(z) = Qz + c,\quad Q^\top Q = QQ^\top = I,\quad \tilde W L = Q W L",
    assumptions=ASSUMPTIONS,
    source=PAPER,
    proof=_proof(),
    check=_check,
    counterexamples=(
        _without(ADDITIVE, "a dose response that is linear at the training doses only hides another W", rivals.curved),
        _without(GAUSSIAN, "h may wave with the period of the doses", rivals.wavy),
        _without(ISOTROPIC, "h may stretch the latent space, with f and Sigma", rivals.stretched),
        _without(NOISELESS, "a coin flip hides the shift", rivals.noisy),
        _without(INJECTIVE, "f may have the period of the doses, and W is not seen", rivals.folded),
        _without(DIVERSE, "h may turn two unseen coordinates by a varying angle", rivals.turned),
        _without(EQUIVALENT, "a model with other training laws has another W", rivals.different),
    ),
    uses=(density_ratio.CLAIM,),
)
