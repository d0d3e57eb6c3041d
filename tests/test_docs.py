"""Pages lead where they say, and say what is."""

import re
import runpy
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PAGES = [*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_exist(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link.partition("#")[0]).exists()]
    assert missing == []


@pytest.fixture(scope="module")
def parameters() -> str:
    """The page of parameters, made anew."""
    return runpy.run_path(str(PROJECT / "docs" / "parameters.py"))["render"]()


def test_page_of_parameters_is_that_of_the_models(parameters):
    assert (PROJECT / "docs" / "parameters.md").read_text() == parameters, "make docs"


def test_every_parameter_says_what_it_means(parameters):
    assert [line for line in parameters.splitlines() if line.startswith("|") and line.endswith("|  |")] == []
