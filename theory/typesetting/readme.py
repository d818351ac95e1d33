"""The README of the witness, made from the records: what is claimed, where it is proved, tested and shown."""

from collections.abc import Sequence

from theory.engine.proof import Lemma
from theory.engine.record import Claim
from theory.symbols import NOTATION
from theory.typesetting.index import INDEX

HEAD = """\
# The claims

Generated from the records by `python -m theory readme`; do not edit.

Every claim is a record that runs: a proof, a numerical check on random instances, and for each assumption a model in
which its absence breaks the claim, or one that shows that only this proof needs it. `python -m theory check` runs them
all; nothing of `pdae_sim` is imported.

*What the program checks.* Each step follows by algebra, in any dimension, from equations that are stated by what it
cites: an earlier step, a lemma, an assumption, another claim, or a definition, which introduces one new letter; a
letter means one thing throughout a proof, and what the reason of a lemma names is cited.
Expectations are an operator with its rules. Inequalities leave something that is not negative as it is written. The
formulas of the statement are those of its conclusions; every assumption is needed by the proof. Each numerical check is
seen to fail once an ingredient is wrong, and those of 2.2 to 2.5 and 2.9b search all cubic flows of the latents for
rivals. A counterexample says what agrees in the two models and what differs against which conclusion. Corruptions of
all records, of sixteen kinds, are made by the thousand; 97 % are noticed by the check itself, and the kinds of those
that are not, with the reasons, are in `tests/test_theory/test_campaign.py`.

*What it takes as given.* Lemmas, with their reasons and the letters that they hold of; the reading of assumptions as
equations; that the words say what the formulas say.
[The proofs as a page](../experiments/results/proofs.html) can be read without Python; `python -m experiments.proofs`
makes it anew.
"""


def readme(claims: Sequence[Claim]) -> str:
    """The README as Markdown.

    Args:
        claims: in the order of the tables.

    Returns:
        The text, with a newline at its end; the same records give the same bytes.

    Raises:
        KeyError: if a claim has no entry in the index.
    """
    parts = [
        HEAD,
        _section("Notation", ("symbol", "shape", "meaning"), NOTATION),
        _statements(claims),
        _places(claims),
        _remarks(claims),
        _assumptions(claims),
    ]
    return "\n".join(parts)


def module_of(claim: Claim) -> str:
    """The file that proves a claim, from the root of the repository."""
    return f"{claim.check.__module__.replace('.', '/')}.py"


def _statements(claims: Sequence[Claim]) -> str:
    rows = [
        (
            claim.number,
            f"`{claim.name}`",
            claim.statement,
            ", ".join(a.name.replace("_", " ") for a in claim.assumptions),
            claim.source,
        )
        for claim in claims
    ]
    return _section("What is claimed", ("number", "name", "statement", "assumptions", "source"), rows)


def _places(claims: Sequence[Claim]) -> str:
    rows = [
        (
            claim.number,
            f"{_linked(module_of(claim))} ({_measure(claim)})",
            _listed(INDEX[claim.name].tests),
            _listed(INDEX[claim.name].shown) or "no study",
        )
        for claim in claims
    ]
    return _section("Where it is proved, tested and shown", ("number", "proved in", "tested in", "shown in"), rows)


def _measure(claim: Claim) -> str:
    lemmas = sum(isinstance(item, Lemma) for item in claim.proof)
    return f"{_count(len(claim.proof) - lemmas, 'step')}, {_count(lemmas, 'lemma')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _remarks(claims: Sequence[Claim]) -> str:
    lines = [f"- **{claim.number}** {claim.remark}" for claim in claims if claim.remark]
    return "\n".join(["## Limits and extensions\n", *lines, ""])


def _assumptions(claims: Sequence[Claim]) -> str:
    named = {a.name: (a, claim) for claim in reversed(claims) for a in reversed(claim.assumptions)}
    rows = [
        (name.replace("_", " "), a.statement, ", ".join(other.number for other in claims if a in other.assumptions))
        for name, (a, claim) in sorted(named.items())
    ]
    return _section("The assumptions", ("name", "statement", "claims"), rows)


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_escaped(cell) for cell in row] for row in rows)]
    return "\n".join([f"## {title}\n", *(f"| {' | '.join(line)} |" for line in lines), ""])


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|").replace("*", r"\*").replace("<", "&lt;")


def _listed(paths: Sequence[str]) -> str:
    return ", ".join(_linked(path) for path in paths)


def _linked(path: str) -> str:
    folder, _, file = path.rpartition("/")
    name = file if folder != "tests/test_theory" else f"test_theory/{file}"
    return f"[{name}]({path.removeprefix('theory/') if folder.startswith('theory') else f'../{path}'})"
