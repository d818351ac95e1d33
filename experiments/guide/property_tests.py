"""Property tests of your own estimator: laws that must hold for every dataset, not for one.

An estimator is anything with `fit(data)` and `sample(condition, n, rng=…)`. `pdae_sim.strategies` draws worlds, labels
and datasets that [hypothesis](https://hypothesis.readthedocs.io) shrinks to the simplest that breaks a law.
"""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pdae_sim import PerturbationData, Simulator, energy_distance, strategies


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


def guide(examples: int = 50) -> None:
    # ## Laws of every estimator
    # A label and its text are the same condition, and the same seed gives the same cells. Hypothesis draws small
    # datasets (ties, single cells, odd names, controls that are absent) and looks for one that breaks the law.
    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(strategies.perturbation_data(), st.data())
    def a_condition_is_its_label(data, draw):
        assume(not data.held_out.all())
        label = draw.draw(strategies.labels(len(data.space), kind="float"))
        model = MeanShift().fit(data)
        assert np.array_equal(model.sample(label, 5, rng=0), model.sample(data.space.condition(label), 5, rng=0))

    a_condition_is_its_label()

    # ## A law with a known answer
    # Under a linear f means do add up, so that the estimator must be exact there: its prediction is as near to the
    # truth as two samples of the truth are to one another. Under a curved f there is no such law, and it fails.
    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(strategies.latent_models(n_perturbations=2), st.integers(0, 2**32 - 1))
    def it_is_exact_where_f_is_linear(latent, seed):
        simulator = Simulator.random(latent, n_observed=latent.n_latents + 1, kind="linear", rng=seed)
        names = simulator.space.names
        model = MeanShift().fit(simulator.sample(["ctrl", *names], 500, rng=seed).data)
        predicted, true = (
            model.sample("+".join(names), 500, rng=0),
            simulator.sample(["+".join(names)], 500, rng=1).data.x,
        )
        scale = np.sqrt(true.var(axis=0).sum())
        assert energy_distance(predicted / scale, true / scale, unbiased=True) < 0.1

    it_is_exact_where_f_is_linear()
    print("both laws hold")


if __name__ == "__main__":
    guide()
