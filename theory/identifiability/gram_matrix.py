"""Claim 2.5: what is identified without reference to a basis is the Gram matrix of the training shifts, and no more.

The Gram matrix G = (W L)ᵀ (W L) is the covariance, under the control, of the log density ratios of the environments,
and these are functions of the observed laws. So 2.5 needs less than 2.3, under which it was stated: no diversity, no
equal number of latents (below W̃ has d̃ rows), no smoothness. Half its diagonal are Kullback-Leibler divergences. In
the language of experiments, a Gaussian shift experiment is determined up to equivalence by this covariance.

With an unknown Σ read everything with Σ⁻¹ between: (W L)ᵀ Σ⁻¹ (W L) is what 2.2 leaves (its step `gram`); the plain
Gram matrix is not identified then, as the rival that stretches the latent space shows.

Tried against it: fewer shifts than latents, and rivals with more latents (both keep G: they are in the check);
entries of W (`rotated_law`: Q W fits as well for every orthogonal Q, so not even their signs are identified); shifts
outside the span (the second model of 2.6 changes their size).

References:
    Le Cam (1986), Asymptotic Methods in Statistical Decision Theory, and van der Vaart (1998), Asymptotic Statistics,
    ch. 9, on Gaussian shift experiments; Schönemann (1966), A generalized solution of the orthogonal Procrustes
    problem, Psychometrika 31.
"""

from dataclasses import replace

import numpy as np
from scipy.linalg import orthogonal_procrustes
from sympy import Identity, Integer, Matrix, MatrixSymbol, Rational, Symbol, ZeroMatrix, pi, symbols

from theory.assumptions import ADDITIVE, EQUIVALENT, GAUSSIAN, IN_SPAN, INJECTIVE, ISOTROPIC, OURS, PAPER, RECOVERABLE
from theory.engine.expectation import Base, E, Random
from theory.engine.formulas import rotation
from theory.engine.instances import EPS, World, log_densities, worlds
from theory.engine.proof import Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability import density_ratio, flows, rivals
from theory.identifiability.affine import largest
from theory.identifiability.converse import resized_column
from theory.identifiability.orthogonal import rival_matrix
from theory.symbols import Delta_e, Delta_t, K, L, M, W, alpha, d, l_e, z_base

half = Rational(1, 2)
d_rival = Symbol("dtilde", integer=True, positive=True)
W_rival, W_rival_square = MatrixSymbol("Wtilde", d_rival, K), MatrixSymbol("Wtilde", d, K)
zeta, zeta_rival = Base("zeta", d, 1), Base("zetatilde", d_rival, 1)
rho_e, rho_f, r_e, rho_stacked = Random("rho_e", 1, 1), Random("rho_f", 1, 1), Random("r_e", 1, 1), Random("rho", M, 1)
Delta_f, Delta_s, beta = MatrixSymbol("Delta_f", K, 1), MatrixSymbol("Delta_s", K, 1), MatrixSymbol("beta", M, 1)
pseudo_inverse = MatrixSymbol("(W L)^{+}", M, d)
Q, W_rotated = MatrixSymbol("Q", d, d), MatrixSymbol("W'", d, K)

ROTATABLE = Assumption(
    "rotatable",
    "with (f, W) the model class contains (f ∘ Qᵀ, Q W) for every orthogonal Q",
    states=((W_rotated, Q * W), (Q.T * Q, Identity(d)), (Q * Q.T, Identity(d))),
)
RATIOS = Lemma(
    "ratios",
    "under l₀ the centred log density ratio of y = f(z) is ρₑ = (W Δₑ)ᵀ ζ, ζ = z − W l₀ the base latent, and the ratio"
    " itself is rₑ = ρₑ − |W Δₑ|²/2",
    "claim 2.1 with P = I, around the mean of the control; an injective f transports ratios from z to y almost surely",
    (density_ratio.CLAIM, ISOTROPIC, ADDITIVE, RECOVERABLE, INJECTIVE),
    (
        (rho_e, Delta_e.T * W.T * zeta),
        (rho_f, zeta.T * W * Delta_f),
        (r_e, Delta_e.T * W.T * zeta - half * Delta_e.T * W.T * W * Delta_e),
    ),
    (rho_e, rho_f, Delta_e, Delta_f),
)
COMMON = Lemma(
    "common",
    "the same ρₑ are (W̃ Δₑ)ᵀ ζ̃ in a rival with d̃ latents, ζ̃ its base latent",
    "the ratios are functions of the laws of y, which the rival has at every training label; claim 2.1 in the rival",
    ("ratios", EQUIVALENT),
    ((rho_e, Delta_e.T * W_rival.T * zeta_rival), (rho_f, zeta_rival.T * W_rival * Delta_f)),
    (rho_e, rho_f, Delta_e, Delta_f),
)
PENROSE = Lemma(
    "penrose",
    "B = W L has a B⁺ with B B⁺ B = B and B B⁺ symmetric",
    "existence of the Moore-Penrose inverse",
    (),
    ((W * L * pseudo_inverse * W * L, W * L), (pseudo_inverse.T * L.T * W.T, W * L * pseudo_inverse)),
)
ROTATION = Lemma(
    "rotation",
    "V W L = W̃ L with V = W̃ L (W L)⁺, and for d̃ = d some orthogonal Q extends V: W̃ L = Q W L",
    "Eᵀ E = 0 implies E = 0, by the trace; V is isometric on the range of W L by `partial_isometry`, and the orthogonal"
    " complements of the two ranges have equal dimension; under diversity there is none, and Q = V is the only one",
    ("difference", "partial_isometry"),
    ((W_rival_square * L, Q * W * L),),
)

gram, gram_rival = L.T * W.T * W * L, L.T * W_rival.T * W_rival * L
_stacked = {Delta_e: L, Delta_f: L, rho_e: rho_stacked, rho_f: rho_stacked.T}
_same_gram = Equation("gram", gram_rival, gram, tuple(_stacked.items()))


def _identified() -> tuple[Step | Lemma, ...]:
    covariance = Step(
        "covariance",
        "Cov₀(rₑ, r_f) = 𝔼 ρₑ ρ_f = (W Δₑ)ᵀ (W Δ_f)",
        E(rho_e * rho_f),
        Delta_e.T * W.T * W * Delta_f,
        (RATIOS.equation(0), RATIOS.equation(1), Equation(ISOTROPIC, E(zeta * zeta.T), Identity(d))),
        generic=(Delta_e, Delta_f, rho_e, rho_f),
    )
    covariance_rival = Step(
        "covariance_rival",
        "Cov₀(rₑ, r_f) = (W̃ Δₑ)ᵀ (W̃ Δ_f): the same law of the ratios, in the rival with d̃ latents",
        E(rho_e * rho_f),
        Delta_e.T * W_rival.T * W_rival * Delta_f,
        (COMMON.equation(0), COMMON.equation(1), Equation(ISOTROPIC, E(zeta_rival * zeta_rival.T), Identity(d_rival))),
        generic=(Delta_e, Delta_f, rho_e, rho_f),
    )
    own, rival = Delta_e.T * W.T * W * Delta_f, Delta_e.T * W_rival.T * W_rival * Delta_f
    same = Step(
        "gram",
        "(W̃ Δₑ)ᵀ (W̃ Δ_f) = (W Δₑ)ᵀ (W Δ_f) for training shifts, i.e. (W̃ L)ᵀ (W̃ L) = (W L)ᵀ (W L)",
        rival,
        own,
        (Equation((covariance, covariance_rival), rival, own),),
        generic=(Delta_e, Delta_f, rho_e, rho_f),
    )
    divergence = Step(
        "divergence",
        "−𝔼₀ rₑ = |W Δₑ|² / 2: half a squared effect size is the divergence KL(P₀, Pₑ) of the laws of y",
        -E(r_e),
        half * (W * Delta_e).T * (W * Delta_e),
        (RATIOS.equation(2), Equation(ISOTROPIC, E(zeta), ZeroMatrix(d, 1))),
    )
    return RATIOS, COMMON, covariance, covariance_rival, same, divergence, *_in_span()


def _in_span() -> tuple[Step, Step]:
    inner = Step(
        "inner",
        "(W̃ Δₛ)ᵀ (W̃ Δₜ) = βᵀ G α, G = (W L)ᵀ (W L): sizes (s = t) and angles of shifts in the span",
        Delta_s.T * W_rival.T * W_rival * Delta_t,
        beta.T * gram * alpha,
        (Equation(IN_SPAN, Delta_t, L * alpha), Equation(IN_SPAN, Delta_s, L * beta), _same_gram),
        generic=(Delta_s, Delta_t, alpha, beta),
    )
    apart, difference = Delta_s - Delta_t, beta - alpha
    distance = Step(
        "distance",
        "|W̃ (Δₛ − Δₜ)|² = (β − α)ᵀ G (β − α): Mahalanobis distances, as Σ = I",
        (W_rival * apart).T * (W_rival * apart),
        difference.T * gram * difference,
        (
            inner.equation(),
            inner.equation({Delta_s: Delta_t, beta: alpha}),
            inner.equation({Delta_t: Delta_s, alpha: beta}),
        ),
    )
    return inner, distance


def _complete() -> tuple[Step | Lemma, ...]:
    """Equal Gram matrices differ by a rotation, and every rotation is admissible: nothing else is identified."""
    V, B = W_rival * L * pseudo_inverse, W * L
    penrose = Equation(PENROSE, B * pseudo_inverse * B, B)
    symmetric = Equation(PENROSE, pseudo_inverse.T * B.T, B * pseudo_inverse)
    partial = Step(
        "partial_isometry",
        "Vᵀ V = (W L) (W L)⁺, the projection onto the range of W L, for V = W̃ L (W L)⁺",
        V.T * V,
        B * pseudo_inverse,
        (_same_gram, symmetric, penrose),
    )
    across = Step("across", "(V W L)ᵀ (W̃ L) = (W L)ᵀ (W L)", (V * B).T * W_rival * L, gram, (_same_gram, penrose))
    along = Step("along", "(V W L)ᵀ (V W L) = (W L)ᵀ (W L)", B.T * V.T * V * B, gram, (partial.equation(), penrose))
    gap = V * B - W_rival * L
    difference = Step(
        "difference",
        "(V W L − W̃ L)ᵀ (V W L − W̃ L) = G − G − G + G = 0",
        gap.T * gap,
        ZeroMatrix(M, M),
        (along.equation(), across.equation(), _same_gram),
    )
    return PENROSE, partial, across, along, difference, ROTATION, *_rotated()


def _rotated() -> tuple[Step, Step]:
    fit = Step(
        "rotated_latents",
        "Qᵀ (Q z_base + W′ lₑ) = z_base + W lₑ for W′ = Q W: f ∘ Qᵀ and W′ give the same x, sample by sample",
        Q.T * (Q * z_base + W_rotated * l_e),
        z_base + W * l_e,
        (Equation(ROTATABLE, W_rotated, Q * W), Equation(ROTATABLE, Q.T * Q, Identity(d))),
    )
    law = Step(
        "rotated_law",
        "Cov(Q ζ) = I: so (f ∘ Qᵀ, Q W) is an equivalent model, and entries of W are not identified",
        E((Q * zeta) * (Q * zeta).T),
        Identity(d),
        (Equation(ISOTROPIC, E(zeta * zeta.T), Identity(d)), Equation(ROTATABLE, Q * Q.T, Identity(d))),
    )
    return fit, law


def measure(world: World, W_rival: np.ndarray) -> tuple[Measurement, ...]:
    """Gram matrix, sizes and distances from the laws of x, integrated exactly, against those of a rival.

    Moments under the control come from the 2 d_Z points W l_0 ± √(d_Z) e_i, which integrate cubics exactly; the
    ratios are no higher than linear. Rounding: c·eps·(size of the log densities)·(size of the ratios), c = 8 d_Z M.
    """
    ratios, size = _ratios_at_cubature_points(world)
    B, G = W_rival @ world.shifts, np.cov(ratios, bias=True).reshape(len(ratios), -1)
    alpha = np.linalg.lstsq(world.shifts, world.inside - world.labels[0], rcond=None)[0]
    apart = alpha - np.eye(len(alpha))[0]
    sizes = np.square(W_rival @ (world.inside - world.labels[:2]).T).sum(axis=0)
    bound = 8 * B.size * EPS * size * (1 + largest(ratios)) * (1 + np.abs(alpha).sum()) ** 2
    return (
        Measurement("gram", largest(G - B.T @ B), bound),
        Measurement("divergence", largest(-2 * ratios.mean(axis=1) - np.diag(B.T @ B)), bound),
        Measurement("size", abs(float(alpha @ G @ alpha - sizes[0])), bound),
        Measurement("distance", abs(float(apart @ G @ apart - sizes[1])), bound),
    )


def _ratios_at_cubature_points(world: World) -> tuple[np.ndarray, float]:
    """Log density ratios (M, 2 d_Z) and the size of the log densities."""
    d_Z = len(world.W)
    points = world.W @ world.labels[0] + np.sqrt(d_Z) * np.vstack([np.eye(d_Z), -np.eye(d_Z)])
    latents = world.unmix(world.mix(points))
    logs = log_densities(latents, world.labels @ world.W.T, np.eye(d_Z))
    return logs[1:] - logs[0], 1 + largest(logs)


def measure_rotation(world: World, W_rival: np.ndarray) -> Measurement:
    """Orthogonal Procrustes carries W L to W̃ L. Rounding: c·eps·‖W L‖·‖W̃ L‖, c = 8 d_Z M."""
    B, B_rival = world.W @ world.shifts, W_rival @ world.shifts
    R, _ = orthogonal_procrustes(B.T, B_rival.T)
    bound = float(8 * B.size * EPS * (1 + np.linalg.norm(B)) * (1 + np.linalg.norm(B_rival)))
    return Measurement("rotation", largest(R.T @ B - B_rival), bound)


def _of(world: World, fault: float = 0.0) -> tuple[Measurement, ...]:
    """Against a rival with as many latents, against one with a superfluous latent, and against all that are near."""
    W_rival, shifts = (1 + 1e-3 * fault) * rival_matrix(world), world.shifts
    if fault:
        shifts = np.column_stack([shifts, world.outside - world.labels[0]])
    return (
        flows.search(
            "search_gram",
            world,
            lambda f: shifts.T @ (f.dW.T @ world.W + world.W.T @ f.dW) @ shifts,
            isotropic=True,
        ),
        *measure(world, W_rival),
        measure_rotation(world, W_rival),
        *measure(world, np.vstack([W_rival, W_rival[:1] * 0])),
    )


def undiverse(world: World) -> World:
    """A world with perturbations that do not reach the last latent."""
    return replace(world, W=world.W * (np.arange(len(world.W)) < len(world.W) - 1)[:, None])


def _atomic(size: Rational) -> Model:
    """A class in which W is diagonal: the rotated W, by a quarter turn at size 1, is not; its Gram is the same."""
    angle, W = size * pi / 2, Matrix([[1, 0], [0, 2]])
    rotated = rotation(angle) * W
    label = Matrix(symbols("l1:3", real=True))
    sizes = ((matrix * label).dot(matrix * label) for matrix in (rotated, W))
    return compare(
        ("effect of perturbation 1 on latent 2, zero in the class", rotated[1, 0], Integer(0)),
        ("squared effect size at label l", *sizes),
    )


CLAIM = Claim(
    name="gram_matrix",
    number="2.5",
    statement="the Gram matrix (W L)ᵀ (W L), hence sizes, angles and distances in the span, is identified; W up to Q W",
    latex=r"(\tilde W L)^\top \tilde W L = (WL)^\top WL"
    r" = \operatorname{Cov}_0\bigl(\log\tfrac{dP_e}{dP_0}(f(z))\bigr)_e,\quad \tilde W L = QWL",
    assumptions=(ADDITIVE, GAUSSIAN, ISOTROPIC, RECOVERABLE, INJECTIVE, EQUIVALENT, IN_SPAN, ROTATABLE),
    source=f"{OURS}, from 2.1; under 2.3 a corollary of {PAPER}",
    proof=(*_identified(), *_complete()),
    conclusions=("gram", "divergence", "inner", "distance", "rotation", "rotated_latents", "rotated_law"),
    says=(
        (Delta_e.T * W_rival.T * W_rival * Delta_f, "=", Delta_e.T * W.T * W * Delta_f),
        (-E(r_e), "=", half * (W * Delta_e).T * (W * Delta_e)),
        (Delta_s.T * W_rival.T * W_rival * Delta_t, "=", beta.T * gram * alpha),
        (
            (W_rival * (Delta_s - Delta_t)).T * (W_rival * (Delta_s - Delta_t)),
            "=",
            (beta - alpha).T * gram * (beta - alpha),
        ),
        (W_rival_square * L, "=", Q * W * L),
        (Q.T * (Q * z_base + W_rotated * l_e), "=", z_base + W * l_e),
        (E((Q * zeta) * (Q * zeta).T), "=", Identity(d)),
    ),
    check=lambda fault=0.0: tuple(m for world in (*worlds(8), *map(undiverse, worlds(4))) for m in _of(world, fault)),
    counterexamples=(
        *rivals.counterexamples("gram", ADDITIVE),
        Counterexample(GAUSSIAN, "h may wave with the period of the doses, and rescale them", rivals.rescaled, "gram"),
        *rivals.counterexamples("gram", ISOTROPIC, INJECTIVE, EQUIVALENT),
        Counterexample(
            RECOVERABLE,
            "a rival whose decoder may use noise has larger effects",
            rivals.identified(rivals.leaky),
            "gram",
        ),
        Counterexample(IN_SPAN, "outside the span the size is arbitrary", resized_column, "inner"),
        Counterexample(
            ROTATABLE, "where W is known to be diagonal, more than its Gram matrix is known", _atomic, "rotated_latents"
        ),
    ),
    uses=(density_ratio.CLAIM,),
    remark="The rivals that are compared are all of the class, with injective noiseless f: where a decoder may use"
    " noise,"
    " x = z with W = 1 is matched by cos θ z₁ + sin θ z₂ with W̃ = (1/cos θ, 0), and effect sizes are identified from"
    " below only (2.11c). Less is needed than for 2.3: no diversity, no smoothness, no equal number of latents. The"
    " entries of W are not identified, not even their signs; with Σ unknown only the Gram matrix in the metric Σ⁻¹ is.",
)
