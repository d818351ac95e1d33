"""What runs a claim.

| module | what it offers |
|---|---|
| `record` | `Claim` and its parts: assumptions, steps, lemmas, measurements, counterexamples |
| `checker` | `verify(claim)`: every step, every numerical check, every counterexample |
| `rewriting` | matrix identities in any dimension, decided by rewriting products |
| `exact` | numbers as exact fractions |
| `formulas` | Gaussian densities and other formulas that chapters share |
| `instances` | fixed random models on which the numerical checks run |
"""
