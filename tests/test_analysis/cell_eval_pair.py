"""A small pair of datasets, and what cell-eval says of it.

`cell_eval.json` holds its answers, with the versions and the command that gave them. To remake it, in an environment
of its own: ``pip install cell-eval cell-eval2``, and from the root of the repository
``python -m tests.test_analysis.cell_eval_pair > tests/test_analysis/cell_eval.json``.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from importlib import metadata

import numpy as np

PERTURBATIONS = ("A", "B", "C", "D", "E")
FEATURES = ("A", "B", *(f"g{j}" for j in range(18)))  # two of them are targets
COMMAND = "python -m tests.test_analysis.cell_eval_pair"
EXPRESSION = ("pearson_delta", "mse", "mae", "discrimination_score_l1", "discrimination_score_cosine")
TABLES = ("de_direction_match", "overlap_at_N")


def expression_pair() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Measured and predicted log1p counts by condition, the same control in both.

    The prediction has half the effect of A, that of B with the wrong sign, another one for C, none for D, and E's.
    """
    rng = np.random.RandomState(0)  # the old generator, whose stream no version of numpy changes
    rate = 0.3 + 3 * rng.rand(len(FEATURES))
    effects = {name: 0.7 * rng.randn(len(FEATURES)) * (rng.rand(len(FEATURES)) < 0.5) for name in PERTURBATIONS}
    guesses = {"A": effects["A"] / 2, "B": -effects["B"], "C": 0.7 * rng.randn(len(FEATURES)), "D": 0 * rate}
    cells = lambda effect, n: np.log1p(rng.poisson(rate * np.exp(effect), size=(n, len(rate)))).astype(np.float32)  # noqa: E731
    control = cells(0.0, 150)
    measured = {name: cells(effect, 60) for name, effect in effects.items()}
    predicted = {name: cells(guesses.get(name, effect), 60) for name, effect in effects.items()}
    return {"ctrl": control, **measured}, {"ctrl": control, **predicted}


def cell_eval_scores() -> dict[str, dict[str, float]]:
    """Scores of cell-eval by metric and perturbation."""
    import cell_eval

    real, predicted = map(_anndata, expression_pair())
    with tempfile.TemporaryDirectory() as folder:
        evaluator = cell_eval.MetricsEvaluator(
            predicted, real, control_pert="ctrl", pert_col="target_gene", num_threads=1, outdir=folder
        )
        wanted = cell_eval.MetricPipeline(profile=None)
        wanted.add_metrics([*EXPRESSION, *TABLES])
        wanted.compute_de_metrics(evaluator.de_comparison)
        wanted.compute_anndata_metrics(evaluator.anndata_pair)
    return _by_metric(wanted.get_results().to_dicts())


def cell_eval2_scores() -> dict[str, dict[str, float]]:
    """Scores of cell-eval2 under the rules of cell-eval."""
    import cell_eval2

    real, predicted = map(_anndata, expression_pair())
    config = replace(
        cell_eval2.EvalConfig.from_preset("v1"), metrics=[*EXPRESSION, *TABLES], pert_col="target_gene", control="ctrl"
    )
    scores: dict[str, dict[str, float]] = {}
    for row in cell_eval2.compute_metrics(predicted, real, config=config).to_dicts():
        scores.setdefault(row["metric"], {})[row["perturbation"]] = row["value"]
    return scores


def _by_metric(rows: list[dict]) -> dict[str, dict[str, float]]:
    return {name: {row["perturbation"]: row[name] for row in rows} for name in (*EXPRESSION, *TABLES)}


def _anndata(cells: dict[str, np.ndarray]):
    import anndata
    import pandas as pd

    obs = pd.DataFrame({"target_gene": np.repeat(list(cells), [len(x) for x in cells.values()])})
    obs.index = obs.index.astype(str)
    return anndata.AnnData(np.vstack(list(cells.values())), obs=obs, var=pd.DataFrame(index=list(FEATURES)))


if __name__ == "__main__":
    versions = {name: metadata.version(name) for name in ("cell-eval", "cell-eval2", "pdex", "numpy", "scipy")}
    scores = {"cell-eval": cell_eval_scores(), "cell-eval2": cell_eval2_scores()}
    print(json.dumps({"command": COMMAND, "versions": versions, "scores": scores}, indent=1, sort_keys=True))
