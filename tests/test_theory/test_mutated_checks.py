"""Every deviation that a numerical check measures is seen to exceed its bound once an ingredient of the check is wrong.

An ingredient is a function that the check calls: of its chapter, of the worlds, of numpy or of scipy. One at a time,
what it returns is altered by a thousandth, unevenly, or by its sign. A measurement that no such fault reaches would
confirm nothing.
"""

import sys
from dataclasses import fields, is_dataclass, replace
from itertools import product
from types import FunctionType

import numpy as np
import pytest

from theory.claims import CLAIMS
from theory.energy import maps
from theory.engine.checker import assess
from theory.engine.instances import World, worlds
from theory.engine.record import Measurement
from theory.identifiability import diversity

NUMPY = [(np, "repeat"), (np, "outer"), *((np.linalg, name) for name in ("eigh", "lstsq", "pinv", "solve", "svd"))]
BY_HAND = {
    ("diversity", "flows"): lambda: diversity.measure(diversity.blinded(worlds(3)[2], 2)),
    ("energy_maps", "map"): lambda: maps.measure_map(worlds(3)[2], np.diag([1.0, 1.0, 1.01]), 1.0),
}
"""What only a model outside the claim makes fail: full rank and proportions are not lost by such faults."""
PLANTED = {
    ("error_propagation", "between"),
    ("error_propagation", "variation"),
    ("unknown_mixing", "left"),
    ("unknown_fields", "rotations"),
    ("lower_limits", "donsker_varadhan"),
    ("no_upper_limit", "pieces"),
    ("bounds", "ends"),
}
"""What is computed from methods of laws and plain arithmetic, no ingredient: the fault that the claim itself plants."""


def uneven(array):
    return array * (1 + 1e-3 * np.cos(1 + np.arange(array.size)).reshape(array.shape))


def negative(array):
    return -array


def altered(value, fault):
    """The value with the numbers in it altered; measurements stay as they are."""
    if isinstance(value, Measurement) or type(value) is bool:
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return fault(value)
    if isinstance(value, float | np.floating):
        return float(fault(np.array([value]))[0])
    if isinstance(value, tuple):
        return type(value)(*(altered(v, fault) for v in value)) if hasattr(value, "_fields") else _all(value, fault)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: altered(getattr(value, f.name), fault) for f in fields(value)})
    return value


def _all(values, fault):
    return tuple(altered(value, fault) for value in values)


def ingredients(claim):
    """Places (owner, name) of the functions that a check may call."""
    chapter = sys.modules[claim.check.__module__]
    called = [
        (chapter, name)
        for name, f in vars(chapter).items()
        if isinstance(f, FunctionType) and f.__module__.split(".")[0] in ("theory", "scipy")
        if f is not claim.check and not name.startswith(("measure", "_of"))
    ]
    own = sorted(called, key=lambda place: vars(chapter)[place[1]].__module__ != chapter.__name__)
    return [*own, (World, "unmix"), *NUMPY, (World, "shifts")]


def spoilt(original, fault, calls):
    """The function or property, with what it returns altered."""
    function = original.fget if isinstance(original, property) else original

    def wrong(*arguments, **options):
        calls.append(function)
        return altered(function(*arguments, **options), fault)

    return property(wrong) if isinstance(original, property) else wrong


def called(claim, monkeypatch):
    """What a sound check measures, and the ingredients that it calls."""
    calls = {place: [] for place in ingredients(claim)}
    with monkeypatch.context() as patch:
        for owner, name in calls:
            patch.setattr(owner, name, spoilt(vars(owner)[name], lambda value: value, calls[owner, name]))
        sound = claim.check()
    return sound, [place for place, times in calls.items() if times]


def failing(claim, place, fault, monkeypatch):
    """Which measurements fail when one ingredient is wrong, and how often it was called."""
    calls, (owner, name) = [], place
    with monkeypatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(owner, name, spoilt(vars(owner)[name], fault, calls))
        try:
            result = {m.name for m in claim.check() if not assess(m).passed}
        except (ArithmeticError, ValueError, np.linalg.LinAlgError):  # the fault broke the check before it measured
            result = set()
    return result, len(calls)


def fewer(claim, monkeypatch):
    """One world or two are enough to see a fault."""
    chapter = sys.modules[claim.check.__module__]
    for name in ("worlds", "structures"):
        if name in vars(chapter):
            every = vars(chapter)[name]
            monkeypatch.setattr(chapter, name, lambda n=4, every=every: every(min(n // 2, 2)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("claim", CLAIMS, ids=[claim.name for claim in CLAIMS])
def test_every_measurement_can_fail(claim, monkeypatch):
    fewer(claim, monkeypatch)
    sound, places = called(claim, monkeypatch)
    assert all(assess(m).passed for m in sound)
    left = {m.name for m in sound if not m.name.startswith("search_")}  # a search is told to be wrong by `check` itself
    for place, fault in product(places, (uneven, negative)):
        left -= failing(claim, place, fault, monkeypatch)[0] if left else set()
    assert all((claim.name, name) in BY_HAND or (claim.name, name) in PLANTED for name in left)
    planted = {m.name for m in claim.check(1.0) if not assess(m).passed} if left else set()
    hand = {name for name in left if (claim.name, name) in BY_HAND and not assess(BY_HAND[claim.name, name]()).passed}
    assert left <= hand | planted


class TestHarness:
    def test_a_check_that_measures_nothing_is_found_out(self, monkeypatch):
        idle = replace(CLAIMS[0], check=lambda: (Measurement("idle", 0.0, 1.0),))
        assert failing(idle, (np, "repeat"), uneven, monkeypatch) == (set(), 0)

    def test_faults_alter_numbers_only(self):
        value = (np.ones(3), 2.0, "name", True, 3)
        array, number, *rest = altered(value, uneven)
        assert np.abs(array - 1).max() > 1e-4
        assert number != 2.0
        assert rest == ["name", True, 3]
        assert altered(Measurement("m", 1.0, 1.0), negative) == Measurement("m", 1.0, 1.0)
