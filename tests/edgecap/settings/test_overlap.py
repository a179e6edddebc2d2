"""Whether a bucket and an archive lie in one another."""

import pytest

from edgecap.settings import StoreLocation
from edgecap.settings.overlap import overlap


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"uri": "s3://pcaps"}, {"uri": "s3://pcaps/archive"}, True),
        ({"uri": "s3://pcaps/in"}, {"uri": "s3://pcaps"}, True),
        ({"uri": "s3://pcaps/in"}, {"uri": "s3://pcaps/in?region=eu-west-1"}, True),
        ({"uri": "s3://pcaps/in"}, {"uri": "s3://pcaps/inner"}, False),
        ({"uri": "s3://pcaps/in"}, {"uri": "s3://pcaps/archive"}, False),
        ({"uri": "s3://pcaps"}, {"uri": "s3://other"}, False),
        ({"uri": "s3://pcaps"}, {"uri": "gs://pcaps"}, False),
        ({"uri": "s3://pcaps", "endpoint_url": "http://one:1"}, {"uri": "s3://pcaps"}, False),
        (
            {"uri": "s3://pcaps", "endpoint_url": "https://s3.eu-west-1.amazonaws.com"},
            {"uri": "s3://pcaps"},
            True,
        ),
        (
            {"uri": "gs://pcaps", "endpoint_url": "https://storage.googleapis.com"},
            {"uri": "gs://pcaps/a"},
            True,
        ),
        (
            {"uri": "s3://pcaps", "endpoint_url": "https://Acc.r2.cloudflarestorage.com"},
            {"uri": "r2://pcaps/x?account-id=acc"},
            True,
        ),
        (
            {"uri": "s3://pcaps", "endpoint_url": "https://acc.eu.r2.cloudflarestorage.com"},
            {"uri": "r2://pcaps/x?account-id=acc&jurisdiction=eu"},
            True,
        ),
        (
            {"uri": "r2://pcaps?account-id=acc"},
            {"uri": "r2://pcaps/x?account-id=acc&jurisdiction=eu"},
            False,
        ),
        ({"uri": "r2://pcaps?account-id=one"}, {"uri": "r2://pcaps?account-id=two"}, False),
        (
            {"uri": "gs://pcaps", "endpoint_url": "https://storage.googleapis.com:443"},
            {"uri": "gs://pcaps/a"},
            True,
        ),
        (
            {"uri": "s3://pcaps", "endpoint_url": "HTTPS://s3.eu-west-1.amazonaws.com:443/"},
            {"uri": "s3://pcaps"},
            True,
        ),
        (
            {"uri": "s3://pcaps", "endpoint_url": "https://acc.r2.cloudflarestorage.com:443"},
            {"uri": "r2://pcaps?account-id=acc"},
            True,
        ),
        (
            {"uri": "s3://pcaps", "endpoint_url": "https://minio.example"},
            {"uri": "s3://pcaps/in", "endpoint_url": "https://MinIO.example:443"},
            True,
        ),
        (
            {"uri": "s3://pcaps", "endpoint_url": "http://[::1]:80"},
            {"uri": "s3://pcaps/in", "endpoint_url": "http://[::1]"},
            True,
        ),
        (
            {"uri": "s3://pcaps", "endpoint_url": "https://minio.example:9000"},
            {"uri": "s3://pcaps", "endpoint_url": "https://minio.example"},
            False,
        ),
        (
            {"uri": "s3://pcaps", "endpoint_url": "https://minio.example:80"},
            {"uri": "s3://pcaps", "endpoint_url": "https://minio.example"},
            False,
        ),
        ({"uri": "file:/var/lib/edgecap"}, {"uri": "file:/var/lib/../lib/edgecap/in"}, True),
        ({"uri": "file:/var/lib/edgecap"}, {"uri": "file:/var/lib/edgecap-in"}, False),
    ],
)
def test_places_overlap_if_one_is_the_other_or_a_folder_in_it(one, other, expected):
    places = StoreLocation(**one), StoreLocation(**other)
    assert overlap(*places) is overlap(*reversed(places)) is expected
