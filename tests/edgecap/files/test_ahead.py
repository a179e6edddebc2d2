"""Items made in a thread: the same ones, errors in their place, and no thread left behind."""

import threading

import pytest

from edgecap.files.ahead import ahead


def threads():
    return [each for each in threading.enumerate() if each.name == "edgecap-ahead"]


@pytest.mark.parametrize("items", [[], [1, 2, 3], [None, 0, ""], list(range(1000))])
def test_the_items_come_in_their_order(items):
    with ahead(items, 2) as made:
        assert list(made) == items
    assert threads() == []


def test_an_error_is_raised_where_its_item_would_come():
    def items():
        yield 1
        raise OSError("gone")

    with ahead(items(), 4) as made:
        assert next(made) == 1
        with pytest.raises(OSError, match="gone"):
            next(made)


def test_who_stops_early_leaves_no_thread():
    with ahead(iter(int, 1), 3) as made:
        assert next(made) == 0
    assert threads() == []
