"""The witness knows nothing of the library: it imports mathematics and the standard library only."""

import ast
import sys
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parents[2] / "theory").glob("**/*.py"))
ALLOWED = {"theory", "sympy", "numpy", "scipy"} | sys.stdlib_module_names


def roots(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "relative" if node.level else node.module.split(".")[0]


def calls(tree):
    return {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


def test_there_are_files():
    assert len(FILES) > 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
class TestFile:
    def test_imports(self, path):
        assert set(roots(ast.parse(path.read_text()))) <= ALLOWED

    def test_no_files_and_no_printing_outside_the_command_line(self, path):
        forbidden = {"open", "exec", "eval"} | ({"print"} if path.name != "__main__.py" else set())
        assert not calls(ast.parse(path.read_text())) & forbidden

    def test_random_numbers_are_drawn_in_one_place(self, path):
        assert ("default_rng" in path.read_text()) == (path.name == "instances.py")


def test_the_walk_sees_what_it_should():
    tree = ast.parse("import pdae_sim.energy\nfrom torch import nn\nfrom . import x\ndef f():\n    import pandas")
    assert set(roots(tree)) == {"pdae_sim", "torch", "relative", "pandas"}
