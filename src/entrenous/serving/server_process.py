"""What a server process sets up first: what it writes to standard error, and how often Python looks
for garbage.
"""

import gc
import json
import logging
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TextIO


class LogKind(StrEnum):
    """What a relay writes to standard error: faults only, or also a line for each answer."""

    ERRORS = "errors"
    TEXT = "text"
    JSON = "json"


OURS: Final = "entrenous.relay"
HOOKS: Final = "entrenous.hooks"


class JsonLines(logging.Formatter):
    """One JSON object a line: ``at``, ``level``, ``event``, and what belongs to that event."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        at = datetime.fromtimestamp(int(record.created), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json.dumps({"at": at, "level": record.levelname.lower(), **_said(record)})


class TextLines(logging.Formatter):
    """One plain line, which begins with the level."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        said = _said(record)
        rest = " ".join(f"{name}={value}" for name, value in said.items() if name != "event")
        return f"{record.levelname.lower()} {said['event']} {rest}".rstrip()


def start_log(kind: LogKind, stream: TextIO) -> None:
    """Write every log record of this process that matters to ``stream``."""
    to = logging.StreamHandler(stream)
    to.setFormatter(JsonLines() if kind is LogKind.JSON else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [to]
    root.setLevel(logging.WARNING)
    # What it says is of a stranger's form, of which each could make a line.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    logging.getLogger(OURS).setLevel(logging.WARNING if kind is LogKind.ERRORS else logging.INFO)


def start_hooks_log(stream: TextIO) -> None:
    """The same for who asks a gate, with each decision in the line that docs/gate.md shows."""
    start_log(LogKind.ERRORS, stream)
    to = logging.StreamHandler(stream)
    to.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    hooks = logging.getLogger(HOOKS)
    hooks.handlers[:] = [to]
    hooks.setLevel(logging.INFO)
    hooks.propagate = False  # else a warning would be written twice


def _said(record: logging.LogRecord) -> dict[str, object]:
    said = getattr(record, "said", None)
    if isinstance(said, dict):
        return said
    kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else "none"
    return {"event": "library", "from": record.name, "kind": kind}


_OBJECTS_BETWEEN: Final = 50_000  # two collections, counted as gc.set_threshold does


def collect_seldom() -> None:
    """Let the garbage collector leave alone what lives as long as the process, and come seldom.

    A request makes few cycles and many objects; looking for the former among the latter takes an
    eighth of the time of a busy relay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN)
