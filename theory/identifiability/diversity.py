"""Claim 2.8: training shifts that leave one latent direction out still identify it, if the mixings are continuous.

The seen directions are read off the density ratios, as in 2.3. On each line along the unseen one the rest of h is a
continuous injection of the line that preserves N(0, 1), so t or -t; and the sign cannot change from line to line. That
is the uniqueness of the last coordinate of a triangular (Knothe-Rosenblatt) transport; for triangular generators as a
whole it is in Xi and Bloem-Reddy (2023), who study rivals as maps that preserve the latent law. On the way the Gram
matrix (W L)ᵀ (W L) comes out as the covariance of the log density ratios, with no diversity at all.

Tried against it. (i) h = (a, sign(a) t) and h that swaps two pieces of a line preserve everything: continuity is needed
along the lines and across them; differentiability is not. (ii) Two diffeomorphisms onto *different* images may push to
the same laws, with an h that jumps: one image is an assumption, and equal laws imply no more than equal closures.
(iii) A rival with a smaller rank(W̃ L): excluded by the Gram matrix. (iv) d_Z = 1 without any shift: true, h = ±z + c.
(v) Σ and Σ̃ free: whitening both models reduces to this claim, so d_Z - 1 suffices for 2.2 too, with h affine. (vi) Two
directions left out: false, which is claim 2.8b.
"""

from itertools import combinations_with_replacement

import numpy as np
from sympy import Identity, Integer, MatrixSymbol, Rational, Symbol, diff, pi, symbols

from theory.assumptions import ADDITIVE, EQUIVALENT, GAUSSIAN, INJECTIVE, ISOTROPIC, OURS, RECOVERABLE
from theory.engine.expectation import Base, E, Random
from theory.engine.formulas import normal_cdf, normal_density, normal_quantile
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability import density_ratio, rivals
from theory.identifiability.affine import MEANS, b, b_rival, blinded, c, equal_ratios, h, r, z
from theory.symbols import L, M, W, W_rival, d, l_0, l_e

NEARLY_DIVERSE = Assumption(
    "nearly_diverse", "rank(W L) ≥ d_Z − 1: the training shifts leave out one latent direction at most"
)
CONTINUOUS = Assumption("continuous", "f and f̃ are continuous, and open as maps onto their images")
ONE_IMAGE = Assumption("one_image", "f and f̃ have the same image")

(zeta, chi), (g, a) = (Base(name, d, 1) for name in ("zeta", "chi")), (Random(name, d, 1) for name in "ga")
k, U = MatrixSymbol("k", d, 1), MatrixSymbol("U", d, d)
rho = Random("rho", M, 1)
n, S = MatrixSymbol("n", d, 1), MatrixSymbol("S", M, d)
phi, sign = Random("phi", 1, 1), MatrixSymbol("s", 1, 1)

RATIOS = Lemma(
    "ratios",
    "for almost every z the log density ratios of y = f(z) = f̃(h(z)) are affine in z with the slope (W L)ᵀ, and in"
    " h(z)"
    " with the slope (W̃ L)ᵀ",
    "`transport` of 2.2 with P = P̃ = I",
    (RECOVERABLE, INJECTIVE, EQUIVALENT, density_ratio.CLAIM, ISOTROPIC),
    ((L.T * W_rival.T * h, r - b_rival), (L.T * W.T * z, r - b)),
)
EQUAL_RATIOS = equal_ratios(
    L.T * W_rival.T,
    L.T * W.T,
    RATIOS,
    "(W̃ L)ᵀ h(z) = (W L)ᵀ z + c: claim 2.1 for either model, stacked over the training labels",
)
MEAN_RATIOS = Step(
    "mean_ratios",
    "(W̃ L)ᵀ 𝔼 h(z) = (W L)ᵀ W l₀ + c: the means of `equal_ratios` at l₀",
    E(L.T * W_rival.T * h),
    L.T * W.T * W * l_0 + c,
    (EQUAL_RATIOS.mean(), MEANS.equation(1, {l_e: l_0})),
)
CONSTANT = Step(
    "constant",
    "c = (W̃ L)ᵀ W̃ l₀ − (W L)ᵀ W l₀",
    c,
    L.T * W_rival.T * W_rival * l_0 - L.T * W.T * W * l_0,
    (
        Equation(MEAN_RATIOS, c, L.T * W_rival.T * E(h) - L.T * W.T * W * l_0),
        MEANS.equation(0, {l_e: l_0}),
    ),
)
CENTRED = Step(
    "centred",
    "(W L)ᵀ ζ = (W̃ L)ᵀ χ with the base latents ζ = z − W l₀ and χ = h(z) − W̃ l₀: the centred ratios ρ",
    rho,
    L.T * W_rival.T * chi,
    (
        Equation(DEFINITION, rho, L.T * W.T * z - L.T * W.T * W * l_0),
        Equation(ADDITIVE, chi, h - W_rival * l_0),
        Equation(EQUAL_RATIOS, L.T * W.T * z, L.T * W_rival.T * h - c),
        CONSTANT.equation(),
    ),
)
OWN_COVARIANCE = Step(
    "own_covariance",
    "𝔼 ρ ρᵀ = (W L)ᵀ (W L)",
    E(rho * rho.T),
    L.T * W.T * W * L,
    (
        Equation(DEFINITION, rho, L.T * W.T * z - L.T * W.T * W * l_0),
        Equation(ADDITIVE, z, zeta + W * l_0),
        Equation(ISOTROPIC, E(zeta * zeta.T), Identity(d)),
    ),
)
RIVAL_COVARIANCE = Step(
    "rival_covariance",
    "𝔼 ρ ρᵀ = (W̃ L)ᵀ (W̃ L)",
    E(rho * rho.T),
    L.T * W_rival.T * W_rival * L,
    (CENTRED.equation(), Equation(ISOTROPIC, E(chi * chi.T), Identity(d))),
)
GRAM = Step(
    "gram",
    "(W L)ᵀ (W L) = (W̃ L)ᵀ (W̃ L), whatever the rank",
    L.T * W.T * W * L,
    L.T * W_rival.T * W_rival * L,
    (Equation((OWN_COVARIANCE, RIVAL_COVARIANCE), L.T * W.T * W * L, L.T * W_rival.T * W_rival * L),),
)
GRAM_PROOF = (
    RATIOS,
    EQUAL_RATIOS,
    MEANS,
    MEAN_RATIOS,
    CONSTANT,
    CENTRED,
    OWN_COVARIANCE,
    RIVAL_COVARIANCE,
    GRAM,
)
"""Why the Gram matrix is identified: ready to stand in a proof that uses claim 2.1."""

T = Identity(d) - n * n.T + n * sign * n.T
t, p_up, p_down = symbols(r"t p_{\uparrow} p_{\downarrow}", real=True)

FACTOR = Lemma(
    "factor",
    "W̃ L = U W L for an orthogonal U",
    "matrices of one shape with equal Gram matrices (Horn and Johnson, Matrix Analysis, theorem 7.3.11)",
    GRAM,
    ((U * W * L, W_rival * L), (U.T * U, Identity(d)), (U * U.T, Identity(d))),
)
BASIS = Lemma(
    "basis",
    "there are a unit vector n and S with W L S = I − n nᵀ",
    "the column space of W L contains the complement of a line, and with it the image of the projection onto that",
    NEARLY_DIVERSE,
    ((W * L * S, Identity(d) - n * n.T), (n.T * n, Identity(1))),
)
SLICES = Lemma(
    "slices",
    "g ∼ N(0, I) at l₀, and for almost every a the map t → φ(a + t n) carries N(0, 1) to N(0, 1)",
    "U is orthogonal; ζ and g are N(0, I) with the same part a off n by `slice`; conditional laws are unique",
    (GAUSSIAN, ISOTROPIC, MEANS, FACTOR, "slice"),
)
MONOTONE = Lemma(
    "monotone",
    "t → φ(a + t n) is strictly monotone for every a; so P(φ ≤ φ(t)) is P(t′ ≤ t) where it increases and P(t′ ≥ t)"
    " where it decreases",
    "h = f̃⁻¹ ∘ f is a homeomorphism of ℝ^d, so `slice` holds everywhere and g is injective on each line, where only"
    " φ varies; a continuous injection of the line is monotone",
    (INJECTIVE, CONTINUOUS, ONE_IMAGE, "slice", SLICES),
    ((p_up, normal_cdf(t)), (p_down, 1 - normal_cdf(t))),
)
ONE_SIGN = Lemma(
    "one_sign",
    "φ(ζ) = s nᵀ ζ with s = 1 for all ζ, or s = −1 for all",
    "φ(a + n) is continuous in a and, by `increasing` and `decreasing`, 1 or −1 on a dense set; ℝ^(d−1) is connected",
    (CONTINUOUS, ONE_IMAGE, "increasing", "decreasing"),
    ((phi, sign * n.T * zeta), (sign.T * sign, Identity(1))),
)


def _slice() -> tuple[Lemma, Step, Step, Step]:
    complete = Equation(BASIS, W * L * S, Identity(d) - n * n.T)
    seen = Step(
        "seen",
        "(W L)ᵀ g = (W L)ᵀ ζ with g = Uᵀ χ",
        L.T * W.T * g,
        L.T * W.T * zeta,
        (
            Equation(DEFINITION, g, U.T * chi),
            FACTOR.equation(0),
            CENTRED.reversed(),
            Equation(DEFINITION, rho, L.T * W.T * z - L.T * W.T * W * l_0),
            Equation(ADDITIVE, z, zeta + W * l_0),
        ),
    )
    projected = Step(
        "projected",
        "Sᵀ (W L)ᵀ g = a, the part of ζ off n",
        S.T * L.T * W.T * g,
        a,
        (seen.equation(), complete, Equation(DEFINITION, a, zeta - n * n.T * zeta)),
    )
    line = Step(
        "slice",
        "g = a + n φ with φ = nᵀ g: lines along n are mapped to themselves",
        g,
        a + n * phi,
        (projected.reversed(), complete, Equation(DEFINITION, phi, n.T * g)),
    )
    return BASIS, seen, projected, line


def _lines() -> tuple[Step | Lemma, ...]:
    """The two monotone maps of the line that preserve N(0, 1)."""
    rising, falling = symbols(r"\phi_{\uparrow} \phi_{\downarrow}", real=True)
    increasing = Step(
        "increasing",
        "if φ increases on a line, P(φ ≤ φ(t)) = P(t′ ≤ t), so φ(t) = t",
        rising,
        t,
        (Equation(DEFINITION, rising, normal_quantile(p_up)), MONOTONE.equation(0)),
    )
    decreasing = Step(
        "decreasing",
        "if it decreases, P(φ ≤ φ(t)) = P(t′ ≥ t), so φ(t) = −t",
        falling,
        -t,
        (Equation(DEFINITION, falling, normal_quantile(p_down)), MONOTONE.equation(1)),
    )
    return SLICES, MONOTONE, increasing, decreasing, ONE_SIGN


def _conclusion(line: Step) -> tuple[Step, ...]:
    reflection = Step(
        "reflection",
        "g = T ζ with T = I − n nᵀ + s n nᵀ",
        g,
        zeta - n * n.T * zeta + n * sign * n.T * zeta,
        (line.equation(), Equation(DEFINITION, a, zeta - n * n.T * zeta), Equation(ONE_SIGN, phi, sign * n.T * zeta)),
    )
    back = Step("back", "U g = χ", U * g, chi, (Equation(DEFINITION, g, U.T * chi), FACTOR.equation(2)))
    affine = Step(
        "affine",
        "h(z) = Q z + k with Q = U T",
        h,
        U * T * z + k,
        (
            Equation(ADDITIVE, h, chi + W_rival * l_0),
            back.reversed(),
            reflection.equation(),
            Equation(ADDITIVE, zeta, z - W * l_0),
            Equation(DEFINITION, k, W_rival * l_0 - U * T * W * l_0),
        ),
    )
    orthogonal = Step(
        "orthogonal",
        "Qᵀ Q = I",
        (U * T).T * (U * T),
        Identity(d),
        (
            Equation(FACTOR, U.T * U, Identity(d)),
            Equation(BASIS, n.T * n, Identity(1)),
            Equation(ONE_SIGN, sign.T * sign, Identity(1)),
        ),
    )
    at_label = Step(
        "at_label",
        "𝔼 h(z) = Q W lₑ + k under every training label, the reference included",
        E(h),
        U * T * W * l_e + k,
        (affine.equation(), MEANS.equation(1)),
        generic=(l_e,),
    )
    labels = Step(
        "labels",
        "W̃ lₑ = Q W lₑ + k",
        W_rival * l_e,
        U * T * W * l_e + k,
        (MEANS.equation(0).reversed(), at_label.equation()),
        generic=(l_e,),
    )
    shifts = Step(
        "shifts",
        "W̃ (lₑ − l₀) = Q W (lₑ − l₀) for every training label",
        W_rival * l_e - W_rival * l_0,
        U * T * W * l_e - U * T * W * l_0,
        tuple(labels.equation({l_e: at}) for at in (l_e, l_0)),
    )
    return reflection, back, affine, orthogonal, at_label, labels, shifts


def _proof() -> tuple[Step | Lemma, ...]:
    sliced = _slice()
    return *GRAM_PROOF, FACTOR, *sliced, *_lines(), *_conclusion(sliced[-1])


def measure(world: World) -> Measurement:
    """How well determined v = 0 is among cubic vector fields that preserve the law of z at every training label.

    A smooth family of maps from the identity on that preserves N(m_e, I) starts along a v with div v = vᵀ (z - m_e),
    which is linear in v. If no two rivals that are near each other differ, v = 0 must be the only solution: the n
    equations are of full rank as far as rounding can tell, 8 n eps cond < 1.
    """
    points = np.vstack([world.z_base, -world.z_base / 2])
    equations = np.vstack([_preserves(points, m) for m in world.labels @ world.W.T])
    return Measurement("flows", float(8 * len(equations) * EPS * np.linalg.cond(equations)), 1.0)


def _preserves(points: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """div v - vᵀ (z - mean) at every point, one column per coefficient of v."""
    powers = _powers(points.shape[1])
    values = _monomials(points, powers)
    parts = [
        powers[:, i] * _monomials(points, powers - (powers[:, i] > 0)[:, None] * np.eye(len(mean), dtype=int)[i])
        - values * (points[:, i] - mean[i])[:, None]
        for i in range(len(mean))
    ]
    return np.hstack(parts)


def _powers(size: int, degree: int = 3) -> np.ndarray:
    chosen = [c for total in range(degree + 1) for c in combinations_with_replacement(range(size), total)]
    return np.array([[list(c).count(i) for i in range(size)] for c in chosen])


def _monomials(points: np.ndarray, powers: np.ndarray) -> np.ndarray:
    return np.stack([(points**row).prod(axis=1) for row in powers], axis=1)


def _flipped(size: Integer) -> Model:
    """h(a, t) = (a, t) for a ≥ 0 and (a, (1 - 2 size) t) for a < 0, at labels 0 and 1 with W = e_1."""
    seen, t = symbols("a t", real=True)
    signs = {True: Integer(1), False: 1 - 2 * size}
    same = (
        (
            f"exponent of the density at dose {dose}, a {'≥' if side else '<'} 0",
            (seen - dose) ** 2 + (signs[side] * t) ** 2,
            (seen - dose) ** 2 + t**2,
        )
        for side in signs
        for dose in (0, 1)
    )
    return compare(("slope of h in t for a < 0 and for a ≥ 0", signs[False], signs[True]), *same)


def _reopened(size: Rational) -> Model:
    """x = exp(a) at the angle 2π Φ(t), for the rival at 2π (Φ(t) + size/4), with W = e_1.

    Both angles are uniform and independent of exp(a), and the images lack different half-lines. The rival sees t as
    h(t) = Φ⁻¹(Φ(t) - size/4) while that exists, hence around 0; it is not affine there.
    """
    t = Symbol("t", real=True)
    density, angle = normal_density(t), 2 * pi * normal_cdf(t)
    angle_rival = angle + 2 * pi * size / 4
    seen_by_the_rival = normal_quantile(normal_cdf(t) - size / 4)
    return compare(
        ("h″ at 0", diff(seen_by_the_rival, t, 2).subs(t, 0), Integer(0)),
        ("density of the angle", density / diff(angle, t), 1 / (2 * pi)),
        ("density of the angle of the rival, times t", t * density / diff(angle_rival, t), t / (2 * pi)),
    )


CLAIM = Claim(
    name="diversity",
    number="2.8",
    statement="for homeomorphisms onto one image rank(W L) = d_Z − 1 suffices for 2.3: h(z) = Q z + c, W̃ L = Q W L",
    latex=r"\operatorname{rank}(WL) \ge d_Z - 1,\ f, \tilde f\ \text{homeomorphisms onto one image}"
    r"\ \Rightarrow\ \tilde f^{-1}\circ f(z) = Qz + c,\ Q^\top Q = I,\ \tilde W L = Q W L",
    assumptions=(
        ADDITIVE,
        GAUSSIAN,
        ISOTROPIC,
        RECOVERABLE,
        INJECTIVE,
        CONTINUOUS,
        ONE_IMAGE,
        NEARLY_DIVERSE,
        EQUIVALENT,
    ),
    source=OURS,
    proof=_proof(),
    conclusions=("affine", "orthogonal", "shifts"),
    says=(
        (h, "=", U * T * z + k),
        ((U * T).T * (U * T), "=", Identity(d)),
        (W_rival * l_e - W_rival * l_0, "=", U * T * W * l_e - U * T * W * l_0),
    ),
    check=lambda fault=0.0: tuple(measure(blinded(world, 1 + fault)) for world in worlds()),
    counterexamples=(
        *rivals.counterexamples("shifts", ADDITIVE, GAUSSIAN, ISOTROPIC, RECOVERABLE, INJECTIVE, shape="affine"),
        Counterexample(CONTINUOUS, "the sign of the unseen coordinate may depend on the seen one", _flipped, "affine"),
        Counterexample(ONE_IMAGE, "an angle may be cut open at another place", _reopened, "affine"),
        Counterexample(
            NEARLY_DIVERSE,
            "h may turn two unseen coordinates by a varying angle",
            rivals.identified(rivals.turned),
            "affine",
        ),
        *rivals.counterexamples("shifts", EQUIVALENT),
    ),
    uses=(density_ratio.CLAIM,),
    remark="Differentiability is not needed, but continuity and one common image are: with different images h may"
    " jump. d_Z − 1 suffices for 2.2 as well.",
)
