"""The frames of a registered video are neither found nor shown by HMA's API."""

import httpx

from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import VIDEO_KIND, FramePrint, VideoPrint
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.platform import Platform
from entrenous.stop.registration import Claim, ClaimState, Registration


def test_video_frame_is_not_a_content(platform: Platform, hma: httpx.Client) -> None:
    bits = bytes(range(32))
    at = platform.clock.now()
    video = Claim(ClaimId("ab" * 16), PEOPLE_BANK, ClaimState.WAITING, VIDEO_KIND, 90, at)
    picture = Claim(ClaimId("cd" * 16), PEOPLE_BANK, ClaimState.WAITING, "pdq", 90, at)
    query = {"signal": bits.hex(), "signal_type": "pdq"}
    platform.bank.register(Registration(video, video=VideoPrint((FramePrint(0, bits, 90),))))
    assert hma.get("/m/raw_lookup", params=query).json() == {"matches": []}
    assert hma.get("/m/lookup", params=query).json() == {}
    assert hma.get("/c/bank/PEOPLE/content/1").status_code == 404
    platform.bank.register(Registration(picture, (bits,)))
    assert hma.get("/m/raw_lookup", params=query).json() == {"matches": [1]}
