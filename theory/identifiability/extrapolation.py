"""Claim 2.4: inside the span of the training shifts all equivalent models predict one distribution.

Any two models of the class agree, whatever their numbers of latents and their covariances: neither isotropy nor
diversity is needed, as the route of the paper through 2.3 would have it. The idea: the log density ratio of the test
label is the combination α of those of the training labels, up to a constant, and a law has total mass one.
"""

import numpy as np
from sympy import Integer, MatrixSymbol, Rational, Symbol

from theory.assumptions import (
    ADDITIVE,
    EQUIVALENT,
    GAUSSIAN,
    IN_SPAN,
    INJECTIVE,
    PAPER,
    RECOVERABLE,
    SHARED_COVARIANCE,
)
from theory.engine.instances import EPS, World, log_densities, worlds
from theory.engine.proof import DEFINITION, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability import affine, density_ratio, flows
from theory.identifiability.converse import moved_column
from theory.identifiability.rivals import curved, different, extrapolated, folded, noisy, wavy
from theory.identifiability.span import SpanSolution, least_gain, noise_gain, shift_gain, solve_span
from theory.symbols import Delta_t, K, L, M, P, W, alpha, z

__all__ = ["CLAIM", "SpanSolution", "least_gain", "noise_gain", "shift_gain", "solve_span"]

d_rival = Symbol("dtilde", integer=True, positive=True)
W_rival, P_rival = MatrixSymbol("Wtilde", d_rival, K), MatrixSymbol("Ptilde", d_rival, d_rival)
z_rival = MatrixSymbol("ztilde", d_rival, 1)
r, b, b_rival = (MatrixSymbol(name, M, 1) for name in ("r", "b", "btilde"))
r_t, r_t_rival, b_t, b_t_rival, gap = (
    MatrixSymbol(name, 1, 1) for name in ("r_t", "rtilde_t", "b_t", "btilde_t", "kappa")
)

RATIOS = Lemma(
    "ratios",
    "the log density ratios of y = f(z) against the control, r at the training labels and rₜ at the test label, are"
    " affine in z; in the rival r is the same, and r and r̃ₜ are affine in z̃",
    "claim 2.1 in either model; an injective f carries density ratios from z to y, and the laws of y are those of both"
    " models at the training labels",
    (density_ratio.CLAIM, RECOVERABLE, INJECTIVE, EQUIVALENT),
    (
        (r, L.T * W.T * P * z + b),
        (r_t, Delta_t.T * W.T * P * z + b_t),
        (L.T * W_rival.T * P_rival * z_rival, r - b_rival),
        (r_t_rival, Delta_t.T * W_rival.T * P_rival * z_rival + b_t_rival),
    ),
)
OWN = Step(
    "own",
    "rₜ = αᵀ r + bₜ − αᵀ b: in the model the test ratio is a combination of the training ratios, up to a constant",
    r_t,
    alpha.T * r + b_t - alpha.T * b,
    (RATIOS.equation(0), RATIOS.equation(1), Equation(IN_SPAN, Delta_t, L * alpha)),
)
RIVAL = Step(
    "rival",
    "r̃ₜ = αᵀ r + b̃ₜ − αᵀ b̃: and in the rival it is the same combination",
    r_t_rival,
    alpha.T * r + b_t_rival - alpha.T * b_rival,
    (RATIOS.equation(2), RATIOS.equation(3), Equation(IN_SPAN, Delta_t, L * alpha)),
)
APART = Step(
    "apart",
    "r̃ₜ − rₜ = κ, free of y",
    r_t_rival - r_t,
    gap,
    (
        OWN.equation(),
        RIVAL.equation(),
        Equation(DEFINITION, gap, b_t_rival - alpha.T * b_rival - b_t + alpha.T * b),
    ),
)
MASS = Lemma(
    "mass",
    "κ = 0, so the test laws of y, hence of x, are equal",
    "by `apart` dP̃ₜ = e^κ dPₜ, both against the one P₀, and both have mass one",
    ("apart", RECOVERABLE),
    ((gap, gap * 0),),
)
SAME_LAW = Step(
    "same_law",
    "r̃ₜ = rₜ: one density ratio at the test label, in any two equivalent models",
    r_t_rival,
    r_t,
    (Equation("apart", r_t_rival, r_t + gap), MASS.equation()),
)


def rival_of(world: World) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An invertible H that is not orthogonal, and W̃ and Σ̃ of the rival z̃ = H z + k."""
    H = affine.linear_map(world)
    return H, affine.rival_matrix(world, H), H @ world.Sigma @ H.T


def measure(world: World, test: np.ndarray, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """Test densities of the model and of a stretched rival at the same x, and both against the seen densities.

    `law`: log p(x) at the test label in the rival z̃ = H z + k, k = W̃ l_0 - H W l_0, with log |det H|, against the
    model; the Jacobian of f cancels. `combination`: log p_t - log p_0 - Σ_e α_e (log p_e - log p_0) is a constant,
    with the α of least squares; this uses no rival. Rounding: c·eps·cond(L)·cond(Σ)·(squared size of the latents), c
    = 32 (d_Z + K) M.
    """
    H, W_rival, Sigma_rival = rival_of(world)
    W_rival, latents = (1 + tilt) * W_rival, world.unmix(world.mix(world.z_base))
    rival_latents = latents @ H.T + (W_rival @ world.labels[0] - H @ world.W @ world.labels[0])
    own = log_densities(latents, np.vstack([world.labels, test]) @ world.W.T, world.Sigma)
    rival = log_densities(rival_latents, test[None] @ W_rival.T, Sigma_rival) + np.linalg.slogdet(H)[1]
    alpha = np.linalg.lstsq(world.shifts, test - world.labels[0], rcond=None)[0] * (1 + tilt)
    combination = own[-1] - own[0] - alpha @ (own[1:-1] - own[0])
    size = (1 + np.abs(own).max() + np.abs(rival).max()) * (1 + np.abs(alpha).sum())
    condition = np.linalg.cond(world.shifts) * np.linalg.cond(world.Sigma) * np.linalg.cond(H) ** 2
    bound = float(32 * sum(world.W.shape) * len(alpha) * EPS * condition * size)
    return (
        Measurement("law", float(np.abs(own[-1] - rival[0]).max()), bound),
        Measurement("combination", float(np.ptp(combination)), bound),
    )


def search(world: World, test: np.ndarray) -> Measurement:
    """How the law at the test label moves along all families of rivals, whatever their W and Σ: not at all."""
    points = world.z_base[:32] / 2

    def moved(flow: flows.Flow) -> np.ndarray:
        pairs = [(i, j) for i in range(len(world.W)) for j in range(i, len(world.W))]
        unknowns = [*flow.coefficients.T.ravel(), *flow.dW.ravel(), *(flow.dSigma[pair] for pair in pairs)]
        return flows.conditions(world, points, test, isotropic=False) @ np.array(unknowns)

    return flows.search("search_law", world, moved, isotropic=False)


def _unequal(size: Rational) -> Model:
    """Variance 1 + size l (l - 1) at dose l, against variance 1: one law at the training doses 0 and 1, not at dose
    2."""
    dose = Symbol("l", real=True)
    variance = 1 + size * dose * (dose - 1)
    t = Symbol("t", real=True)
    return compare(
        ("variance at dose 2", variance.subs(dose, 2), Integer(1)),
        *((f"cumulant function at dose {at}", variance.subs(dose, at) * t**2 / 2, t**2 / 2) for at in (0, 1)),
    )


CLAIM = Claim(
    name="extrapolation",
    number="2.4",
    statement="if Δₜ is in span(L), any two equivalent models, whatever their d_Z and Σ, have one law of x at the test"
    " label",
    latex=r"\Delta_t = L\alpha \ \Rightarrow\ \tilde P(x \mid l_t) = P(x \mid l_t)",
    assumptions=(ADDITIVE, GAUSSIAN, SHARED_COVARIANCE, RECOVERABLE, INJECTIVE, EQUIVALENT, IN_SPAN),
    source=f"{PAPER}, under 2.3; without isotropy and diversity this project, beside Saengkyongam et al. (2024),"
    " arXiv:2310.04295",
    proof=(RATIOS, OWN, RIVAL, APART, MASS, SAME_LAW),
    conclusions=("same_law",),
    says=((r_t_rival, "=", r_t),),
    check=lambda fault=0.0: tuple(
        m
        for world in worlds()
        for m in (
            *measure(world, world.inside, 1e-3 * fault),
            search(world, world.outside if fault else world.inside),
        )
    ),
    counterexamples=(
        Counterexample(IN_SPAN, "the second model of 2.6", moved_column, "same_law"),
        Counterexample(
            ADDITIVE, "a dose response that is linear at the training doses only", extrapolated(curved), "same_law"
        ),
        Counterexample(
            GAUSSIAN, "h may wave with the period of the doses: a half dose differs", extrapolated(wavy), "same_law"
        ),
        Counterexample(
            SHARED_COVARIANCE, "a variance that is the same at the training doses only", _unequal, "same_law"
        ),
        Counterexample(
            RECOVERABLE,
            "a coin flip hides the shift at whole doses, not at half a dose",
            extrapolated(noisy),
            "same_law",
        ),
        Counterexample(
            INJECTIVE, "f may have the period of the doses: a half dose differs", extrapolated(folded), "same_law"
        ),
        Counterexample(
            EQUIVALENT, "a model with other training laws has another test law", extrapolated(different), "same_law"
        ),
    ),
    uses=(density_ratio.CLAIM,),
    remark="Neither isotropy nor diversity is needed: models that 2.3 does not tell apart predict the same.",
)
