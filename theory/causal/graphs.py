"""Claim 1.1: with a free mixing, shift interventions say nothing of the causal graph, whatever is known of the targets.

For every other acyclic A', with the same noises u and the same targets S, the mixing f' = f ∘ (I - A)⁻¹ (I - A') gives
the same x, sample by sample, at every label. This is more than claim 1 says, in which whitened latents have one W and Σ
for graphs with different targets: here S, D and the law of u are the same in both models.

What was tried to save the graph, each refuted by this one construction: atomic targets; one target for each latent, and
known which; a known causal order; equal noise variances; noise that is not Gaussian; mechanisms that are not linear
(with additive noise). Two things do save it: an intervention that changes a mechanism, which f' cannot follow (compare
Buchholz et al. 2023, arXiv:2306.02235, who use that precisions change), and a mixing that is known up to the scale of
each latent (1.2).
"""

from itertools import product

import numpy as np
from sympy import Identity, Matrix, MatrixSymbol, Rational, symbols

from theory.assumptions import OURS
from theory.causal.latent_causal import (
    LINEAR,
    REGULAR,
    SHIFT,
    covariance,
    cycle,
    is_acyclic,
    symbolic_adjacency,
    total_effects,
)
from theory.engine.exact import Table, exact
from theory.engine.instances import EPS, Structure, structures
from theory.engine.proof import Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, Relaxation, compare
from theory.symbols import K, d

A, A_rival, N, N_rival = (MatrixSymbol(name, d, d) for name in ("A", "A'", "N", "N'"))
S, label = MatrixSymbol("S", d, K), MatrixSymbol("l", K, 1)
u, z, z_rival = (MatrixSymbol(name, d, 1) for name in ("u", "z", "z'"))
mixed_rival = MatrixSymbol("f^{-1}(x')", d, 1)
FREE_MIXING = Assumption(
    "free_mixing",
    "the model class contains f ∘ T with every f, for every invertible linear T",
    states=((mixed_rival, N * (Identity(d) - A_rival) * z_rival),),
)

INVERSES = Lemma(
    "inverses",
    "I − A and I − A′ have inverses N and N′",
    "det(I − A) and det(I − A′) are not zero, see claim 1",
    REGULAR,
    states=((A_rival * N_rival, N_rival - Identity(d)),),
)
SOLVED = Lemma(
    "solved",
    "z′ = N′ (u + S l) in the rival and z = N (u + S l) in the model",
    "(I − A) z = u + S l is the mechanisms, and I − A has the inverse N",
    (INVERSES, LINEAR, SHIFT),
    ((z_rival, N_rival * (u + S * label)), (z, N * (u + S * label))),
)

_drive = u + S * label


def _proof() -> tuple[Step | Lemma, ...]:
    rival = Step(
        "mechanisms_undone",
        "(I − A′) z′ = u + S l at every label: the rival’s own mechanisms",
        (Identity(d) - A_rival) * z_rival,
        _drive,
        (SOLVED.equation(0), INVERSES.equation(0)),
    )
    same = Step(
        "same_sample",
        "with f′ = f ∘ N (I − A′), f⁻¹(x′) = N (I − A′) z′ = N (u + S l) = z = f⁻¹(x): the same x for the same noises",
        mixed_rival,
        z,
        (
            Equation(FREE_MIXING, mixed_rival, N * (Identity(d) - A_rival) * z_rival),
            Equation(rival, A_rival * z_rival, z_rival - _drive),
            SOLVED.equation(1),
        ),
    )
    return INVERSES, SOLVED, rival, same, *(_same_law(size) for size in (2, 3))


def _same_law(size: int) -> Step:
    """Covariance of f⁻¹(x) under both complete graphs in opposite orders, free weights throughout."""
    forward, backward = complete(size, "a"), complete(size, "b").T
    variances = symbols(f"d1:{size + 1}", positive=True)
    carry = total_effects(forward) * (Matrix.eye(size) - backward)
    return Step(
        f"opposite_orders_d{size}",
        f"for {size} latents with free weights, every edge turned round: T Σ′ Tᵀ = Σ and T W′ = W",
        Matrix.hstack(carry * covariance(backward, variances) * carry.T, carry * total_effects(backward)),
        Matrix.hstack(covariance(forward, variances), total_effects(forward)),
    )


def complete(size: int, letter: str) -> Matrix:
    """The adjacency of the complete acyclic graph in causal order, with free weights named by `letter`."""
    weights = symbolic_adjacency([[int(i > j) for j in range(size)] for i in range(size)])
    return weights.xreplace({w: symbols(w.name.replace("a", letter)) for w in weights.free_symbols})


def twins(A: Table, A_rival: Table) -> Matrix:
    """T = (I - A)⁻¹ (I - A'), with which f' = f ∘ T makes A' as good as A at every label.

    Args:
        A: adjacency of the model (d_Z, d_Z), acyclic; numbers or symbols.
        A_rival: adjacency of any other acyclic graph.

    Returns:
        T (d_Z, d_Z), of determinant 1.

    Raises:
        ValueError: if a graph has a cycle.

    Example:
        >>> twins([[0, 0], [3, 0]], [[0, 0], [0, 0]]).tolist() == [[1, 0], [3, 1]]
        True
    """
    rival = exact(A_rival)
    if not is_acyclic(rival):
        raise ValueError("A_rival: expected the adjacency of an acyclic graph, received a cycle")
    return Matrix(total_effects(A) * (Matrix.eye(rival.rows) - rival))


def all_graphs(size: int) -> tuple[np.ndarray, ...]:
    """Every acyclic graph on `size` labelled nodes as a 0/1 adjacency; for three nodes there are 25."""
    places = [(i, j) for i in range(size) for j in range(size) if i != j]
    graphs = []
    for entries in product((0, 1), repeat=len(places)):
        graph = np.zeros((size, size), dtype=int)
        for place, entry in zip(places, entries, strict=True):
            graph[place] = entry
        if is_acyclic(Matrix(graph)):
            graphs.append(graph)
    return tuple(graphs)


def measure(structure: Structure, A_rival: np.ndarray, carry: np.ndarray) -> Measurement:
    """Simulate both models from the same noises, and compare f⁻¹(x') = T z' with f⁻¹(x) = z at every label.

    The structural equations are solved by numpy. Rounding: c·eps·cond(I - A)·cond(I - A')·size, c = 8 d_Z².
    """
    drive, identity = structure.u + structure.labels @ structure.S.T, np.eye(len(structure.A))
    own = np.linalg.solve(identity - structure.A, drive.T)
    rival = np.linalg.solve(identity - A_rival, drive.T)
    growth = np.linalg.cond(identity - structure.A) * np.linalg.cond(identity - A_rival)
    bound = 8 * len(identity) ** 2 * EPS * growth * (1 + np.abs(drive).max())
    return Measurement("same_sample", float(np.abs(carry @ rival - own).max()), float(bound))


def rivals_of(structure: Structure) -> tuple[np.ndarray, ...]:
    """Other graphs: none, the same turned round, and the complete one in the order of the rows."""
    size = len(structure.A)
    return np.zeros((size, size)), 0.7 * structure.A.T, np.tril(np.full((size, size), 0.5), -1)


def carrier(structure: Structure, A_rival: np.ndarray) -> np.ndarray:
    """T of `twins` as floats."""
    return np.array(twins(structure.A, A_rival).tolist(), dtype=float)


def known_mixing(size: Rational) -> Model:
    """f is the identity, the model has the edge 1 → 2 of weight `size`: no edge has another covariance."""
    edge, none, noises = [[0, 0], [size, 0]], [[0, 0], [0, 0]], symbols("d1 d2", positive=True)
    return compare(
        ("Cov(z)", covariance(edge, [1, 1]), covariance(none, [1, 1])),
        ("variance of z₁", covariance(edge, noises)[0, 0], covariance(none, noises)[0, 0]),
    )


def _cut(size: Rational) -> Model:
    """An intervention weakens the edge 1 → 2 of weight 1 by `size`. The rival has no edge, so nothing to weaken.

    They agree without the intervention; under it z_2 has variance 1 + (1 - size)², and the rival's 2 still.
    """
    before, during = [[0, 0], [1, 0]], [[0, 0], [1 - size, 0]]
    carry, noises = twins(before, [[0, 0], [0, 0]]), symbols("d1 d2", positive=True)
    return compare(
        ("Cov f⁻¹(x) under the intervention", covariance(during, [1, 1]), carry * carry.T),
        ("Cov f⁻¹(x) without it", carry * Matrix.diag(*noises) * carry.T, covariance(before, noises)),
    )


def _curved(size: Rational) -> Model:
    """z_2 = u_2 + size z_1² + shift: the rival without mechanisms takes f' = f ∘ N, N the curved reduced form."""
    noise, shift = Matrix(symbols("u1:3", real=True)), Matrix(symbols("s1:3", real=True))

    def reduced(drive: Matrix) -> Matrix:
        return Matrix([drive[0], drive[1] + size * drive[0] ** 2])

    first = noise[0] + shift[0]
    solved = Matrix([first, noise[1] + shift[1] + size * first**2])
    return compare(("f⁻¹(x)", solved, reduced(noise + shift)), ("z₁", solved[0], noise[0] + shift[0]))


CLAIM = Claim(
    name="graphs",
    number="1.1",
    statement="for every A′ with det(I − A′) ≠ 0, acyclic or not, (A′, D, S) with f′ = f ∘ (I − A)⁻¹ (I − A′) has"
    " the law of x at every label",
    latex=r"f' = f\circ(I-A)^{-1}(I-A') \Rightarrow"
    r" f'\big((I-A')^{-1}(u + Sl)\big) = f\big((I-A)^{-1}(u + Sl)\big)\ \forall l",
    assumptions=(LINEAR, REGULAR, SHIFT, FREE_MIXING),
    source=f"{OURS}, beside Buchholz et al. (2023), arXiv:2306.02235, where interventions change mechanisms",
    proof=_proof(),
    conclusions=("same_sample",),
    confirmations=("opposite_orders_d2", "opposite_orders_d3"),
    says=((mixed_rival, "=", z),),
    check=lambda fault=0.0: tuple(
        measure(structure, other, carrier(structure, other) * (1 + 1e-3 * fault))
        for structure in structures(4)
        for other in rivals_of(structure)
    ),
    counterexamples=(
        Counterexample(FREE_MIXING, "with f known the covariance tells an edge", known_mixing, "same_sample"),
        Counterexample(SHIFT, "an intervention that cuts an edge tells it", _cut, "same_sample"),
        Counterexample(REGULAR, "a cycle of gain 1 is not among the rivals", cycle, "same_sample"),
    ),
    relaxations=(Relaxation(LINEAR, "curved mechanisms with additive noise go into f′ as well", _curved),),
    remark="The rival has the same noises and the same targets, not only the same W and Σ after whitening, so knowing "
    "the targets, the causal order or the noise variances does not help.",
)
