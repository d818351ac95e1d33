"""Every layer and family beside a twin in torch: values, Jacobians, volumes; and inverses."""

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim import strategies
from pdae_sim.errors import InputError
from pdae_sim.io._state import packed, unpacked
from pdae_sim.simulation.mixings import (
    FAMILIES,
    Affine,
    AffineCoupling,
    Curved,
    Fold,
    LinearTanh,
    Mixing,
    Orthonormal,
    Periodic,
    QuadraticShear,
    SinhArcsinh,
    SmoothLeaky,
    Spline,
    random_mixing,
)

EPS = np.finfo(float).eps
HONEST = [kind for kind, family in FAMILIES.items() if "injective" not in family.breaks]
VIOLATING = [kind for kind in FAMILIES if kind not in HONEST]


def rng(seed=0):
    return np.random.default_rng(seed)


seeds = st.integers(0, 2**32 - 1)
every_kind = pytest.mark.parametrize("kind", FAMILIES)
few = settings(max_examples=8)


# --- the twin: one row in, one row out, from the layer's public fields


def tensor(array):
    return torch.tensor(np.array(array))


def twin_spline(layer, z):
    soft = math.log(1e-3)
    widths, heights, slopes = (tensor(a) for a in (layer.widths, layer.heights, layer.derivatives))
    knots = [
        torch.cat([torch.full((len(a), 1), -layer.bound), layer.bound * (2 * a.cumsum(1) - 1)], 1)
        for a in (torch.softmax(a / (1 + (2 * a / soft).abs()), 1) for a in (widths, heights))
    ]
    ends = torch.ones(len(widths), 1)
    slopes = torch.cat([ends, torch.exp(slopes / (1 + (slopes / soft).abs())), ends], 1)
    out = z
    for k in range(widths.shape[1]):
        (x0, y0), (x1, y1) = ([a[:, j] for a in knots] for j in (k, k + 1))
        d0, d1, s = slopes[:, k], slopes[:, k + 1], (y1 - y0) / (x1 - x0)
        inside = (x0 < z) & (z <= x1)
        u = torch.where(inside, (z - x0) / (x1 - x0), 0.5)
        bent = y0 + (y1 - y0) * (s * u**2 + d0 * u * (1 - u)) / (s + (d0 + d1 - 2 * s) * u * (1 - u))
        out = torch.where(inside, bent, out)
    return out


def twin_coupling(layer, z):
    B, b, S, T = (tensor(a) for a in (layer.weights, layer.offsets, layer.scale, layer.shift))
    first, second = z[: B.shape[1]], z[B.shape[1] :]
    a = torch.tanh(B @ first + b)
    return torch.cat([first, second * torch.exp(layer.bound * torch.tanh(S @ a)) + T @ a])


def twin_shear(layer, z):
    C = tensor(layer.coefficients)
    first = z[: C.shape[1]]
    return torch.cat([first, z[C.shape[1] :] + torch.stack([first @ c @ first for c in C])])


def twin_curved(layer, z):
    B, b, C = (tensor(a) for a in (layer.weights, layer.offsets, layer.heights))
    return tensor(layer.Q) @ torch.cat([z, C @ torch.tanh(B @ z + b)]) + tensor(layer.bias)


def twin_first(bent):
    return lambda layer, z: torch.cat([bent(layer, z[: layer.count]), z[layer.count :]])


TWINS = {
    Orthonormal: lambda layer, z: layer.gain * tensor(layer.Q) @ z + tensor(layer.bias),
    Affine: lambda layer, z: tensor(layer.matrix) @ z + tensor(layer.bias),
    LinearTanh: lambda layer, z: layer.linear * z + layer.bend * torch.tanh(z),
    SmoothLeaky: lambda layer, z: (1 + layer.slope) / 2 * z + (1 - layer.slope) / 2 * ((z**2 + 1).sqrt() - 1),
    SinhArcsinh: lambda layer, z: torch.sinh(layer.tail * torch.asinh(z) + layer.skew),
    AffineCoupling: twin_coupling,
    QuadraticShear: twin_shear,
    Spline: twin_spline,
    Curved: twin_curved,
    Fold: twin_first(lambda f, u: f.offset + ((u - f.offset) ** 2 + f.width**2).sqrt()),
    Periodic: twin_first(lambda f, u: torch.sin(f.frequency * u) / f.frequency),
}


def twin(mixing):
    def f(z):
        for layer in mixing.layers:
            z = TWINS[type(layer)](layer, z)
        return z

    return f


def twin_jacobian(mixing, z):
    return torch.func.vmap(torch.func.jacrev(twin(mixing)))(torch.tensor(z)).numpy()


def layer_examples():
    """Layers that no family draws at its own difficulty, and one of each that some do."""
    r = rng(3)
    drawn = [
        layer
        for kind in FAMILIES
        for layer in random_mixing(3, 5, rng=r, kind=kind, embedding="curved" if kind == "linear" else "linear").layers
    ]
    more = [
        Affine(r.normal(size=(3, 3)), r.normal(size=3)),
        Affine(r.normal(size=(6, 3)), r.normal(size=6)),
        LinearTanh(1.0, 0.0),
        SinhArcsinh(0.7, 0.4),
        SinhArcsinh(1.0, -1.0),
        SinhArcsinh(2.0, 0.5),
        SmoothLeaky(0.1),
        AffineCoupling(*(r.normal(size=s) for s in ((4, 1), (4,), (2, 4), (2, 4))), bound=0.0),
        QuadraticShear(np.zeros((1, 2, 2))),
        Fold(0.4, 0.3, 2),
        Periodic(2.0, 3),
    ]
    return [*{type(layer): layer for layer in drawn}.values(), *more]


LAYERS = layer_examples()
every_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)


class TestLayers:
    def test_all_kinds_are_here(self):
        assert {type(layer) for layer in LAYERS} == set(TWINS)

    @every_layer
    def test_values_and_jacobians_are_the_twins(self, layer):
        d = layer.dimensions[0] or 3
        z, tangents = 1.5 * rng(1).normal(size=(40, d)), rng(2).normal(size=(40, d, 2))
        z.setflags(write=False)
        mixing = Mixing((layer,))
        x = torch.func.vmap(twin(mixing))(torch.tensor(np.array(z))).numpy()
        assert np.allclose(layer.forward(z), x, rtol=1e-12, atol=1e-12)
        J = twin_jacobian(mixing, np.array(z))
        assert np.allclose(layer.push(z, tangents), J @ tangents, rtol=1e-9, atol=1e-9)
        volume = np.linalg.slogdet(np.swapaxes(J, 1, 2) @ J)[1] / 2
        assert np.allclose(layer.log_det(z), volume, rtol=1e-9, atol=1e-9)

    @every_layer
    def test_fields_cannot_be_written_to(self, layer):
        held = [getattr(layer, field.name) for field in dataclasses.fields(layer)]
        assert not any(value.flags.writeable for value in held if isinstance(value, np.ndarray))

    def test_fields_are_copies(self):
        Q = np.eye(2)
        layer = Orthonormal(Q, np.zeros(2))
        Q[:] = 7
        assert np.array_equal(layer.Q, np.eye(2))

    @pytest.mark.parametrize(
        "layer",
        [layer for layer in LAYERS if type(layer) in (LinearTanh, SmoothLeaky, SinhArcsinh, Spline)],
        ids=lambda layer: type(layer).__name__,
    )
    def test_elementwise_layers_increase_strictly(self, layer):
        u = np.repeat(np.linspace(-8, 8, 4001)[:, None], 3, axis=1)
        assert (np.diff(layer.forward(u), axis=0) > 0).all()
        assert (layer.derivative(u) > 0).all()

    def test_a_strength_of_nothing_is_the_identity(self):
        u = rng().normal(size=(50, 3))
        zero = np.zeros((3, 4))
        still = [LinearTanh(1.0, 0.0), SmoothLeaky(1.0), SinhArcsinh(1.0), Spline(zero, zero, zero[:, 1:])]
        for layer in still:
            assert np.allclose(layer.forward(u), u, rtol=1e-13, atol=1e-15)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Affine(np.ones((2, 2)), np.zeros(2)), "full column rank"),
            (lambda: Affine(np.ones((1, 2)), np.zeros(1)), "full column rank"),
            (lambda: Affine(np.eye(2), np.zeros(3)), r"bias must have shape \(2,\)"),
            (lambda: Affine([["a"]], np.zeros(1)), "matrix must be an array of numbers"),
            (lambda: Affine([[np.nan]], np.zeros(1)), "matrix must be finite"),
            (lambda: Orthonormal(np.eye(2), 0.0), "bias must have 1 dimensions"),
            (lambda: LinearTanh(1.0, -0.5), "bend must be a finite number ≥ 0"),
            (lambda: SinhArcsinh(0.0), "tail must be positive"),
            (lambda: SinhArcsinh(1.0, math.nan), "skew must be finite"),
            (lambda: QuadraticShear(np.array([[[0.0, 1.0], [0.0, 0.0]]])), "symmetric"),
            (lambda: QuadraticShear(np.zeros((1, 0, 0))), "at least one coordinate on either side"),
            (lambda: AffineCoupling(np.zeros((3, 0)), np.zeros(3), np.zeros((1, 3)), np.zeros((1, 3))), "either side"),
            (lambda: Spline(np.zeros((1, 3)), np.zeros((1, 3)), np.zeros((1, 3))), r"derivatives must have shape"),
            (lambda: Curved(np.ones((2, 2)), np.zeros(2), [[1.0]], [0.0], [[1.0]]), "orthonormal columns"),
            (lambda: Fold(width=0.0), "width positive"),
            (lambda: Periodic(frequency=0.0), "frequency must be positive"),
        ],
    )
    def test_bad_fields_are_refused(self, make, message):
        with pytest.raises(InputError, match=message):
            make()


class TestFamilies:
    @every_kind
    @given(data=st.data(), seed=seeds)
    @few
    def test_values_jacobians_and_volumes_are_the_twins(self, kind, data, seed):
        mixing = data.draw(strategies.family_mixings(kind))
        z = rng(seed).normal(size=(8, mixing.n_latents))
        x = torch.func.vmap(twin(mixing))(torch.tensor(z)).numpy()
        J = twin_jacobian(mixing, z)
        size = 1 + np.abs(J).max()
        assert np.allclose(mixing(z), x, rtol=1e-10, atol=1e-10 * size)
        assert np.allclose(mixing.jacobian(z), J, rtol=1e-9, atol=1e-9 * size)
        s = np.linalg.svd(J).S
        gap = np.abs(mixing.log_volume(z) - np.log(s).sum(axis=1))
        assert (gap <= 1e-9 * np.maximum(s[:, 0] / s[:, -1] / 1e4, 1)).all()

    @pytest.mark.parametrize("kind", HONEST)
    @pytest.mark.parametrize("far", [1e-6, 1e-2, 1.0, 3.0])
    @given(data=st.data(), seed=seeds)
    @few
    def test_inverses_are_exact_on_the_image(self, kind, far, data, seed):
        """To ten digits, or to c · eps · cond · ‖x‖ where a member is too ill-conditioned there for ten."""
        mixing = data.draw(strategies.family_mixings(kind))
        z = far * rng(seed).normal(size=(20, mixing.n_latents))
        x = mixing(z)
        s = np.linalg.svd(mixing.jacobian(z), compute_uv=False)
        reach = 1e4 * EPS * (s[:, 0] + np.abs(x).max(axis=1)) / s[:, -1]
        gap = np.abs(mixing.inverse(x) - z).max(axis=1)
        assert (gap <= np.maximum(1e-10 * np.maximum(np.abs(z).max(axis=1), 1), reach)).all()

    @every_kind
    @given(data=st.data())
    @few
    def test_their_states_rebuild_them_exactly(self, kind, data):
        mixing = data.draw(strategies.family_mixings(kind))
        z = rng().normal(size=(4, mixing.n_latents))
        tree, arrays = packed(mixing.state())
        stored = {str(i): array for i, array in enumerate(arrays)}
        for state in (mixing.state(), unpacked(json.loads(json.dumps(tree)), stored)):
            again = Mixing.from_state(state)
            assert np.array_equal(again(z), mixing(z))
            assert again.breaks == mixing.breaks

    def test_arrays_stay_arrays_in_a_state(self):
        entry = random_mixing(2, 3, rng=rng()).state()[0]
        assert entry["kind"] == "orthonormal"
        assert isinstance(entry["Q"], np.ndarray)

    @every_kind
    @pytest.mark.parametrize("embedding", ["linear", "curved"])
    def test_they_break_what_they_say(self, kind, embedding):
        mixing = random_mixing(3, 6, rng=rng(), kind=kind, embedding=embedding)
        assert mixing.breaks == FAMILIES[kind].breaks
        assert (mixing.n_latents, mixing.n_observed) == (3, 6)
        assert mixing.injective is ("injective" not in mixing.breaks)

    @every_kind
    def test_latents_are_not_written_to(self, kind):
        mixing = random_mixing(3, 5, rng=rng(), kind=kind)
        z = rng().normal(size=(5, mixing.n_latents))
        before = z.copy()
        for compute in (mixing, mixing.jacobian, mixing.log_volume):
            compute(z)
        assert np.array_equal(z, before)

    def test_many_curved_observations_need_no_square_matrix(self):
        mixing = random_mixing(20, 1000, rng=rng(), kind="monotone", embedding="curved")
        assert max(a.size for layer in mixing.layers for a in vars(layer).values() if hasattr(a, "size")) <= 60_000


class TestViolations:
    @pytest.mark.parametrize("kind", VIOLATING)
    @pytest.mark.parametrize("embedding", ["linear", "curved"])
    def test_two_latents_share_an_observation(self, kind, embedding):
        mixing = random_mixing(3, 6, rng=rng(), kind=kind, embedding=embedding)
        turn, fold = mixing.layers[:2]
        z = rng(1).normal(size=(50, 3))
        other = turn.inverse(fold.twin(turn.forward(z)))
        assert (np.linalg.norm(other - z, axis=1) > 1e-3).all()
        assert np.allclose(mixing(other), mixing(z), rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize(("kind", "name"), [("folding", "Fold"), ("periodic", "Periodic")])
    def test_there_is_no_inverse(self, kind, name):
        mixing = random_mixing(2, 2, rng=rng(), kind=kind)
        with pytest.raises(InputError, match=f"the layer {name} is not injective"):
            mixing.inverse(np.zeros((1, 2)))

    @pytest.mark.parametrize("kind", [kind for kind in HONEST if kind not in ("coupling", "henon")])
    @given(data=st.data())
    @few
    def test_honest_latents_keep_their_distance(self, kind, data):
        """The negative control: no two of them come together."""
        mixing = data.draw(strategies.family_mixings(kind))
        z = 2 * rng().normal(size=(200, mixing.n_latents))
        z, other = z[:100], z[100:]
        gaps = np.linalg.norm(mixing(z) - mixing(other), axis=1) / np.linalg.norm(z - other, axis=1)
        assert (gaps > 0.01).all()

    def test_the_crease_has_no_volume(self):
        assert Fold(0.5).log_det(np.array([[0.5, 0.0]])).tolist() == [-math.inf]


class TestSplines:
    def test_without_zuko_the_fix_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "zuko", None)
        with pytest.raises(InputError, match=r"pip install 'pdae-sim\[flows\]'"):
            random_mixing(2, 2, rng=rng(), kind="spline")

    def test_neither_torch_nor_zuko_is_loaded_before_a_spline_computes(self):
        line = (
            "import numpy as np, sys; from pdae_sim.simulation.mixings import *; m = random_mixing(2, 3,"
            " rng=np.random.default_rng(0), kind='coupling', embedding='curved', nonlinearity=0.05);"
            " Spline(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 2))); print(*sys.modules)"
        )
        loaded = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True).stdout.split()
        assert not {"torch", "zuko"} & set(loaded)

    def test_slopes_meet_at_the_knots_and_curvatures_do_not(self):
        """Once continuously differentiable, and no more."""
        layer = Spline(*(rng(1).normal(size=(1, m)) for m in (5, 5, 4)))
        widths = np.exp(layer.widths / (1 + np.abs(2 * layer.widths / math.log(1e-3))))[0]
        knots = layer.bound * (2 * np.cumsum(widths / widths.sum())[:-1] - 1)
        h = 1e-5
        slope = {side: layer.derivative((knots + side * h)[:, None])[:, 0] for side in (-2, -1, 1, 2)}
        assert np.allclose(slope[-1], slope[1], rtol=1e-3)
        left, right = (slope[-1] - slope[-2]) / h, (slope[2] - slope[1]) / h
        assert (np.abs(left - right) > 0.01).any()
