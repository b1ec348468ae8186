"""Set up a server process: its log on standard error, and how often Python collects garbage."""

import gc
import json
import logging
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TextIO


class LogKind(StrEnum):
    """What a server logs to standard error: with ERRORS, only errors and warnings; otherwise also a
    line for each answer of a relay, as text or JSON.
    """

    ERRORS = "errors"
    TEXT = "text"
    JSON = "json"


RELAY_LOGGER: Final = "entrenous.relay"
GATE_CLIENT_LOGGER: Final = "entrenous.hooks"


class JsonLogFormatter(logging.Formatter):
    """Formats a log record as a JSON object in one line: ``at``, ``level``, ``event``, and the
    event's own fields.
    """

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(int(record.created), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json.dumps({"at": at, "level": record.levelname.lower(), **_event_fields(record)})


class TextLogFormatter(logging.Formatter):
    """Formats a log record as one line of text, which begins with the level."""

    def format(self, record: logging.LogRecord) -> str:
        said = _event_fields(record)
        rest = " ".join(f"{name}={value}" for name, value in said.items() if name != "event")
        return f"{record.levelname.lower()} {said['event']} {rest}".rstrip()


def start_log(kind: LogKind, stream: TextIO) -> None:
    """Write this process's log records to ``stream``: warnings and errors, and a relay's answers
    unless ``kind`` is ERRORS.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLogFormatter() if kind is LogKind.JSON else TextLogFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # This library's warnings would let every stranger write lines to the log.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    logging.getLogger(RELAY_LOGGER).setLevel(
        logging.WARNING if kind is LogKind.ERRORS else logging.INFO
    )


def start_gate_client_log(stream: TextIO) -> None:
    """Start the log of a gate's client, with one line for each decision (docs/gate.md)."""
    start_log(LogKind.ERRORS, stream)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    hooks = logging.getLogger(GATE_CLIENT_LOGGER)
    hooks.handlers[:] = [handler]
    hooks.setLevel(logging.INFO)
    hooks.propagate = False  # otherwise each warning would be written twice


def _event_fields(record: logging.LogRecord) -> dict[str, object]:
    fields = getattr(record, "said", None)
    if isinstance(fields, dict):
        return fields
    kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else "none"
    return {"event": "library", "from": record.name, "kind": kind}


# A collection starts after this many new objects, counted as gc.set_threshold counts them.
_OBJECTS_PER_COLLECTION: Final = 50_000


def tune_garbage_collection() -> None:
    """Exclude long-lived objects from garbage collection, and collect rarely.

    Requests create many objects but few reference cycles. Without this, searching for cycles takes
    an eighth of a busy relay's time. Nothing is collected first: at that point a collection takes
    about 70 milliseconds and finds nothing to free.
    """
    gc.freeze()
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
