"""Claim 2.16: what can still be said outside the span, if the part of the shift that no label measured is not long.

By 2.6 the unseen part of a shift may be any vector; if it has length at most ρ the latent mean of the test label lies
in a ball around the mean by the seen part, and every point of the ball is that of an equivalent model. So the values of
𝔼 φ(x) that fit are those of 𝔼 φ(f(z_base + c + η)) over the ball, for a linear reading of the latents an interval of
half-width ρ times its length. The least ρ at which a decision changes says how much it rests on what was not measured.

The parts r and L α of a shift are a choice of labels, not of the model: r may be the label of the perturbation that was
never given, and then ρ is the largest effect that it is thought to have.

Tried against it: models that do not span the latents (the rivals of 2.8b have other sets: `_folded_plane`); an unknown
Σ, in whose metric lengths mean nothing (`_scaled`); a class in which W is tied (`converse.restricted`).
"""

import numpy as np
from sympy import Integer, MatrixSymbol, Rational, Symbol
from sympy.matrices.expressions import Identity, ZeroMatrix

from theory.assumptions import (
    ADDITIVE,
    DIVERSE,
    EQUIVALENT,
    GAUSSIAN,
    INJECTIVE,
    ISOTROPIC,
    OURS,
    RECOVERABLE,
    UNRESTRICTED,
)
from theory.engine.formulas import normal_cdf, normal_density
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability import orthogonal
from theory.identifiability.converse import inside, restricted
from theory.identifiability.rivals import curved, different, extrapolated, folded, noisy, wavy
from theory.symbols import Delta_t, K, L, M, W, W_rival, W_second, alpha, d, u, v

r, eta, eta_rival, k = MatrixSymbol("r", K, 1), *(MatrixSymbol(name, d, 1) for name in ("eta", "etatilde", "k"))
Q, centre = MatrixSymbol("Q", d, d), MatrixSymbol("c", d, 1)
rho, length = Symbol("rho", positive=True), Symbol("kappa", positive=True)

PARTS = Assumption(
    "parts",
    "Δₜ = L α + r, with r not in span(L)",
    implies=("outside_span",),
    states=((Delta_t, L * alpha + r),),
)
SHORT = Assumption("short", "the unseen part W r of the shift has length at most ρ, in every model that is compared")

WITNESS = Lemma(
    "witness",
    "there is a v with vᵀ L = 0 and vᵀ r = 1; for a vector η put u = η − W r",
    "r is not in span(L) (2.6)",
    PARTS,
    ((v.T * L, ZeroMatrix(1, M)), (v.T * r, Identity(1)), (u, eta - W * r)),
)
SECOND = Step(
    "attained",
    "W′ = W + u vᵀ with u = η − W r has W′ Δₜ = W L α + η: any vector η is the unseen part in some model",
    W_second * Delta_t,
    W * L * alpha + eta,
    (
        Equation(UNRESTRICTED, W_second, W + u * v.T),
        WITNESS.equation(2),
        Equation(PARTS, Delta_t, L * alpha + r),
        WITNESS.equation(0),
        WITNESS.equation(1),
    ),
)
SAME = Step(
    "same_training",
    "W′ L = W L, so with f′ of 2.6 it has the law of x at every training label",
    W_second * L,
    W * L,
    (Equation(UNRESTRICTED, W_second, W + u * v.T), WITNESS.equation(0)),
)
RIVAL = Lemma(
    "rival",
    "an equivalent model has W̃ L = Q W L with Q orthogonal and f̃(Q z + k) = f(z); its unseen part is η̃ = Qᵀ W̃ r in"
    " the latents of f",
    "claim 2.3",
    orthogonal.CLAIM,
    ((W_rival * L, Q * W * L), (Q.T * Q, Identity(d)), (Q * Q.T, Identity(d)), (eta_rival, Q.T * W_rival * r)),
)
CENTRE = Step(
    "centre",
    "Qᵀ W̃ Δₜ = W L α + η̃: all models have one centre",
    Q.T * W_rival * Delta_t,
    W * L * alpha + Q.T * W_rival * r,
    (Equation(PARTS, Delta_t, L * alpha + r), RIVAL.equation(0), RIVAL.equation(1)),
)
RADIUS = Step(
    "radius",
    "|η̃|² = |W̃ r|²: and one radius",
    eta_rival.T * eta_rival,
    r.T * W_rival.T * W_rival * r,
    (RIVAL.equation(3), RIVAL.equation(2)),
)
SET = Lemma(
    "set",
    "the values of 𝔼 φ(x) at the test label that fit are those of 𝔼 φ(f(z_base + c + η)) with |η| ≤ ρ, c = W (l₀ + L"
    " α)",
    "`centre` and `radius` put every model inside, `attained` and `same_training` give one for every η",
    (CENTRE, RADIUS, SECOND, SAME, SHORT),
)
READING = Lemma(
    "reading",
    "k, what is read of the latents, has length κ",
    "κ is its name",
    SET,
    ((k.T * k, length**2 * Identity(1)),),
)
ENDS = Step(
    "ends",
    "kᵀ (c + η) at η = ρ k/κ is kᵀ c + ρ κ, and at the opposite point kᵀ c − ρ κ: a linear reading lies within ρ κ",
    k.T * (centre + rho / length * k),
    k.T * centre + rho * length * Identity(1),
    (READING.equation(),),
)


def measure(world: World, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """Second models with any unseen part, and readings of many points of a ball against its ends.

    The witness comes from a singular value decomposition. Rounding: c·eps·size, c = 8 d_Z (d_Z + K). Of 10⁴ directions
    none reads more than the end, which is among them.
    """
    Delta, eta = world.outside - world.labels[0], world.u
    null = np.linalg.svd(world.shifts, full_matrices=True)[0][:, -1]
    alpha = np.linalg.lstsq(world.shifts, Delta, rcond=None)[0]
    r = Delta - world.shifts @ alpha
    v = null / (null @ r)
    second = world.W + np.outer(eta - world.W @ r, v)
    seen = world.W @ world.shifts @ alpha
    size = 1 + np.abs(second).max() * (1 + np.abs(Delta).max() + np.abs(world.shifts).max()) + np.abs(seen).max()
    bound = float(8 * len(eta) * sum(world.W.shape) * EPS * size * np.linalg.cond(world.shifts))
    k, radius = world.Q[0] * 2, 0.7
    turned = np.vstack([world.z_base, k])
    read = (seen + radius * turned / np.linalg.norm(turned, axis=1, keepdims=True)) @ k
    return (
        Measurement("attained", float(np.abs(second @ Delta - seen - (1 + tilt) * eta).max()), bound),
        Measurement("same_training", float(np.abs(second @ world.shifts - (1 + tilt) * _effects(world)).max()), bound),
        Measurement("ends", float(abs(read.max() - seen @ k - 2 * radius * (1 + tilt))), bound),
    )


def _effects(world: World) -> np.ndarray:
    return world.W @ world.shifts


def _scaled(size: Rational) -> Model:
    """One latent, z̃ = (1 + size) z with its spread: W̃ r is longer by that factor behind the same laws of x."""
    x, dose = Symbol("x", real=True), Symbol("l", real=True)
    return compare(
        ("length of W̃ r, where |W r| = 1", 1 + size, Integer(1)),
        ("x of latent x and dose l", (1 + size) * (x + dose) / (1 + size), x + dose),
    )


def _folded_plane(size: Rational) -> Model:
    """One latent that no training label moves, x = z, and f̃ = f ∘ h with h(z) = −z for |z| < size, else z.

    Both have the law N(0, 1) of x at the control; at η = 1 the mean of x is 1, and 1 − 2 ∫ y n(y − 1) dy over |y| <
    size.
    """
    y = Symbol("y", real=True)
    low, high = -size - 1, size - 1
    part = normal_cdf(high) - normal_cdf(low) + normal_density(low) - normal_density(high)
    return compare(
        ("mean of x at η = 1", 1 - 2 * part, Integer(1)),
        ("density of x at the control, turned and not", normal_density(-y), normal_density(y)),
    )


def _longer(size: Rational) -> Model:
    """An unseen part of length 1 + size where ρ = 1: the reading of a unit vector ends at kᵀ c + 1 + size."""
    at = Symbol("kc", real=True)
    return compare(
        ("largest reading, from that of the centre", 1 + size, Integer(1)), ("reading of the centre", at + 0 * size, at)
    )


CLAIM = Claim(
    name="bounds",
    number="2.16",
    statement="outside the span, with an unseen part of the shift of length at most ρ, the test latent means that"
    " fit are"
    " a ball, and 𝔼 φ(x) has exactly the values over that ball",
    latex=r"\Delta_t = L\alpha + r,\ \|Wr\| \le \rho:\quad E\,\varphi(x) \in \left\{E\,\varphi(f(z_{\mathrm{base}} + c"
    r" + \eta)) : \|\eta\| \le \rho\right\},\quad c = W(l_0 + L\alpha)",
    assumptions=(
        ADDITIVE,
        GAUSSIAN,
        ISOTROPIC,
        RECOVERABLE,
        INJECTIVE,
        DIVERSE,
        EQUIVALENT,
        UNRESTRICTED,
        PARTS,
        SHORT,
    ),
    source=OURS,
    proof=(WITNESS, SECOND, SAME, RIVAL, CENTRE, RADIUS, SET, READING, ENDS),
    conclusions=("attained", "same_training", "centre", "radius", "set", "ends"),
    says=(
        (W_second * Delta_t, "=", W * L * alpha + eta),
        (W_second * L, "=", W * L),
        (Q.T * W_rival * Delta_t, "=", W * L * alpha + Q.T * W_rival * r),
        (eta_rival.T * eta_rival, "=", r.T * W_rival.T * W_rival * r),
        SET.statement,
        (k.T * (centre + rho / length * k), "=", k.T * centre + rho * length * Identity(1)),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds() for m in measure(world, 1e-3 * fault)),
    counterexamples=(
        Counterexample(
            ADDITIVE, "a dose response that is linear at the training doses only", extrapolated(curved), "centre"
        ),
        Counterexample(GAUSSIAN, "h may wave with the period of the doses", extrapolated(wavy), "centre"),
        Counterexample(ISOTROPIC, "with an unknown covariance lengths mean nothing", _scaled, "radius"),
        Counterexample(RECOVERABLE, "a coin flip hides the shift at whole doses", extrapolated(noisy), "centre"),
        Counterexample(INJECTIVE, "f may have the period of the doses", extrapolated(folded), "centre"),
        Counterexample(DIVERSE, "latents that no label moved may be folded over", _folded_plane, "set"),
        Counterexample(
            EQUIVALENT, "a model with other training laws has another centre", extrapolated(different), "centre"
        ),
        Counterexample(UNRESTRICTED, "where W is tied the second model leaves the class", restricted, "attained"),
        Counterexample(PARTS, "inside the span nothing moves", inside, "attained"),
        Counterexample(SHORT, "a longer unseen part reaches farther", _longer, "ends"),
    ),
    uses=(orthogonal.CLAIM,),
    remark="A decision that changes when a linear reading passes a threshold τ changes first at ρ = |τ − kᵀ c| /"
    " |k|. In"
    " one dimension the ball is an interval and the set that of its points; with d_Z ≥ 2 the distance from an"
    " environment"
    " lies between (a − ρ)₊ and a + ρ (2.4b).",
)
