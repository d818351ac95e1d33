"""Claims 2.9b and 2.9c: three verdicts on an unseen label, because support means something inside the span only.

A label is in the span of the training shifts or has a witness against it, never both (Fredholm). Inside, the
distances δ_e to the training environments, and with them the worth of 2.9, are the same in every equivalent model; the
Gram matrix is enough for that, so neither diversity nor smoothness is needed. Outside, an equivalent model puts the
label at any place relative to the environments, so `not identified, supported` is no property of what is observed.
Left are: identified and supported; identified, off support; not identified.

Tried against it. A turn of unseen latents by a varying angle (2.8b) changes h and no δ_e. Rescaling the latents changes
every δ_e: without the isotropic base the distances are not identified although the laws are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sympy import Expr, Identity, Integer, Matrix, MatrixSymbol, Rational, Symbol, ZeroMatrix, exp

from theory.assumptions import (
    ADDITIVE,
    EQUIVALENT,
    GAUSSIAN,
    IN_SPAN,
    INJECTIVE,
    ISOTROPIC,
    NOTATION,
    OURS,
    OUTSIDE_SPAN,
    RECOVERABLE,
    UNRESTRICTED,
)
from theory.engine.exact import Number, Row, exact, rational
from theory.engine.instances import EPS, World, log_densities, worlds
from theory.engine.proof import DEFINITION, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, Relaxation, compare
from theory.identifiability import density_ratio, flows, rivals
from theory.identifiability.converse import inside, resized_column, restricted, second_model
from theory.identifiability.diversity import GRAM, GRAM_PROOF
from theory.identifiability.orthogonal import rival_matrix
from theory.identifiability.span import solve_span
from theory.symbols import Delta_t, L, M, W, W_rival, W_second, alpha, d, j_e, l_0, l_e, l_t, offset, u, v, z_base


@dataclass(frozen=True)
class ExactVerdict:
    """One of three: identified and supported; identified, off support; not identified.

    Attributes:
        identified: whether the label is in the span of the training shifts.
        supported: whether its worth reaches the threshold; None if it is not identified.
        worth: Σ_e n_e exp(-δ_e²), exactly; None if it is not identified.
    """

    identified: bool
    supported: bool | None
    worth: Expr | None


def exact_verdict(
    W: Sequence[Sequence[Number]], labels: Sequence[Row], counts: Sequence[Number], test: Row, least: Number
) -> ExactVerdict:
    """The verdict on a label in exact arithmetic.

    Args:
        W: perturbation matrix in the isotropic form, d_Z rows of length K.
        labels: all training labels, the reference included.
        counts: n_e, one per label, positive.
        test: the label in question.
        least: effective cells from which a label counts as supported.

    Raises:
        ValueError: if there is not one count for each label.

    Example:
        >>> W, labels = [[1, 0, 1], [0, 1, 1]], [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
        >>> [exact_verdict(W, labels, [500] * 3, test, 100).supported for test in ([1, 1, 0], [2, 2, 0], [0, 0, 1])]
        [True, False, None]
    """
    if len(counts) != len(labels):
        raise ValueError(f"counts: expected {len(labels)}, one per label, received {len(counts)}")
    if not solve_span(labels[1:], test, labels[0]).identified:
        return ExactVerdict(identified=False, supported=None, worth=None)
    effects, target = exact(W), exact([[entry] for entry in test])
    worth = Integer(0)
    for label, count in zip(labels, counts, strict=True):
        apart = effects * (target - exact([[entry] for entry in label]))
        worth += rational(count) * exp(-(apart.T * apart)[0])
    return ExactVerdict(identified=True, supported=bool(worth >= rational(least)), worth=worth)


selection = j_e
distance, distance_rival = (MatrixSymbol(name, 1, 1) for name in (r"\delta_{e}^{2}", r"\tilde{\delta}_{e}^{2}"))
_at_e = Equation(NOTATION, l_e, l_0 + L * selection)
_at_t = Equation(NOTATION, l_t, l_0 + Delta_t)

DIFFERENCE = Step(
    "difference",
    "lₜ − lₑ = L (α − jₑ), jₑ a unit vector, or zero for the reference",
    l_t - l_e,
    L * alpha - L * selection,
    (_at_t, _at_e, Equation(IN_SPAN, Delta_t, L * alpha)),
)


def _inside_proof() -> tuple[Step | Lemma, ...]:
    own, rival = ((matrix * (l_t - l_e)).T * (matrix * (l_t - l_e)) for matrix in (W, W_rival))
    same_distance = Step(
        "same_distance",
        "|W̃ (lₜ − lₑ)|² = |W (lₜ − lₑ)|²: a function of the Gram matrix",
        distance,
        distance_rival,
        (
            Equation(DEFINITION, distance, own),
            Equation(DEFINITION, distance_rival, rival),
            *DIFFERENCE.equations,
            GRAM.equation(),
        ),
    )
    return *GRAM_PROOF, DIFFERENCE, same_distance


def measure(world: World, W_rival: np.ndarray, test: np.ndarray) -> Measurement:
    """log p_t/p_e at latents of the test label less that at latents of e is δ_e²; it must be |W̃ (l_t - l_e)|².

    The log densities are scipy's, at the model's latents read back through its mixing; W̃ is a rival's. Rounding:
    c·eps·size of the log densities, c = 8 (d_Z + K) M.
    """
    target, base = world.W @ test, world.unmix(world.mix(world.z_base))
    logs = [_log_pair(base, target, world.W @ label) for label in world.labels]
    result = np.array([at_t[0] - at_t[1] - (at_e[0] - at_e[1]) for at_t, at_e in logs])
    claimed = np.square((test - world.labels) @ W_rival.T).sum(axis=1)
    size = 1 + np.abs(logs).max() + np.abs(claimed).max()
    bound = 8 * sum(world.W.shape) * len(logs) * EPS * np.linalg.cond(world.shifts) * size
    return Measurement("distance", float(np.abs(result - claimed[:, None]).max()), float(bound))


def search(world: World, test: np.ndarray) -> Measurement:
    """How |W (l_t - l_e)|² moves along all families of rivals: not at all."""
    apart = (test - world.labels).T

    def moved(flow: flows.Flow) -> np.ndarray:
        return ((world.W @ apart) * (flow.dW @ apart)).sum(axis=0)

    return flows.search("search_distance", world, moved, isotropic=True)


def _log_pair(base: np.ndarray, target: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log p_t and log p_e (2, n) at latents of the test label, and at latents of e."""
    pair, identity = np.vstack([target, mean]), np.eye(len(mean))
    return log_densities(base + target, pair, identity), log_densities(base + mean, pair, identity)


INSIDE = Claim(
    name="support_inside",
    number="2.9b",
    statement="inside the span |W (lₜ − lₑ)| is the same in every equivalent model, with no diversity",
    latex=r"\Delta_t = L\alpha \ \Rightarrow\ \|\tilde W(l_t - l_e)\| = \|W(l_t - l_e)\|\ \forall e",
    assumptions=(ADDITIVE, GAUSSIAN, ISOTROPIC, RECOVERABLE, INJECTIVE, EQUIVALENT, IN_SPAN),
    source=OURS,
    proof=_inside_proof(),
    conclusions=("difference", "same_distance"),
    says=((l_t - l_e, "=", L * alpha - L * j_e), (distance, "=", distance_rival)),
    check=lambda fault=0.0: tuple(
        m
        for world in worlds()
        for m in (
            measure(world, (1 + 1e-3 * fault) * rival_matrix(world), world.inside),
            search(world, world.outside if fault else world.inside),
        )
    ),
    counterexamples=(
        *rivals.counterexamples("same_distance", ADDITIVE),
        Counterexample(
            GAUSSIAN, "h may wave with the period of the doses and change the scale", rivals.rescaled, "same_distance"
        ),
        *rivals.counterexamples("same_distance", ISOTROPIC, INJECTIVE, EQUIVALENT),
        Counterexample(
            RECOVERABLE,
            "a rival whose decoder may use noise has larger effects",
            rivals.identified(rivals.leaky),
            "same_distance",
        ),
        Counterexample(IN_SPAN, "the second model of 2.6", resized_column, "same_distance"),
    ),
    uses=(density_ratio.CLAIM,),
    remark="The distances need an isotropic base to be identified, and no diversity; the rivals are of the class, with"
    " injective noiseless f: where a decoder may use noise distances are lower bounds (2.11c).",
)

beta = Symbol("beta", nonzero=True)

WITNESS = Lemma(
    "witness",
    "there is v with vᵀ L = 0 and β = vᵀ Δₜ not zero",
    "the Fredholm alternative; v is the part of Δₜ orthogonal to the span",
    OUTSIDE_SPAN,
    ((v.T * L, ZeroMatrix(1, M)), (v.T * Delta_t, beta * Identity(1))),
)


def _outside_proof() -> tuple[Step | Lemma, ...]:
    second = Equation(UNRESTRICTED, W_second, W + u * v.T)
    blind, sees = (Equation(WITNESS, v.T * L, ZeroMatrix(1, M)), Equation(WITNESS, v.T * Delta_t, beta * Identity(1)))
    z_e, z_second, mean_t, mean_e = (MatrixSymbol(name, d, 1) for name in ("z_e", "z'_e", "m'_t", "m'_e"))
    exclusive = Step(
        "exclusive",
        "vᵀ (Δₜ − L α) = β for every α: a label with a witness has no coefficients",
        v.T * Delta_t - v.T * L * alpha,
        beta * Identity(1),
        (blind, sees),
    )
    agrees = Step(
        "agrees",
        "z′ − u vᵀ l₀ = z at every training label, so W′ = W + u vᵀ with f′(z) = f(z − u vᵀ l₀) is equivalent",
        z_second - offset,
        z_e,
        (
            Equation(ADDITIVE, z_second, z_base + W_second * l_e),
            Equation(ADDITIVE, z_e, z_base + W * l_e),
            second,
            Equation(UNRESTRICTED, offset, u * v.T * l_0),
            _at_e,
            blind,
        ),
    )
    anywhere = Step(
        "anywhere",
        "W′ (lₜ − lₑ) = W (lₜ − lₑ) + β u: with u = (m − W (lₜ − lₑ))/β the test mean lies at m from that of e, any"
        " vector, and δₑ is any number",
        mean_t - mean_e,
        W * Delta_t - W * L * j_e + beta * u,
        (
            Equation(ADDITIVE, mean_t, W_second * l_t),
            Equation(ADDITIVE, mean_e, W_second * l_e),
            second,
            _at_t,
            _at_e,
            blind,
            sees,
        ),
    )
    return WITNESS, exclusive, agrees, anywhere


def measure_anywhere(world: World, target: float, sign: int = 1, offset: float = 1.0) -> tuple[Measurement, ...]:
    """Put the outside label at the distance `wanted` from environment 1 by a second model that fits as well.

    Rounding: c·eps·size of the latents, c = 8 (d_Z + K), and 1/beta for what is divided by it.
    """
    v = np.linalg.svd(world.shifts, full_matrices=True)[0][:, -1]
    beta, place = v @ (world.outside - world.labels[0]), target * world.Q[:, 0]
    u = (place - world.W @ (world.outside - world.labels[1])) / beta
    W_second = world.W + sign * np.outer(u, v)
    moved = (W_second - world.W) @ world.labels.T - (offset * sign * u * (v @ world.labels[0]))[:, None]
    result = np.linalg.norm(W_second @ (world.outside - world.labels[1]))
    doses = 1 + np.abs(world.labels).max() + np.abs(world.outside).max()
    bound = float(
        8 * sum(world.W.shape) * EPS * doses * (1 + np.abs(W_second).max() + np.abs(u).max()) * (1 + 1 / abs(beta))
    )
    return (
        Measurement("agrees", float(np.abs(moved).max()), bound),
        Measurement("distance", float(abs(result - target)), bound),
    )


def _interaction(size: Rational) -> Model:
    """With an interaction size·l_1 l_3 in both models u takes it into account: (1, 0, 1) is put at 7 from e_1."""
    effects, labels, test = Matrix([[1, 2, 3]]), [[0, 0, 0], [1, 0, 0], [0, 1, 0]], Matrix([1, 0, 1])
    target = 7 - size - (effects * (test - Matrix(labels[1])))[0]
    second = second_model(effects.tolist(), labels, list(test), [target]).perturbation_matrix
    return compare(
        ("distance of the test label from e₁", (second * (test - Matrix(labels[1])))[0] + size, Integer(7)),
        ("latent means at the training labels", second * Matrix(labels).T, effects * Matrix(labels).T),
    )


OUTSIDE = Claim(
    name="support_outside",
    number="2.9c",
    statement="outside the span there are equivalent models with any W′ (lₜ − lₑ): support has no meaning there",
    latex=r"\Delta_t \notin \operatorname{span}(L):\ \forall m\ \exists W'\ \text{equivalent}:\ W'(l_t - l_e) = m",
    assumptions=(ADDITIVE, UNRESTRICTED, OUTSIDE_SPAN),
    source=OURS,
    proof=_outside_proof(),
    conclusions=("exclusive", "agrees", "anywhere"),
    says=(
        (v.T * Delta_t - v.T * L * alpha, "=", beta * Identity(1)),
        (MatrixSymbol("z'_e", d, 1) - offset, "=", MatrixSymbol("z_e", d, 1)),
        (
            MatrixSymbol("m'_t", d, 1) - MatrixSymbol("m'_e", d, 1),
            "=",
            W * Delta_t - W * L * j_e + beta * u,
        ),
    ),
    check=lambda fault=0.0: tuple(
        m
        for world in worlds()
        for target in (0.0, 1.0, 10.0)
        for m in measure_anywhere(world, target, 1 - 2 * int(fault), 1 - 2 * fault)
    ),
    counterexamples=(
        Counterexample(OUTSIDE_SPAN, "inside the span no second model moves the label", inside, "exclusive"),
        Counterexample(UNRESTRICTED, "a known relation between columns of W can exclude it", restricted, "agrees"),
    ),
    relaxations=(Relaxation(ADDITIVE, "an interaction common to both models is allowed for in u", _interaction),),
    remark="This is why there are three verdicts and not four: outside the span a label lies wherever one likes.",
)

CLAIMS = (INSIDE, OUTSIDE)
