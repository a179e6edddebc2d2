"""What is different in our Prefect server."""

import time

from prefect.server.utilities.messaging.memory import MemoryMessage, Subscription, Topic

from deployments.local.prefect_server import begin_to_write, retry_later
from tests.reading_first import read_then_write


async def test_an_event_outlives_a_database_that_is_locked_for_a_second(tmp_path):
    """By itself Prefect drops it after four tries without a pause."""
    subscription = Subscription(Topic("events"), dead_letter_queue_path=tmp_path / "dropped")
    message = MemoryMessage(data="{}", attributes={})
    began = time.monotonic()
    while time.monotonic() < began + 1:
        await retry_later(subscription, message)
        assert await subscription.get() is message
    assert message.retry_count < 8
    assert not (tmp_path / "dropped").exists()


async def test_a_transaction_that_reads_first_can_still_write(tmp_path):
    """Another connection that wants to write meanwhile waits."""
    await read_then_write(tmp_path / "prefect.db", begin_to_write)
