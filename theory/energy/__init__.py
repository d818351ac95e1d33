"""Claims 3.1 to 3.4: the energy distance.

| module | claim |
|---|---|
| `distance` | 3.1, it is zero only for equal laws |
| `maps` | 3.2, it is kept by similarities alone |
| `worth` | 3.3, the expected distance of a sample from its law |
| `gaussian` | 3.4, closed forms for Gaussian laws |
"""
