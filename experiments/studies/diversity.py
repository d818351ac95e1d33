"""Identifiability and extrapolation error against rank(W L), from 0 to d_Z and with shifts to spare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.studies.drawing import legend_below, line, logarithmic, panels
from experiments.studies.intervals import curve, medians
from experiments.studies.representation import QUICK
from pdae_sim import _random
from pdae_sim.analysis.identifiability.alignment import align, gram_error
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.presets import PRESETS
from pdae_sim.estimation.tilting import Tilting
from pdae_sim.intervals import Estimate
from pdae_sim.report import MUTED, PREDICTED, TRUE, Part, format_estimate, sentences, styled
from pdae_sim.simulation.config import WorldConfig
from pdae_sim.simulation.simulator import Simulator
from pdae_sim.study._stopwatch import timed
from pdae_sim.study.evaluation import evaluate
from pdae_sim.study.identification import training_shifts
from pdae_sim.study.identification_metrics import oracle_rows
from pdae_sim.study.medians import NO_INTERVAL
from pdae_sim.study.spec import Cost, Study, task_root

N_LATENTS = 3
NAMES = ("N", "A", "B", "C", "D", "E")
"""N shifts nothing, like a non-targeting guide; A, B and C shift orthogonal directions, D and E mix them."""
SHIFTS = (0, 1, 2, 3, 4, 5)
DOSE, DOUBLE = "A:1.5", "A+B"
"""Test labels: in the span of the training labels from one shift and from two shifts on."""
PRIORS = {"energy": "prior", "moments": "moments"}
"""What the base latents are held to: the whole law N(0, I), or its first two moments only."""
FLOOR = {0: 0.0, 1: 1 / 3, 2: 1.0, 3: 1.0}
"""By rank: least affine R² of the smooth invertible models with base N(0, I) that fit as well as the truth."""
TURN = 2.0
"""Radians by which the twist turns two latents for each unit of the third."""
LEAST = 2 / 3
"""R² of a representation that recovers the two shifted directions of three and nothing of the other."""
GOOD_R2, NEAR_ORACLE, WORTHY = 0.95, 3.0, 50.0
_FRAME = np.array([[2.0, -2.0, 1.0], [1.0, 2.0, 2.0], [2.0, 1.0, -2.0]]).T / 3.0  # orthonormal columns, no axis
_STRENGTH = 1.5


def study(*, seeds: int = 20, shifts: tuple[int, ...] = SHIFTS, cells: int = 4096, steps: int | None = None) -> Study:
    """The declaration; a smoke run takes fewer seeds, designs, cells and gradient steps."""
    common = {"cells": cells, "steps": QUICK["steps"] if steps is None else steps}
    return Study(
        name="diversity",
        question="How many independent shifts does it take to identify the latents, and how many to extrapolate?",
        claim="2.3, 2.5, 2.7 and 2.8",
        prediction=(
            "With d_Z = 3. The latents: at rank 0 nothing is identified; at rank 1 = d_Z − 2 one direction is, and the "
            "other two can be twisted, so that latents which match one truth miss another that fits the data equally "
            "well. At rank 2 = d_Z − 1 an invertible model with base N(0, I) is identified up to rotation. The "
            "estimator has no decoder to keep it invertible: density ratios give it two directions; an energy prior "
            "holds the third coordinate to its law, though not to one branch of it, and should bring it close to the "
            "truth, where a prior on two moments falls behind. At rank 3 the density ratios alone identify all, and "
            "further shifts only add precision. The Gram matrix is the covariance of the log density ratios: "
            "identified at every rank, so that its error stays near the oracle's. Extrapolation needs the label in the "
            "span and nothing else: 1.5 doses of A are predicted from one shift on, A+B from two on."
        ),
        tasks=[{"seed": seed, "shifts": m, **common} for m in shifts for seed in range(seeds)],
        perform=perform,
        cost=lambda task: Cost(0.016 * task["steps"] + 3.0, 450.0),
    )


SMOKE = {"seeds": 1, "shifts": (0, 1, 2), "cells": 60, "steps": 5}
CAPTION = (
    "Medians over random mixings with 95 % intervals between order statistics. Left: R² of the latents up to an affine "
    "map; the steps are what any smooth invertible model that fits the data must reach. Middle: relative Gram error on "
    "the training shifts. Right: energy distance of the tilted prediction; filled where the label is in the span."
)
COLUMNS = (
    "shifts",
    "rank(W L)",
    "affine R²",
    "orthogonal R²",
    "Gram error",
    "of the oracle",
    f"energy distance, {DOSE}",
    f"energy distance, {DOUBLE}",
)


def perform(task: dict) -> list[dict]:
    """One design and one random mixing: two representations without a decoder, judged on latents, shifts and labels."""
    config = WorldConfig.parse(world_of(task["shifts"], task["cells"]) | {"seed": task["seed"]})
    simulation, root, rank = config.simulate(), task_root(task), min(task["shifts"], N_LATENTS)
    models = {name: represent(name, simulation.data, task) for name in PRIORS}
    rows = [row for name, model in models.items() for row in latent_rows(name, model, simulation, rank, root)]
    rows += gram_rows(models, simulation, root)
    tilted = {name: Tilting(model).fit(simulation.data) for name, model in models.items()}
    rows += evaluate(
        tilted, simulation.data, n_samples=task["cells"] // 2, metrics=("energy_distance", "n_eff"), rng=root
    )
    verdicts = {condition: verdict.name for condition, verdict in config.verdicts().items()}
    common = {"scenario": f"{task['shifts']} shifts", "seed": task["seed"], "shifts": task["shifts"]}
    return [{**common, "rank": rank, "verdict": verdicts.get(row["condition"]), **row} for row in rows]


def world_of(shifts: int, cells: int) -> dict:
    """The table of the world in which control, N and the first `shifts` singles are measured."""
    return {
        "latent": {
            "n_latents": N_LATENTS,
            "n_perturbations": len(NAMES),
            "base": "isotropic",
            "targets": perturbation_matrix().tolist(),
        },
        "mixing": {"n_observed": N_LATENTS, "kind": "coupling"},
        "design": {
            "names": list(NAMES),
            "train": ["ctrl", *NAMES[: shifts + 1]],
            "test": [DOSE, DOUBLE],
            "cells": cells,
        },
    }


def perturbation_matrix() -> np.ndarray:
    """W (3, 6): nothing, three orthogonal directions, and two combinations of them, all of one length."""
    a, b, c = _FRAME.T
    columns = [0 * a, a, b, c, (a + b + c) / np.sqrt(3), (a - b) / np.sqrt(2)]
    return _STRENGTH * np.column_stack(columns)


def represent(name: str, data: PerturbationData, task: Mapping) -> PDAE:
    """Encoder and Ŵ from density ratios, the base latents held to N(0, I) by one of `PRIORS`."""
    weights = {"density_ratio": 1.0, PRIORS[name]: PRESETS["represent"].phases[0].weights["prior"]}
    phase = replace(PRESETS["represent"].phases[0], steps=task["steps"], cells=QUICK["cells"], weights=weights)
    with timed("fit", name):
        return PDAE(
            N_LATENTS, architecture=PRESETS["represent"].architecture, phases=[phase], random_state=task["seed"]
        ).fit(data)


def latent_rows(name: str, model: PDAE, simulation: Simulation, rank: int, root: np.random.SeedSequence) -> list[dict]:
    """R² of true latents given learnt ones on fresh cells of the reference environment, where they are N(0, I).

    Where the rank leaves room for a twist, also of the twisted truth, which gives the same cells.
    """
    simulator, rng = Simulator.from_state(simulation.simulator), _random.child(root, "fresh")
    fresh = simulator.sample([np.zeros(len(NAMES))], 4000, rng=rng)
    estimate, z = model.encode(fresh.data.x), fresh.truth.isotropic().z
    alignment = align(estimate, z)
    rows = [_row(name, metric, getattr(alignment, metric)) for metric in ("affine_r2", "orthogonal_r2")]
    if rank > N_LATENTS - 2:
        return rows
    return [*rows, _row(name, "twisted_r2", align(estimate, twisted(z)).affine_r2)]


def twisted(z: np.ndarray) -> np.ndarray:
    """The latents (n, 3) with the two that A does not shift turned by `TURN` times the one that it shifts.

    It preserves N(W l, I) for every label l that shifts along A only (the counterexample of claim 2.8).
    """
    y = z @ _FRAME
    cosine, sine = np.cos(TURN * y[:, 0]), np.sin(TURN * y[:, 0])
    turned = np.stack([y[:, 0], cosine * y[:, 1] - sine * y[:, 2], sine * y[:, 1] + cosine * y[:, 2]], axis=1)
    return turned @ _FRAME.T


def gram_rows(models: Mapping[str, PDAE], simulation: Simulation, root: np.random.SeedSequence) -> list[dict]:
    """Relative Gram errors on the training shifts beside the oracle's; none where nothing is shifted."""
    W, shifts = simulation.truth.isotropic().perturbation_matrix, training_shifts(simulation.data)
    if not (shifts @ W.T).any():
        return []
    learnt = [_row(name, "gram_error", gram_error(m.perturbation_matrix_, W, shifts)) for name, m in models.items()]
    return learnt + oracle_rows(simulation, {"gram_error"}, rng=root)


def _row(estimator: str, metric: str, value: float) -> dict:
    row = {"estimator": estimator, "metric": metric, "value": float(value), "low": None, "high": None}
    return row | {"condition": None, "status": "ok", "error": None}


def setting(study: Study) -> str:
    """What was simulated, in a sentence."""
    shifts, seeds = ({task[key] for task in study.tasks} for key in ("shifts", "seed"))
    first = study.tasks[0]
    return (
        "Three latents, isotropic, seen through a random diffeomorphism of space (coupling layers), in "
        f"{len(seeds)} random world{'s' * (len(seeds) != 1)}. Control, a non-targeting N and the first "
        f"{min(shifts)} to {max(shifts)} of five perturbations are measured, "
        f"{first['cells']:,} cells each. All shift by {_STRENGTH:g} latent standard deviations, "
        "A, B and C in orthogonal directions, D and E in combinations of them, so that rank(W L) is the number of "
        "shifts up to 3. Two representations without a decoder, of "
        f"{first['steps']} steps: the base latents are held to N(0, I) by an energy prior or, for contrast, by two "
        "moments. R² are of fresh control cells. The twisted truth turns the other two latents by "
        f"{TURN:g} z_A, with z_A the latent that A shifts: at ranks 0 and 1 it gives the same cells. Near the oracle "
        f"is within {NEAR_ORACLE:g} times its Gram error; a prediction (by tilting) counts as good where it is worth "
        f"{WORTHY:g} cells or more in half of the worlds. Where nothing is shifted there is no relative Gram error."
    )


def findings(rows: list[dict]) -> list[str]:
    """What the measurements say of the prediction, from the numbers alone; the verdict first."""
    return sentences(
        [_blind(rows), _one_short(rows), _prior(rows), _full(rows), _gram(rows), *map(_label(rows), _SPANNED)]
    )


def _r2(rows: list[dict], prior: str = "energy", metric: str = "affine_r2") -> dict[int, Estimate]:
    return curve(medians(rows, metric, "estimator", "shifts"), estimator=prior)


def _blind(rows: list[dict]) -> Part:
    seen = _r2(rows, metric="twisted_r2")
    expected = "at ranks 0 and 1 the latents miss a truth that fits the data equally well"
    met = all(p.value < GOOD_R2 for p in seen.values())
    return _part(expected, seen, met, "affine R² of the twisted truth")


def _one_short(rows: list[dict]) -> Part:
    seen = {m: p for m, p in _r2(rows).items() if m == N_LATENTS - 1}
    expected = f"at rank 2 the energy prior adds to the two shifted directions (affine R² above {LEAST:.2f})"
    return _part(expected, seen, all((p.value if p.interval == NO_INTERVAL else p.low) > LEAST for p in seen.values()))


def _prior(rows: list[dict]) -> Part:
    energy, moments = (_r2(rows, prior).get(N_LATENTS - 1) for prior in PRIORS)
    expected = "at rank 2 a prior on two moments recovers less than the energy prior"
    if energy is None or moments is None:
        return Part(expected, None, "it was not measured")
    evidence = f"median affine R² {format_estimate(moments)} against {format_estimate(energy)}"
    return Part(expected, moments.value < energy.value, evidence)


def _full(rows: list[dict]) -> Part:
    seen = {m: p for m, p in _r2(rows, metric="orthogonal_r2").items() if m >= N_LATENTS}
    expected = f"from rank 3 on the latents are recovered up to rotation (median orthogonal R² at least {GOOD_R2:g})"
    return _part(expected, seen, all(p.value >= GOOD_R2 for p in seen.values()), "orthogonal R²")


def _part(expected: str, seen: Mapping[int, Estimate], met: bool, what: str = "affine R²") -> Part:
    if not seen:
        return Part(expected, None, "it was not measured")
    return Part(expected, met, f"median {what} {_by_shifts({m: format_estimate(p) for m, p in seen.items()})}")


def _by_shifts(seen: Mapping[int, str]) -> str:
    return ", ".join(f"{p} at {_count(m)}" for m, p in seen.items())


def _count(shifts: int) -> str:
    return "1 shift" if shifts == 1 else f"{shifts} shifts"


def _gram(rows: list[dict]) -> Part:
    expected = "the Gram error is near the oracle's at every rank from 1 on"
    grams = medians(rows, "gram_error", "estimator", "shifts")
    learnt, oracle = (curve(grams, estimator=name) for name in ("energy", "oracle"))
    ratios = {m: learnt[m].value / oracle[m].value for m in learnt if m in oracle}
    if not ratios:
        return Part(expected, None, "it was not measured")
    evidence = f"it is {_by_shifts({m: f'{ratio:.2g} times' for m, ratio in ratios.items()})}"
    return Part(expected, max(ratios.values()) <= NEAR_ORACLE, evidence)


_SPANNED = {DOSE: 1, DOUBLE: 2}


def _label(rows: list[dict]):
    worth = medians(rows, "n_eff", "estimator", "condition", "shifts")

    def part(label: str) -> Part:
        expected = f"{label} is predicted well from {_count(_SPANNED[label])} on and not before"
        cells = curve(worth, estimator="energy", condition=label)
        if not cells:
            return Part(expected, None, "it was not measured")
        met = all((p.value >= WORTHY) is (m >= _SPANNED[label]) for m, p in cells.items())
        return Part(expected, met, f"worth {_by_shifts({m: f'{p.value:,.0f} cells' for m, p in cells.items()})}")

    return part


@styled
def figure(rows: list[dict]) -> Figure:
    """Latents, shifts and predictions against the number of independent shifts."""
    drawing, axes = panels(3, height=2.3)
    _latents(axes[0], rows)
    _grams(axes[1], rows)
    _predictions(axes[2], rows)
    for panel in axes:
        panel.set_xlabel("shifts measured")
        panel.set_xticks(SHIFTS)
        panel.axvline(N_LATENTS - 1, color=MUTED, linewidth=0.8, linestyle=":")
        panel.grid(True)
    legend_below(drawing, axes)
    return drawing


_MOMENTS = "#8a7fae"


def _latents(panel: Axes, rows: list[dict]) -> None:
    steps = {m: FLOOR[min(m, N_LATENTS)] for m in SHIFTS}
    panel.step(list(steps), list(steps.values()), where="mid", color=TRUE, linewidth=1.1, label="guaranteed")
    line(panel, _r2(rows, "moments"), "prior on two moments", _MOMENTS)
    line(panel, _r2(rows), "energy prior", PREDICTED)
    against = {"linestyle": ":", "markerfacecolor": "white"}
    line(panel, _r2(rows, metric="twisted_r2"), "the same, twisted truth", PREDICTED, **against)
    panel.set(title="latents, affine R²", ylim=(-0.04, 1.06))


def _grams(panel: Axes, rows: list[dict]) -> None:
    grams = medians(rows, "gram_error", "estimator", "shifts")
    for name, label, colour in (
        ("oracle", "oracle that sees z", TRUE),
        ("moments", "prior on two moments", _MOMENTS),
        ("energy", "energy prior", PREDICTED),
    ):
        line(panel, curve(grams, estimator=name), label, colour, linestyle="--" if name == "oracle" else "-")
    panel.set_title("shifts, Gram error")
    logarithmic(panel)


def _predictions(panel: Axes, rows: list[dict]) -> None:
    distances = medians(rows, "energy_distance", "estimator", "condition", "shifts")
    for label, colour in ((DOSE, "#12755f"), (DOUBLE, "#8e2a63")):
        points = curve(distances, estimator="energy", condition=label)
        line(panel, points, label, colour, floor=_LOWEST, markerfacecolor="white")
        spanned = {m: max(p.value, _LOWEST) for m, p in points.items() if m >= _SPANNED[label]}
        panel.plot(list(spanned), list(spanned.values()), "o", color=colour, markersize=4.5)
    panel.set_title("labels, energy distance")
    logarithmic(panel)


_LOWEST = 1e-4


def summary(rows: list[dict]) -> list[tuple]:
    """A row for every number of shifts: medians over worlds with their intervals."""
    gram = medians(rows, "gram_error", "estimator", "shifts")
    distance = medians(rows, "energy_distance", "estimator", "condition", "shifts")
    columns = [
        _r2(rows),
        _r2(rows, metric="orthogonal_r2"),
        curve(gram, estimator="energy"),
        curve(gram, estimator="oracle"),
        *(curve(distance, estimator="energy", condition=label) for label in (DOSE, DOUBLE)),
    ]
    shifts = sorted({m for column in columns for m in column})
    return [
        (m, min(m, N_LATENTS), *(format_estimate(column[m]) if m in column else None for column in columns))
        for m in shifts
    ]
