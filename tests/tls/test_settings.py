"""What TLS can be configured to be, and how it refuses what it can't."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from leveret.server.tls import CannotUse, Certificates, NamedCertificate, TlsOptions, parse_named_certificate
from tests.support.certificates import Authority, Issued
from tests.support.encrypted import TlsBroker, TlsClient


def certificates_of(settings: TlsOptions) -> Certificates:
    return Certificates(settings, "tests")


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "localhost") -> ssl.SSLObject:
    """The client's end of a handshake between the two; ssl.SSLError if it fails."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host or None),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(3):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    assert ends[0].version() is not None
    return ends[0]


def shown(end: ssl.SSLObject) -> str:
    """The common name that the server shows."""
    certificate = end.getpeercert()
    assert certificate
    return str(dict(part[0] for part in certificate["subject"])["commonName"])  # type: ignore[misc]


def expect_no_start(*arguments: str) -> str:
    """`leveret serve` must refuse to start with one line, which is given."""
    command = [sys.executable, "-m", "leveret", "serve", "--ephemeral", "--port", "0", "--tls-bind", "127.0.0.1"]
    command += ["--management-port", "none", "--prometheus-port", "none"]
    finished = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=20)
    assert finished.returncode == 1 and not finished.stdout, finished
    assert len(finished.stderr.splitlines()) == 1, finished.stderr
    return finished.stderr


def test_without_a_certificate_it_does_not_start() -> None:
    assert expect_no_start() == "leveret: cannot listen for TLS: no certificate is configured\n"


def test_without_its_files_it_does_not_start(tmp_path: Path) -> None:
    certfile = tmp_path / "none.pem"
    assert expect_no_start("--tls-certfile", str(certfile)) == (
        f"leveret: cannot listen for TLS: the certificate {certfile} with the key {certfile} can't be read: "
        "No such file or directory\n"
    )


def test_a_key_that_belongs_to_another_certificate(authority: Authority, server: Issued) -> None:
    other = authority.issue("other")
    with pytest.raises(CannotUse, match=r"key\.pem can't be used: key values mismatch"):
        certificates_of(TlsOptions(server.certfile, other.keyfile))


def test_a_certificate_and_its_key_in_one_file(tmp_path: Path, authority: Authority, server: Issued) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(server.keyfile.read_bytes() + server.certfile.read_bytes())
    assert shown(handshake(certificates_of(TlsOptions(both)).current(), authority.context())) == "server"


def test_a_key_with_a_password(tmp_path: Path, authority: Authority) -> None:
    locked = authority.issue("locked", password="open sesame")
    with pytest.raises(CannotUse):
        certificates_of(TlsOptions(locked.certfile, locked.keyfile, password="open barley"))
    with pytest.raises(CannotUse):
        certificates_of(TlsOptions(locked.certfile, locked.keyfile))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEVERET_TLS_PASSWORD", "open sesame")
        with TlsBroker(tmp_path, locked) as broker, TlsClient(broker.tls_port, authority.context()) as client:
            assert client.shown() == "locked"
    assert "sesame" not in broker.log_path.read_text()


def test_verification_needs_somebody_to_trust(server: Issued) -> None:
    with pytest.raises(CannotUse, match="verify_peer needs a file of authorities"):
        certificates_of(TlsOptions(server.certfile, server.keyfile, verify="verify_peer"))
    with pytest.raises(CannotUse, match="fail_if_no_peer_cert needs verify_peer"):
        certificates_of(TlsOptions(server.certfile, server.keyfile, fail_if_no_peer_cert=True))
    with pytest.raises(CannotUse, match=r"the authorities in .* can't be"):
        certificates_of(TlsOptions(server.certfile, server.keyfile, cacertfile=server.keyfile, verify="verify_peer"))


def test_versions(authority: Authority, server: Issued) -> None:
    for versions, spoken in [(("tlsv1.2",), "TLSv1.2"), (("tlsv1.3",), "TLSv1.3"), (("tlsv1.2", "tlsv1.3"), "TLSv1.3")]:
        made = certificates_of(TlsOptions(server.certfile, server.keyfile, versions=versions))
        assert handshake(made.current(), authority.context()).version() == spoken
    with pytest.raises(CannotUse, match="between others"):
        certificates_of(TlsOptions(server.certfile, server.keyfile, versions=("tlsv1.1", "tlsv1.3")))
    with pytest.raises(CannotUse, match="no version"):
        certificates_of(TlsOptions(server.certfile, server.keyfile, versions=()))


def test_old_versions_can_be_had(server: Issued) -> None:
    made = certificates_of(TlsOptions(server.certfile, server.keyfile, versions=("tlsv1", "tlsv1.1", "tlsv1.2")))
    assert made.current().minimum_version == ssl.TLSVersion.TLSv1


def test_ciphers(authority: Authority, server: Issued, caplog: pytest.LogCaptureFixture) -> None:
    names = ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256")
    made = certificates_of(TlsOptions(server.certfile, server.keyfile, ciphers=names, versions=("tlsv1.2",)))
    cipher = handshake(made.current(), authority.context()).cipher()
    assert cipher is not None and cipher[0] == names[0]
    assert "ciphers of TLS 1.3 can't be chosen, all of them are offered: TLS_AES_128_GCM_SHA256" in caplog.text
    with pytest.raises(CannotUse, match="OpenSSL knows none of the ciphers nonsense"):
        certificates_of(TlsOptions(server.certfile, server.keyfile, ciphers=("nonsense",)))


def named(issued: Issued, host: str) -> NamedCertificate:
    return NamedCertificate(host, issued.certfile, issued.keyfile)


def test_the_certificate_is_that_of_the_name(authority: Authority, server: Issued) -> None:
    one = authority.issue("one", names=(x509.DNSName("one.example.org"),))
    any_other = authority.issue("any", names=(x509.DNSName("*.example.org"),))
    sni = named(one, "one.example.org"), named(any_other, "*.example.org")
    made = certificates_of(TlsOptions(server.certfile, server.keyfile, sni=sni))
    shown_for = {
        host: shown(handshake(made.current(), authority.context(), host))
        for host in ("localhost", "one.example.org", "ONE.Example.org", "two.example.org")
    }
    assert shown_for == {"localhost": "server", "one.example.org": "one", "ONE.Example.org": "one",
                         "two.example.org": "any"}  # fmt: skip
    unnamed = authority.context()
    unnamed.check_hostname = False
    assert shown(handshake(made.current(), unnamed, "")) == "server"


def test_the_certificate_of_a_name_in_the_broker(tmp_path: Path, authority: Authority, server: Issued) -> None:
    one = authority.issue("one", names=(x509.DNSName("one.example.org"),))
    with TlsBroker(tmp_path, server, "--tls-sni", f"one.example.org={one.certfile}:{one.keyfile}") as broker:
        for host, name in (("localhost", "server"), ("one.example.org", "one")):
            with TlsClient(broker.tls_port, authority.context(), host) as client:
                client.log_in()
                assert client.shown() == name


def test_a_named_certificate_as_operators_write_it() -> None:
    assert parse_named_certificate("Example.org.=a.pem") == NamedCertificate("example.org", Path("a.pem"))
    assert parse_named_certificate("*.b=c.pem:d.pem") == NamedCertificate("*.b", Path("c.pem"), Path("d.pem"))
    for wrong in ("", "host", "=a.pem", "host=", "host=:key.pem"):
        with pytest.raises(ValueError, match="is not HOST=CERTFILE"):
            parse_named_certificate(wrong)


def test_a_lasting_context_shows_what_is_there_now(tmp_path: Path, authority: Authority, server: Issued) -> None:
    """Servers that take a context once, at their start, get new certificates all the same."""
    both, other = tmp_path / "both.pem", authority.issue("one", names=(x509.DNSName("one.example.org"),))
    both.write_bytes(server.keyfile.read_bytes() + server.certfile.read_bytes())
    made = certificates_of(TlsOptions(both, sni=(named(other, "one.example.org"),)))
    lasting = made.lasting_context()
    unnamed = authority.context()
    unnamed.check_hostname = False
    assert shown(handshake(lasting, unnamed, "")) == "server"
    renewed = authority.issue("renewed")
    both.write_bytes(renewed.keyfile.read_bytes() + renewed.certfile.read_bytes())
    assert shown(handshake(lasting, authority.context())) == "renewed"
    assert shown(handshake(lasting, unnamed, "")) == "renewed"
    assert shown(handshake(lasting, authority.context(), "one.example.org")) == "one"
