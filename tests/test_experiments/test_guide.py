"""The guides run, and their pages and the reference hold what a reader looks for."""

from __future__ import annotations

import importlib
import inspect
from functools import cache

import pdoc.render
import pytest

import pdae_sim
from experiments.guide import GUIDES
from experiments.guide.__main__ import FOLDER, as_markdown, index, rooms, write_page, write_reference

TRAINS = ("first_fit", "own_table", "verify_claim")


@cache
def page(name: str) -> str:
    """A guide run once at its small sizes, as Markdown."""
    return as_markdown(name, GUIDES[name])


@pytest.fixture(scope="module")
def _rendering():
    pdoc.render.configure(docformat="google", template_directory=FOLDER)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in TRAINS[1:])) for n in GUIDES])
def test_a_guide_runs_and_is_short(name):
    module = importlib.import_module(f"experiments.guide.{name}")
    assert "```text" in page(name)
    assert len([line for line in inspect.getsource(module).splitlines() if line.strip()]) <= 60


def test_the_worked_suites_find_what_they_should():
    assert "Careless breaks 1 law\nheld_out on curved" in page("property_tests")
    assert "no counterexample to the Gram matrix" in page("claim_tests")
    assert "\n2 latents; W[:, 0] = [0.   0.25], and Q W[:, 0] = " in page("claim_tests")
    assert "\n'0:1/2' of ('0',) is ['1/2']" in page("reader_tests")


@pytest.mark.usefixtures("_rendering")
def test_a_page_has_prose_code_and_what_it_prints(tmp_path):
    markdown = page("add_world")
    assert markdown.startswith("# Add a world")
    assert "cells = 60" in markdown
    assert "```text\nbreaks: additive\n```" in markdown
    write_page(tmp_path, "guide/add_world.html", markdown)
    html = (tmp_path / "guide/add_world.html").read_text(encoding="utf-8")
    assert '<a href="../index.html">' in html
    assert "<h1" in html
    assert "Which assumptions hold?" in html


@pytest.mark.usefixtures("_rendering")
def test_public_names_stand_on_the_page_they_are_imported_from(tmp_path):
    shown = [module for module in rooms() if module.__name__ in ("pdae_sim", "pdae_sim.simulation.designs")]
    write_reference(tmp_path, shown)
    for module in shown:
        html = (tmp_path / f"{module.__name__.replace('.', '/')}.html").read_text(encoding="utf-8")
        assert all(f'id="{name}"' in html for name in module.__all__ if not inspect.ismodule(getattr(module, name)))
    assert "(d_Z, K)" in (tmp_path / "pdae_sim.html").read_text(encoding="utf-8")


def test_the_index_links_every_guide_and_every_room():
    modules = list(rooms())
    text = index(modules)
    assert all(f"(guide/{name}.html)" in text for name in GUIDES)
    assert all(f"[`{module.__name__}`]" in text for module in modules)
    assert {"pdae_sim.simulation.mixings", "pdae_sim.estimation", "pdae_sim.data"} < {m.__name__ for m in modules}
    assert all(module.__name__.startswith(pdae_sim.__name__) for module in modules)
