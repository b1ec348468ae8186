"""Only fingerprints leave the device, and only pictures that can be told apart are registered."""

import hashlib
import json
from typing import Any

import numpy as np
import pytest

from entrenous.craft.fingerprint.picture import fingerprint
from entrenous.model.bank import ClaimState, TooYoung
from entrenous.model.fingerprint import TooFlat
from tests.stop.room import Room, picture


def test_what_leaves_is_fingerprints_and_the_hash_of_a_token(room: Room, hers: Any) -> None:
    protection = room.protect(hers)
    (sent,) = room.gate.sent
    request = json.loads(sent)
    assert set(request) == {
        "schema", "kind", "hex", "quality", "holder", "parts", "reason", "jurisdiction",
    }  # fmt: skip
    assert request["hex"] == fingerprint(picture(hers)).hex
    assert 400 <= len(request["parts"]) <= 534
    assert request["holder"] == hashlib.sha256(protection.token.reveal()).hexdigest()
    assert protection.token.reveal().hex() not in sent.decode()
    assert protection.state is ClaimState.WAITING


def test_without_consent_no_window_is_sent(room: Room, hers: Any) -> None:
    room.protect(hers, parts=False)
    assert json.loads(room.gate.sent[0])["parts"] == []


def test_the_gate_keeps_nothing_about_her(room: Room, hers: Any) -> None:
    claim = room.platform.bank.claim(room.protect(hers).claim)
    assert (claim.reason, claim.jurisdiction, claim.disputes) == ("", "", 0)


def test_under_eighteen_is_another_door(room: Room, hers: Any) -> None:
    with pytest.raises(TooYoung, match=r"takeitdown\.ncmec\.org"):
        room.protect(hers, adult=False)
    assert room.gate.sent == []


def test_a_flat_picture_is_refused_before_anything_is_sent(room: Room) -> None:
    fog = np.full((300, 400, 3), 120, dtype=np.uint8)
    with pytest.raises(TooFlat, match="quality 0 of 100"):
        room.protect(fog)
    assert room.gate.sent == []
