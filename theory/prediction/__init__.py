"""Claims 2.7, 2.9, 2.10 and 2.13: the unseen law from the seen ones, its support and its precision.

| module | claim |
|---|---|
| `product_formula` | 2.7, the unseen law is a geometric combination of the seen ones |
| `disjoint_mechanisms` | 2.7c, and so it is for perturbations of different mechanisms |
| `support` | 2.9, the effective sample size of importance sampling |
| `verdicts` | 2.9b and 2.9c, why there are three verdicts |
| `noise_gain` | 2.10 and 2.10b, the variance of an identified shift, and its lower bound |
| `efficiency` | 2.10c, the number of cells that a prediction can be worth |
| `posterior_variance` | 2.13 and 2.13b, the information of a noisy cell, and the noise gain with it |
"""
