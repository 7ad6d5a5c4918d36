"""The HTTP API and the metrics over TLS."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import ssl
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.ctl.conftest import leveretctl_here
from tests.http.client import Api
from tests.support.broker_process import BrokerProcess
from tests.support.certificates import Authority, Issued

HTTPS = re.compile(r"listening on https://127\.0\.0\.1:(\d+)")
METRICS = re.compile(r"listening on https\+prometheus://127\.0\.0\.1:(\d+)")
GUEST = {"Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()}


def with_https(folder: Path, server: Issued, **environment: str) -> BrokerProcess:
    """A broker whose HTTP API has a listener with TLS, too."""
    broker = BrokerProcess(folder)
    broker.environment = {
        "LEVERET_MANAGEMENT_TLS_PORT": "0",
        "LEVERET_MANAGEMENT_TLS_CERTFILE": str(server.certfile),
        "LEVERET_MANAGEMENT_TLS_KEYFILE": str(server.keyfile),
        **environment,
    }
    return broker


def get(broker: BrokerProcess, path: str, context: ssl.SSLContext | None) -> Any:
    """What the API answers, encrypted if there is a context."""
    found = HTTPS.search(broker.log_path.read_text())
    assert found
    place = f"http://localhost:{broker.http_port}" if context is None else f"https://localhost:{found[1]}"
    request = urllib.request.Request(place + path, headers=GUEST)
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return json.load(answer)


def test_the_api_is_there_with_tls_and_without(tmp_path: Path, authority: Authority, server: Issued) -> None:
    with with_https(tmp_path, server) as broker:
        for context in (None, authority.context()):
            overview = get(broker, "/api/overview", context)
            listeners = overview["listeners"]
            assert [each["port"] for each in overview["contexts"]] == [str(each["port"]) for each in listeners[1:]]
            assert [each["protocol"] for each in listeners] == ["amqp", "http", "https", "http/prometheus"]


def test_leveretctl_trusts_an_authority_that_the_environment_names(
    tmp_path: Path, authority: Authority, server: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with with_https(tmp_path, server) as broker:
        found = HTTPS.search(broker.log_path.read_text())
        assert found
        arguments = ("--url", f"https://guest:guest@localhost:{found[1]}", "-q", "ping")
        strange = leveretctl_here(*arguments, data_dir=tmp_path)
        assert (strange.returncode, "certificate verify failed" in strange.stderr) == (69, True)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certfile))
        trusted = leveretctl_here(*arguments, data_dir=tmp_path)
        assert (trusted.returncode, trusted.stdout) == (0, "Ping succeeded\n")


def test_a_new_certificate_is_shown_there_too(tmp_path: Path, authority: Authority, stranger: Authority) -> None:
    """A client that trusts only who certified the new certificate is content when that is there."""
    one = authority.issue("one")
    other = stranger.issue("other")
    with with_https(tmp_path, one) as broker:
        assert get(broker, "/api/whoami", authority.context())["name"] == "guest"
        for new, old in ((other.keyfile, one.keyfile), (other.certfile, one.certfile)):
            shutil.copy(new, tmp_path / "new")
            os.replace(tmp_path / "new", old)
        assert get(broker, "/api/whoami", stranger.context())["name"] == "guest"


def test_the_metrics_with_tls_alone_and_versions_of_their_own(
    tmp_path: Path, authority: Authority, server: Issued
) -> None:
    (tmp_path / "rabbitmq.conf").write_text(
        f"""
        prometheus.ssl.port = 0
        prometheus.ssl.certfile = {server.certfile}
        prometheus.ssl.keyfile = {server.keyfile}
        prometheus.ssl.versions.1 = tlsv1.2
        """
    )
    broker = BrokerProcess(tmp_path, "--config", str(tmp_path), "--prometheus-port", "none")
    with broker:
        found = METRICS.search(broker.log_path.read_text())
        assert found
        with urllib.request.urlopen(
            f"https://localhost:{found[1]}/metrics", timeout=10, context=authority.context()
        ) as answer:
            assert b"rabbitmq_identity_info" in answer.read()
        newer = authority.context()
        newer.minimum_version = ssl.TLSVersion.TLSv1_3
        with pytest.raises(OSError, match="SSL"):
            urllib.request.urlopen(f"https://localhost:{found[1]}/metrics", timeout=10, context=newer)
        with closing(Api(broker.http_port)) as api:
            listeners = api.get("/api/overview")["listeners"]
            assert [each["protocol"] for each in listeners] == ["amqp", "http", "https/prometheus"]
            assert api.call("GET", "/api/health/checks/certificate-expiration/1/years").status == 503  # it is looked at


def test_clients_may_be_asked_for_a_certificate(tmp_path: Path, authority: Authority, server: Issued) -> None:
    asking = {
        "LEVERET_MANAGEMENT_TLS_VERIFY": "verify_peer",
        "LEVERET_MANAGEMENT_TLS_FAIL_IF_NO_PEER_CERT": "true",
        "LEVERET_MANAGEMENT_TLS_CACERTFILE": str(authority.certfile),
    }
    with with_https(tmp_path, server, **asking) as broker:
        assert get(broker, "/api/whoami", authority.context(authority.issue("client")))["name"] == "guest"
        unknown = authority.context()
        unknown.maximum_version = ssl.TLSVersion.TLSv1_2  # so that a refusal is found within the handshake
        with pytest.raises(OSError, match="SSL"):
            get(broker, "/api/whoami", unknown)


def test_without_a_certificate_it_does_not_start(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    broker.environment = {"LEVERET_MANAGEMENT_TLS_PORT": "0"}
    with pytest.raises(AssertionError, match="cannot listen for the HTTP API with TLS: no certificate is configured"):
        broker.start()


def test_the_metrics_have_tls_of_their_own(tmp_path: Path, authority: Authority, server: Issued) -> None:
    """And a certificate that is replaced is shown there, too."""
    broker = BrokerProcess(tmp_path)
    broker.environment = {
        "LEVERET_PROMETHEUS_TLS_PORT": "0",
        "LEVERET_PROMETHEUS_TLS_CERTFILE": str(server.certfile),
        "LEVERET_PROMETHEUS_TLS_KEYFILE": str(server.keyfile),
    }
    with broker:
        found = re.search(r"listening on https\+prometheus://127\.0\.0\.1:(\d+)", broker.log_path.read_text())
        assert found
        place = f"https://localhost:{found[1]}/metrics"
        with urllib.request.urlopen(place, timeout=10, context=authority.context()) as answer:
            assert b"rabbitmq_identity_info" in answer.read()
        os.kill(broker.pid, signal.SIGHUP)
        deadline = time.monotonic() + 10
        while "certificates for the metrics were read again" not in broker.log_path.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        listeners = get_plain(broker, "/api/overview")["listeners"]
        assert [each["protocol"] for each in listeners] == ["amqp", "http", "http/prometheus", "https/prometheus"]
        with pytest.raises(urllib.error.HTTPError, match="503") as failed:
            get_plain(broker, "/api/health/checks/certificate-expiration/10/years")
        assert [each["protocol"] for each in json.load(failed.value)["expired"]] == ["https/prometheus"]


def get_plain(broker: BrokerProcess, path: str) -> Any:
    """What the API answers without TLS."""
    request = urllib.request.Request(f"http://localhost:{broker.http_port}{path}", headers=GUEST)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)
