"""The options of `leveret serve` about TLS, logging in by certificate, and the PROXY protocol."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from leveret.broker.mechanisms import DEFAULT_MECHANISMS, KNOWN_MECHANISMS
from leveret.server.certificate import (
    ALTERNATIVE_NAME,
    ALTERNATIVE_NAMES,
    COMMON_NAME,
    DISTINGUISHED_NAME,
)
from leveret.server.proxy_protocol import parse_network
from leveret.server.tls import DEPTH, VERIFY_NONE, VERIFY_PEER, VERSIONS, parse_named_certificate

T = TypeVar("T")

PASSWORD = "LEVERET_TLS_PASSWORD"  # a command line is for all to see
LARGEST = 2**31 - 1


def add_tls(serve: argparse.ArgumentParser) -> None:
    """Add the options."""
    several = "may be given more than once"
    serve.add_argument("--tls-bind", action="append", metavar="HOST", help=f"listen for TLS on this address, {several}")
    serve.add_argument("--tls-port", type=number(65535), default=5671, metavar="PORT", help="its port (default: 5671)")
    serve.add_argument("--tls-certfile", type=Path, metavar="PATH", help="PEM file of the certificate and its chain")
    serve.add_argument(
        "--tls-keyfile",
        type=Path,
        metavar="PATH",
        help=f"PEM file of its key, if that is another; ${PASSWORD} has the key's password, if it has one",
    )
    serve.add_argument(
        "--tls-sni",
        action="append",
        type=checked(parse_named_certificate),
        metavar="HOST=CERTFILE[:KEYFILE]",
        help=f"the certificate for clients that call the broker by this name, {several}",
    )
    serve.add_argument("--tls-cacertfile", type=Path, metavar="PATH", help="PEM file of who certifies clients")
    serve.add_argument(
        "--tls-verify",
        choices=(VERIFY_NONE, VERIFY_PEER),
        default=VERIFY_NONE,
        help="whether clients are asked for a certificate, which is verified then (default: verify_none)",
    )
    serve.add_argument("--tls-fail-if-no-peer-cert", action="store_true", help="refuse clients without a certificate")
    serve.add_argument(
        "--tls-depth",
        type=number(LARGEST),
        default=DEPTH,
        metavar="N",
        help=f"how many authorities may stand between a client's certificate and the root (default: {DEPTH})",
    )
    serve.add_argument(
        "--tls-versions",
        action="append",
        choices=tuple(VERSIONS),
        metavar="VERSION",
        help=f"a version that is spoken, {several} (default: tlsv1.3 and tlsv1.2)",
    )
    serve.add_argument(
        "--tls-ciphers", action="append", metavar="NAME", help=f"a cipher of TLS 1.2, by OpenSSL's name, {several}"
    )
    serve.add_argument(
        "--tls-handshake-timeout",
        type=number(LARGEST),
        default=5000,
        metavar="MS",
        help="milliseconds that TLS's handshake may take (default: 5000)",
    )
    add_login(serve)


def add_login(serve: argparse.ArgumentParser) -> None:
    """Add the options about who a client is."""
    serve.add_argument(
        "--auth-mechanisms",
        action="append",
        choices=KNOWN_MECHANISMS,
        metavar="NAME",
        help="a SASL mechanism that clients may log in with, may be given more than once; EXTERNAL is the login by "
        f"certificate (default: {' and '.join(DEFAULT_MECHANISMS)})",
    )
    serve.add_argument(
        "--tls-cert-login-from",
        choices=(COMMON_NAME, DISTINGUISHED_NAME, ALTERNATIVE_NAME),
        default=DISTINGUISHED_NAME,
        help="what in a certificate is the name of the user (default: distinguished_name)",
    )
    serve.add_argument(
        "--tls-cert-login-san-type",
        choices=tuple(ALTERNATIVE_NAMES),
        default="dns",
        help="of which type that alternative name is (default: dns)",
    )
    serve.add_argument(
        "--tls-cert-login-san-index",
        type=number(LARGEST),
        default=0,
        metavar="N",
        help="which of that type it is, counted from 0 (default: 0)",
    )
    serve.add_argument(
        "--proxy-protocol",
        action="store_true",
        help="connections begin with the header of the PROXY protocol, version 1 or 2",
    )
    serve.add_argument(
        "--proxy-protocol-trusted-sources",
        action="append",
        type=checked(parse_network),
        metavar="NETWORK",
        help="only connections from here begin with it, may be given more than once (default: all)",
    )


def tls_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the options come to, by the names that a configuration has for them."""
    given = vars(arguments)
    result = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in given.items()
        if name.startswith(("tls_", "proxy_protocol", "auth_mechanisms")) and value is not None
    }
    return {**result, "tls_password": os.environ.get(PASSWORD)}


def number(highest: int) -> Callable[[str], int]:
    """A parser for numbers from 0."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= highest):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and {highest}")
        return int(text)

    return parse


def checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A parser whose ValueError argparse shows to people."""

    def parse_argument(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_argument
