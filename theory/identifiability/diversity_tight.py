"""Claim 2.8b: with two latent directions left out, a turn of their plane by a varying angle is never seen.

The angle may be any smooth function of the seen coordinates and of the radius in the plane. So claim 2.8 is tight for
every d_Z ≥ 2: at rank(W L) = d_Z - 2 there are smooth rivals f̃ = f ∘ h⁻¹ with the same W, the same laws at every
training label, and h not even affine. They predict the same at every label inside the span (2.4 survives), but the
coordinates of single cells in that plane, and distances between cells, mean nothing.
"""

import numpy as np
from sympy import Add, Expr, Function, ImmutableMatrix, Integer, Matrix, Rational, Symbol, pi, symbols
from sympy.matrices.expressions import Identity, MatAdd, MatMul, MatrixSymbol, ZeroMatrix

from theory.assumptions import ADDITIVE, GAUSSIAN, ISOTROPIC, NOTATION, OURS
from theory.engine.formulas import quartic_log_density, rotation
from theory.engine.instances import EPS, World, log_densities, worlds
from theory.engine.proof import Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.symbols import L, M, P, W, d, j_e, l_0, l_e, z

F, T = MatrixSymbol("F", d, 2), MatrixSymbol("T(z)", 2, 2)
zeta, h = MatrixSymbol("zeta", d, 1), MatrixSymbol("h(z)", d, 1)

UNSEEN_PLANE = Assumption(
    "unseen_plane",
    "rank(W L) ≤ d_Z − 2: there are two directions along which no shift goes",
    states=((F.T * W * L, ZeroMatrix(2, M)), (F.T * F, Identity(2))),
)
TURN = Lemma(
    "turn",
    "h turns the part of ζ = z − W l₀ in the plane, h = z − F Fᵀ ζ + F T Fᵀ ζ, by T(z) with Tᵀ T = I",
    "that is how h is made",
    (),
    (
        (T.T * T, Identity(2)),
        (h, W * l_0 + zeta - F * F.T * zeta + F * T * F.T * zeta),
        (z, W * l_0 + zeta),
    ),
)

VOLUME = Lemma(
    "volume",
    "h is a diffeomorphism with Jacobian determinant 1",
    "h keeps the seen coordinates and the radius, so its inverse turns back by the same angle; in polar coordinates of"
    " the plane it is a shear; computed for d_Z = 2, 3, 4 in the steps `volume_d`; further coordinates ride along",
    ("volume_d2", "volume_d3", "volume_d4"),
)
law_h, law_z = Symbol(r"h_{\#}N(Wl_{e}, I)"), Symbol(r"N(Wl_{e}, I)")
SAME_LAW = Lemma(
    "same_law",
    "h carries N(W lₑ, I) to itself for every training label, so f ∘ h⁻¹ with W is a rival of every f",
    "change of variables: equal exponents at z and h(z), determinant 1",
    (VOLUME, "same_exponent"),
    ((law_h, law_z),),
)


def turned_map(size: int, angle: Expr, point: Matrix) -> Matrix:
    """h: the last two of `size` coordinates turned by an angle."""
    return Matrix.vstack(point[: size - 2, :], rotation(angle) * point[size - 2 :, :])


def _volume(size: int) -> Step:
    point = Matrix(symbols(f"z1:{size + 1}", real=True))
    angle = Function("theta", real=True)(*point[: size - 2], point[-2] ** 2 + point[-1] ** 2)
    return Step(
        f"volume_d{size}",
        f"d_Z = {size}, any differentiable angle: det Dh = 1",
        turned_map(size, angle, point).jacobian(point).det(),
        Integer(1),
    )


def _proof() -> tuple[Step | Lemma, ...]:
    m, exponent, exponent_rival = MatrixSymbol("m_e", d, 1), *(MatrixSymbol(name, 1, 1) for name in ("q_e", "q_{e}(h)"))
    same_exponent = Step(
        "same_exponent",
        "|h(z) − W lₑ|² = |z − W lₑ|² with h = z − F Fᵀ ζ + F T Fᵀ ζ, ζ = z − W l₀, Fᵀ W L = 0",
        exponent_rival,
        exponent,
        (
            Equation(GAUSSIAN, exponent_rival, (h - m).T * P * (h - m)),
            Equation(GAUSSIAN, exponent, (z - m).T * P * (z - m)),
            Equation(ISOTROPIC, P, Identity(d)),
            Equation(ADDITIVE, m, W * l_e),
            Equation(NOTATION, l_e, l_0 + L * j_e),
            TURN.equation(1),
            TURN.equation(2),
            Equation(UNSEEN_PLANE, F.T * W * L, ZeroMatrix(2, M)),
            Equation(UNSEEN_PLANE, F.T * F, Identity(2)),
            TURN.equation(),
        ),
    )
    return *(_volume(size) for size in (2, 3, 4)), VOLUME, TURN, same_exponent, SAME_LAW, _not_affine()


def _not_affine() -> Step:
    def image(radius: int) -> ImmutableMatrix:
        return ImmutableMatrix(turned_map(2, pi * radius**2, Matrix([radius, 0])))

    return Step(
        "not_affine",
        "d_Z = 2 and the angle π |z|²: (1, 0) is turned by π and (2, 0) by 4 π, so h is not affine",
        MatAdd(*(MatMul(c, image(r), evaluate=False) for r, c in ((2, 1), (1, -2), (0, 1))), evaluate=False),
        Matrix([4, 0]),
    )


def measure(world: World, n_unseen: int = 2, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """Log densities of scipy at z and at h(z), for every training label, and the volume that h keeps.

    W loses `n_unseen` directions of the turned plane; the angle is the sine of a linear function of the other
    coordinates plus the squared radius. Rounding: c·eps·size of the log densities, c = 8 d_Z², for a volume times the
    slope of the map.
    """
    F = world.Q[:, :2]
    W = world.W - F[:, :n_unseen] @ F[:, :n_unseen].T @ world.W
    means = world.labels @ W.T
    zeta, slope = world.z_base, world.u - F @ F.T @ world.u
    phase = zeta @ slope + np.square(zeta @ F).sum(axis=1) / 2
    angle, gradient = np.sin(phase), np.cos(phase)[:, None] * (slope + zeta @ F @ F.T)
    gradient = gradient + tilt * F[:, 0]
    moved = zeta + _turned(zeta, F, angle)
    own, turned = (log_densities(means[0] + at, means, np.eye(len(W))) for at in (zeta, moved))
    volumes = np.linalg.slogdet(_jacobians(zeta, F, angle, gradient))[1]
    bound = float(8 * len(W) ** 2 * EPS * (1 + np.abs(own).max() + np.abs(turned).max()))
    steepness = float(1 + np.abs(zeta).max() * np.abs(gradient).max())
    return (
        Measurement("same_law", float(np.abs(own - turned).max()), bound),
        Measurement("volume", float(np.abs(volumes).max()), bound * steepness**2),
    )


def _turned(zeta: np.ndarray, F: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """F (T - I) Fᵀ zeta, rows are samples."""
    y, c, s = zeta @ F, np.cos(angle), np.sin(angle)
    return np.column_stack([c * y[:, 0] - s * y[:, 1] - y[:, 0], s * y[:, 0] + c * y[:, 1] - y[:, 1]]) @ F.T


def _jacobians(zeta: np.ndarray, F: np.ndarray, angle: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """I + F (T - I) F' + F Tᵀ Fᵀ zeta gradient', one (d_Z, d_Z) per sample."""
    y, c, s = zeta @ F, np.cos(angle), np.sin(angle)
    T = np.moveaxis(np.array([[c, -s], [s, c]]), -1, 0)
    rate = np.column_stack([-s * y[:, 0] - c * y[:, 1], c * y[:, 0] - s * y[:, 1]]) @ F.T
    return np.eye(len(F)) + F @ (T - np.eye(2)) @ F.T + rate[:, :, None] * gradient[:, None, :]


_POINT = Matrix([pi / 2, 1, 0])


def _exponents(label: str, mean: list[Expr], precision: Matrix, point: Matrix = _POINT) -> tuple[str, Expr, Expr]:
    """The exponent of N(mean, precision⁻¹) at h(z) and at z, by default a z at which h turns e_2 to e_3."""
    centre = Matrix(mean)
    before, after = point - centre, turned_map(3, point[0], point) - centre
    exponents = ((side.T * precision * side)[0] for side in (after, before))
    return f"exponent of the density at {label}, at h(z) and at z", *exponents


_FREE = Matrix(symbols("z1:4", real=True))


def _interaction(size: Rational) -> Model:
    """Two perturbations along e_1 whose interaction goes along e_2: unseen by rank(W L), seen at the double."""
    singles = {"the reference": [0, 0, 0], "a single": [1, 0, 0]}
    same = (_exponents(label, mean, Matrix.eye(3), _FREE) for label, mean in singles.items())
    return compare(_exponents("the double", [2, size, 0], Matrix.eye(3)), *same)


def _quartic(size: Rational) -> Model:
    """Independent base latents with density exp(-t²/2 - size t⁴/4): an eighth of a turn of (1, 1) shows."""
    point = Matrix([pi / 4, 1, 1])
    before, after = point, turned_map(3, point[0], point)
    logs = (Add(*(quartic_log_density(t, size) for t in side)) for side in (before, after))
    return compare(
        ("log density at z and at h(z)", *logs),
        ("squared length", turned_map(3, _FREE[0], _FREE).dot(turned_map(3, _FREE[0], _FREE)), _FREE.dot(_FREE)),
    )


def _uneven(size: Rational) -> Model:
    """Covariance diag(1, 1, 1 + size): the plane has axes. (Another h, turned in whitened latents, would do.)"""
    return compare(
        _exponents("the reference", [0, 0, 0], Matrix.diag(1, 1, 1 / (1 + size))),
        _exponents("the reference, were it isotropic", [0, 0, 0], Matrix.eye(3), _FREE),
    )


def _one_line(size: Rational) -> Model:
    """A second shift of length `size` along e_2 leaves one direction out, not two."""
    return compare(
        _exponents("the second single", [0, size, 0], Matrix.eye(3)),
        _exponents("the first single", [1, 0, 0], Matrix.eye(3), _FREE),
    )


CLAIM = Claim(
    name="diversity_tight",
    number="2.8b",
    statement="rank(W L) ≤ d_Z − 2: turning two unseen coordinates by a varying angle keeps all training laws",
    latex=r"F^\top WL = 0,\ F^\top F = I_2:\quad h(z) = z + F\,(T_{\theta(z)} - I)\,F^\top (z - Wl_0)"
    r"\ \Rightarrow\ h_\# N(Wl_e, I) = N(Wl_e, I)\ \forall e",
    assumptions=(ADDITIVE, GAUSSIAN, ISOTROPIC, UNSEEN_PLANE),
    source=f"{OURS}; the turn by a varying angle is that of Hyvärinen and Pajunen (1999), Neural Networks 12, and"
    " Buchholz et al. (2022), arXiv:2208.06406",
    proof=_proof(),
    conclusions=("same_exponent", "same_law", "not_affine"),
    says=(
        (MatrixSymbol("q_{e}(h)", 1, 1), "=", MatrixSymbol("q_e", 1, 1)),
        (law_h, "=", law_z),
        (_not_affine().left, "=", Matrix([4, 0])),
    ),
    check=lambda fault=0.0: tuple(
        m for world in worlds() if len(world.W) > 1 for m in measure(world, 2 - int(fault), 1e-3 * fault)
    ),
    counterexamples=(
        Counterexample(
            ADDITIVE, "an interaction may go along the plane where no single shift does", _interaction, "same_law"
        ),
        Counterexample(GAUSSIAN, "independent base latents that are not Gaussian have axes", _quartic, "same_law"),
        Counterexample(ISOTROPIC, "unequal variances have axes", _uneven, "same_law"),
        Counterexample(UNSEEN_PLANE, "a shift along the plane is turned with it", _one_line, "same_law"),
    ),
    remark="The angle may be any smooth function of the seen coordinates and of the radius, for every d_Z from 2 on; "
    "predictions inside the span survive.",
)
