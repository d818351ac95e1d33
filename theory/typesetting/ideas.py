"""The idea of each proof in a few sentences, read before the proof."""

IDEAS: dict[str, str] = {
    "latent_causal": "Solve the structural equations for z: the noises become the base and the targets become shifts."
    " Mean and covariance are those of a linear map, and whitening turns one root into another.",
    "graphs": "A free mixing can undo any invertible linear map of the latents. So it can undo the graph of the"
    " model and"
    " put another in its place, sample by sample.",
    "graph_targets": "If each latent is the target of one perturbation, the inverse of the matrix of responses is I − A"
    " with its rows scaled. The diagonal says the scales, since A has none.",
    "co_targets": "Whitened effects have lost the graph: their Gram matrix is that of the targets alone. Targets of one"
    " latent each are columns with one entry, which are parallel or orthogonal.",
    "density_ratio": "Gaussian log densities with one covariance have the same quadratic term. In a ratio it"
    " cancels, and"
    " what is left is linear in the latent.",
    "affine": "Log density ratios of x are the same in both models, and by 2.1 they are affine in the latents of"
    " either."
    " Take differences between latents and solve for one in the other.",
    "jacobian": "Differentiate the equality of log density ratios instead of taking differences. The volume factor"
    " of f is"
    " common to all environments, so it drops out of ratios.",
    "orthogonal": "By 2.2 the models differ by an affine map. An affine map that takes one isotropic Gaussian law to"
    " another keeps lengths.",
    "extrapolation": "In either model the log ratio of the test label is the combination α of those of the training"
    " labels"
    " but for a constant. The constant is that which makes a law have mass one.",
    "error_propagation": "Two Gaussian laws that are shifted against each other differ most on a half-space, where one"
    " number tells all. What is injective keeps that difference, and what is noisy lowers it.",
    "gram_matrix": "Under the control the log density ratios are linear functions of a Gaussian latent. Their"
    " covariance"
    " is the Gram matrix, and it is a property of the laws of x.",
    "gram_law": "An estimated effect is the effect plus a Gaussian error, and a product of two has the covariance of"
    " the"
    " errors in its mean. Fourth moments of Gaussian errors say how far it is off.",
    "converse": "Outside the span there is a direction of labels that no training label has. Add any vector of"
    " latents to"
    " the effects along it: training laws stay and the test law moves.",
    "product_formula": "By 2.1 log density ratios are linear in the label but for constants. So a combination of"
    " labels is"
    " a combination of log ratios, which is a product of powers of ratios.",
    "disjoint_mechanisms": "The density of z is a product of mechanisms. If A and B replace different factors the"
    " double"
    " has both new ones, and the factors sort themselves.",
    "escaping": "Far against the effect no cell that was reached is found, so what is found there escaped. The least"
    " density ratio is the share of those.",
    "only_gaussian": "The logarithm of the formula says that second differences of the log density are constants. They"
    " add up in each shift, so they are a bilinear form, and the log density is a quadratic.",
    "diversity": "The seen directions are read off the density ratios. On each line along the unseen one what is"
    " left is a"
    " continuous injection that keeps N(0, 1), and there are two of these, t and −t.",
    "diversity_tight": "Turn two unseen coordinates by an angle that depends on the others. Gaussian laws are round, so"
    " no training law changes, and the map is not affine.",
    "support": "Cells of another environment count with weights, the density ratios. The mean square of the weights of"
    " Gaussian shifts is exp(δ²), and pooling can only even them out.",
    "support_inside": "The distance of a label in the span from an environment is a quadratic form in the Gram matrix."
    " That is the same in every equivalent model.",
    "support_outside": "Outside the span 2.6 moves the test law to any place. So it is near or far as one likes.",
    "noise_gain": "A prediction is a weighted sum of means of environments, and its variance is the sum of squared"
    " weights"
    " over numbers of cells. Least squares is least, as any other weights differ by something it is orthogonal to.",
    "efficient": "The score of the cells is a sum over environments of deviations from the mean. An unbiased"
    " estimator is"
    " correlated with the score in a known way, so its variance has a floor.",
    "efficiency": "A displaced Gaussian latent is compared with itself at a wider spread. The energy distance is then a"
    " power of that spread.",
    "minimax": "Least squares has the same risk at every W. A wide Gaussian prior over W makes any other estimator pay"
    " nearly as much on average, and more somewhere.",
    "unknown_mixing": "A small change of f is a field along the latents and has a score of its own. What the score"
    " of the"
    " effect has beyond those of all fields is the information that is left.",
    "unknown_fields": "With many latents a change of f is a field among them. Integrating by parts twice turns the mean"
    " square of what it leaves of a score into that of a distance and a derivative.",
    "known_noise": "The characteristic function of a sum of independent parts is a product. Divide by that of the"
    " noise,"
    " and the law of f(z) is left.",
    "noise_level": "A law on a surface is not one with Gaussian noise in every direction. So no noise can be taken from"
    " one model and put into the signal of the other.",
    "free_noise": "A decoder that may add noise can shrink a latent with larger effects and fill up the spread. It"
    " cannot"
    " sharpen: divergences do not grow, so no rival has smaller effects.",
    "growing_noise": "Each moment of x is the same moment of f(z) with a positive factor, plus lower ones. Solve"
    " from the"
    " first upwards.",
    "entry_loss": "A function of entries that were kept has a known share of its mean left. Divide by the"
    " probability of"
    " being kept.",
    "poisson_counts": "The generating function of a Poisson count at rate r is an exponential in r. Averaged over"
    " cells it"
    " is the Laplace transform of the law of the rates.",
    "dispersed_counts": "A negative binomial count is a Poisson count whose rate carries a gamma factor. On the log"
    " scale"
    " that factor is noise of a known law without a zero.",
    "depth": "The law of N molecules is an average of polynomials of degree N in the proportions. So it knows the"
    " moments"
    " up to N, and two laws with the same ones fit alike.",
    "posterior_variance": "The score of a latent mean is what one expects z − m to be from x. Its variance is what the"
    " posterior has left of the variance of z.",
    "noisy_gain": "The score of noisy cells is that of 2.10b seen through the posterior. The same correlation gives the"
    " same floor, with J⁻¹ as price.",
    "affinity": "Between two Gaussian densities of one shape the product of their powers is a third one, times a number"
    " that says how far they are apart. The integral over x is that over z.",
    "lower_limits": "No function of x tells two labels apart better than the latents do. What the latents can do is a"
    " number that depends on the effect alone.",
    "no_upper_limit": "A mixing cut into more pieces than there are cells, each displaced at random, is noise to anyone"
    " who sees each piece once. So a large effect behind it looks like a small one.",
    "lifted_labels": "A polynomial of degree m in the number of perturbations is known from its values at 0 to m."
    " Extrapolate it to k, and count the combinations of each size.",
    "bounds": "Everything that fits has one centre, and the unseen part of the shift is free. If its length is bounded"
    " what is left is a ball, and 2.6 attains every point of it.",
    "contexts": "Each context knows its effects up to a rotation of its own. Effects that both share fix the one"
    " rotation"
    " between them, and it carries all others.",
    "changing_spread": "A rotation of the latents turns the log scales with them, and the logarithm of a matrix"
    " commutes"
    " with that. So scales extrapolate as shifts do, by the same coefficients.",
    "energy": "Write powers of distances as mixtures of cosines. The energy distance is then a sum of squares of"
    " differences of characteristic functions.",
    "energy_maps": "The energy distance is made of distances alone, so what keeps these in proportion keeps it. Point"
    " masses show that nothing else does.",
    "energy_worth": "A sample compared with itself includes each cell against itself, at distance zero. That is one"
    " pair"
    " in n, and the whole gap.",
    "energy_gaussian": "Differences of independent Gaussians are Gaussian, and the mean of |N(m, v)| is an integral"
    " that"
    " one can do. The energy distance is three of these.",
    "loss": "The loss is half a sum of energy distances plus what no model changes. It is least where all are zero,"
    " which"
    " is where all simulated laws are the true ones.",
    "loss_within": "Pairs within an environment say that decoding undoes encoding, and the prior of each environment"
    " says"
    " where its latents are. Together they are the law of x at every label.",
    "classifier": "The cross-entropy is convex in the logits, and its slope is predicted less true posteriors. It is"
    " zero"
    " where the logits are log density ratios.",
    "classifier_form": "Best logits are log ratios, and those are affine in the latent. So the encoder is an affine"
    " map of"
    " the latent, and a white base makes it a rotation.",
    "loss_batches": "The mean of a batch average is the average of the means of its pairs. It is the population loss if"
    " every pair of environments counts once.",
}
"""By the name of the claim, in the order of the claims."""
