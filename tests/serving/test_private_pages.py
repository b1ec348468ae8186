"""Tests of recognizing connections of our own user, with netlink or the kernel's TCP tables."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from entrenous.serving import private_pages
from entrenous.serving.private_pages import Address, is_client_our_user

pytestmark = pytest.mark.real

LOOPBACK_ADDRESSES = ("127.0.0.1", "::1")
OTHER_USER_ID = 65534


@contextmanager
def open_connection(host: str, *, of_another_user: bool) -> Iterator[tuple[Address, Address]]:
    """Yield the addresses of both ends of a connection, the client's first."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as open_sockets:
        try:
            listener = socket.create_server((host, 0), family=family)
        except OSError:
            pytest.skip(f"this machine has no {host}")
        open_sockets.enter_context(listener)
        server = listener.getsockname()[:2]
        if of_another_user:
            script = f"exec 3<>/dev/tcp/{host}/{server[1]}; read _ <&3"
            client = subprocess.Popen(["/bin/bash", "-c", script], user=OTHER_USER_ID, cwd="/")
            open_sockets.callback(client.wait)
        else:
            open_sockets.enter_context(socket.create_connection(server))
        accepted, address = listener.accept()
        open_sockets.enter_context(accepted)
        yield address[:2], server


@pytest.fixture(params=["kernel", "tables"])
def lookup(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Disable one of two ways to find a connection's user, and return the name of the other way."""
    if request.param == "tables":  # as if the kernel had no sock_diag
        monkeypatch.setattr(private_pages, "_NETLINK_SOCK_DIAG", 31)
    else:
        monkeypatch.setattr(private_pages, "_TCP_TABLES", ())
    return str(request.param)


@pytest.mark.parametrize("host", LOOPBACK_ADDRESSES)
def test_own_connection_is_ours(host: str, lookup: str) -> None:
    with open_connection(host, of_another_user=False) as (client, server):
        found = private_pages._socket_user_from_kernel(client, server)
        assert found == (os.getuid() if lookup == "kernel" else None)
        assert is_client_our_user(client, server)


@pytest.mark.parametrize("host", LOOPBACK_ADDRESSES)
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to connect as another user")
def test_connection_of_another_user_is_not_ours(host: str, lookup: str) -> None:
    with open_connection(host, of_another_user=True) as (client, server):
        found = private_pages._socket_user_from_kernel(client, server)
        assert found == (OTHER_USER_ID if lookup == "kernel" else None)
        assert not is_client_our_user(client, server)


def test_unknown_connection_is_not_ours() -> None:
    with open_connection(LOOPBACK_ADDRESSES[0], of_another_user=False) as (client, server):
        elsewhere = (LOOPBACK_ADDRESSES[0], client[1] ^ 1)
        assert private_pages._socket_user_from_kernel(elsewhere, server) is None
        assert not is_client_our_user(elsewhere, server)


@pytest.mark.parametrize("host", LOOPBACK_ADDRESSES)
def test_a_listener_on_the_clients_port_is_not_the_client(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        open_connection(host, of_another_user=False) as (_, server),
        socket.create_server((host, 0), family=family) as listener,
    ):
        client = listener.getsockname()[:2]
        assert private_pages._socket_user_from_kernel(client, server) is None
        assert not is_client_our_user(client, server)


def test_a_client_without_an_ip_address_is_not_ours() -> None:
    assert not is_client_our_user(("testclient", 1), (LOOPBACK_ADDRESSES[0], 2))
