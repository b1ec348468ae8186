"""HMA contents (entries of a bank): ids, notes, and switching off until a given time."""

import json
from typing import Any

import httpx
import pytest

from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.platform import Platform
from entrenous.stop.register import relist_due_claims
from entrenous.stop.registration import ClaimEvent, ClaimState, Registration
from entrenous.stop.store.open_gate import claim_listing_store
from tests.connectors.hma.conftest import OPERATOR_HEADERS
from tests.connectors.hma.test_hma_contents import (
    FAR_HASH,
    HASH,
    SWITCH_OFF,
    SWITCH_ON,
    add_hash,
    get_raw_matches,
)
from tests.deterministic import SettableClock
from tests.stop.platform_for_tests import jpeg
from tests.stop.store.bank_stores import claim

METADATA_QUERY = {"include_metadata": "true"}
CONTENT_ADDRESS = "/c/bank/TEST/content/1"
METADATA = {
    "content_id": "upload-7",
    "content_uri": "https://platform.example/7",
    "json": {"uploader": "somebody", "n": [1, {}]},
}


def get_content_id(hma: httpx.Client, address: str = CONTENT_ADDRESS) -> Any:
    return hma.get(address, params=METADATA_QUERY).json()["metadata"]["content_id"]


@pytest.mark.parametrize("metadata_place", ["form", "query"])
def test_content_is_added_with_metadata_in_the_form_or_the_query(
    hma: httpx.Client, her_picture: Any, metadata_place: str
) -> None:
    hma.post("/c/banks", json={"name": "TEST"})
    words = {"metadata": json.dumps(METADATA), "note": "a note"}
    given: Any = {"data": words} if metadata_place == "form" else {"params": words}
    made = hma.post("/c/bank/TEST/content", files={"photo": ("x", jpeg(her_picture))}, **given)
    assert made.status_code == 200, made.text
    address = f"/c/bank/TEST/content/{made.json()['id']}"
    shown = hma.get(address, params=METADATA_QUERY).json()
    assert shown["note"] == "a note"
    expected = {"content_id": "upload-7", "content_uri": None, "json": {}, "collab": {}}
    assert shown["metadata"] == expected


def test_only_content_id_of_metadata_is_stored(hma: httpx.Client) -> None:
    hma.post("/c/banks", json={"name": "TEST"})
    for metadata, expected_id in (
        (METADATA, "upload-7"),
        ({"content_id": 8}, "8"),
        ({"content_uri": "https://platform.example/9"}, "8"),
        ({}, "8"),
        (None, "8"),
    ):
        body = {"pdq": HASH, "metadata": metadata}
        assert hma.post("/c/bank/TEST/signal", json=body).json()["id"] == 1
        assert get_content_id(hma) == expected_id
    assert hma.delete(CONTENT_ADDRESS).json() == {"deleted": 1}
    assert get_content_id(hma, f"/c/bank/TEST/content/{add_hash(hma)}") is None


def test_content_id_survives_switching_off_and_on(hma: httpx.Client) -> None:
    hma.post("/c/banks", json={"name": "TEST"})
    hma.post("/c/bank/TEST/signal", json={"pdq": HASH, "metadata": METADATA})
    for change in (SWITCH_OFF, SWITCH_ON):
        hma.put(CONTENT_ADDRESS, json=change)
        assert get_content_id(hma) == "upload-7"


def test_content_is_off_until_a_time(
    hma: httpx.Client, platform: Platform, clock: SettableClock
) -> None:
    hma.post("/c/banks", json={"name": "TEST"})
    hma.post("/c/bank/TEST/signal", json={"pdq": HASH, "note": "n", "metadata": METADATA})
    ((_, confirmed),) = platform.bank.claims_on_pictures({1})
    platform.bank.apply_event(confirmed.id, ClaimEvent.CONFIRM)
    until = int(clock.now().timestamp()) + 3600
    off = hma.put(CONTENT_ADDRESS, json={"disable_until_ts": until}).json()
    assert (off["disable_until_ts"], get_raw_matches(hma)) == (until, [])
    listings = claim_listing_store(platform)
    clock.advance(seconds=3599)
    assert relist_due_claims(platform, listings) == 0
    clock.advance(seconds=1)
    assert [relist_due_claims(platform, listings) for _ in range(2)] == [1, 0]
    shown = hma.get(CONTENT_ADDRESS).json()
    assert (shown["disable_until_ts"], shown["note"], get_raw_matches(hma)) == (1, "n", [1])
    ((_, again),) = platform.bank.claims_on_pictures({1})
    assert again.state is ClaimState.WAITING  # this is a new claim, not the confirmed one
    assert get_content_id(hma) == "upload-7"


def test_switching_a_content_on_or_off_cancels_its_scheduled_relisting(
    hma: httpx.Client, platform: Platform, clock: SettableClock
) -> None:
    add_hash(hma)
    until = {"disable_until_ts": int(clock.now().timestamp()) + 60}
    for change, on in ((SWITCH_ON, 1), (SWITCH_OFF, 0)):
        hma.put(CONTENT_ADDRESS, json=until)
        hma.put(CONTENT_ADDRESS, json=change)
        clock.advance(seconds=120)
        assert relist_due_claims(platform, claim_listing_store(platform)) == 0
        assert hma.get(CONTENT_ADDRESS).json()["disable_until_ts"] == on
        hma.put(CONTENT_ADDRESS, json=SWITCH_ON)
        until = {"disable_until_ts": int(clock.now().timestamp()) + 60}


def test_crash_before_switching_off_leaves_the_content_on(
    hma: httpx.Client, platform: Platform, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_hash(hma)

    def crash(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(type(platform.bank), "apply_event", crash)
        until = {"disable_until_ts": int(clock.now().timestamp()) + 60}
        with pytest.raises(ZeroDivisionError):
            hma.put(CONTENT_ADDRESS, json=until)
    assert (hma.get(CONTENT_ADDRESS).json()["disable_until_ts"], get_raw_matches(hma)) == (1, [1])
    clock.advance(seconds=60)
    listings = claim_listing_store(platform)
    assert relist_due_claims(platform, listings) == 0
    assert listings.claims_to_relist(clock.now()) == ()


def test_changed_note_is_shown_to_reviewers(
    web: httpx.Client, hma: httpx.Client, her_picture: Any
) -> None:
    hma.post("/c/banks", json={"name": "TEST"})
    hma.post(
        "/c/bank/TEST/content", files={"photo": ("x", jpeg(her_picture))}, data={"note": "first"}
    )
    assert (
        hma.put(CONTENT_ADDRESS, json={"note": "new", "disable_until_ts": 1}).json()["note"]
        == "new"
    )
    held = web.post(
        "/v1/uploads", files={"file": ("x", jpeg(her_picture))}, headers=OPERATOR_HEADERS
    ).json()
    review = web.get(f"/v1/reviews/{held['case']}", headers=OPERATOR_HEADERS)
    assert review.json()["matches"][0]["reason"] == "new"


def test_claim_of_a_person_gets_no_note(hma: httpx.Client, platform: Platform) -> None:
    platform.bank.register(Registration(claim("hers"), (bytes.fromhex(FAR_HASH),)))
    assert claim("hers").bank == PEOPLE_BANK
    assert hma.put("/c/bank/PEOPLE/content/1", json={"note": "x"}).status_code == 403
    assert platform.bank.claim(claim("hers").id).reason == "mine"
