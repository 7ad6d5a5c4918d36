"""Who is let in by certificate, and which certificate the broker shows."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.ctl.conftest import leveretctl_here
from tests.support.certificates import DAY, Authority, Issued
from tests.support.encrypted import TlsBroker, TlsClient, alert


@pytest.fixture(scope="module")
def middle(certificates: Path, authority: Authority) -> Authority:
    """An authority between the root and those it certifies."""
    return Authority(certificates, "middle", authority)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, authority: Authority, server: Issued) -> Iterator[TlsBroker]:
    """A broker that refuses whoever has no good certificate, or more than one authority between it and the root."""
    verification = ["--tls-verify", "verify_peer", "--tls-fail-if-no-peer-cert", "--tls-depth", "1"]
    authorities = ["--tls-cacertfile", str(authority.certfile)]
    with TlsBroker(tmp_path_factory.mktemp("strict"), server, *verification, *authorities) as process:
        yield process


def test_the_broker_shows_its_certificate(broker: TlsBroker, authority: Authority) -> None:
    with TlsClient(broker.tls_port, authority.context()) as client:
        assert client.shown() == "server"


def test_a_client_may_find_that_it_called_somebody_else(
    broker: TlsBroker, authority: Authority, stranger: Authority
) -> None:
    assert alert(broker.tls_port, authority.context(), "example.org") == "CERTIFICATE_VERIFY_FAILED"
    assert alert(broker.tls_port, stranger.context()) == "CERTIFICATE_VERIFY_FAILED"


def test_nobody_is_asked_for_a_certificate_unless_told(
    broker: TlsBroker, authority: Authority, stranger: Authority
) -> None:
    with TlsClient(broker.tls_port, authority.context(stranger.issue("unasked"))) as client:
        client.log_in()


def test_a_certified_client_is_let_in(strict: TlsBroker, authority: Authority) -> None:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'Hase, "Igel" + Söhne'),
            x509.NameAttribute(NameOID.COMMON_NAME, "worker"),
        ]
    )
    issued = authority.issue("certified", subject)
    client = TlsClient(strict.tls_port, authority.context(issued)).log_in()
    columns = ["ssl", "peer_cert_subject", "peer_cert_issuer", "peer_cert_validity"]
    validity = " - ".join(
        time.strftime("%Y-%m-%dT%H:%M:%SZ")
        for time in (issued.certificate.not_valid_before_utc, issued.certificate.not_valid_after_utc)
    )
    name = 'CN=worker,O=Hase\\, \\"Igel\\" \\+ S\\C3\\B6hne,C=DE'
    listed = leveretctl_here("-q", "list_connections", *columns, "--formatter", "json", data_dir=strict.data_dir).stdout
    expected = {
        "ssl": True,
        "peer_cert_subject": name,
        "peer_cert_issuer": "CN=authority",
        "peer_cert_validity": validity,
    }
    assert expected in json.loads(listed)
    client.log_out()


def test_who_has_no_certificate_is_refused(strict: TlsBroker, authority: Authority) -> None:
    assert alert(strict.tls_port, authority.context()) == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    strict.expect_logged("TLS's handshake failed: peer did not return a certificate")


def test_an_expired_certificate_is_refused(strict: TlsBroker, authority: Authority) -> None:
    expired = authority.issue("expired", begins=-2 * DAY, ends=-DAY)
    assert alert(strict.tls_port, authority.context(expired)) == "SSLV3_ALERT_CERTIFICATE_EXPIRED"
    strict.expect_logged("its certificate is not accepted: certificate has expired")


def test_a_certificate_of_the_future_is_refused(strict: TlsBroker, authority: Authority) -> None:
    early = authority.issue("early", begins=DAY, ends=2 * DAY)
    assert alert(strict.tls_port, authority.context(early)) == "SSLV3_ALERT_BAD_CERTIFICATE"
    strict.expect_logged("its certificate is not accepted: certificate is not yet valid")


def test_an_unknown_authority_is_refused(strict: TlsBroker, authority: Authority, stranger: Authority) -> None:
    assert alert(strict.tls_port, authority.context(stranger.issue("alien"))) == "TLSV1_ALERT_UNKNOWN_CA"
    strict.expect_logged("its certificate is not accepted: unable to get local issuer certificate")


def test_so_many_authorities_may_be_in_between(
    strict: TlsBroker, certificates: Path, authority: Authority, middle: Authority
) -> None:
    with TlsClient(strict.tls_port, authority.context(middle.issue("one-below"))) as client:
        client.log_in()
    lower = Authority(certificates, "lower", middle)
    client = TlsClient(strict.tls_port, authority.context(lower.issue("two-below")))
    client.expect_end()
    client.close()
    strict.expect_logged("there are too many authorities above its certificate")


def test_where_it_is_optional_only_a_bad_one_is_refused(
    tmp_path: Path, authority: Authority, stranger: Authority, server: Issued
) -> None:
    verification = ["--tls-verify", "verify_peer", "--tls-cacertfile", str(authority.certfile)]
    with TlsBroker(tmp_path, server, *verification) as broker:
        TlsClient(broker.tls_port, authority.context()).log_in().log_out()
        TlsClient(broker.tls_port, authority.context(authority.issue("optional"))).log_in().log_out()
        assert alert(broker.tls_port, authority.context(stranger.issue("bad"))) == "TLSV1_ALERT_UNKNOWN_CA"


def test_only_the_versions_that_are_configured_are_spoken(tmp_path: Path, authority: Authority, server: Issued) -> None:
    with TlsBroker(tmp_path, server, "--tls-versions", "tlsv1.2") as broker:
        with TlsClient(broker.tls_port, authority.context()) as client:
            assert client.socket.version() == "TLSv1.2"
        newer = authority.context()
        newer.minimum_version = ssl.TLSVersion.TLSv1_3
        assert alert(broker.tls_port, newer) == "TLSV1_ALERT_PROTOCOL_VERSION"
        broker.expect_logged("TLS's handshake failed: unsupported protocol")
