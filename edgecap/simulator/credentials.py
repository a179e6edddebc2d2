"""Authentication: API tokens, or an e-mail address and a key."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edgecap.simulator.envelope import Problem, Refused
from edgecap.simulator.variants import Variant

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{40,}=*")
_KEY = re.compile(r"[0-9a-f]{37,45}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


@dataclass(frozen=True)
class Credential:
    """A token, or an e-mail address and key, with its rights.

    Attributes:
        name: its name in the log.
        accounts: the accounts that it may access.
        token: the API token, or empty.
        email: the e-mail address, or empty.
        key: the API key of the address.
        write: whether it has "Magic Firewall Packet Captures - Write PCAPs API", not only the Read one.
        captures: whether it may access packet captures at all.
        analytics: whether it has "Account Analytics: Read".
    """

    name: str
    accounts: frozenset[str]
    token: str = field(default="", repr=False)
    email: str = ""
    key: str = field(default="", repr=False)
    write: bool = True
    captures: bool = True
    analytics: bool = True


class Gate:
    """Checks credentials and rights.

    Args:
        credentials: all accepted ones.
        variant: how others are refused.
    """

    def __init__(self, credentials: Iterable[Credential], variant: Variant) -> None:
        self.credentials = tuple(credentials)
        self._variant = variant

    def enter(self, headers: Mapping[str, str]) -> Credential:
        """The credential of a request.

        Raises:
            Refused: the credentials are missing, malformed or wrong.
        """
        authorization = headers.get("authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            well_formed = scheme.lower() == "bearer"
            found = [c for c in self.credentials if well_formed and c.token and _same(c.token, token)]
            if not found and not (well_formed and _TOKEN.fullmatch(token)):
                raise _malformed(6111, "Invalid format for Authorization header")
        elif "x-auth-email" in headers or "x-auth-key" in headers:
            email, key = headers.get("x-auth-email", ""), headers.get("x-auth-key", "")
            found = [c for c in self.credentials if c.key and _same(c.key, key) and c.email == email]
            if not found and not _EMAIL.fullmatch(email):
                raise _malformed(6102, "Invalid format for X-Auth-Email header")
            if not found and not _KEY.fullmatch(key):
                raise _malformed(6103, "Invalid format for X-Auth-Key header")
        else:
            missing = "Missing X-Auth-Key, X-Auth-Email or Authorization headers"
            raise Refused(400, (Problem(9106, missing),))
        if not found:
            raise Refused.by(self._variant.wrong_credentials)
        return found[0]

    def allow(self, caller: Credential, account_id: str, *, write: bool) -> None:
        """Require the right to read or write an account's captures.

        Raises:
            Refused: the credential lacks this account or right.
        """
        if account_id not in caller.accounts or not caller.captures or (write and not caller.write):
            raise Refused.by(self._variant.no_permission)


def _same(known: str, given: str) -> bool:
    return hmac.compare_digest(known.encode(), given.encode())


def _malformed(code: int, message: str) -> Refused:
    return Refused(400, (Problem(6003, "Invalid request headers", chain=((code, message),)),))
