"""Combinations of measured parts, composed where what perturbations do is no shift of the latents of a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pdae_sim import PDAE, PerturbationData, energy_distance
from pdae_sim.errors import InputError
from pdae_sim.estimation import DEFAULT, _composing, fit_halves
from pdae_sim.estimation._composing import COMPOSED, Composing, _pairs
from pdae_sim.estimation._kept_cells import KeptCells
from pdae_sim.estimation._validation import canonical

NAMES = ("ctrl", "A", "B", "A:2", "C")
N = 300


def data_of(conditions=NAMES, n: int = N, stretch: float = 0.0, seed: int = 0) -> PerturbationData:
    """Shifts of three features by A, B and C, each of which may stretch its own as well."""
    rng, blocks = np.random.default_rng(seed), []
    for name in conditions:
        doses = dict(part.partition(":")[::2] for part in name.split("+"))
        has = np.array([float(doses[part] or 1) if part in doses else 0.0 for part in "ABC"])
        blocks.append(rng.normal(size=(n, 3)) * (1 + stretch * has) + 2 * has)
    return PerturbationData.from_arrays(np.concatenate(blocks), np.repeat(conditions, n))


def fitted(stretch: float, **settings) -> PDAE:
    return PDAE(3, observation="noiseless", steps=60, **settings).fit(data_of(stretch=stretch))


@pytest.fixture(scope="module")
def shifted() -> PDAE:
    return fitted(0.0)


@pytest.fixture(scope="module")
def stretched() -> PDAE:
    return fitted(2.0)


class TestChoice:
    def test_a_model_that_is_right_predicts(self, shifted):
        assert not shifted.composing_.chosen
        assert shifted.source_at("A+B") == shifted.source_ == "pool"
        assert shifted._kept is None
        assert shifted.composing_.in_words().endswith("no misfit is seen")

    def test_cells_are_composed_where_perturbations_stretch(self, stretched):
        assert stretched.composing_.chosen
        fresh = data_of(("ctrl", "A+B"), n=2000, stretch=2.0, seed=9).samples(1)
        ours, models = (energy_distance(stretched.sample("A+B", 2000, rng=0, source=s), fresh) for s in (None, "pool"))
        assert ours < models / 2
        assert "sums of measured singles are composed" in stretched.composing_.in_words()

    @pytest.mark.parametrize(
        ("condition", "source"),
        [
            ("A+B", COMPOSED),
            ("A:2+B", COMPOSED),
            ("A+B+C", COMPOSED),
            ("A:1.5+B", "pool"),
            ("A", "pool"),
            ("A:3", "pool"),
        ],
    )
    def test_only_sums_of_measured_parts_are(self, stretched, condition, source):
        assert stretched.source_at(condition) == source

    def test_misfit_weighs_where_composed_cells_say_little(self):
        none, some = (Composing(("A+B",), (0.03,), (0.02,), (misfit,), ("A", "B")).chosen for misfit in (-0.1, 0.01))
        assert (none, some) == (False, True)

    def test_cells_are_composed_through_noise_too_and_the_model_draws_none_that_were_measured(self, monkeypatch):
        drawn: list[PerturbationData] = []
        real = _composing._redrawn
        monkeypatch.setattr(_composing, "_redrawn", lambda *given: drawn.append(real(*given)) or drawn[-1])
        data = data_of(stretch=2.0)
        noise = np.random.default_rng(1).normal(size=(len(data.x), 6)) / 4
        data = PerturbationData.from_arrays(
            np.hstack([data.x] * 2) + noise, np.array(data.conditions)[data.environment]
        )
        model = PDAE(3, observation="gaussian", steps=150).fit(data)
        assert model.source_.endswith("+tilting")
        assert model.source_at("A+B") == COMPOSED
        seen = {row.tobytes() for row in data.x.astype(np.float32)}
        assert drawn
        assert not any(row.tobytes() in seen for own in drawn for row in own.x.astype(np.float32))

    def test_a_combination_that_was_measured_is_never_composed(self):
        data = data_of((*NAMES, "A+B"), stretch=2.0)
        model = PDAE(3, observation="noiseless", steps=60).fit(data)
        assert "A+B" not in (model.composing_.conditions if model.composing_ else ())
        assert model.source_at("A+B") == "pool"

    def test_one_that_the_model_is_nearer_to_forbids_all(self):
        """A and B cancel together, which no composition of them shows."""
        data = data_of((*NAMES, "A+B"), stretch=2.0)
        x = data.x.copy()
        x[data.environment == data.conditions.index("A+B")] -= 8.0
        model = PDAE(3, observation="noiseless", steps=60).fit(replace(data, x=x))
        assert model.composing_ is None


class TestWhere:
    @pytest.mark.parametrize(
        "conditions", [("ctrl", "A"), ("ctrl", "A", "A:2"), ("ctrl", "A", "A+B", "A+C")], ids=" ".join
    )
    def test_nothing_is_asked_where_nothing_can_be_composed(self, conditions):
        assert PDAE(1, observation="gaussian", steps=2).fit(data_of(conditions)).composing_ is None

    def test_nor_of_contexts_nor_of_whole_numbers(self):
        told = {"names": ["A", "@K"], "control": "ctrl@H"}
        data = data_of(("ctrl", "A", "B"))
        labels = np.repeat([[0, 0], [1, 0], [0, 1]], N, axis=0).astype(float)
        contexts = PerturbationData.from_arrays(data.x, labels, **told)
        assert PDAE(2, observation="noiseless", steps=2).fit(contexts).composing_ is None
        counts = np.random.default_rng(0).poisson(5.0 + 5.0 * (data.labels @ np.ones((2, 3)))[data.environment])
        model = PDAE(1, observation="poisson", steps=2).fit(replace(data, x=counts.astype(float)))
        assert model.observation_.transform == "counts"
        assert model.composing_ is None

    def test_parts_of_few_cells_are_not_composed_neither_by_fits_to_halves(self):
        data = data_of(stretch=2.0)
        few = np.flatnonzero(data.environment == data.conditions.index("C"))[45:]
        data = data.rows(np.setdiff1d(np.arange(len(data.environment)), few))
        model = PDAE(3, observation="noiseless", steps=60).fit(data)
        halves = fit_halves(model, data, n_splits=1, rng=0).fits
        assert {fit.source_at("A+B") for fit in (model, *halves)} == {COMPOSED}
        assert {fit.source_at("A+C") for fit in (model, *halves)} == {"pool"}

    def test_nothing_is_asked_of_a_plan_of_ones_own(self):
        """Who names a plan wants to see what that plan predicts."""
        phases = tuple(replace(phase, steps=20) for phase in DEFAULT.phases)
        assert PDAE(3, observation="noiseless", phases=phases).fit(data_of(stretch=2.0)).composing_ is None

    def test_a_table_without_negatives_gets_none(self):
        data = data_of(stretch=2.0)
        model = PDAE(3, observation="noiseless", steps=60).fit(replace(data, x=np.maximum(data.x, 0.0)))
        model.composing_ = Composing(("A+B",), (1.0,), (0.1,), (0.0,), ("A", "B"))
        model._kept = KeptCells(model, canonical(replace(data, x=np.maximum(data.x, 0.0)).train))
        assert model.source_at("A+B") == COMPOSED
        assert model.sample("A+B", 1000, rng=0).min() == 0.0

    def test_nothing_is_asked_of_few_cells_or_unless_wanted(self):
        assert PDAE(1, observation="gaussian", steps=2).fit(data_of(n=40)).composing_ is None
        assert fitted(2.0, select=False).composing_ is None

    def test_left_out_combinations_decide_where_there_are_some(self):
        data = data_of(("ctrl", "A", "B", "C", "A+B", "A+C", "B+C"), n=60)
        model = PDAE(1, observation="gaussian", steps=2).fit(data)
        assert model.selection_ is not None
        assert model.composing_ is None

    def test_pairs_are_of_different_perturbations(self):
        data = canonical(data_of())
        pairs = {tuple(sorted(data.conditions[e] for e in pair)) for pair in _pairs(data)}
        assert len(pairs) == 4
        assert ("A", "A:2") not in pairs

    def test_pairs_do_not_depend_on_the_names_of_perturbations(self):
        data = canonical(data_of())
        renamed = canonical(PerturbationData.from_arrays(data.x, data.labels[data.environment], names=["C", "B", "A"]))
        of = [{frozenset(each.samples(e).sum() for e in pair) for pair in _pairs(each)} for each in (data, renamed)]
        assert of[0] == of[1]


class TestFiles:
    def test_a_loaded_model_composes_alike(self, stretched, tmp_path):
        stretched.save(tmp_path / "m")
        loaded = PDAE.load(tmp_path / "m")
        assert loaded.composing_ == stretched.composing_
        np.testing.assert_array_equal(loaded.sample("A+B", 50, rng=1), stretched.sample("A+B", 50, rng=1))

    @pytest.mark.parametrize("state", [{"apart": [0.1, 0.2]}, {"conditions": []}, {"price": [float("nan")]}])
    def test_a_record_that_does_not_go_together_is_refused(self, state):
        record = Composing(("A+B",), (0.1,), (0.1,), (0.1,), ("A", "B"))
        whole = record.to_json()
        assert Composing.from_json(whole) == record
        with pytest.raises((ValueError, InputError)):
            Composing.from_json(whole | state)

    def test_fits_to_halves_compose_cells_of_their_own(self, stretched):
        data = data_of(stretch=2.0)
        one, two = fit_halves(stretched, data, n_splits=1, rng=0).fits
        assert one.source_at("A+B") == two.source_at("A+B") == COMPOSED
        drawn = [{row.tobytes() for row in fit.sample("A+B", 30, rng=0)} for fit in (one, two)]
        assert not drawn[0] & drawn[1]
