"""Tests of forms that are refused or interrupted: what was typed stays."""

import re
import subprocess
from pathlib import Path

import httpx
import pytest

from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.inbox import received_messages
from entrenous.send.people.invite import make_invite_link
from tests.app.client import Client, open_client, wait_for_job
from tests.app.served import PASSPHRASE, run_app
from tests.app.states import TypedTexts, create_relay_and_ben, save_photograph
from tests.app.test_poisoned_files import open_case
from tests.real.processes import wait_until
from tests.real.small_disk import mount_small_disk

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_a_refused_form_leads_back_to_what_was_typed(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        refused = ana.post("/20", {"names": "Zelda"})
        assert refused.status_code == 409
        assert 'href="/20"' in refused.text
        assert "Zelda" in ana.get("/20").text


def test_a_pasted_link_is_not_dropped(tmp_path: Path) -> None:
    """A person pastes a link, but chooses the option that needs no link."""
    with run_app(tmp_path / "home") as app, open_client(app) as ana:
        fields = {"name": "Ana", "passphrase": PASSPHRASE, "again": PASSPHRASE}
        refused = ana.post("/0", fields | {"where": "none", "relay": "entrenous:1:abc"})
        assert refused.status_code == 409
        assert "You pasted a link, but chose a messenger." in refused.text
        assert 'value="entrenous:1:abc"' in refused.text
        assert not (app.home / "vault.json").exists()


def test_work_that_fails_leads_back_to_what_was_typed(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        upload = [("file", ("note.txt", b"not a picture", "text/plain"))]
        failed = wait_for_job(ana, ana.post("/20", {"names": "Zelda"}, upload))
        assert failed.status_code == 400
        assert 'href="/20"' in failed.text
        assert "Zelda" in ana.get("/20").text


def test_form_returns_after_unlock_on_the_page_that_had_it(tmp_path: Path) -> None:
    """Some forms are sent to an address that shows no page of its own."""
    with (
        create_relay_and_ben(tmp_path, TypedTexts()) as (_, relay),
        run_app(tmp_path / "ana", ENTRENOUS_PAUSE="0") as app,
        open_client(app) as ana,
    ):
        ana.set_up(relay.url)
        ana.get("/50")
        ana.web.post("/2", follow_redirects=False)  # locks the app, as the automatic lock does
        assert ana.post("/52", {"link": "entrenous:some", "name": "Zelda"}).url.path == "/1"
        unlocked = ana.unlock()
        assert unlocked.url.path == "/50"
        assert "Zelda" in unlocked.text


def test_a_form_with_an_unknown_change_is_refused_as_incomplete(tmp_path: Path) -> None:
    with (
        create_relay_and_ben(tmp_path, TypedTexts()) as (ben, relay),
        run_app(tmp_path / "ana", ENTRENOUS_PAUSE="0") as app,
        open_client(app) as ana,
    ):
        ana.set_up(relay.url)
        page = ana.post("/52", {"link": make_invite_link(ben), "name": "Ben"}).url.path
        refused = ana.post(page, {"do": "rotate"})
        assert refused.status_code == 400
        assert "The form that your browser sent is incomplete." in refused.text
        assert "Ben" in ana.get(page).text


@pytest.mark.threat("page-loses-nothing")
def test_message_is_shown_as_waiting_while_the_relay_is_stopped_and_arrives_later(
    tmp_path: Path,
) -> None:
    texts, quick = TypedTexts(), {"ENTRENOUS_PAUSE": "0", "ENTRENOUS_UNDO": "1"}
    with (
        create_relay_and_ben(tmp_path, texts) as (ben, relay),
        run_app(tmp_path / "ana", **quick, ENTRENOUS_PATIENCE="2") as app,
        open_client(app) as ana,
    ):
        ana.set_up(relay.url)
        ana.post("/52", {"link": make_invite_link(ben), "name": "Ben"})
        assert wait_until(lambda: bool(fetch_messages(ben)) and bool(contacts(ben)), 90)
        flush_outbox(ben)
        relay.stop()
        sealed = _send_text(ana, texts.sent_text)
        assert sealed.url.path.startswith("/13/")
        assert wait_until(lambda: "Waiting to be sent" in ana.get("/40").text, 120)
        relay.start()
        assert wait_until(lambda: _has_arrived(ana, ben), 120)


@pytest.mark.threat("page-loses-nothing")
def test_a_full_disk_loses_nothing_that_was_typed(tmp_path: Path) -> None:
    upload = [("file", ("photo.jpg", save_photograph(tmp_path).read_bytes(), "image/jpeg"))]
    with mount_small_disk(tmp_path / "disk", 12) as disk:
        filler = str(disk.folder / "filler")
        with (
            run_app(disk.folder / "device", disk.command_prefix) as app,
            open_client(app) as ana,
        ):
            ana.set_up()
            fill = 'dd if=/dev/zero of="$1" bs=4k 2>/dev/null; true'
            subprocess.run([*disk.command_prefix, "sh", "-c", fill, "sh", filler], check=True)
            failed = wait_for_job(ana, ana.post("/20", {"names": "Zelda"}, upload))
            assert failed.status_code >= 400
            assert "disk" in failed.text
            assert "Zelda" in ana.get("/20").text
            subprocess.run([*disk.command_prefix, "rm", filler], check=True)
            made = wait_for_job(ana, ana.post("/20", {"names": "Zelda"}, upload))
            assert made.url.path.startswith("/21/")


def _send_text(ana: Client, text: str) -> httpx.Response:
    draft = ana.post("/10", {"text": text, "to": "Ben", "days": "7"})
    return wait_for_job(ana, ana.post(draft.url.path, {"confirm": "Ben"}))


def _has_arrived(ana: Client, ben: Device) -> bool:
    """Open Ana's messages, as a person does now and then; return whether Ben got her message."""
    ana.get("/40")
    fetch_messages(ben)
    return bool(received_messages(ben))


def test_a_note_stays_at_the_lock_and_the_page_says_that_its_files_did_not(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        page = f"/90/{open_case(ana)}"
        upload = [("file", ("shot.png", b"\x89PNG\r\n\x1a\n", "image/png"))]
        ana.web.post("/2", follow_redirects=False)  # locks the app, as the automatic lock does
        assert ana.post(page, {"note": "NOTEZELDA"}, upload).url.path == "/1"
        unlocked = ana.unlock()
        assert unlocked.url.path == page
        assert "NOTEZELDA" in unlocked.text
        assert "The files that you chose were not kept. Choose them again." in unlocked.text


@pytest.mark.parametrize(
    ("number", "field"), [("88", "number"), ("85", "reference"), ("93", "key")]
)
def test_text_typed_into_a_page_of_a_case_stays_at_the_lock(
    tmp_path: Path, number: str, field: str
) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        case = open_case(ana)
        ana.post(f"/89/{case}", {"place": "Germany", "platform": "instagram"})
        ana.post(f"/86/{case}", {"kind": "page", "where": "https://www.instagram.com/p/1"})
        ana.post(f"/90/{case}", {"note": "I saw it on Monday"})
        letter = ana.post(f"/84/{case}", {"route": "eu-dsa-16"}).url.path
        ana.post(letter, {"act": "send"})
        report = re.search(rf"/88/{case}/[^?\"]+", ana.get(f"/83/{case}").text)
        assert report is not None
        page = {"88": report[0], "85": letter, "93": f"/93/{case}"}[number]
        assert ana.get(page).status_code == httpx.codes.OK
        ana.web.post("/2", follow_redirects=False)  # locks the app, as the automatic lock does
        assert ana.post(page, {field: "2026-01-02"}).url.path == "/1"
        assert "2026-01-02" in ana.unlock().text


def test_too_many_files_are_refused_with_the_limit(tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        upload = [("file", (f"{number}.png", b"x", "image/png")) for number in range(65)]
        refused = ana.post("/20", {"names": "Zelda"}, upload)
        assert "You chose more than 64 files" in refused.text
