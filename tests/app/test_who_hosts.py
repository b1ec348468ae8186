"""Tests of looking up who hosts a page: with a case, without one, and without registries."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.app.client import open_client, wait_for_job
from tests.app.presentations import assert_accessible
from tests.app.served import open_page, run_app
from tests.app.walker import (
    MODE_PARAMETERS,
    Mode,
    Walker,
    open_case_at_once,
    set_up_at_once,
)
from tests.respond.rdap_server import DOMAIN_ANSWER, NETWORK_ANSWER, RdapServer, run_rdap_server

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def rdap_server() -> Iterator[RdapServer]:
    with run_rdap_server() as server:
        server.set_server_lists()
        server.set_answer("/rdap/domain/pictures.example", DOMAIN_ANSWER)
        server.set_answer("/rdap/ip/8.8.8.8", NETWORK_ANSWER)
        yield server


@MODE_PARAMETERS
def test_letter_to_an_unknown_site_leads_to_the_lookup_of_its_host(
    browser: Browser, tmp_path: Path, rdap_server: RdapServer, mode: Mode
) -> None:
    with (
        run_app(tmp_path / "device", ENTRENOUS_CASE_PLATFORM_LISTS=rdap_server.url) as app,
        open_page(browser, app.link, script=mode != "no-script") as page,
    ):
        set_up_at_once(page)
        open_case_at_once(page, "https://pictures.example/p/1?name=ana")
        ana = Walker(page, mode)
        ana.press("Write under the law")
        ana.press("Look up who hosts the page", "link")
        assert page.get_by_text("127.0.0.1, which has the lists of servers").is_visible()
        assert page.get_by_text("pictures.example, and your network address").is_visible()
        assert rdap_server.requested_paths == []
        ana.unfold("You know the site's network address")
        ana.fill("Network address, in numbers", "8.8.8.8")
        assert_accessible(page)
        ana.begin("Ask them now")
        ana.wait_for_page("Who hosts it")
        assert page.get_by_text("abuse@host.example").is_visible()
        assert "/rdap/domain/pictures.example" in rdap_server.requested_paths
        assert not any("name=ana" in path or "/p/1" in path for path in rdap_server.requested_paths)
        ana.press("Note it in the case")
        assert page.get_by_text("1. a statement").is_visible()


def test_lookup_without_a_case_needs_no_vault_asks_nobody_and_is_forgotten_on_leaving(
    tmp_path: Path, rdap_server: RdapServer
) -> None:
    with (
        run_app(tmp_path / "device", ENTRENOUS_CASE_PLATFORM_LISTS=rdap_server.url) as app,
        open_client(app) as ana,
    ):
        refused = ana.post("/75", {"where": "no address"})
        assert refused.status_code == 409
        assert "no address" in refused.text
        for typed in ("pictures.example/a?b=https://x.example/", "https:/pictures.example/p/1"):
            assert ana.post("/75", {"where": typed}).status_code == 200
            assert 'value="pictures.example"' in ana.get("/75").text
            ana.post("/3")  # the button Leave quickly
        assert "pictures.example" in ana.post("/75", {"where": "pictures.example/p/1"}).text
        whois = "Registrar Abuse Contact Email: abuse@registrar.example"
        found = wait_for_job(ana, ana.post("/75", {"act": "read", "pasted": whois}))
        assert "abuse@registrar.example" in found.text
        assert rdap_server.requested_paths == []
        for address in ("somewhere", "192.168.1.1"):
            wrong = ana.post("/75", {"act": "ask", "address": address})
            assert wrong.status_code == 409
            assert "This is not the IP address of a public site." in wrong.text
        ana.post("/3")  # the button Leave quickly
        assert ana.get(found.url.path).status_code == 404
        assert "pictures.example" not in ana.get("/75").text


def test_unreachable_list_of_registries_leads_back_to_the_typed_text(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9/"
    with (
        run_app(tmp_path / "device", ENTRENOUS_CASE_PLATFORM_LISTS=nowhere) as app,
        open_client(app) as ana,
    ):
        ana.post("/75", {"where": "pictures.example"})
        failed = wait_for_job(ana, ana.post("/75", {"act": "ask", "address": "8.8.8.8"}))
        assert failed.status_code == 502
        assert "entrenous case" not in failed.text
        assert "8.8.8.8" in ana.get("/75").text


def test_report_at_one_site_names_no_page_of_another_site(browser: Browser, tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_page(browser, app.link) as page:
        set_up_at_once(page)
        open_case_at_once(page, "https://a-site.example/1")
        ana = Walker(page)
        case = page.url
        ana.press("Add a place", "link")
        ana.fill("The address, or the chat", "https://b-site.example/2")
        ana.press_exactly("Keep it")
        for name, other in (("a-site.example", "b-site.example"), ("b-site.example", "a-site")):
            page.goto(case)
            ana.press(f"Use the report form of {name}", "link")
            assert page.get_by_label("Exact links").input_value().startswith(f"https://{name}/")
            assert other not in page.content()
        page.goto(case)
        ana.press("Who hosts page 1?", "link")
        ana.press("What to write to a web host", "link")
        assert page.get_by_label("Exact links").input_value() == "https://a-site.example/1"
