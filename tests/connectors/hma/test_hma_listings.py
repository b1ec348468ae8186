"""The platform's own ids and notes for contents, and contents that are off until a time."""

import json
from typing import Any

import httpx
import pytest

from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.platform import Platform
from entrenous.stop.register import relist_due_claims
from entrenous.stop.registration import ClaimEvent, ClaimState, Registration
from entrenous.stop.store.open_gate import claim_listing_store
from tests.connectors.hma.conftest import OPERATOR
from tests.connectors.hma.test_hma_contents import FAR, HEX, OFF, ON, add_signal, raw_matches
from tests.deterministic import SettableClock
from tests.stop.platform_for_tests import jpeg
from tests.stop.store.bank_stores import claim

WITH_METADATA = {"include_metadata": "true"}
ADDRESS = "/c/bank/TEST/content/1"
METADATA = {
    "content_id": "upload-7",
    "content_uri": "https://platform.example/7",
    "json": {"uploader": "somebody", "n": [1, {}]},
}


def content_id(hma: httpx.Client, address: str = ADDRESS) -> Any:
    return hma.get(address, params=WITH_METADATA).json()["metadata"]["content_id"]


@pytest.mark.parametrize("where", ["form", "query"])
def test_hma_client_posts_its_first_content(
    hma: httpx.Client, her_picture: Any, where: str
) -> None:
    hma.post("/c/banks", json={"name": "TEST"})
    words = {"metadata": json.dumps(METADATA), "note": "a note"}
    given: Any = {"data": words} if where == "form" else {"params": words}
    made = hma.post("/c/bank/TEST/content", files={"photo": ("x", jpeg(her_picture))}, **given)
    assert made.status_code == 200, made.text
    address = f"/c/bank/TEST/content/{made.json()['id']}"
    shown = hma.get(address, params=WITH_METADATA).json()
    assert shown["note"] == "a note"
    expected = {"content_id": "upload-7", "content_uri": None, "json": {}, "collab": {}}
    assert shown["metadata"] == expected


def test_only_content_id_of_metadata_is_stored(hma: httpx.Client) -> None:
    hma.post("/c/banks", json={"name": "TEST"})
    for metadata, name in (
        (METADATA, "upload-7"),
        ({"content_id": 8}, "8"),
        ({"content_uri": "https://platform.example/9"}, "8"),
        ({}, "8"),
        (None, "8"),
    ):
        body = {"pdq": HEX, "metadata": metadata}
        assert hma.post("/c/bank/TEST/signal", json=body).json()["id"] == 1
        assert content_id(hma) == name
    assert hma.delete(ADDRESS).json() == {"deleted": 1}
    assert content_id(hma, f"/c/bank/TEST/content/{add_signal(hma)}") is None


def test_content_id_survives_switching_off_and_on(hma: httpx.Client) -> None:
    hma.post("/c/banks", json={"name": "TEST"})
    hma.post("/c/bank/TEST/signal", json={"pdq": HEX, "metadata": METADATA})
    for change in (OFF, ON):
        hma.put(ADDRESS, json=change)
        assert content_id(hma) == "upload-7"


def test_content_is_off_until_a_time(
    hma: httpx.Client, platform: Platform, clock: SettableClock
) -> None:
    hma.post("/c/banks", json={"name": "TEST"})
    hma.post("/c/bank/TEST/signal", json={"pdq": HEX, "note": "n", "metadata": METADATA})
    ((_, confirmed),) = platform.bank.claims_on_pictures({1})
    platform.bank.apply_event(confirmed.id, ClaimEvent.CONFIRM)
    until = int(clock.now().timestamp()) + 3600
    off = hma.put(ADDRESS, json={"disable_until_ts": until}).json()
    assert (off["disable_until_ts"], raw_matches(hma)) == (until, [])
    listings = claim_listing_store(platform)
    clock.advance(seconds=3599)
    assert relist_due_claims(platform, listings) == 0
    clock.advance(seconds=1)
    assert [relist_due_claims(platform, listings) for _ in range(2)] == [1, 0]
    shown = hma.get(ADDRESS).json()
    assert (shown["disable_until_ts"], shown["note"], raw_matches(hma)) == (1, "n", [1])
    ((_, again),) = platform.bank.claims_on_pictures({1})
    assert again.state is ClaimState.WAITING  # nobody has looked at it since
    assert content_id(hma) == "upload-7"


def test_switching_by_hand_clears_the_time(
    hma: httpx.Client, platform: Platform, clock: SettableClock
) -> None:
    add_signal(hma)
    until = {"disable_until_ts": int(clock.now().timestamp()) + 60}
    for by_hand, on in ((ON, 1), (OFF, 0)):
        hma.put(ADDRESS, json=until)
        hma.put(ADDRESS, json=by_hand)
        clock.advance(seconds=120)
        assert relist_due_claims(platform, claim_listing_store(platform)) == 0
        assert hma.get(ADDRESS).json()["disable_until_ts"] == on
        hma.put(ADDRESS, json=ON)
        until = {"disable_until_ts": int(clock.now().timestamp()) + 60}


def test_crash_before_switching_off_leaves_it_on(
    hma: httpx.Client, platform: Platform, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_signal(hma)

    def crash(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(type(platform.bank), "apply_event", crash)
        until = {"disable_until_ts": int(clock.now().timestamp()) + 60}
        with pytest.raises(ZeroDivisionError):
            hma.put(ADDRESS, json=until)
    assert (hma.get(ADDRESS).json()["disable_until_ts"], raw_matches(hma)) == (1, [1])
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
    assert hma.put(ADDRESS, json={"note": "new", "disable_until_ts": 1}).json()["note"] == "new"
    held = web.post(
        "/v1/uploads", files={"file": ("x", jpeg(her_picture))}, headers=OPERATOR
    ).json()
    review = web.get(f"/v1/reviews/{held['case']}", headers=OPERATOR)
    assert review.json()["matches"][0]["reason"] == "new"


def test_person_s_claim_cannot_be_annotated(hma: httpx.Client, platform: Platform) -> None:
    platform.bank.register(Registration(claim("hers"), (bytes.fromhex(FAR),)))
    assert claim("hers").bank == PEOPLE_BANK
    assert hma.put("/c/bank/PEOPLE/content/1", json={"note": "x"}).status_code == 403
    assert platform.bank.claim(claim("hers").id).reason == "mine"
