"""Property tests of your own estimator: laws that must hold for every dataset, not for one.

An estimator is anything with `fit(data)` and `sample(condition, n, rng=…)`. `check_estimator` tries the laws that every
one should obey; `pdae_sim.strategies` draws worlds, labels and datasets for laws of your own, which
[hypothesis](https://hypothesis.readthedocs.io) shrinks to the simplest that breaks them.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim import PerturbationData, Simulator, energy_distance, strategies
from pdae_sim.testing import CONTRACT_WORLDS, ContractError, check_estimator


class MeanShift:
    """Cells of the control, moved by the sum of the mean shifts of the singles in a condition."""

    def fit(self, data: PerturbationData) -> "MeanShift":
        self.space, train = data.space, data.train
        self.control = train.samples(train.reference)
        means = np.array([train.samples(e).mean(axis=0) for e in range(len(train.labels))])
        shifts = train.labels - train.labels[train.reference]
        self.effects = np.linalg.pinv(shifts) @ (means - means[train.reference])
        return self

    def sample(self, condition: object, n: int, *, rng: object = None) -> np.ndarray:
        rows = np.random.default_rng(rng).integers(len(self.control), size=n)
        return self.control[rows] + self.space.label(condition) @ self.effects


class Careless(MeanShift):
    """Effects in units of the spread of x, all of x."""

    def fit(self, data: PerturbationData) -> "Careless":
        super().fit(data).effects *= data.x.std() / data.train.x.std()
        return self


def guide(examples: int = 50) -> None:
    # ## Laws of every estimator
    # One seed gives one answer, held-out cells are never read, order, names and units do not matter, …: 21 laws on
    # small worlds. `pdae-sim check module:MeanShift` does the same from the command line.
    print(sum(each.held for each in check_estimator(MeanShift, CONTRACT_WORLDS)), "laws held, over all worlds")

    # A glance at held-out cells is told with the law, and with what was seen.
    try:
        check_estimator(Careless, laws=["held_out", "refit", "rotation"])
    except ContractError as error:
        print(error)

    # The laws that compare no samples hold on any data, of single cells, odd names and no control too. `reorderings`,
    # `contextual_data` and `simulations` (noisy or counted) draw further ones.
    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(strategies.perturbation_data().filter(lambda data: not data.held_out.all()))
    def it_obeys_on_any_data(data):
        check_estimator(MeanShift, data)

    it_obeys_on_any_data()

    # ## A law with a known answer
    # Under a linear f means do add up, so that the estimator must be exact there: its prediction is as near to the
    # truth as two samples of the truth are to one another. Under a curved f there is no such law, and it fails.
    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(strategies.latent_models(n_perturbations=2), st.integers(0, 2**32 - 1))
    def it_is_exact_where_f_is_linear(latent, seed):
        simulator = Simulator.random(latent, n_observed=latent.n_latents + 1, kind="linear", rng=seed)
        both = "+".join(names := simulator.space.names)
        model = MeanShift().fit(simulator.sample(["ctrl", *names], 500, rng=seed).data)
        predicted, true = model.sample(both, 500, rng=0), simulator.sample([both], 500, rng=1).data.x
        scale = np.sqrt(true.var(axis=0).sum())
        assert energy_distance(predicted / scale, true / scale, unbiased=True) < 0.1

    it_is_exact_where_f_is_linear()
    print("both laws hold")


if __name__ == "__main__":
    guide()
