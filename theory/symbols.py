"""The notation of the model, in words and as symbols with symbolic dimensions."""

from sympy import MatrixSymbol, Symbol


def _dimension(name: str) -> Symbol:
    return Symbol(name, integer=True, positive=True)


d = _dimension("d_Z")
K = _dimension("K")
M = _dimension("M")

W = MatrixSymbol("W", d, K)
W_rival = MatrixSymbol("Wtilde", d, K)
L = MatrixSymbol("L", K, M)

l_0 = MatrixSymbol("l_0", K, 1)
l_e = MatrixSymbol("l_e", K, 1)
l_t = MatrixSymbol("l_t", K, 1)
Delta_e = MatrixSymbol("Delta_e", K, 1)
Delta_t = MatrixSymbol("Delta_t", K, 1)
alpha = MatrixSymbol("alpha", M, 1)

z = MatrixSymbol("z", d, 1)
z_base = MatrixSymbol(r"z_{\mathrm{base}}", d, 1)

z_any = MatrixSymbol("z'", d, 1)
m, offset = MatrixSymbol("m", d, 1), MatrixSymbol("a", d, 1)
u, v, j_e = MatrixSymbol("u", d, 1), MatrixSymbol("v", K, 1), MatrixSymbol("j_e", M, 1)
W_second = MatrixSymbol("W'", d, K)
P, Sigma = MatrixSymbol("P", d, d), MatrixSymbol("Sigma", d, d)
right_inverse = MatrixSymbol("(W L)^{+}", M, d)
log_p, kappa, q = (MatrixSymbol(name, 1, 1) for name in (r"\log p", "kappa", "q"))

NOTATION = (
    ("K, d_Z, d_X", "", "number of elementary perturbations, latent dimension, observed dimension"),
    ("lₑ", "(K,)", "label of environment e = 0 … M: membership or dose of each perturbation; l₀ is the reference"),
    ("lₜ", "(K,)", "label of a test condition, for which no cells were measured"),
    ("W", "(d_Z, K)", "perturbation matrix: column k is the latent shift by one unit of perturbation k"),
    ("z_base", "(d_Z,)", "base latent, N(0, Σ), or N(0, I) where the base is isotropic"),
    ("z", "(d_Z,)", "latent, z = z_base + W lₑ: shifts add up across perturbations and are linear in the dose"),
    ("x", "(d_X,)", "observation, x = f(z), or f(z, ε) with noise ε independent of z"),
    ("Pₑ, pₑ", "", "law of x, or density of x or z, under label lₑ"),
    ("Δₑ, Δₜ", "(K,)", "lₑ − l₀ and lₜ − l₀"),
    ("L", "(K, M)", "training shifts [Δ₁ … Δ_M]"),
    ("α", "(M,)", "coefficients of a test shift in their span, Δₜ = L α"),
    ("v", "(K,)", "witness that it is not in their span: vᵀ L = 0 and vᵀ Δₜ ≠ 0"),
    ("G", "(M, M)", "Gram matrix of the effects, (W L)ᵀ (W L)"),
    ("δₑ", "", "distance of the test label from environment e, |W (lₜ − lₑ)|"),
    ("J", "(d_Z, d_Z)", "Fisher information of a cell x about a latent shift, I − 𝔼 Cov(z | x); I where z is seen"),
    ("f̃, W̃, Σ̃", "", "a rival: a second model with the law of x of the first at every training label"),
    ("h", "", "the map of latents f̃⁻¹ ∘ f"),
    (
        "A, S, D",
        "",
        "linear latent causal model z = A z + u + S l, u ~ N(0, D); A[i, j] is the effect of j on i, S the targets",
    ),
    ("ED(P, Q)", "", "energy distance 2 𝔼|X − Y|ᵝ − 𝔼|X − X′|ᵝ − 𝔼|Y − Y′|ᵝ, with β = 1 unless said otherwise"),
    ("g, f̂, Ŵ", "", "encoder, decoder and perturbation matrix of the perturbation distribution autoencoder"),
)
"""Symbol, shape and meaning, for the README."""
