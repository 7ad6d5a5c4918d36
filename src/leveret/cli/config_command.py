"""`leveret config check` and `leveret config show`: the configuration that `leveret serve` would start with.

Both take the options of `leveret serve`, and say what it would warn of. Passwords are never shown. `check` reads the
certificates and the definitions too, as far as that can be done without a broker.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path

from leveret.cli.serve_options import configuration_of
from leveret.cli.standard_streams import write
from leveret.management.definitions.loading import CannotLoad, document_of, files_in, read
from leveret.server.amqp_listeners import NOWHERE_TO_LISTEN, tls_options
from leveret.server.configuration import Configuration, InvalidConfiguration
from leveret.server.management import API, METRICS, PURPOSES, management_tls, metrics_tls
from leveret.server.setting_table import MASK
from leveret.server.settings import SETTINGS, Settings
from leveret.server.tls import CannotUse, Certificates, TlsOptions

HEADINGS = ("setting", "value", "from")


def run_config(arguments: argparse.Namespace) -> int:
    """Status 0 for a configuration that a broker starts with, else 1, with a line for each error."""
    try:
        configuration = configuration_of(arguments)
    except InvalidConfiguration as error:
        for line in error.errors:
            print(f"leveret: {line}", file=sys.stderr)
        return 1
    if arguments.action == "show" and arguments.formatter == "json":
        write([json.dumps(as_json(configuration), indent=2)])
        return 0
    for warning in configuration.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if arguments.action == "check":
        problems = list(problems_of(configuration.settings))
        for problem in problems:
            print(f"leveret: {problem}", file=sys.stderr)
        if problems:
            return 1
        write([f"the configuration is right: {', '.join(map(str, configuration.files)) or 'no file'}"])
        return 0
    rows = [HEADINGS, *rows_of(configuration)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    write(f"{key:{widths[0]}}  {value:{widths[1]}}  {source}" for key, value, source in rows)
    return 0


def problems_of(settings: Settings) -> Iterator[str]:
    """Why a broker would not start with what the settings name."""
    if settings.tls_bind:
        yield from problems_of_certificates(tls_options(settings), "TLS")
    for purpose, tls in ((API, management_tls(settings)), (METRICS, metrics_tls(settings))):
        if tls.port is not None:
            yield from problems_of_certificates(tls.options, f"{PURPOSES[purpose]} with TLS")
    if not (settings.bind or settings.tls_bind or settings.unix_socket):
        yield NOWHERE_TO_LISTEN
    if settings.load_definitions is not None:
        try:
            for file in files_in(settings.load_definitions):
                document_of(file, read(file))
        except CannotLoad as error:
            yield str(error)


def problems_of_certificates(options: TlsOptions, purpose: str) -> Iterator[str]:
    """Why the certificates can't be used, if they can't."""
    try:
        Certificates(options, purpose)
    except CannotUse as error:
        yield f"cannot listen for {purpose}: {error}"


def rows_of(configuration: Configuration) -> list[tuple[str, str, str]]:
    """Every setting with its value and where it came from."""
    return [
        (setting.key, setting.shown(getattr(configuration.settings, name)), configuration.sources[name])
        for name, setting in SETTINGS.items()
    ]


def as_json(configuration: Configuration) -> dict[str, object]:
    """The same for programs: what is not set is null, sizes are octets."""
    settings = {
        setting.key: {
            "value": json_value(getattr(configuration.settings, name), setting.secret),
            "source": configuration.sources[name],
        }
        for name, setting in SETTINGS.items()
    }
    return {
        "settings": settings,
        "files": [str(path) for path in configuration.files],
        "warnings": list(configuration.warnings),
    }


def json_value(value: object, secret: bool = False) -> object:
    """A value as JSON has it."""
    if secret and value is not None:
        return MASK
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [json_value(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {key: json_value(part, key == "password") for key, part in asdict(value).items()}
    return value
