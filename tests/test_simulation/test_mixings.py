"""The stack of orthonormal maps and elementwise layers: it inverts, its Jacobians are right, its state rebuilds it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim import strategies
from pdae_sim.errors import InputError
from pdae_sim.simulation.mixings import (
    LinearTanh,
    Mixing,
    Orthonormal,
    SmoothLeaky,
    condition_numbers,
    random_mixing,
)

EPS = np.finfo(float).eps

seeds = st.integers(0, 2**32 - 1)


few = settings(max_examples=15)


def rng(seed=0):
    return np.random.default_rng(seed)


everywhere = pytest.mark.parametrize("far", [1e-3, 1.0, 1e3, 1e6])


class TestMixings:
    @everywhere
    @pytest.mark.parametrize("activation", ["tanh", "leaky", "linear"])
    @pytest.mark.parametrize("depth", [0, 1, 3])
    @pytest.mark.parametrize("n_observed", [3, 8])
    def test_every_member_inverts_to_ten_digits(self, activation, depth, n_observed, far):
        mixing = random_mixing(3, n_observed, rng=rng(depth), activation=activation, depth=depth)
        z = far * rng(1).normal(size=(200, 3))
        gap = np.linalg.norm(mixing.inverse(mixing(z)) - z, axis=1)
        assert (gap < 1e-10 * np.maximum(np.linalg.norm(z, axis=1), 1)).all()

    @everywhere
    @pytest.mark.parametrize("activation", ["tanh", "leaky"])
    @pytest.mark.parametrize("condition", [1.01, 10, 1e4, 1e8])
    def test_a_hard_member_inverts_to_its_condition(self, activation, condition, far):
        """Tolerance c · eps · cond, c = 100 for some ten operations on ten coordinates."""
        bend = LinearTanh(1 / (condition - 1)) if activation == "tanh" else SmoothLeaky(1 / condition)
        lift, turn = random_mixing(3, 6, rng=rng(), activation="tanh", depth=1).layers[::2]
        mixing = Mixing((lift, bend, turn))
        z = far * rng(1).normal(size=(200, 3))
        gap = np.linalg.norm(mixing.inverse(mixing(z)) - z, axis=1)
        assert (gap < 100 * EPS * condition * np.maximum(np.linalg.norm(z, axis=1), 1)).all()

    @few
    @given(st.integers(1, 4).flatmap(strategies.mixings), seeds)
    def test_drawn_mixings_invert(self, mixing, seed):
        z = rng(seed).normal(size=(20, mixing.layers[0].Q.shape[1]))
        gap = np.abs(mixing.inverse(mixing(z)) - z).max()
        assert gap < 1000 * EPS * condition_numbers(mixing, z).max() * (1 + np.abs(z).max())

    @pytest.mark.parametrize(
        "layer", [LinearTanh(0.3), LinearTanh(1e-6), LinearTanh(50.0), SmoothLeaky(0.25), SmoothLeaky(1.0)]
    )
    @given(u=st.floats(-1e8, 1e8))
    def test_layers_invert_and_increase(self, layer, u):
        x, low = layer.forward(np.array(u)), getattr(layer, "slope", None) or layer.linear
        assert abs(layer.inverse(x) - u) <= 50 * EPS * max(abs(u), 1) / low
        assert layer.forward(np.array(u + 1)) > x

    @pytest.mark.parametrize("bend", [LinearTanh(), LinearTanh(0.1, 0.4), SmoothLeaky(), SmoothLeaky(0.05)])
    def test_jacobians_by_central_differences(self, bend):
        """Their error is some h² + eps / h of their size."""
        lift, _, turn, _, last = random_mixing(3, 5, rng=rng(2)).layers
        mixing = Mixing((lift, bend, turn, bend, last))
        z, h = 2 * rng(3).normal(size=(300, 3)), 1e-5
        J = np.stack([(mixing(z + h * e) - mixing(z - h * e)) / (2 * h) for e in np.eye(3)], axis=-1)
        assert np.linalg.cond(J).max() > 1.05
        assert np.allclose(mixing.jacobian(z), J, rtol=1e-6, atol=1e-7)

    def test_slopes_are_those_of_the_formula(self):
        """The steepest is at the origin and the least far out for tanh; on either side for the leaky rectifier."""
        h = 1e-4
        for layer, steep, flat, slopes in (
            (LinearTanh(0.3), 0.0, 40.0, (0.3, 1.3)),
            (SmoothLeaky(0.25), 1e4, -1e4, (0.25, 1.0)),
        ):
            at = [(layer.forward(np.array(u + h)) - layer.forward(np.array(u - h))) / (2 * h) for u in (flat, steep)]
            assert np.allclose(at, slopes, rtol=1e-6)

    def test_a_linear_mixing_is_a_scaled_isometry(self):
        mixing = random_mixing(2, 5, rng=rng(), activation="linear", gain=2.0)
        z = rng(1).normal(size=(2, 2))
        assert np.linalg.norm(np.diff(mixing(z), axis=0)) == pytest.approx(2 * np.linalg.norm(np.diff(z, axis=0)))
        assert np.allclose(condition_numbers(mixing, z), 1)

    @few
    @given(st.integers(1, 3).flatmap(strategies.mixings))
    def test_its_state_is_json_and_rebuilds_it_exactly(self, mixing):
        again = Mixing.from_state(mixing.state())
        z = rng().normal(size=(4, mixing.layers[0].Q.shape[1]))
        assert np.array_equal(again(z), mixing(z))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n_observed": 2}, "n_observed must be at least n_latents = 3"),
            ({"activation": "relu"}, "activation must be one of tanh, leaky, linear"),
            ({"condition": 0.5}, "condition must be a finite number ≥ 1"),
            ({"nonlinearity": 1.0}, r"nonlinearity must lie in \[0, 1\)"),
            ({"kind": "stak"}, "kind must be one of linear, monotone, stack"),
            ({"embedding": "round"}, "embedding must be one of linear, curved"),
            ({"dpth": 2}, "unknown setting 'dpth' of the mixing 'stack'; did you mean 'depth'"),
            ({"width": 8}, "unknown setting 'width' of the mixing 'stack'"),
            ({"kind": "henon", "n_latents": 1}, "n_latents must be at least 2 for the mixing 'henon'; received 1"),
            ({"kind": "coupling", "n_latents": 1}, "n_latents must be at least 2 for the mixing 'coupling'"),
            ({"embedding": "curved", "n_observed": 3}, "n_observed must exceed n_latents = 3 for a curved embedding"),
            ({"kind": "folding", "folds": 4}, "folds must be at most n_latents = 3; received 4"),
            ({"kind": "spline", "bins": 1}, "bins must be a whole number ≥ 2"),
            ({"kind": "monotone", "sharpness": 0}, "sharpness must lie strictly between 0"),
            ({"condition": 2.0, "covariance": -np.eye(3)}, "covariance must be a symmetric positive definite matrix"),
            ({"depth": -1}, "depth must be a whole number ≥ 0"),
            ({"gain": 0.0}, "gain be positive"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(InputError, match=message):
            random_mixing(**{"n_latents": 3, "n_observed": 5, "rng": rng()} | options)

    def test_a_map_that_is_not_orthonormal_is_refused(self):
        with pytest.raises(InputError, match="orthonormal columns"):
            Orthonormal(np.ones((2, 2)), np.zeros(2))


def test_mixing_is_a_stack():
    """The first layer acts first."""
    lift = Orthonormal(np.array([[1.0], [0.0]]), np.array([1.0, 2.0]))
    assert Mixing((lift, SmoothLeaky(1.0)))(np.array([[3.0]])).tolist() == [[4.0, 2.0]]


def test_layers_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"layer 1 \(Orthonormal\) takes 2 coordinates and is given 3"):
        Mixing((Orthonormal(np.eye(3), np.zeros(3)), Orthonormal(np.eye(2), np.zeros(2))))


@pytest.mark.parametrize("z", [np.zeros((4, 2)), np.zeros(3)])
def test_latents_of_another_shape_are_refused(z):
    with pytest.raises(InputError, match=r"z must have shape \(n, 3\); received"):
        random_mixing(3, 5, rng=rng())(z)


def test_the_default_map_is_the_documented_one():
    """Worlds are told by their seed: these digits stay."""
    x = random_mixing(2, 4, rng=rng(7))(np.array([[0.5, -1.0]]))
    assert x[0].tolist() == pytest.approx(
        [1.5412611004392902, 2.300942777739498, 0.9637902797570441, 1.6741609261504995], rel=1e-12
    )
