"""HMA's banks and contents: numbers, look-ups, switching on and off, and people's claims."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.connectors.exchange.exchange_client import ExchangeHttp
from entrenous.connectors.exchange.fetchers import HmaFetcher
from entrenous.connectors.hma_contents import get_content
from entrenous.connectors.hma_requests import NoSuchContent, get_bank_by_hma_name
from entrenous.stop.banks import create_built_in_banks, import_hashes
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.http.access import GateAccess
from entrenous.stop.nouns import PEOPLE_BANK, RELEASED_BANK, Bank
from entrenous.stop.platform import Platform
from entrenous.stop.protect import withdraw_protection
from entrenous.stop.register import relist_due_claims
from entrenous.stop.registration import ClaimEvent, ClaimState, Registration
from entrenous.stop.store.open_gate import claim_listing_store
from entrenous.stop.upload_record import Outcome
from tests.connectors.hma.conftest import OPERATOR_HEADERS, open_hma_client, open_platform_at
from tests.deterministic import SettableClock
from tests.stop.platform_for_tests import jpeg, new_device, picture, protect_picture

pytestmark = pytest.mark.slow

HASH, FAR_HASH = "5" * 64, "a" * 64
PDQ_QUERY = {"signal": HASH, "signal_type": "pdq"}
SWITCH_OFF, SWITCH_ON = {"disable_until_ts": 0}, {"disable_until_ts": 1}


def get_raw_matches(hma: httpx.Client, signal: str = HASH) -> list[int]:
    return list(hma.get("/m/raw_lookup", params=PDQ_QUERY | {"signal": signal}).json()["matches"])


def get_matches(hma: httpx.Client, signal: str = HASH) -> dict[str, Any]:
    return dict(hma.get("/m/lookup", params=PDQ_QUERY | {"signal": signal}).json())


def add_hash(hma: httpx.Client, bank: str = "TEST", signal: str = HASH) -> int:
    hma.post("/c/banks", json={"name": bank})
    return int(hma.post(f"/c/bank/{bank}/signal", json={"pdq": signal}).json()["id"])


@pytest.mark.parametrize("bank_count", [1, 2, 4, 8, 16])
def test_small_banks_match_also_after_a_restart(
    tmp_path: Path, clock: SettableClock, access: GateAccess, bank_count: int
) -> None:
    """HMA itself can miss the only hash of an index (facebook/ThreatExchange, issue 1318)."""
    ids = []
    for first in (True, False):
        with open_platform_at(tmp_path / "gate.sqlite", clock) as platform:
            create_built_in_banks(platform.bank)
            with open_hma_client(platform, access) as hma:
                hma.headers.update(OPERATOR_HEADERS)
                if first:
                    ids = [add_hash(hma, f"BANK_{number}") for number in range(bank_count)]
                assert set(get_raw_matches(hma)) == set(ids)
                assert len(get_matches(hma)) == bank_count
    assert set(ids) == {1}


def test_switching_a_content_off_and_on_keeps_its_number(
    hma: httpx.Client, platform: Platform
) -> None:
    number, address = add_hash(hma), "/c/bank/TEST/content/1"
    assert hma.put(address, json=SWITCH_OFF).json()["disable_until_ts"] == 0
    assert get_raw_matches(hma) == []
    assert hma.get(address).json()["disable_until_ts"] == 0
    assert hma.put(address, json=SWITCH_OFF).status_code == 200
    assert hma.put(address, json=SWITCH_ON).json()["disable_until_ts"] == 1
    assert get_raw_matches(hma) == [number]
    ((_, claim),) = platform.bank.claims_on_pictures({number})
    assert claim.state is ClaimState.WAITING


def test_content_is_deleted_whether_on_or_off(hma: httpx.Client, platform: Platform) -> None:
    first, second = add_hash(hma), add_hash(hma, signal=FAR_HASH)
    hma.put(f"/c/bank/TEST/content/{second}", json=SWITCH_OFF)
    for number in (first, second):
        address = f"/c/bank/TEST/content/{number}"
        assert hma.delete(address).json() == {"deleted": 1}
        assert hma.delete(address).json() == {"deleted": 0}
        assert hma.get(address).status_code == 404
    assert get_raw_matches(hma) == get_raw_matches(hma, FAR_HASH) == []
    assert platform.bank.count_claims_and_hashes().hashes == 0
    assert add_hash(hma) > second  # the numbers of deleted contents are not reused


def test_one_hash_in_two_banks_is_deleted_from_one(hma: httpx.Client) -> None:
    assert add_hash(hma, "ONE") == add_hash(hma, "TWO") == add_hash(hma, "TWO")
    hma.delete("/c/bank/ONE/content/1")
    assert get_matches(hma) == {"TWO": [{"bank_content_id": 1, "distance": "0"}]}
    assert hma.get("/c/bank/ONE/content/1").status_code == 404


def test_claim_of_a_person_is_found_but_cannot_be_changed(
    hma: httpx.Client, device_gate: RegistrationClient, platform: Platform, her_picture: Any
) -> None:
    protection = protect_picture(
        picture(her_picture), adult=True, parts=True, gate=device_gate, device=new_device()
    )
    (found,) = hma.post("/m/lookup", files={"photo": ("x", jpeg(her_picture))}).json()["pdq"][
        "PEOPLE"
    ]
    address = f"/c/bank/PEOPLE/content/{found['bank_content_id']}"
    assert hma.get(address).json()["note"] is None
    for answer in (hma.put(address, json=SWITCH_OFF), hma.delete(address)):
        assert answer.status_code == 403
    withdraw_protection(protection, device_gate, new_device())
    assert hma.post("/m/lookup", files={"photo": ("x", jpeg(her_picture))}).json() == {"pdq": {}}
    assert hma.get(address).status_code == 404
    assert platform.bank.claim(protection.claim).state is ClaimState.WITHDRAWN


def test_lookup_leaves_out_a_released_picture(hma: httpx.Client, platform: Platform) -> None:
    number = add_hash(hma)
    ((_, claim),) = platform.bank.claims_on_pictures({number})
    platform.bank.apply_event(claim.id, ClaimEvent.CONFIRM)
    released_claim = replace(claim, id=ClaimId("r"), bank=RELEASED_BANK, state=ClaimState.CONFIRMED)
    platform.bank.register(Registration(released_claim, (bytes.fromhex(HASH),)))
    assert (get_matches(hma), get_raw_matches(hma)) == ({}, [number])
    platform.bank.apply_event(claim.id, ClaimEvent.SUSPEND)
    platform.bank.apply_event(claim.id, ClaimEvent.CONFIRM)
    assert list(get_matches(hma)) == ["TEST"]


def test_deleted_content_that_was_posted_again_while_off_never_returns(
    hma: httpx.Client, platform: Platform, clock: SettableClock
) -> None:
    number = add_hash(hma)
    in_an_hour = int((clock.now() + timedelta(hours=1)).timestamp())
    hma.put(f"/c/bank/TEST/content/{number}", json={"disable_until_ts": in_an_hour})
    assert add_hash(hma) == number
    assert hma.delete(f"/c/bank/TEST/content/{number}").json() == {"deleted": 1}
    assert hma.get(f"/c/bank/TEST/content/{number}").status_code == 404
    clock.advance(hours=2)
    assert relist_due_claims(platform, claim_listing_store(platform)) == 0
    assert get_matches(hma) == {}


def test_answer_to_a_missing_number_names_the_next_number(hma: httpx.Client) -> None:
    first, second = add_hash(hma), add_hash(hma, "OTHER", FAR_HASH)
    other = "/c/bank/OTHER/content"
    hma.put(f"{other}/{second}", json=SWITCH_OFF)  # a switched-off content keeps its number
    answer = hma.get(f"{other}/{first}")
    assert (answer.status_code, answer.json()["next"]) == (404, second)
    assert hma.get(f"{other}/{second}").json()["disable_until_ts"] == 0
    assert hma.get(f"{other}/{second + 1}").json()["next"] is None
    hma.delete(f"{other}/{second}")
    assert hma.get(f"{other}/{first}").json()["next"] is None


def test_fetch_of_a_bank_skips_the_numbers_of_another_bank(
    platform: Platform, hma: httpx.Client
) -> None:
    """A fetch ends after 1,000 missing numbers; those of another bank do not count as missing."""
    many = "\n".join(number.to_bytes(32).hex() for number in range(1, 1_202))
    import_hashes(many, BankName("first"), platform, looks_back=False)
    add_hash(hma, "SECOND", FAR_HASH)
    web = ExchangeHttp("near", f"{hma.base_url}".rstrip("/"), hma)
    pages = list(HmaFetcher(web, "SECOND", platform.clock).pages(""))
    assert [one.hashes for page in pages for one in page.records] == [(bytes.fromhex(FAR_HASH),)]


def test_hashes_of_parts_of_pictures_are_not_contents(
    device_gate: RegistrationClient, platform: Platform, her_picture: Any
) -> None:
    protect_picture(
        picture(her_picture), adult=True, parts=True, gate=device_gate, device=new_device()
    )
    entries = platform.bank.entries(0)
    (whole,) = [entry for entry in entries if not entry.part]
    people = get_bank_by_hma_name("PEOPLE", platform)
    assert get_content(whole.number, people, platform).bits == whole.bits
    for part_entry in [entry for entry in entries if entry.part][:3]:
        with pytest.raises(NoSuchContent):
            get_content(part_entry.number, people, platform)


def test_suspended_claim_of_a_person_is_shown_as_off(hma: httpx.Client, platform: Platform) -> None:
    import_hashes(HASH, PEOPLE_BANK, platform)
    ((_, claim),) = platform.bank.claims_on_pictures({1})
    platform.bank.apply_event(claim.id, ClaimEvent.SUSPEND)
    assert hma.get("/c/bank/PEOPLE/content/1").json()["disable_until_ts"] == 0


def test_shadow_bank_is_found_by_raw_lookup_only(hma: httpx.Client, platform: Platform) -> None:
    number = add_hash(hma)
    hma.put("/c/bank/TEST", json={"enabled": False})
    assert (get_matches(hma), get_raw_matches(hma)) == ({}, [number])
    assert platform.bank.bank(BankName("test")).shadow
    hma.put("/c/bank/TEST", json={"enabled": "true"})
    assert list(get_matches(hma)) == ["TEST"]


def test_bank_that_lets_uploads_through_is_found_by_raw_lookup_only(
    hma: httpx.Client, platform: Platform
) -> None:
    number = add_hash(hma)
    platform.bank.set_bank(Bank(BankName("test"), on_claimed=Outcome.LET_THROUGH))
    assert (get_matches(hma), get_raw_matches(hma)) == ({}, [number])
    ((_, claim),) = platform.bank.claims_on_pictures({number})
    platform.bank.apply_event(claim.id, ClaimEvent.CONFIRM)
    assert list(get_matches(hma)) == ["TEST"]


def test_each_bank_has_its_radius(hma: httpx.Client, platform: Platform) -> None:
    add_hash(hma)
    near = "6" * 4 + HASH[4:]  # 8 bits away
    assert get_raw_matches(hma, near) == [1]
    platform.bank.set_bank(Bank(BankName("test"), radius=7))
    assert get_raw_matches(hma, near) == []
    assert get_raw_matches(hma) == [1]


def test_two_banks_with_one_hma_name_are_refused(hma: httpx.Client, platform: Platform) -> None:
    for name in ("from-ally", "from.ally"):
        import_hashes(HASH, BankName(name), platform)
    assert get_matches(hma) == {"FROM_ALLY": [{"bank_content_id": 1, "distance": "0"}]}
    assert hma.get("/c/bank/FROM_ALLY").status_code == 409
    assert hma.post("/c/bank/FROM_ALLY/signal", json={"pdq": FAR_HASH}).status_code == 409
    assert get_raw_matches(hma, FAR_HASH) == []


def test_released_bank_is_hidden(
    web: httpx.Client, hma: httpx.Client, clock: SettableClock, her_picture: Any
) -> None:
    hma.post("/c/banks", json={"name": "TEST"})
    hma.post("/c/bank/TEST/content", files={"photo": ("x", jpeg(her_picture, 90))})
    file = {"photo": ("x", jpeg(her_picture))}
    assert list(hma.post("/m/lookup", files=file).json()["pdq"]) == ["TEST"]
    held = web.post(
        "/v1/uploads", files={"file": ("x", jpeg(her_picture))}, headers=OPERATOR_HEADERS
    ).json()
    assert held["decision"] == "hold"
    clock.advance(minutes=1)
    done = web.post(
        f"/v1/reviews/{held['case']}", json={"decision": "release"}, headers=OPERATOR_HEADERS
    )
    assert done.status_code == 200
    assert hma.post("/m/lookup", files=file).json() == {"pdq": {}}
    assert (
        web.post(
            "/v1/uploads", files={"file": ("x", jpeg(her_picture))}, headers=OPERATOR_HEADERS
        ).json()["decision"]
        == "let through"
    )
    signal = hma.post("/h/hash", files=file).json()["pdq"]
    assert get_raw_matches(hma, signal) == [1]
    assert [bank["name"] for bank in hma.get("/c/banks").json()] == ["PEOPLE", "TEST"]


def test_adding_a_hash_triggers_a_look_back(
    web: httpx.Client, hma: httpx.Client, her_picture: Any
) -> None:
    upload = web.post(
        "/v1/uploads", files={"file": ("x", jpeg(her_picture))}, headers=OPERATOR_HEADERS
    )
    assert upload.json()["decision"] == "let through"
    hma.post("/c/banks", json={"name": "TEST"})
    assert hma.post("/c/bank/TEST/content", files={"photo": ("x", jpeg(her_picture))}).json()["id"]
    assert web.get("/v1/reviews", headers=OPERATOR_HEADERS).json()["waiting"] == 1


def test_gate_holds_uploads_that_match_an_added_hash(
    web: httpx.Client, hma: httpx.Client, her_picture: Any
) -> None:
    hma.post("/c/banks", json={"name": "TEST"})
    hma.post(
        "/c/bank/TEST/content", files={"photo": ("x", jpeg(her_picture))}, data={"note": "from HMA"}
    )
    assert hma.get("/c/bank/TEST/content/1").json()["note"] == "from HMA"
    held = web.post(
        "/v1/uploads", files={"file": ("x", jpeg(her_picture))}, headers=OPERATOR_HEADERS
    ).json()
    assert (held["decision"], held["matches"][0]["bank"]) == ("hold", "test")
