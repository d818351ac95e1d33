"""Class of identifiability: up to which maps the latents were identified, with the evidence.

Two maps are taken for the same if they differ by less than a `tolerance` τ of a standard deviation, root mean square:
an R² within τ², or singular values within 1 ± τ. Going down from the largest class, a smaller class is *as good* if the
upper end of what the larger adds is at most τ², *worse* if the lower end is above τ², else the cells do not tell. The
name is that of the smallest class reached through steps shown to be as good, and says whether the next was shown to be
worse.

Between affine and orthogonal two regressions are asked as well. Noise in the estimate lowers the singular values both
of the map to the estimate and of the map back, and opens a gap in R² even for a rotation. So an affine map is
called not orthogonal only where one of the two has a singular value above 1 beyond its sampling error; and it is called
so whatever the gap where one is above 1 + τ beyond its sampling error.

Whatever the class, it must explain more than a null by τ², else nothing is identified. Where the most flexible maps of
a null explain as much, as those of a random encoder do of few latents without noise, a smaller class may tell: it must
explain more than the null's by τ² and lack no more than a share τ of the variance, and is called *nearly* what it is.
Along no direction of the truth may the most flexible map be no better than the mean, else only a part is.

References:
    Theory, claims 2.2 and 2.3; Frisch (1934) and Klepper & Leamer (1984), Econometrica 52, for the bounds that two
    opposite regressions put on a relation between noisy variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pdae_sim import _random
from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import between
from pdae_sim._random import SeedLike
from pdae_sim.analysis._intervals import ratio_intervals
from pdae_sim.analysis.identifiability.nested_maps import MAP_CLASSES, NestedMaps
from pdae_sim.errors import InputError
from pdae_sim.intervals import Estimate

_EXACT = "identified exactly"
_SIGNED_PERMUTATION = "identified up to signed permutation"
_ORTHOGONAL = "identified up to orthogonal"
_AFFINE = "affine but not orthogonal"
_NONLINEAR = "nonlinear but not affine"
_IN_PART = "identified in part"
_NOT_IDENTIFIED = "not identified"

_NAMES = dict(zip(MAP_CLASSES, (_EXACT, _SIGNED_PERMUTATION, _ORTHOGONAL, _AFFINE, _NONLINEAR), strict=True))
"""Name by the smallest class that is as good as all larger ones."""

_AS_GOOD, _WORSE, _OPEN = "as good", "worse", "not told apart"


@dataclass(frozen=True)
class IdentifiabilityClass:
    """Up to which maps the latents were identified.

    Args:
        name: ``identified exactly``, ``identified up to signed permutation``, ``identified up to orthogonal``, ``affine
            but not orthogonal``, ``nonlinear but not affine``, ``identified in part``, ``not identified``, or, where
            the cells do not tell, ``identified up to affine; orthogonal not excluded`` and the like; ``nearly`` before
            it where only a class that lacks up to τ of the variance is beyond the null.
        map: The smallest class shown to be as good as all larger ones.
        decided: Whether the next smaller class was shown to be worse; where nothing, or a part, is identified, whether
            that was shown, and not only that the cells do not tell.
        beyond_null: R² of `map` less that of the null, which is the mean of the truth where none was given.
        reason: One sentence of evidence.

    Example:
        >>> from pdae_sim.analysis.identifiability.nested_maps import fit_nested_maps
        >>> z = np.random.default_rng(0).normal(size=(200, 2))
        >>> classify_identifiability(fit_nested_maps(z, z, rng=0), rng=0).map
        'identity'
    """

    name: str
    map: str
    decided: bool
    beyond_null: Estimate
    reason: str

    def to_json(self) -> dict[str, object]:
        """The fields as plain values."""
        return {**vars(self), "beyond_null": self.beyond_null.to_json()}


@checked_numbers
def classify_identifiability(
    maps: NestedMaps, *, null: NestedMaps | None = None, tolerance: float = 0.1, rng: SeedLike = None
) -> IdentifiabilityClass:
    """Name the class of maps up to which an estimate identifies the truth.

    Args:
        maps: Nested maps of the estimate.
        null: Nested maps of a null on the same cells with the same seed, such as a random encoder; the mean of the
            truth if None.
        tolerance: τ in (0, 1), in standard deviations of the truth.
        rng: Whatever `numpy.random.default_rng` takes; seeds the resampling.

    Raises:
        InputError: If the null was judged on other cells.

    Example:
        >>> from pdae_sim.analysis.identifiability.nested_maps import fit_nested_maps
        >>> z = np.random.default_rng(0).normal(size=(400, 2))
        >>> maps = fit_nested_maps(z @ np.array([[0.6, 0.8], [-0.8, 0.6]]), z, rng=0)
        >>> classify_identifiability(maps, rng=0).name
        'identified up to orthogonal'
    """
    tau = between("tolerance", tolerance, 0.0, 1.0)
    if null is not None and not np.array_equal(null.judged, maps.judged):
        raise InputError("null must be judged on the cells of the estimate; give both the same seed")
    root = _random.seed_sequence(rng)
    beyond_null = {
        name: _beyond(maps, null, place, _random.stream(root, "null")) for place, name in enumerate(MAP_CLASSES)
    }
    name, step = _descend(maps, tau)
    nearly = ""
    if beyond_null[name].low <= tau**2 and (below := _nearly(maps, name, tau, beyond_null)):
        name, step = _descend(maps, tau, below)
        nearly = "nearly "
    beyond = beyond_null[name]
    if beyond.low <= tau**2:
        shown = beyond.high <= tau**2
        words = "no better than the null" if shown else "not shown to be better than the null"
        return IdentifiabilityClass(_NOT_IDENTIFIED, name, shown, beyond, f"{_r2(maps, name)}, {words}")
    if maps.weakest.low <= 0:
        shown = maps.weakest.high <= tau**2
        return IdentifiabilityClass(
            _IN_PART, name, shown, beyond, f"R² {_shown(maps.weakest)} along its worst direction"
        )
    named = f"{nearly}{_named(name, step)}"
    return IdentifiabilityClass(named, name, step != _OPEN, beyond, _reason(maps, name, step))


def _compare(maps: NestedMaps, smaller: str, tolerance: float) -> str:
    """Whether a class is as good as the next larger one, worse, or not told apart from it."""
    gap, least = maps[smaller].defect, tolerance**2
    if smaller == "orthogonal":
        return _compare_orthogonal(maps, gap, tolerance)
    return _AS_GOOD if gap.high <= least else _WORSE if gap.low > least else _OPEN


def _compare_orthogonal(maps: NestedMaps, gap: Estimate, tolerance: float) -> str:
    above = max(maps.stretch.low, maps.shrinkage.low) - 1
    if above > tolerance or (above > 0 and gap.low > tolerance**2):
        return _WORSE
    return _AS_GOOD if gap.high <= tolerance**2 else _OPEN


def _nearly(maps: NestedMaps, name: str, tolerance: float, beyond_null: Mapping[str, Estimate]) -> str:
    """The largest smaller class that is beyond its null, if it lacks at most a share `tolerance` of the variance."""
    best = maps[MAP_CLASSES[-1]].r2.value
    for smaller in MAP_CLASSES[MAP_CLASSES.index(name) - 1 :: -1] if name != MAP_CLASSES[0] else ():
        if beyond_null[smaller].low > tolerance**2:
            return smaller if best - maps[smaller].r2.value <= tolerance else ""
    return ""


def _descend(maps: NestedMaps, tolerance: float, largest: str = MAP_CLASSES[-1]) -> tuple[str, str]:
    """The smallest class reached from `largest` by steps as good, and how the next smaller one compares with it."""
    top = MAP_CLASSES.index(largest)
    for smaller, name in zip(MAP_CLASSES[:top][::-1], MAP_CLASSES[top:0:-1], strict=True):
        step = _compare(maps, smaller, tolerance)
        if step != _AS_GOOD:
            return name, step
    return MAP_CLASSES[0], _WORSE


def _beyond(maps: NestedMaps, null: NestedMaps | None, position: int, rng: np.random.Generator) -> Estimate:
    lost = maps.spread if null is None else null.losses[position]
    return ratio_intervals((lost - maps.losses[position])[None], maps.spread, rng)[0]


def _named(name: str, step: str) -> str:
    if step != _OPEN:
        return _NAMES[name]
    return f"identified up to {name}; {MAP_CLASSES[MAP_CLASSES.index(name) - 1]} not excluded"


def _reason(maps: NestedMaps, name: str, step: str) -> str:
    if name == MAP_CLASSES[0]:
        return _r2(maps, name)
    smaller = MAP_CLASSES[MAP_CLASSES.index(name) - 1]
    words = f"{_r2(maps, name)}; {smaller} {step}: it explains {_shown(maps[smaller].defect)} less"
    if smaller != "orthogonal":
        return words
    return f"{words}, greatest singular values {_shown(maps.stretch)} there and {_shown(maps.shrinkage)} back"


def _r2(maps: NestedMaps, name: str) -> str:
    return f"{name} R² {_shown(maps[name].r2)}"


def _shown(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
