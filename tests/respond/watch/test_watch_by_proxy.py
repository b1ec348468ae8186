"""Tests of requests through a proxy: host names, redirects, and an unreachable proxy."""

import socket
from contextlib import ExitStack

import pytest

from entrenous.base.environment import Proxy
from entrenous.respond.client.public_web import PublicWeb
from entrenous.respond.watch.polite_web import NotOnTheWeb, PoliteWeb, SiteDidNotAnswer
from tests.device.client.socks import socks_proxy
from tests.respond.watch.site import PauseClock, Site, picture_reply, redirect_reply, reply

pytestmark = pytest.mark.real


def polite_web(proxy: Proxy) -> PoliteWeb:
    pauses = PauseClock()
    web = PublicWeb(proxy, records=True, time_max_s=10.0)
    return PoliteWeb(web, lambda: pauses.now_s, pauses.sleep)


def test_requests_go_through_the_proxy_by_name(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_lookup(host: str, *rest: object, **more: object) -> object:
        assert host == "127.0.0.1", "a name was looked up here"
        return real(host, *rest, **more)  # type: ignore[arg-type]

    real = socket.getaddrinfo
    site.pages |= {"/p": redirect_reply("http://cdn.example/q"), "/q": picture_reply()}
    with ExitStack() as stack:
        proxy = stack.enter_context(socks_proxy(int(site.url.rpartition(":")[2])))
        monkeypatch.setattr(socket, "getaddrinfo", refuse_lookup)
        fetched = polite_web(Proxy("127.0.0.1", proxy.port)).fetch(
            "http://pictures.example/p", 10**6
        )
    assert fetched.answer.status == 200
    assert [one.host for one in proxy.requests] == ["pictures.example"] * 2 + ["cdn.example"] * 2
    assert all(one.by_name for one in proxy.requests)
    assert len({one.credentials for one in proxy.requests}) == 4  # one for each request
    wire = fetched.answer.wire
    assert wire is not None
    assert wire.request.startswith(b"GET /q HTTP/1.1\r\n")  # not the proxy's handshake
    assert wire.response.startswith(b"HTTP/1.1 200 ")
    assert wire.ip == ""


@pytest.mark.parametrize("location", ["http://10.0.0.1/", "http://127.0.0.1/", "http://localhost/"])
def test_redirect_into_the_local_network_is_refused_behind_a_proxy(
    site: Site, location: str
) -> None:
    site.pages["/p"] = redirect_reply(location)
    with socks_proxy(int(site.url.rpartition(":")[2])) as proxy, pytest.raises(NotOnTheWeb):
        polite_web(Proxy("127.0.0.1", proxy.port)).fetch("http://pictures.example/p", 1000)
    assert {one.host for one in proxy.requests} == {"pictures.example"}


def test_no_request_is_sent_if_the_proxy_is_unreachable(site: Site) -> None:
    site.pages["/p"] = reply("a page")
    with pytest.raises(SiteDidNotAnswer, match="proxy"):
        polite_web(Proxy("127.0.0.1", 9)).fetch("http://pictures.example/p", 1000)
    assert site.requests == []
