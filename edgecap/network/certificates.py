"""The CA certificates to trust: the system's or those of SSL_CERT_FILE, and additional ones."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from edgecap.errors import ConfigError

# The first two replace the system's trust store, the others add to it.
REPLACING = ("SSL_CERT_FILE", "SSL_CERT_DIR")
ADDITIONAL = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE")
# OpenSSL reads only these blocks of a file; everything else, private keys included, is not copied.
_CERTIFICATE = re.compile(
    rb"-----BEGIN (?P<kind>(?:X509 |TRUSTED )?CERTIFICATE)-----.+?-----END (?P=kind)-----", re.DOTALL
)
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+", re.IGNORECASE)  # OpenSSL's names for certificates in a folder
# Each distribution's file with all certificates, for programs that need one file.
SYSTEM_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
)


@dataclass(frozen=True, slots=True)
class Authorities:
    """A file or folder of CA certificates, and the variable that names it."""

    variable: str
    path: Path

    def load(self, context: ssl.SSLContext) -> None:
        """Add the certificates to a context.

        Raises:
            ConfigError: the path cannot be read, or holds no certificate.
        """
        try:
            if self.path.is_dir():
                if not any(_HASHED.fullmatch(entry.name) for entry in self.path.iterdir()):
                    raise self._wrong(
                        "holds no certificate named as OpenSSL needs it", "run `openssl rehash` on it"
                    )
                context.load_verify_locations(capath=str(self.path))
            else:
                context.load_verify_locations(cafile=str(self.path))
        except ssl.SSLError:
            raise self._wrong("holds no certificate", "name a file of PEM certificates") from None
        except OSError as error:
            raise self._wrong(f"cannot be read: {error.strerror}", f"correct {self.variable}") from None

    def check(self) -> None:
        """Raise ConfigError if `load` would fail; an unchanged file is read only once."""
        try:
            changed = self.path.stat().st_mtime_ns
        except OSError as error:
            raise self._wrong(f"cannot be read: {error.strerror}", f"correct {self.variable}") from None
        _read_once(self, changed)

    def certificates(self) -> list[bytes]:
        """Each certificate as PEM.

        Raises:
            ConfigError: the path cannot be read.
        """
        try:
            files = [self.path]
            if self.path.is_dir():
                files = sorted(each for each in self.path.iterdir() if _HASHED.fullmatch(each.name))
            return [match[0] for file in files for match in _CERTIFICATE.finditer(file.read_bytes())]
        except OSError as error:
            raise self._wrong(f"cannot be read: {error.strerror}", f"correct {self.variable}") from None

    def _wrong(self, what: str, hint: str) -> ConfigError:
        return ConfigError(f"{self.variable}: {self.path} {what}", where=self.variable, hint=hint)


@dataclass(frozen=True, slots=True)
class Trust:
    """The trusted certificate authorities.

    Attributes:
        replacing: authorities instead of the system's trust store; empty if that is used.
        additional: authorities in addition.
    """

    replacing: tuple[Authorities, ...]
    additional: tuple[Authorities, ...]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Read the variables; files are opened later."""
        found = {
            variable: tuple(
                Authorities(variable, Path(part))
                for part in (value.split(":") if variable == "SSL_CERT_DIR" else [value])
                if part
            )
            for variable in (*REPLACING, *ADDITIONAL)
            if (value := environment.get(variable, "").strip())
        }
        return cls(*(sum((found.get(name, ()) for name in names), ()) for names in (REPLACING, ADDITIONAL)))

    def __str__(self) -> str:
        """Such as `the system's certificates and those of AWS_CA_BUNDLE`."""
        named = " and ".join(dict.fromkeys(each.variable for each in (*self.replacing, *self.additional)))
        if self.replacing:
            return f"the certificates of {named}"
        return "the system's certificates" + (f" and those of {named}" if named else "")

    def check(self) -> None:
        """Raise ConfigError if a variable names a path that cannot be read or holds no certificate."""
        for authorities in (*self.replacing, *self.additional):
            authorities.check()

    def context(self, *, also: Authorities | None = None) -> ssl.SSLContext:
        """A new client context, which verifies certificates and host names.

        Args:
            also: further authorities, such as the `ca_bundle` of an AWS profile.

        Raises:
            ConfigError: a variable names a path that cannot be read or holds no certificate.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if self.replacing else _system_context()
        for authorities in filter(None, (*self.replacing, *self.additional, also)):
            authorities.load(context)
        return context

    def pem(self) -> bytes:
        """All certificates in one file, for programs that accept only that.

        Raises:
            ConfigError: a variable names a path that cannot be read.
        """
        named = [*self.replacing, *self.additional]
        if not self.replacing:
            named.insert(0, _system_authorities())
        found = (certificate for each in named for certificate in each.certificates())
        return b"\n".join([*dict.fromkeys(found), b""])

    @staticmethod
    def system_file() -> str:
        """The system's file of certificates; empty if there is none."""
        return _system_file()


@lru_cache(maxsize=16)
def _read_once(authorities: Authorities, changed: int) -> None:  # noqa: ARG001 - part of the cache's key
    """Load once per change of the file: a bundle takes 40 ms, and a command checks it several times."""
    authorities.load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def _system_context() -> ssl.SSLContext:
    if not _system_has_any():
        import certifi  # noqa: PLC0415 - needed only on a machine without certificates

        return ssl.create_default_context(cafile=certifi.where())
    import truststore  # noqa: PLC0415 - needed only for connections

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _system_authorities() -> Authorities:
    """The system's certificates, or those of the package `certifi` if the system has none."""
    if not _system_has_any():
        import certifi  # noqa: PLC0415 - as above

        return Authorities("certifi", Path(certifi.where()))
    return Authorities("the system", Path(_system_file() or ssl.get_default_verify_paths().capath or ""))


def _system_has_any() -> bool:
    folder = ssl.get_default_verify_paths().capath
    hashed = folder and any(_HASHED.fullmatch(entry.name) for entry in Path(folder).iterdir())
    return bool(hashed or _system_file())


def _system_file() -> str:
    candidates = [ssl.get_default_verify_paths().cafile or "", *SYSTEM_FILES]
    return next((path for path in candidates if path and Path(path).is_file()), "")
