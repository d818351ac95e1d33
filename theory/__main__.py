"""`python -m theory list | check [NAME ...] [--json]`: show the claims, or run them; exit status 1 if one fails.

`python -m theory readme` writes README.md from the records.
"""

import argparse
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from theory.claims import CLAIMS, select
from theory.engine.checker import verify
from theory.engine.record import Claim, Outcome, Report
from theory.typesetting.readme import readme

README = Path(__file__).parent / "README.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0 if all is well, 1 if a claim fails, 2 for a name that is not one."""
    options = _parser().parse_args(arguments)
    if options.command == "readme":
        return write_readme()
    try:
        claims = select(options.names)
    except ValueError as error:
        print(f"theory {options.command}: {error}", file=sys.stderr)
        return 2
    return options.run(claims, options.json)


class _Parser(argparse.ArgumentParser):
    """A parser that reports bad usage in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m theory", description="The claims of the additive-shift model.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{list,check,readme}")
    _command(commands, "list", show, "show name, number, statement and source")
    _command(commands, "check", check, "run proofs, numerical checks and counterexamples")
    commands.add_parser("readme", help="write README.md from the records", description="write README.md")
    return parser


def _command(commands: Any, name: str, run: Callable[[Sequence[Claim], bool], int], summary: str) -> None:
    command = commands.add_parser(name, help=summary, description=summary)
    command.add_argument("names", nargs="*", metavar="NAME", help="a name or number, e.g. converse or 2.6; default all")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run)


def write_readme() -> int:
    """Write README.md beside this file, and print where."""
    README.write_text(readme(CLAIMS), encoding="utf-8")
    print(README)
    return 0


def show(claims: Sequence[Claim], as_json: bool) -> int:
    """Print what is claimed."""
    fields = ("name", "number", "statement", "source")
    rows = [{field: getattr(claim, field) for field in fields} for claim in claims]
    print(
        json.dumps({"claims": rows}, indent=2) if as_json else table([fields, *(tuple(row.values()) for row in rows)])
    )
    return 0


def check(claims: Sequence[Claim], as_json: bool) -> int:
    """Run claims and print their verdicts, each as soon as it is known; 1 if any part of any claim failed."""
    verdicts = []
    for claim in claims:
        verdicts.append(verify(claim))
        if not as_json:
            print("\n".join(lines(verdicts[-1])), flush=True)
    if as_json:
        print(json.dumps({"claims": [row(verdict) for verdict in verdicts]}, indent=2))
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def row(verdict: Report) -> dict:
    """A verdict as the object that `--json` prints."""
    return {
        "name": verdict.claim.name,
        "number": verdict.claim.number,
        "source": verdict.claim.source,
        "proof": _all_passed(verdict.proof),
        "check": _all_passed(verdict.check),
        "counterexamples": _all_passed(verdict.counterexamples),
        "failed": [described(outcome) for outcome in verdict.failed],
    }


def lines(verdict: Report) -> list[str]:
    """A verdict in words: one line, and one more for each part that failed."""
    lemmas = sum(outcome.kind == "lemma" for outcome in verdict.proof)
    parts = [f"proof {_score(verdict.proof)} (lemmas {lemmas})", f"check {_score(verdict.check)}"]
    head = f"{verdict.claim.number:5} {verdict.claim.name:20} {'pass' if verdict.passed else 'FAIL'}  "
    head += "  ".join([*parts, f"counterexamples {_score(verdict.counterexamples)}"])
    return [head, *(f"     {described(outcome)}" for outcome in verdict.failed)]


def described(outcome: Outcome) -> str:
    """An outcome in one line."""
    return f"{outcome.kind} {outcome.name}: {outcome.detail}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text in aligned columns."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in rows
    )


def _all_passed(outcomes: Sequence[Outcome]) -> bool:
    return all(outcome.passed for outcome in outcomes)


def _score(outcomes: Sequence[Outcome]) -> str:
    passed = sum(outcome.passed for outcome in outcomes)
    return f"{'ok' if passed == len(outcomes) else 'failed'} {passed}/{len(outcomes)}"


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="namereplace")  # statements have letters that some terminals cannot show
    sys.exit(main())
