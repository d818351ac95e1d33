"""Every claim holds, every part of it is needed, and every record is well formed."""

import pytest

from theory.claims import CLAIMS, select
from theory.engine.checker import available, prove, verify
from theory.engine.proof import DEFINITION, Lemma


def named(claims):
    return pytest.mark.parametrize("claim", claims, ids=[claim.name for claim in claims])


assumed = pytest.mark.parametrize(
    ("claim", "assumption"),
    [pytest.param(claim, a.name, id=f"{claim.name}-{a.name}") for claim in CLAIMS for a in claim.assumptions],
)


@named(CLAIMS)
def test_every_part_passes(claim):
    verdict = verify(claim)
    assert not verdict.failed
    assert verdict.passed
    assert verdict.proof
    assert verdict.check
    assert verdict.counterexamples


@assumed
def test_the_proof_fails_without_any_assumption(claim, assumption):
    failed = [outcome for outcome in prove(claim.without(assumption)) if not outcome.passed]
    assert any(outcome.kind in ("step", "lemma") for outcome in failed)
    assert all(outcome.detail != "residual 0" for outcome in failed)


@assumed
def test_every_assumption_has_a_counterexample_or_a_survivor(claim, assumption):
    dropped = [example.drops.name for example in (*claim.counterexamples, *claim.relaxations)]
    assert dropped.count(assumption) == 1


@named(CLAIMS)
def test_steps_cite_only_what_comes_before(claim):
    known = set(available(claim))
    for item in claim.proof:
        cited = (
            set(item.rests_on)
            if isinstance(item, Lemma)
            else {name for equation in item.equations for name in equation.rests_on}
        )
        assert cited <= known
        assert item.name not in known
        known.add(item.name)


@named(CLAIMS)
def test_everything_established_is_used_or_is_a_conclusion(claim):
    cited = {name for item in claim.proof for name in _cites(item)}
    idle = {item.name for item in claim.proof} - cited
    assert idle <= {*claim.conclusions, *claim.confirmations}
    assert set(claim.confirmations) <= idle


@named(CLAIMS)
def test_conclusions_are_named_once_in_the_order_of_the_proof(claim):
    assert claim.conclusions == tuple(item.name for item in claim.proof if item.name in claim.conclusions)


@named(CLAIMS)
def test_every_conclusion_is_said(claim):
    assert len(claim.says) == len(claim.conclusions) > 0


@named(CLAIMS)
def test_every_lemma_gives_a_reason(claim):
    assert all(item.reason and item.statement for item in claim.proof if isinstance(item, Lemma))


def test_claims_are_found_by_name_and_by_number():
    assert select(["2.6"]) == select(["converse"])
    assert select() == CLAIMS
    assert [claim.name for claim in select(["converse", "2.1"])] == ["density_ratio", "converse"]


def test_names_and_numbers_are_unique():
    labels = [label for claim in CLAIMS for label in (claim.name, claim.number)]
    assert len(labels) == len(set(labels))
    assert DEFINITION not in labels


def _cites(item):
    return (
        item.rests_on
        if isinstance(item, Lemma)
        else [name for equation in item.equations for name in equation.rests_on]
    )
