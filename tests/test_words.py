"""A short list of phrases that once made readers stop. They do not come back into code and pages."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ["edgecap", "tasks", "flows", "deployments"]
PHRASES = {
    "whoever": "name the caller, the run or the person",
    "it runs already": "edgecap is already running",
    "who has": "name the run, the worker or the person",
    "who waited": "name the run",
    "who died": "name the process",
    "whosesoever": "name the owner",
    "nobody's": "say what is missing",
    "somebody else's": "another user's",
    "half-written": "incomplete",
    "leads to nothing": "starts nothing",
    "names of hosts": "host names",
    "people's own": "say what people do",
    "last heard of": "last alert",
    "in the place of": "instead of",
    "those in force": "the current ones",
    "is no id": "is not an id",
    "is no time": "is not a time",
    "is no size": "is not a size",
    "is no data centre": "unknown data centre",
    "say that there are no more": "end the stream",
}
ANY = re.compile(rf"\b(?:{'|'.join(PHRASES)})\b")
PAGES = [ROOT / name for name in ("README.md", "Makefile", "prefect.yaml", "pyproject.toml")]
TEXTS = [
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))),
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.name != "faults.md"),
    *PAGES,
]


def words_of(path):
    """Comments, docstrings and messages of a module; all of any other file. One line, in lower case."""
    text = path.read_text()
    if path.suffix == ".py":
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        comments = [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]
        strings = [
            node.value
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        text = " ".join(comments) + "\n" + "\n".join(strings)
    return re.sub(r"\s+", " ", text).lower()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_phrase_of_the_list_is_used(path):
    words = words_of(path)
    found = set(ANY.findall(words))
    assert not found, "; ".join(f"{phrase!r}: {PHRASES[phrase]}" for phrase in found)
