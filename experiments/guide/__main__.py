"""The pages of the project: an API reference from docstrings, and the guides with what they print.

Run: `python -m experiments.guide [--out site] [--quick]` (`make docs`). A public name stands on the page of the room
that a user imports it from. Guides are run for their pages, with `--quick` at the sizes of their tests.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import io
import itertools
import pkgutil
import shutil
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pdoc
import pdoc.doc
import pdoc.render
from pdoc.render_helpers import to_html

import pdae_sim
from experiments.guide import GUIDES

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "results"


def rooms(package: ModuleType = pdae_sim) -> Iterator[ModuleType]:
    """The public modules that a user imports from: the front door, its modules, and the door of every room.

    Names that load on first use are loaded, for pdoc documents what a module holds, in the order of its docstring.
    """
    if names := getattr(package, "__all__", ()):
        for name in names:
            setattr(package, name, getattr(package, name))
        package.__all__ = sorted(names, key=lambda name: inspect.getdoc(package).find(f"`{name}`"))
    yield package
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not info.name.rpartition(".")[2].startswith("_"):
            module = importlib.import_module(info.name)
            if info.ispkg:
                yield from rooms(module)
            elif package is pdae_sim:
                yield module


def as_markdown(name: str, sizes: dict) -> str:
    """A guide as Markdown: its docstring, its preamble, then prose and code in turn, with what each code prints."""
    module = importlib.import_module(f"experiments.guide.{name}")
    title, _, lead = inspect.getdoc(module).partition("\n")
    source, body = inspect.getsource(module), inspect.getsource(module.guide)
    preamble = source.partition('"""\n\n')[2].partition(body)[0]
    defaults = {key: p.default for key, p in inspect.signature(module.guide).parameters.items()} | sizes
    values = "\n".join(f"{key} = {value}" for key, value in defaults.items())
    names = {**vars(module), **defaults}
    parts = [f"# {title.rstrip('.')}", lead, _code(f"{preamble.strip()}\n\n{values}")]
    lines = textwrap.dedent(body.partition("\n")[2]).splitlines()
    for is_prose, group in itertools.groupby(lines, lambda line: line.startswith("#")):
        text = "\n".join(group)
        parts += [_prose(text)] if is_prose else [_code(text), _printed(text, names)]
    return "\n\n".join(parts)


def _prose(text: str) -> str:
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.splitlines())


def _code(text: str) -> str:
    return f"```python\n{text.strip()}\n```" if text.strip() else ""


def _printed(code: str, names: dict) -> str:
    """What a block of code prints, run after those before it."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "guide", "exec"), names)
    return f"```text\n{output.getvalue().rstrip()}\n```" if output.getvalue() else ""


def write_page(out: Path, place: str, markdown: str) -> None:
    """Write Markdown as a page in the frame of the reference."""
    title = markdown.removeprefix("# ").partition("\n")[0]
    template = pdoc.render.env.get_template("page.html.jinja2")
    write(
        out / place,
        template.render(title=title, home="../" * place.count("/"), guides=docstrings(), body=to_html(markdown)),
    )


def write_reference(out: Path, modules: Sequence[ModuleType]) -> None:
    """Write a page for every module, and the index that its search looks in."""
    documented = {module.__name__: pdoc.doc.Module(module) for module in modules}
    for name, module in documented.items():
        write(out / f"{name.replace('.', '/')}.html", pdoc.render.html_module(module, documented))
    write(out / "search.js", pdoc.render.search_index(documented))


def write(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def index(modules: Sequence[ModuleType]) -> str:
    """The front page."""
    reference = {module.__name__: inspect.getdoc(module) or "" for module in modules}
    return "\n".join(
        ["# pdae_sim", f"{_first(reference['pdae_sim'])}.", "", "## Guides", ""]
        + [f"- [{_first(text)}](guide/{name}.html)" for name, text in docstrings().items()]
        + ["", "## Reference", "", "| import from | |", "|---|---|"]
        + [f"| [`{name}`]({name.replace('.', '/')}.html) | {_first(text)} |" for name, text in reference.items()]
        + ["", "## Results", ""]
        + ["- [Benchmarks and calibration](results/benchmarks.html)", "- [Studies](results/index.html)"]
        + ["- [Proofs of the claims](results/proofs.html)"]
    )


def docstrings() -> dict[str, str]:
    """The guides' docstrings, which begin with a title."""
    return {name: inspect.getdoc(importlib.import_module(f"experiments.guide.{name}")) for name in GUIDES}


def _first(docstring: str) -> str:
    return docstring.partition("\n")[0].rstrip(".")


def build(out: Path, *, quick: bool = False) -> None:
    """Write all pages."""
    modules = list(rooms())
    warnings.filterwarnings("ignore", "Error parsing type annotation")  # names that only a type checker imports
    pdoc.render.configure(docformat="google", template_directory=FOLDER)
    write_reference(out, modules)
    for name, small in GUIDES.items():
        write_page(out, f"guide/{name}.html", as_markdown(name, small if quick else {}))
    shutil.copytree(RESULTS, out / "results", ignore=shutil.ignore_patterns("*.parquet", "*.md"), dirs_exist_ok=True)
    write_page(out, "results/benchmarks.html", (RESULTS / "README.md").read_text(encoding="utf-8"))
    write_page(out, "index.html", index(modules))


def main() -> None:
    """Write the pages, and say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("site"))
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    build(arguments.out, quick=arguments.quick)
    print(arguments.out / "index.html")


if __name__ == "__main__":
    main()
