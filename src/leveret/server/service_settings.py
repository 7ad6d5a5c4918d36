"""The settings of what a broker offers beside AMQP: part of the table in `settings`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leveret.server import setting_kinds as kinds
from leveret.server.setting_table import setting


@dataclass(frozen=True)
class ServiceSettings:
    """The HTTP API and metrics."""

    management_bind: tuple[str, ...] = setting(
        kinds.ADDRESSES,
        (),
        "addresses of the HTTP API",
        key="management.bind",
        rabbitmq="management.tcp.ip management.listener.ip",
        unset="as for AMQP",
    )
    management_port: int | None = setting(
        kinds.OPTIONAL_PORT,
        15672,
        "TCP port of the HTTP API, 0 for a free one, none for no API; none if only its TLS is configured",
        key="management.port",
        flag=True,
        rabbitmq="management.tcp.port management.listener.port",
    )
    management_tls_bind: tuple[str, ...] = setting(
        kinds.ADDRESSES,
        (),
        "addresses of the HTTP API with TLS",
        key="management.tls.bind",
        unset="as without TLS",
        rabbitmq="management.ssl.ip",
    )
    management_tls_port: int | None = setting(
        kinds.PORT,
        None,
        "port of the HTTP API with TLS, 15671 if anything else of its TLS is configured",
        key="management.tls.port",
        unset="no TLS there",
        rabbitmq="management.ssl.port",
    )
    management_tls_cacertfile: Path | None = setting(
        kinds.PATH,
        None,
        "PEM file of the authorities that certify its clients",
        key="management.tls.cacertfile",
        rabbitmq="management.ssl.cacertfile",
    )
    management_tls_certfile: Path | None = setting(
        kinds.PATH,
        None,
        "PEM file of its certificate",
        key="management.tls.certfile",
        rabbitmq="management.ssl.certfile",
    )
    management_tls_keyfile: Path | None = setting(
        kinds.PATH,
        None,
        "PEM file of its key",
        key="management.tls.keyfile",
        rabbitmq="management.ssl.keyfile",
    )
    management_tls_password: str | None = setting(
        kinds.TEXT,
        None,
        "the key's password",
        key="management.tls.password",
        rabbitmq="management.ssl.password",
        secret=True,
    )
    management_tls_verify: str = setting(
        kinds.one_of("verify_none", "verify_peer"),
        "verify_none",
        "whether a client's certificate is verified there",
        key="management.tls.verify",
        rabbitmq="management.ssl.verify",
    )
    management_tls_fail_if_no_peer_cert: bool = setting(
        kinds.BOOLEAN,
        False,
        "refuse clients without a certificate there",
        key="management.tls.fail_if_no_peer_cert",
        rabbitmq="management.ssl.fail_if_no_peer_cert",
    )
    management_tls_depth: int | None = setting(
        kinds.COUNT,
        None,
        "how many authorities may stand between a client's certificate and the root there",
        key="management.tls.depth",
        rabbitmq="management.ssl.depth",
        unset="as for AMQP",
    )
    management_tls_versions: tuple[str, ...] = setting(
        kinds.TLS_VERSIONS,
        (),
        "versions that are spoken there",
        key="management.tls.versions",
        rabbitmq="management.ssl.versions.$name",
        unset="as for AMQP",
    )
    management_tls_ciphers: tuple[str, ...] = setting(
        kinds.TEXTS,
        (),
        "ciphers of TLS 1.2 there",
        key="management.tls.ciphers",
        rabbitmq="management.ssl.ciphers.$name",
        unset="as for AMQP",
    )
    management_path_prefix: str = setting(
        kinds.TEXT,
        "/",
        "what all its paths begin with",
        key="management.path_prefix",
        rabbitmq="management.path_prefix",
    )
    management_rates_mode: str = setting(
        kinds.one_of("basic", "detailed", "none"),
        "basic",
        "whether it has rates; detailed has those of basic",
        key="management.rates_mode",
        rabbitmq="management.rates_mode",
    )
    management_disable_stats: bool = setting(
        kinds.BOOLEAN,
        False,
        "have no rates, and lists without statistics",
        key="management.disable_stats",
        rabbitmq="management.disable_stats management_agent.disable_metrics_collector",
    )
    management_enable_queue_totals: bool = setting(
        kinds.BOOLEAN,
        False,
        "have the lengths of queues in lists without statistics",
        key="management.enable_queue_totals",
        rabbitmq="management.enable_queue_totals",
    )
    management_max_body_size: int = setting(
        kinds.SIZE,
        20_000_000,
        "how large the body of a request may be",
        key="management.http.max_body_size",
        rabbitmq="management.http.max_body_size",
    )
    collect_statistics_interval: int = setting(
        kinds.MILLISECONDS,
        5000,
        "milliseconds between samples for the rates of the HTTP API",
        rabbitmq="collect_statistics_interval",
    )
    prometheus_bind: tuple[str, ...] = setting(
        kinds.ADDRESSES,
        (),
        "addresses of the metrics",
        key="prometheus.bind",
        rabbitmq="prometheus.tcp.ip",
        unset="as for AMQP",
    )
    prometheus_port: int | None = setting(
        kinds.OPTIONAL_PORT,
        15692,
        "TCP port of the metrics for Prometheus, 0 for a free one, none for no metrics; none if only its TLS is "
        "configured",
        key="prometheus.port",
        flag=True,
        rabbitmq="prometheus.tcp.port",
    )
    prometheus_tls_bind: tuple[str, ...] = setting(
        kinds.ADDRESSES,
        (),
        "addresses of the metrics with TLS",
        key="prometheus.tls.bind",
        unset="as without TLS",
        rabbitmq="prometheus.ssl.ip",
    )
    prometheus_tls_port: int | None = setting(
        kinds.PORT,
        None,
        "port of the metrics with TLS, 15691 if anything else of its TLS is configured",
        key="prometheus.tls.port",
        unset="no TLS there",
        rabbitmq="prometheus.ssl.port",
    )
    prometheus_tls_cacertfile: Path | None = setting(
        kinds.PATH,
        None,
        "PEM file of the authorities that certify its clients",
        key="prometheus.tls.cacertfile",
        rabbitmq="prometheus.ssl.cacertfile",
    )
    prometheus_tls_certfile: Path | None = setting(
        kinds.PATH,
        None,
        "PEM file of its certificate",
        key="prometheus.tls.certfile",
        rabbitmq="prometheus.ssl.certfile",
    )
    prometheus_tls_keyfile: Path | None = setting(
        kinds.PATH,
        None,
        "PEM file of its key",
        key="prometheus.tls.keyfile",
        rabbitmq="prometheus.ssl.keyfile",
    )
    prometheus_tls_password: str | None = setting(
        kinds.TEXT,
        None,
        "the key's password",
        key="prometheus.tls.password",
        rabbitmq="prometheus.ssl.password",
        secret=True,
    )
    prometheus_tls_verify: str = setting(
        kinds.one_of("verify_none", "verify_peer"),
        "verify_none",
        "whether a client's certificate is verified there",
        key="prometheus.tls.verify",
        rabbitmq="prometheus.ssl.verify",
    )
    prometheus_tls_fail_if_no_peer_cert: bool = setting(
        kinds.BOOLEAN,
        False,
        "refuse clients without a certificate there",
        key="prometheus.tls.fail_if_no_peer_cert",
        rabbitmq="prometheus.ssl.fail_if_no_peer_cert",
    )
    prometheus_tls_depth: int | None = setting(
        kinds.COUNT,
        None,
        "how many authorities may stand between a client's certificate and the root there",
        key="prometheus.tls.depth",
        rabbitmq="prometheus.ssl.depth",
        unset="as for AMQP",
    )
    prometheus_tls_versions: tuple[str, ...] = setting(
        kinds.TLS_VERSIONS,
        (),
        "versions that are spoken there",
        key="prometheus.tls.versions",
        rabbitmq="prometheus.ssl.versions.$name",
        unset="as for AMQP",
    )
    prometheus_tls_ciphers: tuple[str, ...] = setting(
        kinds.TEXTS,
        (),
        "ciphers of TLS 1.2 there",
        key="prometheus.tls.ciphers",
        rabbitmq="prometheus.ssl.ciphers.$name",
        unset="as for AMQP",
    )
    prometheus_path: str = setting(
        kinds.TEXT,
        "/metrics",
        "path of the metrics",
        key="prometheus.path",
        rabbitmq="prometheus.path",
    )
    prometheus_return_per_object_metrics: bool = setting(
        kinds.BOOLEAN,
        False,
        "tell of each object there",
        key="prometheus.return_per_object_metrics",
        rabbitmq="prometheus.return_per_object_metrics",
    )
    prometheus_authentication: bool = setting(
        kinds.BOOLEAN,
        False,
        "tell them to users with the tag monitoring or administrator alone",
        key="prometheus.authentication",
        rabbitmq="prometheus.authentication.enabled",
    )
