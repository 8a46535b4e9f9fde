"""Every example in docs/selectors runs, every selector has a page, and every page is in the table of contents."""

import re

import pytest
from support import ROOT

PAGES = sorted((ROOT / "docs" / "selectors").glob("*.md"))
INNER = {
    "picks",
    "greedy",
    "near",
    "ceiling",
    "cells",
    "plateau",
    "answers",
    "held_out",
}  # described on the pages of those that they serve


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_example_of_a_page_runs(page):
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks or page.stem == "README"
    for block in blocks:
        exec(compile(block, page.name, "exec"), {})


def test_every_selector_has_a_page_and_every_page_is_listed():
    files = {path.stem for path in (ROOT / "selectors").glob("*.py")} - INNER
    assert files == {page.stem for page in PAGES} - {"README"}
    listed = set(re.findall(r"\]\((\w+)\.md\)", (ROOT / "docs" / "selectors" / "README.md").read_text(encoding="utf-8")))
    assert listed == files
