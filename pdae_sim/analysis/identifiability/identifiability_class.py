"""Up to which maps were the latents identified? A name, with the evidence, by a rule that says what it compares.

Two maps are taken for the same if they differ by less than a `tolerance` τ of a standard deviation, root mean square:
an R² within τ², or singular values within 1 ± τ. Going down from the largest class, a smaller class is *as good* if the
upper end of what the larger adds is at most τ², *worse* if the lower end is above τ², else the cells do not tell. The
name is that of the smallest class reached through steps shown to be as good, and says whether the next was shown to be
worse.

Between affine and orthogonal two regressions are asked as well. Noise in the estimate lowers the singular values both
of the map to the estimate and of the map back, and opens a gap in R² even for a rotation. So an affine map is
called not orthogonal only where one of the two has a singular value above 1 beyond its sampling error; and it is called
so whatever the gap where one is above 1 + τ beyond its sampling error.

Whatever the class, it must explain more than a null by τ², else nothing is identified; and along no direction
of the truth may the most flexible map be no better than the mean, else only a part is.

References:
    Claims 2.2 and 2.3; Frisch (1934) and Klepper & Leamer (1984), Econometrica 52, for the bounds that two opposite
    regressions put on a relation between noisy variables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdae_sim import _random
from pdae_sim._checks import between
from pdae_sim.analysis._intervals import Interval, ratio_intervals
from pdae_sim.analysis.identifiability.nested_maps import MAPS, NestedMaps
from pdae_sim.errors import InputError

TOLERANCE = 0.1

EXACT = "identified exactly"
SIGNED_PERMUTATION = "identified up to signed permutation"
ORTHOGONAL = "identified up to orthogonal"
AFFINE = "affine but not orthogonal"
NONLINEAR = "nonlinear but not affine"
IN_PART = "identified in part"
NOT_IDENTIFIED = "not identified"

NAMES = dict(zip(MAPS, (EXACT, SIGNED_PERMUTATION, ORTHOGONAL, AFFINE, NONLINEAR), strict=True))
"""The outcome by the smallest class that is as good as all larger ones."""

AS_GOOD, WORSE, OPEN = "as good", "worse", "not told apart"


@dataclass(frozen=True)
class Outcome:
    """Up to which maps the latents were identified.

    Args:
        name: In words; one of `NAMES`, `IN_PART`, `NOT_IDENTIFIED`, or, where the cells do not tell, a class and the
            smaller one that is not excluded.
        map: The smallest class shown to be as good as all larger ones.
        decided: Whether the next smaller class was shown to be worse; where nothing, or a part, is identified, whether
            that was shown, and not only that the cells do not tell.
        beyond_null: R² of `map` less that of the null, which is the mean of the truth where none was given.
        reason: One sentence of evidence.
    """

    name: str
    map: str
    decided: bool
    beyond_null: Interval
    reason: str

    def to_json(self) -> dict:
        """The fields as plain values."""
        return {**vars(self), "beyond_null": self.beyond_null.to_json()}


def outcome(
    maps: NestedMaps, *, null: NestedMaps | None = None, tolerance: float = TOLERANCE, rng: object = 0
) -> Outcome:
    """Name the class of maps up to which an estimate identifies the truth.

    Args:
        maps: Of the estimate.
        null: Of a null on the same cells with the same seed, such as a random encoder; the mean of the truth if None.
        tolerance: τ in (0, 1), in standard deviations of the truth.
        rng: Of the resampling.

    Raises:
        InputError: If the null was judged on other cells.

    Example:
        >>> from pdae_sim.analysis.identifiability.nested_maps import nested_maps
        >>> z = np.random.default_rng(0).normal(size=(400, 2))
        >>> outcome(nested_maps(z @ np.array([[0.6, 0.8], [-0.8, 0.6]]), z)).name == ORTHOGONAL
        True
    """
    tau = between("tolerance", tolerance, 0.0, 1.0)
    if null is not None and not np.array_equal(null.judged, maps.judged):
        raise InputError("null must be judged on the cells of the estimate; give both the same seed")
    name, step = _descend(maps, tau)
    beyond = _beyond(maps, null, MAPS.index(name), _random.stream(_random.seed_sequence(rng), "null"))
    if beyond.low <= tau**2:
        shown = beyond.high <= tau**2
        words = "no better than the null" if shown else "not shown to be better than the null"
        return Outcome(NOT_IDENTIFIED, name, shown, beyond, f"{_r2(maps, name)}, {words}")
    if maps.weakest.low <= 0:
        shown = maps.weakest.high <= tau**2
        return Outcome(IN_PART, name, shown, beyond, f"R² {_shown(maps.weakest)} along its worst direction")
    return Outcome(_named(name, step), name, step != OPEN, beyond, _reason(maps, name, step))


def compare(maps: NestedMaps, smaller: str, tolerance: float) -> str:
    """Whether a class is as good as the next larger one, worse, or not told apart from it."""
    gap, least = maps[smaller].defect, tolerance**2
    if smaller == "orthogonal":
        return _compare_orthogonal(maps, gap, tolerance)
    return AS_GOOD if gap.high <= least else WORSE if gap.low > least else OPEN


def _compare_orthogonal(maps: NestedMaps, gap: Interval, tolerance: float) -> str:
    above = max(maps.stretch.low, maps.shrinkage.low) - 1
    if above > tolerance or (above > 0 and gap.low > tolerance**2):
        return WORSE
    return AS_GOOD if gap.high <= tolerance**2 else OPEN


def _descend(maps: NestedMaps, tolerance: float) -> tuple[str, str]:
    """The smallest class reached through steps as good, and how the next smaller one compares with it."""
    for smaller, name in zip(MAPS[-2::-1], MAPS[:0:-1], strict=True):
        step = compare(maps, smaller, tolerance)
        if step != AS_GOOD:
            return name, step
    return MAPS[0], WORSE


def _beyond(maps: NestedMaps, null: NestedMaps | None, rung: int, rng: np.random.Generator) -> Interval:
    lost = maps.spread if null is None else null.losses[rung]
    return ratio_intervals((lost - maps.losses[rung])[None], maps.spread, rng)[0]


def _named(name: str, step: str) -> str:
    if step != OPEN:
        return NAMES[name]
    return f"identified up to {name}; {MAPS[MAPS.index(name) - 1]} not excluded"


def _reason(maps: NestedMaps, name: str, step: str) -> str:
    if name == MAPS[0]:
        return _r2(maps, name)
    smaller = MAPS[MAPS.index(name) - 1]
    words = f"{_r2(maps, name)}; {smaller} {step}: it explains {_shown(maps[smaller].defect)} less"
    if smaller != "orthogonal":
        return words
    return f"{words}, greatest singular values {_shown(maps.stretch)} there and {_shown(maps.shrinkage)} back"


def _r2(maps: NestedMaps, name: str) -> str:
    return f"{name} R² {_shown(maps[name].r2)}"


def _shown(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
