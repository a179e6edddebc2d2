"""What Prefect tries again: trouble that may pass by itself, and no other."""

import pytest
from prefect.states import Failed

from edgecap.errors import NetworkFailure, NoPermission, StoreUnreachable
from tasks.runtime.retry import passing


@pytest.mark.parametrize("kind", [NetworkFailure, StoreUnreachable])
@pytest.mark.parametrize("permanent", [False, True])
async def test_trouble_that_only_a_person_can_mend_is_not_tried_again(kind, permanent):
    error = kind("the proxy wants a password")
    error.permanent = permanent
    assert await passing(None, None, Failed(data=error)) is not permanent
    assert not await passing(None, None, Failed(data=NoPermission("no")))
