"""Corrupted claims are noticed by `python -m theory check` itself: the mutation campaign.

Every corruption of every kind is tried in the slow test; the fast one takes some of each claim. What survives is
true: it is listed with the reason.
"""

from collections import Counter

import pytest

from tests.test_theory.mutants import is_noticed, mutants, trust
from theory.claims import CLAIMS

NOTICED = 0.96
"""Share of all corruptions that must be noticed."""

SURVIVORS = {
    "dropped citation": "an assumption or an item on which another citation of the same lemma, or a later item,"
    " rests as"
    " well: what the proof rests on as a whole is the same, and what a reason names is cited",
    "factor on both sides": "twice a true identity whose left side has a fraction as factor, or a letter that is"
    " defined"
    " as twice what it was and is twice that in what follows",
    "sign": "a score that is defined with the other sign, of which only the square is used",
    "premise as definition": "a letter that the assumption or lemma introduces and that nothing else speaks of: as a"
    " definition it would say the same",
}
"""Families of which some survive, and why that does no harm."""


@pytest.fixture(scope="module", autouse=True)
def sound():
    """The claims as they are have been tested elsewhere."""
    trust(CLAIMS)


SAMPLE = CLAIMS[::4]
"""Claims of the fast tests."""


@pytest.mark.parametrize("claim", SAMPLE, ids=[claim.name for claim in SAMPLE])
def test_one_of_each_family_is_noticed(claim):
    families = {}
    for family, done, corrupted in mutants(claim, CLAIMS):
        if family not in families and family not in SURVIVORS:
            families[family] = (done, corrupted)
    unseen = [f"{family}: {done}" for family, (done, corrupted) in families.items() if not is_noticed(corrupted)]
    assert not unseen


@pytest.mark.slow
def test_nearly_all_are_noticed_and_the_others_are_known_kinds():
    tried, noticed = Counter(), Counter()
    for claim in CLAIMS:
        for family, _, corrupted in mutants(claim, CLAIMS):
            tried[family] += 1
            noticed[family] += is_noticed(corrupted)
    assert sum(noticed.values()) >= NOTICED * sum(tried.values()), (noticed, tried)
    assert {family for family in tried if noticed[family] < tried[family]} <= SURVIVORS.keys()
