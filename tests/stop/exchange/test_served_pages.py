"""Pages of changes for partners contain only claims on pictures, not those on videos or sounds."""

from dataclasses import replace

from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import SOUND_KIND, VIDEO_KIND, FramePrint, SoundPrint, VideoPrint
from entrenous.stop.exchange_serving import changes_for_partner
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.registration import Claim, ClaimState, Registration
from tests.stop.exchange.exchange_for_tests import ExchangeSetup, fake_hash


def test_videos_and_sounds_are_not_served_to_partners(exchange_setup: ExchangeSetup) -> None:
    partner, _ = exchange_setup.add_partner("tuki")
    picture = Claim(
        ClaimId("p"), PEOPLE_BANK, ClaimState.WAITING, "pdq", 90, exchange_setup.clock.now()
    )
    video = replace(picture, id=ClaimId("v"), kind=VIDEO_KIND)
    sound = replace(picture, id=ClaimId("s"), kind=SOUND_KIND)
    frames = VideoPrint((FramePrint(0, fake_hash(1), 90), FramePrint(500, fake_hash(2), 90)))
    exchange_setup.bank.register(
        Registration(video, video=frames, sound=SoundPrint(bytes(80))),
        Registration(sound, sound=SoundPrint(bytes(84))),
        Registration(picture, (fake_hash(1),)),
    )
    # A reviewer confirmed a still of the video.
    exchange_setup.bank.add_upload_hashes([video.id], fake_hash(3), confirmed=True)
    page = changes_for_partner(partner, 0, 10, 10, exchange_setup.bank)
    assert [(one.claim, one.hashes) for one in page.changes] == [("p", (fake_hash(1),))]
