"""Which certificates connections trust: the system's, those of SSL_CERT_FILE, and a company's own besides."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from edgecap.errors import ConfigError

INSTEAD = ("SSL_CERT_FILE", "SSL_CERT_DIR")
BESIDES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE")
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+", re.IGNORECASE)  # how OpenSSL finds a certificate in a folder
# Where distributions keep all in one file, for programs that must be given one.
_SYSTEM_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
)


@dataclass(frozen=True, slots=True)
class Authorities:
    """Certificates of authorities in a file or a folder, and which variable names it."""

    variable: str
    path: Path

    def load(self, context: ssl.SSLContext) -> None:
        """Let a context trust them.

        Raises:
            ConfigError: it is not there, or holds no certificate.
        """
        try:
            if self.path.is_dir():
                if not any(_HASHED.fullmatch(entry.name) for entry in self.path.iterdir()):
                    raise self._wrong(
                        "holds no certificate under a name of OpenSSL's", "run `openssl rehash` on it"
                    )
                context.load_verify_locations(capath=str(self.path))
            else:
                context.load_verify_locations(cafile=str(self.path))
        except ssl.SSLError:
            raise self._wrong("holds no certificate", "name a file of PEM certificates") from None
        except OSError as error:
            raise self._wrong(f"cannot be read: {error.strerror}", f"correct {self.variable}") from None

    def check(self) -> None:
        """As `load`, for nobody; what was read and has not changed since is not read again."""
        try:
            changed = self.path.stat().st_mtime_ns
        except OSError as error:
            raise self._wrong(f"cannot be read: {error.strerror}", f"correct {self.variable}") from None
        _read_once(self, changed)

    def _wrong(self, what: str, todo: str) -> ConfigError:
        return ConfigError(f"{self.variable}: {self.path} {what}", where=self.variable, todo=todo)


@dataclass(frozen=True, slots=True)
class Trust:
    """The authorities whose certificates are trusted.

    Attributes:
        instead: what takes the place of the system's trust store; nothing for the system's.
        besides: what is trusted as well.
    """

    instead: tuple[Authorities, ...]
    besides: tuple[Authorities, ...]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """What an environment names; nothing is opened yet."""
        found = {
            variable: tuple(
                Authorities(variable, Path(part))
                for part in (value.split(":") if variable == "SSL_CERT_DIR" else [value])
                if part
            )
            for variable in (*INSTEAD, *BESIDES)
            if (value := environment.get(variable, "").strip())
        }
        return cls(*(sum((found.get(name, ()) for name in names), ()) for names in (INSTEAD, BESIDES)))

    def __str__(self) -> str:
        """Such as `the system's certificates and those of AWS_CA_BUNDLE`."""
        named = " and ".join(dict.fromkeys(each.variable for each in (*self.instead, *self.besides)))
        if self.instead:
            return f"the certificates of {named}"
        return "the system's certificates" + (f" and those of {named}" if named else "")

    def check(self) -> None:
        """Raises ConfigError if something that a variable names is not there, or holds no certificate."""
        for authorities in (*self.instead, *self.besides):
            authorities.check()

    def context(self, *, also: str = "") -> ssl.SSLContext:
        """A new context for clients, which verifies certificates and host names.

        Args:
            also: a file or folder of further authorities, such as the `ca_bundle` of an AWS profile.

        Raises:
            ConfigError: something that a variable names is not there, or holds no certificate.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if self.instead else _system_context()
        besides = [*self.besides, *([Authorities("ca_bundle", Path(also))] if also else [])]
        for authorities in (*self.instead, *besides):
            authorities.load(context)
        return context

    def file(self) -> str:
        """One file of authorities, for programs that take no more; empty if there is none."""
        named = [str(each.path) for each in (*self.instead, *self.besides) if each.path.is_file()]
        return next(iter([*named, *filter(None, [_system_file()])]), "")


@lru_cache(maxsize=16)
def _read_once(authorities: Authorities, changed: int) -> None:  # noqa: ARG001 - of another time, it is another
    """Settings are read many times in a run, and a bundle takes 40 ms."""
    authorities.load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def _system_context() -> ssl.SSLContext:
    if not _system_has_any():
        import certifi  # noqa: PLC0415 - needed on a machine without certificates of its own only

        return ssl.create_default_context(cafile=certifi.where())
    import truststore  # noqa: PLC0415 - needed for connections only

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _system_has_any() -> bool:
    folder = ssl.get_default_verify_paths().capath
    hashed = folder and any(_HASHED.fullmatch(entry.name) for entry in Path(folder).iterdir())
    return bool(hashed or _system_file())


def _system_file() -> str:
    candidates = [ssl.get_default_verify_paths().cafile or "", *_SYSTEM_FILES]
    return next((path for path in candidates if path and Path(path).is_file()), "")
