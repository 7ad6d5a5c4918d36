"""Logging in by certificate, by mechanism EXTERNAL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.support.certificates import Authority, Issued, name_of
from tests.support.encrypted import TlsBroker, TlsClient
from tests.support.raw_client import CONNECTION_TUNE, RawClient, start_ok

ASKING = ("--tls-verify", "verify_peer", "--auth-mechanisms", "PLAIN", "--auth-mechanisms", "EXTERNAL")
REFUSED = "Login was refused using authentication mechanism EXTERNAL. For details see the broker logfile."
CLOSES = {"capabilities": {"authentication_failure_close": True}}


def asking(folder: Path, authority: Authority, server: Issued, *arguments: str) -> TlsBroker:
    return TlsBroker(folder, server, *ASKING, "--tls-cacertfile", str(authority.certfile), *arguments)


@pytest.fixture(scope="module")
def external(tmp_path_factory: pytest.TempPathFactory, authority: Authority, server: Issued) -> Iterator[TlsBroker]:
    """A broker that takes the common name for the user's."""
    folder = tmp_path_factory.mktemp("external")
    with asking(folder, authority, server, "--tls-cert-login-from", "common_name") as process:
        yield process


def external_login(broker: TlsBroker, authority: Authority, client: Issued | None) -> TlsClient:
    """A client that has asked to be let in by its certificate."""
    made = TlsClient(broker.tls_port, authority.context(client))
    made.greet()
    made.send(start_ok("EXTERNAL", b"", CLOSES))
    return made


def expect_refusal(broker: TlsBroker, authority: Authority, client: Issued | None, why: str) -> None:
    external_login(broker, authority, client).expect_connection_close(403, REFUSED)
    broker.expect_logged(f"EXTERNAL login refused: {why}")


def expect_login(broker: TlsBroker, authority: Authority, client: Issued) -> None:
    made = external_login(broker, authority, client)
    made.expect(CONNECTION_TUNE)
    made.close()


def test_pika_logs_in_by_certificate(external: TlsBroker, authority: Authority) -> None:
    context = authority.context(authority.issue("guest-by-name", name_of("guest")))
    options = pika.SSLOptions(context, "localhost")
    parameters = pika.ConnectionParameters(
        "localhost", external.tls_port, ssl_options=options, credentials=pika.credentials.ExternalCredentials()
    )
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        properties = pika.BasicProperties(user_id="guest")
        channel.basic_publish("", queue, b"by guest", properties)
        assert channel.basic_get(queue, auto_ack=True)[2] == b"by guest"


def test_a_password_will_do_as_well(external: TlsBroker, authority: Authority) -> None:
    with TlsClient(external.tls_port, authority.context()) as client:
        client.log_in()


def test_who_is_no_user_is_refused(external: TlsBroker, authority: Authority) -> None:
    expect_refusal(external, authority, authority.issue("nobody"), "user 'nobody' - invalid credentials")


def test_without_a_certificate_nobody_is_let_in(external: TlsBroker, authority: Authority) -> None:
    expect_refusal(external, authority, None, "connection peer presented no TLS (x.509) certificate")


def test_a_certificate_without_a_name_lets_nobody_in(external: TlsBroker, authority: Authority) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "guest")])
    expect_refusal(external, authority, authority.issue("nameless", subject), "no name found in the certificate")


def test_a_plain_connection_is_not_offered_it(external: TlsBroker) -> None:
    with RawClient(external.port) as client:
        assert mechanisms(client) == b"PLAIN"
        client.send(start_ok("EXTERNAL", b"guest", CLOSES))
        client.expect_connection_close(503, "unknown authentication mechanism 'EXTERNAL'")


def test_an_encrypted_one_is(external: TlsBroker, authority: Authority) -> None:
    with TlsClient(external.tls_port, authority.context()) as client:
        assert mechanisms(client) == b"PLAIN EXTERNAL"


def test_nobody_is_offered_it_unless_told(broker: TlsBroker, authority: Authority) -> None:
    with TlsClient(broker.tls_port, authority.context()) as client:
        assert mechanisms(client) == b"PLAIN AMQPLAIN"
        client.send(start_ok("EXTERNAL", b"guest", CLOSES))
        client.expect_connection_close(503, "unknown authentication mechanism 'EXTERNAL'")


def mechanisms(client: RawClient) -> bytes:
    """What connection.start offers."""
    arguments = client.greet().arguments
    arguments.unpack("BB")
    arguments.table()
    return arguments.longstr()


def test_the_distinguished_name_unless_told(tmp_path: Path, authority: Authority, server: Issued) -> None:
    with asking(tmp_path, authority, server) as broker:
        expect_refusal(broker, authority, authority.issue("guest"), "user 'CN=guest' - invalid credentials")


def test_an_alternative_name(tmp_path: Path, authority: Authority, server: Issued) -> None:
    arguments = ["--tls-cert-login-from", "subject_alternative_name", "--tls-cert-login-san-type", "email"]
    with asking(tmp_path, authority, server, *arguments, "--tls-cert-login-san-index", "1") as broker:
        mails = x509.RFC822Name("first"), x509.DNSName("localhost"), x509.RFC822Name("guest")
        expect_login(broker, authority, authority.issue("mail", names=mails))
        expect_refusal(broker, authority, authority.issue("one-mail", names=mails[:2]), "no name found")
