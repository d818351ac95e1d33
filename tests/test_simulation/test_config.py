"""Worlds from TOML: what is not known, not read or not possible is refused in one line, and the rest is resolved."""

import numpy as np
import pytest

from pdae_sim.errors import InputError
from pdae_sim.simulation.config import WorldConfig
from pdae_sim.simulation.worlds import world


class TestConfiguration:
    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ({"mixing": {"dpth": 3}}, "unknown key 'mixing.dpth'; did you mean 'depth'"),
            ({"mixing": {"kind": "coupling", "gain": 3}}, "unknown key 'mixing.gain'"),
            ({"mixing": {"kind": "couplng"}}, "mixing.kind must be one of linear, .*coupling"),
            (
                {"observation": {"kind": "gaussian", "sclae": 3}},
                "unknown key 'observation.sclae'; did you mean 'scale'",
            ),
            ({"observation": [{"kind": "log1p"}, {"kind": "clr", "x": 1}]}, "unknown key 'observation.x'"),
            ({"observation": {"kind": "gausian"}}, "observation must be one of"),
            ({"design": {"kind": "singles", "rank": 2}}, "unknown key 'design.rank'"),
            ({"design": {"kind": "single"}}, "design.kind must be one of given, singles"),
            ({"design": {"cels": 4}}, "unknown key 'design.cels'; did you mean 'cells'"),
            ({"laten": {}}, "unknown key 'laten'; did you mean 'latent'"),
            ({"latent": {"grph": "tree"}}, "unknown key 'latent.grph'; did you mean 'graph'"),
        ],
    )
    def test_unknown_keys_are_refused_with_a_suggestion(self, table, message):
        with pytest.raises(InputError, match=message):
            WorldConfig.parse(table)

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ({"latent": {"graph": "treee"}}, "latent: graph must be one of"),
            ({"latent": {"noise": {"kind": "student_t", "df": 2}}}, "df must"),
            ({"latent": {"departures": {"epistass": 1}}}, "latent: departure must be one of epistasis"),
            ({"latent": {"covariance": [[1, 0], [0, 1]]}}, "covariance needs perturbation_matrix"),
            *(
                ({"latent": {"covariance": [[1.0]], "perturbation_matrix": W}}, "latent.perturbation_matrix must have")
                for W in ([], [[]], [[1.0], [1.0, 2.0]], [[1.0], []])
            ),
            ({"latent": {"targets": [[1.0]]}}, "targets must have shape"),
            ({"mixing": {"depth": -1}}, "mixing: depth must be a whole number"),
            ({"mixing": {"n_observed": 1}}, "mixing: n_observed must be at least n_latents = 2"),
            ({"mixing": {"kind": "linear", "nonlinearity": 0.5}}, "mixing: nonlinearity"),
            ({"observation": {"kind": "gaussian"}}, "needs exactly one of scale and snr"),
            ({"design": {"kind": "planted", "n_environments": 2, "rank": 3}}, "design: rank must be at most"),
            ({"design": {"kind": "singles", "train": ["ctrl"]}}, "design.train is not read with kind"),
            ({"design": {"train": ["ctrl", "Z"]}}, "design: unknown perturbation 'Z'"),
            ({"design": {"train": ["ctrl", "A"], "total": 1, "control_excess": 1.0}}, "design: every environment"),
        ],
    )
    def test_settings_that_cannot_be_met_name_their_table(self, table, message):
        with pytest.raises(InputError, match=message) as refusal:
            WorldConfig.parse(table).simulate()
        assert "\n" not in str(refusal.value)

    def test_a_covariance_and_a_matrix_are_taken_as_they_are(self):
        Sigma, W = [[2.0, 0.5], [0.5, 1.0]], [[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]]
        model = WorldConfig.parse({"latent": {"covariance": Sigma, "perturbation_matrix": W}}).latent_model()
        assert np.allclose(model.covariance, Sigma)
        assert np.allclose(model.perturbation_matrix, W)

    def test_a_covariance_keeps_the_noise_and_the_departures_asked_for(self):
        table = {"covariance": [[2.0, 0.5], [0.5, 1.0]], "perturbation_matrix": [[1.0, 2.0], [0.0, 1.0]]}
        world = WorldConfig.parse({"latent": {**table, "noise": "laplace", "departures": {"epistasis": 1.0}}})
        simulator = world.simulator()
        assert simulator.assumptions().broken == ("additive", "gaussian")
        assert simulator.names == ("A", "B")

    @pytest.mark.parametrize(
        ("unread", "message"),
        [({"graph": "chain"}, "leave nothing to graph"), ({"n_latents": 7}, "n_latents = 7 disagrees")],
    )
    def test_a_covariance_refuses_what_it_leaves_nothing_to(self, unread, message):
        table = {"covariance": [[2.0, 0.5], [0.5, 1.0]], "perturbation_matrix": [[1.0, 2.0], [0.0, 1.0]]}
        with pytest.raises(InputError, match=message):
            WorldConfig.parse({"latent": {**table, **unread}}).simulator()

    @pytest.mark.parametrize(
        ("table", "key"),
        [
            ({"latent": {"perturbation_matrix": [[9.0]]}}, "latent.perturbation_matrix is not read without covariance"),
            ({"latent": {"adjacency": [[0.0, 0.0], [1.0, 0.0]], "graph": "chain"}}, "latent.graph is not read beside"),
            ({"latent": {"graph": "chain", "degree": 3.0}}, "latent.degree is not read with graph = 'chain'"),
            ({"latent": {"layers": 3}}, "latent.layers is not read"),
            ({"latent": {"base": "full", "graph": "tree"}}, "latent.graph is not read with base = 'full'"),
            ({"latent": {"density": 0.5}}, "latent.density is not read without targets = 'sparse'"),
            (
                {"latent": {"targets": [[1.0, 0, 0], [0, 1, 0]], "shift": 2.0}},
                "latent.shift is not read beside a matrix",
            ),
            ({"design": {"control_excess": 2.0}}, "design.control_excess is not read without total"),
            ({"design": {"cells": 9, "total": 90}}, "design.cells is not read beside total"),
            ({"design": {"kind": "singles", "train": ["A"]}}, "design.train is not read with kind = 'singles'"),
        ],
    )
    def test_a_key_that_nothing_would_read_is_refused(self, table, key):
        with pytest.raises(InputError, match=key):
            WorldConfig.parse(table)

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            (
                {"latent": {"noise": {"kind": "student_t", "dof": 3}}},
                "latent: noise student_t: unknown setting 'dof'; did you mean 'df'",
            ),
            ({"latent": {"noise": {"kind": ["student_t"]}}}, "latent: unknown kind"),
            ({"latent": {"targets": [[1.0, 0.0, 0.0], [0.0, 1.0]]}}, "latent: a setting has the wrong type"),
            ({"mixing": {"gain": "x"}}, "mixing: gain must be a finite number; received 'x'"),
            ({"design": {"kind": "singles_and_doubles", "pairs": 3}}, "design: pairs must be a list"),
            ({"design": {"kind": "random_doses", "n_environments": 3, "high": 1e12}}, "design: "),
            ({"observation": {"kind": "log_normal", "baseline": "a"}}, "observation: a setting has the wrong type"),
            ({"observation": {"kind": "heteroscedastic", "snr": 10, "slope": 1e160}}, "slope is too large"),
            ({"design": {"names": ["A"]}}, "design.names must name all 3"),
            ({"design": {"names": ["A", "A", "B"]}}, "design.names: perturbation names must differ"),
            ({"design": {"names": ["A\0", "C", "B"]}}, "design.names: a perturbation name must be .*printable"),
            ({"design": {"train": ["ctrl", "A:1e308"]}}, "cells: x must be finite"),
            ({"latent": {"n_latents": True}}, "latent.n_latents: input should be a valid integer; received True"),
            ({"design": {"cells": "50"}}, "design.cells: input should be a valid integer; received '50'"),
            ({"latent": {"noise": 3}}, "latent.noise: input should be a valid dictionary; received 3"),
        ],
    )
    def test_wrong_types_and_sizes_are_one_line(self, table, message):
        with pytest.raises(InputError, match=message) as refusal:
            WorldConfig.parse(table).simulate()
        assert "\n" not in str(refusal.value)

    def test_what_is_given_is_normalised_too(self):
        chain = {"adjacency": [[0, 0, 0], [2.0, 0, 0], [0, 2.0, 0]], "noise_variances": [4.0, 4.0, 4.0]}
        given = {"n_latents": 3, "n_perturbations": 3, "normalise": True}
        for table in (chain, {"adjacency": chain["adjacency"]}, {"noise_variances": chain["noise_variances"]}):
            model = WorldConfig.parse({"latent": {**given, **table}}).latent_model()
            assert np.allclose(np.diag(model.covariance), 1.0)
        plain = WorldConfig.parse({"latent": {**given, "adjacency": chain["adjacency"], "normalise": False}})
        assert plain.latent_model().noise_variances.tolist() == [1.0, 1.0, 1.0]

    @pytest.mark.parametrize("kind", ["epistasis", "saturation", "variance", "mechanism"])
    def test_a_departure_of_strength_zero_is_none(self, kind):
        assert world("two-latents", (f"latent.departures.{kind}=0.0",)).breaks == ()
        assert world("two-latents", (f"latent.departures.{kind}=0.1",)).breaks != ()

    @pytest.mark.parametrize("order", [["saturation", "do"], ["do", "saturation"]])
    def test_the_order_of_a_files_keys_is_no_input(self, order):
        departures = dict.fromkeys(order, 1.0)
        model = WorldConfig.parse({"latent": {"departures": departures}}).latent_model()
        assert [type(part).__name__ for part in model.departures] == ["Saturation", "Do"]

    def test_a_signal_to_noise_ratio_is_met(self):
        simulator = world("noisy").simulator()
        clean = simulator.decode(simulator.sample(["ctrl"], 40_000, rng=3).truth.z)
        ratio = clean.var(0).sum() / (clean.shape[1] * simulator.observation.scale**2)
        assert ratio == pytest.approx(10.0, rel=0.1)

    def test_resolved_settings_hold_the_defaults(self):
        assert world("demo").resolved()["mixing"]["gain"] == 1.4
        assert world("curved").resolved()["mixing"]["curvature"] == 1.0
        assert world("counts").resolved()["observation"][0]["dispersion"] == 0.3
        assert world("doses").resolved()["design"]["step"] == 0.125
        assert world("heavy-tails").resolved()["latent"]["noise"] == {"kind": "student_t", "df": 5.0}

    def test_cells_are_shared_out(self):
        table = {"design": {"kind": "singles", "total": 1000, "control_excess": 2.0, "spread": 0.5, "test": ["A+B"]}}
        design, counts = WorldConfig.parse(table).experiments()
        assert counts.sum() == 1000
        assert counts[0] == 400
        assert len(counts) == len(design.labels) == 5
        table["design"]["test_cells"] = 77
        assert WorldConfig.parse(table).experiments()[1][-1] == 77
