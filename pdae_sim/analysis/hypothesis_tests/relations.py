"""What the product formula can be tested at, from labels alone."""

from __future__ import annotations

from pdae_sim._arguments import checked_numbers
from pdae_sim.analysis.hypothesis_tests._neighbours import additive_combinations
from pdae_sim.data import PerturbationData


@checked_numbers
def additive_relations(data: PerturbationData) -> dict[str, dict[str, float]]:
    """Measured combinations whose shift is a linear combination of others', with the coefficients of those.

    Args:
        data: Conditions, held-out or not; its cells are not looked at, so that labels without an X do.

    Returns:
        By condition what `additivity_tests` tests it against: α by condition, in the order of the tests. A dose is
        tested between the doses next to it, a combination against its parts at their own doses where these were
        measured.

    Example:
        >>> import numpy as np
        >>> data = PerturbationData.from_arrays(np.empty((4, 0)), ["ctrl", "A", "B", "A+B"])
        >>> additive_relations(data)
        {'A+B': {'A': 1.0, 'B': 1.0}}
        >>> additive_relations(PerturbationData.from_arrays(np.empty((4, 0)), ["ctrl", "A", "A:3", "A:5"]))
        {'A': {'A:3': 0.3333333333333333}, 'A:3': {'A': 0.5, 'A:5': 0.5}}
    """
    return additive_combinations(data)
