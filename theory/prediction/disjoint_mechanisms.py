"""Claim 2.7c: perturbations of different mechanisms combine by the product formula, whatever they do to them.

The density of z is a product of mechanisms p_j(z_j | causes of z_j). If A replaces some factors and B others, the
double replaces both, and p_AB p_0 = p_A p_B: the factors sort themselves. Nothing is asked of shifts, Gaussian laws or
linear effects, and in this form, without ratios, densities may vanish too. It is the limit of what a test of 2.7 can
say: what passes it may be shifts, or may be this.

The two are told apart by the constant, which is 1 here and exp(-G_AB) in 2.7. They agree where both apply: atomic
shifts of different mechanisms have G_AB = (S' D⁻¹ S)_AB = 0 by the linear latent causal model (1).

Tried against it: feedback between the latents (in a linear cycle the density is |det(I - A)| times a product over
mechanisms, so the formula survives up to a constant); dose (there is no formula for half a replacement, so the claim is
about combinations only).

Prior art: interventional factor models of Bravo-Hermsdorff et al. (2023), where an intervention changes its factors and
nothing else; for independent groups of coordinates this is the composition of factorized conditionals by Bradley et al.

References:
    Bradley et al. (2025), Mechanisms of projective composition of diffusion models, ICML, arXiv:2502.04549; Pearl
    (2009), Causality, 1.3, for the truncated factorisation.
"""

import numpy as np
from sympy import Expr, Integer, Matrix, MatrixSymbol, Rational, Symbol, ZeroMatrix, diff, exp, expand, hessian, symbols

from theory.assumptions import INJECTIVE, NOISELESS
from theory.engine.formulas import log_density
from theory.engine.instances import EPS, Structure, log_densities, structures
from theory.engine.proof import Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability.affine import largest
from theory.prediction.product_formula import epistasis
from theory.symbols import d

y_0, y_a, y_b, y_ab = (MatrixSymbol(rf"(\log p_{{j}}^{{{name}}})_{{j}}", d, 1) for name in ("0", "A", "B", "AB"))
a, b, ones = (MatrixSymbol(name, d, 1) for name in ("a", "b", r"\mathbf{1}"))
D_A, D_B = (MatrixSymbol(name, d, d) for name in ("D_A", "D_B"))
log_0, log_a, log_b, log_ab = (MatrixSymbol(rf"\log p_{{{name}}}(z)", 1, 1) for name in ("0", "A", "B", "AB"))
ratio_a, ratio_b, ratio_ab = (
    MatrixSymbol(rf"\log \frac{{p_{{{name}}}}}{{p_{{0}}}} (x)", 1, 1) for name in ("A", "B", "AB")
)

DISJOINT = Assumption(
    "disjoint",
    "p(z) is a product of positive mechanisms pⱼ(zⱼ | causes); A replaces some of them and B others, and either"
    " leaves the rest",
    states=(
        (y_a, y_0 + D_A * (a - y_0)),
        (D_B * D_A, ZeroMatrix(d, d)),
        (log_0, ones.T * y_0),
    ),
)
COMBINED = Assumption(
    "combined",
    "the double replaces what A and B replace, by the same mechanisms",
    states=((y_ab, y_a + D_B * (b - y_a)),),
)
OBSERVED = Lemma(
    "ratios",
    "log dP/dP₀ at x = f(z) is log p(z) − log p₀(z), for A, B and the double",
    "`transport` of 2.7: push-forward by an injective map",
    (NOISELESS, INJECTIVE),
    tuple((ratio, density - log_0) for ratio, density in ((ratio_ab, log_ab), (ratio_a, log_a), (ratio_b, log_b))),
)


def _proof() -> tuple[Step | Lemma, ...]:
    replaced = {
        y_a: Equation(DISJOINT, y_a, y_0 + D_A * (a - y_0)),
        y_b: Equation(DISJOINT, y_b, y_0 + D_B * (b - y_0)),
    }
    both = Step(
        "both_replaced",
        "the double has the factors of A with those of B put in: y₀ + D_A (a − y₀) + D_B (b − y₀), D selections",
        y_ab,
        y_0 + D_A * (a - y_0) + D_B * (b - y_0),
        (
            Equation(COMBINED, y_ab, y_a + D_B * (b - y_a)),
            replaced[y_a],
            Equation(DISJOINT, D_B * D_A, ZeroMatrix(d, d)),
        ),
    )
    factors = ((log_ab, y_ab), (log_a, y_a), (log_b, y_b), (log_0, y_0))
    latent = Step(
        "latent",
        "log p_AB = log p_A + log p_B − log p₀ at every z",
        log_ab,
        log_a + log_b - log_0,
        (
            *(Equation(DISJOINT, density, ones.T * parts) for density, parts in factors),
            both.equation(),
            *replaced.values(),
        ),
    )
    observed = Step(
        "observed",
        "log dP_AB/dP₀ = log dP_A/dP₀ + log dP_B/dP₀ at x = f(z): the product formula with constant 1",
        ratio_ab,
        ratio_a + ratio_b,
        (
            *(OBSERVED.equation(place) for place in range(3)),
            latent.equation(),
        ),
    )
    return both, latent, OBSERVED, observed


def measure(structure: Structure, targets: tuple[np.ndarray, np.ndarray]) -> Measurement:
    """Replace edges, variance and mean of mechanisms, and compare joint densities, which know nothing of factors.

    `targets`: the latents whose mechanisms A replaces, and those that B replaces. Mechanism j becomes
    z_j = -(edges into j) / 2 + N(S_j0, 3 D_j) under A and 2 (edges into j) + N(S_j0, D_j / 2) under B; where both
    claim one, B has its way. Rounding: c·eps·cond(Σ)·size of the log densities, c = 8 d_Z², with the worst Σ.
    """
    one, other = (np.isin(np.arange(len(structure.A)), chosen) for chosen in targets)
    none = np.zeros_like(one)
    laws = [_law(structure, *masks) for masks in ((none, none), (one, none), (none, other), (one, other))]
    logs = np.vstack([log_densities(structure.u, mean[None], covariance) for mean, covariance in laws])
    condition = max(np.linalg.cond(covariance) for _, covariance in laws)
    bound = float(8 * len(one) ** 2 * EPS * condition * (1 + largest(logs)))
    return Measurement("product", largest(logs[3] + logs[0] - logs[1] - logs[2]), bound)


def _law(structure: Structure, one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d_Z,) and covariance (d_Z, d_Z) of z once the mechanisms in the two masks are replaced."""
    edges, variances = np.select([other, one], [2.0, -0.5], 1.0), np.select([other, one], [0.5, 3.0], 1.0)
    inverse = np.linalg.inv(np.eye(len(one)) - edges[:, None] * structure.A)
    shift = structure.S[:, 0] * (one | other)
    return inverse @ shift, inverse * (variances * structure.D) @ inverse.T


def halves(structure: Structure, shared: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Every other latent in the causal order for A, the rest for B, so that replaced causes have replaced effects.

    As many as `shared` of those of B are replaced by A too.
    """
    return np.append(structure.order[::2], structure.order[1::2][:shared]), structure.order[1::2]


def _gaussians(*parameters: tuple[tuple, tuple]) -> Expr:
    """log p_AB - log p_A - log p_B + log p_0 of two independent latents with given means and variances."""
    point = Matrix(symbols("z1 z2", real=True))
    double, one, other, control = (
        log_density(point, Matrix(mean), Matrix([[variances[0], 0], [0, variances[1]]]))
        for mean, variances in parameters
    )
    return double - one - other + control


def _same_mechanism(size: Rational) -> Model:
    """A and B both add `size` to the variance of one latent, and the double adds it twice."""
    z1, z2 = symbols("z1 z2", real=True)
    excess = _gaussians(*(((0, 0), (1 + size * n, 1)) for n in (2, 1, 1, 0)))
    return compare(
        ("curvature in z₁ of the log ratio of the four laws", hessian(excess, (z1,)), Matrix([[0]])),
        ("its slope in z₂, beside z₂", diff(excess, z2) + z2, z2),
    )


def _swapped(size: Rational) -> Model:
    """A coin swaps the observed latents with probability size/2; A and B move one each by 1."""
    x1, x2 = symbols("x1 x2", real=True)
    stays, swaps = 1 - size / 2, size / 2
    one, other = stays * exp(x1) + swaps * exp(x2), stays * exp(x2) + swaps * exp(x1)
    double = (stays + swaps) * exp(x1 + x2)
    return compare(
        ("the ratio of the four laws at x = (1, 0)", (one * other / double).subs({x1: 1, x2: 0}), Integer(1)),
        ("the ratio of the four laws where x₁ = x₂", expand((one * other / double).subs(x2, x1)) * x1, x1),
    )


def _unordered(size: Rational) -> Model:
    """f(z) = (z_1 + z_2, z_1 z_2) shows the latents without their order; A and B move one each by `size`."""
    (x1, x2), shift = symbols("x1 x2", real=True), Symbol("shift", real=True)
    single = (exp(shift * x1) + exp(shift * x2)) / 2
    excess = single**2 / exp(shift * (x1 + x2))
    return compare(
        ("the ratio of the four laws at z = (1, 0)", excess.subs({x1: 1, x2: 0, shift: size}), Integer(1)),
        ("the ratio of the four laws where z₁ = z₂", excess.subs({x1: x2}) * x2, x2),
    )


CLAIM = Claim(
    name="disjoint_mechanisms",
    number="2.7c",
    statement="if A and B replace different mechanisms, in whatever way, dP_AB dP₀ = dP_A dP_B",
    latex=r"p(z) = \prod_j p_j(z_j \mid z_{\mathrm{pa}(j)}),\ S_A \cap S_B = \emptyset"
    r"\ \Rightarrow\ \frac{dP_{AB}}{dP_0} = \frac{dP_A}{dP_0}\,\frac{dP_B}{dP_0}",
    assumptions=(DISJOINT, COMBINED, NOISELESS, INJECTIVE),
    source="Bravo-Hermsdorff et al. (2023), arXiv:2306.04027, for factor models of interventions; for independent"
    " factors Bradley et al. (2025), arXiv:2502.04549",
    proof=_proof(),
    conclusions=("observed",),
    says=((ratio_ab, "=", ratio_a + ratio_b),),
    check=lambda fault=0.0: tuple(measure(structure, halves(structure, int(fault))) for structure in structures()),
    counterexamples=(
        Counterexample(DISJOINT, "two changes of one variance do not multiply", _same_mechanism, "observed"),
        Counterexample(COMBINED, "an effect of B that depends on A leaves a slope", epistasis, "observed"),
        Counterexample(NOISELESS, "behind a random swap the ratios are sums", _swapped, "observed"),
        Counterexample(INJECTIVE, "without the order of the latents the ratios are sums", _unordered, "observed"),
    ),
    remark="This is the limit of what a test of 2.7 can say. The constant tells the two apart.",
)
