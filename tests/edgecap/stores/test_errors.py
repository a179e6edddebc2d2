"""Nothing that a library below raises leaves the stores as it is."""

import contextlib
import errno
import io
import os
import subprocess
import sys

import google.api_core.exceptions
import google.auth.exceptions
import google.cloud.storage.exceptions
import pytest
import requests.exceptions
import urllib3.exceptions
from botocore import exceptions as boto

from edgecap import errors
from edgecap.files import durable
from edgecap.settings import StoreLocation
from edgecap.stores import open_store
from edgecap.stores.gcs import errors as gcs_errors
from edgecap.stores.s3 import errors as s3_errors


def subclasses(kind):
    for each in kind.__subclasses__():
        if each.__module__.startswith(kind.__module__.partition(".")[0]):
            yield each
        yield from subclasses(each)


class Anything(dict):
    """Fills every field of botocore's messages."""

    def __missing__(self, key):
        return "x"


def botocore_error(kind):
    """An instance with all the fields that its message asks for."""
    error = kind.__new__(kind)
    Exception.__init__(error, kind.fmt.format_map(Anything()))
    error.kwargs = {}
    return error


BOTO = sorted(set(subclasses(boto.BotoCoreError)), key=lambda kind: kind.__name__)
NETWORK = (boto.HTTPClientError, boto.ConnectionError, boto.IncompleteReadError)


@pytest.mark.parametrize("kind", BOTO, ids=lambda kind: kind.__name__)
def test_every_error_of_botocore_is_mapped(kind):
    assert issubclass(kind, s3_errors.RAISED)
    found = s3_errors.explain(botocore_error(kind), "s3://b/x")
    assert isinstance(found, errors.StoreError)
    assert found.hint
    assert found.where == "s3://b/x"
    if issubclass(kind, NETWORK):
        assert isinstance(found, errors.StoreUnreachable)
    if "Credential" in kind.__name__ or "SSO" in kind.__name__:
        assert isinstance(found, errors.StoreDenied)


def test_botocore_has_been_walked():
    assert len(BOTO) > 80


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("NoSuchBucket", 404, errors.StoreMissing),
        ("NoSuchKey", 404, errors.ObjectMissing),
        ("404", 404, errors.ObjectMissing),
        ("AccessDenied", 403, errors.StoreDenied),
        ("403", 403, errors.StoreDenied),
        ("Unauthorized", 401, errors.StoreDenied),
        ("RequestTimeTooSkewed", 403, errors.StoreDenied),
        ("PreconditionFailed", 412, errors.ObjectChanged),
        ("QuotaExceeded", 403, errors.StoreFull),
        ("Whatever", 507, errors.StoreFull),
        ("SlowDown", 503, errors.StoreUnreachable),
        ("TooManyRequests", 429, errors.StoreUnreachable),
        ("InternalError", 500, errors.StoreUnreachable),
        ("BadDigest", 400, errors.Damaged),
        ("InvalidObjectState", 403, errors.StoreError),
        ("PermanentRedirect", 301, errors.StoreError),
        ("Whatever", 418, errors.StoreError),
    ],
)
@pytest.mark.parametrize("message", [None, "", "in words", "secret-access-key=HIDE-ME"])
def test_answers_of_s3_are_mapped(code, status, expected, message):
    """Ceph's answers have no message: botocore then says None."""
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    found = s3_errors.explain(boto.ClientError(answer, "GetObject"), "s3://b/x")
    assert type(found) is expected
    assert "None" not in str(found)
    assert "HIDE-ME" not in str(found)


@pytest.mark.parametrize("answer", [{}, {"Error": {}}, {"Error": None, "ResponseMetadata": None}])
def test_an_answer_without_anything_is_mapped(answer):
    error = boto.ClientError.__new__(boto.ClientError)
    error.response = answer
    assert type(s3_errors.explain(error, "s3://b")) is errors.StoreError


GOOGLE = sorted(
    {
        *subclasses(google.api_core.exceptions.GoogleAPICallError),
        *subclasses(google.auth.exceptions.GoogleAuthError),
        *subclasses(requests.exceptions.RequestException),
        *subclasses(urllib3.exceptions.HTTPError),
    },
    key=lambda kind: (kind.__name__, kind.__module__),
)


def made(kind):
    """An instance, however many arguments it asks for."""
    for count in (1, 2, 3):
        with contextlib.suppress(TypeError, AttributeError):
            error = kind(*["words"] * count)
            str(error)  # some can be made so, and then not be read
            return error
    readable = type(kind.__name__, (kind,), {"__init__": lambda _: None, "__str__": lambda _: "words"})
    return readable()


@pytest.mark.parametrize("kind", GOOGLE, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_error_of_googles_libraries_is_mapped(kind):
    assert issubclass(kind, gcs_errors.RAISED)
    found = gcs_errors.explain(made(kind), "gs://b/x")
    assert isinstance(found, errors.StoreError)
    assert found.where == "gs://b/x"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, errors.StoreDenied),
        (403, errors.StoreDenied),
        (404, errors.ObjectMissing),
        (412, errors.ObjectChanged),
        (429, errors.StoreUnreachable),
        (503, errors.StoreUnreachable),
        (507, errors.StoreFull),
        (418, errors.StoreError),
    ],
)
def test_answers_of_gcs_are_mapped(status, expected):
    response = requests.Response()
    response.raw = io.BytesIO(b'{"error": {"message": "words"}}')
    error = google.api_core.exceptions.from_http_status(status, "words", response=response)
    assert type(gcs_errors.explain(error, "gs://b/x")) is expected


def test_a_407_from_a_proxy_without_a_variable_is_not_retried():
    answer = {"Error": {"Code": "407", "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 407}}
    error = google.api_core.exceptions.from_http_status(407, "words")
    for found in (
        s3_errors.explain(boto.ClientError(answer, "GetObject"), "s3://b/x"),
        gcs_errors.explain(error, "gs://b/x"),
    ):
        assert type(found) is errors.StoreUnreachable
        assert "a proxy wants a user and password" in str(found)
        assert found.permanent


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, errors.StoreFull),
        (errno.EDQUOT, errors.StoreFull),
        (errno.EROFS, errors.StoreUnwritable),
        (errno.EACCES, errors.StoreUnwritable),
        (errno.EPERM, errors.StoreUnwritable),
        (errno.ENOENT, errors.ObjectMissing),
        (errno.EEXIST, errors.ObjectExists),
        (errno.EIO, errors.StoreUnreachable),
        (errno.ESTALE, errors.StoreUnreachable),
        (errno.EINVAL, errors.StoreError),
    ],
)
def test_errors_of_the_disk_are_mapped(number, expected):
    found = durable.explain(OSError(number, os.strerror(number)), "/disk")
    assert type(found) is expected
    assert "/disk" in str(found)


@pytest.mark.parametrize("uri", ["s3://bucket", "gs://bucket", f"r2://bucket?account-id={'0' * 32}"])
def test_without_credentials_the_error_says_which_to_set(uri, tmp_path):
    """In a process whose environment has none."""
    program = (
        "import sys; from edgecap.settings import StoreLocation; from edgecap.stores import open_store\n"
        f"try: open_store(StoreLocation(uri={uri!r})).check()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_GCE_CHECK": "true",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    kind = "GOOGLE_APPLICATION_CREDENTIALS" if uri.startswith("gs:") else "AWS_ACCESS_KEY_ID"
    assert done.stdout.startswith("StoreDenied no usable credentials")
    assert f"set {kind}" in done.stdout


def test_a_bad_key_file_is_named_and_not_quoted(tmp_path):
    path = tmp_path / "key.json"
    path.write_text('{"private_key": "SECRET"')
    store = open_store(StoreLocation(uri="gs://bucket", credentials_file=path))
    with pytest.raises(errors.ConfigError, match=r"key\.json") as caught:
        store.check()
    assert "SECRET" not in str(caught.value)


def test_opening_a_folder_loads_no_cloud_library():
    program = (
        "import sys; from edgecap.settings import StoreLocation; from edgecap.stores import open_store\n"
        "open_store(StoreLocation(uri='file:/x'))\n"
        "assert not {'boto3', 'google.cloud.storage'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
