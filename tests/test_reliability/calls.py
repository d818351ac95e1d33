"""A valid call of every public function, small enough to be tried with thousands of wrong arguments."""

from __future__ import annotations

from functools import cache

import numpy as np

from pdae_sim import (
    LinearLatentModel,
    Simulator,
    Truth,
    align,
    analysis,
    check_span,
    contexts,
    simulation,
)
from pdae_sim.analysis import hypothesis_tests as tests
from pdae_sim.analysis import identifiability
from pdae_sim.simulation import designs, mixings, observation
from tests.test_reliability.calls_of_records import of_study, of_the_rest
from tests.test_reliability.examples import (
    FEW,
    Call,
    cells,
    data,
    doses,
    in_two_contexts,
    world,
)


@cache
def calls() -> dict[str, Call]:
    """Calls by the public name of what is called."""
    return {
        **_of_analysis(),
        **_of_tests(),
        **_of_identifiability(),
        **_of_simulation(),
        **of_the_rest(),
        **of_study(),
    }


def _of_analysis() -> dict[str, Call]:
    train, W = [[0, 0], [1, 0], [0, 1]], [[1.0, 0.0], [0.0, 1.0]]
    estimate = analysis.energy_estimate(cells(), cells(seed=1) + 0.5)
    expression = analysis.DifferentialExpression(np.array([1.0, -3.0, 0.1]), np.array([0.01, 0.02, 0.6]))
    a = "analysis."
    pair = {"predicted": cells(), "reference": cells(seed=1)}
    effects = {"predicted": np.array([1.0, 2.0, 4.0]), "measured": np.array([2.0, 4.0, 7.0]), "baseline": np.zeros(3)}
    numbers = ("train_labels", "test_labels")
    return {
        a + "check_span": Call(
            check_span, {"train_labels": train, "test_labels": [[1, 1]], "counts": [9, 9, 9]}, numbers
        ),
        a + "judge": Call(
            analysis.judge,
            {"train_labels": train, "test_labels": [[1, 1]], "counts": [90, 90, 90], "perturbation_matrix": W}
            | {"min_effective_cells": 10.0, "information": np.eye(2)},
            (*numbers, "perturbation_matrix"),
        ),
        a + "supports": Call(
            analysis.supports,
            {"train_labels": train, "test_labels": [[1, 1]], "counts": [90, 90, 90], "perturbation_matrix": W}
            | {"level": 0.9},
            (*numbers, "perturbation_matrix"),
        ),
        a + "efficient_limit": Call(
            analysis.efficient_limit,
            {"train_labels": train, "counts": [90, 90, 90], "perturbation_matrix": W, "reference": 0, "degree": 2},
            ("train_labels", "perturbation_matrix"),
        ),
        a + "plan_experiments": Call(
            analysis.plan_experiments,
            {"train_labels": train[:2], "targets": [[1, 1]], "candidates": [[0, 1]], "counts": [9, 9], "cells": 9}
            | {"perturbation_matrix": W, "max_sets": 50, "reference": [0, 0]},
            ("train_labels", "targets", "perturbation_matrix"),
        ),
        a + "allocate_cells": Call(
            analysis.allocate_cells,
            {"coefficients": [0, 1], "reference": 0, "standard_error": 0.1, "existing": [150, 0]},
            ("coefficients", "standard_error"),
        ),
        a + "pooling_gain": Call(
            analysis.pooling_gain,
            {"means": [[0.0], [1.0]], "counts": [50, 50], "target": [2.0], "n_draws": 50, "rng": 0},
            ("means", "target"),
        ),
        a + "EnergyReference.of": Call(
            analysis.EnergyReference.of, {"reference": cells(), "beta": 1.0, "spectrum_rows": 30}, ("reference",)
        ),
        a + "energy_estimate": Call(analysis.energy_estimate, {**pair, "beta": 1.0, "spectrum_rows": 30}, (*pair,)),
        a + "worth": Call(analysis.worth, {"estimate": estimate}),
        a + "mmd": Call(analysis.mmd, {**pair, "n_bandwidths": 2}, (*pair,)),
        a + "mean_difference": Call(analysis.mean_difference, pair, (*pair,)),
        a + "mean_r2": Call(analysis.mean_r2, pair, (*pair,)),
        a + "pearson_delta": Call(analysis.pearson_delta, effects, (*effects,)),
        a + "direction_match": Call(analysis.direction_match, {"predicted": expression, "measured": expression}),
        a + "overlap_at_n": Call(analysis.overlap_at_n, {"predicted": expression, "measured": expression}),
        a + "discrimination_score": Call(
            analysis.discrimination_score,
            {
                "effect": np.array([1.0, 2.0]),
                "effects": np.array([[1.0, 2.0], [3.0, 1.0]]),
                "index": 0,
                "distance": "l1",
            },
            ("effect", "effects"),
        ),
        a + "ControlCells": Call(analysis.ControlCells, {"x": cells(), "log1p": False}, ("x",)),
        a + "DifferentialExpression": Call(
            analysis.DifferentialExpression, {"change": np.array([1.0, 2.0]), "fdr": np.array([0.1, 0.2])}, ("change",)
        ),
        a + "environment_geometry": Call(
            analysis.environment_geometry, {"data": data(), "n_multipliers": 99, "rng": 0}
        ),
        a + "log_scale": Call(analysis.log_scale, {"unit": 1.0}, ("unit",)),
        a + "hill_scale": Call(analysis.hill_scale, {"half": 1.0, "power": 1.0}, ("half",)),
        a + "learn_dose_scale": Call(analysis.learn_dose_scale, {"data": doses(), "name": "A", "rng": 0}),
        a + "scale_doses": Call(analysis.scale_doses, {"data": doses(), "scales": {"A": analysis.log_scale(1.0)}}),
        a + "ShiftError.of": Call(
            analysis.ShiftError.of, {"train_labels": train, "counts": [90, 90, 90]}, ("train_labels",)
        ),
    }


def _of_tests() -> dict[str, Call]:
    x, y = cells(), cells(seed=1)
    samples = {"A": x, "B": y, "ctrl": cells(seed=2)}
    h = "analysis.hypothesis_tests."
    seeded = {"n_permutations": FEW, "rng": 0}
    by_part = [
        dict(zip(("ctrl", "A"), part, strict=True))
        for part in np.random.default_rng(0).normal(size=(2, 5, 20, 1)).swapaxes(0, 1)
    ]
    fit = tests.FitSamples(*by_part[:3], {"ctrl": by_part[2]["ctrl"]}, *by_part[3:])
    return {
        h + "energy_test": Call(tests.energy_test, {"x": x, "y": y, "beta": 1.0, **seeded}, ("x", "y")),
        h + "mmd_test": Call(tests.mmd_test, {"x": x, "y": y, "n_bandwidths": 2, **seeded}, ("x", "y")),
        h + "two_sample_tests": Call(
            tests.two_sample_tests, {"predicted": {"A": x}, "observed": {"A": y}, "kind": "energy", **seeded}
        ),
        h + "equivalence_test": Call(
            tests.equivalence_test, {"x": x, "y": y, "margin": 0.5, "beta": 1.0}, ("x", "y", "margin")
        ),
        h + "common_law_test": Call(tests.common_law_test, {"samples": samples, **seeded}),
        h + "spread_tests": Call(tests.spread_tests, {"samples": samples, **seeded}),
        h + "equal_spread": Call(tests.equal_spread, {"samples": samples}),
        h + "normal_law_test": Call(tests.normal_law_test, {"x": x, "n_resamples": FEW, "rng": 0}, ("x",)),
        h + "energy_to_normal": Call(tests.energy_to_normal, {"x": x}, ("x",)),
        h + "disjoint_halves": Call(tests.disjoint_halves, {"x": x, "rng": 0}, ("x",)),
        h + "refuse_shared_rows": Call(tests.refuse_shared_rows, {"x": x, "y": y}, ("x", "y")),
        h + "adjust_p_values": Call(tests.adjust_p_values, {"p_values": {"A": 0.01, "B": 0.04}}),
        h + "additive_relations": Call(tests.additive_relations, {"data": data()}),
        h + "additivity_test": Call(
            tests.additivity_test, {"data": data(), "target": "A+B", "n_multipliers": FEW, "n_folds": 2, "rng": 0}
        ),
        h + "additivity_tests": Call(
            tests.additivity_tests, {"data": data(), "targets": ["A+B"], "n_multipliers": FEW, "n_folds": 2, "rng": 0}
        ),
        h + "shared_effects_test": Call(
            tests.shared_effects_test,
            {"data": contexts.by_context(in_two_contexts()), "max_pairs": 3, "n_multipliers": 99, "rng": 0},
        ),
        h + "goodness_of_fit": Call(tests.goodness_of_fit, {"samples": fit, "cells": 50, "n_resamples": FEW, "rng": 0}),
        h + "observation_fit": Call(
            tests.observation_fit,
            {
                "observed": x,
                "measurements": np.stack([cells(seed=s) for s in range(2, 22)]),
                "features": ("a", "b"),
                "rng": 0,
            },
            ("observed",),
        ),
    }


def _of_identifiability() -> dict[str, Call]:
    i = "analysis.identifiability."
    z = cells(60)
    pair = {"estimate": z @ np.array([[0.6, 0.8], [-0.8, 0.6]]) + 0.1 * cells(60, seed=3), "truth": z}
    W = np.array([[1.0, 0.5], [0.0, 2.0]])
    truth = Truth(z + (np.eye(2)[np.arange(60) % 2] @ W.T), z, W, np.eye(2))
    latents = identifiability.LatentEstimate(truth.z, truth.z_base, W)
    maps = identifiability.fit_nested_maps(pair["estimate"], pair["truth"], rng=0)
    return {
        i + "align": Call(align, pair, (*pair,)),
        i + "alignment_intervals": Call(identifiability.alignment_intervals, {**pair, "rng": 0}, (*pair,)),
        i + "fit_nested_maps": Call(identifiability.fit_nested_maps, {**pair, "rng": 0}, (*pair,)),
        i + "classify_identifiability": Call(
            identifiability.classify_identifiability, {"maps": maps, "tolerance": 0.1, "rng": 0}
        ),
        i + "effect_angles": Call(identifiability.effect_angles, {"shifts": W}, ("shifts",)),
        i + "estimate_effects": Call(
            identifiability.estimate_effects,
            {"z": z + np.repeat([[0, 0], [1, 0], [0, 1]], 20, axis=0), "environment": np.repeat([0, 1, 2], 20)}
            | {"reference": 0, "information": np.eye(2)},
            ("z",),
        ),
        i + "gram_error": Call(
            identifiability.gram_error, {"estimate": W[::-1], "truth": W, "shifts": np.eye(2)}, ("estimate", "truth")
        ),
        i + "gram_matrix": Call(identifiability.gram_matrix, {"W": W, "shifts": np.eye(2)}, ("W",)),
        i + "joint_procrustes": Call(
            identifiability.joint_procrustes, {"estimate": latents, "truth": truth, "shifts": np.eye(2)}
        ),
        i + "least_squares_maps": Call(
            identifiability.least_squares_maps,
            {"Z_hat": pair["estimate"], "Z": z, "rng": np.random.default_rng(0)},
            ("Z_hat", "Z"),
        ),
        i + "r2": Call(identifiability.r2, {"fitted": z, "Z": z - z.mean(0)}, ("fitted", "Z")),
        i + "LatentEstimate": Call(
            identifiability.LatentEstimate, {"z": z, "z_base": z, "perturbation_matrix": W}, ("z", "z_base")
        ),
    }


def _of_simulation() -> dict[str, Call]:
    s, m, o = "simulation.", "simulation.mixings.", "simulation.observation."
    d = "simulation.designs."
    clean = world().mixing(cells(50, 2))
    return {
        s + "LinearLatentModel": Call(
            LinearLatentModel,
            {"adjacency": [[0, 0], [0.5, 0]], "noise_variances": [1.0, 2.0], "targets": [[1, 0], [0, 1]]},
            ("adjacency", "noise_variances", "targets"),
        ),
        s + "LinearLatentModel.random": Call(
            LinearLatentModel.random, {"n_latents": 2, "n_perturbations": 3, "graph": "erdos_renyi", "rng": 0}
        ),
        s + "Simulator.random": Call(Simulator.random, {"latent": world().latent, "n_observed": 3, "rng": 0}),
        s + "Simulator.sample": Call(world().sample, {"labels": ["ctrl", "A"], "n": 5, "rng": 0}),
        s + "Simulator.encode": Call(world().encode, {"x": clean}, ("x",)),
        s + "random_dag": Call(simulation.random_dag, {"kind": "erdos_renyi", "n_nodes": 4, "degree": 2.0, "rng": 0}),
        s + "second_simulator": Call(
            simulation.second_simulator,
            {"simulator": world(), "move": [1, 0], "witness": [0, 1, 0], "train": ["ctrl", "A"], "test": "A+B"},
            ("move",),
        ),
        s + "world": Call(simulation.world, {"name": "demo", "overrides": ("design.cells=9",), "seed": 1}),
        s + "Bimodal": Call(simulation.Bimodal, {"separation": 0.9}, ("separation",)),
        s + "StudentT": Call(simulation.StudentT, {"df": 5.0}, ("df",)),
        s + "Skewed": Call(simulation.Skewed, {"shape": 2.0}, ("shape",)),
        s + "Do": Call(simulation.Do, {"values": [[1.0, 0.0], [0.0, 1.0]], "noise": 0.0}),
        s + "Epistasis": Call(simulation.Epistasis, {"terms": np.zeros((3, 3, 2))}),
        s + "MechanismChange": Call(simulation.MechanismChange, {"rate": np.eye(2)}),
        s + "Saturation": Call(simulation.Saturation, {"half": 1.0}),
        s + "VarianceIntervention": Call(simulation.VarianceIntervention, {"log_ratio": np.eye(2)}),
        d + "all_doubles": Call(designs.all_doubles, {"n_perturbations": 3, "n_held_out": 1, "rng": 0}),
        d + "cell_counts": Call(
            designs.cell_counts,
            {"n_environments": 3, "total": 90, "control_excess": 2.0, "spread": 0.5, "least": 1, "rng": 0},
        ),
        d + "dose_grid": Call(designs.dose_grid, {"n_perturbations": 2, "levels": [1, 2]}, ("levels",)),
        d + "one_factor_at_a_time": Call(designs.one_factor_at_a_time, {"n_perturbations": 2, "levels": [1, 2]}),
        d + "planted": Call(
            designs.planted, {"n_perturbations": 3, "n_environments": 3, "rank": 2, "n_in_span": 1, "rng": 0}
        ),
        d + "random_doses": Call(
            designs.random_doses,
            {"n_perturbations": 3, "n_environments": 4, "n_test": 1, "per_environment": 2, "low": 0.25, "high": 2.0}
            | {"step": 0.125, "rng": 0},
        ),
        d + "singles": Call(designs.singles, {"n_perturbations": 2}),
        d + "singles_and_doubles": Call(
            designs.singles_and_doubles, {"n_perturbations": 3, "n_doubles": 2, "n_held_out": 1, "rng": 0}
        ),
        d + "Design": Call(designs.Design, {"train": [[0, 0], [1, 0]], "test": [[0, 1]]}),
        m + "condition_numbers": Call(mixings.condition_numbers, {"mixing": world().mixing, "z": cells(9, 2)}, ("z",)),
        m + "linear_r2": Call(mixings.linear_r2, {"mixing": world().mixing, "z": cells(30, 2)}, ("z",)),
        m + "random_mixing": Call(
            mixings.random_mixing, {"n_latents": 2, "n_observed": 3, "rng": 0, "kind": "stack", "embedding": "linear"}
        ),
        m + "reference_latents": Call(
            mixings.reference_latents, {"n_latents": 2, "n": 16, "covariance": np.eye(2)}, ("covariance",)
        ),
        m + "Affine": Call(mixings.Affine, {"matrix": np.eye(2), "bias": np.zeros(2)}, ("matrix",)),
        o + "GaussianNoise": Call(observation.GaussianNoise, {"scale": 0.5}, ("scale",)),
        o + "Dropout": Call(observation.Dropout, {"rate": 0.1}, ("rate",)),
        o + "random_observation": Call(
            observation.random_observation, {"kind": "gaussian", "clean": clean, "rng": 0, "snr": 9.0}, ("clean", "snr")
        ),
    }
