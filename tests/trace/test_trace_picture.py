"""Tests of traces of pictures: edited copies, originals, crops, and numbered traces."""

import io
from collections.abc import Callable

import pytest
from PIL import Image, ImageOps

from entrenous.base.identifiers import RecipientId
from entrenous.base.limits import FALSE_NAMING_CHANCE_MAX
from entrenous.device.device import Device
from entrenous.send.copies.mark_file import mark_picture_copies
from entrenous.trace.originals import OriginalsCache
from entrenous.watermark.verdict import Finding, NothingToWeigh
from tests.trace.offline_device import encode_jpeg, offline_device, sample_photo, trace_picture

pytestmark = pytest.mark.slow

RECIPIENTS = ("ben", "caro", "dina")


def crop_picture(picture: Image.Image) -> Image.Image:
    w, h = picture.size
    return picture.crop((round(0.1 * w), round(0.05 * h), round(0.93 * w), round(0.89 * h)))


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "saved again": lambda p: p,
    "crop to 70 %, resized": lambda p: crop_picture(p).resize(
        (round(p.width * 0.66), round(p.height * 0.66))
    ),
    "mirrored": ImageOps.mirror,
    "grey": lambda p: p.convert("L"),
    "turned by 10 degrees": lambda p: p.rotate(10, Image.Resampling.BICUBIC, expand=True),
}


@pytest.fixture(scope="module")
def marked_copies() -> tuple[Device, dict[str, bytes]]:
    device = offline_device()
    names = [RecipientId(name) for name in RECIPIENTS]
    made = mark_picture_copies(encode_jpeg(sample_photo("astronaut"), 95), names, None, device)
    return device, {copy.to: copy.data for _, copy in made}


@pytest.fixture(scope="module")
def originals(marked_copies: tuple[Device, dict[str, bytes]]) -> OriginalsCache:
    """Return a cache of originals. Several traces share it, as they do when a folder is traced."""
    return OriginalsCache(marked_copies[0].read_picture)


@pytest.mark.parametrize(
    ("recipient", "edit"),
    [
        *(("ben", "saved again"), ("caro", "crop to 70 %, resized"), ("ben", "mirrored")),
        *(("caro", "grey"), ("ben", "turned by 10 degrees")),
        *(
            pytest.param(recipient, edit, marks=pytest.mark.nightly)
            for edit, recipient in zip(EDITS, ("caro", "ben", "caro", "ben", "caro"), strict=True)
        ),
    ],
)
def test_an_edited_copy_is_named(
    marked_copies: tuple[Device, dict[str, bytes]],
    originals: OriginalsCache,
    edit: str,
    recipient: str,
) -> None:
    device, copies = marked_copies
    leak = EDITS[edit](Image.open(io.BytesIO(copies[recipient])))
    trace = trace_picture(encode_jpeg(leak, 50), device, originals)
    assert trace.verdict.named == (recipient,)
    assert trace.verdict.chance[RecipientId(recipient)] <= FALSE_NAMING_CHANCE_MAX
    assert all(
        trace.verdict.chance[RecipientId(p)] > FALSE_NAMING_CHANCE_MAX
        for p in RECIPIENTS
        if p != recipient
    )


def test_trace_reports_crop_and_scale(
    marked_copies: tuple[Device, dict[str, bytes]], originals: OriginalsCache
) -> None:
    device, copies = marked_copies
    leak = ImageOps.mirror(crop_picture(Image.open(io.BytesIO(copies["ben"]))))
    warp = trace_picture(encode_jpeg(leak, 70), device, originals).warp
    assert warp is not None
    assert warp.mirrored
    assert warp.kept == pytest.approx(0.7, abs=0.02)


def test_the_unmarked_original_names_nobody(
    marked_copies: tuple[Device, dict[str, bytes]], originals: OriginalsCache
) -> None:
    device, _ = marked_copies
    trace = trace_picture(encode_jpeg(sample_photo("astronaut"), 70), device, originals)
    assert trace.verdict.finding is Finding.NOBODY
    assert trace.message is not None


def test_right_one_of_two_messages_with_the_same_photo_is_named() -> None:
    device = offline_device()
    source = encode_jpeg(sample_photo("coffee").resize((360, 240)), 95)
    made = [list(mark_picture_copies(source, [RecipientId("ben")], None, device)) for _ in range(2)]
    for ((name, copy),) in made:
        trace = trace_picture(copy.data, device)
        assert trace.message == name
        assert trace.verdict.named == ("ben",)


def test_traces_are_kept_and_numbered(
    marked_copies: tuple[Device, dict[str, bytes]], originals: OriginalsCache
) -> None:
    device, copies = marked_copies
    before = len(device.ledger.traces())
    number = trace_picture(copies["dina"], device, originals).number
    assert [trace.number for trace in device.ledger.traces()][before:] == [number]
    assert number == before + 1


def test_a_picture_cannot_be_traced_before_anything_was_sent() -> None:
    with pytest.raises(NothingToWeigh):
        trace_picture(encode_jpeg(sample_photo("coffee")), offline_device())
