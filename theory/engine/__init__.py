"""What runs a claim.

| module | what it offers |
|---|---|
| `proof` | `Assumption`, `Lemma`, `Step`, and the `Equation`s that a step uses |
| `record` | `Claim`: a proof, a numerical check, counterexamples; `Report` of running it |
| `checker` | `verify(claim)`: every step, every numerical check, every counterexample |
| `rewriting` | matrix identities in any dimension, decided by rewriting products |
| `exact` | numbers as exact fractions |
| `formulas` | Gaussian densities and other formulas that chapters share |
| `instances` | fixed random models on which the numerical checks run |
"""
