"""The house: what is public, who may import what is not, how docstrings begin, how long files are.

The public names are pinned in ``tests/public_names.txt``, so that changing them is a decision. After one, write them
anew: ``python -m tests.test_house > tests/public_names.txt``.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "pdae_sim"
FILES = sorted(LIBRARY.rglob("*.py"))
PINNED = Path(__file__).parent / "public_names.txt"
GROUND = {
    "_arguments",
    "_checks",
    "_coding",
    "_contexts",
    "_matrices",
    "_files",
    "_json",
    "_linalg",
    "_random",
    "_seals",
}
"""Private modules that every room stands on."""

NO_SUBJECT = re.compile(r"^(Of|The same|As|Where|That of)\b")
LONGEST = 400


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def defined(module: ast.Module) -> Iterator[str]:
    """Names that a module defines at its top."""
    for node in module.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def is_private(path: Path) -> bool:
    """Whether a module, or a folder above it, is the room's own."""
    return any(part.startswith("_") and part != "__init__.py" for part in path.relative_to(LIBRARY).parts)


def offered(package: Path) -> set[str]:
    """The names at the door of a package: those of its stub, or its `__all__`."""
    stub = package / "__init__.pyi"
    if stub.exists():
        nodes = [node for node in ast.walk(tree(stub)) if isinstance(node, ast.ImportFrom)]
        return {alias.asname or alias.name for node in nodes for alias in node.names}
    lists = [
        node.value
        for node in tree(package / "__init__.py").body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return {name for each in lists for name in ast.literal_eval(each)}


PACKAGES = [path.parent for path in FILES if path.name == "__init__.py" and not is_private(path)]
MODULES = [path for path in FILES if path.name != "__init__.py" and not is_private(path)]


def room(path: Path) -> str:
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def public_names() -> list[str]:
    """Every public name behind the package or the top-level module that offers it."""
    doors = {".".join(package.relative_to(ROOT).parts): offered(package) for package in PACKAGES}
    top = {f"pdae_sim.{path.stem}": defined(tree(path)) for path in MODULES if path.parent == LIBRARY}
    offers = [(door, name) for door, names in [*doors.items(), *top.items()] for name in names]
    return sorted(f"{door}.{name}" for door, name in offers if name[0] != "_")


class TestPublicNames:
    def test_they_are_the_pinned_ones(self):
        assert public_names() == PINNED.read_text(encoding="utf-8").split(), __doc__

    @pytest.mark.parametrize("package", PACKAGES, ids=named)
    def test_a_door_shows_what_it_offers_in_a_table(self, package):
        docstring = ast.get_docstring(tree(package / "__init__.py")) or ""
        assert offered(package)
        assert not [name for name in offered(package) if f"`{name}`" not in docstring and name[0] != "_"]

    @pytest.mark.parametrize("path", [path for path in MODULES if path.parent != LIBRARY], ids=named)
    def test_what_a_public_module_defines_is_offered_or_underscored(self, path):
        doors = offered(path.parent) | offered(LIBRARY / room(path))
        assert not {name for name in defined(tree(path)) if name[0] != "_"} - doors

    def test_none_is_defined_twice(self):
        places = Counter(name for path in MODULES for name in set(defined(tree(path))) if name[0] != "_")
        assert not [name for name, count in places.items() if count > 1]

    @pytest.mark.parametrize("package", PACKAGES, ids=named)
    def test_no_module_has_the_name_of_what_it_offers(self, package):
        modules = {path.stem for path in package.iterdir()}
        stub = package / "__init__.pyi"
        nodes = [node for node in ast.walk(tree(stub)) if isinstance(node, ast.ImportFrom)] if stub.exists() else []
        rooms = {alias.name for node in nodes if node.module is None for alias in node.names}
        assert not (offered(package) & modules) - rooms  # there the module itself is what is offered


class TestPrivateModules:
    @pytest.mark.parametrize("path", FILES, ids=named)
    def test_no_other_room_imports_them(self, path):
        nodes = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom)]
        modules = [f"{node.module}.{alias.name}".split(".") for node in nodes for alias in node.names]
        foreign = [parts[1:] for parts in modules if parts[0] == "pdae_sim" and parts[1] not in {room(path), *GROUND}]
        assert not [parts for parts in foreign if any(part[0] == "_" and part[:2] != "__" for part in parts)]


class TestProse:
    @pytest.mark.parametrize("top", ["pdae_sim", "theory", "experiments"])
    def test_a_docstring_begins_with_its_subject(self, top):
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
        begun = [
            f"{named(path)}: {ast.get_docstring(node)}"
            for path in sorted((ROOT / top).rglob("*.py"))
            for node in ast.walk(tree(path))
            if isinstance(node, kinds) and NO_SUBJECT.match(ast.get_docstring(node) or "")
        ]
        assert not begun


MUTABLE = ("Progress", "Position", "_Lift", "_Progress", "_Share")
"""Records that change while something goes on."""
COMPARED = ("Term", "Activation", "Position")
"""Records that hold functions of arrays, or are never compared."""


def dataclasses_of(path: Path) -> Iterator[tuple[str, dict[str, object], str]]:
    """Names of a module's dataclasses, the settings of their decorators, and the annotations of their fields."""
    for node in ast.walk(tree(path)):
        for decorator in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            call = decorator if isinstance(decorator, ast.Call) else ast.Call(decorator, [], [])
            if ast.unparse(call.func) == "dataclass":
                fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
                settings = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
                yield node.name, settings, " ".join(ast.unparse(each.annotation) for each in fields)


class TestRecords:
    @pytest.mark.parametrize("path", FILES, ids=named)
    def test_are_frozen_and_those_with_arrays_are_compared_by_identity(self, path):
        for name, settings, annotations in dataclasses_of(path):
            assert settings.get("frozen", False) is (name not in MUTABLE), name
            if "ndarray" in annotations or "Tensor" in annotations:
                assert (settings.get("eq") is False) is (name not in COMPARED), name


class TestFiles:
    @pytest.mark.parametrize("top", ["pdae_sim", "tests"])
    def test_none_is_over_four_hundred_lines(self, top):
        lengths = {named(path): path.read_bytes().count(b"\n") for path in (ROOT / top).rglob("*.py")}
        assert not {path: length for path, length in lengths.items() if length > LONGEST}


if __name__ == "__main__":
    print(*public_names(), sep="\n")
