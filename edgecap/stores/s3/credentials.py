"""Credentials from AWS's chain: tell temporary failures to fetch or renew them from wrong credentials.

The endpoint of a container, an instance or a program gives credentials for minutes to hours, and boto3 renews
them before they expire. If the endpoint does not answer, edgecap retries, as if the store did not answer.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from boto3 import Session
from botocore import exceptions as boto

from edgecap.network.errors import chain
from edgecap.stores.causes import sentence
from edgecap.stores.s3.errors import PASSING_CODES, RAISED, NotRenewed, code_of, status_of

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_NON_200 = re.compile(r"non 200 response (\d{3})")  # botocore's message about the endpoint of a container
_NO_ANSWER = (boto.HTTPClientError, boto.ConnectionError, ConnectionError, TimeoutError)
# A person has to sign in again: a retry changes nothing.
_SIGN_IN = (boto.SSOError, boto.LoginError, boto.NoAuthTokenError, boto.RefreshWithMFAUnsupportedError)


def require_credentials(session: Session) -> Any:
    """Fetch the credentials of `session`; None if there are none at all.

    Raises:
        NotRenewed: their source does not answer, or has a temporary error.
        CredentialRetrievalError: their source refuses; botocore may raise other errors, too.
    """
    try:
        credentials = session.get_credentials()
        if credentials is not None:
            credentials.get_frozen_credentials()
    except Exception as error:
        if _passes(error):
            raise NotRenewed(error_msg=_words(error)) from error
        if isinstance(error, RAISED):
            raise
        # botocore does not wrap a missing program or an answer of another format.
        raise boto.CredentialRetrievalError(provider="AWS", error_msg=_words(error)) from error
    return credentials


def renew_with(client: S3Client, credentials: Any) -> None:
    """Have `client` renew `credentials` in time, and raise NotRenewed if that fails temporarily."""

    def renew(**_: Any) -> None:
        try:
            credentials.get_frozen_credentials()
        except Exception as error:
            if _is_refused(error):
                raise
            raise NotRenewed(error_msg=_words(error)) from error

    client.meta.events.register("before-sign.s3", renew)


def _passes(error: BaseException) -> bool:
    """Whether a failed first attempt may succeed later: no answer, or a temporary error."""
    return any(
        isinstance(each, _NO_ANSWER)
        or (status := _status(each)) >= HTTPStatus.INTERNAL_SERVER_ERROR
        or status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
        or (isinstance(each, boto.ClientError) and code_of(each) in PASSING_CODES)
        for each in chain(error)
    )


def _is_refused(error: BaseException) -> bool:
    """Whether credentials that once worked are now refused, by error code."""
    if _passes(error):
        return False
    return any(isinstance(each, _SIGN_IN) or _status(each) for each in chain(error))


def _status(error: BaseException) -> int:
    """The HTTP status of the refusal of credentials; 0 if there was none."""
    if isinstance(error, boto.ClientError):
        return status_of(error)
    found = _NON_200.search(str(error)) if isinstance(error, boto.MetadataRetrievalError) else None
    return int(found[1]) if found else 0


def _words(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the answer has no {error}"
    return sentence(error) or type(error).__name__
