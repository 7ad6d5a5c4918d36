"""The TLS of listeners: its settings, the contexts that they make, and reading certificates again when they change.

Files are looked at when a handshake begins, so a certificate that was replaced serves the next client, and nobody who
is connected notices. While what is on the disk can't be used, most likely because a key and its certificate are being
replaced one after the other, the certificates that were read last go on serving.

Each reading makes new contexts rather than changing those that there are: a context can't forget an authority, and it
would let clients resume sessions that an authority had vouched for which is trusted no more.
"""

from __future__ import annotations

import logging
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

log: Final = logging.getLogger("leveret.tls")

VERIFY_NONE: Final = "verify_none"
VERIFY_PEER: Final = "verify_peer"
VERSIONS: Final = {  # from the oldest
    "tlsv1": ssl.TLSVersion.TLSv1,
    "tlsv1.1": ssl.TLSVersion.TLSv1_1,
    "tlsv1.2": ssl.TLSVersion.TLSv1_2,
    "tlsv1.3": ssl.TLSVersion.TLSv1_3,
}
DEPTH: Final = 10
TLS_1_3_CIPHER: Final = "TLS_"  # what the names of its ciphers begin with


class CannotUse(Exception):
    """TLS that can't be had as it is configured; the text is for the operator."""


@dataclass(frozen=True)
class NamedCertificate:
    """A certificate for clients that call the broker by a certain name, which may begin with `*.` for any one label."""

    host: str
    certfile: Path
    keyfile: Path | None = None


@dataclass(frozen=True)
class TlsOptions:
    """The TLS of some listeners, by the names in rabbitmq.conf. The key may stand in the certificate's file."""

    certfile: Path | None = None
    keyfile: Path | None = None
    cacertfile: Path | None = None
    password: str | None = None  # of every key
    verify: str = VERIFY_NONE
    fail_if_no_peer_cert: bool = False
    depth: int = DEPTH  # how many authorities may stand between a client's certificate and the root
    versions: tuple[str, ...] = ("tlsv1.3", "tlsv1.2")
    ciphers: tuple[str, ...] = ()  # OpenSSL's default
    sni: tuple[NamedCertificate, ...] = ()


def parse_named_certificate(text: str) -> NamedCertificate:
    """HOST=CERTFILE or HOST=CERTFILE:KEYFILE. ValueError for anything else."""
    host, _, files = text.partition("=")
    certfile, _, keyfile = files.partition(":")
    if not host or not certfile:
        raise ValueError(f"{text!r} is not HOST=CERTFILE or HOST=CERTFILE:KEYFILE")
    return NamedCertificate(host.lower().rstrip("."), Path(certfile), Path(keyfile) if keyfile else None)


class Contexts:
    """What was made from one reading of the files."""

    def __init__(self, settings: TlsOptions) -> None:
        """Raises CannotUse."""
        if settings.certfile is None:
            raise CannotUse("no certificate is configured")
        self.default: Final = context(settings, settings.certfile, settings.keyfile)
        self._by_host: Final = {named.host: context(settings, named.certfile, named.keyfile) for named in settings.sni}
        if self._by_host:
            self.default.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, host: str | None, _: ssl.SSLContext) -> None:
        connection.context = self.for_host(host)

    def for_host(self, host: str | None) -> ssl.SSLContext:
        """The context for a client that calls the broker by that name."""
        name = (host or "").lower().rstrip(".")
        found = self._by_host.get(name) or self._by_host.get("*." + name.partition(".")[2])
        return found or self.default


class Certificates:
    """The TLS of some listeners, as it is on the disk now."""

    def __init__(self, settings: TlsOptions, purpose: str) -> None:
        """Raises CannotUse. `purpose` tells people which TLS it is."""
        self.settings: Final = settings
        self._purpose: Final = purpose
        self._seen = self._state_of_files()
        self._contexts = Contexts(settings)
        left_out = [each for each in settings.ciphers if each.startswith(TLS_1_3_CIPHER)]
        if left_out:
            log.warning("ciphers of TLS 1.3 can't be chosen, all of them are offered: %s", ", ".join(left_out))

    def current(self) -> ssl.SSLContext:
        """The context for a handshake that begins now."""
        if self._state_of_files() != self._seen:
            self.reload()
        return self._contexts.default

    def files(self) -> list[tuple[Path | None, Path | None]]:
        """The file of the certificate and that of the authorities, then the certificates by host name."""
        own = self.settings.certfile, self.settings.cacertfile
        return [own, *((named.certfile, None) for named in self.settings.sni)]

    def reload(self) -> None:
        """Read the files again. If they can't be used, that is logged, and those read before are used on."""
        self._seen = self._state_of_files()
        try:
            self._contexts = Contexts(self.settings)
        except CannotUse as error:
            log.error("certificates for %s were not read again, those read before serve on: %s", self._purpose, error)
        else:
            log.info("certificates for %s were read again", self._purpose)

    def lasting_context(self) -> ssl.SSLContext:
        """A context for servers that take one for good: each handshake has the certificates of its time.

        It is for listeners on which a client's certificate logs nobody in: one whose authority is trusted no more may
        still resume a session.
        """
        lasting = Contexts(self.settings).default

        def choose(connection: ssl.SSLSocket | ssl.SSLObject, host: str | None, _: ssl.SSLContext) -> None:
            self.current()
            connection.context = self._contexts.for_host(host)

        lasting.sni_callback = choose
        return lasting

    def _state_of_files(self) -> list[tuple[int, int, int] | None]:
        settings = self.settings
        files = [settings.certfile, settings.keyfile, settings.cacertfile]
        for named in settings.sni:
            files += [named.certfile, named.keyfile]
        return [state_of_file(path) for path in files if path is not None]


def state_of_file(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written to or replaced; None if it can't be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def context(settings: TlsOptions, certfile: Path, keyfile: Path | None) -> ssl.SSLContext:
    """A context with one certificate. Raises CannotUse."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.options |= ssl.OP_NO_RENEGOTIATION
    set_versions(made, settings.versions)
    set_ciphers(made, settings.ciphers)
    set_verification(made, settings)
    # OpenSSL would ask for a password at the terminal if it were given none.
    password = settings.password or ""
    key = keyfile or certfile
    in_words = f"the certificate {certfile} with the key {key}"
    attempt(in_words, lambda: made.load_cert_chain(certfile, key, lambda: password))
    return made


def attempt(what: str, load: Callable[[], None]) -> None:
    """Load a file; CannotUse if that fails."""
    try:
        load()
    except ssl.SSLError as error:
        raise CannotUse(f"{what} can't be used: {reason(error)}") from None
    except OSError as error:
        raise CannotUse(f"{what} can't be read: {error.strerror or error}") from None
    except ValueError as error:  # a password that is too long
        raise CannotUse(f"{what} can't be used: {error}") from None


def reason(error: ssl.SSLError) -> str:
    """What OpenSSL says of an error, without where in OpenSSL that is."""
    return (error.reason or str(error)).replace("_", " ").lower()


def set_versions(made: ssl.SSLContext, versions: tuple[str, ...]) -> None:
    """Speak these versions; CannotUse if there is one between them that is left out, which OpenSSL can't."""
    order = list(VERSIONS)
    chosen = sorted(order.index(each) for each in set(versions))
    if not chosen:
        raise CannotUse("no version of TLS is configured")
    if chosen != list(range(chosen[0], chosen[-1] + 1)):
        raise CannotUse("a version of TLS between others can't be left out: " + ", ".join(versions))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # who configures an old version knows
        made.minimum_version = VERSIONS[order[chosen[0]]]
        made.maximum_version = VERSIONS[order[chosen[-1]]]


def set_ciphers(made: ssl.SSLContext, ciphers: tuple[str, ...]) -> None:
    """Offer these ciphers up to TLS 1.2. Those of TLS 1.3 can't be chosen, and are all offered."""
    chosen = [each for each in ciphers if not each.startswith(TLS_1_3_CIPHER)]
    if chosen:
        try:
            made.set_ciphers(":".join(chosen))
        except ssl.SSLError:
            raise CannotUse(f"OpenSSL knows none of the ciphers {', '.join(chosen)}") from None


def set_verification(made: ssl.SSLContext, settings: TlsOptions) -> None:
    """Ask clients for a certificate, or don't. CannotUse for what would not do what it says."""
    if settings.verify != VERIFY_PEER:
        if settings.fail_if_no_peer_cert:
            raise CannotUse("fail_if_no_peer_cert needs verify_peer")
        return
    if settings.cacertfile is None:
        raise CannotUse("verify_peer needs a file of authorities (cacertfile)")
    authorities = settings.cacertfile
    made.verify_mode = ssl.CERT_REQUIRED if settings.fail_if_no_peer_cert else ssl.CERT_OPTIONAL
    attempt(f"the authorities in {authorities}", lambda: made.load_verify_locations(authorities))


def is_too_deep(connection: ssl.SSLObject, depth: int) -> bool:
    """Whether more authorities than `depth` stand between the client's certificate and the root.

    OpenSSL could be told, but not by way of Python. A resumed session was looked at when it began.
    """
    if not connection.getpeercert() or connection.session_reused:
        return False
    # Public since Python 3.13; before that the same method is one level below.
    source = connection if hasattr(connection, "get_verified_chain") else getattr(connection, "_sslobj")  # noqa: B009
    chain: list[object] = source.get_verified_chain()
    return len(chain) - 2 > depth
