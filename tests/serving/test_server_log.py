"""Tests of the logs of a relay and of a gate's client: lines, levels, and omitted addresses."""

import io
import json
import logging

import pytest

from entrenous.serving.server_process import (
    GATE_CLIENT_LOGGER,
    RELAY_LOGGER,
    LogKind,
    start_gate_client_log,
    start_log,
)


def log_response(log: logging.Logger) -> None:
    fields = {"event": "get_blob", "status": 200, "size_bits": 23}
    log.info("%s %d size<=2^%d", *fields.values(), extra={"said": fields})


def log_library_error() -> None:
    """Log an error with a peer's address in the message, as asyncio and uvicorn do."""
    why = ConnectionResetError("peer 203.0.113.7 went away")
    logging.getLogger("asyncio").error("lost %s", "203.0.113.7:4711", exc_info=why)


def logged_lines(log_kind: LogKind) -> list[str]:
    stream = io.StringIO()
    start_log(log_kind, stream)
    log_response(logging.getLogger(RELAY_LOGGER))
    log_library_error()
    return stream.getvalue().splitlines()


def test_json_log_line_is_one_object() -> None:
    first, second = (json.loads(line) for line in logged_lines(LogKind.JSON))
    assert set(first) == {"at", "level", "event", "status", "size_bits"}
    assert (first["event"], first["status"], first["level"]) == ("get_blob", 200, "info")
    assert first["at"].endswith("Z")
    assert (second["from"], second["kind"]) == ("asyncio", "ConnectionResetError")


def test_text_log_line_starts_with_its_level() -> None:
    first, second = logged_lines(LogKind.TEXT)
    assert first == "info get_blob status=200 size_bits=23"
    assert second == "error library from=asyncio kind=ConnectionResetError"


def test_errors_log_omits_responses() -> None:
    assert logged_lines(LogKind.ERRORS) == ["error library from=asyncio kind=ConnectionResetError"]


@pytest.mark.parametrize("log_kind", LogKind)
def test_peer_addresses_in_library_logs_are_dropped(log_kind: LogKind) -> None:
    assert "203.0.113.7" not in "\n".join(logged_lines(log_kind))


def test_decision_of_a_gates_client_is_logged_at_its_level() -> None:
    stream = io.StringIO()
    start_gate_client_log(stream)
    fields = {"event": "upload", "decision": "let through"}
    for log_decision in (
        logging.getLogger(GATE_CLIENT_LOGGER).info,
        logging.getLogger(GATE_CLIENT_LOGGER).warning,
    ):
        log_decision("upload decision=%(decision)s", fields, extra={"said": fields})
    log_library_error()
    assert stream.getvalue().splitlines() == [
        "INFO entrenous.hooks upload decision=let through",
        "WARNING entrenous.hooks upload decision=let through",
        "error library from=asyncio kind=ConnectionResetError",
    ]
