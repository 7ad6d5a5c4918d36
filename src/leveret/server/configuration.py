"""The configuration of a broker: flags over environment over file over defaults, and where each value came from.

What is unknown is warned of by name and never stops a start; what is known and has a value that is not allowed does
stop it, and all such values are told at once. The file is leveret.toml or RabbitMQ's rabbitmq.conf, told apart by what
is in it. No message has a value in it that is secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from leveret.broker.mechanisms import KNOWN_MECHANISMS
from leveret.server.rabbitmq_file import read_rabbitmq
from leveret.server.reading import Reading, from_environment, from_flags
from leveret.server.settings import SETTINGS, Settings
from leveret.server.toml_file import read_toml

DEFAULT: Final = "default"
IMPLIED: Final = "its TLS is configured"
HTTPS_PORTS: Final = {"management": 15671, "prometheus": 15691}  # RabbitMQ's
# The first of these that there is, if neither --config nor the environment names one.
PLACES: Final = (Path("/etc/leveret/leveret.toml"), Path("/etc/leveret/rabbitmq.conf"))
VARIABLES: Final = ("LEVERET_CONFIG", "RABBITMQ_CONFIG_FILE")
MORE_FILES: Final = "RABBITMQ_CONFIG_FILES"
TOML: Final = "leveret.toml"
RABBITMQ: Final = "rabbitmq.conf"
ADVANCED: Final = "advanced.config"
FRAGMENTS: Final = "conf.d"
TABLE: Final = re.compile(r"^\s*\[\s*[\w\"'.-]+\s*\]\s*(#.*)?$", re.MULTILINE)
ERLANG: Final = re.compile(r"\s*(%.*\s+)*\[\s*(%.*\s+)*(\{|\]\s*\.)")
FOR_ERLANG: Final = "this is a configuration for Erlang; rabbitmq.conf has 'key = value'"
LOOPBACK_ONLY: Final = (
    "RabbitMQ would listen on all addresses, since no listener is named; "
    "this broker listens on {bind}: listeners.tcp.default = {port} is for all"
)


class InvalidConfiguration(Exception):
    """A configuration that nothing can be started with. `errors` are for the operator, one line each."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors: Final = tuple(errors)
        super().__init__("\n".join(self.errors))


@dataclass(frozen=True)
class Configuration:
    """The settings as they came out, where each came from, what to warn of, and the files that were read."""

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


def configure(
    flags: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None, file: str | None = None
) -> Configuration:
    """Add up the settings. Flags go by the settings' names. Raises InvalidConfiguration.

    Without a file it is the one that the environment names, or the first of PLACES, or none.
    """
    environment = environment or {}
    files = files_to_read(file, environment)
    reading, is_rabbitmq = read_files(files, environment)
    reading.add(from_environment(environment))
    reading.add(from_flags(flags or {}))
    if reading.errors:
        raise InvalidConfiguration(reading.errors)
    values: dict[str, Any] = {name: SETTINGS[name].parse(given.text) for name, given in reading.given.items()}
    sources = {name: reading.given[name].source if name in reading.given else DEFAULT for name in SETTINGS}
    for name, value in implied_by_tls(values).items():
        values[name], sources[name] = value, IMPLIED
    settings = Settings(**values)
    for name, value in values.items():
        setting = SETTINGS[name]
        if setting.planned and value != setting.default:
            reading.warnings.append(f"{sources[name]}: {setting.key} has no effect yet: it waits for {setting.planned}")
    reading.warnings += [f"{sources[name]}: {text}" for name, text in shortfalls(settings)]
    if is_rabbitmq and "bind" not in values:
        reading.warnings.append(LOOPBACK_ONLY.format(bind=", ".join(settings.bind), port=settings.port))
    return Configuration(settings, sources, tuple(reading.warnings), tuple(files))


def shortfalls(settings: Settings) -> Iterator[tuple[str, str]]:
    """What is asked for by a value that RabbitMQ has, and not done: the setting, and a text for the operator."""
    unknown = [each for each in settings.auth_mechanisms if each not in KNOWN_MECHANISMS]
    if unknown:
        yield "auth_mechanisms", f"auth_mechanisms: there is no such mechanism here: {', '.join(unknown)}"
    if settings.management_rates_mode == "detailed":
        yield "management_rates_mode", "management.rates_mode: there are no detailed rates; it has those of basic"


def implied_by_tls(values: Mapping[str, Any]) -> dict[str, Any]:
    """What follows where the TLS of HTTP is configured: its port, and nothing without TLS, if only TLS is.

    That is RabbitMQ's rule for its HTTP API and its metrics. For AMQP it is another: there the plain listener stays.
    """
    implied: dict[str, Any] = {}
    for service, port in HTTPS_PORTS.items():
        if any(name.startswith(f"{service}_tls_") for name in values):
            if f"{service}_tls_port" not in values:
                implied[f"{service}_tls_port"] = port
            if f"{service}_port" not in values and f"{service}_bind" not in values:
                implied[f"{service}_port"] = None
    return implied


def files_to_read(file: str | None, environment: Mapping[str, str]) -> list[Path]:
    """The files that make up the configuration, those first that count less. Raises InvalidConfiguration.

    Of a folder it is leveret.toml, or rabbitmq.conf and conf.d, or all that ends in .conf, in the order of the names.
    """
    found = main_files(file or next((environment[name] for name in VARIABLES if environment.get(name)), None))
    more = environment.get(MORE_FILES)
    return found if not more or (found and found[0].name == TOML) else found + more_files(Path(more))


def main_files(named: str | None) -> list[Path]:
    """The files that a name stands for, or if there is none, those that are there without being named."""
    if named is None:
        return next((with_fragments(place) for place in PLACES if place.is_file()), [])
    path = Path(named)
    if not path.exists() and path.with_name(f"{path.name}.conf").is_file():  # RabbitMQ's variable may leave it out
        path = path.with_name(f"{path.name}.conf")
    if path.is_file() or not path.is_dir():
        return with_fragments(path)
    if (path / TOML).is_file():
        return [path / TOML]
    found = with_fragments(path / RABBITMQ) if (path / RABBITMQ).is_file() else fragments(path / FRAGMENTS)
    found = found or fragments(path)
    if not found:
        raise InvalidConfiguration([f"{path}: there is no {TOML} in it, and no {RABBITMQ}"])
    return found


def more_files(path: Path) -> list[Path]:
    """What RabbitMQ reads after all others: a folder's files that end in .conf, or what fits a pattern."""
    return fragments(path) if path.is_dir() else sorted(path.parent.glob(path.name))


def with_fragments(path: Path) -> list[Path]:
    """A file, and if it is named as RabbitMQ's what stands in conf.d beside it."""
    return [path, *fragments(path.parent / FRAGMENTS)] if path.name == RABBITMQ else [path]


def fragments(folder: Path) -> list[Path]:
    """The files in a folder that end in .conf, in the order of their names."""
    return sorted(folder.glob("*.conf"))


def read_files(files: list[Path], environment: Mapping[str, str]) -> tuple[Reading, bool]:
    """What is in the files together, and whether they are RabbitMQ's, as several of them always are."""
    errors: list[str] = []
    texts: dict[Path, str] = {}
    for path in files:
        try:
            texts[path] = path.read_text("utf-8-sig")
        except OSError as error:
            errors.append(f"{path}: {error.strerror}")
        except UnicodeDecodeError:
            errors.append(f"{path}: this is not a text in UTF-8")
    errors += [f"{path}: {FOR_ERLANG}" for path, text in texts.items() if ERLANG.match(text)]
    if errors:
        return Reading(errors=errors), False
    if len(texts) == 1:
        ((path, text),) = texts.items()
        reading, is_rabbitmq = read(path, text, environment)
    else:
        reading, is_rabbitmq = read_rabbitmq(texts, environment), bool(texts)
    for path in texts:
        advanced = path.with_name(ADVANCED)
        if is_rabbitmq and path.name == RABBITMQ and advanced.is_file():
            reading.warnings.append(f"{advanced}: what is in it is ignored: it is for Erlang")
    return reading, is_rabbitmq


def read(path: Path, text: str, environment: Mapping[str, str]) -> tuple[Reading, bool]:
    """What is in a file, and whether it is RabbitMQ's.

    Lines such as `heartbeat = 60` are right in both. So without a table of TOML it is tried as either, and the one that
    knows more of its keys is right.
    """
    as_toml = read_toml(path, text)
    if path.suffix == ".toml" or TABLE.search(text):
        return as_toml, False
    as_rabbitmq = read_rabbitmq({path: text}, environment)
    if as_toml.errors and not as_toml.given:
        return as_rabbitmq, True
    if as_toml.unknown == as_rabbitmq.unknown:
        is_rabbitmq = path.suffix == ".conf"
    else:
        is_rabbitmq = as_rabbitmq.unknown < as_toml.unknown
    return (as_rabbitmq, True) if is_rabbitmq else (as_toml, False)
