"""Corrupted claims are noticed by `python -m theory check` itself: the mutation campaign.

Every corruption of every kind is tried in the slow test; the fast one takes some of each claim. What survives is
true: it is listed with the reason.
"""

from collections import Counter

import pytest

from tests.test_theory.mutants import is_noticed, mutants, trust
from theory.claims import CLAIMS

NOTICED = 0.95
"""Share of all corruptions that must be noticed."""

SURVIVORS = {
    "dropped citation": "a hypothesis that another item of the proof still rests on, or a reason given twice: the claim"
    " still has it",
    "factor on both sides": "twice a true identity of a step that leads nowhere, or that is cited by a lemma in words",
    "sign": "a step that is linear in the letter whose sign is altered",
    "factor in a premise": "a factor that cancels from both sides of a step",
    "factor in a lemma": "an equation that no step uses, or that is used with its factor on both sides",
    "premise as definition": "a letter that is introduced by an assumption, and by nothing else",
    "reversed inequality": "none is expected",
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
