"""Claim 2.3: with an isotropic Gaussian base, equivalent models differ by a rotation and a shift of the latent space.

This is claim 2.2 with Σ = Σ̃ = I, which leaves of the invertible H an orthogonal one. Like 2.2 it asks nothing of f but
that it is injective.
"""

import numpy as np
from sympy import Identity, MatrixSymbol

from theory.assumptions import ADDITIVE, DIVERSE, EQUIVALENT, GAUSSIAN, INJECTIVE, ISOTROPIC, PAPER, RECOVERABLE
from theory.engine.instances import World, worlds
from theory.engine.proof import Equation, Step
from theory.engine.record import Claim, Measurement
from theory.identifiability import affine, flows, rivals
from theory.identifiability.affine import H, P_rival, k, largest, recovered, rise, run
from theory.symbols import Delta_e, L, P, W, W_rival, d, l_e

ASSUMPTIONS = (ADDITIVE, GAUSSIAN, ISOTROPIC, RECOVERABLE, INJECTIVE, DIVERSE, EQUIVALENT)

rise_other, run_other = (
    MatrixSymbol(r"\left(h(z_{3}) - h(z_{2})\right)", d, 1),
    MatrixSymbol(r"\left(z_{3} - z_{2}\right)", d, 1),
)

METRIC = Step(
    "metric",
    "P = Hᵀ P̃ H = Hᵀ H, as P̃ = I",
    P,
    H.T * H,
    (
        Equation(affine.CLAIM, P, H.T * P_rival * H),
        Equation(ISOTROPIC, P_rival, Identity(d)),
    ),
)
ORTHOGONAL = Step(
    "orthogonal",
    "Hᵀ H = P = I; H is square, so H Hᵀ = I too",
    H.T * H,
    Identity(d),
    (METRIC.reversed(), Equation(ISOTROPIC, P, Identity(d))),
)
ISOMETRY = Step(
    "isometry",
    "(h(z₁) − h(z₀))ᵀ (h(z₃) − h(z₂)) = (z₁ − z₀)ᵀ (z₃ − z₂): h keeps distances and angles",
    rise.T * rise_other,
    run.T * run_other,
    (
        Equation(affine.CLAIM, rise, H * run),
        Equation(affine.CLAIM, rise_other, H * run_other),
        ORTHOGONAL.equation(),
    ),
)
SHIFTS = Step(
    "shifts",
    "W̃ L = Q W L with Q = H",
    W_rival * L,
    H * W * L,
    (Equation(affine.CLAIM, W_rival * L, H * W * L, ((Delta_e, L),)),),
)
LABELS = Step(
    "labels",
    "W̃ lₑ = Q W lₑ + k at every training label, the reference included",
    W_rival * l_e,
    H * W * l_e + k,
    (Equation(affine.CLAIM, W_rival * l_e, H * W * l_e + k),),
)


def measure(world: World, W_rival: np.ndarray, bend: float = 0.0) -> tuple[Measurement, ...]:
    """Recover h from the density ratios of x alone, as a cubic polynomial, and compare it with a rotation and shift."""
    identity = np.eye(len(world.W))
    coefficients, bound = recovered(world, identity, W_rival, identity, bend)
    H = coefficients[1 : 1 + len(identity)].T
    return (
        Measurement("curvature", largest(coefficients[1 + len(identity) :]), bound),
        Measurement("orthogonality", largest(H.T @ H - identity), bound),
        Measurement("shifts", largest(W_rival @ world.shifts - H @ world.W @ world.shifts), bound),
    )


def rival_matrix(world: World) -> np.ndarray:
    """A matrix W̃ of an equivalent rival: Q W plus something that vanishes on the training shifts."""
    return affine.rival_matrix(world, world.Q)


def _of(world: World, fault: float) -> tuple[Measurement, ...]:
    """Against one rival, and against all that are near."""
    wrong, B = 1 + 1e-3 * fault, world.W @ world.shifts
    return (
        *measure(world, wrong * rival_matrix(world), 1e-3 * fault),
        flows.search("search_curvature", affine.blinded(world, 2 * fault), lambda f: f.bend, isotropic=True),
        flows.search("search_orthogonality", world, lambda f: wrong * f.slope + f.slope.T, isotropic=True),
        flows.search("search_shifts", world, lambda f: f.dW @ world.shifts - wrong * f.slope @ B, isotropic=True),
    )


CLAIM = Claim(
    name="orthogonal",
    number="2.3",
    statement="equivalent models have f̃⁻¹ ∘ f (z) = Q z + c for almost every z, with Q orthogonal, and W̃ L = Q W L",
    latex=r"\tilde f^{-1}\circ f(z) = Qz + c,\quad Q^\top Q = QQ^\top = I,\quad \tilde W L = Q W L",
    assumptions=ASSUMPTIONS,
    source=PAPER,
    proof=(METRIC, ORTHOGONAL, ISOMETRY, SHIFTS, LABELS),
    conclusions=("orthogonal", "isometry", "shifts", "labels"),
    says=(
        (H.T * H, "=", Identity(d)),
        (rise.T * rise_other, "=", run.T * run_other),
        (W_rival * L, "=", H * W * L),
        (W_rival * l_e, "=", H * W * l_e + k),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds() for m in _of(world, fault)),
    counterexamples=rivals.counterexamples("shifts", *ASSUMPTIONS, shape="isometry"),
    uses=(affine.CLAIM,),
    remark="As in 2.2, injective f suffice, without smoothness.",
)
