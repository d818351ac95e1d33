"""What a user installs: the wheel holds the library alone, and every example in a docstring runs."""

import doctest
import importlib
import pkgutil
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import pdae_sim

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    info.name for info in pkgutil.walk_packages(pdae_sim.__path__, "pdae_sim.") if not info.name.endswith("__main__")
)


@pytest.mark.parametrize("name", ["pdae_sim", *MODULES])
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(example)
    assert not runner.failures


def test_the_examples_are_found():
    found = doctest.DocTestFinder().find(importlib.import_module("pdae_sim.labels"))
    assert sum(len(example.examples) for example in found) >= 3


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy, so that the checkout stays clean; theory and tests are there to be left out."""
    source = tmp_path_factory.mktemp("source")
    for folder in ("pdae_sim", "theory", "tests"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next((source / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


class TestWheel:
    def test_it_holds_the_library_alone_and_all_of_it(self, wheel):
        with zipfile.ZipFile(wheel) as archive:
            held = {name for name in archive.namelist() if ".dist-info/" not in name}
        sources = {
            path
            for path in (ROOT / "pdae_sim").rglob("*")
            if path.suffix in {".py", ".pyi", ".typed", ".jinja", ".toml"}
        }
        assert held == {path.relative_to(ROOT).as_posix() for path in sources}

    def test_it_works_from_the_wheel(self, wheel, tmp_path):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tmp_path)
        line = (
            f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import pdae_sim as p;"
            f"print(p.__version__, p.LabelSpace(('A',)).vector('A:2')[0], {str(tmp_path)!r} in p.__file__)"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == [pdae_sim.__version__, "2.0", "True"]

    def test_the_command_is_installed(self, wheel):
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
            assert "pdae-sim = pdae_sim.cli:main" in archive.read(name).decode()

    def test_requirements_are_lower_bounds(self, metadata):
        requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist")]
        others = [requirement for requirement in requirements if requirement.name != "pdae-sim"]
        assert len(others) > 10
        for requirement in others:
            assert [clause.operator for clause in requirement.specifier] == [">="], str(requirement)

    def test_what_only_tests_need_is_an_extra(self, metadata):
        assert {"testing", "flows", "dev", "all"} <= set(metadata.get_all("Provides-Extra"))
        needed = {r.name for r in map(Requirement, metadata.get_all("Requires-Dist")) if r.marker is None}
        assert not needed & {"hypothesis", "pytest", "sympy", "dcor", "sempler", "ruff", "jax", "scanpy"}

    def test_the_version_is_that_of_the_module(self, metadata):
        assert metadata["Version"] == pdae_sim.__version__
