"""Mutation score: the share of small faults, drawn at random from some modules, that the fast tests notice.

Run: `python -m experiments.benchmarks.mutation [--mutants 200] [--seed 0] [--only WORD,WORD] [--out FILE]`. Faults are
those of Cosmic Ray (`pip install pdae-sim[mutation]`): another operator or comparison, another number, a condition
negated. A module is drawn by its lines, then a place in it; annotations are left alone. Each is put into a copy of the
repository, in which the fast tests of its module run until one fails: those of the file of its name first, then those
of its room, then those of the house. A stored outcome may be made `equivalent` by hand, which leaves it out of the
score: for faults that change nothing that can be asked for.
"""

from __future__ import annotations

import ast
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from experiments.benchmarks._table import machine, options, print_table

ROOT = Path(__file__).parents[2]
TESTS = {
    "pdae_sim/analysis": ("tests/test_analysis", "tests/test_reliability/test_cancellation.py"),
    "pdae_sim/study": (
        "tests/test_study",
        "tests/test_analysis/test_goodness.py",
        "tests/test_reliability/test_own_files.py",
    ),
    "pdae_sim/labels.py": ("tests/test_labels.py", "tests/test_contexts.py", "tests/test_reliability/test_limits.py"),
    "pdae_sim/io": ("tests/test_io", "tests/test_reliability/test_datasets.py", "tests/test_contexts.py"),
    "pdae_sim/_files.py": (
        "tests/test_files.py",
        "tests/test_reliability/test_limits.py",
        "tests/test_reliability/test_interruptions.py",
    ),
    "pdae_sim/energy.py": ("tests/test_energy.py",),
    "pdae_sim/estimation/_losses.py": ("tests/test_estimation/test_losses.py",),
}
"""Tests by the modules that they are of."""
HOUSE = "tests/test_house.py"
"""Tests of all modules alike."""
KINDS = ("core/AddNot", "core/NumberReplacer", "core/Replace", "core/ZeroIteration")
"""How names of operators begin that are used."""
LONGEST = 900.0
"""Seconds after which tests have noticed that something does not end."""


@dataclass(frozen=True)
class Mutant:
    """A fault: the module, the line and the operator of Cosmic Ray, and both versions of what changed.

    Args:
        module: Path of the module.
        line: Its line.
        operator: Name of the operator.
        occurrence: Which of the places that the operator finds in the module.
        before: The line as it is.
        after: The line with the fault.
    """

    module: str
    line: int
    operator: str
    occurrence: int
    before: str
    after: str

    @property
    def in_words(self) -> str:
        """Module, line and what changed."""
        return f"{self.module}:{self.line}: {self.before} → {self.after}"


def modules() -> list[str]:
    """Paths of all modules that faults are drawn from."""
    found = [
        path for place in TESTS for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*"))
    ]
    return sorted(str(path.relative_to(ROOT)) for path in found if path.suffix == ".py")


@cache
def operators() -> dict[str, list[str]]:
    """Operators of Cosmic Ray that find the same places, such as all that replace a sum, by what they replace."""
    from cosmic_ray.plugins import operator_names

    kinds: dict[str, list[str]] = {}
    for name in sorted(name for name in operator_names() if name.startswith(KINDS)):
        kinds.setdefault(name.rpartition("_")[0] or name, []).append(name)
    return kinds


@cache
def places(module: str) -> list[tuple[str, int]]:
    """Places of a module where faults can be: what is replaced there, and which of them it is."""
    import parso
    from cosmic_ray.ast import ast_nodes
    from cosmic_ray.plugins import get_operator

    nodes = list(ast_nodes(parso.parse((ROOT / module).read_text())))
    found = []
    for kind, (first, *_) in operators().items():
        positions = get_operator(first)().mutation_positions
        found += [(kind, n) for n in range(sum(len(list(positions(node))) for node in nodes))]
    return found


def mutated(module: str, operator: str, occurrence: int) -> str | None:
    """The text of a module with a fault; None if that is no Python, or the same but for annotations."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    source = (ROOT / module).read_text()
    changed = mutate_code(source, get_operator(operator)(), occurrence)
    return changed if changed and _bare(changed) not in (None, _bare(source)) else None


class _Bare(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        node.annotation = ast.Constant(None)
        return node


def _bare(source: str) -> str | None:
    try:
        return ast.dump(_Bare().visit(ast.parse(source)))
    except SyntaxError:
        return None


def drawn(n: int, seed: int, only: str = "") -> Iterator[Mutant]:
    """So many mutants: a module is drawn by its lines, then a place in it, then a fault there."""
    rng = np.random.default_rng(seed)
    there = modules()
    lines = np.array([(ROOT / module).read_text().count("\n") for module in there], float)
    there, lines = zip(
        *((m, w) for m, w in zip(there, lines, strict=True) if w and any(word in m for word in only.split(","))),
        strict=True,
    )
    seen: set[tuple[str, str, int]] = set()
    while len(seen) < n:
        module = there[rng.choice(len(there), p=np.array(lines) / sum(lines))]
        kind, occurrence = places(module)[rng.integers(len(places(module)))] if places(module) else ("", 0)
        if not kind or (module, kind, occurrence) in seen:
            continue
        operator = str(rng.choice(operators()[kind]))
        changed = mutated(module, operator, occurrence)
        if changed is None:
            continue
        before, after = ((ROOT / module).read_text().splitlines(), changed.splitlines())
        row = next(i for i, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1])
        seen.add((module, kind, occurrence))
        lines_of = before[row].strip(), after[row].strip()
        yield Mutant(module, row + 1, operator.removeprefix("core/"), occurrence, *lines_of)


def tests_of(module: str) -> list[str]:
    """Paths of the tests of a module, of its own file first."""
    room = next(place for place in TESTS if module.startswith(place))
    own = f"test_{Path(module).stem.strip('_')}.py"
    first = [f"{path}/{own}" for path in TESTS[room] if (ROOT / path / own).is_file()]
    rest = []
    for path in TESTS[room]:
        files = sorted((ROOT / path).glob("test_*.py")) if (ROOT / path).is_dir() else [ROOT / path]
        rest += [str(each.relative_to(ROOT)) for each in files]
    return [*first, *(path for path in rest if path not in first), HOUSE]


def noticed(copy: Path, mutant: Mutant) -> bool:
    """Whether a test fails, or does not end, in a copy of the repository with a fault."""
    place, whole = copy / mutant.module, (copy / mutant.module).read_text()
    place.write_text(mutated(mutant.module, f"core/{mutant.operator}", mutant.occurrence) or whole)
    try:
        status = run_tests(copy, tests_of(mutant.module))
    finally:
        place.write_text(whole)
    return status != 0


def run_tests(copy: Path, paths: list[str]) -> int | None:
    """Status of pytest in a copy of the repository; None if it does not end."""
    process = multiprocessing.get_context("fork").Process(target=_run_tests, args=(copy, paths))
    process.start()
    process.join(LONGEST)
    if process.is_alive():
        process.kill()
        process.join()
        return None
    return process.exitcode


def _run_tests(copy: Path, paths: list[str]) -> None:
    import pytest

    os.chdir(copy)
    os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    sys.dont_write_bytecode = True
    sys.path[:] = [str(copy), *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("experiments", "pdae_sim", "tests")]:
        del sys.modules[name]
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    with tempfile.TemporaryDirectory() as base:
        words = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", f"--basetemp={base}/t", "--rootdir", str(copy)]
        words += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what was imported before
        status = pytest.main([*words, *paths])
    os._exit(int(status))


def warmed() -> None:
    """Import once what all tests import, but for the library."""
    import anndata
    import hypothesis
    import hypothesis.extra.numpy
    import pandas
    import pytest
    import scipy.stats
    import torch

    torch.set_num_threads(1)
    for module in (anndata, hypothesis, pandas, pytest, scipy.stats):
        assert module


def score(found: list[dict]) -> dict[str, str]:
    """By room, and of all: noticed faults, of how many that are not equivalent."""
    by_room: dict[str, list[dict]] = {}
    for each in found:
        by_room.setdefault(next(place for place in TESTS if each["module"].startswith(place)), []).append(each)
    return {name: _share(rows) for name, rows in (*sorted(by_room.items()), ("all", found))}


def _share(rows: list[Mapping]) -> str:
    rows = [row for row in rows if row["outcome"] != "equivalent"]
    killed = sum(row["outcome"] == "noticed" for row in rows)
    return f"{killed} of {len(rows)} ({killed / max(len(rows), 1):.0%})"


def main() -> None:
    """Try mutants in turn, print the score, and keep both with `--out` as they come."""
    arguments = options(__doc__, mutants=200, seed=0, only="", out=None)
    found: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        for name in ("pdae_sim", "tests", "theory", "experiments"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (*ROOT.glob("*.*"), ROOT / "Makefile"):
            if path.is_file() and not path.name.startswith("."):
                shutil.copy(path, copy)
        warmed()
        for room in TESTS:
            if any(
                word in module and module.startswith(room) for module in modules() for word in arguments.only.split(",")
            ):
                status = run_tests(copy, tests_of(room))
                if status:
                    raise RuntimeError(f"tests of {room} fail without a fault; mend them first")
        for mutant in drawn(arguments.mutants, arguments.seed, arguments.only):
            start = time.monotonic()
            outcome = "noticed" if noticed(copy, mutant) else "survived"
            print(f"{outcome}, {time.monotonic() - start:.0f} s: {mutant.in_words}", flush=True)
            found.append({**asdict(mutant), "outcome": outcome})
            if arguments.out:
                result = {"machine": machine(), "seed": arguments.seed, "score": score(found), "mutants": found}
                arguments.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print_table({"": "", "noticed": ""}, list(score(found).items()))


if __name__ == "__main__":
    main()
