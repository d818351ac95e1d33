"""Claim 2.7d: the share of cells that a perturbation does not reach is identified, and with it the law of those it
reaches.

If a share ρ of the cells of e is as under the control, dPₑ/dP₀ = ρ + (1 − ρ) dPₑ*/dP₀. The ratio of two Gaussian laws
with one covariance and different means comes arbitrarily near zero, so the least value of dPₑ/dP₀ is ρ. Then the law of
the cells that are reached follows, and all that is said of Pₑ holds of it: knock-downs that do not take need not be
sorted out first.

Tried against it: no effect (nothing tells the two shares apart); tails that are heavier (the ratio stays away from
zero); a perturbation that widens the latents (the same).
"""

import numpy as np
from sympy import Expr, Integer, Rational, Symbol, cosh, exp, sqrt, symbols

from theory.assumptions import ADDITIVE, GAUSSIAN, INJECTIVE, NOISELESS, OURS, SHARED_COVARIANCE
from theory.engine.instances import EPS, World, log_densities, worlds
from theory.engine.proof import Assumption, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare

ESCAPE = Assumption(
    "escape", "a share ρ < 1 of the cells of e has the law P₀ of the control, the others the law Pₑ* of label lₑ"
)
MOVED = Assumption("moved", "W Δₑ is not zero")

rho, ratio, reached, least, least_reached = symbols(
    r"rho \frac{dP_{e}}{dP_{0}} \frac{dP_{e}^{*}}{dP_{0}} \inf\frac{dP_{e}}{dP_{0}} \inf\frac{dP_{e}^{*}}{dP_{0}}",
    positive=True,
)

MIXED = Lemma(
    "mixed",
    "dPₑ/dP₀ = ρ + (1 − ρ) dPₑ*/dP₀ at every x, and so are their essential infima",
    "a mixture of laws; t → ρ + (1 − ρ) t is increasing",
    ESCAPE,
    ((ratio, rho + (1 - rho) * reached), (least, rho + (1 - rho) * least_reached)),
)
VANISHES = Lemma(
    "vanishes",
    "ess inf dPₑ*/dP₀ = 0",
    "at x = f(z) the log ratio is (W Δₑ)ᵀ Σ⁻¹ z up to a constant (2.1), which is not bounded below as W Δₑ is not zero",
    (ADDITIVE, GAUSSIAN, SHARED_COVARIANCE, NOISELESS, INJECTIVE, MOVED),
    ((least_reached, least_reached * 0),),
)
SHARE = Step("share", "ρ = ess inf dPₑ/dP₀", least, rho, (MIXED.equation(1), VANISHES.equation()))
LAW = Step(
    "reached_law",
    "dPₑ*/dP₀ = (dPₑ/dP₀ − ρ)/(1 − ρ): the law of the cells that are reached",
    (ratio - rho) / (1 - rho),
    reached,
    (MIXED.equation(0),),
)


def measure(world: World, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """dPₑ/dP₀ far against the effect, and the law that is recovered at latents of a world.

    Against the effect, at distance r in the metric Σ⁻¹, the ratio is exp(-r |W Δ| - |W Δ|²/2), below 1e-30 at the r
    that is chosen. Rounding: c·eps·cond(Σ)·size of the log densities, c = 8 d_Z².
    """
    share, mean = 0.3, world.W @ world.labels[1]
    control = world.W @ world.labels[0]
    effect = mean - control
    length = float(np.sqrt(effect @ np.linalg.solve(world.Sigma, effect)))
    far = control - effect / length * (80 / length)
    logs = log_densities(np.vstack([world.z_base, far]), np.vstack([control, mean]), world.Sigma)
    reached = np.exp(logs[1] - logs[0])
    ratios = share + (1 - share) * reached
    recovered = (ratios - (1 + tilt) * share) / (1 - share)
    bound = float(8 * len(mean) ** 2 * EPS * np.linalg.cond(world.Sigma) * (1 + np.abs(logs[:, :-1]).max()))
    return (
        Measurement("share", float(abs(ratios.min() - (1 + tilt) * share)), bound),
        Measurement("reached_law", float(np.abs(recovered - reached)[:-1].max() / (1 + reached.max())), bound),
    )


def _still(size: Rational) -> Model:
    """Effect 1 - size: without an effect the ratio is 1 for every share; the share is 1/2."""
    x, share = Symbol("x", real=True), Rational(1, 2)
    least_value = Integer(1) if size == 1 else share
    effect = 1 - size
    return compare(
        ("least density ratio, where ρ = 1/2", least_value, share),
        ("log density of a cell under the control, up to a constant", -(x**2) / 2, -((x + effect * 0) ** 2) / 2),
    )


def _laplace(size: Integer) -> Model:
    """A Laplace base of variance 1, at size 1, shifted by 1: ratios are at least exp(−√2)."""
    t, share = Symbol("t", real=True), Rational(1, 2)
    bottom = exp(-sqrt(2)) if size else Integer(0)
    return compare(
        ("least density ratio, where ρ = 1/2", share + (1 - share) * bottom, share),
        ("cumulant function of the base to second order", (1 + 0 * size) * t**2 / 2, t**2 / 2),
    )


def _wider(size: Rational) -> Model:
    """Under e the latent has mean 1 and variance 1 + size: the ratio is least at x = −1/size, at exp(−1/(2 size))/√(1
    + size)."""
    x, share = Symbol("x", real=True), Rational(1, 2)
    bottom = exp(-1 / (2 * size)) / sqrt(1 + size) if size else Integer(0)
    return compare(
        ("least density ratio, where ρ = 1/2", share + (1 - share) * bottom, share),
        ("mean of a cell that is reached", x + 1 + 0 * size, x + 1),
    )


def _least_cosh(size: Rational) -> tuple[Expr, Expr]:
    share = Rational(1, 2)
    bottom = exp(-Rational(1, 2)) if size else Integer(0)
    return share + (1 - share) * bottom, share


def _even(size: Rational) -> Model:
    """f(z) = z² at size 1, and f(z) = z at size 0; means 0 and 1: the ratio exp(−1/2) cosh(√x) is at least
    exp(−1/2)."""
    x = Symbol("x", real=True)
    return compare(
        ("least density ratio, where ρ = 1/2", *_least_cosh(size)),
        ("the ratio is even", cosh(size * x), cosh(-size * x)),
    )


def _coin(size: Rational) -> Model:
    """x = ε z with a fair sign ε at size 1, x = z at size 0; means 0 and 1: the same ratio, exp(−1/2) cosh x."""
    x = Symbol("x", real=True)
    return compare(
        ("least density ratio, where ρ = 1/2", *_least_cosh(size)),
        ("the ratio is even", cosh(size * x), cosh(-size * x)),
    )


def _third(size: Rational) -> Model:
    """Beside those that escape a share size/4 of the cells is hit twice: mean 2. The recovered law is no single one."""
    t = Symbol("t", real=True)
    other = size / 4
    mean = ((1 - other) * 1 + other * 2) * 1
    return compare(
        ("mean of the law that is recovered", mean, Integer(1)),
        ("shares of the reached cells, times t", (1 - other) * t + other * t, t),
    )


def _interaction(size: Rational) -> Model:
    """For a double the effect that is reached is 2 − 2 size, none at size 1, by an interaction: additive effects say
    2."""
    x, share = Symbol("x", real=True), Rational(1, 2)
    return compare(
        ("least density ratio, where ρ = 1/2", Integer(1) if size == 1 else share, share),
        ("effects of the singles together", x + x, 2 * x),
    )


CLAIM = Claim(
    name="escaping",
    number="2.7d",
    statement="if a share ρ of the cells of e is as under the control, ρ = ess inf dPₑ/dP₀ whenever W Δₑ ≠ 0, so"
    " the law of the others is identified too",
    latex=r"P_e = \rho P_0 + (1 - \rho) P_e^*:\quad \rho = \operatorname{ess\,inf} \frac{dP_e}{dP_0},"
    r"\quad P_e^* = \frac{P_e - \rho P_0}{1 - \rho}",
    assumptions=(ADDITIVE, GAUSSIAN, SHARED_COVARIANCE, NOISELESS, INJECTIVE, ESCAPE, MOVED),
    source=f"{OURS}; the least ratio is the mixture proportion of Blanchard, Lee and Scott (2010), JMLR 11",
    proof=(MIXED, VANISHES, SHARE, LAW),
    conclusions=("share", "reached_law"),
    says=((least, "=", rho), ((ratio - rho) / (1 - rho), "=", reached)),
    check=lambda fault=0.0: tuple(m for world in worlds() for m in measure(world, 1e-3 * fault)),
    counterexamples=(
        Counterexample(ADDITIVE, "an interaction may leave a double no effect", _interaction, "share"),
        Counterexample(GAUSSIAN, "with Laplace tails the ratio stays away from zero", _laplace, "share"),
        Counterexample(SHARED_COVARIANCE, "where the perturbation widens the latents it does so too", _wider, "share"),
        Counterexample(NOISELESS, "behind a random sign the ratio is a hyperbolic cosine", _coin, "share"),
        Counterexample(INJECTIVE, "behind an even f it is, too", _even, "share"),
        Counterexample(ESCAPE, "with cells that are hit twice the recovered law is a mixture", _third, "reached_law"),
        Counterexample(MOVED, "without an effect the two shares are one", _still, "share"),
    ),
    remark="The share is read off the cells that look least like the perturbation, so many are needed: at |W Δₑ| ="
    " 2 a tenth of the control has a ratio of Pₑ* below 0.01.",
)
