"""The requests of the control socket that ask what only the broker's process knows of itself: its certificates, TLS,
environment and command line, the policies that match a name; and to collect garbage.

No secret is told: of files only the certificates in them, and of variables no password.
"""

from __future__ import annotations

import gc
import os
import re
import shlex
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from leveret.broker.broker import Broker
from leveret.broker.policy import Policy
from leveret.management.certificate_expiration import CertificateFiles
from leveret.management.status import listener
from leveret.server.control_request import BadRequest, ChangeRefused, Operation, Request, text_of
from leveret.server.setting_table import MASK

CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)
PREFIXES: Final = ("LEVERET_", "RABBITMQ_")
SECRET: Final = re.compile(r"PASS|SECRET|TOKEN|COOKIE|CREDENTIAL|URL|URI", re.IGNORECASE)
ALL_CIPHERS: Final = "ALL:COMPLEMENTOFALL"


class Facts:
    """Answers such requests for one process."""

    def __init__(self, broker: Broker, certificate_files: CertificateFiles) -> None:
        self._broker: Final = broker
        self._certificate_files: Final = certificate_files
        self.commands: Final[dict[str, Operation]] = {
            "certificates": self._certificates,
            "tls": self._tls,
            "os_env": self._environment,
            "command_line_arguments": self._command_line,
            "list_policies_that_match": self._policies_that_match,
            "force_gc": self._collect_garbage,
        }

    def _certificates(self, _request: Request) -> dict[str, object]:
        """The certificates of each listener with TLS, as PEM."""
        found = [
            {
                **listener(url, self._broker.node),
                "certfile": certificates_in(certfile),
                "cacertfile": certificates_in(cacertfile),
            }
            for url, pairs in self._certificate_files.items()
            for certfile, cacertfile in pairs
        ]
        return {"certificates": found}

    def _tls(self, _request: Request) -> dict[str, object]:
        """What the TLS library of this process can do, whatever listeners allow of it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        usual = [cipher["name"] for cipher in context.get_ciphers()]
        context.set_ciphers(ALL_CIPHERS)
        every = [cipher["name"] for cipher in context.get_ciphers()]
        return {"versions": tls_versions(), "cipher_suites": usual, "all_cipher_suites": every}

    def _environment(self, _request: Request) -> dict[str, object]:
        """The variables that are meant for a broker."""
        variables = {name: value for name, value in sorted(os.environ.items()) if name.startswith(PREFIXES)}
        return {"variables": {name: MASK if SECRET.search(name) else value for name, value in variables.items()}}

    def _command_line(self, _request: Request) -> dict[str, object]:
        """How this process was started; no flag has a secret."""
        return {"arguments": shlex.join(sys.orig_argv)}

    def _policies_that_match(self, request: Request) -> dict[str, object]:
        """The names of the policies that match a queue or an exchange, the one that applies first."""
        vhost = self._broker.vhosts.get(text_of(request, "vhost"))
        name, kind = text_of(request, "name"), text_of(request, "object_type")
        policies: Iterator[Policy] = iter(()) if vhost is None else vhost.policies.listed(operator=False)
        if kind == "exchange":
            names = [policy.name for policy in policies if policy.matches_exchange(name)]
        elif kind == "queue":
            queue = None if vhost is None else vhost.queues.get(name)
            if queue is None:
                raise ChangeRefused("not_found")
            names = [policy.name for policy in policies if policy.matches_queue(queue)]
        else:
            raise BadRequest("object_type is queue or exchange")
        return {"names": names[::-1]}

    def _collect_garbage(self, _request: Request) -> dict[str, object]:
        """Free what only refers to itself. The broker does nothing else meanwhile."""
        gc.collect()
        return {}


def tls_versions() -> list[str]:
    """The versions by the names that RabbitMQ has for them."""
    known = {"tlsv1.3": ssl.HAS_TLSv1_3, "tlsv1.2": ssl.HAS_TLSv1_2, "tlsv1.1": ssl.HAS_TLSv1_1, "tlsv1": ssl.HAS_TLSv1}
    return [name for name, there in known.items() if there]


def certificates_in(file: Path | None) -> str:
    """The certificates of a file, in which there may be a key too; or what is wrong with it."""
    if file is None:
        return ""
    if not file.is_file():
        return f"{file} is not there, or is no file"
    try:
        return "".join(CERTIFICATE.findall(file.read_text("ascii", "replace")))
    except OSError as error:
        return f"{file} can't be read: {error.strerror}"
