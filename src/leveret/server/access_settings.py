"""The settings of TLS, of users, and of what a broker begins with: part of the table in `settings`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from leveret.server import setting_kinds as kinds
from leveret.server import vhost_default_kinds as groups
from leveret.server.setting_table import setting

ALL: Final = ".*"


@dataclass(frozen=True)
class TlsSettings:
    """TLS."""

    tls_bind: tuple[str, ...] = setting(
        kinds.ADDRESSES,
        (),
        "addresses to listen on for TLS",
        key="tls.bind",
        flag=True,
        rabbitmq="listeners.ssl listeners.ssl.$listener",
    )
    tls_port: int = setting(kinds.PORT, 5671, "TCP port for TLS", key="tls.port", flag=True)
    tls_cacertfile: Path | None = setting(
        kinds.PATH,
        None,
        "PEM file of the authorities that certify clients",
        key="tls.cacertfile",
        flag=True,
        rabbitmq="ssl_options.cacertfile",
    )
    tls_certfile: Path | None = setting(
        kinds.PATH,
        None,
        "PEM file of the broker's certificate",
        key="tls.certfile",
        flag=True,
        rabbitmq="ssl_options.certfile",
    )
    tls_keyfile: Path | None = setting(
        kinds.PATH,
        None,
        "PEM file of its key",
        key="tls.keyfile",
        flag=True,
        rabbitmq="ssl_options.keyfile",
    )
    tls_password: str | None = setting(
        kinds.TEXT,
        None,
        "the key's password",
        key="tls.password",
        rabbitmq="ssl_options.password",
        secret=True,
    )
    tls_verify: str = setting(
        kinds.one_of("verify_none", "verify_peer"),
        "verify_none",
        "whether a client's certificate is verified",
        key="tls.verify",
        flag=True,
        rabbitmq="ssl_options.verify",
    )
    tls_fail_if_no_peer_cert: bool = setting(
        kinds.BOOLEAN,
        False,
        "refuse clients without a certificate",
        key="tls.fail_if_no_peer_cert",
        flag=True,
        rabbitmq="ssl_options.fail_if_no_peer_cert",
    )
    tls_depth: int = setting(
        kinds.COUNT,
        10,
        "how many authorities may stand between a client's certificate and the root",
        key="tls.depth",
        flag=True,
        rabbitmq="ssl_options.depth",
    )
    tls_versions: tuple[str, ...] = setting(
        kinds.TLS_VERSIONS,
        ("tlsv1.3", "tlsv1.2"),
        "versions that are spoken",
        key="tls.versions",
        flag=True,
        rabbitmq="ssl_options.versions.$name",
    )
    tls_ciphers: tuple[str, ...] = setting(
        kinds.TEXTS,
        (),
        "ciphers of TLS 1.2, by OpenSSL's names",
        key="tls.ciphers",
        flag=True,
        rabbitmq="ssl_options.ciphers.$name",
        unset="OpenSSL's",
    )
    tls_sni: tuple[str, ...] = setting(
        kinds.NAMED_CERTIFICATES,
        (),
        "certificates for clients that call the broker by a name, *. for any one label",
        key="tls.sni",
        flag=True,
    )
    tls_cert_login_from: str = setting(
        kinds.one_of("common_name", "distinguished_name", "subject_alternative_name", "subject_alt_name"),
        "distinguished_name",
        "what in a certificate is the name of the user",
        key="tls.cert_login_from",
        flag=True,
        rabbitmq="ssl_cert_login_from",
    )
    tls_cert_login_san_type: str = setting(
        kinds.one_of("dns", "ip", "email", "uri", "other_name"),
        "dns",
        "which kind of its other names, if it is one of these",
        key="tls.cert_login_san_type",
        flag=True,
        rabbitmq="ssl_cert_login_san_type",
    )
    tls_cert_login_san_index: int = setting(
        kinds.COUNT,
        0,
        "which of those, from 0",
        key="tls.cert_login_san_index",
        flag=True,
        rabbitmq="ssl_cert_login_san_index",
    )
    tls_handshake_timeout: int = setting(
        kinds.MILLISECONDS,
        5000,
        "milliseconds that the handshake of TLS may take",
        key="tls.handshake_timeout",
        flag=True,
        rabbitmq="ssl_handshake_timeout",
    )


@dataclass(frozen=True)
class AccessSettings:
    """Who may connect, and what is there for them."""

    default_user: str = setting(
        kinds.TEXT,
        "guest",
        "the user that a new broker begins with",
        rabbitmq="default_user",
        environment="RABBITMQ_DEFAULT_USER",
    )
    default_pass: str = setting(
        kinds.TEXT,
        "guest",
        "that user's password",
        rabbitmq="default_pass",
        environment="RABBITMQ_DEFAULT_PASS",
        secret=True,
    )
    default_vhost: str = setting(
        kinds.TEXT,
        "/",
        "the virtual host that a new broker begins with",
        rabbitmq="default_vhost",
        environment="RABBITMQ_DEFAULT_VHOST",
    )
    default_user_tags: tuple[str, ...] = setting(
        kinds.TEXTS, ("administrator",), "that user's tags", rabbitmq="default_user_tags.$item"
    )
    default_permissions_configure: str = setting(
        kinds.PATTERN,
        ALL,
        "what that user may configure",
        key="default_permissions.configure",
        rabbitmq="default_permissions.configure",
    )
    default_permissions_write: str = setting(
        kinds.PATTERN,
        ALL,
        "what that user may write",
        key="default_permissions.write",
        rabbitmq="default_permissions.write",
    )
    default_permissions_read: str = setting(
        kinds.PATTERN,
        ALL,
        "what that user may read",
        key="default_permissions.read",
        rabbitmq="default_permissions.read",
    )
    default_users: tuple[groups.UserSetting, ...] = setting(
        groups.USERS,
        (),
        "users that each new virtual host whose name matches their pattern begins with",
        rabbitmq=groups.keys("default_users", groups.OF_USERS),
    )
    default_limits_vhosts: tuple[groups.LimitsSetting, ...] = setting(
        groups.LIMITS,
        (),
        "limits that each new virtual host begins with; the first counts whose pattern its name matches",
        key="default_limits.vhosts",
        rabbitmq=groups.keys("default_limits.vhosts", groups.OF_LIMITS),
    )
    default_policies_operator: tuple[groups.PolicySetting, ...] = setting(
        groups.POLICIES,
        (),
        "operator policies that each new virtual host whose name matches their pattern begins with",
        key="default_policies.operator",
        rabbitmq=groups.keys("default_policies.operator", groups.OF_POLICIES),
    )
    loopback_users: tuple[str, ...] = setting(
        kinds.TEXTS,
        ("guest",),
        "users that may connect from this machine alone",
        rabbitmq="loopback_users loopback_users.$item",
    )
    auth_mechanisms: tuple[str, ...] = setting(
        kinds.TEXTS,
        ("PLAIN", "AMQPLAIN"),
        "SASL mechanisms that are offered: PLAIN, AMQPLAIN, and EXTERNAL, which is the login by certificate",
        rabbitmq="auth_mechanisms.$name",
        flag=True,
    )
    default_queue_type: str | None = setting(
        kinds.one_of("classic", "quorum"),
        None,
        "the type of queues that say none, in virtual hosts that say none",
        rabbitmq="default_queue_type",
        unset="classic",
    )
    cluster_name: str | None = setting(
        kinds.TEXT,
        None,
        "the name by which the broker introduces itself",
        rabbitmq="cluster_name",
        unset="the node's",
    )
    load_definitions: Path | None = setting(
        kinds.PATH,
        None,
        "take in definitions from this file, or from the files of this folder, before serving; a new broker then has "
        "its users from there, and no guest",
        flag=True,
        rabbitmq="load_definitions definitions.local.path management.load_definitions",
    )
    skip_if_unchanged: bool = setting(
        kinds.BOOLEAN,
        False,
        "don't load definitions again that were the last to be loaded",
        flag=True,
        key="definitions.skip_if_unchanged",
        rabbitmq="definitions.skip_if_unchanged",
    )
