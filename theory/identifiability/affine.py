"""Claim 2.2: with a Gaussian base of unknown covariance, equivalent models differ by an affine map of the latent space.

The proof asks nothing of f but that it is injective: it compares the two models at almost every latent through the
density ratios of the environments, which an injective f transports, and takes differences where the paper takes
derivatives (2.2a). Claim 2.3 is the case Σ = Σ̃ = I.

Tried against it: variances that change with the perturbation. They break it although the mean shifts span the latent
space, because diversity of means is not diversity of density ratios: see `rivals.one_quadratic`.
"""

from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np
from sympy import Identity, MatrixSymbol
from sympy.matrices.expressions import MatrixExpr

from theory.assumptions import (
    ADDITIVE,
    DIVERSE,
    EQUIVALENT,
    GAUSSIAN,
    INJECTIVE,
    NOTATION,
    PAPER,
    RECOVERABLE,
    SHARED_COVARIANCE,
)
from theory.engine.expectation import Expectation, Random
from theory.engine.instances import EPS, World, log_ratios, worlds
from theory.engine.proof import DEFINITION, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement
from theory.identifiability import density_ratio, flows, rivals
from theory.symbols import Delta_e, L, M, P, Sigma, W, W_rival, d, l_0, l_e, right_inverse

z = Random("z", d, 1)
z_1, z_0, run = (MatrixSymbol(name, d, 1) for name in ("z_1", "z_0", r"\left(z_{1} - z_{0}\right)"))
H, P_rival = (MatrixSymbol(name, d, d) for name in ("H", "Ptilde"))
k = MatrixSymbol("k", d, 1)
b, b_rival, c, r = (MatrixSymbol(name, M, 1) for name in ("b", "btilde", "c", "r"))
E, E_inverse, Y = (MatrixSymbol(name, d, d) for name in ("E", "E^{-1}", "Y"))


@dataclass(frozen=True)
class Image:
    """A map of the latent as proofs write it: at z, at two points, and its increment between these."""

    at: MatrixSymbol
    at_1: MatrixSymbol
    at_0: MatrixSymbol
    rise: MatrixSymbol

    @property
    def differences(self) -> tuple[Equation, Equation]:
        """What the increments of the image and of the latent stand for."""
        return Equation(DEFINITION, self.rise, self.at_1 - self.at_0), Equation(DEFINITION, run, z_1 - z_0)


def image_of(letter: str) -> Image:
    """The image of the latent under a map of this letter."""
    one, zero = (f"{letter}(z_{{{i}}})" for i in (1, 0))
    rest = (MatrixSymbol(name, d, 1) for name in (one, zero, rf"\left({one} - {zero}\right)"))
    return Image(Random(f"{letter}(z)", d, 1), *rest)


IMAGE = image_of("h")
h, rise = IMAGE.at, IMAGE.rise
slopes, slopes_rival = L.T * W.T * P, L.T * W_rival.T * P_rival

TRANSPORT = Lemma(
    "transport",
    "for almost every z, the log density ratios r of y = f(z) = f̃(h(z)), h = f̃⁻¹ ∘ f, are those of z and of h(z),"
    " which"
    " are affine in z and in h(z) with the slopes (P W L)ᵀ and (P̃ W̃ L)ᵀ",
    "claim 2.1 in either model, stacked over the training labels; both models have one law of y; push-forward of"
    " measures by an injective map (Radon-Nikodym); latents of both"
    " models have a density, so the exceptional set has Lebesgue measure zero",
    (RECOVERABLE, INJECTIVE, EQUIVALENT, density_ratio.CLAIM),
    states=((slopes_rival * h, r - b_rival), (slopes * z, r - b)),
    generic=(h, z),
)
POINTS = Lemma(
    "points",
    "a set of full measure contains z₀, …, z_d whose differences E = [z₁ − z₀ … z_d − z₀] have an inverse",
    "the (d + 1)-tuples with det E = 0 are a null set, being the zeros of a polynomial that is not zero",
    states=((E * E_inverse, Identity(d)),),
)
MEANS = Lemma(
    "means",
    "𝔼[h(z)] at label lₑ is the rival’s latent mean W̃ lₑ, and the model’s is W lₑ",
    "h carries the latent law of the model to that of the rival at every training label; expectation is linear",
    (ADDITIVE, RECOVERABLE, INJECTIVE, EQUIVALENT),
    states=((Expectation(h), W_rival * l_e), (Expectation(z), W * l_e)),
    generic=(l_e,),
)

_diverse = Equation(DIVERSE, W * L * right_inverse, Identity(d))
_regular = Equation(SHARED_COVARIANCE, Sigma * P, Identity(d))


def equal_ratios(left: MatrixExpr, right: MatrixExpr, ratios: Lemma, statement: str) -> Step:
    """`left` h(z) = `right` z + c: claim 2.1 for either model, stacked over the training labels, as `ratios` states."""
    return Step(
        "equal_ratios",
        statement,
        left * h,
        right * z + c,
        (ratios.equation(0), ratios.equation(1), Equation(DEFINITION, c, b - b_rival)),
        generic=(h, z),
    )


EQUAL_RATIOS = equal_ratios(
    slopes_rival,
    slopes,
    TRANSPORT,
    "(P̃ W̃ L)ᵀ h(z) = (P W L)ᵀ z + c: claim 2.1 for either model, stacked over the training labels",
)


def increments(equal: Step, image: Image, left: MatrixExpr, right: MatrixExpr, statement: str) -> Step:
    """From `left` h(z) = `right` z + c, by the difference of two points."""
    at_points = (equal.equation({image.at: at, z: point}) for at, point in ((image.at_1, z_1), (image.at_0, z_0)))
    sides = left * image.rise, right * run
    return Step("increments", statement, *sides, (*image.differences, *at_points))


def linear_part(
    equal: Step,
    image: Image,
    sides: tuple[MatrixExpr, MatrixExpr],
    inverse_of_right: MatrixExpr,
    regular: tuple[Equation, ...],
    statements: tuple[str, str, str],
) -> tuple[Lemma, Step, Step, Step]:
    """Steps to: h is affine with an invertible slope H, if `left` h(z) = `right` z + c and `right` has a left inverse.

    Args:
        equal: the step that says so, whose `increments` precede.
        image: h.
        sides: left and right.
        inverse_of_right: a matrix that times `right` is I, by `regular`.
        regular: why it is.
        statements: of the steps `inverse`, `affine` and `slope`.
    """
    (left, right), N = sides, inverse_of_right * sides[0]
    stacked = Lemma(
        "stacked",
        "the increments from z₀ to z₁, …, z_d side by side: those of the image are the columns of Y",
        "`increments` holds for any two points, and E has the increments of z as its columns",
        ("points", "increments"),
        ((left * Y, right * E),),
    )
    columns, spread = stacked.equation(), Equation(POINTS, E * E_inverse, Identity(d))
    define_H, define_k = Equation(DEFINITION, H, Y * E_inverse), Equation(DEFINITION, k, H * inverse_of_right * c)
    return (
        stacked,
        Step("inverse", statements[0], N * H, Identity(d), (define_H, columns, spread, *regular)),
        Step("affine", statements[1], H * N * image.at, H * z + k, (equal.equation(), *regular, define_k)),
        Step("slope", statements[2], left * H, right, (define_H, columns, spread)),
    )


INCREMENTS = increments(
    EQUAL_RATIOS,
    IMAGE,
    slopes_rival,
    slopes,
    "the constant c cancels between two points: (P̃ W̃ L)ᵀ (h(z₁) − h(z₀)) = (P W L)ᵀ (z₁ − z₀)",
)


def image_lemma(image: Image) -> Lemma:
    """h(z) = H z + k: what `affine` says once N H = I is turned into H N = I."""
    return Lemma(
        "image",
        f"{'h' if image.at == h else 'g'}(z) = H z + k for almost every z",
        "for square matrices N H = I implies H N = I (rank-nullity), so the left side of `affine` is the image of z",
        ("inverse", "affine"),
        ((image.at, H * z + k),),
        (image.at, z),
    )


IMAGE_AT = image_lemma(IMAGE)


def _affine_at(image: MatrixSymbol, point: MatrixSymbol) -> Equation:
    return IMAGE_AT.equation(0, {h: image, z: point})


def _linear_part() -> tuple[tuple[Step | Lemma, ...], Step]:
    stacked, inverse, affine, slope = linear_part(
        EQUAL_RATIOS,
        IMAGE,
        (slopes_rival, slopes),
        Sigma * right_inverse.T,
        (_diverse, _regular),
        (
            "N = Σ (W L)⁺ᵀ (P̃ W̃ L)ᵀ and H = Y E⁻¹, Y the increments of h on E, satisfy N H = I, so rank(W̃ L) = d",
            "N h(z) = z + Σ (W L)⁺ᵀ c, so H N h(z) = H z + k with k = H Σ (W L)⁺ᵀ c",
            "(P̃ W̃ L)ᵀ H = (P W L)ᵀ",
        ),
    )
    constant_jacobian = Step(
        "constant_jacobian",
        "h(z₁) − h(z₀) = H (z₁ − z₀) for all pairs: the Jacobian of h is the constant H",
        rise,
        H * run,
        (*IMAGE.differences, _affine_at(IMAGE.at_1, z_1), _affine_at(IMAGE.at_0, z_0)),
    )
    return (POINTS, stacked, inverse, affine, IMAGE_AT, constant_jacobian, slope), slope


def _transformation(slope: Step) -> tuple[Step, ...]:
    """How H carries shifts, precision and Gram matrix of the model to those of the rival."""
    at_label = Step(
        "at_label",
        "W̃ lₑ = H W lₑ + k: the mean of h(z) = H z + k under every training label, the reference included",
        Expectation(h),
        H * W * l_e + k,
        (IMAGE_AT.equation(), MEANS.equation(1)),
        generic=(l_e,),
    )
    labels = Step(
        "labels",
        "W̃ lₑ = H W lₑ + k",
        W_rival * l_e,
        H * W * l_e + k,
        (MEANS.equation(0).reversed(), at_label.equation()),
        generic=(l_e,),
    )
    means = tuple(labels.equation({l_e: label}) for label in (l_e, l_0))
    shifts = Step(
        "shifts",
        "W̃ Δₑ = H W Δₑ for every training label, i.e. W̃ L = H W L",
        W_rival * Delta_e,
        H * W * Delta_e,
        (*means, Equation(NOTATION, Delta_e, l_e - l_0)),
        generic=(Delta_e,),
    )
    stacked = shifts.equation({Delta_e: L})
    one_way = Step(
        "one_way",
        "Hᵀ P̃ (W̃ L) (W L)⁺ = Hᵀ P̃ H, by `shifts`",
        H.T * P_rival.T * W_rival * L * right_inverse,
        H.T * P_rival * H,
        (stacked, _diverse, Equation(SHARED_COVARIANCE, P_rival.T, P_rival)),
    )
    precision = Step(
        "precision",
        "Hᵀ P̃ H = P, i.e. Σ̃ = H Σ Hᵀ: the same product is P (W L) (W L)⁺ = P by `slope`",
        H.T * P_rival * H,
        P,
        (one_way.reversed(), slope.equation(), _diverse, Equation(SHARED_COVARIANCE, P.T, P)),
    )
    gram = Step(
        "gram",
        "(W̃ L)ᵀ P̃ (W̃ L) = (W L)ᵀ P (W L): in the metric of its own base law the Gram matrix is the same",
        slopes_rival * W_rival * L,
        slopes * W * L,
        (slope.reversed(), Equation(shifts, H * W * L, W_rival * L, ((Delta_e, L),))),
    )
    return at_label, labels, shifts, one_way, precision, gram


def _proof() -> tuple[Step | Lemma, ...]:
    steps, slope = _linear_part()
    return TRANSPORT, EQUAL_RATIOS, INCREMENTS, *steps, MEANS, *_transformation(slope)


def measure(world: World, W_rival: np.ndarray, Sigma_rival: np.ndarray, bend: float = 0.0) -> tuple[Measurement, ...]:
    """Recover h from the density ratios of x and compare it with an affine map that carries W L and Σ over."""
    coefficients, bound = recovered(world, world.Sigma, W_rival, Sigma_rival, bend)
    H, B = coefficients[1 : 1 + len(world.W)].T, W_rival @ world.shifts
    size = float(np.linalg.norm(H, 2) ** 2 * np.linalg.norm(world.Sigma, 2))
    return (
        Measurement("curvature", largest(coefficients[1 + len(world.W) :]), bound),
        Measurement("shifts", largest(B - H @ world.W @ world.shifts), bound * (1 + largest(world.W @ world.shifts))),
        Measurement("covariance", largest(Sigma_rival - H @ world.Sigma @ H.T), bound * (1 + size)),
    )


def recovered(
    world: World, Sigma: np.ndarray, W_rival: np.ndarray, Sigma_rival: np.ndarray, bend: float = 0.0
) -> tuple[np.ndarray, float]:
    """The map h as a cubic polynomial, found from the density ratios of x, and a bound on the rounding in it.

    The ratios come from the model with covariance `Sigma` through its mixing; the rival explains them by
    (P̃ W̃ L)ᵀ h(z) + b̃, which is linear in the unknown h. Rounding of the two least squares:
    c·eps·cond(features)·cond(P̃ W̃ L)·size, c = 8 n operations.

    Returns:
        Coefficients (monomials, d_Z), the constant and the linear ones first, and the bound.
    """
    latents = world.unmix(world.mix(world.z_base / 2))
    ratios = log_ratios(latents + bend * latents**2, world.labels @ world.W.T, Sigma)
    means, B = world.labels @ W_rival.T, np.linalg.solve(Sigma_rival, W_rival @ world.shifts)
    half_norms = np.einsum("ei,ie->e", means, np.linalg.solve(Sigma_rival, means.T))[:, None] / 2
    targets, features = ratios + half_norms[1:] - half_norms[0], cubic(world.z_base / 2)
    images = np.linalg.lstsq(B.T, targets, rcond=None)[0]
    coefficients = np.linalg.lstsq(features, images.T, rcond=None)[0]
    size = (1 + largest(targets)) * (1 + largest(B))
    return coefficients, 8 * len(features) * EPS * float(np.linalg.cond(features) * np.linalg.cond(B)) * size


def cubic(points: np.ndarray) -> np.ndarray:
    """All monomials of degree 0, 1, 2, 3 in the columns of `points`, the constant and the linear ones first."""
    columns = range(points.shape[1])
    chosen = [c for degree in range(4) for c in combinations_with_replacement(columns, degree)]
    return np.stack([points[:, list(c)].prod(axis=1) for c in chosen], axis=1)


def rival_matrix(world: World, H: np.ndarray) -> np.ndarray:
    """A matrix W̃ of an equivalent rival: H W plus something that vanishes on the training shifts."""
    unseen = np.eye(len(world.labels[0])) - world.shifts @ np.linalg.pinv(world.shifts)
    return H @ world.W + np.outer(world.u, unseen[0])


def linear_map(world: World) -> np.ndarray:
    """An invertible H (d_Z, d_Z) that is not orthogonal, of condition number at most 2."""
    return world.R * np.linspace(1, 2, len(world.R)) @ world.Q


def largest(deviation: np.ndarray) -> float:
    """The largest absolute entry, 0 if there is none."""
    return float(np.abs(deviation).max(initial=0))


def _of(world: World, fault: float) -> tuple[Measurement, ...]:
    """Against one rival, and against all that are near."""
    H, wrong, B = linear_map(world), 1 + 1e-3 * fault, world.W @ world.shifts
    unseen = flows.search("search_curvature", blinded(world, 2 * fault), _bend, isotropic=False)
    return (
        *measure(world, wrong * rival_matrix(world, H), wrong * H @ world.Sigma @ H.T, 1e-3 * fault),
        unseen,
        flows.search("search_shifts", world, lambda f: f.dW @ world.shifts - wrong * f.slope @ B, isotropic=False),
        flows.search(
            "search_covariance",
            world,
            lambda f: f.dSigma - wrong * (f.slope @ world.Sigma + world.Sigma @ f.slope.T),
            isotropic=False,
        ),
    )


def _bend(flow: flows.Flow) -> np.ndarray:
    return flow.bend


def blinded(world: World, n_unseen: float) -> World:
    """The world with as many latent directions taken out of W: rank(W L) = d_Z - n_unseen."""
    F = world.Q[:, : int(n_unseen)]
    return replace(world, W=world.W - F @ F.T @ world.W)


CLAIM = Claim(
    name="affine",
    number="2.2",
    statement="equivalent models have f̃⁻¹ ∘ f (z) = H z + k for almost every z, with H invertible, W̃ L = H W L"
    " and Σ̃ = H Σ Hᵀ",
    latex=r"\tilde f^{-1}\circ f(z) = Hz + k,\quad \det H \ne 0,\quad \tilde W L = H W L,"
    r"\quad \tilde\Sigma = H\Sigma H^\top",
    assumptions=(ADDITIVE, GAUSSIAN, SHARED_COVARIANCE, RECOVERABLE, INJECTIVE, DIVERSE, EQUIVALENT),
    source=f"{PAPER}, v1; differences of log ratios as in Roeder et al. (2021), arXiv:2007.00810, TCL (Hyvärinen and"
    " Morioka 2016, arXiv:1605.06336) and iVAE (Khemakhem et al. 2020, arXiv:1907.04809)",
    proof=_proof(),
    conclusions=("constant_jacobian", "slope", "labels", "shifts", "precision", "gram"),
    says=(
        (rise, "=", H * run),
        (slopes_rival * H, "=", slopes),
        (W_rival * l_e, "=", H * W * l_e + k),
        (W_rival * Delta_e, "=", H * W * Delta_e),
        (H.T * P_rival * H, "=", P),
        (slopes_rival * W_rival * L, "=", slopes * W * L),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds() for m in _of(world, fault)),
    counterexamples=(
        *rivals.counterexamples("gram", ADDITIVE, GAUSSIAN, shape="constant_jacobian"),
        Counterexample(
            SHARED_COVARIANCE,
            "variances that change can put all density ratios on one quadratic, whose level lines h may reverse",
            rivals.one_quadratic,
            "constant_jacobian",
        ),
        *rivals.counterexamples("gram", RECOVERABLE, INJECTIVE, DIVERSE, EQUIVALENT, shape="constant_jacobian"),
    ),
    uses=(density_ratio.CLAIM,),
    remark="No smoothness is needed: f injective and almost every latent suffice. One covariance in all environments"
    " is: variances that change can break it although the mean shifts span the latent space.",
)
