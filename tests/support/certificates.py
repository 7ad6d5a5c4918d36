"""Certificates for tests: authorities that are made on the spot, and what they certify."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)


def name_of(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Issued(NamedTuple):
    """A certificate with those above it, and its key."""

    certfile: Path
    keyfile: Path
    certificate: x509.Certificate


class Authority:
    """Certifies others; one with a parent is certified by that."""

    def __init__(self, folder: Path, name: str = "authority", parent: Authority | None = None) -> None:
        self.folder = folder
        self.name = name_of(name)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.parent = parent
        above = parent or self
        self.certificate = (
            builder(self.name, above.name, self.key, -DAY, DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(above.key, hashes.SHA256())
        )
        self.certfile = folder / f"{name}.pem"
        self.certfile.write_bytes(pem(self.certificate))

    def chain(self) -> bytes:
        """The authorities from this one up, without the root."""
        return b"" if self.parent is None else pem(self.certificate) + self.parent.chain()

    def issue(
        self,
        file: str,
        subject: x509.Name | None = None,
        names: tuple[x509.GeneralName, ...] = (x509.DNSName("localhost"),),
        begins: datetime.timedelta = -DAY,
        ends: datetime.timedelta = DAY,
        password: str | None = None,
    ) -> Issued:
        """Certify somebody: `file` is what the files are called, and the common name unless a subject is given."""
        key = ec.generate_private_key(ec.SECP256R1())
        building = builder(subject or name_of(file), self.name, key, begins, ends)
        if names:
            building = building.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = building.sign(self.key, hashes.SHA256())
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password is not None:
            encryption = serialization.BestAvailableEncryption(password.encode())
        certfile, keyfile = self.folder / f"{file}.cert.pem", self.folder / f"{file}.key.pem"
        certfile.write_bytes(pem(certificate) + self.chain())
        keyfile.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        return Issued(certfile, keyfile, certificate)

    def context(self, client: Issued | None = None) -> ssl.SSLContext:
        """The context of a client that trusts this authority alone, and shows its own certificate if it has one."""
        context = ssl.create_default_context(cafile=str(self.certfile))
        if client is not None:
            context.load_cert_chain(client.certfile, client.keyfile)
        return context


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begins: datetime.timedelta,
    ends: datetime.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + begins)
        .not_valid_after(NOW + ends)
    )
