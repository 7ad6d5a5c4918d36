"""Logging in by certificate, by mechanism EXTERNAL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.ctl.conftest import leveretctl_here
from tests.support.certificates import Authority, Issued
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
    """As a user who could not log in otherwise."""
    for command in ("add_user worker secret", "clear_password worker", "set_permissions worker .* .* .*"):
        assert leveretctl_here(*command.split(), data_dir=external.data_dir).returncode == 0
    context = authority.context(authority.issue("worker"))
    options = pika.SSLOptions(context, "localhost")
    parameters = pika.ConnectionParameters(
        "localhost", external.tls_port, ssl_options=options, credentials=pika.credentials.ExternalCredentials()
    )
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        properties = pika.BasicProperties(user_id="worker")
        channel.basic_publish("", queue, b"by a worker", properties)
        assert channel.basic_get(queue, auto_ack=True)[2] == b"by a worker"


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


def test_of_several_names_none_stands_for_itself(external: TlsBroker, authority: Authority) -> None:
    """They are one name together: who gets another into a certificate is not let in as somebody else."""
    several = [x509.NameAttribute(NameOID.COMMON_NAME, name) for name in ("guest", "worker")]
    expect_refusal(external, authority, authority.issue("several", x509.Name(several)), "user 'guest,worker' - ")
    assert leveretctl_here("add_user", "guest,worker", "x", data_dir=external.data_dir).returncode == 0
    expect_login(external, authority, authority.issue("several", x509.Name(several)))


@pytest.mark.parametrize(
    ("name", "shown"), [("guest\0.example.org", "guest\\x00.example.org"), ("Guest", "Guest"), ("guest ", "guest ")]
)
def test_a_name_that_only_looks_like_a_users(external: TlsBroker, authority: Authority, name: str, shown: str) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    expect_refusal(external, authority, authority.issue("looks-like", subject), f"user '{shown}' - invalid credentials")


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


def test_as_rabbitmq_is_configured(tmp_path: Path, authority: Authority, server: Issued) -> None:
    """By rabbitmq.conf, with a mechanism that only RabbitMQ has, which is left out."""
    file = tmp_path / "rabbitmq.conf"
    file.write_text(
        f"""
        listeners.tcp = none
        listeners.ssl.default = 127.0.0.1:0
        ssl_options.cacertfile = {authority.certfile}
        ssl_options.certfile = {server.certfile}
        ssl_options.keyfile = {server.keyfile}
        ssl_options.verify = verify_peer
        ssl_options.fail_if_no_peer_cert = true
        ssl_options.depth = 2
        ssl_options.versions.1 = tlsv1.2
        ssl_options.ciphers.1 = ECDHE-ECDSA-AES128-GCM-SHA256
        auth_mechanisms.1 = EXTERNAL
        auth_mechanisms.2 = ANONYMOUS
        ssl_cert_login_from = common_name
        """
    )
    broker = TlsBroker(tmp_path, server)
    broker.arguments = ("--config", str(file))
    with broker:
        assert broker.port == broker.tls_port  # there is no other
        client = external_login(broker, authority, authority.issue("guest"))
        client.expect(CONNECTION_TUNE)
        cipher = client.socket.cipher()
        assert cipher is not None and cipher[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"
        client.close()
        with TlsClient(broker.tls_port, authority.context(authority.issue("guest"))) as other:
            assert mechanisms(other) == b"EXTERNAL"
        broker.expect_logged("auth_mechanisms: there is no such mechanism here: ANONYMOUS")


def test_the_distinguished_name_unless_told(tmp_path: Path, authority: Authority, server: Issued) -> None:
    with asking(tmp_path, authority, server) as broker:
        expect_refusal(broker, authority, authority.issue("guest"), "user 'CN=guest' - invalid credentials")


def test_an_alternative_name(tmp_path: Path, authority: Authority, server: Issued) -> None:
    arguments = ["--tls-cert-login-from", "subject_alternative_name", "--tls-cert-login-san-type", "email"]
    with asking(tmp_path, authority, server, *arguments, "--tls-cert-login-san-index", "1") as broker:
        mails = x509.RFC822Name("first"), x509.DNSName("localhost"), x509.RFC822Name("guest")
        expect_login(broker, authority, authority.issue("mail", names=mails))
        expect_refusal(broker, authority, authority.issue("one-mail", names=mails[:2]), "no name found")
