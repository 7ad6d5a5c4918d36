#!/usr/bin/env python3
"""rabbitmqadmin: an HTTP API like RabbitMQ's from the command line.

Leveret serves this file at /cli/rabbitmqadmin, as RabbitMQ up to 4.2 served a script of that name; it takes the same
words, prints the same, and works with RabbitMQ too. It needs nothing but Python 3.6 or later, so it imports nothing of
Leveret, and its annotations are those of that Python.
"""

# ruff: noqa: UP006, UP035, UP045, B905

import argparse
import base64
import configparser
import http.client
import json
import os
import ssl
import sys
from typing import Any, Dict, List, NamedTuple, Optional, Sequence
from urllib.parse import quote, unquote, urlencode, urlsplit

PROGRAM = "rabbitmqadmin"
LINE = "-" * 80
NAMES = ("vhost", "name", "routing_key", "exchange", "message_count")  # columns that come before others
AS_JSON = ("arguments", "definition", "properties", "value")  # words whose values are JSON
BOOLEANS = ("auto_delete", "durable", "internal", "tracing")  # those whose values are true or false

DEFAULTS = {"host": "localhost", "port": "15672", "path_prefix": "", "username": "guest", "password": "guest"}
MORE_DEFAULTS = {"request_timeout": "120", "format": "table", "depth": "1"}
FLAGS = ("ssl", "ssl_insecure", "ssl_disable_hostname_verification")

# What is listed, with the columns that are shown unasked; then what can be listed of one virtual host.
LISTS = {
    "connections": "name user channels",
    "channels": "name user",
    "consumers": "",
    "exchanges": "name type",
    "queues": "name messages",
    "bindings": "source destination routing_key",
    "users": "",
    "vhosts": "name messages",
    "permissions": "",
    "nodes": "name type mem_used",
    "parameters": "vhost name component value",
    "policies": "",
    "operator_policies": "",
    "vhost_limits": "vhost value",
}
BY_VHOST = ("consumers", "exchanges", "queues", "bindings", "policies", "operator_policies", "vhost_limits")
BELOW_VHOST = ("connections", "channels")
SHOWN = {"overview": "rabbitmq_version cluster_name queue_totals.messages object_totals.queues"}


class Thing(NamedTuple):
    """What can be declared or deleted: where it is, the words that are needed, and others with their defaults."""

    path: str
    needed: Sequence[str]
    others: Dict[str, Optional[str]]


LASTING = {"auto_delete": "false", "durable": "true"}
POLICY = {"priority": "0", "apply-to": None}
BINDING = "bindings/{vhost}/e/{source}/{destination_type}/{destination}"
DECLARED = {
    "exchange": Thing(
        "exchanges/{vhost}/{name}", ("name", "type"), {**LASTING, "internal": "false", "arguments": "{}"}
    ),
    "queue": Thing(
        "queues/{vhost}/{name}", ("name",), {**LASTING, "arguments": "{}", "node": None, "queue_type": None}
    ),
    "binding": Thing(
        BINDING, ("source", "destination"), {"destination_type": "queue", "routing_key": "", "arguments": "{}"}
    ),
    "vhost": Thing("vhosts/{name}", ("name",), {"tracing": None}),
    "user": Thing(
        "users/{name}", ("name", "tags"), {"password": None, "password_hash": None, "hashing_algorithm": None}
    ),
    "permission": Thing("permissions/{vhost}/{user}", ("vhost", "user", "configure", "write", "read"), {}),
    "parameter": Thing("parameters/{component}/{vhost}/{name}", ("component", "name", "value"), {}),
    "policy": Thing("policies/{vhost}/{name}", ("name", "pattern", "definition"), POLICY),
    "operator_policy": Thing("operator-policies/{vhost}/{name}", ("name", "pattern", "definition"), POLICY),
    "vhost_limit": Thing("vhost-limits/{vhost}/{name}", ("vhost", "name", "value"), {}),
}
DELETED = {
    name: Thing(thing.path, [word for word in thing.needed if f"{{{word}}}" in thing.path], {})
    for name, thing in DECLARED.items()
}
DELETED["binding"] = Thing(
    BINDING + "/{properties_key}", ("source", "destination_type", "destination"), {"properties_key": "~"}
)
CHANGES = {
    "declare": (DECLARED, "declared"),
    "delete": (DELETED, "deleted"),
    "close": ({"connection": Thing("connections/{name}", ("name",), {})}, "closed"),
    "purge": ({"queue": Thing("queues/{vhost}/{name}/contents", ("name",), {})}, "purged"),
}
MESSAGE = {"exchange": "amq.default", "payload": None, "properties": "{}", "payload_encoding": "string"}
PUBLISH = Thing("exchanges/{vhost}/{exchange}/publish", ("routing_key",), MESSAGE)
WISH = {"count": "1", "ackmode": "ack_requeue_true", "payload_file": None, "encoding": "auto"}
GET = Thing("queues/{vhost}/{queue}/get", ("queue",), WISH)


class Failure(Exception):
    """What was asked for can't be done."""


class Misused(Exception):
    """What is asked for is not understood."""


def parser() -> argparse.ArgumentParser:
    """The options, and help that tells of the subcommands."""
    lines = argparse.RawDescriptionHelpFormatter
    usage = PROGRAM + " [options] subcommand"
    result = argparse.ArgumentParser(PROGRAM, usage, epilog=help_text(), formatter_class=lines, add_help=False)
    add = result.add_argument
    add("words", nargs="*", help=argparse.SUPPRESS)
    add("--help", "-h", action="help", help="show this help message and exit")
    add("--config", "-c", default="~/.rabbitmqadmin.conf", help="configuration file (default: ~/.rabbitmqadmin.conf)")
    add("--node", "-N", help="section of the configuration file (default: default)")
    add("--host", "-H", help="host to connect to (default: localhost)")
    add("--port", "-P", help="port to connect to (default: 15672)")
    add("--path-prefix", help="what is before /api in the path")
    add("--vhost", "-V", help="virtual host (default: all for list, / for everything else)")
    add("--username", "-u", help="user name (default: guest)")
    add("--password", "-p", help="password (default: guest)")
    add("--base-uri", "-U", metavar="URI", help="scheme and host, perhaps port, user and password, in one")
    add("--quiet", "-q", action="store_true", help="don't say what was done")
    add("--ssl", "-s", action="store_true", default=None, help="connect with TLS")
    add("--ssl-key-file", help="file of the client's key (PEM)")
    add("--ssl-cert-file", help="file of the client's certificate (PEM)")
    add("--ssl-ca-cert-file", help="file of the authorities' certificates (PEM)")
    add("--ssl-disable-hostname-verification", action="store_true", default=None, help="take any host's certificate")
    add("--ssl-insecure", "-k", action="store_true", default=None, help="take any certificate")
    add("--request-timeout", "-t", help="seconds to wait for an answer (default: 120)")
    add("--format", "-f", choices=(*FORMATS, "raw_json", "pretty_json"), help="format of lists (default: table)")
    add("--sort", "-S", help="column to sort by")
    add("--sort-reverse", "-R", action="store_true", help="sort the other way round")
    add("--depth", "-d", help="how deep to look into columns that have parts (default: 1)")
    add("--version", action="version", version=PROGRAM + " (Leveret)", help="show the version and exit")
    return result


def help_text() -> str:
    """The subcommands, one a line."""
    lines = ["subcommands:"]
    lines += [f"  list {name} [column ...]" for name in LISTS]
    lines += [f"  show {name} [column ...]" for name in SHOWN]
    for verb, (things, _) in CHANGES.items():
        lines += [f"  {verb} {name} {words_of(thing)}" for name, thing in things.items()]
    lines += ["  export FILE", "  import FILE"]
    lines += [f"  publish {words_of(PUBLISH)}", f"  get {words_of(GET)}"]
    lines += ["", "Without payload, publish reads standard input; with payload_file, get writes one message there."]
    lines += ["The configuration file has sections with hostname, port, username, password, vhost, ssl and so on."]
    return "\n".join(lines)


def words_of(thing: Thing) -> str:
    """The words of a subcommand as help shows them."""
    others = " ".join(name + "=..." for name in thing.others)
    return " ".join([name + "=..." for name in thing.needed] + (["[" + others + "]"] if others else []))


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """The options with what the configuration file and the defaults say; options and words may be mixed."""
    options, more = parser().parse_known_args(arguments)
    for word in more:
        if word.startswith("-"):
            raise Misused("no such option: " + word)
    options.words += more
    for name, value in {**DEFAULTS, **MORE_DEFAULTS, **configured(options)}.items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
    if options.base_uri:
        uri = urlsplit(options.base_uri)
        options.host, options.port = uri.hostname or options.host, uri.port or options.port
        options.ssl = options.ssl or uri.scheme == "https"
        options.username = options.username if uri.username is None else unquote(uri.username)
        options.password = options.password if uri.password is None else unquote(uri.password)
    options.port, options.depth = int(options.port), int(options.depth)
    options.request_timeout = float(options.request_timeout)
    return options


def configured(options: argparse.Namespace) -> Dict[str, Any]:
    """What the configuration file says of the node. Misused if a node was named that is not there."""
    file = configparser.ConfigParser(interpolation=None)
    file.read(os.path.expanduser(options.config))
    section = options.node or "default"
    if not file.has_section(section):
        if options.node:
            raise Misused(f"Could not read section {section!r} in config file {options.config!r}")
        return {}
    found = {key: value for key, value in file.items(section) if key in vars(options) or key == "declare_vhost"}
    if file.has_option(section, "hostname"):
        found["host"] = file.get(section, "hostname")
    return {**found, **{name: file.getboolean(section, name) for name in FLAGS if name in found}}


def values_of(words: Sequence[str], thing: Thing) -> Dict[str, str]:
    """What words of the form name=value say, with the defaults. Misused for what is unknown, and what is missing."""
    values = {name: value for name, value in thing.others.items() if value is not None}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise Misused(f'Argument "{word}" not in the name=value format')
        if name not in thing.needed and name not in thing.others and name != "vhost":
            raise Misused(f'Argument "{name}" is not recognised')
        values[name] = value
    for name in thing.needed:
        if name not in values:
            raise Misused(f'mandatory argument "{name}" is required')
    return values


def body_of(values: Dict[str, str]) -> Dict[str, Any]:
    """The values as JSON has them. Misused for what should be JSON and is none."""
    body = {}  # type: Dict[str, Any]
    for name, value in values.items():
        if name in AS_JSON:
            try:
                body[name] = json.loads(value)
            except ValueError:
                raise Misused(f"{name} is not JSON: {value}") from None
        elif name in ("priority", "count"):
            body[name] = int(value) if value.isdecimal() else value
        else:
            known = {"true": True, "false": False} if name in BOOLEANS else {}
            body[name] = known.get(value, value)
    return body


class Api:
    """The API of one broker."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options

    def path(self, template: str, values: Dict[str, str]) -> str:
        """A path with names in it."""
        vhost = self.options.vhost or getattr(self.options, "declare_vhost", None) or "/"
        names = {"vhost": vhost, **values}
        if names.get("destination_type"):
            names["destination_type"] = names["destination_type"][:1]
        for name in ("source", "exchange"):
            names[name] = names.get(name) or "amq.default"
        return template.format(**{name: quote(value, safe="~") for name, value in names.items()})

    def call(self, method: str, path: str, body: Any = None) -> bytes:
        """Send a request and give the body of the answer. Raises Failure."""
        options = self.options
        url = f"{options.path_prefix}/api/{path}"
        credentials = f"{options.username}:{options.password}"
        headers = {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection = self.connection()
            connection.request(method, url, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"Could not connect: {error}") from None
        if answer.status < 300:
            return content
        if answer.status in (401, 404):
            raise Failure({401: "Access refused: ", 404: "Not found: "}[answer.status] + url)
        raise Failure(reason_of(content) or f"{answer.status} {answer.reason}")

    def connection(self) -> http.client.HTTPConnection:
        """A connection, with TLS if that is asked for."""
        options = self.options
        if not options.ssl:
            return http.client.HTTPConnection(options.host, options.port, timeout=options.request_timeout)
        context = ssl.create_default_context(cafile=options.ssl_ca_cert_file)
        if options.ssl_insecure or options.ssl_disable_hostname_verification:
            context.check_hostname = False
        if options.ssl_insecure:
            context.verify_mode = ssl.CERT_NONE
        if options.ssl_cert_file:
            context.load_cert_chain(options.ssl_cert_file, options.ssl_key_file)
        return http.client.HTTPSConnection(options.host, options.port, timeout=options.request_timeout, context=context)

    def say(self, text: str) -> None:
        """Tell what was done, unless nobody wants to know."""
        if not self.options.quiet:
            print(text)


def reason_of(content: bytes) -> str:
    """Why a request was refused, empty if that is not told."""
    try:
        value = json.loads(content.decode())
    except ValueError:
        return ""
    return str(value.get("reason", "")) if isinstance(value, dict) else ""


def show(api: Api, words: Sequence[str]) -> None:
    """List what there is of a kind; of one thing that is shown, a list with itself alone."""
    options = api.options
    verb = options.words[0]
    things = LISTS if verb == "list" else SHOWN
    if not words or words[0] not in things:
        raise Misused("Don't know how to {} {}".format(verb, words[0] if words else "nothing"))
    columns = list(words[1:]) or things[words[0]].split()
    asked = {"columns": ",".join(columns), "sort": options.sort, "sort_reverse": options.sort_reverse and "true"}
    query = {name: value for name, value in asked.items() if value}
    path = words[0].replace("_", "-")
    if options.vhost and words[0] in BY_VHOST:
        path = api.path(path + "/{vhost}", {})
    elif options.vhost and words[0] in BELOW_VHOST:
        path = api.path("vhosts/{vhost}/" + path, {})
    display(api, api.call("GET", path + ("?" + urlencode(query, safe=",") if query else "")), columns)


def change(api: Api, words: Sequence[str]) -> None:
    """Declare, delete, close or purge something."""
    verb = api.options.words[0]
    things, done = CHANGES[verb]
    if not words or words[0] not in things:
        raise Misused(f"Type {words[0]} not recognised" if words else "Type of what is meant is missing")
    thing = things[words[0]]
    values = values_of(words[1:], thing)
    path = api.path(thing.path, values)
    if verb == "declare":
        body = body_of(values)
        if "queue_type" in body:
            body.setdefault("arguments", {})["x-queue-type"] = body.pop("queue_type")
        api.call("POST" if words[0] == "binding" else "PUT", path, body)
    else:
        api.call("DELETE", path)
    api.say(f"{words[0]} {done}")


def publish(api: Api, words: Sequence[str]) -> None:
    """Publish a message."""
    values = values_of(words, PUBLISH)
    if "payload" not in values:
        values["payload"] = base64.b64encode(sys.stdin.buffer.read()).decode()
        values["payload_encoding"] = "base64"
    body = {**body_of(values), "payload": values["payload"], "routing_key": values["routing_key"]}
    answer = json.loads(api.call("POST", api.path(PUBLISH.path, values), body).decode())
    api.say("Message published" if answer["routed"] else "Message published but NOT routed")


def get(api: Api, words: Sequence[str]) -> None:
    """Get messages, or write the payload of one to a file."""
    values = values_of(words, GET)
    file = values.pop("payload_file", None)
    path = api.path(GET.path, values)
    if file is None:
        display(api, api.call("POST", path, body_of(values)), [])
        return
    if values["count"] != "1":
        raise Misused("Cannot get multiple messages using payload_file")
    messages = json.loads(api.call("POST", path, {**body_of(values), "encoding": "base64"}).decode())
    for message in messages:
        del message["payload_encoding"]
        with open(file, "wb") as stream:
            stream.write(base64.b64decode(message.pop("payload")))
    display(api, json.dumps(messages).encode(), [])


def definitions(api: Api, words: Sequence[str]) -> None:
    """Write the definitions to a file, or import those that are in one."""
    if len(words) != 1:
        raise Misused("Exactly one argument required")
    path = api.path("definitions/{vhost}", {}) if api.options.vhost else "definitions"
    if api.options.words[0] == "import":
        with open(words[0], "rb") as stream:
            api.call("POST", path, stream.read())
        api.say(f'Uploaded definitions from "{words[0]}" to {api.options.host}')
        return
    content = api.call("GET", path)
    with open(words[0], "wb") as stream:
        stream.write(content)
    api.say(f'Exported definitions for {api.options.host} to "{words[0]}"')


def display(api: Api, content: bytes, columns: List[str]) -> None:
    """Print an answer; `columns` are those that were asked for, none: all that have something to show."""
    form = api.options.format
    if form == "raw_json":
        print(content.decode())
        return
    value = json.loads(content.decode())
    if form == "pretty_json":
        print(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))
        return
    items = [flat(item, columns, api.options.depth) for item in (value if isinstance(value, list) else [value])]
    if not columns:
        found = sorted({name for item in items for name in item})
        columns = [name for name in NAMES if name in found] + [name for name in found if name not in NAMES]
    if not items:
        api.say("No items")
    else:
        FORMATS[form](columns, [[item.get(name, "") for name in columns] for item in items], api.options.quiet)


def flat(item: Dict[str, Any], columns: Sequence[str], depth: int, prefix: str = "") -> Dict[str, str]:
    """The cells of an item by their names; parts of parts have names with a dot."""
    cells = {}  # type: Dict[str, str]
    for key, value in item.items() if isinstance(item, dict) else ():
        name = prefix + key
        inside = [column for column in columns if column.startswith(name + ".")]
        if isinstance(value, dict) and (depth > 1 or inside):
            cells.update(flat(value, columns, depth - 1, name + "."))
        elif isinstance(value, dict):
            if value and (name in columns or name in AS_JSON):
                cells[name] = json.dumps(value)
        elif isinstance(value, list):
            if value or name in columns:
                cells[name] = " ".join(part if isinstance(part, str) else json.dumps(part) for part in value)
        elif value is not None:
            cells[name] = str(value)
    return cells


def as_table(columns: List[str], rows: List[List[str]], _quiet: bool) -> None:
    """A frame of lines."""
    widths = [max(map(len, cells)) + 2 for cells in zip(columns, *rows)]
    frame = "+{}+".format("+".join("-" * width for width in widths))
    heads = [" " * ((width - len(name)) // 2) + name for name, width in zip(columns, widths)]
    lines = [heads] + [[" " + cell for cell in row] for row in rows]
    shown = ["|{}|".format("|".join(cell.ljust(width) for cell, width in zip(line, widths))) for line in lines]
    print("\n".join([frame, shown[0], frame, *shown[1:], frame]))


def as_tsv(columns: List[str], rows: List[List[str]], quiet: bool) -> None:
    """A line for each item; the names go before, unless that is too much."""
    print("\n".join("\t".join(line) for line in ([] if quiet else [columns]) + rows))


def as_long(columns: List[str], rows: List[List[str]], _quiet: bool) -> None:
    """A line for each cell."""
    width = max(map(len, columns), default=0)
    print(f"\n{LINE}\n")
    for row in rows:
        for name, cell in zip(columns, row):
            print(f"{name.rjust(width)}: {cell}")
        print(f"\n{LINE}\n")


def as_pairs(columns: List[str], rows: List[List[str]], _quiet: bool) -> None:
    """A line of name="value" for each item."""
    print("\n".join(" ".join(f'{name}="{cell}"' for name, cell in zip(columns, row)) for row in rows))


def as_names(columns: List[str], rows: List[List[str]], _quiet: bool) -> None:
    """The names alone, for a shell."""
    if "name" in columns:
        print(" ".join(row[columns.index("name")] for row in rows))


FORMATS = {"table": as_table, "tsv": as_tsv, "long": as_long, "kvp": as_pairs, "bash": as_names}


def run(arguments: Sequence[str]) -> None:
    """Do what is asked for. Raises Failure, Misused."""
    options = options_of(arguments)
    if not options.words:
        raise Misused("Action not specified")
    verb, words = options.words[0], options.words[1:]
    actions = {**dict.fromkeys(CHANGES, change), "publish": publish, "get": get}
    actions.update(dict.fromkeys(("list", "show"), show), **dict.fromkeys(("export", "import"), definitions))
    if verb == "help":
        print(help_text())
    elif verb in actions:
        actions[verb](Api(options), words)
    else:
        raise Misused(f"Action {verb} not understood")


def main() -> int:
    """Run the program; gives the exit status."""
    try:
        run(sys.argv[1:])
    except Misused as error:
        print(f"\nERROR: {error}\n\n{PROGRAM} --help for help\n", file=sys.stderr)
        return 1
    except (Failure, OSError, ValueError, configparser.Error) as error:
        print(f"*** {error}\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
