"""A registered sound matches as a part, and the match states its position in the upload."""

from datetime import UTC, datetime

import numpy as np
import pytest

from bench.sounds.attacks import OPUS_24
from bench.sounds.material import music, voice
from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import SOUND_KIND, SoundMatch
from entrenous.fingerprint.sound_index import SoundIndex, make_sound_fingerprint, sound_views
from entrenous.stop.judge.clips import sound_hits
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.registration import Claim, ClaimState


def sound_claim(claim_id: str) -> Claim:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    return Claim(ClaimId(claim_id), PEOPLE_BANK, ClaimState.CONFIRMED, SOUND_KIND, 100, at)


@pytest.mark.slow
def test_voice_note_inside_an_upload_matches_as_a_part() -> None:
    voice_note, rest = voice(12.0, seed=1), music(12.0, seed=2)
    index = SoundIndex.of(
        [make_sound_fingerprint(rest, 16_000), make_sound_fingerprint(voice_note, 16_000)]
    )
    upload = OPUS_24(np.concatenate([music(8.0, seed=3), voice_note]), 16_000)
    alike = index.find_matching_sounds(sound_views(*upload))
    ((match, of),) = sound_hits(alike, {0: [sound_claim("rest")], 1: [sound_claim("hers")]})
    assert of.id == match.claim == "hers"
    assert match.part
    assert match.distance <= 30
    kind, seen = match.how.split("; ")
    assert kind == "as it is"
    assert abs(float(seen.rsplit(" ", 2)[1]) - 8.0) <= 2.5


def test_longest_match_of_each_claim_counts() -> None:
    short = SoundMatch(0, 0.05, 4.9, 1.0, 2.0, "as it is")
    long = SoundMatch(1, 0.20, 9.6, 3.0, 2.0, "speed 1.02")
    found = sound_hits(
        [short, long], {0: [sound_claim("a"), sound_claim("b")], 1: [sound_claim("b")]}
    )
    assert [(str(match.claim), match.distance) for match, _ in found] == [("b", 51), ("a", 13)]
    assert all(match.part for match, _ in found)


def test_match_of_a_withdrawn_sound_gives_no_hit() -> None:
    assert sound_hits([SoundMatch(7, 0.0, 9.6, 0.0, 0.0, "as it is")], {}) == []
