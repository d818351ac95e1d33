"""The house: who may import whom, what never appears in the library, what `import pdae_sim` does not load."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
import typer

import pdae_sim
from pdae_sim.cli._app import app

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "pdae_sim"
FILES = sorted(LIBRARY.rglob("*.py"))
THEORY = sorted((ROOT / "theory").rglob("*.py"))

GROUND = {
    "errors",
    "_arguments",
    "_checks",
    "_coding",
    "_contexts",
    "_matrices",
    "_json",
    "_linalg",
    "_random",
    "_seals",
    "intervals",
}
RECORDS = GROUND | {"labels", "data", "contexts", "energy", "protocols", "_files", "io", "verdicts"}
MIDDLE = {"simulation", "estimation", "analysis"}
MAY_IMPORT = {
    "errors": set(),
    "_checks": {"errors"},
    "_coding": {"errors"},
    "_contexts": {"errors", "_checks", "_coding"},
    "_matrices": {"errors", "_checks"},
    "_json": set(),
    "intervals": set(),
    "_linalg": {"errors", "_checks"},
    "_seals": {"errors"},
    "_random": {"errors", "_checks"},
    "_arguments": {"errors", "_random"},
    "labels": GROUND,
    "data": GROUND | {"labels"},
    "contexts": GROUND | {"data"},
    "energy": GROUND,
    "protocols": GROUND | {"labels", "data"},
    "verdicts": set(),
    "_files": GROUND,
    "io": GROUND | {"labels", "data", "contexts", "_files"},
    "simulation": RECORDS,
    "estimation": RECORDS,
    "analysis": RECORDS,
    "strategies": GROUND | {"labels", "data", "contexts", "simulation"},
    "testing": RECORDS | {"strategies", "simulation"},
    "study": RECORDS | MIDDLE,
    "report": RECORDS | MIDDLE | {"study"},
    "cli": RECORDS | MIDDLE | {"study", "report", "testing", "__init__"},
    "__main__": {"cli"},
    "__init__": RECORDS | MIDDLE,
}
DOORS = {("data.py", "io")}  # a record's own read and write load the module that knows files
HEAVY = {"torch", "sympy", "matplotlib", "pandas", "anndata", "hypothesis", "typer"}
NOT_FOR_HELP = (HEAVY - {"typer"}) | {"scipy", "networkx", "pyarrow", "h5py", "jinja2", "joblib"}


FRONT_DOOR = {
    alias.name: node.module.split(".")[0]
    for node in ast.parse((LIBRARY / "__init__.pyi").read_text(encoding="utf-8")).body
    if isinstance(node, ast.ImportFrom) and node.module
    for alias in node.names
}


def name(path):
    return str(path.relative_to(ROOT))


def room(path):
    """The part of the library a file belongs to: the module at the top, or the folder."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


@cache
def imports(tree):
    """Every imported module, wherever it stands, with whether it stands inside a function or a guard for types."""
    return tuple(_imports(tree))


def _imports(tree):
    inner = {id(node) for block in ast.walk(tree) if _defers(block) for node in ast.walk(block)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in inner) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((f"{node.module}.{alias.name}", id(node) in inner) for alias in node.names)


def _defers(node):
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or (
        isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    )


def rooms_imported(tree):
    """The room behind every import of the library; a name of the front door counts for the room it is from."""
    for module, deferred in imports(tree):
        package, _, rest = module.partition(".")
        if package == "pdae_sim" and rest != "__version__":
            yield FRONT_DOOR.get(rest, rest.split(".")[0] or "__init__"), deferred


def violations(path, tree):
    """The rooms that a file of the library imports and may not."""
    own = room(path)
    for other, deferred in rooms_imported(tree):
        door = deferred and (path.name, other) in DOORS and path.parent == LIBRARY
        if other not in MAY_IMPORT[own] | {own} and not door:
            yield other


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


class TestImports:
    @pytest.mark.parametrize("path", FILES, ids=name)
    def test_downwards_only(self, path):
        assert not list(violations(path, parsed(path)))

    def test_every_room_is_in_the_table(self):
        assert {room(path) for path in FILES} <= set(MAY_IMPORT)

    @pytest.mark.parametrize(
        ("file", "line", "wrong"),
        [
            ("analysis/span.py", "from pdae_sim.estimation.pdae import PDAE", ["estimation"]),
            ("simulation/graphs.py", "def f():\n    import pdae_sim.analysis.span", ["analysis"]),
            ("labels.py", "from pdae_sim import io", ["io"]),
            ("simulation/graphs.py", "from pdae_sim import PDAE", ["estimation"]),
            ("simulation/graphs.py", "import pdae_sim", ["__init__"]),
            ("cli/_app.py", "import pdae_sim", []),
            ("data.py", "from pdae_sim.io import read_data", ["io"]),
            ("data.py", "def read():\n    from pdae_sim.io import read_data", []),
            ("estimation/pdae.py", "from pdae_sim.data import PerturbationData", []),
            ("study/run.py", "from pdae_sim.cli import main", ["cli"]),
        ],
    )
    def test_the_walk_sees_a_violation(self, file, line, wrong):
        assert list(violations(LIBRARY / file, ast.parse(line))) == wrong

    @pytest.mark.parametrize("path", FILES, ids=name)
    def test_the_library_knows_neither_theory_nor_stage_nor_court(self, path):
        roots = {module.split(".")[0] for module, _ in imports(parsed(path))}
        assert not roots & {"theory", "experiments", "tests"}

    @pytest.mark.parametrize("path", THEORY, ids=name)
    def test_the_witness_does_not_know_the_library(self, path):
        assert "pdae_sim" not in {module.split(".")[0] for module, _ in imports(parsed(path))}

    def test_hypothesis_is_imported_by_the_strategies_alone(self):
        found = {room(path) for path in FILES for module, _ in imports(parsed(path)) if module.startswith("hypothesis")}
        assert found == {"strategies"}

    def test_anndata_is_imported_by_io_alone(self):
        """The records name its class, for types."""
        found = {name(path) for path in FILES for module, _ in imports(parsed(path)) if module.startswith("anndata")}
        assert found == {"pdae_sim/data.py", "pdae_sim/io/_anndata.py", "pdae_sim/io/_convert.py"}
        lines = (LIBRARY / "data.py").read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if "import" in line and "anndata" in line.split()[:2]] == [
            "    from anndata import AnnData"
        ]

    @pytest.mark.parametrize("path", [path for path in FILES if room(path) == "estimation"], ids=name)
    def test_estimation_never_sees_the_truth(self, path):
        nodes = list(ast.walk(parsed(path)))
        names = {getattr(node, field, None) for node in nodes for field in ("id", "name", "attr")}
        assert not names & {"Truth", "Simulation"}
        assert "truth" not in {node.attr for node in nodes if isinstance(node, ast.Attribute)}


class TestForbidden:
    @pytest.mark.parametrize("path", FILES, ids=name)
    def test_no_print_no_star_no_pickle_no_global_seed(self, path):
        tree = parsed(path)
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        modules = {module for module, _ in imports(tree)}
        assert "print" not in calls
        assert not any(module.endswith(".*") for module in modules)
        assert not {module.split(".")[0] for module in modules} & {"pickle", "cPickle", "dill", "cloudpickle", "random"}
        assert not calls & {"torch.save", "torch.load", "joblib.dump", "joblib.load", "np.load"}
        assert not calls & {"torch.manual_seed", "torch.random.manual_seed", "np.random.seed", "random.seed"}

    @pytest.mark.parametrize("path", FILES, ids=name)
    def test_no_function_over_sixty_lines(self, path):
        functions = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef)]
        assert all(node.end_lineno - node.body[0].lineno < 60 for node in functions)

    @pytest.mark.parametrize("path", FILES, ids=name)
    def test_every_public_module_class_and_function_says_what_it_is(self, path):
        tree = parsed(path)
        public = [n for n in tree.body if isinstance(n, (ast.ClassDef, ast.FunctionDef)) and n.name[0] != "_"]
        assert ast.get_docstring(tree) or not tree.body
        assert not [node.name for node in public if not ast.get_docstring(node)]


class TestFrontDoor:
    @pytest.mark.parametrize("public", pdae_sim.__all__)
    def test_every_public_name_resolves(self, public):
        assert getattr(pdae_sim, public) is not None
        assert public in dir(pdae_sim)

    def test_rooms_are_loaded_when_they_are_named(self):
        assert "pdae_sim.analysis.verdict" in _loaded("import pdae_sim; pdae_sim.analysis.judge")
        assert not {"analysis", "strategies"} & set(pdae_sim.__all__)  # `import *` needs no extra

    def test_an_unknown_name_is_an_attribute_error(self):
        with pytest.raises(AttributeError, match="attribute PADE"):
            pdae_sim.PADE  # noqa: B018

    def test_the_front_door_loads_nothing_heavy(self):
        assert not _loaded("import pdae_sim") & HEAVY

    def test_simulating_needs_no_torch_and_no_tables(self):
        assert not _loaded("from pdae_sim import Simulator, LinearLatentModel, check_span, align") & HEAVY

    def test_the_strategies_need_no_torch(self):
        assert not _loaded("from pdae_sim import strategies") & (HEAVY - {"hypothesis"})

    def test_what_is_heavy_is_noticed(self):
        assert "torch" in _loaded("from pdae_sim import energy_distance")


class TestCommands:
    """What a command loads, counted in a fresh interpreter."""

    def test_help_loads_nothing_heavy(self):
        commands = list(typer.main.get_command(app).commands)
        assert {"demo", "fit", "span"} < set(commands)
        calls = "; ".join(f"run(['{command}', '--help'])" for command in commands)
        assert not _loaded(f"from pdae_sim.cli._app import run; run(['--help']); {calls}") & NOT_FOR_HELP

    def test_worlds_load_no_torch_and_no_tables(self):
        assert not _loaded("from pdae_sim.cli._app import run; run(['worlds', '--json'])") & HEAVY - {"typer"}

    @pytest.mark.parametrize(
        "arguments",
        [["span"], ["design", "--target", "A+B:2"], ["additivity", "--list"]],
        ids=["span", "design", "additivity"],
    )
    def test_verdicts_from_labels_load_no_torch_and_read_no_cell(self, tmp_path, arguments):
        """Here they cannot: X is taken out of the file."""
        path = str(tmp_path / "labels.h5ad")
        data = pdae_sim.PerturbationData.from_arrays(
            np.zeros((4, 1)), ["ctrl", "A", "B", "A+B"], held_out=[False, False, False, True]
        )
        data.write(path)
        with h5py.File(path, "a") as file:
            del file["X"]
        command, *options = arguments
        line = f"from pdae_sim.cli._app import run; assert run({[command, path, *options, '--json']!r}) == 0"
        assert not _loaded(line) & {"torch", "anndata", "pandas", "matplotlib", "networkx"}


def _loaded(line):
    """The modules that a fresh interpreter has loaded after a line."""
    command = [sys.executable, "-c", f"{line}; import sys; print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split("\n")[-2].split())
