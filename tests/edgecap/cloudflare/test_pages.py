"""Further pages of the list, whatever the API makes of the question: nobody knows whether it has any."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from edgecap.cloudflare.client import PAGES_MOST
from edgecap.cloudflare.models import PAGE
from edgecap.errors import ServerFailure
from edgecap.requests import rfc3339
from tests.edgecap.cloudflare.scripted_api import Api, no

NEWEST = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def listed(first, count=PAGE, total=None):
    """Captures a minute apart, from the `first`th newest on, as a page of the list."""
    items = [
        {"id": f"{number:032x}", "submitted": rfc3339(NEWEST - timedelta(minutes=number))}
        for number in range(first, first + count)
    ]
    body = {"result": items, "success": True, "errors": [], "messages": []}
    if total is not None:
        body["result_info"] = {"page": 1, "per_page": PAGE, "count": count, "total_count": total}
    return httpx.Response(200, json=body)


async def ask(minutes_ago, *answers):
    api = Api(*answers)
    async with api.client() as client:
        moment = NEWEST - timedelta(minutes=minutes_ago)
        found = await client.list_back_to(await client.list_captures(), moment)
    return found, found.reaches_back_to(moment), [dict(request.url.params) for request in api.requests]


async def test_pages_are_asked_for_only_as_far_as_it_takes():
    found, reached, asked = await ask(120, listed(0), listed(50), listed(100), listed(150))
    assert (len(found.captures), reached) == (150, True)
    assert asked == [{}, {"page": "2", "per_page": "50"}, {"page": "3", "per_page": "50"}]


async def test_a_list_that_reaches_back_is_not_asked_further():
    _, reached, asked = await ask(20, listed(0))
    assert (reached, asked) == (True, [{}])


@pytest.mark.parametrize(
    "further",
    [listed(0), listed(50, 0), no(400), no(404), httpx.Response(200, text="<html>")],
    ids=["the same again", "nothing", "refused", "unknown", "no envelope"],
)
async def test_an_api_without_pages_proves_nothing(further):
    found, reached, _ = await ask(120, listed(0), further)
    assert (len(found.captures), reached) == (PAGE, False)


async def test_a_total_ends_the_paging_unless_it_counts_one_page():
    assert (await ask(120, listed(0, total=57), listed(50, 7, total=57)))[1]
    assert not (await ask(120, listed(0, total=58), listed(50, 7, total=58), listed(50, 0, total=58)))[1]
    assert not (await ask(120, listed(0, total=50), listed(50, 0, total=50)))[1]


async def test_captures_that_move_to_the_next_page_meanwhile_count_once():
    found, reached, _ = await ask(80, listed(0), listed(48))
    assert (len(found.captures), reached) == (98, True)


async def test_pages_without_end_are_left_at_some_time():
    pages = [listed(50 * number) for number in range(PAGES_MOST + 5)]
    _, reached, asked = await ask(100_000, *pages)
    assert (len(asked), reached) == (PAGES_MOST, False)


async def test_trouble_with_a_page_is_no_proof():
    with pytest.raises(ServerFailure):
        await ask(120, listed(0), no(503))
