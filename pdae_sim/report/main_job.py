"""The page of the main job: what was simulated, what can be known, what was predicted, and how to read it."""

from __future__ import annotations

import numpy as np

from pdae_sim import __version__
from pdae_sim.analysis.verdict import Verdict
from pdae_sim.data import PerturbationData
from pdae_sim.report import figures
from pdae_sim.report.page import Callout, Fact, Illustration, Page, Section, Table
from pdae_sim.study.main_job import MainJob
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


def main_job_page(job: MainJob) -> Page:
    """The report of one main job."""
    seed = job.simulation.seed
    seen, unseen = (_listed(part) for part in (job.simulation.data.train, job.simulation.data.test))
    return Page(
        title="Predicting unseen perturbations, and saying when to believe it",
        lead=(
            "A simulated world with two latents and three elementary perturbations. "
            f"A PDAE was trained on {seen}; it was asked for {unseen}. One request is safe, one is far "
            "from all data, and one cannot be answered from these data by any method."
        ),
        facts=_facts(job),
        sections=(
            _world(job),
            _verdicts(job),
            _predictions(job),
            _identification(job),
            _estimators(job),
            _reading(job),
        ),
        colophon=f"pdae_sim {__version__}, seed {seed}. Reproduce with: pdae-sim demo --out DIR --seed {seed}",
    )


def _facts(job: MainJob) -> tuple[Fact, ...]:
    facts = [Fact(f"{job.identification.alignment.orthogonal_r2:.3f}", "orthogonal R² of the latents")]
    safe = next((c for c, v in job.verdicts.items() if v.name == SUPPORTED), None)
    if safe is None:
        return tuple(facts)
    judged = [r for r in _energy_rows(job) if r["condition"] == safe and r["status"] == "ok"]
    distance = {r["estimator"]: r["value"] for r in judged}
    cells = next(r for r in job.rows if (r["condition"], r["estimator"], r["metric"]) == (safe, "pdae", "n_eff"))
    rivals = [value for name, value in distance.items() if name not in _LEARNT_OR_ORACLE]
    return (
        *facts,
        Fact(f"{distance['pdae']:.4f}", f"energy distance of the PDAE at {safe}"),
        Fact(f"{min(rivals):.2f}", f"of the best pooling or mean-shift baseline at {safe}"),
        Fact(f"{cells['value']:,.0f}", f"cells: what the prediction of {safe} is worth"),
    )


def _world(job: MainJob) -> Section:
    state, data = job.simulation.simulator, job.simulation.data
    A, S = (np.array(state["latent"][key]) for key in ("adjacency", "targets"))
    split = np.where(data.held_out, "test", "train")
    rows = list(zip(data.conditions, split.tolist(), data.counts.tolist(), strict=True))
    caption = "The latent causal graph, with effects on its edges, and the latents each perturbation shifts."
    return Section(
        "What was simulated",
        paragraphs=(
            f"{len(S)} latents form a linear causal model. Each perturbation shifts the mechanism of one latent or "
            "more, and shifts add up: z = z_base + W l with W = (I − A)⁻¹ S. What is measured is x = f(z), "
            f"{data.x.shape[1]} coordinates of an injective, curved mixing f. Neither z, W nor f is shown to any "
            "estimator.",
        ),
        figures=(Illustration.of(figures.causal_graph, A, S, data.names, caption=caption),),
        tables=(Table(("condition", "split", "cells"), rows, note="No estimator sees a cell of a test condition."),),
    )


def _verdicts(job: MainJob) -> Section:
    data = job.simulation.data
    means = data.labels @ job.simulation.truth.isotropic().perturbation_matrix.T
    roles = [job.verdicts[c].name if c in job.verdicts else "train" for c in data.conditions]
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
        callouts=[_callout(c, v, data.train) for c, v in job.verdicts.items()],
        figures=(Illustration.of(figures.support_map, means, data.conditions, roles, caption=caption),),
    )


def _callout(condition: str, verdict: Verdict, train: PerturbationData) -> Callout:
    sentences = [verdict.certificate.in_words(condition, train.conditions, train.names) + "."]
    sentences[0] = sentences[0][0].upper() + sentences[0][1:]
    if verdict.effective_cells is not None:
        sentences.append(
            f"The nearest training condition is {verdict.distances.min():.1f} latent standard deviations away; the "
            f"training cells are worth {_cells(verdict.effective_cells)} of this condition. "
            f"Noise gain {verdict.certificate.noise_gain:.3g}."
        )
    return Callout(verdict.name, " ".join([*sentences, _ADVICE[verdict.name]]), subject=condition)


def _cells(number: float) -> str:
    return f"about {number:,.0f} cells" if number >= 1 else "less than one cell"


def _predictions(job: MainJob) -> Section:
    return Section("What was predicted", figures=[_comparison(job, condition) for condition in job.predictions])


def _comparison(job: MainJob, condition: str) -> Illustration:
    data = job.simulation.data
    return Illustration.of(
        figures.compare_samples,
        data.samples(data.conditions.index(condition)),
        job.predictions[condition],
        title=f"{condition}: {job.verdicts[condition].name}",
        features=data.features,
        caption=f"True and predicted cells under {condition}, in the plane in which the true cells vary most.",
    )


def _identification(job: MainJob) -> Section:
    found, names = job.identification, job.simulation.data.names
    truth, Q = found.truth, found.alignment.rotation
    aligned = (found.estimate - found.estimate.mean(0)) @ Q.T + truth.z.mean(0)
    W, W_hat = truth.perturbation_matrix, Q @ job.model.perturbation_matrix_
    seen = (job.simulation.data.train.labels != 0).any(0).tolist()
    before_and_after = "Encoded latents of fresh cells before and after the rotation, against the truth."
    columns = "Columns of W and of the rotated Ŵ. A perturbation never seen in training has no estimate."
    note = "Fresh cells of the training conditions; intervals over cells; singular values: one band for all."
    return Section(
        "Was the representation recovered?",
        paragraphs=(
            "Theory leaves a rotation open and nothing else: after one rotation, encoded latents and learnt shifts "
            "should lie on the true ones. If the map were affine but not orthogonal, its singular values would "
            "leave 1.",
        ),
        figures=(
            Illustration.of(figures.latents, found.estimate, aligned, truth.z, caption=before_and_after),
            Illustration.of(figures.shift_vectors, W, W_hat, names, identified=seen, caption=columns),
        ),
        tables=(Table(("quantity", "value", "2.5 %", "97.5 %"), _identification_rows(job), note=note),),
    )


def _identification_rows(job: MainJob) -> list[tuple]:
    found, low_high = job.identification, job.identification.gram_error_oracle
    singular = zip(found.alignment.singular_values, found.intervals.singular_values, strict=True)
    return [
        ("affine R²", found.alignment.affine_r2, *found.intervals.affine_r2),
        ("orthogonal R²", found.alignment.orthogonal_r2, *found.intervals.orthogonal_r2),
        *((f"singular value {j}", value, *interval) for j, (value, interval) in enumerate(singular, 1)),
        ("relative Gram error of Ŵ", found.gram_error, None, None),
        ("the same, of an oracle that sees z", None, *low_high),
    ]


def _estimators(job: MainJob) -> Section:
    caption = "Energy distance to the true cells; further left is better, the ceiling is the reference."
    return Section(
        "Every estimator, every unseen condition",
        paragraphs=(
            "The ceiling resamples half of the true cells and is judged, like everybody, against the other half. "
            "Energy distances are unbiased, so that near zero they may be negative.",
        ),
        figures=(Illustration.of(figures.estimator_bars, _energy_rows(job), caption=caption),),
        tables=[_condition_table(job, condition) for condition in job.verdicts],
    )


def _condition_table(job: MainJob, condition: str) -> Table:
    cells = {(r["estimator"], r["metric"]): r["value"] for r in job.rows if r["condition"] == condition}
    names = dict.fromkeys(row["estimator"] for row in job.rows)
    lines = [(name, *(cells.get((name, metric)) for metric in _METRICS)) for name in names]
    return Table(("estimator", *_METRICS), lines, title=f"{condition}: {job.verdicts[condition].name}")


def _reading(job: MainJob) -> Section:
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
        figures=(Illustration.of(figures.training_curves, job.model.history_, caption=caption),),
    )


def _energy_rows(job: MainJob) -> list[dict]:
    return [row for row in job.rows if row["metric"] == "energy_distance"]


def _listed(data: PerturbationData) -> str:
    *rest, last = ("control" if c == data.control else c for c in data.conditions)
    return (", ".join(rest) + " and " if rest else "") + last
