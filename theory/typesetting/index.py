"""Tests and experiments of each claim: the one table that no record can know."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Places:
    """Files outside theory that bear on a claim, each by its name in its folder, apart by spaces.

    Attributes:
        in_tests: tests of the library against it: folder and module without `test_`.
        studies, declarations, benchmarks: experiments that show it; none where no experiment bears on it.
    """

    in_tests: str
    studies: str = ""
    declarations: str = ""
    benchmarks: str = ""

    @property
    def tests(self) -> tuple[str, ...]:
        """Paths of the tests from the root of the repository."""
        split = (place.rpartition("/") for place in self.in_tests.split())
        return tuple(f"tests/{f'test_{room}/' if room else ''}test_{module}.py" for room, _, module in split)

    @property
    def shown(self) -> tuple[str, ...]:
        """Paths of the experiments from the root of the repository."""
        kinds = (("studies", self.studies), ("declarations", self.declarations), ("benchmarks", self.benchmarks))
        return tuple(
            f"experiments/{kind}/{name}.{'toml' if kind == 'declarations' else 'py'}"
            for kind, names in kinds
            for name in names.split()
        )


INDEX: dict[str, Places] = {
    "latent_causal": Places("simulation/latent simulation/oracles"),
    "graphs": Places("theory/graphs", declarations="graphs"),
    "graph_targets": Places("theory/graphs"),
    "co_targets": Places("theory/new_claims"),
    "density_ratio": Places(
        "simulation/oracles theory/classifier", studies="sample_size", declarations="noise violations"
    ),
    "affine": Places("analysis/alignment theory/affine", declarations="violations"),
    "jacobian": Places("simulation/mixings_densities theory/affine"),
    "orthogonal": Places(
        "analysis/alignment study/identification theory/affine",
        studies="diversity",
        declarations="graphs wrong_dimension",
        benchmarks="accuracy",
    ),
    "extrapolation": Places(
        "analysis/span analysis/span_families theory/oracles",
        studies="extrapolation",
        declarations="doses norman_like real_table violations",
        benchmarks="accuracy rivals",
    ),
    "error_propagation": Places("theory/new_claims"),
    "gram_matrix": Places(
        "analysis/alignment theory/gram_matrix",
        studies="diversity sample_size",
        declarations="dimension_scaling graphs noise presets wrong_dimension",
        benchmarks="accuracy engine",
    ),
    "gram_law": Places("theory/new_claims", benchmarks="accuracy"),
    "converse": Places(
        "study/counterexample simulation/counterexample estimation/counterexample analysis/span theory/oracles",
        studies="extrapolation",
    ),
    "product_formula": Places(
        "analysis/additivity estimation/baselines theory/product_formula",
        studies="diversity sample_size",
        declarations="design dimension_scaling noise norman_like presets real_table violations wrong_dimension",
    ),
    "disjoint_mechanisms": Places("theory/product_formula"),
    "escaping": Places("theory/new_claims"),
    "only_gaussian": Places("theory/limits"),
    "diversity": Places("theory/diversity", studies="diversity", declarations="dimension_scaling"),
    "diversity_tight": Places("theory/diversity", studies="diversity"),
    "support": Places(
        "analysis/support analysis/verdict theory/support",
        studies="extrapolation sample_size",
        declarations="design doses norman_like",
        benchmarks="verdicts",
    ),
    "support_inside": Places(
        "analysis/support analysis/verdict theory/support", studies="extrapolation", benchmarks="verdicts"
    ),
    "support_outside": Places("analysis/support analysis/verdict theory/support", studies="extrapolation"),
    "noise_gain": Places("analysis/span_strength analysis/design theory/noise_gain", declarations="design"),
    "efficient": Places("theory/noise_gain", declarations="design"),
    "efficiency": Places("theory/noise_gain", studies="sample_size"),
    "minimax": Places("theory/new_claims"),
    "unknown_mixing": Places("theory/limits"),
    "unknown_fields": Places("analysis/efficiency theory/limits", declarations="graphs", benchmarks="limits"),
    "known_noise": Places("estimation/posterior theory/known_noise", declarations="noise", benchmarks="noise rivals"),
    "noise_level": Places("theory/known_noise", declarations="noise"),
    "free_noise": Places("theory/known_noise"),
    "growing_noise": Places("theory/known_noise", declarations="noise"),
    "entry_loss": Places("theory/known_noise"),
    "poisson_counts": Places("estimation/likelihoods theory/counts", declarations="noise", benchmarks="noise rivals"),
    "dispersed_counts": Places("theory/counts"),
    "depth": Places("theory/counts"),
    "posterior_variance": Places("theory/posterior_variance", declarations="noise violations"),
    "noisy_gain": Places("theory/posterior_variance"),
    "affinity": Places("analysis/shared_effects theory/limits"),
    "lower_limits": Places("theory/limits"),
    "no_upper_limit": Places("theory/limits"),
    "lifted_labels": Places("theory/new_claims"),
    "bounds": Places("theory/limits"),
    "contexts": Places("analysis/shared_effects theory/contexts"),
    "changing_spread": Places("analysis/latent_law theory/new_claims", declarations="violations"),
    "energy": Places("energy theory/energy", benchmarks="energy power"),
    "energy_maps": Places("energy theory/energy"),
    "energy_worth": Places("analysis/prediction_error energy theory/energy", benchmarks="worth"),
    "energy_gaussian": Places("energy theory/energy", benchmarks="worth"),
    "loss": Places("estimation/losses theory/loss", declarations="presets", benchmarks="step"),
    "loss_within": Places("estimation/losses theory/loss"),
    "classifier": Places("estimation/losses theory/classifier", studies="sample_size", declarations="presets"),
    "classifier_form": Places("estimation/losses theory/classifier", studies="sample_size", declarations="presets"),
    "loss_batches": Places("estimation/losses theory/loss", benchmarks="step"),
}
"""By the name of the claim, in the order of the claims."""
