"""Wrong arguments of all public functions: refused in a line, or as good as others; never another exception.

And right ones at extremes: finite in, finite out, or refused. ``PDAE_SIM_CAMPAIGN`` makes the slow campaigns larger.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import math
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from pdae_sim import PerturbationData
from pdae_sim._arguments import checked
from pdae_sim._random import SeedLike
from pdae_sim.analysis import hypothesis_tests as tests
from pdae_sim.errors import InputError
from tests.test_reliability.calls import calls
from tests.test_reliability.examples import data, world
from tests.test_reliability.mutations import SEED, SIZE, Tally

NAMES = [line.strip() for line in (Path(__file__).parents[1] / "public_names.txt").read_text().splitlines()]

ODD = {
    "None": lambda: None,
    "True": lambda: True,
    "-1": lambda: -1,
    "0": lambda: 0,
    "1.5": lambda: 1.5,
    "NaN": lambda: math.nan,
    "inf": lambda: math.inf,
    "2**70": lambda: 2**70,
    "1e300": lambda: 1e300,
    "complex": lambda: 1 + 2j,
    "text": lambda: "text",
    "bytes": lambda: b"\xff",
    "empty list": list,
    "empty mapping": dict,
    "object": object,
    "nested": lambda: [[1, 2], [3]],
    "0-d": lambda: np.array(1.0),
    "3-d": lambda: np.zeros((2, 2, 2)),
    "no rows": lambda: np.zeros((0, 2)),
    "no columns": lambda: np.zeros((3, 0)),
    "one row": lambda: np.ones((1, 2)),
    "NaN inside": lambda: np.full((4, 2), np.nan),
    "complex array": lambda: np.ones((4, 2)) + 1j,
    "texts": lambda: np.array(["a", "b"]),
    "objects": lambda: np.array([None, object()]),
    "dates": lambda: np.array(["2020-01-01"] * 2, "datetime64[D]"),
    "fractions": lambda: np.array([[Fraction(1, 3)] * 2] * 4),
    "tensor with a gradient": lambda: torch.ones(4, 2, requires_grad=True),
    "masked": lambda: np.ma.masked_array(np.ones((4, 2)), mask=np.eye(4, 2, dtype=bool)),
    "old generator": lambda: np.random.RandomState(0),
    "generator of texts": lambda: iter("ab"),
    "set": lambda: {"a"},
    "function": lambda: len,
    "negative seeds": lambda: [1, -1],
}

MAGNITUDES = (1e-320, 1e-300, 1e-200, 1e-150, 1e-40, 1e-8, 1e8, 1e20, 1e30, 1e40, 1e150, 1e200, 1e300)
KINDS = (np.float64, np.float32, np.float16, np.longdouble, np.int8, np.int64, np.uint8, np.bool_, object)

NOT_A_NUMBER_BY_MEANING = {
    "analysis.pearson_delta": "a change that is the same in all features has no correlation",
    "analysis.mean_r2": "means that do not vary have no R²",
    "analysis.identifiability.effect_angles": "no angle on the diagonal, or beside a shift of length zero",
    "analysis.identifiability.estimate_effects": "likewise",
}
LOSSES = ("energy_loss", "mean_distance", "distance_sum", "paired_distances", "marginal_sums")
"""Sums of tensors for training, which is told of one that is not finite by a name of its own."""


def trial(name: str, tally: Tally, call, exempt: bool, **changed: object) -> None:
    """Call with finite arguments: what comes out must be finite too."""
    tally.judge(name, lambda: call(**changed), lambda found: None if exempt else not_finite(found))


def leaves(value: object, depth: int = 0) -> Iterator[np.ndarray]:
    """All numbers of a result."""
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if isinstance(value, (float, int, np.ndarray, np.generic)) and not isinstance(value, bool):
        array = np.asarray(value)
        if array.dtype.kind in "fc":
            yield array
    elif dataclasses.is_dataclass(value) and not isinstance(value, type) and depth < 4:
        for each in dataclasses.fields(value):
            if each.name not in MAY_BE_INFINITE:
                yield from leaves(getattr(value, each.name, None), depth + 1)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from leaves(each, depth + 1)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from leaves(each, depth + 1)


MAY_BE_INFINITE = (
    "interval",
    "squared",
    "variances",
    "error",
    "degrees",
    "least_standard_error",
    "effective_cells",
    "value_interval",
    "slopes",
    "residual",
    "threshold",
    "by_bandwidth",
    "noise_gain",
    "margin",
)
"""Fields that are infinite by their meaning: no bound is known, or none is needed."""


def not_finite(found: object) -> str | None:
    return None if all(np.isfinite(leaf).all() for leaf in leaves(found)) else f"not finite: {str(found)[:80]}"


def cases(name: str) -> Iterator[tuple[str, str]]:
    for argument in calls()[name].arguments:
        for odd in ODD:
            yield argument, odd


def of_odd_arguments(name: str, tally: Tally, rng: np.random.Generator, share: float) -> Tally:
    for argument, odd in cases(name):
        if rng.random() < share:
            value = ODD[odd]()
            tally.judge(
                f"{name}({argument}={odd})", lambda a=argument, v=value: calls()[name](**{a: v}), lambda found: None
            )
    return tally


def of_magnitudes(name: str, tally: Tally, rng: np.random.Generator, share: float) -> Tally:
    call = calls()[name]
    exempt = name in NOT_A_NUMBER_BY_MEANING or name.endswith(LOSSES)
    for argument in call.scaled:
        plain = call.arguments[argument]
        plain = plain if isinstance(plain, torch.Tensor) else np.asarray(plain, float)
        for size in MAGNITUDES:
            for kind in KINDS:
                if rng.random() < share:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        try:
                            value = plain * size if isinstance(plain, torch.Tensor) else (plain * size).astype(kind)
                        except (TypeError, ValueError, OverflowError):
                            continue
                    if not np.isfinite(np.asarray(value, float)).all():
                        continue
                    trial(f"{name}({argument} * {size:g} as {kind.__name__})", tally, call, exempt, **{argument: value})
    return tally


SHARE = 0.05
"""Of all cases that are tried in `make test`."""


@pytest.mark.parametrize(
    ("campaign", "share"),
    [
        (of_odd_arguments, SHARE),
        (of_magnitudes, SHARE),
        pytest.param(of_odd_arguments, min(1.0, SIZE / 2000), marks=pytest.mark.slow),
        pytest.param(of_magnitudes, min(1.0, SIZE / 2000), marks=pytest.mark.slow),
    ],
)
def test_wrong_and_extreme_arguments_are_refused_or_as_good_as_others(campaign, share):
    tally, rng = Tally(), np.random.default_rng(SEED)
    for name in calls():
        campaign(name, tally, rng, share)
    print(tally)
    assert not tally.faults, f"{tally}\n" + "\n".join(tally.faults[:40])
    assert tally.refused > tally.clean / 5


@pytest.mark.parametrize(
    "case",
    [
        "simulation.world(overrides=0-d)",
        "simulation.Simulator.sample(labels=0-d)",
        "simulation.Simulator.sample(n=0-d)",
        "simulation.Simulator.sample(n=2**70)",
        "simulation.Simulator.sample(n=nested)",
        "simulation.designs.random_doses(low=1e300)",
        "simulation.designs.random_doses(high=2**70)",
        "simulation.designs.dose_grid(n_perturbations=2**70)",
        "simulation.designs.singles(n_perturbations=2**70)",
        "analysis.pooling_gain(target=fractions)",
        "analysis.hypothesis_tests.observation_fit(measurements=0-d)",
        "analysis.hypothesis_tests.additivity_tests(targets=0-d)",
        "analysis.identifiability.r2(fitted=fractions)",
        "analysis.identifiability.estimate_effects(z=negative seeds)",
        "energy.paired_distances(y=tensor with a gradient)",
        "contexts.in_contexts(covariates=generator of texts)",
    ],
)
def test_refused_in_a_line(case):
    name, argument, odd = re.match(r"(.*)\((.*)=(.*)\)", case).groups()
    with pytest.raises(InputError, match=argument):
        calls()[name](**{argument: ODD[odd]()})


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("analysis.identifiability.effect_angles", "shifts"),
        ("analysis.identifiability.joint_procrustes", "shifts"),
        ("labels.nearest_to_control", "labels"),
    ],
)
def test_fractions_are_numbers_as_others(name, argument):
    call = calls()[name]
    exact = np.vectorize(Fraction, otypes=[object])(np.asarray(call.arguments[argument], float))
    assert list(map(str, leaves(call(**{argument: exact})))) == list(map(str, leaves(call())))


def test_every_public_function_is_called():
    called = {inspect.unwrap(getattr(call.function, "__func__", call.function)) for call in calls().values()}
    missing = []
    for name in NAMES:
        module, _, last = name.rpartition(".")
        found = getattr(importlib.import_module(module), last)
        room = name.split(".")[1]
        if inspect.isfunction(found) and room not in WITHOUT and inspect.unwrap(found) not in called:
            missing.append(name)
    assert sorted(missing) == sorted(NOT_CALLED)


NOT_CALLED = {
    "pdae_sim.cli.main": "a whole program, in tests of the command line",
    "pdae_sim.estimation.fit_halves": "two whole fits a split",
    "pdae_sim.estimation.fit_replicates": "takes fits that are tried one by one",
    "pdae_sim.estimation.fit_restarts": "likewise",
    "pdae_sim.verdicts.in_words": "takes what is true or false",
}
WITHOUT = ("report", "strategies", "testing", "io", "study")
"""Rooms whose functions draw pictures, serve tests, or read and write files, which have campaigns of their own."""


def test_every_call_is_right():
    for name, call in calls().items():
        call(), name


@checked
def halved(x: np.ndarray, n: int = 2, *, rng: SeedLike = None, name: str | None = None) -> np.ndarray:
    """A function to be called wrongly."""
    if n == 3:
        raise TypeError("a bug")
    return x[:n] / 2


def unpickled(record: object) -> object:
    return pickle.loads(pickle.dumps(record))  # noqa: S301


class TestRecords:
    @pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array, sparse.coo_array])
    def test_hold_values_of_their_own(self, kind):
        x = kind(np.eye(4))
        data = PerturbationData.from_arrays(x, ["ctrl", "A"] * 2)
        if isinstance(x, np.ndarray):
            x[:] = 5.0
        else:
            x.data[:] = 5.0
        assert np.array_equal(data.x, np.eye(4))

    def test_are_read_only_also_when_they_were_pickled_or_copied(self):
        sound = [data(), world().latent, *world().mixing.layers, data().train]
        for record in (*sound, *map(unpickled, sound), *map(copy.deepcopy, sound)):
            fields = [getattr(record, each.name) for each in dataclasses.fields(record)]
            arrays = [value for value in fields if isinstance(value, np.ndarray)]
            assert not any(array.flags.writeable for array in arrays), record


@pytest.mark.parametrize("test", [tests.energy_test, tests.mmd_test, tests.two_sample_tests])
def test_no_p_value_comes_of_what_is_no_number(test):
    x, broken = np.random.default_rng(0).normal(size=(2, 20, 2))
    for value in (np.nan, np.inf, 1e200):
        broken[3, 1] = value
        sides = ({"A": x}, {"A": broken}) if test is tests.two_sample_tests else (x, broken)
        with pytest.raises(InputError):
            test(*sides, n_permutations=19, rng=0)


class TestTheCheck:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"x": None}, "x must be finite real numbers in rows, at least one; received None"),
            ({"x": np.ones(4), "n": "2"}, "n must be a whole number; received '2'"),
            ({"x": np.ones(2) + 1j}, "x must be plain real numbers; received complex numbers"),
            ({"x": np.ones(2, "datetime64[D]")}, "x must be plain real numbers; received dates or times"),
        ],
    )
    def test_names_the_argument(self, arguments, said):
        with pytest.raises(InputError) as refused:
            halved(**arguments)
        assert str(refused.value) == said

    def test_a_bug_stays_a_bug(self):
        with pytest.raises(TypeError, match="a bug"):
            halved(np.ones(3), 3)

    def test_what_python_says_of_a_call_stays(self):
        with pytest.raises(TypeError, match="unexpected keyword"):
            halved(np.ones(3), m=3)

    def test_half_and_extended_precision_are_computed_in_double(self):
        for kind in (np.float16, np.longdouble):
            assert halved(np.ones(3, kind)).dtype == np.float64
        assert halved(np.ones(3, np.float32)).dtype == np.float32

    def test_its_globals_are_those_of_the_function_so_that_examples_run(self):
        assert halved.__globals__ is globals()
        assert halved.__doc__ == "A function to be called wrongly."
