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
from theory.identifiability import affine, rivals
from theory.identifiability.affine import H, P, P_rival, largest, recovered, rise, run
from theory.symbols import L, W, W_rival, d

ASSUMPTIONS = (ADDITIVE, GAUSSIAN, ISOTROPIC, RECOVERABLE, INJECTIVE, DIVERSE, EQUIVALENT)

rise_other, run_other = (
    MatrixSymbol(r"\left(h(z_{3}) - h(z_{2})\right)", d, 1),
    MatrixSymbol(r"\left(z_{3} - z_{2}\right)", d, 1),
)

_affine = (affine.CLAIM,)

ORTHOGONAL = Step(
    "orthogonal",
    "Hᵀ H = Hᵀ P̃ H = P = I, with the precisions P = P̃ = I; H is square, so H Hᵀ = I too",
    H.T * H,
    Identity(d),
    (
        Equation(ISOTROPIC, H.T * H, H.T * P_rival * H),
        Equation(_affine, H.T * P_rival * H, P),
        Equation(ISOTROPIC, P, Identity(d)),
    ),
)
ISOMETRY = Step(
    "isometry",
    "(h(z₁) − h(z₀))ᵀ (h(z₃) − h(z₂)) = (z₁ − z₀)ᵀ (z₃ − z₂): h keeps distances and angles",
    rise.T * rise_other,
    run.T * run_other,
    (Equation(_affine, rise, H * run), Equation(_affine, rise_other, H * run_other), ORTHOGONAL.equation()),
)
SHIFTS = Step(
    "shifts",
    "Hᵀ W̃ L = W L, i.e. W̃ L = Q W L with Q = H",
    H.T * W_rival * L,
    W * L,
    (Equation(_affine, W_rival * L, H * W * L), ORTHOGONAL.equation()),
)


def measure(world: World, W_rival: np.ndarray) -> tuple[Measurement, ...]:
    """Recover h from the density ratios of x alone, as a cubic polynomial, and compare it with a rotation and shift."""
    identity = np.eye(len(world.W))
    coefficients, bound = recovered(world, identity, W_rival, identity)
    H = coefficients[1 : 1 + len(identity)].T
    return (
        Measurement("curvature", largest(coefficients[1 + len(identity) :]), bound),
        Measurement("orthogonality", largest(H.T @ H - identity), bound),
        Measurement("shifts", largest(W_rival @ world.shifts - H @ world.W @ world.shifts), bound),
    )


def rival_matrix(world: World) -> np.ndarray:
    """A matrix W̃ of an equivalent rival: Q W plus something that vanishes on the training shifts."""
    return affine.rival_matrix(world, world.Q)


CLAIM = Claim(
    name="orthogonal",
    number="2.3",
    statement="equivalent models have f̃⁻¹ ∘ f (z) = Q z + c with Q orthogonal, and W̃ L = Q W L",
    latex=r"\tilde f^{-1}\circ f(z) = Qz + c,\quad Q^\top Q = QQ^\top = I,\quad \tilde W L = Q W L",
    assumptions=ASSUMPTIONS,
    source=PAPER,
    proof=(ORTHOGONAL, ISOMETRY, SHIFTS),
    conclusions=("isometry", "shifts"),
    check=lambda: tuple(m for world in worlds() for m in measure(world, rival_matrix(world))),
    counterexamples=rivals.counterexamples(*ASSUMPTIONS),
    uses=(affine.CLAIM,),
    remark="As in 2.2, injective f suffice, without smoothness.",
)
