"""Our fetcher and the public client ``tx`` get the same hashes from a model of ThreatExchange, and
our fetcher reports a rejected token.

Meta's own server is not available, and the client's package contains no server. The server in this
file is modelled on the code of the client (``threat_updates.py`` in ``fb_threatexchange``). It
returns the requested fields, and puts the token into the address of the next page. A deleted update
lacks descriptors, and may or may not have ``should_delete`` set (ThreatExchange's issue 834).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from entrenous.stop.store.open_gate import open_platform
from tests.real.exchange_server import run_connect_proxy, serve_app
from tests.real.test_exchange_fetched import run_exchange_command, stored_hashes
from tests.real.test_exchange_tx import run_tx
from tests.serving.certificates import write_authority_and_certificate
from tests.stop.exchange.exchange_for_tests import fake_hash

pytest.importorskip("threatexchange", reason="PyPI's threatexchange is not installed")
pytestmark = pytest.mark.real

META_HOST, PRIVACY_GROUP, HASH_COUNT = "graph.facebook.com", 424242424242, 1200
ACCESS_TOKEN = "123456789012|" + "s" * 27
ALL_HASHES = {fake_hash(number) for number in range(HASH_COUNT)}


@dataclass
class GraphApiServer:
    """A server that returns the updates of one privacy group."""

    updates: dict[int, dict[str, Any]] = field(default_factory=dict)
    queries: list[dict[str, str]] = field(default_factory=list)

    def put(
        self, number: int, indicator: str, indicator_type: str = "HASH_PDQ", status: str = ""
    ) -> None:
        one = {"id": "77", "owner": {"id": "123456789"}, "status": status or "MALICIOUS"}
        self.updates[number] = {
            "id": str(number),
            "indicator": indicator,
            "type": indicator_type,
            "last_updated": int(time.time()),
            "should_delete": False,
            "descriptors": {"data": [one | {"tags": {"data": [{"text": "a_tag"}]}}]},
        }

    def delete(self, number: int, *, is_flagged: bool) -> None:
        update = self.updates[number]
        update |= {"should_delete": is_flagged, "last_updated": int(time.time())}
        del update["descriptors"]

    @property
    def app(self) -> Starlette:
        route = Route(f"/v26.0/{PRIVACY_GROUP}/threat_updates/", self.threat_updates)
        return Starlette(routes=[route])

    async def threat_updates(self, request: Request) -> Response:
        query = dict(request.query_params)
        self.queries.append(query)
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if ACCESS_TOKEN not in (query.get("access_token"), bearer):
            return JSONResponse({"error": {"type": "OAuthException", "code": 190}}, 400)
        types = query["types"].split(",") if "types" in query else None
        found = [
            one
            for one in sorted(self.updates.values(), key=lambda one: one["last_updated"])
            if one["last_updated"] >= int(query.get("start_time", 0))
            if types is None or one["type"] in types
        ]
        begin, limit = int(query.get("after", 0)), int(query.get("limit", 25))
        answer: dict[str, Any] = {
            "data": [
                _requested_fields(one, query["fields"]) for one in found[begin : begin + limit]
            ]
        }
        if begin + limit < len(found):
            next_query = query | {"after": str(begin + limit), "access_token": ACCESS_TOKEN}
            next_url = request.url.replace(query=urlencode(next_query))
            answer["paging"] = {"next": str(next_url)}
        return JSONResponse(answer)


def _requested_fields(update: dict[str, Any], fields: str) -> dict[str, Any]:
    """Return the id and the requested fields of an update."""
    outer, depth = "", 0
    for char in fields:
        depth += (char == "{") - (char == "}")
        outer += char if depth == 0 and char != "}" else ""
    return {name: update[name] for name in {"id", *outer.split(",")} if name in update}


@contextmanager
def serve_to_tx(graph: GraphApiServer, folder: Path) -> Iterator[dict[str, str]]:
    """Serve the updates; yield the environment in which ``tx`` fetches them from this server."""
    ca, pair = write_authority_and_certificate(folder, META_HOST)
    with serve_app(graph.app, pair) as port, run_connect_proxy(port) as proxy:
        yield {"TX_ACCESS_TOKEN": ACCESS_TOKEN, "HTTPS_PROXY": proxy, "REQUESTS_CA_BUNDLE": str(ca)}


@contextmanager
def serve_to_our_fetcher(
    graph: GraphApiServer, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setenv("ENTRENOUS_EXCHANGE_META", ACCESS_TOKEN)
    with open_platform(data_folder):
        pass  # creates the gate
    with serve_app(graph.app) as port:
        where = ("--from", f"http://127.0.0.1:{port}/v26.0", "--part", str(PRIVACY_GROUP))
        run_exchange_command(
            data_folder, "add", "meta", "--kind", "threatexchange", *where, "--bank", "got"
        )
        yield


def test_tx_and_our_fetcher_get_and_delete_the_same_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_vectors: Any
) -> None:
    home, data_folder, graph = tmp_path / "home", tmp_path / "ours", GraphApiServer()
    home.mkdir()
    for number in range(HASH_COUNT):
        graph.put(number, fake_hash(number).hex())
    graph.put(HASH_COUNT, "0" * 32, "HASH_MD5")
    with (
        serve_to_tx(graph, tmp_path) as environment,
        serve_to_our_fetcher(graph, data_folder, monkeypatch),
    ):
        edit = ("config", "collab", "edit", "fb_threatexchange", "-C", "TE")
        run_tx(home, environment, *edit, "--privacy-group", str(PRIVACY_GROUP))
        run_tx(home, environment, "fetch")
        run_exchange_command(data_folder, "fetch")
        assert f"pdq: {HASH_COUNT}" in run_tx(home, environment, "dataset")
        assert stored_hashes(data_folder, "got") == ALL_HASHES
        first_requests = [query for query in graph.queries if "after" not in query]
        assert [query.get("types") for query in first_requests] == [None, "HASH_PDQ"]

        printed = run_tx(home, environment, "match", "-H", "photo", "--", fake_hash(7).hex())
        assert printed.startswith("pdq 0 (TE) POSITIVE_CLASS")
        for number in range(10):
            graph.delete(number, is_flagged=number % 2 == 0)
        graph.put(HASH_COUNT + 1, fake_hash(HASH_COUNT + 1).hex())
        run_tx(home, environment, "fetch")
        run_exchange_command(data_folder, "fetch")
        assert f"pdq: {HASH_COUNT - 10 + 1}" in run_tx(home, environment, "dataset")
        remaining = ALL_HASHES - {fake_hash(number) for number in range(10)} | {
            fake_hash(HASH_COUNT + 1)
        }
        assert stored_hashes(data_folder, "got") == remaining
        assert run_tx(home, environment, "match", "-H", "photo", "--", fake_hash(7).hex()) == ""
    record_vectors("threatexchange at ThreatExchange", HASH_COUNT)


def test_rejected_token_is_reported_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, data_folder = GraphApiServer(), tmp_path / "ours"
    graph.put(1, fake_hash(1).hex())
    with serve_to_our_fetcher(graph, data_folder, monkeypatch):
        monkeypatch.setenv("ENTRENOUS_EXCHANGE_META", "123456789012|wrong")
        with pytest.raises(AssertionError, match="SourceRefused"):
            run_exchange_command(data_folder, "fetch")
    assert stored_hashes(data_folder, "got") == set()
