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

CONFIGURATIONS = Path(__file__).parents[1] / "share"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="no nginx: apt-get install nginx-light")


@contextmanager
def run_nginx(
    folder: Path, conf_name: str, pair: CertificateFiles, replacements: Mapping[str, str]
) -> Iterator[str]:
    """Run nginx with the configuration ``conf_name`` of ``share/``, and yield its URL.

    In the configuration, the port, the paths of the certificate and its key, and each key of
    ``replacements`` are replaced.
    """
    assert NGINX is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    site = (CONFIGURATIONS / conf_name).read_text()
    own_replacements = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/entrenous/fullchain.pem": str(pair.cert),
        "/etc/entrenous/privkey.pem": str(pair.key),
    }
    for old, new in (own_replacements | dict(replacements)).items():
        assert old in site
        site = site.replace(old, new)
    (folder / "site.conf").write_text(site)
    module_names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temp_paths = "".join(f"{name}_temp_path {folder}/nginx-{name};" for name in module_names)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"daemon off; {user} pid {folder}/nginx.pid; error_log {folder}/nginx.log;"
        f"events {{}} http {{ {temp_paths} include {folder}/site.conf; }}"
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
