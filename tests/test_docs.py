"""Pages lead where they say."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PAGES = [*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_exist(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link.partition("#")[0]).exists()]
    assert missing == []
