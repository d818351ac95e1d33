"""Claim 2.6: outside the span of the training shifts an explicit second model fits as well and predicts anything."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sympy import (
    Expr,
    Identity,
    ImmutableMatrix,
    Integer,
    Matrix,
    MatrixSymbol,
    Rational,
    Symbol,
    ZeroMatrix,
    exp,
    symbols,
)

from theory.assumptions import ADDITIVE, INJECTIVE, NOTATION, OURS, OUTSIDE_SPAN, RECOVERABLE, UNRESTRICTED
from theory.engine.exact import Number, Row, Table, exact, rational
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import DEFINITION, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, Relaxation, compare
from theory.identifiability.span import solve_span
from theory.symbols import Delta_t, K, L, M, W, W_second, d, j_e, l_0, l_e, l_t, m, offset, u, v, z_base


@dataclass(frozen=True)
class SecondModel:
    """The rival of a model (f, W): W' = W + u vᵀ and f'(z) = f(z - offset).

    Attributes:
        perturbation_matrix: W' (d_Z, K).
        offset: u vᵀ l_0 (d_Z, 1), zero for a reference at zero.
        witness: v (K, 1), with vᵀ Δ_e = 0 for all training labels and vᵀ Δ_t = vᵀ v.
        displacement: u vᵀ Δ_t (d_Z, 1): by how much the latent mean at the test label moves, in the coordinates of f.
    """

    perturbation_matrix: ImmutableMatrix
    offset: ImmutableMatrix
    witness: ImmutableMatrix
    displacement: ImmutableMatrix


def second_model(W: Table, labels: Sequence[Row], test: Row, u: Sequence[Number | Expr]) -> SecondModel:
    """An observationally equivalent model that moves the test latent mean along u.

    Args:
        W: perturbation matrix, d_Z rows of length K; numbers or symbols.
        labels: all training labels, the reference included; any of them may come first, the result is the same.
        test: a label (K,) outside the span.
        u: direction (d_Z,); u = m / (vᵀ v) moves the mean by m.

    Returns:
        The second model, in exact arithmetic.

    Raises:
        ValueError: if there are no labels, the test label is in the span, or shapes do not fit.

    Example:
        >>> second_model([[1, 0]], [[0, 0], [1, 0]], [1, 1], [5]).perturbation_matrix.tolist() == [[1, 5]]
        True
    """
    if not len(labels):
        raise ValueError("labels: expected at least the reference, received no row")
    solution = solve_span(labels[1:], test, labels[0])
    if solution.witness is None:
        raise ValueError("test: expected a label outside the span of the training shifts, received one inside")
    matrix, direction, v = exact(W), exact([[entry] for entry in u]), ImmutableMatrix(solution.witness)
    if matrix.shape != (len(direction), len(v)):
        raise ValueError(f"W: expected shape {(len(direction), len(v))} from u and test, received {matrix.shape}")
    level = sum((a * rational(b) for a, b in zip(v, labels[0], strict=True)), Rational(0))
    return SecondModel(matrix + direction * v.T, direction * level, v, direction * (v.T * v)[0])


pseudo_inverse = MatrixSymbol("L^{+}", M, K)
beta = Symbol("beta", nonzero=True)
z_t, z_t_second = MatrixSymbol("z_t", d, 1), MatrixSymbol("z'_t", d, 1)
back, back_second = MatrixSymbol("f^{-1}(y)", d, 1), MatrixSymbol("f^{-1}(y')", d, 1)

PENROSE = Lemma(
    "penrose",
    "L has an L⁺ with L L⁺ L = L and L L⁺ symmetric",
    "existence of the Moore-Penrose inverse",
    (),
    ((L * pseudo_inverse * L, L), (pseudo_inverse.T * L.T, L * pseudo_inverse)),
)
NONZERO = Lemma(
    "nonzero",
    "outside the span v is not zero, so β = vᵀ v is not",
    "by `in_span_if_zero`, v = 0 would put Δₜ in the span",
    (OUTSIDE_SPAN, "in_span_if_zero"),
    ((v.T * v, beta * Identity(1)),),
)
READ_BACK = Lemma(
    "read_back",
    "the law of x determines that of f⁻¹(y), y = f(z), so different laws of f⁻¹(y) are different laws of x; f⁻¹(y)"
    " is z in the model, and f⁻¹(y′) is z′ − u vᵀ l₀ in the second one",
    "the law of y is that of x, or determined by it, and f is injective",
    (RECOVERABLE, INJECTIVE, UNRESTRICTED),
    ((back, z_t), (back_second, z_t_second - offset)),
)
TRANSLATES = Lemma(
    "translates",
    "a law on ℝ^d and its translate by a non-zero vector differ",
    "characteristic functions: φ(t) (exp(i tᵀa) − 1) = 0 near t = 0, where φ is not zero, forces a = 0",
)

_penrose = Equation(PENROSE, L * pseudo_inverse * L, L)
_symmetric = Equation(PENROSE, pseudo_inverse.T * L.T, L * pseudo_inverse)
_projected = Equation(DEFINITION, v, Delta_t - L * pseudo_inverse * Delta_t)
_second = (Equation(UNRESTRICTED, W_second, W + u * v.T), Equation(UNRESTRICTED, offset, u * v.T * l_0))
_penrose_rules = (_projected, _penrose, _symmetric)

ANNIHILATES = Step("annihilates", "v = (I − L L⁺) Δₜ satisfies vᵀ L = 0", v.T * L, ZeroMatrix(1, M), _penrose_rules)
SEES = Step("sees_the_test", "vᵀ Δₜ = vᵀ v", v.T * Delta_t, v.T * v, _penrose_rules)


def _witness() -> tuple[Step | Lemma, ...]:
    in_span = Step("in_span_if_zero", "Δₜ = v + L (L⁺ Δₜ)", Delta_t, v + L * pseudo_inverse * Delta_t, (_projected,))
    return PENROSE, ANNIHILATES, SEES, in_span, NONZERO


def _second_law() -> tuple[Step | Lemma, ...]:
    (z_e, z_e_rival, latents_e), (z_t, z_t_rival, latents_t) = _latents("e", l_e), _latents("t", l_t)
    training = Step(
        "training_labels",
        "z′ − u vᵀ l₀ = z at every training label l₀ + L jₑ, so f′(z′) = f(z) sample by sample",
        z_e_rival - offset,
        z_e,
        (*latents_e, *_second, Equation(NOTATION, l_e, l_0 + L * j_e), ANNIHILATES.equation()),
    )
    test = Step(
        "test_label",
        "z′ − u vᵀ l₀ = z + u vᵀ Δₜ at the test label",
        z_t_rival - offset,
        z_t + u * v.T * Delta_t,
        (*latents_t, *_second, Equation(NOTATION, l_t, l_0 + Delta_t)),
    )
    return training, test, *_displacement(test)


def _latents(mark: str, label: MatrixSymbol) -> tuple[MatrixSymbol, MatrixSymbol, tuple[Equation, Equation]]:
    """The latents of both models at one label, and what additivity says of them."""
    own, rival = MatrixSymbol(f"z_{mark}", d, 1), MatrixSymbol(f"z'_{mark}", d, 1)
    shifted = Equation(ADDITIVE, own, z_base + W * label), Equation(ADDITIVE, rival, z_base + W_second * label)
    return own, rival, shifted


def _displacement(test: Step) -> tuple[Step | Lemma, ...]:
    moves = Step(
        "law_moves",
        "f⁻¹(y) at the test label is translated by u vᵀ Δₜ, so the law of x changes whenever this is not zero",
        back_second - back,
        u * v.T * Delta_t,
        (
            READ_BACK.equation(0, given=TRANSLATES),
            READ_BACK.equation(1, given=TRANSLATES),
            Equation(test, z_t_second, z_t + u * v.T * Delta_t + offset),
        ),
    )
    anywhere = Step(
        "any_displacement",
        "u = m / (vᵀ v) displaces the latent mean by m, any vector",
        m / beta * v.T * Delta_t,
        m,
        (SEES.equation(), NONZERO.equation()),
    )
    return READ_BACK, TRANSLATES, moves, anywhere


def _explicit() -> tuple[Step, ...]:
    """The claim with free symbols for d_Z = 2, K = 3, M = 2: v is the cross product of the two training shifts."""
    shifts = [Matrix(symbols(f"{letter}1:4")) for letter in "abt"]
    first, second, target = shifts
    reference, effects = Matrix(symbols("r1:4")), Matrix(2, 3, symbols("w1:7"))
    direction, witness = Matrix(symbols("u1:3")), first.cross(second)
    moved = effects + direction * witness.T
    labels = Matrix.hstack(reference, reference + first, reference + second)
    offsets = (direction * witness.T * reference) * Matrix([[1, 1, 1]])
    return (
        Step(
            "explicit_training",
            "free symbols: W′ lₑ − u vᵀ l₀ = W lₑ at all three training labels",
            moved * labels - offsets,
            effects * labels,
        ),
        Step(
            "explicit_test",
            "free symbols: vᵀ Δₜ is the determinant of the two training shifts and the test shift",
            moved * (reference + target) - direction * (witness.T * reference)[0],
            effects * (reference + target) + direction * Matrix.hstack(*shifts).det(),
        ),
    )


def measure(world: World, offset_sign: float = 1) -> tuple[Measurement, ...]:
    """Simulate both models with the same base latents, at all training labels and at the test label.

    The witness comes from a singular value decomposition, not from the proof. Rounding: c·eps times the size of the
    latents, c = 8 (d_Z + K) operations per latent.
    """
    v = np.linalg.svd(world.shifts, full_matrices=True)[0][:, -1]
    W_second, offset = world.W + np.outer(world.u, v), offset_sign * world.u * (v @ world.labels[0])
    bound = 8 * sum(world.W.shape) * EPS * _size(world, W_second)
    trained = max(_distance(world, W_second, offset, label, np.zeros(len(offset))) for label in world.labels)
    displacement = world.u * (v @ (world.outside - world.labels[0]))
    moved = _distance(world, W_second, offset, world.outside, displacement)
    return Measurement("training_labels", trained, bound), Measurement("test_label", moved, bound)


def _distance(world: World, W_second: np.ndarray, offset: np.ndarray, label: np.ndarray, moved: np.ndarray) -> float:
    """Largest deviation of f⁻¹(x') from f⁻¹(x) + moved at a label."""
    x = world.mix(world.z_base + world.W @ label)
    x_second = world.mix(world.z_base + W_second @ label - offset)
    return float(np.abs(world.unmix(x_second) - world.unmix(x) - moved).max())


def _size(world: World, W_second: np.ndarray) -> float:
    labels = np.vstack([world.labels, world.outside])
    return 1 + np.abs(world.z_base).max() + 2 * (np.abs(labels) @ np.abs(W_second).T).max() + np.abs(world.u).max()


def third_column(size: Rational) -> tuple[Matrix, Matrix, Matrix]:
    """W, the W' of a second model with u = size · (1, 1), and the test label e_3, for training labels 0, e_1, e_2."""
    effects, test = Matrix([[1, 0, 2], [0, 1, 3]]), Matrix([0, 0, 1])
    second = second_model(effects.tolist(), [[0, 0, 0], [1, 0, 0], [0, 1, 0]], list(test), [size, size])
    return effects, Matrix(second.perturbation_matrix), test


def moved_column(size: Rational) -> Model:
    """Train on 0, e_1, e_2 and ask for e_3: the second model with u = size · (1, 1) moves its mean."""
    effects, second, test = third_column(size)
    return compare(("latent mean at the test label", second * test, effects * test), _trained(effects, second))


def _trained(effects: Matrix, second: Matrix) -> tuple[str, Matrix, Matrix]:
    """The latent means at labels without the third perturbation."""
    label = Matrix([*symbols("l1:3", real=True), 0])
    return "latent mean at labels without perturbation 3", second * label, effects * label


def resized_column(size: Rational) -> Model:
    """Train on 0, e_1, e_2 and ask for e_3: the second model with u = size · (1, 1) changes its size."""
    effects, second, test = third_column(size)
    sizes = ((matrix * test).dot(matrix * test) for matrix in (second, effects))
    return compare(("squared effect size at the test label", *sizes), _trained(effects, second))


def inside(size: Rational) -> Model:
    """The test label (1, 1, 1 - size) enters the span of e_1, e_2 at size 1, where v = e_3, u = size moves nothing."""
    witness, test = Matrix([0, 0, 1]), Matrix([1, 1, 1 - size])
    label = Matrix([*symbols("l1:3", real=True), 0])
    moved = size * (witness.T * test)[0]
    return compare(
        ("displacement of the test mean, u = size", moved, size),
        ("displacement at labels without perturbation 3", size * witness.dot(label) + label[0], label[0]),
    )


def restricted(size: Rational) -> Model:
    """A class in which column 3 of W is column 1 plus column 2: the second model with u = size leaves it."""
    columns, law = Matrix([[1, 2, 3]]), Matrix([1, 1, -1])
    second = second_model(columns, [[0, 0, 0], [1, 0, 0], [0, 1, 0]], [0, 0, 1], [size]).perturbation_matrix
    free = Symbol("w", real=True)
    return compare(
        ("column 1 plus column 2 less column 3 of W′", (second * law)[0], Integer(0)),
        ("the same of W", (free * columns * law)[0] + free, free),
    )


def _even(size: Rational) -> Model:
    """f(z) = z²: the displacement from the latent mean size to -size is not seen."""
    x, mean = Symbol("x", positive=True), Symbol("mean", real=True)
    law = exp(-((x - mean) ** 2) / 2) + exp(-((-x - mean) ** 2) / 2)
    return compare(
        ("latent mean", -size, size), ("density of x, up to a factor", law.subs(mean, size), law.subs(mean, -size))
    )


def _random_sign(size: Rational) -> Model:
    """f(z, ε) = ε z with a fair sign ε, for each ε a diffeomorphism: the same displacement is not seen."""
    t, mean = Symbol("t", real=True), Symbol("mean", real=True)
    generating = (exp(mean * t + t**2 / 2) + exp(-mean * t + t**2 / 2)) / 2
    same = (generating.subs(mean, at) for at in (size, -size))
    return compare(("latent mean", -size, size), ("moment generating function of x", *same))


def _epistatic(size: Rational) -> Model:
    """An interaction size·l_1 l_2 rides along: the second model still agrees on 0, e_1, e_2 and moves (0, 0, 1)."""
    training = [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    second = second_model([[1, 2, 3]], training, [0, 0, 1], [1])

    def difference(label: list[int]) -> Expr:
        interaction, column = size * label[0] * label[1], Matrix(label)
        own = (Matrix([[1, 2, 3]]) * column)[0] + interaction
        return (second.perturbation_matrix * column)[0] + interaction - second.offset[0] - own

    same = ((f"latent mean of both at label {label}", difference(label), Integer(0)) for label in training)
    return compare(("displacement at the test label", difference([0, 0, 1]), Integer(1)), *same)


CLAIM = Claim(
    name="converse",
    number="2.6",
    statement="outside span(L), W′ = W + u vᵀ and f′(z) = f(z − u vᵀ l₀) fit as well and move the test latent mean",
    latex=r"v^\top L = 0,\ v^\top\Delta_t \ne 0:\quad W' = W + uv^\top,\ f'(z) = f(z - u v^\top l_0)"
    r"\ \Rightarrow\ P'(x \mid l_e) = P(x \mid l_e)\ \forall e,"
    r"\ f^{-1}(y') \sim f^{-1}(y) + u\,(v^\top \Delta_t)\ \text{at}\ l_t",
    assumptions=(ADDITIVE, UNRESTRICTED, OUTSIDE_SPAN, RECOVERABLE, INJECTIVE),
    source=OURS,
    proof=(*_witness(), *_second_law(), *_explicit()),
    conclusions=("training_labels", "law_moves", "any_displacement"),
    confirmations=("explicit_training", "explicit_test"),
    says=(
        (MatrixSymbol("z'_e", d, 1) - offset, "=", MatrixSymbol("z_e", d, 1)),
        (back_second - back, "=", u * v.T * Delta_t),
        (m / beta * v.T * Delta_t, "=", m),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds() for m in measure(world, 1 - 2 * fault)),
    counterexamples=(
        Counterexample(OUTSIDE_SPAN, "inside the span every v with vᵀ L = 0 has vᵀ Δₜ = 0", inside, "any_displacement"),
        Counterexample(
            UNRESTRICTED,
            "a known relation between columns of W can exclude the second model",
            restricted,
            "training_labels",
        ),
        Counterexample(INJECTIVE, "an even f does not see a mean that changes its sign", _even, "law_moves"),
        Counterexample(
            RECOVERABLE, "a random sign does not see a mean that changes its sign", _random_sign, "law_moves"
        ),
    ),
    relaxations=(Relaxation(ADDITIVE, "a non-additive part common to both models changes nothing", _epistatic),),
    remark="For a reference l₀ other than zero the second mixing must move along, f′(z) = f(z − u vᵀ l₀); and that the "
    "law of x moves, not only the latent mean, needs f injective.",
)
