"""What is different in our Prefect server."""

import time

from prefect.server.utilities.messaging.memory import MemoryMessage, Subscription, Topic

from deployments.local.prefect_server import retry_later


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
