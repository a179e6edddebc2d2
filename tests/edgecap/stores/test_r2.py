"""The front that stands for R2 refuses what R2 is documented to refuse; what edgecap asks for passes it.

That it passes is seen by every test of stores that runs over `r2`.
"""

import pytest
from botocore.exceptions import ClientError

from edgecap.errors import StoreError
from edgecap.settings.uri import parse_uri
from edgecap.stores.s3.store import S3Store
from edgecap.stores.s3.upload import SINGLE_PUT


@pytest.mark.parametrize(
    "more",
    [{"ServerSideEncryption": "AES256"}, {"ACL": "private"}, {"Tagging": "a=b"}],
    ids=lambda each: next(iter(each)),
)
def test_headers_that_r2_does_not_implement_are_refused(place_of, raw, bucket, more):
    with pytest.raises(ClientError, match="NotImplemented"):
        raw(place_of("r2")).put_object(Bucket=bucket, Key="x", Body=b"x", **more)


def test_parts_of_different_sizes_are_refused(place_of, raw, bucket):
    client = raw(place_of("r2"))
    target = {"Bucket": bucket, "Key": "x"}
    upload = {**target, "UploadId": client.create_multipart_upload(**target)["UploadId"]}
    parts = []
    for number, size in enumerate((5 << 20, 6 << 20, 1), 1):
        answer = client.upload_part(**upload, PartNumber=number, Body=bytes(size))
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    with pytest.raises(ClientError, match="InvalidPart"):
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def test_another_region_is_refused(place_of):
    place = place_of("r2")
    place = place.model_copy(update={"uri": place.uri + "&region=eu-west-1"})
    with pytest.raises(StoreError, match="region"):
        S3Store(parse_uri(place.uri), place).check()


def test_a_large_file_goes_in_parts_of_one_size(place_of, tmp_path):
    place = place_of("r2")
    store = S3Store(parse_uri(place.uri), place)
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(SINGLE_PUT + 1)
    assert store.put("large", path).size == SINGLE_PUT + 1
