"""The zoo: every named world runs, is written and rebuilt; every violation breaks what it says it breaks."""

import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pdae_sim import Simulation
from pdae_sim.simulation.config import WorldConfig
from pdae_sim.simulation.simulator import Simulator
from pdae_sim.simulation.worlds import WORLDS, world

SMALL = ("design.cells=40", "design.test_cells=30")
NORMAN = ("design.total=2000", "mixing.n_observed=60")
HONEST = [name for name in WORLDS if not {*world(name, NORMAN if "norman" in name else ()).breaks} - {"diverse"}]


def small(name):
    return world(name, NORMAN if name == "norman-like" else SMALL)


@cache
def simulated(name):
    return small(name).simulate()


def additivity(config):
    """The greatest contrast of latent means that shifts leave at zero: m(A+B) − m(A) − m(B) + m(0), m(2A) − 2 m(A)."""
    m = config.simulator().mean
    contrasts = (m("A+B") - m("A") - m("B") + m("ctrl"), m("A:2") - 2 * m("A") + m("ctrl"))
    return max(np.abs(c).max() for c in contrasts)


def covariance_change(config):
    """How far the covariance of z under A, B or A+B is from that of control."""
    covariance = config.simulator().covariance
    return max(np.abs(covariance(c) - covariance("ctrl")).max() for c in ("A", "B", "A+B"))


def curvature_of_the_ratio(config):
    """Root mean square of log p_A − log p_0 about its best affine function of z (claim 2.1)."""
    simulator = config.simulator()
    drawn = simulator.sample(["ctrl"], 2000, rng=0)
    latent = simulator.latent
    ratio = latent.log_density(drawn.truth.z, [1, 0]) - latent.log_density(drawn.truth.z, [0, 0])
    kept = np.isfinite(ratio)
    design = np.column_stack([np.ones(kept.sum()), drawn.truth.z[kept]])
    return np.sqrt(np.mean((ratio[kept] - design @ np.linalg.lstsq(design, ratio[kept], rcond=None)[0]) ** 2))


def collision(config):
    """The greatest distance of two latents whose observations nearly coincide, over that of the observations."""
    simulator = config.simulator()
    z = np.random.default_rng(0).uniform(-3, 3, (40_000, 2))
    x = simulator.decode(z)
    distance, neighbour = cKDTree(x).query(x, k=2)
    return np.median(np.sort(np.linalg.norm(z - z[neighbour[:, 1]], axis=1) / distance[:, 1])[-400:])


def noise(config):
    """How much of x is not a function of z: the spread of x about f(z) over cells that share their latents."""
    simulator = config.simulator()
    first, second = (simulator.sample(["ctrl"], 500, rng=0) for _ in range(2))
    assert np.array_equal(first.truth.z, second.truth.z)
    streams = np.random.default_rng(1), np.random.default_rng(2)
    clean = simulator.decode(first.truth.z)
    draws = [simulator.observation.sample(clean, streams=_Always(rng)) for rng in streams]
    return np.abs(draws[0] - draws[1]).mean() / draws[0].std()


class _Always(dict):
    """Every stream is the same generator."""

    def __init__(self, rng):
        super().__init__()
        self._rng = rng

    def __missing__(self, name):
        return self._rng

    def within(self, place):
        return self


def kink(config):
    """The greatest jump of the second derivative of f along a line, in units of its greatest size elsewhere."""
    mixing = config.simulator().mixing
    t, step = np.linspace(-3, 3, 60_001, retstep=True)
    x = mixing(np.column_stack([t, 0.3 * t]))
    second = np.diff(x, 2, axis=0) / step**2
    return np.abs(np.diff(second[::20], axis=0)).max() / np.abs(second).max()


@cache
def of_the_honest_world(measure, n_observed):
    return measure(world("two-latents", (f"mixing.n_observed={n_observed}",)))


VIOLATIONS = {
    "splined": (kink, 0.2),
    "epistatic": (additivity, 0.5),
    "saturating": (additivity, 0.5),
    "hard-interventions": (covariance_change, 0.5),
    "variance-changes": (covariance_change, 0.5),
    "mechanism-changes": (covariance_change, 0.3),
    "heavy-tails": (curvature_of_the_ratio, 0.1),
    "laplace": (curvature_of_the_ratio, 0.1),
    "skewed": (curvature_of_the_ratio, 0.1),
    "bimodal": (curvature_of_the_ratio, 0.1),
    "folded": (collision, 20.0),
    "periodic": (collision, 20.0),
    "noisy": (noise, 0.05),
    "heteroscedastic": (noise, 0.05),
    "dropout": (noise, 0.05),
    "counts": (noise, 0.05),
    "proteins": (noise, 0.05),
}


class TestViolations:
    @pytest.mark.parametrize("name", VIOLATIONS)
    def test_it_breaks_a_property_that_the_honest_world_has(self, name):
        measure, least = VIOLATIONS[name]
        assert measure(world(name)) > least
        honest = of_the_honest_world(measure, 50 if name == "counts" else 10)
        assert honest < min(least / 2, 1e-8 if measure not in (collision, kink) else np.inf)

    def test_every_violating_world_is_among_them(self):
        assert {name for name in WORLDS if name not in HONEST} == {*VIOLATIONS, "norman-like"}

    @pytest.mark.statistical
    @pytest.mark.parametrize("name", ["epistatic", "hard-interventions", "variance-changes", "heavy-tails", "skewed"])
    def test_sampled_moments_are_those_of_the_oracle(self, name):
        simulator, n = world(name).simulator(), 40_000
        drawn = simulator.sample(["ctrl", "A", "A+B"], n, rng=0)
        for e, condition in enumerate(drawn.data.conditions):
            z = drawn.truth.z[drawn.data.environment == e]
            centred = z - simulator.mean(condition)
            products = centred[:, :, None] * centred[:, None, :]
            assert (np.abs(centred.mean(0)) <= 5 * z.std(0) / np.sqrt(n) + 1e-12).all()
            gap = np.abs(products.mean(0) - simulator.covariance(condition))
            assert (gap <= 5 * products.std(0) / np.sqrt(n) + 1e-12).all()


class TestZoo:
    @pytest.mark.parametrize("name", WORLDS)
    def test_it_is_written_rebuilt_to_draw_what_was_never_written_and_made_again(self, name, tmp_path):
        simulation = simulated(name)
        simulation.write(tmp_path / "world.h5ad")
        again = Simulation.read(tmp_path / "world.h5ad")
        first, second = (Simulator.from_state(s.simulator) for s in (simulation, again))
        unseen = ["+".join(simulation.data.names[:2]) + ":0.625"]
        assert np.array_equal(second.sample(unseen, 20, rng=5).data.x, first.sample(unseen, 20, rng=5).data.x)
        remade = WorldConfig.parse(again.config).simulate()
        assert np.array_equal(remade.data.x, simulation.data.x)
        assert remade.data.conditions == simulation.data.conditions

    @pytest.mark.parametrize("name", WORLDS)
    def test_its_assumptions_are_those_of_its_simulator(self, name):
        """Without drawing the mixing, or the f(z) that features are drawn to suit."""
        data, simulator = simulated(name).data, Simulator.from_state(simulated(name).simulator)
        assert small(name).assumptions() == simulator.assumptions(data.labels[~data.held_out])

    def test_their_assumptions_need_numpy_alone(self):
        """Listing the zoo draws no mixing and loads no library that would."""
        line = (
            "from pdae_sim.simulation import WORLDS, world; breaks = [world(name).breaks for name in WORLDS];"
            " import sys; print(*sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
        assert not {"scipy.linalg", "scipy.stats", "networkx", "torch", "pandas", "zuko"} & set(done.stdout.split())

    @pytest.mark.parametrize("name", WORLDS)
    def test_it_says_how_hard_it_is(self, name):
        assert WORLDS[name].difficulty.endswith(".")
        assert len(WORLDS[name].difficulty) > 20

    @pytest.mark.parametrize("name", HONEST)
    def test_honest_worlds_settle_what_is_in_the_span(self, name):
        verdicts = world(name).verdicts()
        assert verdicts
        assert all(verdict.guaranteed == verdict.in_span for verdict in verdicts.values())

    def test_the_demo_has_one_condition_for_each_verdict(self):
        assert [v.name for v in world("demo").verdicts().values()] == [
            "identified and supported",
            "identified, off support",
            "not identified",
        ]

    def test_planted_verdicts_are_the_true_ones(self):
        config = world("planted")
        design, _ = config.experiments()
        assert [v.in_span for v in config.verdicts().values()] == design.planted.tolist()

    def test_another_seed_is_another_world(self):
        first, second = (world("ten-latents", seed=s).simulator().latent.adjacency for s in (0, 1))
        assert not np.array_equal(first, second)

    def test_the_curved_world_meets_its_difficulty(self):
        """On fresh latents: median condition 4, a tenth of the variance beyond the best affine map."""
        from pdae_sim.simulation.mixings import condition_numbers, linear_r2

        simulator = world("curved").simulator()
        z = simulator.sample(["ctrl"], 20_000, rng=1).truth.z
        assert np.median(condition_numbers(simulator.mixing, z)) == pytest.approx(4.0, rel=0.05)
        assert 1 - linear_r2(simulator.mixing, z) == pytest.approx(0.1, abs=0.01)


class TestNormanLike:
    def test_its_shape(self):
        design, counts = world("norman-like").experiments()
        assert design.train.shape == (1 + 105 + 131 - 26, 105)
        assert len(design.test) == 26
        orders = design.labels.sum(1)
        assert [(orders == order).sum() for order in (0, 1, 2)] == [1, 105, 131]
        assert counts.sum() == 90_000
        assert counts[0] > 10 * np.median(counts)
        assert counts[1:].max() > 3 * counts[1:].min()

    def test_its_counts_are_normalised_and_logged(self):
        x = small("norman-like").simulate().data.x
        assert (x >= 0).all()
        assert np.allclose(np.expm1(x).sum(1), 1e4)
        assert (x == 0).mean() > 0.1
