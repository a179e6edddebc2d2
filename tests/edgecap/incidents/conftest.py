import pytest

from edgecap.incidents.book import Book


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alerts" / "book.db"


@pytest.fixture
def book(path):
    with Book(path) as opened:
        yield opened
