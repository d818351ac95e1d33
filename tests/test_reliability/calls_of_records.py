"""Valid calls of public functions that make records, fit, sample and judge estimators."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from pdae_sim import (
    LabelSpace,
    PerturbationData,
    Truth,
    contexts,
    energy,
    estimation,
    io,
    labels,
    study,
)
from tests.test_reliability.examples import (
    FEW,
    Call,
    cells,
    counts,
    data,
    doses,
    in_two_contexts,
    model,
    noisy_model,
    pool,
    simulated,
    world,
)


def of_the_rest() -> dict[str, Call]:
    e, x = "energy.", torch.from_numpy(cells(9))
    y = torch.from_numpy(cells(9, seed=1))
    pair = {"x": cells(9), "y": cells(8, seed=1)}
    space = LabelSpace(("A", "B"))
    own = {
        "x": cells(4),
        "labels": [[0, 0], [1, 0]],
        "environment": [0, 1, 1, 0],
        "names": ("A", "B"),
        "held_out": [False, True],
    }
    arrays = {
        "x": cells(4),
        "labels": ["ctrl", "A"] * 2,
        "held_out": [False, True] * 2,
        "features": ("a", "b"),
        "control": "ctrl",
    }
    few = simulated().data.x[:5]
    return {
        e + "energy_distance": Call(energy.energy_distance, {**pair, "beta": 1.0, "unbiased": True}, (*pair,)),
        e + "energy_score": Call(
            energy.energy_score, {"samples": cells(9), "x": cells(8), "beta": 1.0}, ("samples", "x")
        ),
        e + "energy_loss": Call(energy.energy_loss, {"samples": x, "x": y, "beta": 1.0}, ("samples", "x")),
        e + "mean_distance": Call(energy.mean_distance, {"x": x, "y": y, "beta": 1.0}, ("x", "y")),
        e + "distance_sum": Call(energy.distance_sum, {"x": x, "y": y, "beta": 1.0}, ("x", "y")),
        e + "paired_distances": Call(energy.paired_distances, {"x": x, "y": y, "beta": 1.0}, ("x", "y")),
        e + "marginal_sums": Call(energy.marginal_sums, {"x": x, "y": y, "beta": 1.0}, ("x", "y")),
        "labels.LabelSpace": Call(LabelSpace, {"names": ("A", "B"), "control": "ctrl", "separator": "+"}),
        "labels.LabelSpace.vector": Call(space.vector, {"condition": "A:0.5+B"}),
        "labels.LabelSpace.condition": Call(space.condition, {"label": [1.0, 0.5]}, ("label",)),
        "labels.LabelSpace.label": Call(space.label, {"condition_or_label": [1.0, 0.5]}, ("condition_or_label",)),
        "labels.nearest_to_control": Call(labels.nearest_to_control, {"labels": np.eye(2)}, ("labels",)),
        "labels.read_dose": Call(labels.read_dose, {"text": "0.5", "where": "here"}),
        "data.PerturbationData": Call(PerturbationData, own, ("x", "labels")),
        "data.PerturbationData.from_arrays": Call(PerturbationData.from_arrays, arrays, ("x",)),
        "data.PerturbationData.select": Call(data().select, {"environments": [0, 1]}),
        "data.PerturbationData.rows": Call(data().rows, {"chosen": np.arange(200)}),
        "data.PerturbationData.samples": Call(data().samples, {"environment": 0}),
        "data.Truth": Call(
            Truth,
            {"z": cells(4), "z_base": cells(4), "perturbation_matrix": np.eye(2), "covariance": np.eye(2)},
            ("z",),
        ),
        "contexts.in_contexts": Call(
            contexts.in_contexts, {"data": data(), "covariates": [["a", "b"] * 100], "shared": 0}
        ),
        "contexts.by_context": Call(contexts.by_context, {"data": in_two_contexts()}),
        "contexts.context_levels": Call(contexts.context_levels, {"data": in_two_contexts()}),
        "contexts.own_effects": Call(contexts.own_effects, {"data": in_two_contexts()}),
        "contexts.share_effects": Call(contexts.share_effects, {"data": in_two_contexts()}),
        "contexts.sharing_contexts": Call(contexts.sharing_contexts, {"data": in_two_contexts()}),
        "io.to_anndata": Call(io.to_anndata, {"data": data()}),
        "io.from_anndata": Call(
            io.from_anndata, {"adata": data().to_anndata(), "condition": "condition", "control": "ctrl"}
        ),
        "PDAE.encode": Call(model().encode, {"x": few}, ("x",)),
        "PDAE.decode": Call(model().decode, {"z": cells(5)}, ("z",)),
        "PDAE.transport": Call(model().transport, {"x": few, "source": "ctrl", "target": "A", "rng": 0}, ("x",)),
        "PDAE.sample": Call(model().sample, {"condition": "A+B", "n": 5, "rng": 0, "source": "pool"}),
        "PDAE.sample under noise": Call(
            noisy_model().sample, {"condition": [1, 1, 0], "n": 5, "rng": 0}, ("condition",)
        ),
        "PDAE.encode under noise": Call(noisy_model().encode, {"x": few, "condition": "A", "draws": 2}, ("x",)),
        "PDAE.fit": Call(
            _fit,
            {
                "n_latents": 1,
                "observation": "noiseless",
                "steps": 1,
                "select": False,
                "beta": 1.0,
                "random_state": 0,
                "device": "cpu",
                "precision": "float32",
            },
        ),
        "estimation.Pool.sample": Call(pool().sample, {"label": "A:2", "n": 5, "rng": 0}),
        "estimation.Pool.fit": Call(estimation.Pool().fit, {"data": data()}),
        "estimation.Linear.fit": Call(estimation.Linear().fit, {"data": data()}),
        "estimation.random_encoder": Call(
            estimation.random_encoder, {"model": model(), "data": simulated().data, "rng": 0}
        ),
        "estimation.fitted_to": Call(estimation.fitted_to, {"model": model(), "data": simulated().data}),
        "estimation.remeasure": Call(
            estimation.remeasure, {"model": noisy_model(), "x": few, "condition": "A", "draws": 2, "rng": 0}, ("x",)
        ),
        "estimation.second_pdae": Call(
            estimation.second_pdae,
            {"model": model(), "move": [1.0, 0.0], "witness": [0.0, 0.0, 1.0], "test": "C"},
            ("move",),
        ),
        "estimation.Architecture": Call(
            estimation.Architecture, {"width": 8, "depth": 1, "activation": "silu", "skip": True}
        ),
        "estimation.Phase": Call(
            estimation.Phase,
            {"name": "a", "steps": 1, "weights": {"prior": 1.0}, "cells": 16, "learning_rate": 0.01, "clip": 1.0},
        ),
    }


def _fit(**settings: object) -> object:
    return estimation.PDAE(**settings).fit(doses()).perturbation_matrix_


def of_study() -> dict[str, Call]:
    s = "study."
    sides = ({"ctrl": cells(), "A": cells(seed=1)}, {"ctrl": cells(seed=2), "A": cells(seed=3) + 3})
    autoencoder = SimpleNamespace(
        encode=lambda x: x,
        decode=lambda z, rng: z,
        transport=lambda x, source, target, rng: x,
        perturbation_matrix_=np.zeros((2, 1)),
    )
    fresh = PerturbationData.from_arrays(cells(80), ["ctrl", "A"] * 40)
    rows = [
        {"condition": c, "estimator": name, "metric": "energy_distance", "value": value}
        for name, values in {"pdae": [0.1, 0.2, 0.4], "pool": [0.3, 0.3, 0.3]}.items()
        for c, value in zip("ABC", values, strict=True)
    ]
    judged = {"model": model(), "simulation": simulated(), "n": 30, "rng": 0}
    return {
        s + "evaluate": Call(
            study.evaluate,
            {"estimators": {"pool": pool()}, "data": data(), "metrics": ["mean_difference"], "n_samples": 30, "rng": 0},
        ),
        s + "worth_of": Call(
            study.worth_of, {"estimator": pool(), "data": data(), "condition": "A:2", "n_samples": 30, "rng": 0}
        ),
        s + "effect_cells": Call(
            study.effect_cells,
            {"estimators": {"pool": estimation.Pool().fit(counts())}, "data": counts(), "n_samples": 30, "rng": 0},
        ),
        s + "fitted_estimators": Call(
            study.fitted_estimators, {"model": model(), "data": simulated().data, "baselines": False}
        ),
        s + "check_fit": Call(
            study.check_fit, {"model": autoencoder, "fresh": fresh, "cells": 50, "max_cells": 30, "rng": 0}
        ),
        s + "check_observation": Call(
            study.check_observation,
            {"model": noisy_model(), "fresh": simulated().data.train, "max_cells": 30, "n_draws": 19, "rng": 0},
        ),
        s + "fit_samples": Call(study.fit_samples, {"model": autoencoder, "fresh": fresh, "max_cells": 30, "rng": 0}),
        s + "refuse_cells_of_fit": Call(
            study.refuse_cells_of_fit, {"model": autoencoder, "fresh": fresh, "fitted_on": simulated().data}
        ),
        s + "identify": Call(study.identify, judged),
        s + "fresh_cells": Call(study.fresh_cells, {name: judged[name] for name in ("simulation", "n", "rng")}),
        s + "identification_rows": Call(study.identification_rows, {**judged, "metrics": ["affine_r2"]}),
        s + "oracle_rows": Call(study.oracle_rows, {"simulation": simulated(), "metrics": ["gram_error"], "rng": 0}),
        s + "training_shifts": Call(study.training_shifts, {"data": data()}),
        s + "compare_models": Call(
            study.compare_models,
            {"samples": study.PairedSamples(*sides), "level": 0.05, "margin": 0.5, "n_permutations": FEW, "rng": 0},
        ),
        s + "find_counterexample": Call(
            study.find_counterexample, {"model": world(), "test": "C", "train": ["ctrl", "A"], "effect": 1.0, "rng": 0}
        ),
        s + "most_visible_move": Call(
            study.most_visible_move, {"model": world(), "label": "A", "size": 1.0, "rng": 0}, ("size",)
        ),
        s + "sample_pair": Call(
            study.sample_pair, {"first": world(), "second": world(), "conditions": ["ctrl", "A"], "n": 5, "rng": 0}
        ),
        s + "keep_fresh": Call(study.keep_fresh, {"data": data(), "share": 0.2, "rng": 0}),
        s + "choose_fresh": Call(study.choose_fresh, {"data": data(), "share": 0.2, "rng": 0}),
        s + "summarise": Call(study.summarise, {"rows": rows, "metric": "energy_distance"}),
        s + "median": Call(study.median, {"values": [1.0, 2.0, 4.0], "level": 0.9}),
        s + "Expectation.judge": Call(
            study.Expectation(that="it is", metric="n_eff", of={}, at_least=1.0).judge, {"rows": rows}
        ),
        s + "seeds_of": Call(study.seeds_of, {"task": {"seed": 3}}),
        s + "task_root": Call(study.task_root, {"task": {"seed": 3}}),
        s + "Declaration.parse": Call(
            study.Declaration.parse,
            {
                "table": {"name": "n", "question": "?", "claim": "none", "prediction": ".", "seeds": 2}
                | {"worlds": [{"base": "three-singles"}], "estimators": ["additive"]}
            },
        ),
    }
