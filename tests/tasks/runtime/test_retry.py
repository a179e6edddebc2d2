"""One policy of retries: for tasks by Prefect, for everything else about Prefect by stamina."""

import asyncio

import httpx
import pytest
import stamina
from stamina.instrumentation import get_on_retry_hooks

from edgecap.errors import SetupError
from tasks.runtime.rest import PrefectApi
from tasks.runtime.retry import DELAYS, TRIES, retry_prefect
from tests.stand_ins import one_answer


async def test_an_absent_prefect_server_is_asked_again_with_the_same_arguments():
    asked = []

    async def call(number, *, name):
        asked.append((number, name))
        if len(asked) < TRIES + 1:
            raise httpx.ConnectError("away")
        return "here"

    with stamina.set_testing(True, attempts=TRIES, cap=False):
        with pytest.raises(httpx.ConnectError):
            await retry_prefect(call, 7, name="run")
        assert await retry_prefect(call, 7, name="run") == "here"
    assert asked == [(7, "run")] * (TRIES + 1)


async def test_nothing_else_is_asked_again():
    asked = []

    async def call(error):
        asked.append(error)
        raise error

    for error in (ValueError("ours"), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            await retry_prefect(call, error)
    assert len(asked) == 2


async def test_a_cancel_ends_the_wait_between_two_tries():
    tried = asyncio.Event()

    async def call():
        tried.set()
        raise httpx.ConnectError("away")

    task = asyncio.create_task(retry_prefect(call))
    await tried.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_tasks_and_the_rest_wait_equally_long():
    assert DELAYS == [2, 4, 8, 16, 32, 60, 60, 60]


def test_a_retry_is_no_line_on_a_terminal():
    assert get_on_retry_hooks() == ()


@pytest.mark.parametrize(("status", "retry", "asked"), [(503, True, 7), (503, False, 1), (500, True, 1)])
def test_only_a_busy_server_is_asked_again_and_only_if_wanted(status, retry, asked):
    with one_answer(status) as server, stamina.set_testing(True, attempts=7, cap=True):
        with (
            PrefectApi(f"{server.url}/api", retry=retry) as api,
            pytest.raises(SetupError, match=f"{status}"),
        ):
            api.check()
        assert server.requests == ["GET /api/admin/version"] * asked
