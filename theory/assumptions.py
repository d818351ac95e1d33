"""The assumptions that several claims share, each named once, in words and as equations."""

from sympy import MatrixSymbol, Rational
from sympy.matrices.expressions import Identity, ZeroMatrix

from theory.engine.expectation import Base, E, Random
from theory.engine.proof import Assumption
from theory.symbols import (
    Delta_e,
    Delta_t,
    L,
    P,
    Sigma,
    W,
    W_second,
    alpha,
    d,
    j_e,
    kappa,
    l_0,
    l_e,
    l_t,
    log_p,
    m,
    offset,
    q,
    right_inverse,
    u,
    v,
    z,
    z_any,
)

_latent = Base("z_base", d, 1)

NOTATION = Assumption(
    "notation",
    "Δₑ = lₑ − l₀ and Δₜ = lₜ − l₀; a training label is l₀ + L jₑ with jₑ a unit vector, or zero for the reference",
    states=((Delta_e, l_e - l_0), (Delta_t, l_t - l_0), (l_e, l_0 + L * j_e)),
)
ADDITIVE = Assumption(
    "additive",
    "z = z_base + W lₑ: shifts add up across elementary perturbations and are linear in the dose",
    states=((z_any, z + W * l_e), (m, W * l_e), (Random("z", d, 1), _latent + W * l_e)),
)
GAUSSIAN = Assumption(
    "gaussian",
    "z_base is Gaussian, in every model that is compared",
    states=((log_p, -Rational(1, 2) * (z - m).T * P * (z - m) - kappa), (q, (z - m).T * P * (z - m))),
)
SHARED_COVARIANCE = Assumption(
    "shared_covariance",
    "z_base has one regular covariance Σ in all environments, in every model that is compared",
    states=(
        (Sigma * P, Identity(d)),
        (P.T, P),
        (MatrixSymbol("P_e", d, d), P),
        (MatrixSymbol("kappa_e", 1, 1), kappa),
    ),
)
ISOTROPIC = Assumption(
    "isotropic",
    "z_base has covariance I in all environments, in every model that is compared",
    implies=("shared_covariance",),
    states=((P, Identity(d)), (E(_latent * _latent.T), Identity(d)), (E(_latent), ZeroMatrix(d, 1))),
)
RECOVERABLE = Assumption(
    "recoverable",
    "the laws of f(z) and of x determine each other in every model that is compared: no noise, noise of a known law"
    " (2.11), or counts (2.12)",
)
NOISELESS = Assumption(
    "noiseless", "x = f(z) in every model that is compared: no observation noise", implies=("recoverable",)
)
INJECTIVE = Assumption(
    "injective",
    "f is injective and measurable with measurable inverse on its image, in every model that is compared",
)
DIVERSE = Assumption(
    "diverse",
    "rank(W L) = d_Z: the training shifts span the latent space",
    states=((W * L * right_inverse, Identity(d)),),
)
EQUIVALENT = Assumption(
    "equivalent",
    "a rival (f̃, W̃) with the same d_Z has the same law of x at every training label, the reference l₀ included",
)
IN_SPAN = Assumption(
    "in_span",
    "Δₜ = L α for some α: the test shift is in the span of the training shifts",
    states=((Delta_t, L * alpha),),
)
OUTSIDE_SPAN = Assumption("outside_span", "Δₜ is not in span(L)")
UNRESTRICTED = Assumption(
    "unrestricted",
    "the model class contains every matrix W, and f(. − a) with every f, for every vector a",
    states=((W_second, W + u * v.T), (offset, u * v.T * l_0)),
)
IMPLIED = (SHARED_COVARIANCE, RECOVERABLE)
"""Weaker assumptions that others imply."""

PAPER = "von Kügelgen et al. (2025), arXiv:2504.18522"
OURS = "this project"
