"""Tests of ``relay run``: imports, metrics, log, stopping, and a metrics address in use."""

import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.wire.encodings import to_base64url
from tests.carry.relays import SampleMessage
from tests.ready import run_program, start_program

pytestmark = pytest.mark.real


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_relay_imports_no_decoder_and_no_vault() -> None:
    """Code that is not loaded takes no memory and cannot be attacked."""
    script = (
        "import sys, entrenous.__main__, entrenous.carry.commands, entrenous.carry.http.metrics;"
        "print(sorted({'cv2', 'numpy', 'av', 'PIL', 'sqlcipher3', 'vodozemac'} & set(sys.modules)))"
    )
    completed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert completed.stdout == "[]\n"


def _restore_sigint() -> None:
    """Restore the default action of SIGINT, because a background process may ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_metrics_are_served_and_the_relay_stops_cleanly_at_a_signal(
    tmp_path: Path, stop_signal: signal.Signals
) -> None:
    port = free_port()
    (tmp_path / "relay.toml").write_text(
        f'listen = "127.0.0.1:0"\nmetrics_listen = "127.0.0.1:{port}"\nlog = "text"\n'
    )
    program = [sys.executable, "-m", "entrenous", "relay", "run", "--json", "--settings"]
    with subprocess.Popen(
        [*program, str(tmp_path / "relay.toml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_restore_sigint,  # noqa: PLW1509 -- sets a signal's action, no more
    ) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            assert httpx.get(f"{url}/v1/status", trust_env=False).status_code == 200
            assert httpx.get(f"{url}/metrics", trust_env=False).status_code == 404
            metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
            process.send_signal(stop_signal)
            _, log = process.communicate(timeout=60)
        finally:
            process.kill()
    assert 'entrenous_answers_total{event="show_status",status="200"} 1.0' in metrics
    assert "process_resident_memory_bytes" in metrics
    assert process.returncode == (0 if stop_signal is signal.SIGTERM else 130)
    assert b"info show_status status=200" in log
    assert b"127.0.0.1" not in log
    assert not (tmp_path / "relay-data" / "mail.db-wal").exists()


def test_waiting_clients_do_not_delay_a_stop(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "entrenous", "relay", "run", "--json", "--listen"]
    message = SampleMessage()
    with (
        start_program(
            [*program, "127.0.0.1:0", "--data", str(tmp_path / "relay")], stdout=subprocess.PIPE
        ) as process,
        ThreadPoolExecutor(1) as threads,
    ):
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            with new_relay_client() as web:
                HttpCourier(web).create_mailbox(url, message.mailbox, message.owner)
            wake = f"{url}/v1/mailboxes/{to_base64url(message.mailbox)}/wake"
            headers = {
                "Entrenous-Protocol": "2",
                "Authorization": f"Bearer {to_base64url(message.owner.reveal())}",
            }
            waiting = threads.submit(httpx.get, wake, headers=headers, timeout=60, trust_env=False)
            with pytest.raises(TimeoutError):
                waiting.result(0.5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(8) == 0  # uvicorn alone would wait ten seconds for the open request
            assert waiting.result(60).status_code == 200
        finally:
            process.kill()


def test_metrics_address_in_use_is_named_in_the_error(tmp_path: Path) -> None:
    """The error must not name the address of --listen, which is free."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        settings = tmp_path / "relay.toml"
        settings.write_text(f'listen = "127.0.0.1:0"\nmetrics_listen = "{taken}"\n')
        program = [sys.executable, "-m", "entrenous", "relay", "run", "--settings", str(settings)]
        result = run_program(program, text=True)
    assert result.returncode == 6
    assert f"cannot serve its metrics at {taken}" in result.stderr
    assert "Change metrics_listen" in " ".join(result.stderr.split())
