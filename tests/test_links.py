"""Links within the documentation: their files and headings exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(page: Path) -> set[str]:
    """The anchors that Markdown viewers make of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_headings_that_a_page_links_to_exist(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_the_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.*"):
        if page.name not in ("README.md", "faults.jsonl"):
            assert f"({page.name})" in index, page.name


def test_the_tests_that_the_page_on_security_names_are_there():
    """Each of its claims has one; a test that moves must not leave a claim without."""
    named = set(re.findall(r"[\w/]*test_\w+\.py", (ROOT / "docs/security.md").read_text()))
    assert len(named) > 15
    assert not [name for name in named if not (ROOT / "tests" / name).is_file()]
