"""Trace pictures with a device in memory: only the right copy is named."""

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
from tests.trace.offline_device import as_jpeg, offline_device, photo_of, trace_picture

pytestmark = pytest.mark.slow

PEOPLE = ("ben", "caro", "dina")


def crop(picture: Image.Image) -> Image.Image:
    w, h = picture.size
    return picture.crop((round(0.1 * w), round(0.05 * h), round(0.93 * w), round(0.89 * h)))


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "saved again": lambda p: p,
    "crop to 70 %, resized": lambda p: crop(p).resize(
        (round(p.width * 0.66), round(p.height * 0.66))
    ),
    "mirrored": ImageOps.mirror,
    "grey": lambda p: p.convert("L"),
    "turned by 10 degrees": lambda p: p.rotate(10, Image.Resampling.BICUBIC, expand=True),
}


@pytest.fixture(scope="module")
def marked() -> tuple[Device, dict[str, bytes]]:
    device = offline_device()
    names = [RecipientId(name) for name in PEOPLE]
    made = mark_picture_copies(as_jpeg(photo_of("astronaut"), 95), names, None, device)
    return device, {copy.to: copy.data for _, copy in made}


@pytest.fixture(scope="module")
def originals(marked: tuple[Device, dict[str, bytes]]) -> OriginalsCache:
    """Return a cache that several traces share, as when a folder is traced."""
    return OriginalsCache(marked[0].read_picture)


@pytest.mark.parametrize(
    ("who", "edit"),
    [
        *(("ben", "saved again"), ("caro", "crop to 70 %, resized"), ("ben", "mirrored")),
        *(("caro", "grey"), ("ben", "turned by 10 degrees")),
        *(
            pytest.param(who, edit, marks=pytest.mark.nightly)
            for edit, who in zip(EDITS, ("caro", "ben", "caro", "ben", "caro"), strict=True)
        ),
    ],
)
def test_the_right_copy_is_named(
    marked: tuple[Device, dict[str, bytes]], originals: OriginalsCache, edit: str, who: str
) -> None:
    device, copies = marked
    leak = EDITS[edit](Image.open(io.BytesIO(copies[who])))
    trace = trace_picture(as_jpeg(leak, 50), device, originals)
    assert trace.verdict.named == (who,)
    assert trace.verdict.chance[RecipientId(who)] <= FALSE_NAMING_CHANCE_MAX
    assert all(
        trace.verdict.chance[RecipientId(p)] > FALSE_NAMING_CHANCE_MAX for p in PEOPLE if p != who
    )


def test_trace_reports_crop_and_scale(
    marked: tuple[Device, dict[str, bytes]], originals: OriginalsCache
) -> None:
    device, copies = marked
    leak = ImageOps.mirror(crop(Image.open(io.BytesIO(copies["ben"]))))
    warp = trace_picture(as_jpeg(leak, 70), device, originals).warp
    assert warp is not None
    assert warp.mirrored
    assert warp.kept == pytest.approx(0.7, abs=0.02)


def test_the_unmarked_original_names_nobody(
    marked: tuple[Device, dict[str, bytes]], originals: OriginalsCache
) -> None:
    device, _ = marked
    trace = trace_picture(as_jpeg(photo_of("astronaut"), 70), device, originals)
    assert trace.verdict.finding is Finding.NOBODY
    assert trace.message is not None


def test_right_message_of_two_with_one_photo_is_named() -> None:
    device = offline_device()
    source = as_jpeg(photo_of("coffee").resize((360, 240)), 95)
    made = [list(mark_picture_copies(source, [RecipientId("ben")], None, device)) for _ in range(2)]
    for ((name, copy),) in made:
        trace = trace_picture(copy.data, device)
        assert trace.message == name
        assert trace.verdict.named == ("ben",)


def test_traces_are_kept_and_numbered(
    marked: tuple[Device, dict[str, bytes]], originals: OriginalsCache
) -> None:
    device, copies = marked
    before = len(device.ledger.traces())
    number = trace_picture(copies["dina"], device, originals).number
    assert [trace.number for trace in device.ledger.traces()][before:] == [number]
    assert number == before + 1


def test_with_nothing_sent_there_is_nobody_to_compare_with() -> None:
    with pytest.raises(NothingToWeigh):
        trace_picture(as_jpeg(photo_of("coffee")), offline_device())
