"""The page of `pdae-sim demo`: what was simulated, what can be known, what was predicted, and how to read it."""

from __future__ import annotations

import numpy as np

from pdae_sim import __version__
from pdae_sim.analysis.verdict import Verdict
from pdae_sim.data import PerturbationData
from pdae_sim.report._causal_graph import causal_graph
from pdae_sim.report._cell_comparison import cell_comparison
from pdae_sim.report._latent_scatter import latent_scatter
from pdae_sim.report._shift_vectors import shift_vectors
from pdae_sim.report._support_map import TRAIN, support_map
from pdae_sim.report.evaluation import evaluation_figure
from pdae_sim.report.page import Callout, Fact, Illustration, Page, Section, Table
from pdae_sim.report.training import training_figure
from pdae_sim.study.demo import DemoResult
from pdae_sim.verdicts import NOT_IDENTIFIED, OFF_SUPPORT, SUPPORTED

_ADVICE = {
    SUPPORTED: "Use the prediction; how well it did is in the tables below.",
    OFF_SUPPORT: "The latent shift is known, but the decoder must go where no training cell has been: "
    "do not rely on it.",
    NOT_IDENTIFIED: "Models that fit every training condition alike disagree here: "
    "no amount of such data would settle it.",
}
_LEARNT_OR_ORACLE = ("pdae", "tilting", "ceiling")
_METRICS = ("energy_distance", "n_eff", "mmd", "mean_difference", "mean_r2")


def demo_page(demo: DemoResult) -> Page:
    """Report of one run of the demo: world, verdicts, predictions, identification, and every estimator compared.

    Args:
        demo: All results, as `run_demo` returns them.

    Returns:
        The page; `render_page` makes HTML of it.

    Example:
        >>> from pdae_sim.study.demo import run_demo
        >>> page = demo_page(run_demo(seed=0, steps=2, cells=40))
        >>> [section.heading for section in page.sections][:2]
        ['What was simulated', 'What can be known before looking']
    """
    seed = demo.seed
    seen, unseen = (_listed(part) for part in (demo.simulation.data.train, demo.simulation.data.test))
    return Page(
        title="Predicting unseen perturbations, and saying when to believe it",
        lead=(
            "A simulated world with two latents and three elementary perturbations. "
            f"A PDAE was trained on {seen}; it was asked for {unseen}. One request is safe, one is far "
            "from all data, and one cannot be answered from these data by any method."
        ),
        facts=_facts(demo),
        sections=(
            _world(demo),
            _verdicts(demo),
            _predictions(demo),
            _identification(demo),
            _estimators(demo),
            _reading(demo),
        ),
        colophon=f"pdae_sim {__version__}, seed {seed}. Reproduce with: pdae-sim demo --out DIR --seed {seed}",
    )


def _facts(demo: DemoResult) -> tuple[Fact, ...]:
    facts = [Fact(f"{demo.identification.alignment.orthogonal_r2:.3f}", "orthogonal R² of the latents")]
    safe = next((c for c, v in demo.verdicts.items() if v.name == SUPPORTED), None)
    if safe is None:
        return tuple(facts)
    judged = [r for r in _energy_rows(demo) if r["condition"] == safe and r["status"] == "ok"]
    distance = {r["estimator"]: r["value"] for r in judged}
    cells = next(r for r in demo.rows if (r["condition"], r["estimator"], r["metric"]) == (safe, "pdae", "n_eff"))
    rivals = [value for name, value in distance.items() if name not in _LEARNT_OR_ORACLE]
    return (
        *facts,
        Fact(f"{distance['pdae']:.4f}", f"energy distance of the PDAE at {safe}"),
        Fact(f"{min(rivals):.2f}", f"of the best pooling or mean-shift baseline at {safe}"),
        Fact(f"{cells['value']:,.0f}", f"cells: what the prediction of {safe} is worth"),
    )


def _world(demo: DemoResult) -> Section:
    data, latent = demo.simulation.data, demo.simulation.simulator["latent"]
    A, S = (np.array(latent[key]) for key in ("adjacency", "targets"))
    rows = [
        (condition, "test" if condition in demo.verdicts else "train", count)
        for condition, count in zip(data.conditions, data.counts.tolist(), strict=True)
    ]
    caption = "The latent causal graph, with effects on its edges, and the latents each perturbation shifts."
    return Section(
        "What was simulated",
        paragraphs=(
            f"{len(S)} latents form a linear causal model. Each perturbation shifts the mechanism of one latent or "
            "more, and shifts add up: z = z_base + W l with W = (I − A)⁻¹ S. What is measured is x = f(z), "
            f"{data.x.shape[1]} coordinates of an injective, curved mixing f. Neither z, W nor f is shown to any "
            "estimator.",
        ),
        figures=(Illustration(causal_graph(A, S, data.names), caption),),
        tables=(
            Table(
                ("condition", "split", "cells"),
                rows,
                title="Conditions and their cells.",
                note="No estimator sees a cell of a test condition.",
            ),
        ),
    )


def _verdicts(demo: DemoResult) -> Section:
    data = demo.simulation.data
    means = data.labels @ demo.simulation.truth.isotropic().perturbation_matrix.T
    roles = [demo.verdicts[c].name if c in demo.verdicts else TRAIN for c in data.conditions]
    caption = (
        "True latent means of all conditions. Discs are one standard deviation of the cells around each training "
        "condition: the support."
    )
    return Section(
        "What can be known before looking",
        paragraphs=(
            "These verdicts use the labels and the learnt Ŵ alone. The certificate of an identified condition writes "
            "its label as a combination of training labels; the certificate of one that is not names the direction "
            "to which training is blind.",
        ),
        callouts=[_callout(c, v, data.train) for c, v in demo.verdicts.items()],
        figures=(Illustration(support_map(means, data.conditions, roles), caption),),
    )


def _callout(condition: str, verdict: Verdict, train: PerturbationData) -> Callout:
    sentences = [verdict.certificate.in_words(condition, train.conditions, train.names) + "."]
    sentences[0] = sentences[0][0].upper() + sentences[0][1:]
    if verdict.distances is not None and verdict.effective_cells is not None:
        sentences.append(
            f"The nearest training condition is {verdict.distances.min():.1f} latent standard deviations away; the "
            f"training cells are worth {_cells(verdict.effective_cells)} of this condition. "
            f"Noise gain {verdict.certificate.noise_gain:.3g}."
        )
    return Callout(verdict.name, " ".join([*sentences, _ADVICE[verdict.name]]), subject=condition)


def _cells(number: float) -> str:
    return f"about {number:,.0f} cells" if number >= 1 else "less than one cell"


def _predictions(demo: DemoResult) -> Section:
    return Section("What was predicted", figures=[_comparison(demo, condition) for condition in demo.predictions])


def _comparison(demo: DemoResult, condition: str) -> Illustration:
    data = demo.simulation.data
    figure = cell_comparison(
        data.samples(data.conditions.index(condition)),
        demo.predictions[condition],
        title=f"{condition}: {demo.verdicts[condition].name}",
        features=data.features,
    )
    return Illustration(
        figure, f"True and predicted cells under {condition}, in the plane in which true cells vary most."
    )


def _identification(demo: DemoResult) -> Section:
    result, data = demo.identification, demo.simulation.data
    truth, Q = result.truth, result.alignment.rotation
    aligned = (result.estimate - result.estimate.mean(0)) @ Q.T + truth.z.mean(0)
    W, W_hat = truth.perturbation_matrix, Q @ demo.model.perturbation_matrix_
    seen = (data.train.labels != 0).any(0).tolist()
    before_and_after = "Encoded latents of fresh cells before and after the rotation, against the truth."
    columns = "Columns of W and of the rotated Ŵ. A perturbation never seen in training has no estimate."
    note = "Fresh cells of the training conditions; intervals over cells; singular values: one band for all."
    title = "Agreement of learnt and true latents and shifts."
    return Section(
        "Was the representation recovered?",
        paragraphs=(
            "Theory leaves a rotation open and nothing else: after one rotation, encoded latents and learnt shifts "
            "should lie on the true ones. If the map were affine but not orthogonal, its singular values would "
            "leave 1.",
        ),
        figures=(
            Illustration(latent_scatter(result.estimate, aligned, truth.z), before_and_after),
            Illustration(shift_vectors(W, W_hat, data.names, identified=seen), columns),
        ),
        tables=(Table(("quantity", "value", "2.5 %", "97.5 %"), _agreement_rows(demo), note, title),),
    )


def _agreement_rows(demo: DemoResult) -> list[tuple]:
    result = demo.identification
    singular = zip(result.alignment.singular_values, result.intervals.singular_values, strict=True)
    return [
        ("affine R²", result.alignment.affine_r2, *result.intervals.affine_r2),
        ("orthogonal R²", result.alignment.orthogonal_r2, *result.intervals.orthogonal_r2),
        *((f"singular value {j}", value, *interval) for j, (value, interval) in enumerate(singular, 1)),
        ("relative Gram error of Ŵ", result.gram_error, None, None),
        ("Gram error of an oracle that sees z", None, *result.gram_error_oracle),
    ]


def _estimators(demo: DemoResult) -> Section:
    caption = "Energy distance to the true cells; further left is better, the ceiling is the reference."
    return Section(
        "Every estimator, every unseen condition",
        paragraphs=(
            "The ceiling resamples half of the true cells and is judged, like everybody, against the other half. "
            "Energy distances are unbiased, so that near zero they may be negative.",
        ),
        figures=(Illustration(evaluation_figure(_energy_rows(demo)), caption),),
        tables=[_condition_table(demo, condition) for condition in demo.verdicts],
    )


def _condition_table(demo: DemoResult, condition: str) -> Table:
    values = {(r["estimator"], r["metric"]): r["value"] for r in demo.rows if r["condition"] == condition}
    names = dict.fromkeys(row["estimator"] for row in demo.rows)
    rows = [(name, *(values.get((name, metric)) for metric in _METRICS)) for name in names]
    columns = ("estimator", *(metric.replace("_", " ") for metric in _METRICS))
    return Table(columns, rows, title=f"{condition}: {demo.verdicts[condition].name}")


def _reading(demo: DemoResult) -> Section:
    caption = "The terms of the loss during training, phase by phase."
    return Section(
        "How to read this page",
        paragraphs=(
            "Energy distance is 2 E‖X−Y‖ − E‖X−X′‖ − E‖Y−Y′‖, neither halved nor rooted. n_eff is E‖X−X′‖ divided by "
            "it: the number of measured cells whose empirical law would be as close. Where the distance cannot be "
            "told from zero, n_eff is its lower bound.",
            "R² of the mean is close to 1 for poor predictions too; read it beside the control's and the pool's.",
            "A verdict is about guarantees, not luck: an estimator may do well where nothing is identified, but "
            "nothing in the data says so.",
        ),
        figures=(Illustration(training_figure(demo.model.history_), caption),),
    )


def _energy_rows(demo: DemoResult) -> list[dict]:
    return [row for row in demo.rows if row["metric"] == "energy_distance"]


def _listed(data: PerturbationData) -> str:
    *rest, last = ("control" if c == data.control else c for c in data.conditions)
    return (", ".join(rest) + " and " if rest else "") + last
