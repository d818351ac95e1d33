"""Claim 2.4: inside the span of the training shifts every equivalent model predicts the same distribution.

The proof goes through 2.3 and inherits its assumptions. Two of them, isotropy and diversity, are needed by that route
and not by the conclusion: the rivals that they exclude predict the same.
"""

import numpy as np
from sympy import Identity, MatrixSymbol

from theory.assumptions import (
    ADDITIVE,
    DIVERSE,
    EQUIVALENT,
    GAUSSIAN,
    IN_SPAN,
    INJECTIVE,
    ISOTROPIC,
    PAPER,
    RECOVERABLE,
)
from theory.engine.instances import EPS, World, log_densities, worlds
from theory.engine.proof import DEFINITION, Citations, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Relaxation
from theory.identifiability import orthogonal
from theory.identifiability.converse import moved_column
from theory.identifiability.rivals import curved, different, extrapolated, folded, noisy, stretched, turned, wavy
from theory.identifiability.span import SpanSolution, least_gain, noise_gain, shift_gain, solve_span
from theory.symbols import Delta_t, L, W, W_rival, alpha, d, l_0, l_t, z

__all__ = ["CLAIM", "SpanSolution", "least_gain", "noise_gain", "shift_gain", "solve_span"]

Q, k = MatrixSymbol("Q", d, d), MatrixSymbol("k", d, 1)

PUSH_FORWARD = Lemma(
    "push_forward",
    "under z → Q z + k with Q orthogonal a density p becomes p(Qᵀ (. − k)), and f̃(Q z + k) = f(z) for almost every z",
    "change of variables with |det Q| = 1; h = f̃⁻¹ ∘ f by 2.3, and laws with a density do not see null sets",
    (RECOVERABLE, INJECTIVE, orthogonal.CLAIM),
)


def _proof() -> tuple[Step | Lemma, ...]:
    known = (orthogonal.CLAIM,)
    rotated = Equation(known, W_rival * L, Q * W * L)
    reference = Equation(known, W_rival * l_0, Q * W * l_0 + k)
    in_span, test = Equation(IN_SPAN, Delta_t, L * alpha), Equation(DEFINITION, l_t, l_0 + Delta_t)
    shift = Step("shift", "W̃ Δₜ = W̃ L α = Q W L α = Q W Δₜ", W_rival * Delta_t, Q * W * Delta_t, (in_span, rotated))
    mean = Step(
        "mean",
        "W̃ lₜ = Q W lₜ + k: the rival’s latent mean at the test label is the image of the model’s",
        W_rival * l_t,
        Q * W * l_t + k,
        (test, reference, shift.equation()),
    )
    return shift, mean, PUSH_FORWARD, _same_density(mean, known)


def _same_density(mean: Step, known: Citations) -> Step:
    """The exponents of N(W̃ l_t, I) and of N(W l_t, I), at corresponding points."""
    m, m_rival, exponent, exponent_rival = (
        MatrixSymbol("m_t", d, 1),
        MatrixSymbol("mtilde_t", d, 1),
        MatrixSymbol("q_t", 1, 1),
        MatrixSymbol("qtilde_t", 1, 1),
    )
    density = (GAUSSIAN, ISOTROPIC, PUSH_FORWARD)
    deviation, deviation_rival = z - m, Q * z + k - m_rival
    return Step(
        "same_density",
        "|Q z + k − W̃ lₜ|² = |z − W lₜ|²: the test laws of the latents correspond, hence those of f(z) and x are equal",
        exponent_rival,
        exponent,
        (
            Equation(density, exponent_rival, deviation_rival.T * deviation_rival),
            Equation(density, exponent, deviation.T * deviation),
            Equation((ADDITIVE, mean), m_rival, Q * W * l_t + k),
            Equation(ADDITIVE, m, W * l_t),
            Equation(known, Q.T * Q, Identity(d)),
        ),
    )


def measure(world: World, W_rival: np.ndarray, test: np.ndarray) -> tuple[Measurement, ...]:
    """Compare the test densities of the model and of a rival at the same x, and both with the seen densities.

    `law`: log p(x) at the test label in the rival z̃ = Q z + k, k = W̃ l_0 - Q W l_0, against the model, where the
    Jacobian of f cancels. `combination`: log p_t - log p_0 - Σ_e α_e (log p_e - log p_0) is a constant, with the α of
    least squares; this uses no rival. Rounding: c·eps·cond(L)·(squared size of the latents), c = 8 (d_Z + K) M.
    """
    latents = world.unmix(world.mix(world.z_base))
    rival_latents = latents @ world.Q.T + (W_rival @ world.labels[0] - world.Q @ world.W @ world.labels[0])
    own = _log_densities(latents, world.W, np.vstack([world.labels, test]))
    rival = _log_densities(rival_latents, W_rival, test[None])
    alpha = np.linalg.lstsq(world.shifts, test - world.labels[0], rcond=None)[0]
    combination = own[-1] - own[0] - alpha @ (own[1:-1] - own[0])
    size = (1 + np.abs(own).max() + np.abs(rival).max()) * (1 + np.abs(alpha).sum())
    bound = 8 * sum(world.W.shape) * len(alpha) * EPS * np.linalg.cond(world.shifts) * size
    return (
        Measurement("law", float(np.abs(own[-1] - rival[0]).max()), bound),
        Measurement("combination", float(np.ptp(combination)), bound),
    )


def _log_densities(latents: np.ndarray, W: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return log_densities(latents, labels @ W.T, np.eye(len(W)))


CLAIM = Claim(
    name="extrapolation",
    number="2.4",
    statement="if Δₜ is in span(L), every equivalent model has the same law of x at the test label",
    latex=r"\Delta_t = L\alpha \ \Rightarrow\ \tilde W\Delta_t = Q W\Delta_t"
    r"\ \text{and}\ \tilde P(x \mid l_t) = P(x \mid l_t)",
    assumptions=(*orthogonal.ASSUMPTIONS, IN_SPAN),
    source=PAPER,
    proof=_proof(),
    conclusions=("same_density",),
    check=lambda: tuple(m for world in worlds() for m in measure(world, orthogonal.rival_matrix(world), world.inside)),
    counterexamples=(
        Counterexample(IN_SPAN, "the second model of 2.6", moved_column),
        Counterexample(ADDITIVE, "a dose response that is linear at the training doses only", extrapolated(curved)),
        Counterexample(GAUSSIAN, "h may wave with the period of the doses: a half dose differs", extrapolated(wavy)),
        Counterexample(
            RECOVERABLE, "a coin flip hides the shift at whole doses, not at half a dose", extrapolated(noisy)
        ),
        Counterexample(INJECTIVE, "f may have the period of the doses: a half dose differs", extrapolated(folded)),
        Counterexample(EQUIVALENT, "a model with other training laws has another test law", extrapolated(different)),
    ),
    relaxations=(
        Relaxation(ISOTROPIC, "a stretched rival predicts the same inside the span", extrapolated(stretched)),
        Relaxation(DIVERSE, "the rival that turns unseen coordinates predicts the same", extrapolated(turned)),
    ),
    uses=(orthogonal.CLAIM,),
    remark="Isotropy and diversity are needed by the route through 2.3 and not by the conclusion: the rivals that they "
    "exclude predict the same.",
)
