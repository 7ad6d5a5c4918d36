"""`/definitions`: all that is declared and set, exported and imported, for the whole broker or one virtual host."""

from __future__ import annotations

import asyncio
import re
from email.message import Message
from email.parser import BytesParser
from typing import Final

from leveret.management.definitions.export import exported
from leveret.management.definitions.importing import decoded, import_in_slices
from leveret.management.definitions.steps import InvalidDefinitions
from leveret.management.http.access import administrator
from leveret.management.http.answers import Answer, of_pieces
from leveret.management.http.call import Call
from leveret.management.http.errors import bad_request, not_found
from leveret.management.http.resource import Resource
from leveret.management.http.slices import in_slices

PIECE: Final = 65536  # octets of JSON, about
TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # a file name that a header may have (RFC 9110, 5.6.2)
FORM: Final = "multipart/form-data"


async def get_definitions(call: Call) -> object:
    """The definitions, as a file to download if `download` names one."""
    vhost = call.find_vhost()
    if call.vhost_name is not None and vhost is None:
        raise bad_request("vhost_not_found")
    pieces: list[bytes] = []
    gathered: list[str] = []
    size = 0
    async for text in in_slices(exported(call.broker, call.vhost_name)):
        gathered.append(text)
        size += len(text)
        if size >= PIECE:
            pieces.append("".join(gathered).encode())
            gathered.clear()
            size = 0
    answer = of_pieces([*pieces, "".join(gathered).encode()])
    name = call.query.get("download")
    if name is None:
        return answer
    if not TOKEN.fullmatch(name):
        raise bad_request("download is not the name of a file")
    return Answer(200, answer.pieces, {**answer.headers, "content-disposition": f"attachment; filename={name}"})


async def post_definitions(call: Call) -> object:
    """Take definitions in, which are the body, or the file of a form."""
    if call.vhost_name is not None and call.find_vhost() is None:
        raise not_found("vhost_not_found")
    body = await call.body()
    content_type = call.headers.get("content-type", "")
    redirect = None
    if content_type.lower().startswith(FORM):
        parts = await asyncio.to_thread(parts_of, content_type, body)
        body, redirect = parts.get("file", b""), parts.get("redirect")
    try:
        document = await asyncio.to_thread(decoded, body)
    except InvalidDefinitions:
        raise bad_request("failed_to_parse_json") from None
    if not isinstance(document, dict):
        raise bad_request("failed_to_parse_json")
    try:
        await import_in_slices(call.broker, document, call.begin_change, call.vhost_name)
    except InvalidDefinitions as error:
        raise bad_request(str(error)) from None
    if redirect is None:
        return None
    return Answer(303, headers={"location": redirect.decode("latin-1").replace("\r", "").replace("\n", "")})


def parts_of(content_type: str, body: bytes) -> dict[str, bytes]:
    """The parts of a form, by name."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    form = BytesParser().parsebytes(head + body)
    parts: dict[str, bytes] = {}
    for part in form.get_payload() if form.is_multipart() else ():
        name = part.get_param("name", header="content-disposition") if isinstance(part, Message) else None
        if isinstance(part, Message) and isinstance(name, str):
            content = part.get_payload(decode=True)
            parts[name] = content if isinstance(content, bytes) else b""
    return parts


RESOURCES: Final = tuple(
    Resource(path, administrator, get=get_definitions, post=post_definitions)
    for path in ("/definitions", "/all-configuration", "/definitions/{vhost}")
)
