"""Partners are served pictures, but no videos and no sounds."""

from dataclasses import replace

from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import SOUND_KIND, VIDEO_KIND, FramePrint, SoundPrint, VideoPrint
from entrenous.stop.exchange_serving import changes_for_partner
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.registration import Claim, ClaimState, Registration
from tests.stop.exchange.exchange_for_tests import Room, bits


def test_videos_and_sounds_are_given_to_no_partner(room: Room) -> None:
    partner, _ = room.partner("tuki")
    picture = Claim(ClaimId("p"), PEOPLE_BANK, ClaimState.WAITING, "pdq", 90, room.clock.now())
    film = replace(picture, id=ClaimId("v"), kind=VIDEO_KIND)
    sound = replace(picture, id=ClaimId("s"), kind=SOUND_KIND)
    frames = VideoPrint((FramePrint(0, bits(1), 90), FramePrint(500, bits(2), 90)))
    room.bank.register(
        Registration(film, video=frames, sound=SoundPrint(bytes(80))),
        Registration(sound, sound=SoundPrint(bytes(84))),
        Registration(picture, (bits(1),)),
    )
    # A reviewer confirmed a still of the video.
    room.bank.add_upload_hashes([film.id], bits(3), confirmed=True)
    page = changes_for_partner(partner, 0, 10, 10, room.bank)
    assert [(one.claim, one.hashes) for one in page.changes] == [("p", (bits(1),))]
