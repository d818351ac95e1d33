"""The studies: question, claim and prediction declared; verdicts that follow the numbers; figures, pages, index."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape

from experiments.__main__ import REGISTRY, main
from experiments.studies import STUDIES, diversity, extrapolation, sample_size
from pdae_sim import _files as files
from pdae_sim import _random
from pdae_sim.analysis.identifiability.alignment import align
from pdae_sim.errors import InputError
from pdae_sim.report import render_page, study_index, study_page
from pdae_sim.report._study_index import _read_rows
from pdae_sim.simulation.config import WorldConfig
from pdae_sim.study.medians import NO_INTERVAL, median
from pdae_sim.verdicts import NOT_IDENTIFIED, SUPPORTED

RESULTS = Path(__file__).parents[2] / "experiments" / "results"
WORLDS = range(6)


def row(estimator: str, metric: str, value: float, **columns) -> dict:
    blank = {"condition": None, "verdict": None, "low": value, "high": value, "status": "ok", "error": None}
    return blank | {"estimator": estimator, "metric": metric, "value": value} | columns


def planted_extrapolation(*, far: float = 1.0, blind: float = 20.0, linear: float = 3.0) -> list[dict]:
    """Rows as predicted; `far` is the energy distance of pdae far off, `blind` what it is worth out of the span."""
    rows = []
    for seed in WORLDS:
        for distance in (0.5, 1.5, 4.0):
            for place, name in (("A+B", SUPPORTED), ("A+C", NOT_IDENTIFIED)):
                about = {"seed": seed, "distance": distance, "verdict": name, "condition": f"{place}:{distance:g}"}
                seen = place == "A+B"
                near = 0.01 if distance < extrapolation.NEAR else far
                rows += [
                    row("pdae", "energy_distance", near if seen else 2.0, **about),
                    row("pdae", "n_eff", (5.0 / near) if seen else blind, **about),
                    row("linear", "energy_distance", 1.5, **about),
                    row("linear", "n_eff", linear if seen else 3.0, **about),
                    row("ceiling", "energy_distance", 0.001, **about),
                    row("ceiling", "n_eff", 900.0, **about),
                ]
    return rows


def planted_diversity(*, third: float = 0.95, gram: float = 1.5, double: int = 2) -> list[dict]:
    """Rows as predicted; `third` is R² at rank 2, `gram` the ratio to the oracle, A+B is known from `double` shifts."""
    rows = []
    for seed in WORLDS:
        for m in diversity.SHIFTS:
            about = {"seed": seed, "shifts": m, "rank": min(m, 3)}
            r2 = {0: 0.6, 1: 0.8, 2: third}.get(m, 0.98)
            rows += [row("energy", metric, r2, **about) for metric in ("affine_r2", "orthogonal_r2")]
            rows += [row("moments", "affine_r2", 0.85 if m == 2 else r2, **about)]
            rows += [row("energy", "twisted_r2", 0.3, **about)] if m < 2 else []
            if m:
                rows += [row("energy", "gram_error", 0.04 * gram, **about), row("oracle", "gram_error", 0.04, **about)]
            for label, first in ((diversity.DOSE, 1), (diversity.DOUBLE, double)):
                worth = 300.0 if m >= first else 2.0
                rows.append(row("energy", "n_eff", worth, condition=label, **about))
                rows.append(row("energy", "energy_distance", 2 / worth, condition=label, **about))
    return rows


def planted_sample_size(*, rate: float = -0.5, worth: float = 1.0) -> list[dict]:
    """Rows as predicted; the learnt Gram error falls as n to the `rate`, its worth grows as n to the `worth`."""
    rows = []
    for seed in WORLDS:
        for n in sample_size.CELLS:
            about = {"seed": seed, sample_size.SIZE: n}
            cells = 0.1 * 250 * (n / 250) ** worth * (1 + 0.01 * seed)
            rows += [
                row("oracle", "gram_error", 3.0 * n**-0.5, **about),
                row("tilting", "gram_error", 4.0 * 250**-0.5 * (n / 250) ** rate, **about),
                row("tilting", "orthogonal_r2", 1 - 5 / n, **about),
                row("tilting", "energy_distance", 4 / cells, condition=sample_size.LABEL, **about),
                row("tilting", "n_eff", cells, condition=sample_size.LABEL, **about),
            ]
    return rows


PLANTED = {
    "extrapolation": planted_extrapolation,
    "diversity": planted_diversity,
    "sample_size": planted_sample_size,
}
PANELS = {"extrapolation": 2, "diversity": 3, "sample_size": 2}
ONE_FAST = [pytest.param(name, marks=[pytest.mark.slow] * (name != "diversity")) for name in STUDIES]
"""The studies, of which one stands for all in a quick run."""


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_states_question_claim_and_prediction_before_it_runs(name):
    module = STUDIES[name]
    for study in (module.study(), module.study(**module.SMOKE)):
        assert study.name == name
        assert study.question.endswith("?")
        assert study.claim[0] == "2"
        assert len(study.prediction) > 100
        assert str(len({task["seed"] for task in study.tasks})) in module.setting(study)
    assert len(module.study().tasks) > len(module.study(**module.SMOKE).tasks)


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_enough_worlds_for_an_interval(name):
    seeds = {task["seed"] for task in STUDIES[name].study().tasks}
    assert median(list(seeds)).interval != NO_INTERVAL


@pytest.mark.parametrize("name", STUDIES)
def test_rows_as_predicted_are_met_in_all_parts(name):
    first, *parts = STUDIES[name].findings(PLANTED[name]())
    assert first == f"The prediction was met in all its {len(parts)} parts."
    assert all(part.startswith("Met: ") for part in parts)


@pytest.mark.parametrize(
    ("name", "changes", "missed"),
    [
        ("extrapolation", {"far": 0.001}, "in span and further away PDAE degrades"),
        ("extrapolation", {"linear": 200.0}, "in span the additive baselines are off"),
        ("extrapolation", {"blind": 200.0}, "out of span no estimator is good"),
        ("diversity", {"third": 0.6}, "at rank 2 the energy prior adds"),
        ("diversity", {"gram": 5.0}, "the Gram error is near the oracle's"),
        ("diversity", {"double": 1}, "A+B is predicted well from 2 shifts on and not before"),
        ("sample_size", {"rate": -0.2}, "the learnt Gram error falls as n to the −½"),
        ("sample_size", {"worth": 0.5}, "the worth of the tilted prediction grows as n"),
    ],
)
def test_rows_against_the_prediction_are_not_met_and_the_verdict_names_the_part(name, changes, missed):
    first, *parts = STUDIES[name].findings(PLANTED[name](**changes))
    assert missed in first
    assert "Not met: " in first
    assert any(part.startswith(f"Not met: {missed}") for part in parts)


@pytest.mark.parametrize("name", STUDIES)
def test_what_was_not_measured_is_neither_met_nor_not(name):
    first, *parts = STUDIES[name].findings([row("control", "mmd", 1.0, distance=None)])
    assert f"met in 0 of its {len(parts)} parts. Open: " in first
    assert all(part.startswith("Open: ") for part in parts)


@pytest.mark.parametrize("name", STUDIES)
def test_the_figure_has_its_panels(name):
    rows = PLANTED[name]()
    axes = STUDIES[name].figure(rows).get_axes()
    assert len(axes) == PANELS[name]
    assert all(panel.get_title(loc="left") and panel.get_xlabel() and panel.lines for panel in axes)


@pytest.mark.parametrize("name", ONE_FAST)
def test_the_page_says_everything_a_reader_needs(name):
    module, rows = STUDIES[name], [{**r, "task_id": "t"} for r in PLANTED[name]()]
    study = module.study()
    html = render_page(study_page(study, rows, module=module, registry=REGISTRY))
    assert len(html) < 400_000
    for text in (study.question, study.claim, study.prediction, module.CAPTION, module.findings(rows)[0]):
        assert str(escape(text)) in html
    assert f"python -m experiments run {name}" in html
    assert all(len(line) == len(module.COLUMNS) for line in module.summary(rows))


def stored(folder, names=tuple(STUDIES)) -> None:
    for name in names:
        rows = [{"study": name, "task_id": "t", **r} for r in PLANTED[name]()]
        files.write_table(folder / f"{name}.parquet", rows, force=True)
        (folder / f"{name}.html").write_text("a page")


def test_the_index_lists_what_is_there_in_the_order_of_the_studies(tmp_path):
    stored(tmp_path, ("sample_size", "extrapolation"))
    html = study_index(tmp_path, REGISTRY)
    places = [html.index(f'<h2><a href="{name}.html">') for name in ("extrapolation", "sample_size")]
    assert places == sorted(places)
    for module in (extrapolation, sample_size):
        assert module.study().question in html
    assert html.count("The prediction was met in all") == 2
    assert "diversity" not in html
    assert len(html) < 400_000


def test_the_index_lists_folders_of_runs_and_leaves_out_what_has_no_page(tmp_path):
    rows = [{"study": "diversity", "task_id": "t", **r} for r in planted_diversity()]
    (tmp_path / "run 1").mkdir()
    files.write_table(tmp_path / "run 1" / "results.parquet", rows)
    with pytest.raises(InputError, match="no study with a page"):
        study_index(tmp_path, REGISTRY)
    (tmp_path / "run 1" / "report.html").write_text("a page")
    assert '<h2><a href="run%201/report.html">' in study_index(tmp_path, REGISTRY)


def test_the_index_knows_declared_studies_by_their_files(tmp_path):
    rows = [{"study": "doses", "task_id": "t", "scenario": "one dose", "seed": 0, **row("pdae", "n_eff", 1.0)}]
    files.write_table(tmp_path / "doses.parquet", rows)
    (tmp_path / "doses.html").write_text("a page")
    html = study_index(tmp_path, REGISTRY)
    assert REGISTRY.declared("doses").question in html
    assert "The prediction was met in 0 of its 5 parts." in html


STORED = [path for path in sorted(RESULTS.glob("*.parquet")) if "provenance" not in path.name]


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_stored_results_are_of_the_study_as_it_is_declared_and_their_page_says_what_they_say(path):
    """Every task once, failures as rows; a declaration whose table is elsewhere is left to its page."""
    rows = _read_rows(path)
    if path.stem in STUDIES:
        study, module = STUDIES[path.stem].study(), STUDIES[path.stem]
    else:
        try:
            study, module = REGISTRY.choose(path.stem)[0], None
        except InputError as error:
            pytest.skip(str(error))
    assert list(dict.fromkeys(row["task_id"] for row in rows)) == list(study.ids)
    verdict = study_page(study, rows, module=module, registry=REGISTRY).lead
    assert str(escape(verdict)) in path.with_suffix(".html").read_text(encoding="utf-8")


def test_tables_on_disk_say_what_the_rows_said(tmp_path):
    stored(tmp_path)
    for name, module in STUDIES.items():
        rows = _read_rows(tmp_path / f"{name}.parquet")
        assert module.findings(rows) == module.findings(PLANTED[name]())
        assert module.summary(rows) == module.summary(PLANTED[name]())


def test_a_slope_whose_interval_is_too_wide_to_tell_is_open():
    rows = planted_sample_size(rate=-0.35)
    for r in rows:
        if (r["estimator"], r["metric"]) == ("tilting", "gram_error"):
            r["value"] *= (r[sample_size.SIZE] / 250) ** (0.2 * (-1) ** r["seed"])
    assert any(part.startswith("Open: the learnt Gram error falls") for part in sample_size.findings(rows))


@pytest.mark.parametrize("shifts", diversity.SHIFTS)
def test_the_worlds_of_diversity_have_the_planted_rank(shifts):
    config = WorldConfig.parse(diversity.world_of(shifts, 10))
    latent, (design, _) = config.latent_model(), config.experiments()
    assert np.linalg.matrix_rank(design.train @ latent.perturbation_matrix.T) == min(shifts, 3)
    identified = [verdict.in_span for verdict in config.verdicts().values()]
    assert identified == [shifts >= 1, shifts >= 2]


@pytest.mark.statistical
def test_the_twist_preserves_the_laws_at_rank_one_and_is_no_affine_map():
    rng = np.random.default_rng(0)
    for label in (np.zeros(6), np.eye(6)[1]):
        mean = diversity.perturbation_matrix() @ label
        z = rng.standard_normal((20_000, 3)) + mean
        turned = diversity.twisted(z)
        assert np.abs(turned.mean(0) - mean).max() < 5 / math.sqrt(20_000)
        assert np.abs(np.cov(turned.T) - np.eye(3)).max() < 8 / math.sqrt(20_000)
        assert np.allclose(((turned - mean) ** 2).sum(1), ((z - mean) ** 2).sum(1))
    assert align(turned, z).affine_r2 < 0.4


def test_the_best_worth_is_what_weights_of_the_true_ratios_leave():
    W = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    means, target = np.vstack([np.zeros(2), W.T]), W.sum(1)
    rng = np.random.default_rng(0)
    z = rng.standard_normal((400_000, 2)) + means[rng.integers(4, size=400_000)]
    density = [np.exp(-0.5 * ((z - mean) ** 2).sum(1)) for mean in (target, *means)]
    w = density[0] / np.mean(density[1:], axis=0)
    share = w.mean() ** 2 / (w**2).mean() * 4
    assert sample_size.best_worth(1) == pytest.approx(share, rel=0.05)


def test_worth_beyond_what_was_resolved_comes_from_the_distance_itself():
    rows = planted_sample_size()
    for r in rows:
        if r["metric"] == "n_eff" and r[sample_size.SIZE] == 16_000:
            r |= {"high": None, "value": 1.0}
    worth = sample_size.worths(rows)
    assert worth[16_000] == pytest.approx(sample_size.worths(planted_sample_size())[16_000])


def test_a_task_of_diversity_is_a_pure_function_of_its_description():
    settings = {**diversity.SMOKE, "shifts": (1,), "cells": 120, "steps": 3}
    (task,) = diversity.study(**settings).tasks
    rows = diversity.perform(dict(task))
    assert rows == diversity.perform(dict(task))
    assert {r["status"] for r in rows} == {"ok"}
    assert {(r["estimator"], r["metric"]) for r in rows} >= {
        *((name, metric) for name in diversity.PRIORS for metric in ("affine_r2", "twisted_r2", "gram_error")),
        ("oracle", "gram_error"),
    }


def test_nothing_shifted_has_no_gram_error():
    simulation = WorldConfig.parse(diversity.world_of(0, 30)).simulate()
    assert diversity.gram_rows({}, simulation, _random.seed_sequence(0)) == []


@pytest.mark.parametrize("name", ONE_FAST)
def test_a_smoke_run_by_its_command_has_every_row_and_a_page(name, tmp_path, capsys):
    words = ["run", name, "--smoke", "--workers", "1", "--out", str(tmp_path)]
    assert main(words) == 0
    assert "0 with failures" in capsys.readouterr().out
    module, rows = STUDIES[name], _read_rows(tmp_path / "results.parquet")
    assert {r["status"] for r in rows} == {"ok"}
    assert {r["task_id"] for r in rows} == set(module.study(**module.SMOKE).ids)
    assert {metric for _, metric in map(_measured, rows)} >= _METRICS[name]
    assert not any(cell is None for line in module.summary(rows) for cell in line[:2])
    html = (tmp_path / "report.html").read_text()
    assert module.study().question in html
    assert html.count("<svg") + html.count("<img") >= 1
    parts = [json.loads(text) for text in pd.read_parquet(tmp_path / "provenance.parquet").parts]
    assert all(part["fit"] and part["judge"]["ceiling"] > 0 for part in parts)


def _measured(r: dict) -> tuple[str, str]:
    return r["estimator"], r["metric"]


_METRICS = {
    "extrapolation": {"energy_distance", "n_eff"},
    "diversity": {"affine_r2", "orthogonal_r2", "gram_error", "twisted_r2", "energy_distance"},
    "sample_size": {"gram_error", "orthogonal_r2", "energy_distance", "n_eff"},
}
