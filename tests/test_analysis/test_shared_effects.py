"""Claim 2.17 as a test: two contexts with mixings of their own, whose effects are the same and are not."""

import json

import numpy as np
import pytest

from pdae_sim import InputError, PerturbationData
from pdae_sim._json import plain
from pdae_sim.analysis._affinity import Affinity, affinity
from pdae_sim.analysis.hypothesis_tests import shared_effects_test
from pdae_sim.analysis.hypothesis_tests.shared_effects import _draws

W = np.array([[1.2, 0.0], [0.3, 1.0]])
LABELS = {"ctrl": (0, 0), "A": (1, 0), "B": (0, 1)}


def context(rng, W, *, n=250, gain=0.6, offset=0.0, names=tuple(LABELS)):
    """Cells with latents N(W l + offset, I), mixed by sinh after a rotation into five features."""
    Q = np.linalg.qr(rng.normal(size=(5, 2)))[0]
    z = rng.normal(size=(n * len(names), 2)) + offset + np.repeat([W @ LABELS[name] for name in names], n, axis=0)
    return PerturbationData.from_arrays(np.sinh(gain * z @ Q.T), np.repeat(names, n), no_control="ctrl" not in names)


class TestDistances:
    @pytest.mark.statistical
    def test_the_affinity_is_that_of_the_latents_whatever_the_mixing(self):
        """Squared distances of claim 2.14 in closed form, within 4 standard errors and a bias of 10 %."""
        rng = np.random.default_rng(0)
        for gain in (0.3, 1.0):
            data = context(rng, W, n=600, gain=gain)
            for e, f in ((0, 1), (0, 2), (1, 2)):
                truth = float(np.square(W @ np.subtract(*(list(LABELS.values())[i] for i in (e, f)))).sum())
                result = affinity(data.samples(e).astype(float), data.samples(f).astype(float), rng)
                assert abs(result.square - truth) < 4 * result.standard_error + 0.1 * truth

    def test_equal_laws_have_distance_zero(self):
        rng = np.random.default_rng(1)
        result = affinity(rng.normal(size=(200, 3)), rng.normal(size=(200, 3)), rng)
        assert abs(result.square) < 4 * max(result.standard_error, 0.01)

    def test_columns_that_do_not_vary_are_no_trouble(self):
        rng = np.random.default_rng(2)
        x = rng.normal(size=(120, 2)) * [1.0, 0.0]
        assert np.isfinite(affinity(x[:60], x[60:], rng).square)


@pytest.mark.statistical
def test_draws_have_the_spread_of_the_distances_and_what_pairs_share_of_a_condition():
    rng, sizes = np.random.default_rng(0), {"ctrl": 60, "A": 40, "B": 50}
    x = rng.normal(size=(150, 2))
    data = {"one": PerturbationData.from_arrays(x, np.repeat(list(sizes), list(sizes.values())))}
    influence = {name: rng.normal(size=n) for name, n in sizes.items()}
    pairs = [("ctrl", "A"), ("ctrl", "B"), ("B", "A")]
    measured = {(e, f): {"one": Affinity(1.0, influence[e], influence[f])} for e, f in pairs}
    draws = _draws(measured, data, 20_000, rng)[:, :, 0]
    squares = {name: (influence[name] ** 2).sum() / n**2 for name, n in sizes.items()}
    own = [squares[e] + squares[f] for e, f in pairs]
    assert draws.var(0) == pytest.approx(own, rel=0.05)
    covariances = np.cov(draws.T)[np.triu_indices(3, 1)]
    assert covariances == pytest.approx([squares["ctrl"], squares["A"], squares["B"]], abs=0.05 * max(own))


@pytest.mark.statistical
class TestTwoContexts:
    def test_shared_effects_pass_under_other_mixings_and_offsets(self):
        rng = np.random.default_rng(0)
        test = shared_effects_test({"one": context(rng, W), "two": context(rng, W, gain=0.2, offset=1.0)}, rng=0)
        assert not test.rejected()
        assert test.pairs == (("ctrl", "A"), ("ctrl", "B"), ("A", "B"))
        assert test.in_words().startswith("Gram matrices of shared effects (3 distances, one, two): no difference")

    def test_another_size_is_refuted_and_named(self):
        rng = np.random.default_rng(0)
        data = {"one": context(rng, W), "two": context(rng, W * [[0.3, 1.0]])}
        test = shared_effects_test(data, n_multipliers=199, rng=0)
        assert test.p_value == 1 / 200  # no draw is as large, and the observed one counts
        assert test.pairs[test.worst[0]] in {("ctrl", "A"), ("A", "B")}
        assert "unequal" in test.in_words()
        assert json.loads(json.dumps(plain(test.to_json())))["rejected"] is True

    def test_another_angle_is_refuted_where_sizes_are_equal(self):
        rng = np.random.default_rng(0)
        turned = W * [[1.0, 1.0], [1.0, -1.0]]  # B is turned to the other side, at its length
        test = shared_effects_test({"one": context(rng, W), "two": context(rng, turned @ [[1, 0], [0, 1]])}, rng=0)
        assert np.linalg.norm(turned, axis=0) == pytest.approx(np.linalg.norm(W, axis=0))
        assert test.rejected()
        assert test.pairs[test.worst[0]] == ("A", "B")

    def test_a_rotation_of_all_effects_is_none(self):
        """Claim 2.5: a rotation of the latents is not seen, nor need it be."""
        rng = np.random.default_rng(3)
        assert not shared_effects_test({"one": context(rng, W), "two": context(rng, W[::-1])}, rng=0).rejected()

    def test_three_contexts_are_compared_two_by_two(self):
        rng = np.random.default_rng(4)
        data = {"one": context(rng, W), "two": context(rng, W, names=("ctrl", "A")), "three": context(rng, 2.0 * W)}
        test = shared_effects_test(data, rng=0)
        assert test.rejected()
        assert 2 in test.worst[1:]
        assert np.isnan(test.squares[test.pairs.index(("ctrl", "B")), 1])

    @pytest.mark.slow
    def test_the_level_is_kept(self):
        """At most 12 % of 100 worlds at 5 %: three standard errors above."""
        rng = np.random.default_rng(5)
        p = [
            shared_effects_test({"one": context(rng, W), "two": context(rng, W)}, n_multipliers=199, rng=s).p_value
            for s in range(100)
        ]
        assert np.mean(np.array(p) <= 0.05) <= 0.12


class TestRefusals:
    def test_no_condition_in_two_contexts(self):
        rng = np.random.default_rng(0)
        data = {"one": context(rng, W, n=40, names=("ctrl", "A")), "two": context(rng, W, n=40, names=("ctrl", "B"))}
        with pytest.raises(InputError, match="no two conditions are measured in two contexts"):
            shared_effects_test(data, rng=0)

    def test_few_cells(self):
        rng = np.random.default_rng(0)
        with pytest.raises(InputError, match="cannot be tested: fewer than 30 cells"):
            shared_effects_test({"one": context(rng, W, n=20), "two": context(rng, W, n=20)}, rng=0)

    def test_conditions_too_far_apart(self):
        rng = np.random.default_rng(0)
        far = {name: context(rng, 9 * W, n=40, gain=0.1) for name in ("one", "two")}
        with pytest.raises(InputError, match="too far apart to overlap"):
            shared_effects_test(far, rng=0)

    def test_pairs_are_as_many_as_fit_those_of_the_control_first(self):
        rng = np.random.default_rng(0)
        data = {name: context(rng, W, n=100) for name in ("one", "two")}
        assert shared_effects_test(data, max_pairs=2, rng=0).pairs == (("ctrl", "A"), ("ctrl", "B"))
