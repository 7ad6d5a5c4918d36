"""RabbitMQ's rabbitmq.conf: its syntax, what its keys come to, and files as operators have them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leveret.server.configuration import Configuration, InvalidConfiguration, configure
from leveret.server.settings import Settings
from leveret.server.vhost_default_kinds import LimitsSetting, PolicySetting, UserSetting

FILES = Path(__file__).parent / "files"


def read(tmp_path: Path, text: str, **environment: str) -> Configuration:
    path = tmp_path / "rabbitmq.conf"
    path.write_text(text)
    return configure(environment=environment, file=str(path))


def settings(tmp_path: Path, text: str, **environment: str) -> Settings:
    return read(tmp_path, text, **environment).settings


def errors(tmp_path: Path, text: str, **environment: str) -> list[str]:
    with pytest.raises(InvalidConfiguration) as raised:
        read(tmp_path, text, **environment)
    return [error.removeprefix(f"{tmp_path}/") for error in raised.value.errors]


def warnings(tmp_path: Path, text: str) -> list[str]:
    named = f"listeners.tcp.default = 5672\n{text}"  # or there is a warning that nothing is named
    return [warning.removeprefix(f"{tmp_path}/") for warning in read(tmp_path, named).warnings]


# Syntax


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("default_pass = plain", "plain"),
        ("default_pass=plain", "plain"),
        ("  default_pass  =  plain  ", "plain"),
        ("\tdefault_pass\t=\tplain\t", "plain"),
        ("default_pass = plain # a comment", "plain"),
        ("default_pass = plain#a comment", "plain"),
        ("default_pass = two words", "two words"),
        ("default_pass = a = b", "a = b"),
        ("default_pass = 'a#b'", "a#b"),
        ("default_pass = ' a '  # a comment", " a "),
        ("default_pass = it's", "it's"),
        ("default_pass = 'it''s'", "'it''s'"),
        ('default_pass = "both"', '"both"'),
        ("default_pass = $D0", "$D0"),
        ("default_pass = [x]", "[x]"),
        ("default_pass = käse", "käse"),
        ("default_pass = $(SECRET)", "from outside"),
        ("default_pass = '<$(SECRET)>'", "<from outside>"),
        ("default_pass = first\ndefault_pass = last", "last"),
        ("default_pass = plain\r", "plain"),
        ("\ufeffdefault_pass = plain", "plain"),
    ],
)
def test_a_line(tmp_path: Path, line: str, value: str) -> None:
    assert settings(tmp_path, line, SECRET="from outside").default_pass == value


@pytest.mark.parametrize("text", ["", "\n\n", "# default_pass = x", "   ## x", "\t"])
def test_what_gives_nothing(tmp_path: Path, text: str) -> None:
    assert settings(tmp_path, text) == Settings()


@pytest.mark.parametrize(
    "line", ["heartbeat", "heartbeat =", "= 5", "heart beat = 5", "heartbeat : 5", "heart/beat = 5", "héartbeat = 5"]
)
def test_what_is_no_line_stops_the_start_and_names_its_line(tmp_path: Path, line: str) -> None:
    assert errors(tmp_path, f"channel_max = 5\n{line}\n") == ["rabbitmq.conf:2: this is not 'key = value'"]


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    assert errors(tmp_path, "heartbeat = x\nfrob\nchannel_max = 70000\nlog.console = maybe\n") == [
        "rabbitmq.conf:2: this is not 'key = value'",
        "rabbitmq.conf:1: heartbeat: 'x' is not a number of seconds between 0 and 65535",
        "rabbitmq.conf:3: channel_max: '70000' is more than 65535",
        "rabbitmq.conf:4: log.console: 'maybe' is not true or false",
    ]


def test_a_variable_that_is_missing(tmp_path: Path) -> None:
    assert errors(tmp_path, "default_pass = $(NOWHERE)") == [
        "rabbitmq.conf:1: default_pass: there is no environment variable NOWHERE"
    ]


def test_an_encrypted_value(tmp_path: Path) -> None:
    assert errors(tmp_path, "default_pass = encrypted:Fr0b/Frob=") == [
        "rabbitmq.conf:1: default_pass: encrypted values can't be read"
    ]


# Keys


@pytest.mark.parametrize(
    ("text", "bind", "port"),
    [
        ("listeners.tcp.default = 5673", ("*",), 5673),
        ("listeners.tcp.1 = 127.0.0.1:5673", ("127.0.0.1",), 5673),
        ("listeners.tcp.1 = :::5673", ("::",), 5673),
        ("listeners.tcp.1 = ::1:5673", ("::1",), 5673),
        ("listeners.tcp.1 = [::1]:5673", ("::1",), 5673),
        ("listeners.tcp.a = 10.0.0.1:1\nlisteners.tcp.b = ::1:1", ("10.0.0.1", "::1"), 1),
        ("listeners.tcp.a = 1\nlisteners.tcp.b = 2", ("*", "[*]:2"), 1),
        ("listeners.tcp.a = 10.0.0.1:1\nlisteners.tcp.b = ::1:2", ("10.0.0.1", "[::1]:2"), 1),
        ("listeners.tcp.1 = 1\nlisteners.tcp.1 = 2", ("*",), 2),
        ("listeners.tcp = none", (), 5672),
        ("listeners.tcp.1 = 1\nlisteners.tcp = none", (), 5672),
    ],
)
def test_listeners(tmp_path: Path, text: str, bind: tuple[str, ...], port: int) -> None:
    found = settings(tmp_path, text)
    assert (found.bind, found.port) == (bind, port)
    of_tls = settings(tmp_path, text.replace("tcp", "ssl"))
    assert (of_tls.tls_bind, of_tls.tls_port) == (bind, port if port != 5672 else 5671)


@pytest.mark.parametrize("value", ["x", "127.0.0.1", "127.0.0.1:", ":5672", "70000", "1.2.3.4:70000", "a b:1", "-1"])
def test_what_is_no_listener(tmp_path: Path, value: str) -> None:
    (error,) = errors(tmp_path, f"listeners.tcp.1 = {value}")
    assert error.startswith("rabbitmq.conf:1: listeners.tcp.1: ")


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("", ("guest",)),
        ("loopback_users.guest = false", ()),
        ("loopback_users = none", ()),
        ("loopback_users.guest = true\nloopback_users.bob = true", ("guest", "bob")),
        ("loopback_users.bob = true", ("bob",)),
        ("loopback_users.bob = true\nloopback_users.bob = false", ()),
        (r"loopback_users.some\.body = true", ("some.body",)),
    ],
)
def test_loopback_users(tmp_path: Path, text: str, users: tuple[str, ...]) -> None:
    assert settings(tmp_path, text).loopback_users == users


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("vm_memory_high_watermark.relative = 0.4", "memory_limit", 0.4),
        ("vm_memory_high_watermark.relative = 1", "memory_limit", 1.0),
        ("vm_memory_high_watermark.absolute = 2GB", "memory_limit", 2_000_000_000),
        ("vm_memory_high_watermark.absolute = 2GiB", "memory_limit", 2 << 30),
        ("vm_memory_high_watermark.absolute = 1024M", "memory_limit", 1 << 30),
        ("vm_memory_high_watermark.absolute = 1073741824", "memory_limit", 1 << 30),
        ("disk_free_limit.relative = 2", "disk_free_limit", 2.0),
        ("disk_free_limit.relative = 1.5", "disk_free_limit", 1.5),
        ("disk_free_limit.absolute = 50MB", "disk_free_limit", 50_000_000),
        ("max_message_size = 16MiB", "max_message_size", 16 << 20),
        ("frame_max = 128kB", "frame_max", 128_000),
        ("max_connections = infinity", "connection_max", -1),
        ("connection_max = 10", "connection_max", 10),
        ("max_channels_per_connection = 0", "channel_max", 0),
        ("handshake_timeout = infinity", "handshake_timeout", 2**31 - 1),
        ("consumer_timeout = 900000", "consumer_timeout", 900_000),
        ("log.file = false", "log_file", None),
        ("log.file = /var/log/x.log", "log_file", Path("/var/log/x.log")),
        ("log.default.level = debug", "log_level", "debug"),
        ("definitions.local.path = /x.json", "load_definitions", Path("/x.json")),
        ("management.load_definitions = /x.json", "load_definitions", Path("/x.json")),
        ("management.listener.port = 1", "management_port", 1),
        ("ssl_options.versions.1 = tlsv1.2\nssl_options.versions.2 = tlsv1.3", "tls_versions", ("tlsv1.2", "tlsv1.3")),
        ("auth_mechanisms.1 = PLAIN", "auth_mechanisms", ("PLAIN",)),
        ("default_user_tags.management = true", "default_user_tags", ("management",)),
        ("default_queue_type = quorum", "default_queue_type", "quorum"),
        ("vhost_max = 5", "vhost_max", 5),
        ("quorum_queue.property_equivalence.relaxed_checks_on_redeclaration = true", "redeclare", "queue-type"),
        ("quorum_queue.property_equivalence.relaxed_checks_on_redeclaration = false", "redeclare", "strict"),
        ("default_permissions.configure = ''", "default_permissions_configure", ""),
    ],
)
def test_a_key(tmp_path: Path, line: str, name: str, value: object) -> None:
    found = getattr(settings(tmp_path, line), name)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("vm_memory_high_watermark.relative = 1.5", "is more than all memory"),
        ("vm_memory_high_watermark.absolute = 2 gigs", "is not a size such as 2GiB, 500MB or 1073741824"),
        ("disk_free_limit.relative = -1", "is not a size"),
        ("heartbeat = 70000", "is not a number of seconds between 0 and 65535"),
        ("max_connections = many", "is not a number, -1 or infinity"),
        ("frame_max = 100", "is not between 4KiB and 1GiB"),
        ("log.console.level = verbose", "is not one of debug, info, notice, warning, error, critical"),
        ("ssl_options.verify = sometimes", "is not one of verify_none, verify_peer"),
        ("ssl_options.versions.1 = sslv3", "is not one of tlsv1.3, tlsv1.2"),
        ("default_permissions.read = (", "is not a regular expression"),
        ("default_users.bob.read = (", "is not a regular expression"),
        ("loopback_users = some", "is not none"),
        ("loopback_users.guest = maybe", "is not true or false"),
    ],
)
def test_a_value_that_is_not_allowed_stops_the_start(tmp_path: Path, line: str, allowed: str) -> None:
    (error,) = errors(tmp_path, f"\n{line}\n")
    assert error.startswith("rabbitmq.conf:2: ")
    assert line.split(".")[0].split(" ")[0] in error
    assert allowed in error


def test_an_unknown_key_is_warned_of_and_never_stops_the_start(tmp_path: Path) -> None:
    assert warnings(tmp_path, "heartbeet = 5\nfrob.nicate = true\n") == [
        "rabbitmq.conf:2: 'heartbeet' is unknown and ignored; did you mean 'heartbeat'?",
        "rabbitmq.conf:3: 'frob.nicate' is unknown and ignored",
    ]


def test_a_key_without_a_counterpart_is_told_with_the_reason(tmp_path: Path) -> None:
    assert warnings(tmp_path, "cluster_formation.peer_discovery_backend = x\nmqtt.prefetch = 5\n") == [
        "rabbitmq.conf:2: 'cluster_formation.peer_discovery_backend' is ignored: there is no cluster",
        "rabbitmq.conf:3: 'mqtt.prefetch' is ignored: AMQP 0-9-1 alone is spoken",
    ]


def test_no_message_has_a_password_in_it(tmp_path: Path) -> None:
    lines = [
        "default_pas = hunter2",
        "default_pass = ''",
        "default_pass hunter2",
        "default_users.bob.password = hunter2",
        "default_users.bob.read = (",
        "ssl_options.password = hunter2",
    ]
    told = errors(tmp_path, "\n".join(lines))
    assert len(told) == 3
    assert "hunter2" not in "\n".join([*told, *warnings(tmp_path, "default_pas = hunter2")])
    bob = settings(tmp_path, "default_users.bob.password = hunter2").default_users
    assert "hunter2" not in f"{bob} {bob!r} {bob[0]}"


def test_that_nothing_is_named_to_listen_on_is_told(tmp_path: Path) -> None:
    """RabbitMQ listens on all addresses then, and who moves from it should know why nobody can connect."""
    (warning,) = read(tmp_path, "heartbeat = 30\nmax_connections = 5").warnings
    assert "listens on 127.0.0.1" in warning
    assert "listeners.tcp.default = 5672" in warning


# Files


def test_a_file_for_one_machine() -> None:
    path = FILES / "single.conf"
    configuration = configure(file=str(path))
    found = configuration.settings
    assert (found.bind, found.port) == (("192.168.1.99", "127.0.0.1", "[::1]:5673"), 5672)
    assert found.loopback_users == ("guest", "monitor")
    assert (found.default_vhost, found.default_user, found.default_pass) == ("prod", "operator", "p#ss word")
    assert found.default_permissions_configure == "^prod-"
    assert found.default_user_tags == ("administrator", "management")
    assert (found.heartbeat, found.channel_max, found.connection_max) == (600, 128, -1)
    assert (found.memory_limit, found.memory_total, found.disk_free_limit) == (0.4, 8_000_000_000, 2.0)
    assert (found.tcp_backlog, found.tcp_sndbuf) == (4096, 196608)
    assert (found.log_dir, found.log_file) == (Path("/var/log/rabbitmq"), Path("rabbit.log"))
    assert (found.log_console_level, found.log_connection_level) == ("warning", "error")
    assert (found.management_bind, found.management_rates_mode) == (("0.0.0.0",), "detailed")
    assert configuration.sources["heartbeat"] == f"{path}:{line_of(path, 'heartbeat')}"
    ignored = [match[1] for warning in configuration.warnings if (match := re.search(r"'(.*?)' is.* ignored", warning))]
    assert ignored == [
        "num_acceptors.tcp",
        *("tcp_listen_options.linger.on", "tcp_listen_options.linger.timeout"),
        *("vm_memory_high_watermark_paging_ratio", "cluster_partition_handling", "cluster_keepalive_interval"),
        *("queue_index_embed_msgs_below", "management.sample_retention_policies.global.minute"),
        *("log.file.rotation.date", "log.file.rotation.size"),
    ]


def line_of(path: Path, key: str) -> int:
    return next(n for n, line in enumerate(path.read_text().splitlines(), 1) if line.startswith(f"{key} "))


def test_a_file_with_tls_alone() -> None:
    found = configure(file=str(FILES / "tls.conf")).settings
    assert (found.bind, found.tls_bind, found.tls_port) == ((), ("*",), 5671)
    assert (found.tls_certfile, found.tls_keyfile) == tuple(
        Path(f"/etc/rabbitmq/ssl/server.{x}") for x in ("pem", "key")
    )
    assert (found.tls_verify, found.tls_fail_if_no_peer_cert, found.tls_depth) == ("verify_peer", True, 2)
    assert found.tls_ciphers == ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384")
    assert (found.tls_cert_login_from, found.auth_mechanisms) == ("common_name", ("EXTERNAL", "PLAIN"))
    assert (found.management_port, found.management_tls_port, found.proxy_protocol) == (None, 15671, True)
    assert (found.prometheus_port, found.prometheus_tls_port) == (15692, None)


@pytest.mark.parametrize(
    ("lines", "ports"),
    [
        ("", (15672, None)),
        ("{}.tcp.port = 1", (1, None)),
        ("{}.ssl.port = 2", (None, 2)),
        ("{}.ssl.certfile = /x.pem", (None, 15671)),
        ("{}.ssl.port = 2\n{}.tcp.port = 1", (1, 2)),
        ("{}.ssl.port = 2\n{}.tcp.ip = 127.0.0.1", (15672, 2)),
    ],
)
def test_who_configures_tls_alone_for_http_gets_tls_alone(
    tmp_path: Path, lines: str, ports: tuple[int | None, int | None]
) -> None:
    """Plain HTTP is there if it is configured, too, or if nothing is. RabbitMQ's rule for either of the two."""
    found = settings(tmp_path, lines.replace("{}", "management"))
    assert (found.management_port, found.management_tls_port) == ports
    metrics = {15672: 15692, 15671: 15691}
    found = settings(tmp_path, lines.replace("{}", "prometheus"))
    plain, encrypted = ports
    assert (found.prometheus_port, found.prometheus_tls_port) == (
        plain and metrics.get(plain, plain),
        encrypted and metrics.get(encrypted, encrypted),
    )


def test_the_older_form_of_https(tmp_path: Path) -> None:
    """With that nobody may be served plainly at the port that is to have TLS."""
    lines = [
        "management.listener.port = 2",
        "management.listener.ip = 127.0.0.1",
        "management.listener.ssl = true",
        "management.listener.ssl_opts.certfile = /x.pem",
        "management.listener.ssl_opts.keyfile = /x.key",
    ]
    found = settings(tmp_path, "\n".join(lines))
    assert (found.management_port, found.management_tls_port, found.management_tls_bind) == (None, 2, ("127.0.0.1",))
    assert (found.management_tls_certfile, found.management_tls_keyfile) == (Path("/x.pem"), Path("/x.key"))
    found = settings(tmp_path, "\n".join(lines).replace("true", "false"))
    assert (found.management_port, found.management_tls_port) == (2, None)


def test_tls_for_amqp_leaves_the_plain_listener(tmp_path: Path) -> None:
    found = settings(tmp_path, "listeners.ssl.default = 5671")
    assert (found.bind, found.port, found.tls_bind, found.tls_port) == (("127.0.0.1",), 5672, ("*",), 5671)
    found = settings(tmp_path, "listeners.tcp = none\nlisteners.ssl.default = 5671")
    assert (found.bind, found.tls_bind, found.tls_port) == ((), ("*",), 5671)


@pytest.mark.parametrize("name", ["kubernetes", "kubernetes/rabbitmq.conf"])
def test_a_folder_with_fragments_counts_as_one_file(name: str) -> None:
    configuration = configure(environment={"SECRET_PASSWORD": "s3cret"}, file=str(FILES / name))
    found = configuration.settings
    assert [path.name for path in configuration.files] == [
        *("rabbitmq.conf", "10-operatorDefaults.conf", "11-default_user.conf", "90-userDefinedConfiguration.conf")
    ]
    assert (found.default_user, found.default_pass) == ("default_user_Xq3", "s3cret")
    assert configuration.sources["default_user"].endswith("11-default_user.conf:2")
    assert found.loopback_users == ("robot",)  # one file says that guest is none, another that robot is
    assert (found.memory_limit, found.disk_free_limit) == (1717986918, 2_000_000_000)
    assert (found.log_console_formatter, found.log_console_stdio) == ("json", "stdout")
    assert (found.bind, found.port) == (("*",), 5672)
    assert found.default_users == (
        UserSetting("app", "hunter2", ("monitoring", "policymaker"), "^shop-", configure="^$"),
    )


def test_a_folder_with_fragments_alone() -> None:
    found = configure(environment={"SECRET_PASSWORD": "x"}, file=str(FILES / "kubernetes" / "conf.d"))
    assert len(found.files) == 3
    assert found.settings.default_user == "default_user_Xq3"


def test_an_erlang_configuration_beside_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "advanced.config").write_text("[].")
    assert warnings(tmp_path, "") == ["advanced.config: what is in it is ignored: it is for Erlang"]


@pytest.mark.parametrize(
    "text", ["[{rabbit, [{tcp_listeners, [5672]}]}].", "%% -*- mode: erlang -*-\n[\n {rabbit,\n []}\n].\n", "[].\n"]
)
def test_an_erlang_configuration_is_none_for_us(tmp_path: Path, text: str) -> None:
    (error,) = errors(tmp_path, text)
    assert error.startswith("rabbitmq.conf: this is a configuration for Erlang")


# A file with the keys of all versions and of RabbitMQ's plugins


def test_no_key_of_rabbitmqs_own_is_unknown() -> None:
    configuration = configure(file=str(FILES / "every_key.conf"))
    unknown = [warning for warning in configuration.warnings if "unknown" in warning]
    assert unknown == []
    assert sum("is ignored: " in warning for warning in configuration.warnings) > 50


@pytest.mark.parametrize(
    "line",
    [
        *("auth_backends.1 = internal", "auth_backends.1 = rabbit_auth_backend_internal", "log.exchange = false"),
        *("reverse_dns_lookups = false", "password_hashing_module = rabbit_password_hashing_sha256"),
        *(
            "deprecated_features.permit.transient_nonexcl_queues = true",
            "definitions.import_backend = local_filesystem",
        ),
    ],
)
def test_nothing_is_said_of_a_line_that_asks_for_what_is_so_anyway(tmp_path: Path, line: str) -> None:
    assert warnings(tmp_path, line) == []
    key, _, _ = line.partition(" =")
    (warning,) = warnings(tmp_path, f"{key} = something else")
    assert f"'{key}' is ignored: " in warning


@pytest.mark.parametrize(
    ("text", "bind", "socket"),
    [
        ("listeners.tcp.u = unix:/run/a.sock:0", (), "/run/a.sock"),
        ("listeners.tcp.u = local:/run/a.sock:0", (), "/run/a.sock"),
        ("listeners.tcp.u = local:/run/a.sock:0\nlisteners.tcp.1 = 127.0.0.1:1", ("127.0.0.1",), "/run/a.sock"),
    ],
)
def test_a_listener_that_is_a_unix_socket(tmp_path: Path, text: str, bind: tuple[str, ...], socket: str) -> None:
    found = read(tmp_path, text)
    assert (found.settings.bind, found.settings.unix_socket) == (bind, Path(socket))
    assert found.warnings == ()


@pytest.mark.parametrize("reverse", [False, True])
def test_an_absolute_limit_counts_more_than_a_relative_one(tmp_path: Path, reverse: bool) -> None:
    """In whichever order they stand, as in RabbitMQ 4."""
    limits = {"vm_memory_high_watermark": "0.3", "disk_free_limit": "1.5"}
    lines = [line for key, share in limits.items() for line in (f"{key}.relative = {share}", f"{key}.absolute = 1GB")]
    text = "\n".join(reversed(lines) if reverse else lines)
    found = settings(tmp_path, text)
    assert (found.memory_limit, found.disk_free_limit) == (10**9, 10**9)
    told = warnings(tmp_path, text)
    assert len(told) == 2
    assert all(f"'{key}.relative' is ignored: there is {key}.absolute, which counts" in str(told) for key in limits)


def test_what_new_virtual_hosts_begin_with(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        """
        default_limits.vhosts.1.pattern = ^dev-
        default_limits.vhosts.1.max_connections = 10
        default_limits.vhosts.1.max_queues = -1
        default_limits.vhosts.2.max_queues = 5
        default_policies.operator.short.vhost_pattern = ^dev-
        default_policies.operator.short.queue_pattern = ^tmp
        default_policies.operator.short.apply_to = queues
        default_policies.operator.short.max_length_bytes = 1MiB
        default_policies.operator.short.overflow = reject-publish
        default_policies.operator.short.message_ttl = 1h30m
        default_policies.operator.short.expires = 86400000
        """,
    )
    assert found.default_limits_vhosts == (
        LimitsSetting("1", {"max-connections": 10, "max-queues": -1}, "^dev-"),
        LimitsSetting("2", {"max-queues": 5}),
    )
    definition: dict[str, str | int] = {
        "max-length-bytes": 1 << 20,
        "overflow": "reject-publish",
        "message-ttl": 5_400_000,
        "expires": 86_400_000,
    }
    assert found.default_policies_operator == (PolicySetting("short", definition, "^dev-", "^tmp", "queues"),)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("default_limits.vhosts.1.max_queues = many", "default_limits.vhosts.1.max_queues: 'many' is not a number"),
        ("default_limits.vhosts.1.pattern = (", "default_limits.vhosts.1.pattern: '(' is not a regular expression"),
        ("default_policies.operator.a.max_length = x", "default_policies.operator.a.max_length: 'x' is not a number"),
        ("default_policies.operator.a.expires = 1x", "default_policies.operator.a.expires: '1x' is not milliseconds"),
        ("default_policies.operator.a.expires = 0", "default_policies.operator: a: 0 is not a valid queue expiry"),
        ("default_policies.operator.a.apply_to = all", "default_policies.operator: a: no policy provided"),
        ("default_users.bob.read = (", "default_users.bob.read: '(' is not a regular expression"),
    ],
)
def test_a_part_that_is_not_right_names_its_line(tmp_path: Path, line: str, told: str) -> None:
    (error,) = errors(tmp_path, f"default_users.bob.tags = management\n{line}")
    assert error.startswith(f"rabbitmq.conf:2: {told}")


def test_what_is_not_done_as_it_is_asked_for(tmp_path: Path) -> None:
    assert warnings(tmp_path, "auth_mechanisms.1 = PLAIN\nauth_mechanisms.2 = ANONYMOUS") == [
        "rabbitmq.conf:2: auth_mechanisms: there is no such mechanism here: ANONYMOUS"
    ]
    assert warnings(tmp_path, "management.rates_mode = detailed") == [
        "rabbitmq.conf:2: management.rates_mode: there are no detailed rates; it has those of basic"
    ]


# Where the HTTP API and the metrics are


@pytest.mark.parametrize(
    ("text", "plain", "encrypted"),
    [
        ("", 15672, None),
        ("management.tcp.port = 1", 1, None),
        ("management.ssl.port = 2", None, 2),
        ("management.ssl.certfile = /x.pem", None, 15671),
        ("management.tcp.ip = ::1\nmanagement.ssl.port = 2", 15672, 2),
        ("management.tcp.port = 1\nmanagement.ssl.port = 2", 1, 2),
        ("management.listener.port = 1\nmanagement.listener.ssl = false", 1, None),
        ("management.listener.port = 1\nmanagement.listener.ssl = true", None, 1),
        ("management.listener.ssl = true\nmanagement.listener.ssl_opts.certfile = /x.pem", None, 15671),
        ("management.listener.port = 1\nmanagement.listener.ssl = true\nmanagement.tcp.port = 2", 2, 1),
    ],
)
def test_http_listeners_are_where_rabbitmqs_are(
    tmp_path: Path, text: str, plain: int | None, encrypted: int | None
) -> None:
    found = settings(tmp_path, text)
    assert (found.management_port, found.management_tls_port) == (plain, encrypted)
    assert warnings(tmp_path, text) == []
    if "listener" not in text:
        found = settings(tmp_path, text.replace("management", "prometheus"))
        usual = {15672: 15692, 15671: 15691}
        assert found.prometheus_port == (None if plain is None else usual.get(plain, plain))
        assert found.prometheus_tls_port == (None if encrypted is None else usual.get(encrypted, encrypted))


def test_the_tls_of_the_http_api_may_differ_from_that_of_amqp(tmp_path: Path) -> None:
    text = "management.ssl.versions.1 = tlsv1.2\nmanagement.ssl.depth = 1\nmanagement.ssl.ciphers.1 = AES"
    found = settings(tmp_path, text)
    assert (found.management_tls_versions, found.management_tls_depth) == (("tlsv1.2",), 1)
    assert (found.management_tls_ciphers, found.tls_ciphers) == (("AES",), ())
