"""Uploads of clips, sounds and files of unsupported kinds over HTTP."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache

import anyio
import anyio.from_thread
import httpx
import pytest
import skimage.data

from bench.sounds.attacks import coded
from bench.sounds.material import voice
from entrenous.base.audio_video import Clip, FrameSelection
from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import VIDEO_KIND
from entrenous.fingerprint.video_hash import make_video_fingerprint
from entrenous.media.clip_reader import read_clip
from entrenous.media.sound_reader import read_sound
from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.index.memory_indexes import RegisteredSounds
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.platform import Platform
from entrenous.stop.registration import Claim, ClaimState, Registration
from tests.clips import encode_clip, hand_held_frames
from tests.stop.http.conftest import URL, AsgiTransport
from tests.stop.platform_for_tests import jpeg

OPERATOR_HEADERS = {"Authorization": "Bearer operator-token"}
UPLOADER_HEADERS = {"Authorization": "Bearer uploader-token"}


@cache
def clip_bytes() -> bytes:
    return encode_clip(hand_held_frames(seconds=3.0))


@pytest.fixture
def platform_for_all_media(platform: Platform) -> Platform:
    """Return the platform with decoders for clips and sounds."""
    sounds = RegisteredSounds(platform.bank)
    return replace(platform, read_clip=read_clip, read_sound=read_sound, sounds=sounds)


@pytest.fixture
def web_for_all_media(
    platform_for_all_media: Platform, access: GateAccess
) -> Iterator[httpx.Client]:
    with httpx.Client(
        transport=AsgiTransport(gate_app(platform_for_all_media, access)), base_url=URL
    ) as client:
        yield client


@pytest.fixture
def platform_with_registered_clip(platform_for_all_media: Platform) -> Platform:
    claim = Claim(
        ClaimId("ab" * 16),
        PEOPLE_BANK,
        ClaimState.WAITING,
        VIDEO_KIND,
        90,
        platform_for_all_media.clock.now(),
    )
    with read_clip(clip_bytes()) as clip:
        video = make_video_fingerprint(clip.frames, clip.shown.length_s, parts=True)
    platform_for_all_media.bank.register(Registration(claim, video=video))
    return platform_for_all_media


@pytest.mark.slow
@pytest.mark.usefixtures("platform_with_registered_clip")
def test_quarantined_clip_can_be_reviewed_and_is_refused_once_confirmed(
    web_for_all_media: httpx.Client,
) -> None:
    sent = {**OPERATOR_HEADERS, "Content-Type": "video/mp4"}
    decision = web_for_all_media.post("/v1/uploads", content=clip_bytes(), headers=sent).json()
    assert decision["decision"] == "hold"
    assert decision["matches"][0]["how"].startswith("as it is; 6 of 6 half seconds")
    (waiting_case,) = [
        web_for_all_media.get("/v1/reviews", headers=OPERATOR_HEADERS).json()["next"]
    ]
    held = web_for_all_media.get(waiting_case["upload"], headers=OPERATOR_HEADERS)
    assert (held.content, held.headers["content-type"]) == (
        clip_bytes(),
        "application/octet-stream",
    )
    case = f"/v1/reviews/{waiting_case['case']}"
    decided = web_for_all_media.post(case, json={"decision": "confirm"}, headers=OPERATOR_HEADERS)
    assert decided.status_code == 200
    again = web_for_all_media.post(
        "/v1/uploads", files={"file": ("x.jpg", clip_bytes())}, headers=UPLOADER_HEADERS
    )
    assert again.json()["decision"] == "refuse"


@pytest.mark.slow
@pytest.mark.threat("probing-registered")
def test_quarantined_and_accepted_clips_get_the_same_answer(
    web_for_all_media: httpx.Client, platform_with_registered_clip: Platform
) -> None:
    other = encode_clip(hand_held_frames("coffee", seconds=3.0))
    answers = [
        web_for_all_media.post(
            "/v1/uploads", files={"file": ("x", one)}, headers=UPLOADER_HEADERS
        ).json()
        for one in (clip_bytes(), other)
    ]
    assert platform_with_registered_clip.reviews.count_waiting_items() == 1
    for one in answers:
        assert (one["decision"], one["matches"]) == ("let through", [])
    assert set(answers[0]) == set(answers[1])


@pytest.mark.slow
def test_clips_do_not_delay_pictures(platform_for_all_media: Platform, access: GateAccess) -> None:
    """A picture is judged while as many clips as the limit allows are being judged."""
    judging, may_finish = anyio.Event(), threading.Event()

    def read_clip_when_released(
        untrusted_data: bytes, selection: FrameSelection
    ) -> AbstractContextManager[Clip]:
        anyio.from_thread.run_sync(judging.set)
        assert may_finish.wait(60)
        return read_clip(untrusted_data, selection)

    app = gate_app(
        replace(platform_for_all_media, read_clip=read_clip_when_released),
        replace(access, uploads_at_once=1),
    )
    answers = {}

    async def send_upload(
        web: httpx.AsyncClient, name: str, upload: bytes, role_headers: dict[str, str]
    ) -> None:
        sent = {**role_headers, "Content-Type": "application/octet-stream"}
        answers[name] = await web.post("/v1/uploads", content=upload, headers=sent)

    async def send_clip_and_picture() -> None:
        transport = httpx.ASGITransport(app)
        async with (
            httpx.AsyncClient(transport=transport, base_url=URL) as web,
            anyio.create_task_group() as group,
        ):
            group.start_soon(send_upload, web, "clip", clip_bytes(), OPERATOR_HEADERS)
            await judging.wait()
            try:
                await send_upload(web, "picture", jpeg(skimage.data.coffee()), UPLOADER_HEADERS)
            finally:
                may_finish.set()

    anyio.run(send_clip_and_picture)
    assert [answers[name].status_code for name in ("picture", "clip")] == [200, 200]


def test_sound_is_accepted_and_unsupported_files_are_refused(
    web_for_all_media: httpx.Client,
) -> None:
    sound_bytes = coded(voice(6.0), 16_000, "aac", "ipod", 48_000)
    sent = {**OPERATOR_HEADERS, "Content-Type": "audio/mp4"}
    assert web_for_all_media.post("/v1/uploads", content=sound_bytes, headers=sent).json()[
        "decision"
    ] == ("let through")
    unknown = coded(voice(1.0), 48_000, "ac3", "mp4", 96_000)
    for unsupported in (unknown, "a letter".encode("utf-16")):
        answer = web_for_all_media.post("/v1/uploads", content=unsupported, headers=sent)
        assert answer.status_code == 415, answer.text
