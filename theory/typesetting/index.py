"""Where each claim is tested and shown, and what working on it corrected: the one table that no record can know."""

from dataclasses import dataclass

_THEORY, _SIMULATION = "tests/test_theory/", "tests/test_simulation/"
_ANALYSIS, _ESTIMATION, _STUDY = "tests/test_analysis/", "tests/test_estimation/", "tests/test_study/"
_STUDIES, _DECLARED, _BENCHMARKS = "experiments/studies/", "experiments/declarations/", "experiments/benchmarks/"
_DIVERSITY, _EXTRAPOLATION, _SAMPLE_SIZE = (f"{_STUDIES}{n}.py" for n in ("diversity", "extrapolation", "sample_size"))


@dataclass(frozen=True)
class Entry:
    """What stands outside the record of a claim.

    Attributes:
        tests: files that test the library against it, from the root of the repository.
        shown: studies and benchmarks that show it; none where no experiment bears on it.
        corrected: what the chapter changes in the claim as it was first stated; empty if nothing.
    """

    tests: tuple[str, ...]
    shown: tuple[str, ...] = ()
    corrected: str = ""


def _declared(*names: str) -> tuple[str, ...]:
    return tuple(f"{_DECLARED}{name}.toml" for name in names)


def _benchmarks(*names: str) -> tuple[str, ...]:
    return tuple(f"{_BENCHMARKS}{name}.py" for name in names)


INDEX: dict[str, Entry] = {
    "latent_causal": Entry((f"{_SIMULATION}test_latent.py", f"{_SIMULATION}test_oracles.py")),
    "graphs": Entry(
        (f"{_THEORY}test_graphs.py",),
        _declared("graphs"),
        "Stronger than first stated: the rival has the same noises and the same targets, not only the same W and Σ"
        " after whitening, so knowing the targets, the causal order or the noise variances does not help.",
    ),
    "graph_targets": Entry(
        (f"{_THEORY}test_graphs.py",),
        (),
        "Added: what does give the graph. Of the mixing the scale of each latent may stay unknown, of the targets which"
        " perturbation hits which latent.",
    ),
    "density_ratio": Entry(
        (f"{_SIMULATION}test_oracles.py", f"{_THEORY}test_classifier.py"),
        (_SAMPLE_SIZE, *_declared("noise", "violations")),
        "The constant is written out.",
    ),
    "affine": Entry(
        (f"{_ANALYSIS}test_alignment.py", f"{_THEORY}test_affine.py"),
        _declared("violations"),
        "No smoothness is needed: f injective and almost every latent suffice. One covariance in all environments is:"
        " variances that change can break it although the mean shifts span the latent space.",
    ),
    "jacobian": Entry(
        (f"{_SIMULATION}test_mixings_densities.py", f"{_THEORY}test_affine.py"),
        (),
        "Both mixings must have one image; the observed dimension may exceed the latent one.",
    ),
    "orthogonal": Entry(
        (
            f"{_ANALYSIS}test_alignment.py",
            f"{_STUDY}test_identifiability_report.py",
            f"{_THEORY}test_affine.py",
        ),
        (_DIVERSITY, *_declared("graphs", "wrong_dimension"), *_benchmarks("accuracy")),
        "As 2.2, for injective f without smoothness.",
    ),
    "extrapolation": Entry(
        (f"{_ANALYSIS}test_span.py", f"{_ANALYSIS}test_span_families.py", f"{_THEORY}test_oracles.py"),
        (
            _EXTRAPOLATION,
            *_declared("doses", "norman_like", "real_table", "violations"),
            *_benchmarks("accuracy", "rivals"),
        ),
        "Isotropy and diversity are needed by the road through 2.3 and not by the conclusion: the rivals that they"
        " exclude predict the same.",
    ),
    "gram_matrix": Entry(
        (f"{_ANALYSIS}test_alignment.py", f"{_THEORY}test_gram_matrix.py"),
        (
            _DIVERSITY,
            _SAMPLE_SIZE,
            *_declared("dimension_scaling", "graphs", "noise", "presets", "wrong_dimension"),
            *_benchmarks("accuracy", "engine"),
        ),
        "Less is needed than 2.3, under which it was stated: no diversity, no smoothness, no equal number of latents."
        " The entries of W are not identified, not even their signs; with Σ unknown only the Gram matrix in the"
        " metric Σ⁻¹ is.",
    ),
    "converse": Entry(
        (f"{_STUDY}test_counterexample.py", f"{_ANALYSIS}test_span.py", f"{_THEORY}test_oracles.py"),
        (_EXTRAPOLATION,),
        "For a reference l₀ other than zero the second mixing must move along, f′(z) = f(z − u vᵀ l₀); and that the"
        " law of x moves, not only the latent mean, needs f injective.",
    ),
    "product_formula": Entry(
        (
            f"{_ANALYSIS}test_additivity.py",
            f"{_ESTIMATION}test_baselines.py",
            f"{_THEORY}test_product_formula.py",
        ),
        (
            _DIVERSITY,
            _SAMPLE_SIZE,
            *_declared(
                "design",
                "dimension_scaling",
                "noise",
                "norman_like",
                "presets",
                "real_table",
                "violations",
                "wrong_dimension",
            ),
        ),
        "The normalising constant is not free but known from the Gram matrix. The formula holds in wider classes too,"
        " so a test that passes vouches for combinations, not for shifts or a Gaussian base.",
    ),
    "disjoint_mechanisms": Entry(
        (f"{_THEORY}test_product_formula.py",),
        (),
        "Added: the limit of what a test of 2.7 can say. The two are told apart by the constant.",
    ),
    "diversity": Entry(
        (f"{_THEORY}test_diversity.py",),
        (_DIVERSITY, *_declared("dimension_scaling")),
        "Differentiability is not needed, but continuity and one common image are: with different images h may jump."
        " d_Z − 1 suffices for 2.2 as well.",
    ),
    "diversity_tight": Entry(
        (f"{_THEORY}test_diversity.py",),
        (_DIVERSITY,),
        "The angle may be any smooth function of the seen coordinates and of the radius, for every d_Z from 2 on;"
        " predictions inside the span survive.",
    ),
    "support": Entry(
        (f"{_ANALYSIS}test_verdicts.py", f"{_THEORY}test_support.py"),
        (
            _EXTRAPOLATION,
            _SAMPLE_SIZE,
            *_declared("design", "doses", "norman_like"),
            *_benchmarks("verdicts"),
        ),
        "Pooled environments are worth no less than the sum of their worths, and between them far more, so that the sum"
        " is cautious. With noise, or an f that is not injective, it is a lower bound still.",
    ),
    "support_inside": Entry(
        (f"{_ANALYSIS}test_verdicts.py", f"{_THEORY}test_support.py"),
        (_EXTRAPOLATION, *_benchmarks("verdicts")),
        "The distances need an isotropic base to be identified, and no diversity.",
    ),
    "support_outside": Entry(
        (f"{_ANALYSIS}test_verdicts.py", f"{_THEORY}test_support.py"),
        (_EXTRAPOLATION,),
        "Why there are three verdicts and not four: outside the span a label lies wherever one likes.",
    ),
    "noise_gain": Entry(
        (
            f"{_ANALYSIS}test_span_strength.py",
            f"{_ANALYSIS}test_design.py",
            f"{_THEORY}test_noise_gain.py",
        ),
        _declared("design"),
        "The coefficients of least norm are not the quietest: with doses 1 and 2 measured and 3 wanted they have gain"
        " 61/25, generalised least squares 7/3.",
    ),
    "efficient": Entry(
        (f"{_THEORY}test_noise_gain.py",),
        _declared("design"),
        "Added: the lower bound for every unbiased estimator. It supposes the origin of the latents unknown, as it is"
        " where f is; were 𝔼 z_base = 0 known, A + B would have 2/n and not 3/n.",
    ),
    "efficiency": Entry(
        (f"{_THEORY}test_noise_gain.py",),
        (_SAMPLE_SIZE,),
        "Added: the most cells that a prediction can be worth. For f that is not affine the constant is another.",
    ),
    "energy": Entry(("tests/test_energy.py", f"{_THEORY}test_energy.py"), _benchmarks("energy", "power")),
    "energy_maps": Entry(
        ("tests/test_energy.py", f"{_THEORY}test_energy.py"),
        (),
        "Added: similarities are the only maps that keep energy distances in proportion.",
    ),
    "energy_worth": Entry(
        (f"{_ANALYSIS}test_worth.py", "tests/test_energy.py", f"{_THEORY}test_energy.py"), _benchmarks("worth")
    ),
    "energy_gaussian": Entry(("tests/test_energy.py", f"{_THEORY}test_energy.py"), _benchmarks("worth")),
    "loss": Entry(
        (f"{_ESTIMATION}test_losses.py", f"{_THEORY}test_loss.py"),
        (*_declared("presets"), *_benchmarks("step")),
        "The loss as published is not least at the equivalent models: pairs of a cell with its own reconstruction and a"
        " penalty on W̃ each tilt it at the truth. Without the prior term the rivals are not even affine.",
    ),
    "loss_within": Entry(
        (f"{_ESTIMATION}test_losses.py", f"{_THEORY}test_loss.py"),
        (),
        "Pairs within environments suffice if the prior is taken by environment; pooled it lets W̃ = 0 pass.",
    ),
    "classifier": Entry(
        (f"{_ESTIMATION}test_losses.py", f"{_THEORY}test_classifier.py"), (_SAMPLE_SIZE, *_declared("presets"))
    ),
    "classifier_form": Entry(
        (f"{_ESTIMATION}test_losses.py", f"{_THEORY}test_classifier.py"),
        (_SAMPLE_SIZE, *_declared("presets")),
        "The classifier leaves g and W̃ free to turn against each other, even with the intercepts that a Gaussian base"
        " has; base latents of covariance I make the two agree.",
    ),
    "loss_batches": Entry(
        (f"{_ESTIMATION}test_losses.py", f"{_THEORY}test_loss.py"),
        _benchmarks("step"),
        "Averaged over all distinct pairs alike, a batch with as many cells of each environment gives own sources too"
        " little weight, and the loss a slope at the truth.",
    ),
}
"""By the name of the claim, in the order of the claims."""
