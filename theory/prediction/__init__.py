"""Claims 2.7, 2.9, 2.10, 2.13 and 2.15: the unseen law from the seen ones, its support and its precision.

| module | claim |
|---|---|
| `product_formula` | 2.7, the unseen law is a geometric combination of the seen ones |
| `disjoint_mechanisms` | 2.7c, and so it is for perturbations of different mechanisms |
| `escaping` | 2.7d, the share of cells that a perturbation does not reach |
| `only_gaussian` | 2.7e, the formula at all shifts needs a Gaussian base |
| `support` | 2.9, the effective sample size of importance sampling |
| `verdicts` | 2.9b and 2.9c, why there are three verdicts |
| `noise_gain` | 2.10 and 2.10b, the variance of an identified shift, and its lower bound |
| `efficiency` | 2.10c, the number of cells that a prediction can be worth |
| `minimax` | 2.10d, and biased predictions have no smaller worst case |
| `unknown_mixing` | 2.10e, what is left of the information if the mixing is unknown |
| `unknown_fields` | 2.10f, the same with many effects and latents |
| `posterior_variance` | 2.13 and 2.13b, the information of a noisy cell, and the noise gain with it |
| `lifted` | 2.15, interactions of known order are labels |
"""
