"""The demo from end to end: simulate, fit, give verdicts, identify, evaluate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pdae_sim import _random
from pdae_sim._checks import listed
from pdae_sim.analysis.verdict import Verdict, judge
from pdae_sim.data import Simulation
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.simulation.worlds import world
from pdae_sim.study.evaluation import evaluate, fitted_estimators
from pdae_sim.study.identification import Identification, identify

_FRESH_CELLS, _PREDICTED_CELLS = 2000, 4000


@dataclass(frozen=True, eq=False)
class DemoResult:
    """Results of one run of the demo: what `demo_page` shows.

    Args:
        seed: Seed of world, fit and evaluation.
        simulation: Data and truth.
        model: The fitted PDAE.
        verdicts: By held-out condition, given before any of its cells is seen, with support from the estimate Ŵ.
        identification: Learnt against true latents and W.
        rows: The evaluation: condition, estimator, metric, value, low, high, status, error.
        predictions: Cells predicted by the PDAE, by held-out condition.
    """

    seed: int
    simulation: Simulation
    model: PDAE
    verdicts: dict[str, Verdict]
    identification: Identification
    rows: list[dict]
    predictions: dict[str, np.ndarray]

    def verdict_names(self) -> dict[str, str]:
        """The verdict in words by condition."""
        return {condition: verdict.name for condition, verdict in self.verdicts.items()}

    def table(self) -> list[dict]:
        """The rows of the long results table."""
        names = self.verdict_names()
        common = {"study": "demo", "task_id": f"demo-{self.seed}", "scenario": "demo", "seed": self.seed}
        return [{**common, "verdict": names[row["condition"]], **row} for row in self.rows]


def run_demo(
    *,
    seed: int,
    steps: int | None = None,
    cells: int | None = None,
    say: Callable[[str], None] = lambda _: None,
    showing: Callable[..., AbstractContextManager] = lambda _: nullcontext(),
    checkpoint: Path | None = None,
) -> DemoResult:
    """Run the demo: two latents, three perturbations, and three unseen conditions with three different verdicts.

    Args:
        seed: Seed of world, fit and evaluation, each with streams of its own.
        steps: Gradient steps of each phase; the plan's own when absent.
        cells: Cells per condition, and half the cells drawn for each judgement, for a quick look; the world's own, and
            thousands, when absent.
        say: Called with what is under way.
        showing: Given a function that tells the phases, a context whose value is called after every step.
        checkpoint: A file that the fit saves its progress to, and resumes from.

    Returns:
        Everything that was simulated, fitted and judged.

    Example:
        >>> sorted(run_demo(seed=0, steps=2, cells=40).verdict_names())
        ['A+B', 'A+C', 'A:3+B:3']
    """
    say("simulating")
    overrides = () if cells is None else (f"design.cells={cells}", f"design.test_cells={cells}")
    simulation = world("demo", overrides, seed=seed).simulate()
    data = simulation.data
    model = PDAE(2, steps=steps, random_state=seed)
    say(f"fitting a PDAE to {listed(data.train.conditions)}")
    with showing(lambda: model.plan_.phases) as on_step:
        model.fit(data, checkpoint=checkpoint, on_step=on_step)
    say("judging predictions of " + listed(data.test.conditions))
    fresh = _FRESH_CELLS if cells is None else 2 * cells
    predicted = _PREDICTED_CELLS if cells is None else 2 * cells
    return DemoResult(
        seed=seed,
        simulation=simulation,
        model=model,
        verdicts=_verdicts(model, simulation),
        identification=identify(model, simulation, n=fresh, rng=seed),
        rows=evaluate(fitted_estimators(model, data), data, n_samples=None if cells is None else fresh, rng=seed),
        predictions=_predictions(model, data.test.conditions, predicted, seed),
    )


def _verdicts(model: PDAE, simulation: Simulation) -> dict[str, Verdict]:
    """A verdict per held-out condition, from labels and Ŵ alone."""
    train, test = simulation.data.train, simulation.data.test
    counts, W_hat = train.counts.tolist(), model.perturbation_matrix_
    judged = judge(train.labels, test.labels, counts=counts, perturbation_matrix=W_hat, information=model.information_)
    return dict(zip(test.conditions, judged, strict=True))


def _predictions(model: PDAE, conditions: Sequence[str], n: int, seed: int) -> dict[str, np.ndarray]:
    """Cells drawn from the model at every held-out condition."""
    root = _random.child(np.random.SeedSequence(seed), "predictions")
    return {c: model.sample(c, n, rng=_random.child(root, c)) for c in conditions}
