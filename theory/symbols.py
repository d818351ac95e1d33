"""The letters of the model, with symbolic dimensions, as the proofs use them.

A trailing tilde marks the rival: a second model with the same law of x at every training label.
"""

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
