"""The protocol of an `exec` program: the content of each line. docs/exec.md explains it.

swarmrace writes requests to the program's standard input, the program writes events to its standard
output, one JSON object in a line. `python -m swarmrace.systems.exec.protocol` prints the JSON
Schema of both.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from swarmrace.errors import Reason, TransferError
from swarmrace.model import Model

VERSION = 1
"""Version of the protocol, in each `prepare`."""
MAX_LINE_BYTES = 65_536
"""Maximum length of a line from the program, including its end."""
_SHOWN = 120

Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
RequestId = Annotated[Count, Field(description="Number of the request, for its answer to repeat.")]
AnsweredId = Annotated[
    Count | None, Field(description="The request's `id`, so that an answer is never another's.")
]


class Prepare(Model):
    """Get ready for a run, then be idle. Answered by `done`."""

    verb: Literal["prepare"] = "prepare"
    id: RequestId = 0
    protocol: int = VERSION
    """Version of this protocol."""
    run: str
    """The run's name, such as `003-copy`."""
    role: Literal["seeder", "leecher"]
    """What this peer does in the run."""
    peer: Count
    """This peer's number, from 0."""
    swarm_size: Count
    """Number of peers, including seeders."""
    address: str
    """IP address of this peer. Listen on it, and connect from it."""
    folder: str
    """The program's own folder, empty after a cold start. It is removed after the run."""
    announce_url: str
    """Announce URL of a BitTorrent tracker (BEP 3), for programs that need one."""
    size_bytes: Count
    """Length of the payload."""
    cold_start: bool
    """Whether the program was started for this run and must start empty."""
    settings: dict[str, Any] = {}
    """The entrant's `settings`."""


class PublishRequest(Model):
    """Serve a file. Answered by `done` with a reference, once it can be served."""

    verb: Literal["publish"] = "publish"
    id: RequestId = 0
    path: str
    """The file, complete. It must not be changed; it stays until `remove` is done."""
    first: dict[str, Any] | None = None
    """The first seeder's reference, or null for the first seeder."""


class Fetch(Model):
    """Fetch the content into a file. Answered by `done` once all of it is in the file."""

    verb: Literal["fetch"] = "fetch"
    id: RequestId = 0
    references: list[dict[str, Any]]
    """One from each seeder, in the order of their publishing."""
    path: str
    """The file to write. It doesn't exist yet, but its folder does."""
    size_bytes: Count
    """Length of the content."""


class Remove(Model):
    """Stop serving and remove the run's content. Answered by `done`."""

    verb: Literal["remove"] = "remove"
    id: RequestId = 0


class Close(Model):
    """End. Answered by the end of the program, within 2 s."""

    verb: Literal["close"] = "close"
    id: RequestId = 0


class Discovered(Model):
    """Metadata is known. In a fetch, before the first byte; without it, the first byte counts."""

    event: Literal["discovered"] = "discovered"


class Arrived(Model):
    """Payload bytes have been received. In a fetch, with `observes: arrived`."""

    event: Literal["arrived"] = "arrived"
    offset: Count
    """Offset of the first byte in the payload."""
    length: Annotated[int, Field(ge=1, le=2**63 - 1)]
    """Number of bytes."""


class Progress(Model):
    """Payload bytes received so far. In a fetch, with `observes: progress`."""

    event: Literal["progress"] = "progress"
    bytes: Count
    """The total. It may fall, because corrupt bytes have not arrived."""


class CountersEvent(Model):
    """The program's own counters of the run so far. At any time; the last one counts."""

    event: Literal["counters"] = "counters"
    sent_bytes: Count | None = None
    """Bytes sent, including protocol."""
    received_bytes: Count | None = None
    """Bytes received, including protocol."""
    connections: Count | None = None
    """Number of currently connected peers."""
    payload_sent_bytes: Count | None = None
    """Payload bytes sent."""
    payload_received_bytes: Count | None = None
    """Payload bytes received, including duplicates."""


class TroubleEvent(Model):
    """What failed and is being retried. If the stage times out, the failure quotes it."""

    event: Literal["trouble"] = "trouble"
    text: str
    """One line; empty once nothing is wrong."""


class Note(Model):
    """Anything unusual that a reader should know about the transfer. In a fetch."""

    event: Literal["note"] = "note"
    text: str
    """One line."""


class Done(Model):
    """The latest request is carried out."""

    event: Literal["done"] = "done"
    id: AnsweredId = None
    reference: dict[str, Any] | None = None
    """After `publish`: the reference that leechers get. Keep it short: they look up the rest during
    the race."""
    version: str | None = None
    """After `prepare`: name and version of the program."""
    settings: dict[str, Any] = {}
    """After `prepare`: settings that differ from the program's defaults, with their effective
    values."""
    reasons: dict[str, str] = {}
    """After `prepare`: the reason for each of these settings."""


class Failed(Model):
    """The latest request can't be carried out."""

    event: Literal["failed"] = "failed"
    id: AnsweredId = None
    reason: Literal["refused", "wrong bytes", "node died", "disk full"] = "refused"
    """The reason to record; `node died` if a program behind this one ended."""
    detail: str
    """One line: what was expected, what was found."""


Request = Prepare | PublishRequest | Fetch | Remove | Close
Event = Discovered | Arrived | Progress | CountersEvent | TroubleEvent | Note | Done | Failed
_REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="verb")])
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def line_of(request: Request) -> bytes:
    """Return a request as the line that the program reads."""
    return request.model_dump_json().encode() + b"\n"


def parse(line: bytes) -> Event:
    """Return the event in a line.

    Raises:
        TransferError: REFUSED, with what was found and expected.
    """
    try:
        return _EVENT.validate_json(line, strict=True)
    except ValidationError as error:
        raise TransferError(
            Reason.REFUSED, f"found the line {shown(line)}: {_why(error)}"
        ) from None


def shown(line: bytes) -> str:
    """Return the beginning of a line from the program, as text for a message."""
    text = line[: _SHOWN + 1].decode(errors="replace")
    return repr(text[:_SHOWN] + "…" if len(text) > _SHOWN else text)


def _why(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=True)[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    match first["type"]:
        case "json_invalid":
            return "not JSON; expected one object in a line, and logs on standard error"
        case "union_tag_not_found" | "model_attributes_type" | "dict_type":
            return 'expected an object with "event"'
        case "union_tag_invalid":
            known = first.get("ctx", {}).get("expected_tags", "")
            return f"unknown event; expected one of {known}"
        case "extra_forbidden":
            return f"unknown key {where}"
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def schema() -> dict[str, Any]:
    """Return the JSON Schema of requests and events."""
    result = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Protocol of an exec program, version {VERSION}",
        "description": "A line is one object: of `request` on the program's standard input, of "
        "`event` on its standard output.",
    }
    definitions: dict[str, Any] = {}
    template = "#/$defs/{model}"
    for name, adapter in (("request", _REQUEST), ("event", _EVENT)):
        of: dict[str, Any] = adapter.json_schema(ref_template=template)
        definitions |= of.pop("$defs")
        definitions[name] = of
    either = {"anyOf": [{"$ref": "#/$defs/request"}, {"$ref": "#/$defs/event"}]}
    return {**result, **either, "$defs": dict(sorted(definitions.items()))}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
