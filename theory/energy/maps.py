"""Claim 3.2: the energy distance is kept, up to a factor, by similarities and by nothing else.

What was tried against it: a map that is not affine, or an affine one that is not a similarity, under which all energy
distances keep their proportions. Point masses refute either, as ED(δ_x, δ_y) = 2 ‖x - y‖^β.
"""

import numpy as np
from sympy import Identity, Integer, Matrix, MatrixSymbol, Rational, Symbol, symbols

from theory.energy.distance import SZEKELY, D, energy_distance, laws, n, p, q
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.symbols import d

scale, r, beta = symbols("c r beta", positive=True)
x, image_x, t = (MatrixSymbol(name, d, 1) for name in ("x", r"{\phi(x)}", "t"))
y, image_y, Q = MatrixSymbol("y", d, 1), MatrixSymbol(r"{\phi(y)}", d, 1), MatrixSymbol("Q", d, d)

SIMILARITY = Assumption(
    "similarity",
    "the map is x → c Q x + t with QᵀQ = I and c > 0",
    states=((image_x, scale * Q * x + t), (Q.T * Q, Identity(d))),
)
COMMON_MAP = Assumption("common_map", "both laws are carried by the same map")

D_mapped, distance_mapped = MatrixSymbol("D_c", n, n), MatrixSymbol(r"\mathrm{ED}_{c}", 1, 1)


def _maps() -> tuple[Step | Lemma, ...]:
    mapped = (SIMILARITY, COMMON_MAP)
    lengths = Step(
        "lengths",
        "|φ(x) − φ(y)|² = c² |x − y|²",
        (image_x - image_y).T * (image_x - image_y),
        scale**2 * (x - y).T * (x - y),
        (
            Equation(mapped, image_x, scale * Q * x + t),
            Equation(mapped, image_y, scale * Q * y + t),
            Equation(SIMILARITY, Q.T * Q, Identity(d)),
        ),
    )
    powers = Step("powers", "(c² r²)^(β/2) = cᵝ rᵝ", (scale**2 * r**2) ** (beta / 2), scale**beta * r**beta)
    entries = Lemma(
        "entries",
        "the entries |φ(xᵢ) − φ(xⱼ)|ᵝ of D_c are those of D times cᵝ",
        "`lengths`, raised to β/2 by `powers`",
        (lengths, powers),
        ((D_mapped, scale**beta * D),),
    )
    scaled = Step(
        "scaled",
        "ED(φ(P), φ(Q)) = cᵝ ED(P, Q)",
        distance_mapped,
        scale**beta * (2 * p.T * D * q - p.T * D * p - q.T * D * q),
        (
            Equation(DEFINITION, distance_mapped, 2 * p.T * D_mapped * q - p.T * D_mapped * p - q.T * D_mapped * q),
            entries.equation(),
        ),
    )
    return lengths, powers, entries, scaled, *_only_similarities()


def _only_similarities() -> tuple[Step | Lemma, ...]:
    (cross, own, other), u = symbols("c_XY c_XX c_YY"), symbols("u", positive=True)
    masses = Step(
        "point_masses",
        "ED(δₓ, δ_y) = 2 |x − y|ᵝ",
        2 * cross - own - other,
        2 * u**beta,
        (Equation(DEFINITION, cross, u**beta), *(Equation(DEFINITION, term, Integer(0)) for term in (own, other))),
    )
    rigid = Lemma(
        "rigid",
        "a map under which every energy distance is multiplied by cᵝ is x → c Q x + t with QᵀQ = I",
        "by `point_masses` it multiplies all distances by c; isometries of Euclidean space are affine and orthogonal"
        " (polarisation)",
        (masses,),
    )
    return masses, rigid


def measure_map(world: World, H: np.ndarray, factor: float, beta: float = 1.0) -> Measurement:
    """The energy distance of two laws carried by x → H x + u against `factor` times what it was."""
    points, p, q = laws(world)
    moved = energy_distance(points @ H.T + world.u, p, q, beta)
    size = 1 + np.abs(points).max() * np.abs(H).sum() + np.abs(world.u).max()
    deviation = abs(moved - factor * energy_distance(points, p, q, beta))
    return Measurement("map", deviation, 64 * len(p) ** 2 * EPS * (1 + size) ** 2)


def _stretch(size: Rational) -> Model:
    """diag(1 + size, 1) is affine and injective: point masses at 0 and (1, 0) move apart, those at 0 and (0, 1) not."""
    H = Matrix([[1 + size, 0], [0, 1]])
    u = Symbol("u", positive=True)
    return compare(
        ("energy distance of point masses at 0 and (1, 0)", 2 * H[0, 0], Integer(2)),
        ("energy distance of point masses at 0 and (0, u)", 2 * (H * Matrix([0, u]))[1], 2 * u),
    )


def _one_sided(size: Rational) -> Model:
    """One of two equal point masses is translated by `size`."""
    x, y = symbols("x y", real=True)
    return compare(
        ("energy distance of the two", 2 * size, Integer(0)),
        ("distances within one law", (x + size) - (y + size), x - y),
    )


CLAIM = Claim(
    name="energy_maps",
    number="3.2",
    statement="ED(φ(P), φ(Q)) = cᵝ ED(P, Q) for all P, Q exactly if φ(x) = c Q x + t, Q orthogonal",
    latex=r"\mathrm{ED}(\varphi_*P, \varphi_*Q) = c^\beta\,\mathrm{ED}(P, Q)\ \forall P, Q"
    r"\iff \varphi(x) = cQx + t,\ Q^\top Q = I",
    assumptions=(SIMILARITY, COMMON_MAP),
    source=SZEKELY + "; the converse by point masses",
    proof=_maps(),
    conclusions=("scaled", "rigid"),
    says=(
        (distance_mapped, "=", scale**beta * (2 * p.T * D * q - p.T * D * p - q.T * D * q)),
        "a map under which every energy distance is multiplied by cᵝ is x → c Q x + t with QᵀQ = I",
    ),
    check=lambda fault=0.0: tuple(
        measure_map(world, size * world.Q, size**exponent * (1 + 1e-3 * fault), exponent)
        for world in worlds()
        for size in (0.5, 3.0)
        for exponent in (0.5, 1.0, 1.5)
    ),
    counterexamples=(
        Counterexample(
            SIMILARITY, "a stretch of one axis is affine and changes some distances only", _stretch, "scaled"
        ),
        Counterexample(COMMON_MAP, "scaling or centring real and simulated cells apart", _one_sided, "scaled"),
    ),
    remark="Similarities are the only maps that keep energy distances in proportion.",
)
