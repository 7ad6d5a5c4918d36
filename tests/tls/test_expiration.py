"""Certificates that end soon, as probes ask for them by the HTTP API and leveretctl."""

from __future__ import annotations

import base64
import json
import re
import ssl
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from leveret.server.certificate_dates import CannotRead, validities
from tests.ctl.conftest import leveretctl_here
from tests.http.client import Api
from tests.support.certificates import DAY, NOW, Authority, Issued
from tests.support.encrypted import TlsBroker

TIME = "%Y-%m-%d %H:%M:%S"


@pytest.fixture(scope="module")
def soon(authority: Authority) -> Issued:
    """A certificate that ends in ten days."""
    return authority.issue("soon", ends=10 * DAY)


@pytest.fixture(scope="module")
def named(authority: Authority) -> Issued:
    """A certificate for clients that call the broker by another name. It ends in three days."""
    return authority.issue("named", ends=3 * DAY)


@pytest.fixture(scope="module")
def looking(
    tmp_path_factory: pytest.TempPathFactory, soon: Issued, named: Issued, authority: Authority
) -> Iterator[TlsBroker]:
    """A broker with TLS for AMQP and the HTTP API. Its authority ends in a day, a certificate for a name in three."""
    folder = tmp_path_factory.mktemp("looking")
    process = TlsBroker(folder, soon, "--tls-sni", f"other.example.org={named.certfile}:{named.keyfile}")
    process.environment = {
        "LEVERET_MANAGEMENT_TLS_PORT": "0",
        "LEVERET_MANAGEMENT_TLS_CERTFILE": str(soon.certfile),
        "LEVERET_MANAGEMENT_TLS_KEYFILE": str(soon.keyfile),
        "LEVERET_MANAGEMENT_TLS_CACERTFILE": str(authority.certfile),
    }
    with process:
        yield process


def check(broker: TlsBroker, period: str) -> tuple[int, Any]:
    """What the HTTP API says."""
    api = Api(broker.http_port)
    try:
        reply = api.call("GET", f"/api/health/checks/certificate-expiration/{period}")
        return reply.status, reply.json
    finally:
        api.close()


def ctl(broker: TlsBroker, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What leveretctl says."""
    return leveretctl_here("check_certificate_expiration", *arguments, data_dir=broker.data_dir)


def text(after: timedelta) -> str:
    return (NOW + after).strftime(TIME)


def test_listeners_whose_certificates_end_soon(
    looking: TlsBroker, soon: Issued, named: Issued, authority: Authority
) -> None:
    status, answer = check(looking, "2/weeks")
    assert (status, answer["status"], answer["reason"]) == (503, "failed", "Certificates expiring")
    amqp, by_name, https = answer["expired"]
    node = amqp["node"]
    assert amqp == {
        "node": node,
        "protocol": "amqp/ssl",
        "interface": "127.0.0.1",
        "port": looking.tls_port,
        "certfile": str(soon.certfile),
        "cacertfile": "",
        "certfile_expires_on": [text(10 * DAY)],
        "cacertfile_expires_on": [],
    }
    files = {"certfile": str(named.certfile), "cacertfile": "", "certfile_expires_on": [text(3 * DAY)]}
    assert by_name == amqp | files
    assert (https["protocol"], https["certfile_expires_on"]) == ("https", [text(10 * DAY)])
    assert (https["cacertfile"], https["cacertfile_expires_on"]) == (str(authority.certfile), [text(DAY)])


def test_only_what_ends_within_the_period_is_told(looking: TlsBroker) -> None:
    status, answer = check(looking, "9/days")
    assert (status, [each["protocol"] for each in answer["expired"]]) == (503, ["amqp/ssl", "https"])
    status, answer = check(looking, "2/days")
    assert (status, [each["protocol"] for each in answer["expired"]]) == (503, ["https"])
    assert answer["expired"][0]["certfile_expires_on"] == []
    assert check(looking, "0/days") == (200, {"status": "ok"})


def test_leveretctl(looking: TlsBroker, soon: Issued, named: Issued) -> None:
    failed = ctl(looking)
    assert (failed.returncode, failed.stdout.startswith("Checking certificate expiration on node ")) == (69, True)
    amqp, by_name, https = failed.stderr.splitlines()
    assert f'certfile: "{named.certfile}"' in by_name
    assert amqp.startswith(f'%{{cacertfile: "", cacertfile_expires_on: [], certfile: "{soon.certfile}", ')
    assert f'certfile_expires_on: ["{text(10 * DAY)}"], interface: "127.0.0.1", node: :' in amqp
    assert f'port: {looking.tls_port}, protocol: :"amqp/ssl", purpose: "AMQP' in amqp
    assert "protocol: :https, " in https
    answer = json.loads(ctl(looking, "--formatter", "json", "--within", "1", "--unit", "months").stderr)
    assert (answer["result"], answer["expired"][0]["port"]) == ("error", looking.tls_port)
    passed = ctl(looking, "-q", "--within", "0", "--unit", "years")
    assert (passed.returncode, passed.stdout) == (0, "No certificates are expiring within 0 years.\n")
    assert json.loads(ctl(looking, "--within", "0", "--formatter", "json").stdout) == {"result": "ok"}
    wrong = ctl(looking, "--unit", "eons")
    assert wrong.returncode == 64
    assert "unit 'eons' is not supported. Please use one of: days, weeks, months, years" in wrong.stderr


def test_leveretctl_elsewhere(looking: TlsBroker, soon: Issued) -> None:
    """By the HTTP API it says the same, but for the purpose of a listener, which is not told there."""
    elsewhere = ["--url", f"http://guest:guest@127.0.0.1:{looking.http_port}"]
    here, there = ctl(looking), ctl(looking, *elsewhere)
    assert (there.returncode, there.stdout) == (here.returncode, here.stdout)
    assert there.stderr == re.sub(r', purpose: "[^"]*"', "", here.stderr)
    answer = json.loads(ctl(looking, *elsewhere, "--formatter", "json", "--within", "1", "--unit", "months").stderr)
    assert [each["certfile_expires_on"] for each in answer["expired"]][::2] == [[text(10 * DAY)]] * 2
    passed = ctl(looking, *elsewhere, "-q", "--within", "0", "--unit", "years")
    assert (passed.returncode, passed.stdout) == (0, "No certificates are expiring within 0 years.\n")
    assert ctl(looking, "--url", f"http://guest:wrong@127.0.0.1:{looking.http_port}").returncode == 77


def test_files_that_cannot_be_read(looking: TlsBroker, soon: Issued) -> None:
    content = soon.certfile.read_bytes()
    try:
        soon.certfile.write_bytes(b"nothing")
        error = "The certificate file provided does not contain any PEM certificate."
        assert check(looking, "0/days")[1]["expired"][0]["certfile_expires_on"] == [{"error": error}]
        assert f'certfile_expires_on: [{{:error, "{error}"}}]' in ctl(looking, "--within", "0").stderr
        answer = json.loads(ctl(looking, "--within", "0", "--formatter", "json").stderr)
        assert answer["expired"][0]["certfile_expires_on"] == [["error", error]]
        soon.certfile.unlink()
        assert check(looking, "0/days")[0] == 503
    finally:
        soon.certfile.write_bytes(content)


def test_dates_of_every_certificate_in_a_file(tmp_path: Path, authority: Authority) -> None:
    far = authority.issue("far", ends=40000 * DAY)  # beyond 2050, so its date is a GeneralizedTime
    begun = authority.issue("begun", ends=3 * DAY)
    file = tmp_path / "several.pem"
    file.write_bytes(begun.keyfile.read_bytes() + far.certfile.read_bytes() + begun.certfile.read_bytes())
    assert validities(file) == [(NOW - DAY, NOW + 40000 * DAY), (NOW - DAY, NOW + 3 * DAY)]


def test_damaged_files_are_errors(tmp_path: Path, authority: Authority) -> None:
    """Cut off anywhere, or with any octet of the first part of the certificate changed: dates, or CannotRead."""
    der = ssl.PEM_cert_to_DER_cert(authority.certfile.read_text())
    file = tmp_path / "damaged.pem"
    refused = 0
    cut = [der[:length] for length in range(0, len(der), 3)]
    changed = [der[:at] + bytes([value]) + der[at + 1 :] for at in range(150) for value in (0, 0x80, 0xFF)]
    for content in cut + changed:
        encoded = base64.b64encode(content)
        file.write_bytes(b"-----BEGIN CERTIFICATE-----\n" + encoded + b"\n-----END CERTIFICATE-----\n")
        try:
            assert len(validities(file)) == 1
        except CannotRead:
            refused += 1
    assert refused >= len(cut)
    for text_of_file in (
        b"-----BEGIN CERTIFICATE-----\nAAAA",
        b"",
        b"-----BEGIN CERTIFICATE-----A-----END CERTIFICATE-----",
    ):
        file.write_bytes(text_of_file)
        with pytest.raises(CannotRead):
            validities(file)
    with pytest.raises(CannotRead):
        validities(tmp_path)
