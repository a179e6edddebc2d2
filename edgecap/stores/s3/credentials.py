"""Credentials that AWS's chain finds and renews: a failure that passes is told from wrong credentials.

The endpoint of a container, an instance or a program gives them for minutes to hours, and is asked again
before they end. If it does not answer just then, that passes, and is waited for like a store that is away.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from boto3 import Session
from botocore import exceptions as boto

from edgecap.network.trouble import chain
from edgecap.stores.causes import sentence
from edgecap.stores.s3.errors import PASSING_CODES, RAISED, NotRenewed, code_of, status_of

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_NON_200 = re.compile(r"non 200 response (\d{3})")  # of botocore, about the endpoint of a container
_NO_ANSWER = (boto.HTTPClientError, boto.ConnectionError, ConnectionError, TimeoutError)
# Somebody has to sign in anew: asking again changes nothing.
_SIGN_IN = (boto.SSOError, boto.LoginError, boto.NoAuthTokenError, boto.RefreshWithMFAUnsupportedError)


def require_credentials(session: Session) -> Any:
    """The credentials of `session`, fetched; None if there are none at all.

    Raises:
        NotRenewed: who gives them does not answer, or is in trouble.
        CredentialRetrievalError: they cannot be had so; or what else botocore raises.
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
        # A program that is not there, an answer of another form: botocore lets them through as they are.
        raise boto.CredentialRetrievalError(provider="AWS", error_msg=_words(error)) from error
    return credentials


def renew_with(client: S3Client, credentials: Any) -> None:
    """Have `client` renew `credentials` in time, and raise NotRenewed when that fails for a while."""

    def renew(**_: Any) -> None:
        try:
            credentials.get_frozen_credentials()
        except Exception as error:
            if _is_refused(error):
                raise
            raise NotRenewed(error_msg=_words(error)) from error

    client.meta.events.register("before-sign.s3", renew)


def _passes(error: BaseException) -> bool:
    """Whether what failed at the first try may be there at the next: no answer, or one of trouble."""
    return any(
        isinstance(each, _NO_ANSWER)
        or (status := _status(each)) >= HTTPStatus.INTERNAL_SERVER_ERROR
        or status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
        or (isinstance(each, boto.ClientError) and code_of(each) in PASSING_CODES)
        for each in chain(error)
    )


def _is_refused(error: BaseException) -> bool:
    """Whether credentials that were good once are refused now, by name."""
    if _passes(error):
        return False
    return any(isinstance(each, _SIGN_IN) or _status(each) for each in chain(error))


def _status(error: BaseException) -> int:
    """The HTTP status with which credentials were refused; 0 if it was none."""
    if isinstance(error, boto.ClientError):
        return status_of(error)
    found = _NON_200.search(str(error)) if isinstance(error, boto.MetadataRetrievalError) else None
    return int(found[1]) if found else 0


def _words(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the answer has no {error}"
    return sentence(error) or type(error).__name__
