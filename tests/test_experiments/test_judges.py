"""The judges of predictions: the page is that of the stored results, and the small run has its claims in sign."""

from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.benchmarks import judges
from experiments.benchmarks.judges import LAWS, METRICS, PLANTED, Exact, Screen, divergence, judged
from experiments.judges_page import RESULTS, page
from pdae_sim.report import render_page

STORED = json.loads((RESULTS / "judges.json").read_text(encoding="utf-8"))
BLIND = [PLANTED.index(error) for error in ("tiled mean", "features shuffled", "half the spread")]


def test_the_page_is_that_of_the_stored_results():
    assert (RESULTS / "judges.html").read_text(encoding="utf-8") == render_page(page(STORED))


def test_stored_results_say_what_made_them():
    made = STORED["counts"]["provenance"]
    assert made["command"] == "python -m experiments.benchmarks.judges"
    assert set(made) == {"command", "version", "date", "machine"}
    assert STORED["counts"]["worlds"] >= 20


@pytest.mark.statistical
def test_the_divergence_is_the_mean_log_ratio_of_exact_densities():
    screen = Screen("noiseless", 1)
    label, other = screen.test[0], screen.other(0)
    z = screen.simulator.encode(screen.draw(label, 4000, "check"))
    for _, law, each, exact in [*screen.graded(0)[:3], *screen.graded(0)[-3:]]:
        ratio = screen.simulator.latent.log_density(z, label) - law.latent.log_density(z, each)
        assert abs(ratio.mean() - exact) <= 4 * ratio.std() / np.sqrt(len(z)) + 1e-9
    x = screen.draw(label, 2000, "check")
    ratio = screen.simulator.log_density(x, label) - screen.simulator.log_density(x, other)
    exact = divergence(screen.simulator, label, screen.simulator, other)
    assert abs(ratio.mean() - exact) < 4 * ratio.std() / np.sqrt(len(x))


def test_metrics_of_means_do_not_see_laws_and_the_energy_distance_does():
    screen = Screen("noiseless", 1)
    known, exact = screen.measured(60)[0], Exact.of(screen, 0)
    assert len(exact.divergences) == 15  # the page says so
    found = judged(screen, known, exact, 60)
    order = list(METRICS)
    energy, means = order.index("energy distance (U)"), [i for i, name in enumerate(order) if name not in LAWS]
    assert found["power"][energy][PLANTED.index("tiled mean")] == 1
    assert found["wins"][energy].min() > 0.5
    assert found["power"][means][:, BLIND].mean() < 0.2
    assert found["wins"][order.index("distance of means"), PLANTED.index("tiled mean")] < 0.5
    assert abs(found["true"][energy]) < found["true"][order.index("energy distance (V)")] / 2
    assert (exact.distances > 0).all()


def test_the_right_sign_in_counts():
    """Exact optimal transport puts identical cells before true ones, whose noise it cannot match."""
    few = {n: found for n, found in STORED["counts"]["cells"].items() if int(n) <= 100}
    assert all(found["exact Wasserstein"]["wins"]["tiled mean"][0] < 0.1 for found in few.values())
    assert all(found["energy distance (U)"]["wins"]["tiled mean"][0] > 0.9 for found in few.values())


@pytest.mark.slow
def test_the_small_run_writes_its_results(tmp_path, capsys):
    judges.main(["--small", "--out", str(tmp_path / "judges.json")])
    found = json.loads((tmp_path / "judges.json").read_text(encoding="utf-8"))
    assert set(found) == set(judges.KINDS)
    assert "labels swapped" in capsys.readouterr().out
    render_page(page(found))
