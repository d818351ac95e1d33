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
from sympy import Identity, Matrix, MatrixSymbol, Rational, Symbol, ZeroMatrix, pi

from theory.assumptions import ADDITIVE, EQUIVALENT, GAUSSIAN, IN_SPAN, INJECTIVE, ISOTROPIC, OURS, PAPER, RECOVERABLE
from theory.engine.formulas import rotation
from theory.engine.instances import EPS, World, log_densities, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model
from theory.identifiability import density_ratio, rivals
from theory.identifiability.affine import largest
from theory.identifiability.converse import resized_column
from theory.identifiability.orthogonal import rival_matrix
from theory.symbols import Delta_e, Delta_t, K, L, M, W, alpha, d, l_0, l_e, z_base

ROTATABLE = Assumption("rotatable", "with (f, W) the model class contains (f ∘ Qᵀ, Q W) for every orthogonal Q")

half = Rational(1, 2)
d_rival = Symbol("dtilde", integer=True, positive=True)
W_rival = MatrixSymbol("Wtilde", d_rival, K)
y, y_rival = (
    MatrixSymbol(r"\left(z - W l_{0}\right)", d, 1),
    MatrixSymbol(r"\left(\tilde{z} - \tilde{W} l_{0}\right)", d_rival, 1),
)
rho_e, rho_f, C, mean_ratio = (
    MatrixSymbol(name, 1, 1)
    for name in (
        r"\left(r_{e} - \mathbb{E}_{0} r_{e}\right)",
        r"\left(r_{f} - \mathbb{E}_{0} r_{f}\right)",
        r"\operatorname{Cov}_{0}(r_{e}, r_{f})",
        r"\mathbb{E}_{0} r_{e}",
    )
)
Delta_f, Delta_s, beta = MatrixSymbol("Delta_f", K, 1), MatrixSymbol("Delta_s", K, 1), MatrixSymbol("beta", M, 1)
pseudo_inverse = MatrixSymbol("(W L)^{+}", M, d)
Q, W_rotated = MatrixSymbol("Q", d, d), MatrixSymbol("W'", d, K)

COMMON = Lemma(
    "common",
    "under l₀ the log density ratios r₁, …, r_M of y = f(z) have one joint law, that of those of z in either model",
    "the ratios are functions of the laws of y, and an injective f transports them from z to y almost surely",
    (RECOVERABLE, INJECTIVE, EQUIVALENT),
)
MOMENTS = Lemma(
    "moments",
    "under l₀ the latent z − W l₀ = z_base has mean 0 and second moments I, in either model",
    "a label adds a constant; covariance I",
    (ADDITIVE, ISOTROPIC),
)
PENROSE = Lemma(
    "penrose", "B = W L has a B⁺ with B B⁺ B = B and B B⁺ symmetric", "existence of the Moore-Penrose inverse"
)
ROTATION = Lemma(
    "rotation",
    "V W L = W̃ L with V = W̃ L (W L)⁺, and for d̃ = d some orthogonal Q extends V: W̃ L = Q W L",
    "Eᵀ E = 0 implies E = 0, by the trace; V is isometric on the range of W L by `partial_isometry`, and the orthogonal"
    " complements of the two ranges have equal dimension; under diversity there is none, and Q = V is the only one",
    ("difference", "partial_isometry"),
)

_ratio = (density_ratio.CLAIM, ISOTROPIC)
gram, gram_rival = L.T * W.T * W * L, L.T * W_rival.T * W_rival * L
_same_gram = Equation("gram", gram_rival, gram)


def _identified() -> tuple[Step | Lemma, ...]:
    define = Equation(DEFINITION, C, rho_e * rho_f)
    covariance = Step(
        "covariance",
        "Cov₀(rₑ, r_f) = (W Δₑ)ᵀ (W Δ_f): by claim 2.1 the centred ratios are (W Δ)ᵀ (z − W l₀)",
        C,
        Delta_e.T * W.T * W * Delta_f,
        (
            define,
            Equation(_ratio, rho_e, Delta_e.T * W.T * y),
            Equation(_ratio, rho_f, y.T * W * Delta_f),
            Equation(MOMENTS, y * y.T, Identity(d)),
        ),
    )
    in_rival = (COMMON, *_ratio)
    covariance_rival = Step(
        "covariance_rival",
        "Cov₀(rₑ, r_f) = (W̃ Δₑ)ᵀ (W̃ Δ_f): the same law of the ratios, in the rival with d̃ latents",
        C,
        Delta_e.T * W_rival.T * W_rival * Delta_f,
        (
            define,
            Equation(in_rival, rho_e, Delta_e.T * W_rival.T * y_rival),
            Equation(in_rival, rho_f, y_rival.T * W_rival * Delta_f),
            Equation(MOMENTS, y_rival * y_rival.T, Identity(d_rival)),
        ),
    )
    same = Step(
        "gram",
        "(W̃ Δₑ)ᵀ (W̃ Δ_f) = (W Δₑ)ᵀ (W Δ_f) for training shifts, i.e. (W̃ L)ᵀ (W̃ L) = (W L)ᵀ (W L)",
        Delta_e.T * W_rival.T * W_rival * Delta_f,
        Delta_e.T * W.T * W * Delta_f,
        (covariance_rival.reversed(), covariance.equation()),
    )
    return COMMON, MOMENTS, covariance, covariance_rival, same, _divergence(), *_in_span()


def _divergence() -> Step:
    return Step(
        "divergence",
        "−𝔼₀ rₑ = |W Δₑ|² / 2: half a squared effect size is the divergence KL(P₀, Pₑ) of the laws of y",
        -mean_ratio,
        half * (W * Delta_e).T * (W * Delta_e),
        (
            Equation(
                (*_ratio, MOMENTS, COMMON),
                mean_ratio,
                (W * Delta_e).T * (W * l_0) + half * ((W * l_0).T * (W * l_0) - (W * l_e).T * (W * l_e)),
            ),
            Equation(DEFINITION, Delta_e, l_e - l_0),
        ),
    )


def _in_span() -> tuple[Step, Step]:
    inner = Step(
        "inner",
        "(W̃ Δₛ)ᵀ (W̃ Δₜ) = βᵀ G α, G = (W L)ᵀ (W L): sizes (s = t) and angles of shifts in the span",
        Delta_s.T * W_rival.T * W_rival * Delta_t,
        beta.T * gram * alpha,
        (Equation(IN_SPAN, Delta_t, L * alpha), Equation(IN_SPAN, Delta_s, L * beta), _same_gram),
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
        (Equation(ROTATABLE, W_rotated, Q * W), Equation(DEFINITION, Q.T * Q, Identity(d))),
    )
    law = Step(
        "rotated_law",
        "Cov(Q z_base) = I: so (f ∘ Qᵀ, Q W) is an equivalent model, and entries of W are not identified",
        (Q * z_base) * (Q * z_base).T,
        Identity(d),
        (Equation(MOMENTS, z_base * z_base.T, Identity(d)), Equation(DEFINITION, Q * Q.T, Identity(d))),
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


def _of(world: World) -> tuple[Measurement, ...]:
    """Against a rival with as many latents, and against one with a superfluous latent."""
    W_rival = rival_matrix(world)
    return (
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
    return Model(premises=(rotated.T * rotated - W.T * W,), gap=rotated[1, 0])


CLAIM = Claim(
    name="gram_matrix",
    number="2.5",
    statement="the Gram matrix (W L)ᵀ (W L), hence sizes, angles and distances in the span, is identified; W up to Q W",
    latex=r"(\tilde W L)^\top \tilde W L = (WL)^\top WL"
    r" = \operatorname{Cov}_0\bigl(\log\tfrac{dP_e}{dP_0}(f(z))\bigr)_e,\quad \tilde W L = QWL",
    assumptions=(ADDITIVE, GAUSSIAN, ISOTROPIC, RECOVERABLE, INJECTIVE, EQUIVALENT, IN_SPAN, ROTATABLE),
    source=f"{OURS}, from 2.1; under 2.3 a corollary of {PAPER}",
    proof=(*_identified(), *_complete()),
    conclusions=("divergence", "distance", "rotation", "rotated_latents", "rotated_law"),
    check=lambda: tuple(m for world in (*worlds(8), *map(undiverse, worlds(4))) for m in _of(world)),
    counterexamples=(
        *rivals.counterexamples(ADDITIVE),
        Counterexample(GAUSSIAN, "h may wave with the period of the doses, and rescale them", rivals.rescaled),
        *rivals.counterexamples(ISOTROPIC, RECOVERABLE, INJECTIVE, EQUIVALENT),
        Counterexample(IN_SPAN, "outside the span the size is arbitrary", resized_column),
        Counterexample(ROTATABLE, "where W is known to be diagonal, more than its Gram matrix is known", _atomic),
    ),
    uses=(density_ratio.CLAIM,),
    remark="Less is needed than for 2.3: no diversity, no smoothness, no equal number of latents. The entries of W are "
    "not identified, not even their signs; with Σ unknown only the Gram matrix in the metric Σ⁻¹ is.",
)
