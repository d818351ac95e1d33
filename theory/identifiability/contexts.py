"""Claim 2.17: effects shared by two contexts align their latents, and carry labels from one to the other.

A context is a cell line, a batch or a platform with a mixing f_c of its own; z and W are common. A model is fitted in
each context alone, to other labels in each but for the shared ones S. What is asked of the contexts is equality of W;
on the shared labels that is a test, for each context identifies its Gram matrix by itself (2.5).

Tried against it: shared effects of rank d_Z − 1, where R is open up to one reflection (a counterexample below); a label
that only one context measures and whose effect differs between them (another: nothing in the training laws tells);
contexts whose base laws differ, which isotropy and a Gaussian base exclude.

References:
    Schönemann (1966), A generalized solution of the orthogonal Procrustes problem, Psychometrika 31.
"""

from collections.abc import Callable

import numpy as np
from scipy.linalg import orthogonal_procrustes
from sympy import Identity, Integer, Matrix, MatrixSymbol, Rational, Symbol

from theory.assumptions import ADDITIVE, EQUIVALENT, GAUSSIAN, INJECTIVE, ISOTROPIC, NOTATION, OURS, RECOVERABLE
from theory.engine.instances import EPS, World, log_ratios, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability import orthogonal, rivals
from theory.identifiability.affine import largest
from theory.identifiability.converse import moved_column
from theory.identifiability.rivals import curved, different, extrapolated, folded, noisy, wavy
from theory.symbols import Delta_t, K, P, W, d, l_0, l_t, z

n_1, n_2, n_shared = (Symbol(name, integer=True, positive=True) for name in ("M_1", "M_2", "M_S"))
L_1, L_2, S = MatrixSymbol("L_1", K, n_1), MatrixSymbol("L_2", K, n_2), MatrixSymbol("S", K, n_shared)
alpha, beta = MatrixSymbol("alpha", n_1, 1), MatrixSymbol("beta", n_2, 1)
W_2, Q_1, Q_2, R = (
    MatrixSymbol("W_2", d, K),
    MatrixSymbol("Q_1", d, d),
    MatrixSymbol("Q_2", d, d),
    MatrixSymbol("R", d, d),
)
fit_1, fit_2 = MatrixSymbol("Wtilde_1", d, K), MatrixSymbol("Wtilde_2", d, K)
m, m_fit, h = MatrixSymbol("m_t", d, 1), MatrixSymbol("mtilde_t", d, 1), MatrixSymbol("h(z)", d, 1)
exponent, exponent_fit = MatrixSymbol("q_t", 1, 1), MatrixSymbol("qtilde_t", 1, 1)
k, s_t, right_inverse = MatrixSymbol("k", d, 1), MatrixSymbol("s_t", d, 1), MatrixSymbol("B", n_shared, d)

SHARED = Assumption("shared", "W is one and the same in both contexts, whose mixings f₁ and f₂ may differ")
ANCHORED = Assumption(
    "anchored",
    "rank(W S) = d_Z: the effects of the shifts S that both contexts measure span the latent space",
    implies=("diverse",),
)
IN_SPANS = Assumption(
    "in_spans",
    "Δₜ = L₁ α + L₂ β: the test shift is in the span of those of both contexts together",
    states=((Delta_t, L_1 * alpha + L_2 * beta),),
)

FITS = Lemma(
    "fits",
    "the model of either context has W̃ Δ = Q W Δ at the shifts that it measures, with Q orthogonal of its own, and"
    " the second"
    " W̃₂ l₀ = Q₂ W l₀ + k",
    "claim 2.3 in either context, where W is the same",
    (orthogonal.CLAIM, SHARED),
    (
        (fit_1 * S, Q_1 * W * S),
        (fit_2 * S, Q_2 * W * S),
        (fit_1 * L_1, Q_1 * W * L_1),
        (fit_2 * L_2, Q_2 * W * L_2),
        (Q_1.T * Q_1, Identity(d)),
        (Q_2.T * Q_2, Identity(d)),
        (fit_2 * l_0, Q_2 * W * l_0 + k),
    ),
)
ANCHOR = Lemma(
    "anchor",
    "there is a B with W S B = I",
    "W S has d_Z independent rows",
    (ANCHORED,),
    ((W * S * right_inverse, Identity(d)),),
)
PROCRUSTES = Lemma(
    "procrustes",
    "there is an orthogonal R with W̃₁ S = R W̃₂ S",
    "matrices with equal Gram matrices differ by a rotation (step `rotation` of 2.5)",
    ("gram",),
    ((fit_1 * S, R * fit_2 * S), (R.T * R, Identity(d))),
)
PUSH_FORWARD = Lemma(
    "push_forward",
    "under z → Q₂ z + k a density p becomes p(Q₂ᵀ (. − k)), and f̃₂(Q₂ z + k) = f₂(z) for almost every z",
    "change of variables with |det Q₂| = 1; f̃₂⁻¹ ∘ f₂ by 2.3 in context 2",
    (RECOVERABLE, INJECTIVE, EQUIVALENT, orthogonal.CLAIM),
    ((h, Q_2 * z + k),),
)
PREDICTED = Lemma(
    "predicted_mean",
    "the mean that is predicted is W̃₂ l₀ + sₜ",
    "that is how the second model is used at lₜ",
    (),
    ((m_fit, fit_2 * l_0 + s_t),),
)

Map = Callable[[np.ndarray], np.ndarray]


def _aligned() -> tuple[tuple[Step | Lemma, ...], Step]:
    in_1, in_2, inverse = FITS.equation(0), FITS.equation(1), ANCHOR.equation()
    gram = Step(
        "gram",
        "(W̃₁ S)ᵀ (W̃₁ S) = (W̃₂ S)ᵀ (W̃₂ S): models of the two contexts agree on the Gram matrix of shared effects",
        S.T * fit_1.T * fit_1 * S,
        S.T * fit_2.T * fit_2 * S,
        (
            in_1,
            in_2,
            FITS.equation(4),
            FITS.equation(5),
        ),
    )
    first = Step("first", "W̃₁ S B = Q₁", fit_1 * S * right_inverse, Q_1, (in_1, inverse))
    second = Step(
        "second",
        "W̃₁ S B = R Q₂",
        fit_1 * S * right_inverse,
        R * Q_2,
        (PROCRUSTES.equation(0), in_2, inverse),
    )
    rotation = Step(
        "alignment",
        "R Q₂ = Q₁: R is the only one, and carries latents of the second model to those of the first",
        R * Q_2,
        Q_1,
        (second.reversed(), first.equation()),
    )
    return (FITS, gram, ANCHOR, first, PROCRUSTES, second), rotation


def _transferred(rotation: Step) -> tuple[Step | Lemma, ...]:
    in_1, in_2 = FITS.equation(2), FITS.equation(3)
    in_spans = Equation(IN_SPANS, Delta_t, L_1 * alpha + L_2 * beta)
    predicted = Equation(DEFINITION, s_t, R.T * fit_1 * L_1 * alpha + fit_2 * L_2 * beta)
    shift = Step(
        "shift",
        "sₜ = Rᵀ W̃₁ L₁ α + W̃₂ L₂ β = Q₂ W Δₜ: what context 1 knows, turned by Rᵀ, and what context 2 knows",
        s_t,
        Q_2 * W * Delta_t,
        (predicted, in_1, in_2, in_spans, rotation.reversed(), PROCRUSTES.equation(1)),
    )
    mean = Step(
        "mean",
        "W̃₂ l₀ + sₜ = Q₂ W lₜ + k",
        fit_2 * l_0 + s_t,
        Q_2 * W * l_t + k,
        (
            shift.equation(),
            FITS.equation(6),
            Equation(NOTATION, l_t, l_0 + Delta_t),
        ),
    )
    return shift, mean, PUSH_FORWARD, PREDICTED, _same_density(mean)


def _same_density(mean: Step) -> Step:
    """The exponents of the predicted and the true law of z in context 2, at corresponding points."""
    deviation, deviation_fit = z - m, h - m_fit
    return Step(
        "same_density",
        "the predicted law of z at lₜ in context 2 is the true one in the coordinates of its model, hence that of x is;"
        " and in context 1 likewise",
        exponent_fit,
        exponent,
        (
            Equation(GAUSSIAN, exponent_fit, deviation_fit.T * P * deviation_fit),
            Equation(GAUSSIAN, exponent, deviation.T * P * deviation),
            Equation(ISOTROPIC, P, Identity(d)),
            PUSH_FORWARD.equation(),
            PREDICTED.equation(),
            Equation(mean, s_t, Q_2 * W * l_t + k - fit_2 * l_0),
            Equation(ADDITIVE, m, W * l_t),
            FITS.equation(5),
        ),
    )


def _proof() -> tuple[Step | Lemma, ...]:
    before, rotation = _aligned()
    return *before, rotation, *_transferred(rotation)


def measure(world: World, W_second: np.ndarray) -> tuple[Measurement, ...]:
    """Gram matrices from the laws of x in two contexts, and labels of the first predicted in the second.

    Context 1 mixes by f and measures all labels, context 2 by sinh(Q z) and measures d_Z shifts. Each has a model of
    its own, rotated by Q and by R; Procrustes on the shared effects alone aligns them. Rounding:
    c·eps·cond(W S)·(squared size of the latents), c = 8 (d_Z + K) M.

    Args:
        world: Labels, W and mixing of context 1.
        W_second: W of context 2 (d_Z, K); that of the world if effects are shared.
    """
    d_Z, shared = len(world.W), world.shifts[:, : len(world.W)]
    G_1 = _gram(world.unmix, world.mix, world.W, world.labels[: d_Z + 1])
    G_2 = _gram(
        lambda x: np.arcsinh(x) @ world.Q,
        lambda z: np.sinh(z @ world.Q.T),
        W_second,
        world.labels[: d_Z + 1],
    )
    model_1, model_2 = world.Q @ world.W, world.R @ W_second
    R = orthogonal_procrustes((model_2 @ shared).T, (model_1 @ shared).T)[0].T  # R W̃₂ S = W̃₁ S
    shift = world.inside - world.labels[0]
    predicted, true = R.T @ model_1 @ shift, model_2 @ shift
    size = 1 + np.square(world.labels @ world.W.T).sum() + np.square(true).sum()
    bound = 8 * sum(world.W.shape) * len(world.labels) * EPS * float(np.linalg.cond(world.W @ shared)) ** 2 * size
    return Measurement("gram", largest(G_1 - G_2), bound), Measurement("transfer", largest(predicted - true), bound)


def _gram(unmix: Map, mix: Map, W: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Covariances of the log density ratios of x under the reference, by a cubature that is exact for cubics."""
    d_Z = len(W)
    points = mix(W @ labels[0] + np.sqrt(d_Z) * np.vstack([np.eye(d_Z), -np.eye(d_Z)]))
    return np.cov(log_ratios(unmix(points), labels @ W.T, np.eye(d_Z)), bias=True)


def _own_effect(size: Rational) -> Model:
    """The second context measures 0 and e_1 only, and e_2 has another effect there: W₂ = W + size · u e_2ᵀ."""
    W_1, W_other = Matrix.eye(2), Matrix([[1, size], [0, 1]])
    measured, test = Matrix([1, 0]), Matrix([0, 1])
    dose = Symbol("l", real=True)
    return compare(
        ("effect of e₂ in context 2 and as predicted", W_other * test, W_1 * test),
        ("effect of dose l of e₁, which both measure", W_other * measured * dose, W_1 * measured * dose),
    )


def _reflected(size: Integer) -> Model:
    """One shared effect of two latents: f̃₂ = f₂ ∘ diag(1, 1 − 2 size) fits context 2, and e_2 is carried elsewhere."""
    reflection, shared, test = Matrix([[1, 0], [0, 1 - 2 * size]]), Matrix([1, 0]), Matrix([0, 1])
    dose = Symbol("l", real=True)
    return compare(
        ("effect of e₂ as carried to context 2", reflection * test, test),
        ("covariance of the latents, times l", reflection * reflection.T * dose, Matrix.eye(2) * dose),
        ("effect of dose l of e₁, which both measure", reflection * shared * dose, shared * dose),
    )


CLAIM = Claim(
    name="contexts",
    number="2.17",
    statement="with one W and own mixings, shared effects of rank d_Z have one Gram matrix and align the latents:"
    " labels in the span of both contexts together are predicted in both",
    latex=r"\tilde W_1 S = R\,\tilde W_2 S,\ R^\top R = I;\quad \operatorname{rank}(WS) = d_Z,\ "
    r"\Delta_t = L_1\alpha + L_2\beta \ \Rightarrow\ R^\top\tilde W_1L_1\alpha + \tilde W_2L_2\beta = Q_2W\Delta_t",
    assumptions=(ADDITIVE, GAUSSIAN, ISOTROPIC, RECOVERABLE, INJECTIVE, EQUIVALENT, SHARED, ANCHORED, IN_SPANS),
    source=OURS,
    proof=_proof(),
    conclusions=("gram", "alignment", "shift", "same_density"),
    says=(
        (S.T * fit_1.T * fit_1 * S, "=", S.T * fit_2.T * fit_2 * S),
        (R * Q_2, "=", Q_1),
        (s_t, "=", Q_2 * W * Delta_t),
        (exponent_fit, "=", exponent),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds() for m in measure(world, world.W * (1 + 1e-3 * fault))),
    counterexamples=(
        Counterexample(
            ADDITIVE, "a dose response linear at the training doses only, in both", extrapolated(curved), "same_density"
        ),
        Counterexample(
            GAUSSIAN, "h may wave with the period of the doses, in both", extrapolated(wavy), "same_density"
        ),
        *rivals.counterexamples("shift", ISOTROPIC),
        Counterexample(
            RECOVERABLE, "a coin flip hides the shift at whole doses, in both", extrapolated(noisy), "same_density"
        ),
        Counterexample(
            INJECTIVE, "both mixings may have the period of the doses", extrapolated(folded), "same_density"
        ),
        Counterexample(
            EQUIVALENT, "a model with other training laws has another test law", extrapolated(different), "same_density"
        ),
        Counterexample(SHARED, "an effect that context 2 has not measured may be another there", _own_effect, "shift"),
        Counterexample(
            ANCHORED, "with rank d_Z − 1 the latents of one context may be reflected", _reflected, "alignment"
        ),
        Counterexample(IN_SPANS, "the second model of 2.6, in both contexts", moved_column, "shift"),
    ),
    uses=(orthogonal.CLAIM,),
    remark="Unequal Gram matrices refute a common W; equal ones are all that the shared labels can say for"
    " it, as by 2.5 a rotation then makes the effects equal. On labels that one"
    " context lacks W is assumed. No cell is shared.",
)
