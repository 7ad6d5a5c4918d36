"""Keys of rabbitmq.conf, and environment variables of RabbitMQ, that no setting here stands for, and why.

Some are no loss, since they ask for what is so in any case; nothing is said of these.
"""

from __future__ import annotations

import re
from typing import Final

NO_CLUSTER: Final = "there is no cluster"
NO_ERLANG: Final = "there is no Erlang"
OTHER_STORAGE: Final = "messages are stored in another way"
OTHER_PROTOCOLS: Final = "AMQP 0-9-1 alone is spoken"
NOTHING_LIKE_IT: Final = "there is nothing like it"
NO_PAGES: Final = "it is for RabbitMQ's pages in the browser, which are not here"

# What keys begin with, and why they are ignored; the first that fits tells.
REASONS: Final = (
    (("cluster_formation.", "cluster_", "queue_leader_locator", "queue_master_locator", "node_tags."), NO_CLUSTER),
    (("net_ticktime", "inter_node", "distribution.", "mirroring_", "delegate_count"), NO_CLUSTER),
    (("default_policies.operator.",), "it is for mirrored queues, which are not here"),
    (("mqtt.", "web_mqtt.", "stomp.", "web_stomp.", "stream.", "amqp1_0."), OTHER_PROTOCOLS),
    (("session_max_per_connection", "link_max_per_session"), OTHER_PROTOCOLS),
    (("auth_backends.", "auth_ldap.", "auth_http.", "auth_oauth2.", "auth_cache."), "the broker has its own users"),
    (("anonymous_login_", "trust_store."), "whoever logs in has a password or a certificate"),
    (("password_hashing_module",), "new passwords are hashed with SHA-256"),
    (("credential_validator.",), "any password is taken"),
    (("log.exchange", "log.syslog", "log.journald"), "the log goes to the console or a file"),
    (("log.file.rotation.",), "the system rotates log files: SIGHUP opens them anew"),
    (("management.disable_basic_auth",), "the HTTP API has no other way to log in"),
    (("log.",), "the log has no such category or option"),
    (("raft.", "quorum_", "classic_queue.", "msg_store_", "message_store_", "queue_index_"), OTHER_STORAGE),
    (("vm_memory_high_watermark_paging_ratio", "lazy_queue_"), OTHER_STORAGE),
    (("vm_memory_calculation_strategy", "background_gc_", "erlang.", "vm_args.", "kernel."), NO_ERLANG),
    (("sysmon_handler.", "memory_monitor_interval", "vhost_restart_strategy"), NO_ERLANG),
    (("num_acceptors.", "socket_writer.", "hipe_compile", "default_worker_pool_size"), NO_ERLANG),
    (("deprecated_features.",), "all that RabbitMQ calls deprecated is permitted"),
    (("metadata_store.", "mnesia_", "feature_flags.", "product.", "motd_file", "aws."), NOTHING_LIKE_IT),
    (("ranch_connection_max", "runtime_parameters.", "amqp_client."), NOTHING_LIKE_IT),
    (("prometheus.filter_", "management_agent.filter_", "management.db_cache_"), NOTHING_LIKE_IT),
    (("management.cors.", "management.http."), NOTHING_LIKE_IT),
    (("message_interceptors.", "channel_interceptor."), "messages pass as they are"),
    (("shovel.", "federation."), "there are no shovels and no federation"),
    (("definitions.",), "definitions come from files of this machine"),
    (("reverse_dns_lookups",), "peers are told by their addresses"),
    (("tcp_listen_options", "management.tcp.", "prometheus.tcp.", "event_exchange."), "it can't be set here"),
    (("management.listener.server.", "collect_statistics"), "it can't be set here"),
    (("ssl_options", "ssl_allow_poodle_attack"), "OpenSSL's own is in effect"),
    (("management.ssl.", "prometheus.ssl."), "OpenSSL's own is in effect"),
    (("management.listener.ssl",), "management.listener.ssl = true is for TLS"),
    (("management.sample_retention_policies.",), "how long history is kept is fixed"),
    (("management.http_log_dir", "http_dispatch."), "requests are not logged"),
    (
        (
            "management.oauth_",
            "management.uaa_",
            "management.enable_uaa",
            "management.login_",
            "management.credential_encryption_secret",
        ),
        NO_PAGES,
    ),
    (("management.csp.", "management.hsts.", "management.headers."), NO_PAGES),
)

# RabbitMQ's environment variables by what they begin with; others are none of a broker's.
OF_ERLANG: Final = ("RABBITMQ_ERLANG_COOKIE", "RABBITMQ_SERVER_", "RABBITMQ_CTL_", "RABBITMQ_USE_LONGNAME")
VARIABLES: Final = (
    ((*OF_ERLANG, "RABBITMQ_ADVANCED_CONFIG_FILE", "RABBITMQ_IO_THREAD_POOL_SIZE", "RABBITMQ_MAX_"), NO_ERLANG),
    (("RABBITMQ_DIST_", "RABBITMQ_CLUSTER_"), NO_CLUSTER),
    (("RABBITMQ_ENABLED_PLUGINS", "RABBITMQ_PLUGINS_", "RABBITMQ_FEATURE_FLAGS"), NOTHING_LIKE_IT),
    (("RABBITMQ_MNESIA_", "RABBITMQ_QUORUM_DIR", "RABBITMQ_STREAM_DIR"), "LEVERET_DATA_DIR is the data folder"),
    (("RABBITMQ_CONF_ENV_FILE",), "what such a file sets has to be in the environment"),
    (("RABBITMQ_SSL_", "RABBITMQ_MANAGEMENT_SSL_"), "say it in rabbitmq.conf, as for RabbitMQ since 3.9"),
    (("RABBITMQ_LOG", "RABBITMQ_UPGRADE_LOG"), "LEVERET_LOG_FILE and LEVERET_LOG_LEVEL are for the log"),
)

# `key = value` that changes nothing.
SO_ANYWAY: Final = re.compile(
    r"auth_backends\.1(\.authn|\.authz)? = (rabbit_auth_backend_)?internal"
    r"|password_hashing_module = rabbit_password_hashing_sha256"
    r"|log\.(exchange|syslog|journald) = false"
    r"|reverse_dns_lookups = false"
    r"|deprecated_features\.permit\.\w+ = true"
    r"|definitions\.import_backend = ((rabbit|rabbitmq)_definitions_import_)?local(_filesystem)?"
    r"|management\.listener\.ssl = false"
    r"|management\.definitions\.require_json_extension = false"
)


def why_ignored(key: str) -> str:
    """Why a key has no effect; empty if nobody knows the key."""
    return next((reason for beginnings, reason in REASONS if key.startswith(beginnings)), "")


def why_ignored_variable(name: str) -> str:
    """Why a variable of RabbitMQ's has no effect; empty if it is none."""
    return next((reason for beginnings, reason in VARIABLES if name.startswith(beginnings)), "")


def is_so_anyway(key: str, value: str) -> bool:
    """Whether a line asks for what is so in any case."""
    return SO_ANYWAY.fullmatch(f"{key} = {value}") is not None
