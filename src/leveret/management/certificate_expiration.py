"""Which listeners with TLS have certificates that end soon: what probes ask of the HTTP API and of leveretctl.

The files are read as they are on the disk now, since the next handshake has them. A file that can't be read counts as
one that ends soon, and so does a certificate that is not yet valid, as in RabbitMQ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from leveret.management.status import listener
from leveret.server.certificate_dates import CannotRead, Validity, validities

TIME: Final = "%Y-%m-%d %H:%M:%S"
CertificatePair = tuple[Path | None, Path | None]  # the file of a certificate, and that of the clients' authorities
CertificateFiles = Mapping[str, Sequence[CertificatePair]]  # by the listener's URL; certificates by host name come last


def expiring_listeners(node: str, files: CertificateFiles, seconds: int) -> list[dict[str, object]]:
    """The listeners one of whose certificates ends within so many seconds, with the dates of those that do.

    A listener is there once for its own certificate, and once for each that it has for a host name.
    """
    now = datetime.now(UTC)
    found: list[dict[str, object]] = []
    for url, certfile, cacertfile in [(url, *pair) for url, pairs in files.items() for pair in pairs]:
        own, authorities = expiring(certfile, now, seconds), expiring(cacertfile, now, seconds)
        if own or authorities:
            dates = {"certfile_expires_on": own, "cacertfile_expires_on": authorities}
            names = {"certfile": str(certfile or ""), "cacertfile": str(cacertfile or "")}
            found.append({**listener(url, node), **names, **dates})
    return found


def expiring(file: Path | None, now: datetime, seconds: int) -> list[object]:
    """When those certificates of a file end that end soon, as text; what is wrong with it as `{"error": text}`."""
    if file is None:
        return []
    try:
        found = validities(file)
    except CannotRead as error:
        return [{"error": str(error)}]
    return [shown(each, now) for each in found if each.begins > now or (each.ends - now).total_seconds() < seconds]


def shown(validity: Validity, now: datetime) -> object:
    """One certificate's entry."""
    if validity.begins > now:
        begins = validity.begins.strftime(TIME)
        return {"error": f"Certificate is not yet valid. It starts on {begins}"}
    return validity.ends.strftime(TIME)
