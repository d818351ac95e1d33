"""Claim 1.3: of the causal structure shift interventions identify which targets go together, and nothing else.

Whitened effects are D^(-1/2) S behind any mixing, so the Gram matrix of 2.5 is Sᵀ D⁻¹ S: the graph has dropped out, and
targets that share a latent are not orthogonal. This is the positive half of 1.1. If every perturbation has one target
the cosine of two effects is ±1 for a shared target and 0 otherwise, which is a test of that assumption as well.

Tried against it: graphs and targets of several latents that give the same Gram matrix (they fit, step `fits`: A and S
can not be told apart); curved mechanisms with additive noise (they go into the mixing, and the Gram matrix stays).
"""

import numpy as np
from sympy import Expr, Integer, Matrix, Rational, Symbol, diff, exp, log, sqrt, symbols
from sympy.matrices.expressions import Identity, MatrixSymbol

from theory.assumptions import OURS
from theory.causal.graphs import FREE_MIXING, known_mixing
from theory.causal.latent_causal import GAUSSIAN_NOISE, LINEAR, REGULAR, SHIFT, covariance, cycle
from theory.engine.formulas import log_density
from theory.engine.instances import EPS, Structure, structures
from theory.engine.proof import Assumption, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, Relaxation, compare
from theory.symbols import K, W, d

ONE_TARGET = Assumption("one_target", "each perturbation shifts one latent")

A, N, D_inverse, P, F, F_rival, Q = (MatrixSymbol(name, d, d) for name in ("A", "N", "D^{-1}", "P", "F", "F'", "Q"))
S, S_rival = MatrixSymbol("S", d, K), MatrixSymbol("S'", d, K)
G_11, G_12, G_22, H_12 = symbols("G_11 G_12 G_22 G_13", real=True)
s_1, s_2, precision = symbols("s_1 s_2 D_t", real=True)

REDUCED = Lemma(
    "reduced_form",
    "W = N S with N = (I − A)⁻¹, and the precision of the base is P = (I − A)ᵀ D⁻¹ (I − A)",
    "claim 1",
    (LINEAR, REGULAR, SHIFT, GAUSSIAN_NOISE),
    ((W, N * S), (A * N, N - Identity(d)), (P, (Identity(d) - A).T * D_inverse * (Identity(d) - A))),
)
GRAM = Step(
    "gram",
    "Wᵀ Σ⁻¹ W = Sᵀ D⁻¹ S: the graph drops out",
    W.T * P * W,
    S.T * D_inverse * S,
    (REDUCED.equation(0), REDUCED.equation(2), REDUCED.equation(1)),
)
FITS = Lemma(
    "fits",
    "any (A′, S′, D′) with S′ᵀ D′⁻¹ S′ = Sᵀ D⁻¹ S has the law of x at every label: F′ S′ = Q F S with F = D^(−1/2), F′"
    " likewise and Q orthogonal",
    "`gram`; equal Gram matrices differ by a rotation (2.5), and f′ = f ∘ (F (I − A))⁻¹ Qᵀ F′ (I − A′) undoes it",
    ("gram", FREE_MIXING),
    ((F_rival * S_rival, Q * F * S),),
)
ENTRIES = Lemma(
    "entries",
    "for targets of one latent each: G₁₁ = s₁²/D, G₂₂ = s₂²/D and G₁₂ = s₁ s₂/D where two share a target, and G₁₃ ="
    " 0 where they do not",
    "`gram`, entry by entry: columns of S have one entry, and D is diagonal",
    ("gram", ONE_TARGET),
    ((G_11, s_1**2 * precision), (G_22, s_2**2 * precision), (G_12, s_1 * s_2 * precision), (H_12, H_12 * 0)),
)
SHARED = Step(
    "shared_target",
    "G₁₂² = G₁₁ G₂₂: effects with a shared target are parallel",
    G_12**2,
    G_11 * G_22,
    tuple(ENTRIES.equation(place) for place in range(3)),
)
APART = Step(
    "other_target", "G₁₃ = 0: effects with different targets are orthogonal", H_12, H_12 * 0, (ENTRIES.equation(3),)
)


def measure(structure: Structure, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """Wᵀ Σ⁻¹ W by numpy's solver against Sᵀ D⁻¹ S, and cosines of atomic effects.

    Rounding: c·eps·cond(I - A)², c = 8 d_Z².
    """
    inverse, size = np.linalg.inv(np.eye(len(structure.A)) - structure.A), len(structure.A)
    Sigma = inverse @ np.diag(structure.D) @ inverse.T
    effects = inverse @ structure.S
    G = effects.T @ np.linalg.solve(Sigma, effects)
    claimed = (1 + tilt) * structure.S.T @ np.diag(1 / structure.D) @ structure.S
    single = np.eye(size)[:, [0, 0, 1]] * np.array([1.0, -2.0, 3.0]) + tilt
    atomic = (inverse @ single).T @ np.linalg.solve(Sigma, inverse @ single)
    lengths = np.sqrt(np.diag(atomic))
    cosines = np.abs(atomic / np.outer(lengths, lengths))
    bound = float(8 * size**2 * EPS * np.linalg.cond(inverse) ** 2 * (1 + np.abs(G).max() + np.abs(atomic).max()))
    return (
        Measurement("gram", float(np.abs(G - claimed).max()), bound),
        Measurement("cosines", float(max(abs(cosines[0, 1] - 1), cosines[0, 2])), bound),
    )


def _curved(size: Rational) -> Model:
    """z_2 = u_2 + size z_1² + shift: in the noises, which f′ reads as well, ratios have the slope of straight
    mechanisms."""
    u1, u2, dose = symbols("u1 u2 l", real=True)
    noise = Matrix([u1, u2])

    def ratio(bend: Expr) -> Expr:
        drive = Matrix([u1, u2 + bend * u1**2 - bend * u1**2])
        shift = Matrix([dose, 0])
        return log_density(drive, shift, Matrix.eye(2)) - log_density(drive, Matrix([0, 0]), Matrix.eye(2))

    slopes = (Matrix([ratio(bend)]).jacobian(noise) for bend in (size, Integer(0)))
    return compare(("slope of the log density ratio", *slopes))


def _strengthened(size: Rational) -> Model:
    """A perturbation weakens the edge 1 → 2 of weight 1 by `size` and shifts nothing, against one that does nothing."""
    before, during = (covariance([[0, 0], [weight, 0]], [1, 1]) for weight in (Integer(1), 1 - size))
    noises = symbols("d1 d2", positive=True)
    trace, volume = (Matrix(during).inv() * Matrix(before)).trace(), Matrix(during).det() / Matrix(before).det()
    divergence = (trace - 2 + log(volume)) / 2
    return compare(
        ("divergence of the control, half of G in the claim", divergence, Integer(0)),
        ("variance of z₁", *(covariance([[0, 0], [w, 0]], noises)[0, 0] for w in (1, 1 - size))),
    )


def _laplace(size: Rational) -> Model:
    """One latent with Laplace noise of variance 1, shifted by `size`, against Gaussian noise."""
    t, rate = Symbol("t", positive=True), sqrt(2)
    return compare(
        ("divergence of the control, half of G in the claim", rate * size + exp(-rate * size) - 1, size**2 / 2),
        ("slope of log density at t, odd", diff(-rate * t, t) * t, -rate * t),
    )


def _two_targets(size: Rational) -> Model:
    """Perturbation 1 shifts latent 1, perturbation 3 shifts latent 2, and latent 1 by `size`: neither 0 nor 1 is the
    cosine."""
    targets, label = Matrix([[1, size], [0, 1]]), Symbol("l", real=True)
    return compare(
        ("cosine of the two effects", (targets.T * targets)[0, 1] / sqrt((targets.T * targets)[1, 1]), Integer(0)),
        ("effect of perturbation 1 at dose l", targets[:, 0] * label, Matrix([label, 0])),
    )


CLAIM = Claim(
    name="co_targets",
    number="1.3",
    statement="Wᵀ Σ⁻¹ W = Sᵀ D⁻¹ S is all that is identified of (A, S, D); with one target each, effects are"
    " parallel if they share it and orthogonal if not",
    latex=r"W^\top \Sigma^{-1} W = S^\top D^{-1} S,\qquad |\cos(W_j, W_k)| \in \{0, 1\}\ \text{for atomic targets}",
    assumptions=(LINEAR, REGULAR, SHIFT, GAUSSIAN_NOISE, FREE_MIXING, ONE_TARGET),
    source=OURS,
    proof=(REDUCED, GRAM, FITS, ENTRIES, SHARED, APART),
    conclusions=("gram", "fits", "shared_target", "other_target"),
    says=(
        (W.T * P * W, "=", S.T * D_inverse * S),
        (F_rival * S_rival, "=", Q * F * S),
        (G_12**2, "=", G_11 * G_22),
        (H_12, "=", H_12 * 0),
    ),
    check=lambda fault=0.0: tuple(m for structure in structures() for m in measure(structure, 1e-3 * fault)),
    counterexamples=(
        Counterexample(REGULAR, "a cycle of gain 1 has no solution", cycle, "gram"),
        Counterexample(SHIFT, "a perturbation that changes an edge is seen without a shift", _strengthened, "gram"),
        Counterexample(GAUSSIAN_NOISE, "with Laplace noise divergences are not squares", _laplace, "gram"),
        Counterexample(FREE_MIXING, "with f known the covariance tells more", known_mixing, "fits"),
        Counterexample(ONE_TARGET, "with targets of several latents cosines lie between", _two_targets, "other_target"),
    ),
    relaxations=(Relaxation(LINEAR, "curved mechanisms with additive noise go into the mixing", _curved),),
    remark="A cosine that is neither 0 nor ±1, beyond its error, refutes atomic targets; two perturbations of one"
    " gene must be parallel.",
)
