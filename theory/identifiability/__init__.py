"""Claims 2.1 to 2.6, 2.8, 2.11, 2.12 and 2.17: what the laws of x at the training labels determine.

| module | claim |
|---|---|
| `density_ratio` | 2.1, log density ratios are affine in the latent |
| `affine` | 2.2, latents are identified up to an affine map |
| `jacobian` | 2.2a, the route to 2.2 by derivatives |
| `orthogonal` | 2.3, and with an isotropic base up to a rotation and a shift |
| `extrapolation` | 2.4, laws at labels inside the span |
| `error_propagation` | 2.4b, what a latent error costs |
| `gram_matrix` | 2.5, what is identified without reference to a basis |
| `gram_law` | 2.5b, the law of estimated Gram matrices |
| `converse` | 2.6, outside the span a second model fits as well |
| `diversity` | 2.8, one latent direction may be left out |
| `diversity_tight` | 2.8b, two may not |
| `known_noise` | 2.11, noise of a known law costs no identifiability |
| `noise_level` | 2.11b, the level of isotropic Gaussian noise |
| `free_noise` | 2.11c, what noise of no known law leaves open |
| `lossy_noise` | 2.11d and 2.11e, noise that grows with the signal, and lost entries |
| `counts` | 2.12 and 2.12b, counts of known exposure |
| `depth` | 2.12c, counts with fixed totals |
| `affinity` | 2.14, distances from laws alone, without an encoder |
| `limits` | 2.14b and 2.14c, lower limits, and why there is no upper one |
| `bounds` | 2.16, what can be said outside the span |
| `contexts` | 2.17, effects that two contexts share |
| `span` | exact answers: coefficients, witness, noise gain |
| `rivals` | models that fit as well where one assumption is missing |
"""
