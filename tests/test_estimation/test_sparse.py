"""Estimators fitted to sparse cells are those of the dense ones, bit for bit, and make no dense array of all cells."""

import copy

import numpy as np
import pytest
from scipy import sparse

from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation import PDAE
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._rows import SparseRows
from pdae_sim.study.evaluation import evaluate
from tests.test_estimation.test_base import ESTIMATORS

CONDITIONS = np.repeat(["ctrl", "A", "B", "A+B"], 60)


def counts() -> np.ndarray:
    rng = np.random.default_rng(0)
    effects = {"ctrl": 0.0, "A": 0.8, "B": -0.6, "A+B": 0.2}
    logs = np.array([effects[c] for c in CONDITIONS])[:, None] * np.array([1, -1, 0.5, 0, 1]) - 0.3
    return rng.poisson(np.exp(logs + 0.3 * rng.normal(size=(len(logs), 1)))).astype(np.float32)


def both(x: np.ndarray) -> tuple[PerturbationData, PerturbationData]:
    held_out = CONDITIONS == "A+B"
    dense, lean = (
        PerturbationData.from_arrays(cells, CONDITIONS, held_out=held_out) for cells in (x, sparse.csc_array(x))
    )
    return dense, lean


def whole(data: PerturbationData) -> list[str]:
    """Records that hold all cells as one array."""
    records = {"data": data, **{name: vars(data)[name] for name in ("train", "test") if name in vars(data)}}
    return [name for name, each in records.items() if "x" in vars(each)]


def spied(method, held: list):
    def spy(self, *arguments):
        held.append(type(self.x))
        return method(self, *arguments)

    return spy


def marked(estimator):
    long = repr(estimator).startswith("AdditiveVAE") or estimator is ESTIMATORS[2]
    return pytest.param(estimator, marks=[pytest.mark.slow] * long, id=type(estimator).__name__)


@pytest.mark.parametrize("estimator", [marked(each) for each in ESTIMATORS])
def test_every_estimator(estimator):
    dense, lean = both(counts())
    first, second = (copy.deepcopy(estimator).fit(data) for data in (dense, lean))
    condition = "A+B" if type(estimator).__name__ == "Ceiling" else "A:0.5"
    assert np.array_equal(first.sample(condition, 7, rng=0), second.sample(condition, 7, rng=0))
    assert not whole(lean)


@pytest.mark.parametrize(
    ("observation", "table"),
    [
        ("noiseless", counts()),
        ("gaussian_by_feature", counts()),
        ("dropout", np.sqrt(counts())),
        ("poisson", counts()),
        ("negative_binomial", np.log1p(counts())),
        ("log_normal", counts() + 1),
        pytest.param("auto", counts(), marks=pytest.mark.slow),
    ],
)
def test_every_observation_model(observation, table):
    dense, lean = both(table)
    first, second = (PDAE(1, observation=observation, steps=4).fit(data) for data in (dense, lean))
    assert np.array_equal(first.sample("A:0.5", 7, rng=0), second.sample("A:0.5", 7, rng=0))
    assert np.array_equal(first.encode(dense.stored), first.encode(lean.stored))
    assert np.array_equal(first.transport(dense.stored, "A", "B", rng=0), first.transport(lean.stored, "A", "B", rng=0))
    if observation != "log_normal":  # of which no cell is zero, hence none is sparse
        assert not whole(lean)


@pytest.mark.parametrize("observation", ["noiseless", "poisson"])
def test_large_sparse_cells_are_drawn_from_as_they_are_stored(observation, monkeypatch, tmp_path):
    dense, lean = both(counts())
    expected = PDAE(1, observation=observation, steps=4).fit(dense)
    monkeypatch.setattr("pdae_sim.estimation._rows._VALUES", 100)
    held = []
    monkeypatch.setattr("pdae_sim.estimation._training.Cells.batch", spied(Cells.batch, held))
    found = PDAE(1, observation=observation, steps=4).fit(lean, checkpoint=tmp_path / "c")
    assert set(held) == {SparseRows}
    assert np.array_equal(expected.perturbation_matrix_, found.perturbation_matrix_)
    assert np.array_equal(expected.sample("A:0.5", 7, rng=0), found.sample("A:0.5", 7, rng=0))
    again = PDAE(1, observation=observation, steps=4).fit(dense, checkpoint=tmp_path / "c")  # one mark for both
    assert np.array_equal(again.perturbation_matrix_, found.perturbation_matrix_)


def test_a_cell_that_is_no_count_is_refused_before_the_first_step(monkeypatch):
    x = np.repeat(counts(), 10, axis=0)
    x[-2, 0] = 0.5  # not one of the 2,000 that are looked at
    monkeypatch.setattr("pdae_sim.estimation._rows._VALUES", 100)
    data = PerturbationData.from_arrays(sparse.csr_array(x), np.repeat(CONDITIONS, 10))
    with pytest.raises(InputError, match=r"x holds a cell \(row \d+ of those given\) that is no table of counts"):
        PDAE(1, observation="poisson", steps=4).fit(data)


def test_an_evaluation():
    dense, lean = both(counts())
    pool = next(each for each in ESTIMATORS if type(each).__name__ == "Pool")
    rows = [evaluate({"pool": copy.deepcopy(pool).fit(data)}, data, rng=0) for data in (dense, lean)]
    assert rows[0] == rows[1]
    assert not whole(lean)


def test_estimators_that_know_no_sparse_cells_are_given_arrays():
    class Means:
        def fit(self, data):
            self.means = np.array([data.x[data.environment == e].mean(0) for e in range(len(data.labels))])
            return self

    dense, lean = both(counts())
    assert np.array_equal(Means().fit(dense).means, Means().fit(lean).means)


def test_a_scaling_in_blocks_is_that_of_the_whole(monkeypatch):
    from pdae_sim.estimation._scaling import Scaling

    dense, lean = both(counts())
    expected = Scaling.of(dense)
    monkeypatch.setattr("pdae_sim.estimation._scaling.BLOCK_ELEMENTS", 80)
    for data in (dense, lean):
        found = Scaling.of(data)
        np.testing.assert_allclose(found.centre, expected.centre, rtol=1e-13)
        np.testing.assert_allclose(found.scale, expected.scale, rtol=1e-13)
