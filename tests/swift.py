"""Start an S3 server of a third party for tests: Debian's OpenStack Swift with s3api."""

import contextlib
import hashlib
import hmac
import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

import pytest
from obstore.store import S3Store

ACCESS_KEY, SECRET_KEY, REGION = "test:tester", "testing", "us-east-1"
_SERVER_NAMES = ("account", "container", "object", "proxy")
_SERVER_SETTINGS = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
user = root
log_level = CRITICAL
fallocate_reserve = 0
[pipeline:main]
pipeline = {pipeline}
[app:{name}-server]
use = egg:swift#{name}
"""
_PROXY_SETTINGS = """
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
[filter:s3api]
use = egg:swift#s3api
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
"""


#: A program that creates the rings (the addresses of the servers) and forks the four servers, so
#: that Swift is imported only once. It kills the servers when its standard input ends.
_SERVER_PROGRAM: Final = """
import importlib, os, signal, sys
from swift.common.ring import RingBuilder

folder, ports = sys.argv[1], dict(zip(sys.argv[2::2], map(int, sys.argv[3::2])))
for name in {*ports} - {"proxy"}:
    ring = RingBuilder(4, 1, 1)
    server = {"ip": "127.0.0.1", "port": ports[name], "device": "d1"}
    again = {"replication_ip": server["ip"], "replication_port": server["port"]}
    ring.add_dev({**server, **again, "region": 1, "zone": 1, "weight": 1})
    ring.rebalance()
    ring.get_ring().save(f"{folder}/{name}.ring.gz")
packages = {name: "obj" if name == "object" else name for name in ports}
modules = {name: importlib.import_module(f"swift.{packages[name]}.server") for name in ports}
children = []
for name in ports:
    children.append(os.fork())
    if children[-1] == 0:
        sys.argv = [f"swift-{name}-server", f"{folder}/{name}.conf"]
        sys.exit(modules[name].main())
sys.stdin.read()
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


@dataclass
class Swift:
    """A running Swift, as an S3 server."""

    port: int
    bucket_numbers: Iterator[int]

    def create_bucket(self) -> str:
        """Create an empty bucket and return its name."""
        name = f"blobs{next(self.bucket_numbers)}"
        assert _signed_put(self.port, name) == 200
        return name

    def create_bucket_client(self) -> S3Store:
        """Create an empty bucket and return a client for it."""
        return S3Store(
            self.create_bucket(),
            endpoint=f"http://127.0.0.1:{self.port}",
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            region=REGION,
            client_options={"allow_http": True},
        )


@contextlib.contextmanager
def run_swift() -> Iterator[Swift]:
    """Run Swift as four processes with one storage device; skip the test if Swift is missing."""
    if not all(shutil.which(f"swift-{name}-server") for name in _SERVER_NAMES):
        pytest.skip(
            "needs Swift: apt-get install swift-proxy swift-account swift-container swift-object"
        )
    folder = Path(tempfile.mkdtemp(prefix="entrenous-swift-"))
    ports = {name: _free_port() for name in _SERVER_NAMES}
    try:
        _write_settings(folder, ports)
        with _run_servers(folder, ports):
            _wait_for(ports["proxy"])
            yield Swift(ports["proxy"], count(1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _run_servers(folder: Path, ports: dict[str, int]) -> Iterator[None]:
    name_and_port_arguments = [word for name, port in ports.items() for word in (name, str(port))]
    with subprocess.Popen(
        [
            "/usr/bin/python3",  # the Python that can import Debian's Swift
            "-c",
            _SERVER_PROGRAM,
            folder,
            *name_and_port_arguments,
        ],
        env={**os.environ, "EVENTLET_NO_GREENDNS": "yes"},  # the servers need no DNS
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ):
        yield  # Popen then closes the program's standard input, and waits until the program ends


def _write_settings(folder: Path, ports: dict[str, int]) -> None:
    (folder / "devices" / "d1").mkdir(parents=True)
    policy = "[storage-policy:0]\nname = one\ndefault = yes\n"
    secret = "[swift-hash]\nswift_hash_path_suffix = x\nswift_hash_path_prefix = y\n"
    (folder / "swift.conf").write_text(secret + policy)
    for name, port in ports.items():
        proxy = name == "proxy"
        pipeline = "catch_errors cache s3api tempauth proxy-server" if proxy else f"{name}-server"
        text = _SERVER_SETTINGS.format(port=port, folder=folder, name=name, pipeline=pipeline)
        (folder / f"{name}.conf").write_text(text + (_PROXY_SETTINGS if proxy else ""))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if _signed_put(port, "first") == 200:
                return
        time.sleep(0.1)
    raise TimeoutError("Swift did not start")


def _signed_put(port: int, bucket: str) -> int:
    """Create a bucket with a request signed for AWS (Signature Version 4); return the status."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    empty_hash = hashlib.sha256(b"").hexdigest()
    headers = {
        "host": f"127.0.0.1:{port}",
        "x-amz-content-sha256": empty_hash,
        "x-amz-date": stamp,
    }
    names = ";".join(headers)
    lines = [f"{name}:{value}" for name, value in headers.items()]
    canonical = "\n".join(["PUT", f"/{bucket}", "", *lines, "", names, empty_hash])
    scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    key = f"AWS4{SECRET_KEY}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("PUT", f"/{bucket}", headers=headers)
        return connection.getresponse().status
