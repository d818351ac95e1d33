"""The benchmark through noise: its worlds are what they say, and its table has a row for each."""

import numpy as np
import pytest

from experiments.benchmarks import noise
from experiments.benchmarks._outside import OUTSIDE, W
from experiments.noise_picture import picture


@pytest.mark.parametrize("name", OUTSIDE)
def test_worlds_outside_the_families_have_a_double_that_moves_with_its_latents(name):
    data, draw, matrix = OUTSIDE[name](0, 50)
    assert data.conditions == ("ctrl", "A", "B")
    assert np.array_equal(matrix, W)
    near, far = draw(np.zeros(2), 400, 0), draw(np.array([2.0, 0.0]), 400, 0)
    assert near.shape == (400, data.x.shape[1])
    assert np.linalg.norm(near.mean(0) - far.mean(0)) > 0.3


def test_a_named_world_gives_the_double_of_its_simulator(monkeypatch):
    monkeypatch.setattr(noise, "CELLS", 30)
    made = noise.named("noisy", 0)
    x = made.draw(np.zeros(2), 4000, 0)
    true = made.data.test.samples(0)
    assert np.abs(x.mean(0) - true.mean(0)).max() < 5 * (true.std(0) / np.sqrt(4000)).max() * 2


def test_a_row_says_who_is_ahead():
    found = {f"energy {name}": np.array(values) for name, values in {"pdae": [1, 2], "tilting": [2, 1]}.items()}
    found |= {"energy oracle": np.array([0.5, 0.5]), "gram_error": np.array([0.1, 0.2]), "seconds": np.ones(2)}
    found |= {"gram_oracle": np.array([0.1, 0.1])}
    found |= {"observation": np.array(["gaussian", "gaussian"]), "sure": np.array([True, True])}
    ((name, _, ratio, best, ahead, *_),) = noise.table({"noisy": found})
    assert (name, ratio, best, ahead) == ("noisy", "3.0", "tilting 1.5000", "1 of 2")


def test_an_efficient_estimate_of_w_has_the_error_of_its_means():
    W, rng = np.diag([2.0, 2.0]), np.random.default_rng(0)
    seen = noise.efficient_gram_error(W, np.eye(2), rng)
    assert 0.5 / np.sqrt(noise.CELLS) < seen < 5 / np.sqrt(noise.CELLS)
    assert noise.efficient_gram_error(W, np.eye(2) / 4, rng) == pytest.approx(2 * seen, rel=0.15)


@pytest.mark.slow
def test_the_picture_has_a_panel_for_the_truth_and_each_estimator():
    titles = [panel.get_title() for panel in picture(cells=60, steps=2).axes]
    assert [title.split(":")[0] for title in titles] == ["truth under A+B", "pdae", "tilting", "additive"]
