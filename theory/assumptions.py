"""The assumptions that several claims share, each named once."""

from theory.engine.proof import Assumption

ADDITIVE = Assumption(
    "additive", "z = z_base + W lₑ: shifts add up across elementary perturbations and are linear in the dose"
)
GAUSSIAN = Assumption("gaussian", "z_base is Gaussian, in every model that is compared")
SHARED_COVARIANCE = Assumption(
    "shared_covariance", "z_base has one regular covariance Σ in all environments, in every model that is compared"
)
ISOTROPIC = Assumption(
    "isotropic",
    "z_base has covariance I in all environments, in every model that is compared",
    implies=("shared_covariance",),
)
RECOVERABLE = Assumption(
    "recoverable",
    "the laws of f(z) and of x determine each other: no noise, noise of a known law (2.11), or counts (2.12)",
)
NOISELESS = Assumption("noiseless", "x = f(z): no observation noise", implies=("recoverable",))
INJECTIVE = Assumption("injective", "f is injective and measurable with measurable inverse on its image")
DIVERSE = Assumption("diverse", "rank(W L) = d_Z: the training shifts span the latent space")
EQUIVALENT = Assumption(
    "equivalent",
    "a rival (f̃, W̃) with the same d_Z has the same law of x at every training label, the reference l₀ included",
)
IN_SPAN = Assumption("in_span", "Δₜ = L α for some α: the test shift is in the span of the training shifts")
OUTSIDE_SPAN = Assumption("outside_span", "Δₜ is not in span(L)")
UNRESTRICTED = Assumption(
    "unrestricted", "the model class contains every matrix W, and f(. − a) with every f, for every vector a"
)

PAPER = "von Kügelgen et al. (2025), arXiv:2504.18522"
OURS = "this project"
