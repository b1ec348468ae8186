"""Registration requests and claim states as JSON: round trips and refused input."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import (
    CLIP_MS_MAX,
    REGISTERED_FRAMES_MAX,
    SOUND_WORDS_MAX,
    ClipPrint,
    Embedding,
    Fingerprint,
    FramePrint,
    PicturePrint,
    SoundPrint,
    VideoPrint,
)
from entrenous.stop.registration import BadClaim, ClaimRequest, ClaimState, ClaimStatus
from entrenous.stop.registration_format import (
    REQUEST_BYTES_MAX_BY_KIND,
    read_claim_status,
    read_registration_request,
    write_claim_status,
    write_registration_request,
)

HASH_STRATEGY = st.binary(min_size=32, max_size=32)


def embedding_bytes(start: bytes) -> bytes:
    """Return 512 bytes: ``start``, then as many sevens as fit, and 127 as the last byte.

    In ``start``, each byte 128 (as a signed byte, -128) is replaced by 0.
    """
    return bytes(byte if byte != 128 else 0 for byte in start).ljust(511, b"\x07") + b"\x7f"


PICTURE_STRATEGY = st.builds(
    PicturePrint,
    whole=st.builds(
        Fingerprint, kind=st.just("pdq"), bits=HASH_STRATEGY, quality=st.integers(0, 100)
    ),
    parts=st.lists(HASH_STRATEGY, max_size=5).map(tuple),
    embedding=st.none()
    | st.builds(Embedding, st.binary(min_size=1, max_size=256).map(embedding_bytes)),
)
SOUND_STRATEGY = st.binary(min_size=1, max_size=20).map(lambda some: SoundPrint(4 * some))
FRAME_TIME_STRATEGY = st.sets(st.integers(0, CLIP_MS_MAX), min_size=1, max_size=8).map(sorted)
VIDEO_STRATEGY = FRAME_TIME_STRATEGY.flatmap(
    lambda times: st.tuples(
        *(
            st.builds(
                FramePrint,
                st.just(at),
                HASH_STRATEGY,
                st.integers(0, 100),
                st.none() | HASH_STRATEGY,
            )
            for at in times
        )
    )
).map(VideoPrint)
PRINT_STRATEGY = (
    PICTURE_STRATEGY
    | SOUND_STRATEGY
    | st.builds(ClipPrint, VIDEO_STRATEGY, st.none() | SOUND_STRATEGY)
)
REQUEST_STRATEGY = st.builds(
    ClaimRequest,
    print=PRINT_STRATEGY,
    holder_sha256=HASH_STRATEGY,
    reason=st.text(max_size=64),
    jurisdiction=st.text(max_size=8),
)
SOUND = SoundPrint(bytes(8))
VIDEO = VideoPrint((FramePrint(7, bytes(32), 90, bytes(32)), FramePrint(9, bytes(32), 80)))
PICTURE_REQUEST, VIDEO_REQUEST, SOUND_REQUEST = (
    write_registration_request(ClaimRequest(one, bytes(32)))
    for one in (
        PicturePrint(Fingerprint("pdq", bytes(32), 90), (bytes(32),)),
        ClipPrint(VIDEO, SOUND),
        SOUND,
    )
)


@given(REQUEST_STRATEGY)
def test_request_is_unchanged_by_a_round_trip(request: ClaimRequest) -> None:
    assert read_registration_request(write_registration_request(request)) == request


@given(st.text(min_size=1, max_size=64), st.sampled_from(ClaimState))
def test_claim_status_is_unchanged_by_a_round_trip(claim_id: str, state: ClaimState) -> None:
    status = ClaimStatus(ClaimId(claim_id), "pdq", state)
    assert read_claim_status(write_claim_status(status)) == status


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(random_bytes: bytes) -> None:
    for read in (read_registration_request, read_claim_status):
        with pytest.raises(BadClaim):
            read(random_bytes)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"claim-request/1", b"claim-request/2"),
        (b'"pdq"', b'"md5"'),
        (b'"quality":90', b'"quality":101'),
        (b'"quality":90', b'"quality":-1'),
        (b'"quality":90', b'"quality":"90"'),
        (b'"hex":"00', b'"hex":"0'),
        (b'"hex":"00', b'"hex":"0G'),
        (b'"hex":"00', b'"hex":" 0'),
        (b'"parts":["00', b'"parts":["0000'),
        (b'"reason":""', b'"reason":"' + b"a" * 65 + b'"'),
        (b'"reason":""', b'"reason":"","name":"Ana"'),
        (b'"parts":[', b'"parts":[' + b'"' + b"0" * 64 + b'",' + b'"",' * 600),
    ],
)
def test_picture_request_with_one_error_is_refused(old: bytes, new: bytes) -> None:
    assert old in PICTURE_REQUEST
    with pytest.raises(BadClaim):
        read_registration_request(PICTURE_REQUEST.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"pdq-video"', b'"pdq"'),
        (b'"pdq-video"', b'"chromaprint"'),
        (b'"at_ms":9', b'"at_ms":7'),
        (b'"at_ms":9', b'"at_ms":6'),
        (b'"at_ms":9', b'"at_ms":-1'),
        (b'"at_ms":9', b'"at_ms":3600001'),
        (b'"at_ms":9', b'"at_ms":9.5'),
        (b'"quality":90', b'"quality":101'),
        (b'"hex":"00', b'"hex":"0A'),
        (b'"inner":"00', b'"inner":"  '),
        (b',"inner":"' + b"0" * 64 + b'"', b',"inner":null'),
        (b',"inner":"' + b"0" * 64 + b'"', b',"parts":[]'),
        (b'"sound":"' + b"0" * 16 + b'"', b'"sound":""'),
        (b'"sound":"' + b"0" * 16 + b'"', b'"sound":null'),
        (b'"sound":"00', b'"sound":"'),
        (b'"sound":"00', b'"sound":"AA'),
        (b'"sound":"' + b"0" * 16 + b'"', b'"parts":[]'),
    ],
)
def test_video_request_with_one_error_is_refused(old: bytes, new: bytes) -> None:
    assert read_registration_request(VIDEO_REQUEST).print == ClipPrint(VIDEO, SOUND)
    assert old in VIDEO_REQUEST
    with pytest.raises(BadClaim):
        read_registration_request(VIDEO_REQUEST.replace(old, new, 1))


def test_video_request_with_no_or_too_many_frames_is_refused() -> None:
    form = json.loads(VIDEO_REQUEST)
    frames = [
        {"at_ms": at, "hex": "0" * 64, "quality": 90} for at in range(REGISTERED_FRAMES_MAX + 1)
    ]
    assert read_registration_request(json.dumps({**form, "frames": frames[:-1]}).encode())
    for wrong in ([], frames):
        with pytest.raises(BadClaim):
            read_registration_request(json.dumps({**form, "frames": wrong}).encode())


def test_sound_request_that_is_too_long_or_incomplete_is_refused() -> None:
    form = json.loads(SOUND_REQUEST)
    assert read_registration_request(
        json.dumps({**form, "sound": "00" * 4 * SOUND_WORDS_MAX}).encode()
    )
    for wrong in ("00" * 4 * (SOUND_WORDS_MAX + 1), "000000"):
        with pytest.raises(BadClaim):
            read_registration_request(json.dumps({**form, "sound": wrong}).encode())


def test_largest_request_of_each_kind_is_within_its_size_limit() -> None:
    bits = b"\xff" * 32
    frames = (
        FramePrint(CLIP_MS_MAX - REGISTERED_FRAMES_MAX + at, bits, 100, bits)
        for at in range(REGISTERED_FRAMES_MAX)
    )
    sound = SoundPrint(b"\xff\xff\xff\xff" * SOUND_WORDS_MAX)
    picture = PicturePrint(Fingerprint("pdq", bits, 100), (bits,) * 600)
    for largest in (picture, ClipPrint(VideoPrint(tuple(frames)), sound), sound):
        request = ClaimRequest(largest, bits, "\N{GRINNING FACE}" * 64, "\N{GRINNING FACE}" * 8)
        spaced = json.dumps(json.loads(write_registration_request(request))).encode()
        assert read_registration_request(spaced) == request
        assert len(spaced) <= REQUEST_BYTES_MAX_BY_KIND[request.kind]


def test_unset_optional_fields_are_absent() -> None:
    plain = ClipPrint(VideoPrint((FramePrint(0, bytes(32), 90),)))
    sent = write_registration_request(ClaimRequest(plain, bytes(32)))
    assert b"inner" not in sent
    assert b"sound" not in sent


def test_error_does_not_repeat_the_request() -> None:
    with pytest.raises(BadClaim) as caught:
        read_registration_request(
            PICTURE_REQUEST.replace(b'"reason":""', b'"reason":"","secret":"Ana"')
        )
    assert "Ana" not in str(caught.value)
    assert "secret" not in str(caught.value)
