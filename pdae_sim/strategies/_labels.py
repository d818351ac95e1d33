"""Label spaces, doses, labels and the strings that spell them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from pdae_sim._checks import whole
from pdae_sim.labels import LabelSpace
from pdae_sim.strategies._numbers import UNITS, quotient


def label_spaces(*, min_size: int = 1, max_size: int = 4) -> st.SearchStrategy[LabelSpace]:
    """Label spaces; shrinks to few perturbations with short names. Names may hold separators and quotes.

    Args:
        min_size: Least number K of perturbations.
        max_size: Greatest K.

    Example:
        >>> from hypothesis import find
        >>> len(find(label_spaces(min_size=2), lambda space: True)) == 2
        True
    """
    alphabet = st.characters(categories=("Lu", "Ll", "Nd", "Pd", "Sm", "So"), include_characters=':"()')
    names = st.text(alphabet, min_size=1, max_size=6).filter(lambda name: name != "ctrl")
    return st.lists(names, min_size=min_size, max_size=max_size, unique=True).map(
        lambda unique: LabelSpace(tuple(unique))
    )


def doses(kind: str = "fraction", *, largest: int = 6) -> st.SearchStrategy[Any]:
    """Doses of one kind of number, negative ones included; shrinks to 0.

    Args:
        kind: One of `NUMBER_KINDS`.
        largest: Greatest magnitude of the numerator; the denominators are small.

    Example:
        >>> from hypothesis import find
        >>> find(doses("decimal"), lambda dose: 0 < dose < 1)
        Decimal('0.5')
    """
    return st.builds(quotient(kind), st.integers(-largest, largest), st.sampled_from(UNITS[kind]))


def labels(n_perturbations: int, *, kind: str = "fraction") -> st.SearchStrategy[tuple[Any, ...]]:
    """Labels (K,) as tuples of numbers of one kind; shrinks to the control.

    Args:
        n_perturbations: K.
        kind: One of `NUMBER_KINDS`.

    Example:
        >>> from hypothesis import find
        >>> find(labels(2, kind="int"), any) in {(0, 1), (1, 0)}
        True
    """
    return st.tuples(*[doses(kind)] * whole("n_perturbations", n_perturbations))


def conditions(space: LabelSpace) -> st.SearchStrategy[str]:
    """Condition strings of a label space, canonical or not; shrinks to the control.

    Example:
        >>> from hypothesis import find
        >>> find(conditions(LabelSpace(("A",))), lambda condition: "A" in condition)
        'A:1'
    """
    return spellings(space).map(lambda pair: pair[0])


@st.composite
def spellings(draw: st.DrawFn, space: LabelSpace) -> tuple[str, tuple[Fraction, ...]]:
    """A condition string beside the label it must be read as, planted.

    The string may list the parts in any order, pad them, spell out a dose of 1 or 0 and mention the control.

    Example:
        >>> from hypothesis import find
        >>> find(spellings(LabelSpace(("A",))), lambda pair: pair[1] == (2,))
        ('A:2', (Fraction(2, 1),))
    """
    chosen = draw(st.lists(st.sampled_from(range(len(space))), unique=True)) if len(space) else []
    amounts = [draw(doses("fraction")) if draw(st.booleans()) else Fraction(1) for _ in chosen]
    written = [
        _written(space, space.names[k], dose, draw(st.booleans())) for k, dose in zip(chosen, amounts, strict=True)
    ]
    if not written or draw(st.booleans()):
        written.insert(draw(st.integers(0, len(written))), space.control)
    joint = draw(st.sampled_from([space.separator, f" {space.separator} "]))
    known = dict(zip(chosen, amounts, strict=True))
    return joint.join(written), tuple(known.get(k, Fraction(0)) for k in range(len(space)))


def _written(space: LabelSpace, name: str, dose: Fraction, bare: bool) -> str:
    quoted = any(mark in name for mark in (space.separator, space.dose_separator, '"'))
    name = '"' + name.replace('"', '""') + '"' if quoted else name
    return name if dose == 1 and bare else f"{name}{space.dose_separator}{dose}"
