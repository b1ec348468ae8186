"""Tests of archives across packages: traces, cases and protections on another device.

An import that crashes leaves all records of the archive on the device, or none.
"""

import io
from dataclasses import dataclass, replace
from itertools import count

import pytest
from PIL import Image

from bench.sounds.attacks import coded
from bench.sounds.material import voice
from entrenous.base.identifiers import ClaimId, RecipientId
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.media.clip_reader import read_clip
from entrenous.media.sound_reader import read_sound
from entrenous.respond.case_file import edit_case, find_case
from entrenous.respond.evidence import read_evidence, verify_case
from entrenous.respond.nouns import AgeAnswer
from entrenous.respond.open_case import add_file, open_case
from entrenous.respond.situation import Situation
from entrenous.send.copies.mark_file import mark_file
from entrenous.stop.protect import all_protections, save_protection
from entrenous.stop.registration import Protection
from entrenous.trace.trace_file import trace_file
from tests.archive.archives_in_memory import (
    export_tar,
    import_tar,
    set_up_offline_device,
    stored_contents,
)
from tests.clips import encode_clip, hand_held_frames
from tests.send.send_device import Network
from tests.village.crashes import run_until_crash
from tests.village.world import photo

pytestmark = pytest.mark.slow

PEOPLE = [RecipientId("ben"), RecipientId("caro")]


@dataclass(frozen=True)
class ArchivedDevice:
    """A device that marked three files, traced a leak, opened a case and protected something."""

    network: Network
    device: Device
    copies: dict[str, bytes]
    case: str
    tar: bytes


def use_readers_in_process(device: Device) -> Device:
    """Return the device with clip and sound readers that decode in this process."""
    return replace(device, read_clip=read_clip, read_sound=read_sound)


def mark_and_return_caros_copy(source: bytes, device: Device) -> bytes:
    """Mark a file for Ben and Caro, and return Caro's copy."""
    return {file.to: file.data for _, file in mark_file(source, PEOPLE, None, device)}[PEOPLE[1]]


def reencode_jpeg(picture: bytes) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").save(file, "JPEG", quality=80)
    return file.getvalue()


@pytest.fixture(scope="module")
def archived() -> ArchivedDevice:
    network = Network()
    device = use_readers_in_process(set_up_offline_device(network, "ana"))
    sources = {
        "picture": photo(width_px=288),
        "clip": encode_clip(hand_held_frames(size=(160, 120), seconds=2.0)),
        "voice": coded(voice(12.0, 48_000, 1), 48_000, "libopus", "ogg", 32_000),
    }
    copies = {kind: mark_and_return_caros_copy(source, device) for kind, source in sources.items()}
    trace = trace_file(reencode_jpeg(copies["picture"]), device).trace
    case = open_case(trace, Situation(()), AgeAnswer.ADULTS, device)
    add_file(case.name, b"a screenshot", "what I saw", device)
    save_protection(_make_protection(device), device)
    return ArchivedDevice(network, device, copies, case.name, export_tar(device))


def _make_protection(device: Device) -> Protection:
    claim, token = ClaimId("ab" * 16), Secret(bytes(32))
    return Protection(claim, "hash", None, "https://gate.example", token, device.clock.now())


@pytest.mark.parametrize(
    "kind", ["picture", pytest.param("clip", marks=pytest.mark.nightly), "voice"]
)
def test_copies_of_imported_sent_files_can_be_traced(archived: ArchivedDevice, kind: str) -> None:
    fresh = use_readers_in_process(set_up_offline_device(archived.network))
    report = import_tar(archived.tar, fresh)
    assert (report.sent, report.traces, report.cases, report.protections) == (3, 1, 1, 1)
    leak = reencode_jpeg(archived.copies[kind]) if kind == "picture" else archived.copies[kind]
    trace = trace_file(leak, fresh).trace
    assert trace.verdict.named == ("caro",)
    assert trace.number == 2
    names = {message.name for message in archived.device.ledger.messages()}
    assert trace.message in names


def test_imported_case_is_readable_and_traces_and_protections_are_equal(
    archived: ArchivedDevice,
) -> None:
    fresh = set_up_offline_device(archived.network)
    import_tar(archived.tar, fresh)
    assert verify_case(archived.case, fresh) == find_case(archived.case, archived.device)
    assert read_evidence(archived.case, 1, "to look", fresh) == b"a screenshot"
    assert fresh.ledger.traces() == archived.device.ledger.traces()
    assert all_protections(fresh) == all_protections(archived.device)
    verify_case(archived.case, fresh)


def add_note(case: str, device: Device, text: str) -> None:
    edit_case(case, device, lambda case_file: case_file, text)


def test_more_advanced_case_replaces_its_earlier_state(archived: ArchivedDevice) -> None:
    ahead, behind = set_up_offline_device(archived.network), set_up_offline_device(archived.network)
    for device in (ahead, behind):
        import_tar(archived.tar, device)
    add_note(archived.case, ahead, "asked for help")
    add_file(archived.case, b"another screenshot", "what I saw later", ahead)
    assert import_tar(export_tar(ahead), behind).cases == 1
    assert verify_case(archived.case, behind) == find_case(archived.case, ahead)
    assert read_evidence(archived.case, 2, "to look", behind) == b"another screenshot"
    before = stored_contents(behind)
    assert import_tar(archived.tar, behind).has_nothing_new  # the local case has later entries
    assert stored_contents(behind) == before


def test_different_cases_with_one_name_are_not_merged(archived: ArchivedDevice) -> None:
    one, other = set_up_offline_device(archived.network), set_up_offline_device(archived.network)
    for device in (one, other):
        import_tar(archived.tar, device)
    archived.network.clock.advance(seconds=1)
    add_note(archived.case, one, "asked for help")
    archived.network.clock.advance(seconds=1)
    add_note(archived.case, other, "waited")
    add_note(archived.case, other, "and waited")
    before = stored_contents(one)
    report = import_tar(export_tar(other), one)
    assert report.other_cases == (archived.case,)
    assert stored_contents(one) == before


def test_crash_while_importing_imports_all_records_or_none(archived: ArchivedDevice) -> None:
    honest = set_up_offline_device(archived.network)
    import_tar(archived.tar, honest)
    whole = stored_contents(honest)

    def try_with_crash(crash_point: int) -> bool:
        device = set_up_offline_device(archived.network)
        before = stored_contents(device)[0]
        has_finished = run_until_crash(
            lambda crashing: import_tar(archived.tar, crashing), device, crash_point
        )
        if not has_finished:
            after = stored_contents(device)[0]
            # Nothing or everything was imported.
            assert after in (before, whole[0]), f"crash point {crash_point}"
            assert import_tar(archived.tar, device).has_nothing_new == (after == whole[0])
        assert stored_contents(device) == whole, f"crash point {crash_point}"
        return has_finished

    assert next(crash_point for crash_point in count() if try_with_crash(crash_point)) > 15
