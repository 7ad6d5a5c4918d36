"""Certificates that are replaced while the broker runs."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.certificates import Authority, Issued
from tests.support.encrypted import TlsBroker, TlsClient
from tests.support.raw_client import RawClient

READ = "certificates for AMQP were read again"
NOT_READ = "certificates for AMQP were not read again, those read before serve on"


@pytest.fixture
def files(tmp_path: Path, server: Issued, authority: Authority) -> Issued:
    """The broker's own files, which a test may replace."""
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    shutil.copy(server.certfile, certfile)
    shutil.copy(server.keyfile, keyfile)
    shutil.copy(authority.certfile, tmp_path / "authorities.pem")
    return Issued(certfile, keyfile, server.certificate)


@pytest.fixture
def replaceable(tmp_path: Path, files: Issued) -> Iterator[TlsBroker]:
    verification = ["--tls-verify", "verify_peer", "--tls-cacertfile", str(tmp_path / "authorities.pem")]
    with TlsBroker(tmp_path, files, *verification) as process:
        yield process


def shown(broker: TlsBroker, authority: Authority, client: Issued | None = None) -> str:
    """The name that a new client is shown."""
    with TlsClient(broker.tls_port, authority.context(client)) as made:
        made.log_in()
        return made.shown()


def resumed(broker: TlsBroker, context: ssl.SSLContext, session: ssl.SSLSession | None) -> bool:
    """Whether a client is let in by a session of another connection; SSLError if it is not let in at all."""
    assert session is not None
    with (
        socket.create_connection(("127.0.0.1", broker.tls_port), 10) as sock,
        context.wrap_socket(sock, server_hostname="localhost", session=session) as encrypted,
    ):
        return bool(encrypted.session_reused)


def replace(old: Path, new: Path) -> None:
    """Put a file in the place of another at once, as programs that renew certificates do."""
    shutil.copy(new, old.with_suffix(".new"))
    os.replace(old.with_suffix(".new"), old)


def test_a_new_certificate_is_shown_to_who_comes_next(
    replaceable: TlsBroker, files: Issued, authority: Authority
) -> None:
    with TlsClient(replaceable.tls_port, authority.context()) as before:
        before.log_in(channels=[1])
        assert before.shown() == "server"
        renewed = authority.issue("renewed")
        replace(files.keyfile, renewed.keyfile)
        assert shown(replaceable, authority) == "server"  # the key alone is no use
        replaceable.expect_logged(NOT_READ)
        replace(files.certfile, renewed.certfile)
        assert shown(replaceable, authority) == "renewed"
        assert shown(replaceable, authority) == "renewed"
        replaceable.expect_logged(READ)
        before.declare("", 4)


def test_what_is_no_certificate_changes_nothing(replaceable: TlsBroker, files: Issued, authority: Authority) -> None:
    files.certfile.write_text("no certificate")
    assert shown(replaceable, authority) == "server"
    files.certfile.unlink()
    assert shown(replaceable, authority) == "server"
    assert shown(replaceable, authority) == "server"
    replaceable.expect_logged(NOT_READ, times=2)


def test_an_authority_may_be_replaced(
    replaceable: TlsBroker, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    """Also for who had been let in before, and would like to resume the session."""
    context = authority.context(authority.issue("before"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # so that a refusal is found within the handshake
    with TlsClient(replaceable.tls_port, context) as client:
        session = client.log_in().socket.session
    assert resumed(replaceable, context, session)
    replace(tmp_path / "authorities.pem", stranger.certfile)
    with pytest.raises(ssl.SSLError, match="ALERT_UNKNOWN_CA"):
        resumed(replaceable, context, session)
    assert shown(replaceable, authority, stranger.issue("after")) == "server"


def test_a_signal_has_them_read_at_once(replaceable: TlsBroker, authority: Authority) -> None:
    with TlsClient(replaceable.tls_port, authority.context()) as client:
        client.log_in(channels=[1])
        os.kill(replaceable.pid, signal.SIGHUP)
        replaceable.expect_logged(READ)
        client.declare("", 4)


def test_a_signal_harms_no_broker_without_tls(fresh_broker: BrokerProcess) -> None:
    with RawClient(fresh_broker.port) as client:
        client.log_in(channels=[1])
        os.kill(fresh_broker.pid, signal.SIGHUP)
        client.declare("", 4)
