"""Run the real nginx with a configuration from ``share/``."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.serving.certificates import CertificateFiles

SHARE = Path(__file__).parents[1] / "share"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="no nginx: apt-get install nginx-light")


@contextmanager
def run_nginx(folder: Path, conf: str, pair: CertificateFiles, here: Mapping[str, str]) -> Iterator[str]:
    """Run nginx with the file ``conf`` of ``share/``, and yield its URL.

    The port, the certificate's paths and each key of ``here`` are replaced by this test's values.
    """
    assert NGINX is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    site = (SHARE / conf).read_text()
    ours = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/entrenous/fullchain.pem": str(pair.cert),
        "/etc/entrenous/privkey.pem": str(pair.key),
    }
    for told, instead in (ours | dict(here)).items():
        assert told in site
        site = site.replace(told, instead)
    (folder / "site.conf").write_text(site)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/nginx-{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"daemon off; {user} pid {folder}/nginx.pid; error_log {folder}/nginx.log;"
        f"events {{}} http {{ {temporary} include {folder}/site.conf; }}"
    )
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with subprocess.Popen([*command, "-e", str(folder / "nginx.log")]) as process:
        try:
            _wait_for(port, folder / "nginx.log")
            yield f"https://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(port: int, log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(log.read_text())
