"""Stores of every kind, straight and through a proxy that breaks things."""

import hashlib

import boto3
import pytest
from botocore.config import Config

from edgecap.stores import open_store
from tests.conftest import STORES


@pytest.fixture(params=STORES)
def store(request, place_of):
    """An empty store: a folder, S3, R2, GCS, Ceph."""
    return open_store(place_of(request.param))


@pytest.fixture
def raw():
    """Makes a bare boto3 client for a place, to do what the store does not offer."""

    def make(place):
        return boto3.client(
            "s3",
            endpoint_url=place.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=place.access_key_id.get_secret_value(),
            aws_secret_access_key=place.secret_access_key.get_secret_value(),
            config=Config(request_checksum_calculation="when_required"),
        )

    return make


@pytest.fixture
def multipart(raw, bucket):
    """Puts an object in parts of given sizes, as someone else's uploader does; the last size is repeated."""

    def put(place, key: str, data: bytes, *sizes: int, **checksum: str) -> None:
        client = raw(place)
        target = {"Bucket": bucket, "Key": key}
        upload = {**target, "UploadId": client.create_multipart_upload(**target, **checksum)["UploadId"]}
        parts = []
        start = 0
        while start < len(data):
            number = len(parts) + 1
            body = data[start : start + sizes[min(number, len(sizes)) - 1]]
            answer = client.upload_part(**upload, PartNumber=number, Body=body, **checksum)
            sums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
            parts.append({"PartNumber": number, "ETag": answer["ETag"], **sums})
            start += len(body)
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

    return put


@pytest.fixture(scope="session")
def noise() -> bytes:
    """Three megabytes and a bit that no compression makes smaller."""
    return b"".join(hashlib.sha512(str(number).encode()).digest() for number in range(50_001))
