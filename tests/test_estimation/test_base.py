"""Parameters of estimators: read, changed, shown, and cloned by scikit-learn, which the library does not need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pdae_sim
from pdae_sim import PDAE
from pdae_sim.errors import InputError
from pdae_sim.estimation import (
    BASELINES,
    COMPOSITIONS,
    AdditiveVAE,
    AdversarialAutoencoder,
    ConditionalGenerator,
    Tilting,
)
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.baselines import Ceiling
from pdae_sim.estimation.phases import Phase
from pdae_sim.estimation.presets import PRESETS
from pdae_sim.protocols import Estimator, GenerativeModel

SMALL = Architecture(width=8, n_noise=2)
QUICK = [Phase("latents", 3, {"density_ratio": 1.0}, cells=8), Phase("decode", 3, {"reconstruction": 1.0}, cells=8)]
BRIEF = Phase("brief", 3, cells=8)

ESTIMATORS = [
    PDAE(2, architecture=SMALL, phases=QUICK, beta=0.5, random_state=3),
    PDAE(np.int64(2), phases=QUICK, random_state=np.int64(3)),
    PDAE(architecture=PRESETS["joint"].architecture, phases=PRESETS["joint"].phases),
    Tilting(PDAE(2, architecture=SMALL, phases=QUICK[:1]), random_state=1),
    ConditionalGenerator(2, architecture=SMALL, phase=BRIEF),
    AdversarialAutoencoder(3, architecture=SMALL, phase=BRIEF, dose_curve="sigmoid"),
    AdditiveVAE(3, architecture=SMALL, phase=BRIEF, beta=0.5),
    Ceiling(),
    *(baseline() for baseline in BASELINES.values()),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
class TestEveryEstimator:
    def test_scikit_learn_clones_it(self, estimator):
        clone = pytest.importorskip("sklearn.base").clone(estimator)
        assert clone is not estimator
        assert repr(clone) == repr(estimator)

    def test_what_was_given_is_given_back_as_it_came(self, estimator):
        params = estimator.get_params(deep=False)
        again = type(estimator)(**params)
        assert all(again.get_params(deep=False)[name] is value for name, value in params.items())

    def test_it_obeys_the_protocols(self, estimator):
        assert isinstance(estimator, Estimator)
        assert issubclass(type(estimator), Estimator)
        with pytest.raises(InputError, match="is not fitted"):
            estimator.space  # noqa: B018

    def test_an_unknown_parameter_is_refused_by_name(self, estimator):
        with pytest.raises(InputError, match=f"unknown parameter 'lambda_' of {type(estimator).__name__}"):
            estimator.set_params(lambda_=1)


def test_a_clone_fits_to_the_same_bits(simulation):
    clone = pytest.importorskip("sklearn.base").clone
    for estimator in (ESTIMATORS[0], ESTIMATORS[3]):
        first, second = estimator.fit(simulation.data), clone(estimator).fit(simulation.data)
        assert isinstance(first, GenerativeModel)
        assert np.array_equal(first.sample("A+B", 5, rng=0), second.sample("A+B", 5, rng=0))


def test_parameters_are_changed_by_name_and_checked():
    model = PDAE(2)
    assert model.set_params(beta=1.5, n_latents=3) is model
    assert (model.beta, model.n_latents) == (1.5, 3)
    with pytest.raises(InputError, match="beta must lie strictly between"):
        model.set_params(beta=2.0)


def test_parameters_of_an_estimator_within_another_are_reached_by_two_underscores():
    tilting = Tilting(PDAE(2))
    assert tilting.get_params()["representation__n_latents"] == 2
    assert tilting.set_params(representation__n_latents=4).representation.n_latents == 4
    assert "representation__n_latents" not in tilting.get_params(deep=False)


def test_what_differs_from_the_default_is_shown():
    assert repr(PDAE()) == "PDAE()"
    assert repr(Tilting(PDAE(2, beta=0.5))) == "Tilting(representation=PDAE(n_latents=2, beta=0.5))"


def test_no_estimator_imports_scikit_learn():
    files = Path(pdae_sim.__file__).parent.rglob("*.py")
    assert not [file for file in files if "import sklearn" in (text := file.read_text()) or "from sklearn" in text]


@pytest.mark.parametrize("name", [*BASELINES, *COMPOSITIONS, "Tilting"])
def test_what_is_not_fitted_says_so(name):
    estimator = Tilting() if name == "Tilting" else (BASELINES | COMPOSITIONS)[name]()
    with pytest.raises(InputError, match=r"not fitted; call fit\(data\)"):
        estimator.sample("A", 3)
