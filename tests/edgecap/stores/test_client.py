"""boto3's client as edgecap sets it up: times in S3's answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from edgecap.stores.s3.client import time_in

_TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))


@given(_TIMES)
def test_times_of_listings_are_read_as_botocore_reads_them(time: datetime) -> None:
    for text in (
        f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z",  # S3, MiniStack, Ceph
        f"{time:%Y-%m-%dT%H:%M:%SZ}",
        time.isoformat(),
    ):
        assert time_in(text) == parse_timestamp(text)
        assert time_in(text).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    ["Sun, 29 Nov 2026 06:35:00 GMT", "2026-11-29 06:35:00", "20261129T063500Z", 1_795_934_100, "1795934100"],
)
def test_times_of_headers_and_other_forms_keep_botocores_meaning(value: Any) -> None:
    assert time_in(value) == parse_timestamp(value)


def test_a_time_in_no_known_form_is_an_error() -> None:
    with pytest.raises(ValueError, match="Invalid timestamp"):
        time_in("yesterday")
