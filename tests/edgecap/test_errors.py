"""The error tree is what its drawing says, and errors survive what Prefect does to them."""

import copy
import inspect
import pickle
import re
from datetime import UTC, datetime

import pytest

from edgecap import errors
from edgecap.errors import ApiError, CaptureFailed, EdgecapError, InvalidRequest

CLASSES = [
    item
    for _, item in inspect.getmembers(errors, inspect.isclass)
    if issubclass(item, EdgecapError) and item is not EdgecapError
]
LINE = re.compile(r"^(?P<bars>(?:│ {3}| {4})*)[├└]── (?P<name>\w+)$")


def drawn() -> dict[str, str]:
    """Name to its parent's in the drawing."""
    found: dict[str, str] = {}
    path = ["EdgecapError"]
    for line in (errors.__doc__ or "").splitlines():
        if match := LINE.match(line.removeprefix("    ")):
            depth = len(match["bars"]) // 4 + 1
            path = [*path[:depth], match["name"]]
            found[match["name"]] = path[depth - 1]
    return found


def test_the_drawing_is_the_tree_of_classes():
    assert drawn() == {item.__name__: item.__bases__[0].__name__ for item in CLASSES}


@pytest.mark.parametrize("item", CLASSES, ids=lambda item: item.__name__)
def test_an_error_that_is_raised_says_what_its_code_means(item):
    """`ApiError` and `StoreError` are groups. They stand for no row of docs/exit-codes.md."""
    assert bool(vars(item).get("meaning")) == (item.__name__ not in {"ApiError", "StoreError"})


@pytest.mark.parametrize("item", CLASSES, ids=lambda item: item.__name__)
def test_exit_code_differs_from_success_and_from_pythons_own(item):
    assert 1 < item.exit_code < 126


@pytest.mark.parametrize("item", [EdgecapError, *CLASSES], ids=lambda item: item.__name__)
@pytest.mark.parametrize("again", [lambda it: pickle.loads(pickle.dumps(it)), copy.copy, copy.deepcopy])
def test_survives_pickling_and_copying_with_all_attributes(item, again):
    error = item("it broke", where="here", hint="mend it")
    for name, value in extras(item).items():
        setattr(error, name, value)
    twin = again(error)
    assert type(twin) is item
    assert str(twin) == "it broke (here); mend it"
    assert vars(twin) == vars(error)


def extras(item):
    if issubclass(item, ApiError):
        return {"status": 429, "codes": (971,), "retry_at": datetime(2026, 11, 23, tzinfo=UTC), "sent": False}
    return {InvalidRequest: {"field": "time_limit"}, CaptureFailed: {"capture_id": "0" * 32}}.get(item, {})


@pytest.mark.parametrize("item", [EdgecapError, *CLASSES], ids=lambda item: item.__name__)
def test_is_one_line(item):
    assert str(item("it\nbroke", where="a\n b", hint="mend\tit ")) == "it broke (a b); mend it"
    assert str(item("it broke")) == "it broke"
    assert str(item("it broke", hint="mend it")) == "it broke; mend it"


def test_an_invalid_request_says_the_field_unless_it_says_better():
    assert str(InvalidRequest("bad", field="time_limit")) == "bad (time_limit)"
    assert str(InvalidRequest("bad", field="time_limit", where="line 3")) == "bad (line 3)"


def test_a_failed_capture_names_its_id():
    assert str(CaptureFailed("no packets", capture_id="ab")) == "no packets (capture ab)"
