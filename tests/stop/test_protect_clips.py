"""Registering videos and sounds: the requests, the records and withdrawals."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from entrenous.device.vault_tables import pack, unpack
from entrenous.fingerprint.nouns import (
    ClipPrint,
    FramePrint,
    MediaFingerprint,
    PicturePrint,
    SoundPrint,
    VideoPrint,
)
from entrenous.stop.protect import all_protections, register_fingerprints, withdraw_protection
from entrenous.stop.registration import ClaimState, Protection, RegistrationUnanswered
from tests.stop.platform_for_tests import GateSetup
from tests.stop.test_protect import GateWithLostAnswers

SOUND = SoundPrint(hashlib.shake_256(b"sound").digest(400))
VIDEO = VideoPrint(
    tuple(FramePrint(250 * at, bytes([at] * 32), 90, bytes([255 - at] * 32)) for at in range(5))
)
CLIPS_AND_SOUND = (ClipPrint(VIDEO, SOUND), ClipPrint(VIDEO), SOUND)


@pytest.mark.parametrize("media", CLIPS_AND_SOUND)
def test_clip_or_sound_request_has_only_fingerprints_and_a_token_hash(
    gate_setup: GateSetup, media: MediaFingerprint
) -> None:
    protection = register_fingerprints(media, gate_setup.gate, gate_setup.device)
    (sent,) = gate_setup.gate.sent_requests
    form = json.loads(sent)
    own_fields = (
        {"frames", "sound"}
        if media is CLIPS_AND_SOUND[0]
        else {"frames"}
        if media is CLIPS_AND_SOUND[1]
        else {"sound"}
    )
    assert set(form) == {"schema", "kind", "holder", "reason", "jurisdiction"} | own_fields
    for frame in form.get("frames", ()):
        assert set(frame) == {"at_ms", "hex", "quality", "inner"}
    assert form["holder"] == hashlib.sha256(protection.token.reveal()).hexdigest()
    assert protection.token.reveal().hex() not in sent.decode()


@pytest.mark.parametrize("media", CLIPS_AND_SOUND)
def test_clip_or_sound_registration_is_recorded_with_its_kind_and_withdrawn(
    gate_setup: GateSetup, media: MediaFingerprint
) -> None:
    protection = register_fingerprints(media, gate_setup.gate, gate_setup.device)
    assert all_protections(gate_setup.device) == (protection,)
    assert (protection.kind, protection.state) == (media.kind, ClaimState.WAITING)
    withdraw_protection(protection, gate_setup.gate, gate_setup.device)
    assert all_protections(gate_setup.device)[0].state is ClaimState.WITHDRAWN
    assert gate_setup.platform.bank.claim(protection.claim).state is ClaimState.WITHDRAWN


@pytest.mark.parametrize(
    "make_other_media",
    [
        ClipPrint,
        lambda video: ClipPrint(VideoPrint(video.frames[1:]), SOUND),
        lambda video: ClipPrint(
            VideoPrint(tuple(replace(frame, inner=None) for frame in video.frames)), SOUND
        ),
        lambda _video: SOUND,
    ],
)
def test_repeated_clip_request_makes_one_claim_and_a_different_request_makes_another(
    gate_setup: GateSetup, make_other_media: Callable[[VideoPrint], MediaFingerprint]
) -> None:
    gate_setup.gate = gate = GateWithLostAnswers(gate_setup.platform)
    with pytest.raises(RegistrationUnanswered):
        register_fingerprints(CLIPS_AND_SOUND[0], gate, gate_setup.device)
    gate.lost = False
    different = register_fingerprints(make_other_media(VIDEO), gate, gate_setup.device)
    again = register_fingerprints(CLIPS_AND_SOUND[0], gate, gate_setup.device)
    assert again.claim != different.claim
    assert gate_setup.platform.bank.count_claims_and_hashes().claims == 2
    assert {one.state for one in all_protections(gate_setup.device)} == {ClaimState.WAITING}


def test_records_of_picture_and_sound_registrations_have_the_same_fields(
    gate_setup: GateSetup,
) -> None:
    protection = register_fingerprints(SOUND, gate_setup.gate, gate_setup.device)
    names = {"claim", "kind", "state", "gate_url", "token", "made_at", "sent_sha256"}
    assert set(Protection.__slots__) == names
    picture = replace(protection, kind=PicturePrint.kind)
    assert unpack(Protection, pack(picture)) == picture
