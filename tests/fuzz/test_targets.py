"""Tests of fuzz targets: short runs, readers without a target, planted bugs, and hashes.

``python -m tests.fuzz.run`` makes the long runs.
"""

import zlib
from collections.abc import Callable
from random import Random
from types import CodeType
from typing import Any

import pytest

from entrenous.base.errors import Malformed
from tests.fuzz.reach import PACKAGE, code_hash, reached_code, untrusted_readers
from tests.fuzz.target import (
    PropertyViolated,
    Target,
    canonical_round_trip,
    property_check,
    round_trip,
)
from tests.fuzz.targets.every import TARGETS
from tests.sizes import size

INPUTS_PER_TARGET = size(1000, 3000)
INPUTS_OF_SLOW_TARGETS = {
    "copy-form": size(200, 600),
    "link-sealed": size(100, 300),
    "age": size(100, 300),
    "sealed-file": size(100, 300),
    "compare-key": size(200, 600),
    "report": size(200, 600),
}
SANDBOXED = "a sandboxed process decodes the bytes with other code; its answers are fuzzed"
DELEGATED = "passes the bytes to a reader that is fuzzed, and to a sandboxed process"
#: The functions (file and name) with untrusted parameters that no target reaches, and why.
NOT_FUZZED = {
    ("app/page_file_cache.py", "PageFileCache.decode_picture"): DELEGATED,
    ("app/page_file_cache.py", "PageFileCache.make_picture"): DELEGATED,
    ("app/page_file_cache.py", "PageFileCache.make_preview"): DELEGATED,
    (
        "archive/export.py",
        "import_archive_from_zip",
    ): "zipfile reads the bytes; readers of the content are fuzzed",
    ("media/file_kind.py", "is_sound_only_webm"): "compares the first bytes",
    ("crypto/encryption_at_rest.py", "encrypt_to_recipient"): "pyrage reads the recipient",
    ("crypto/encryption_at_rest.py", "decrypt_as_recipient"): "pyrage reads identity and file",
    ("stop/store/review_queue.py", "ReviewQueue.record_upload"): "stores the bytes unread",
    ("stop/store/review_queue.py", "ReviewQueue.record_appeal"): "stores the bytes unread",
    ("stop/store/review_queue.py", "ReviewQueue.store_review_bytes"): "stores the bytes unread",
    (
        "connectors/exchange/exchange_client.py",
        "ExchangeHttp.get_next_page",
    ): "httpx reads the address",
    ("stop/client/upload_client.py", "AsyncGateClient.ask"): "sends the bytes as they are",
    ("stop/client/upload_client.py", "GateClient.ask"): "sends the bytes as they are",
    (
        "send/people/qr_codes.py",
        "read_qr_code",
    ): "a sandboxed process decodes it; OpenCV searches the pixels",
    ("stop/commands/protect_command.py", "FileRegistrar.register"): DELEGATED,
    ("connectors/exchange/exchange_access.py", "parse_whole_number"): "accepts only digits",
    ("connectors/upload_rules.py", "uploads_in_body"): "extract_uploads reads the bytes",
    ("connectors/hma_requests.py", "get_bank_by_hma_name"): "compares a name",
    ("connectors/hma_requests.py", "parse_bank_names"): "splits at commas",
    ("connectors/hma_requests.py", "parse_new_bank_name"): "matches one regular expression",
    ("connectors/hma_requests.py", "parse_pdq_signal"): "accepts only hexadecimal digits",
    ("connectors/hma_requests.py", "parse_flag"): "accepts one of four words",
    (
        "connectors/hma_contents.py",
        "ContentMetadata.parse",
    ): "checks lengths, and accepts only printable characters",
    (
        "connectors/hma_contents.py",
        "parse_metadata_parameter",
    ): "uses the standard library's JSON reader",
    ("connectors/hma_contents.py", "parse_enabled_ratio"): "uses the standard library's float",
    ("stop/judge/dry_run.py", "dry_run"): "passes the bytes to the decoder",
    (
        "demo/stamp_authority.py",
        "LocalStampAuthority.answer",
    ): "openssl reads the bytes, in a process of its own",
    (
        "archive/archive_format.py",
        "decrypting_reader",
    ): "runs decrypt_stream, which is fuzzed",
    (
        "media/sandbox/decoder_messages.py",
        "write_clip_request_header",
    ): "writes only the length of the bytes",
    ("media/sandbox/decoders.py", "decode_clip_untrusted"): SANDBOXED,
    ("media/clip_reader.py", "read_clip"): SANDBOXED,
    ("media/copies/copy_check.py", "check_copy"): SANDBOXED,
    ("media/copies/pixels.py", "check_decoding"): SANDBOXED,
    ("media/copies/tracks.py", "check_decoding"): SANDBOXED,
    ("media/picture_reader.py", "encoding_of"): SANDBOXED,
    ("media/sandbox/decoders.py", "PictureDecoder.read"): SANDBOXED,
    ("media/sandbox/decoders.py", "decode_picture_untrusted"): SANDBOXED,
    ("media/sandbox/picture_child.py", "answer_request"): SANDBOXED,
    ("media/sandbox/decoder_pool.py", "DecoderPool.read"): SANDBOXED,
    ("media/sandbox/decoder_pool.py", "DecoderPool.start_reading"): SANDBOXED,
    ("media/completeness.py", "has_no_data_after_jpeg_scan"): SANDBOXED,
    ("media/completeness.py", "load_complete_jpeg"): SANDBOXED,
    ("media/picture_reader.py", "read_picture"): SANDBOXED,
    ("media/colour_conversion.py", "keeping_detail"): SANDBOXED,
    ("media/sandbox/decoders.py", "decode_sound_untrusted"): SANDBOXED,
    ("media/sound_reader.py", "read_sound"): SANDBOXED,
    ("stop/judge/judge_pool.py", "JudgePool.decide"): "passes the bytes to a matching process",
    ("stop/judge/judge_pool.py", "encode_judge_request"): "writes the bytes unread",
    (
        "stop/banks.py",
        "bank_name_for_list",
    ): "matches a name, which the operator types, with a pattern",
    ("stop/banks.py", "import_hashes"): "read_hashes reads the bytes",
    ("stop/protect.py", "fingerprint_file"): DELEGATED,
    ("stop/reviewers.py", "reviewer_with_token"): "matches one pattern, and hashes the token",
    ("stop/judge/decide.py", "submit_appeal"): "hashes the bytes and passes them on",
    ("stop/judge/scan.py", "first_scan"): "passes the bytes to the decoder",
    ("stop/judge/scan.py", "second_scan"): "passes the bytes to the decoder",
    ("stop/reviewed_pixels.py", "decode_view_pixels"): "passes the bytes to the decoder",
    ("stop/judge/clips.py", "scan_clip"): "passes the bytes to the decoders",
    (
        "stop/http/access.py",
        "check_case_number",
    ): "checks a length, and accepts only printable characters",
    ("stop/store/due_work.py", "DueWorkStore.store_for_deferred_scan"): "stores bytes unread",
    ("stop/judge/scan.py", "decode_for_hashing"): "passes the bytes to the decoder",
}
#: Functions in these places pass untrusted bytes to fuzzed readers elsewhere.
DELEGATING_PLACES = ("carry/", "learn/", "respond/", "send/", "stop/judge/decide.py", "trace/")


def random_seed_of(name: str) -> int:
    return zlib.crc32(name.encode())


def make_inputs(target: Target, count: int) -> list[bytes]:
    """Return at least ``count`` inputs: the seeds, their mutations, and mutations of mutations."""
    rng = Random(random_seed_of(target.name))
    found = list(target.seeds())
    while len(found) < count:
        found.append(target.change(rng.choice(found), rng)[: target.input_bytes_max])
    return found


@pytest.mark.slow
@pytest.mark.threat("broken-formats")
@pytest.mark.parametrize("name", TARGETS)
def test_no_bug_is_found_in_a_short_run(name: str) -> None:
    target = TARGETS[name]
    for untrusted in make_inputs(target, INPUTS_OF_SLOW_TARGETS.get(name, INPUTS_PER_TARGET)):
        target.read_and_check(untrusted)


@pytest.mark.parametrize("name", TARGETS)
def test_target_reads_at_least_one_of_its_seeds(name: str) -> None:
    target = TARGETS[name]
    seeds = list(target.seeds())
    assert any(target.read_and_check(seed) for seed in seeds)
    assert max(map(len, seeds)) <= target.input_bytes_max


@pytest.fixture(scope="module")
def all_reached_code() -> frozenset[CodeType]:
    return frozenset().union(*(reached_code(target) for target in TARGETS.values()))


def test_every_reader_is_fuzzed_or_listed_with_a_reason(
    all_reached_code: frozenset[CodeType],
) -> None:
    fuzzed = {(_path_in_package(code), code.co_qualname) for code in all_reached_code}
    all_readers = set(untrusted_readers())
    missing = {
        one
        for one in all_readers - fuzzed - NOT_FUZZED.keys()
        if not one[0].startswith(DELEGATING_PLACES)
    }
    assert not missing, "give each a target, or say in NOT_FUZZED why it has none"
    assert not NOT_FUZZED.keys() - all_readers, "no such function any more"
    assert not NOT_FUZZED.keys() & fuzzed, "these are fuzzed"


def test_every_reader_of_a_wire_format_is_fuzzed(all_reached_code: frozenset[CodeType]) -> None:
    """Readers whose parameter is not called ``untrusted`` are included."""
    fuzzed = {(_path_in_package(code), code.co_qualname) for code in all_reached_code}
    all_readers = {
        (path.relative_to(PACKAGE).as_posix(), line.split("(")[0].removeprefix("def "))
        for path in PACKAGE.rglob("*.py")
        if path.parent.name in {"wire", "formats"} or path.stem.endswith("_format")
        for line in path.read_text().splitlines()
        if line.startswith(("def read_", "def decode", "def unb64u", "def unpa"))
    }
    assert len(all_readers) > 45
    assert all_readers <= fuzzed


def _path_in_package(code: CodeType) -> str:
    return code.co_filename.removeprefix(f"{PACKAGE}/")


# --- the checks find planted bugs ----------------------------------------------------------------


def look_up_unchecked(untrusted: bytes) -> bytes:
    """Look up an untrusted key without a check."""
    return {0: b"a", 1: b"b"}[untrusted[0]]


def strip_blanks(untrusted: bytes) -> bytes:
    """Accept blanks around a text, so that one value has several encodings."""
    if not untrusted.strip():
        raise Malformed
    return untrusted.strip()


def input_length(untrusted: bytes) -> int:
    return len(untrusted)


PLANTED_BUGS: dict[str, tuple[Callable[[bytes], Any], type[Exception]]] = {
    "a KeyError": (canonical_round_trip(look_up_unchecked, lambda _: b"\x00"), KeyError),
    "an IndexError": (canonical_round_trip(look_up_unchecked, lambda _: b"\x00"), IndexError),
    "a second encoding": (canonical_round_trip(strip_blanks, bytes), PropertyViolated),
    "another result": (round_trip(input_length, lambda size: bytes(size + 1)), PropertyViolated),
    "a broken promise": (property_check(input_length, lambda size: size != 3), PropertyViolated),
}


@pytest.mark.parametrize("name", PLANTED_BUGS)
def test_planted_bug_is_found(name: str) -> None:
    read_and_check, error_type = PLANTED_BUGS[name]
    target = Target("planted", read_and_check, lambda: [b"\x00", b"\x00 ", b"ab"])
    found = set[type[Exception]]()
    for untrusted in make_inputs(target, 500):
        try:
            target.read_and_check(untrusted)
        except Exception as bug:  # noqa: BLE001 -- the table names the expected one
            found.add(type(bug))
    assert error_type in found


def test_error_message_must_be_formattable() -> None:
    class UnformattableError(Malformed):
        """It lacks {something}."""

    def refuse(_: bytes) -> bytes:
        raise UnformattableError

    with pytest.raises(KeyError):
        canonical_round_trip(refuse, bytes)(b"")


# --- hashes of the code that targets reach ------------------------------------------------------


def test_targets_that_reach_other_code_have_other_hashes() -> None:
    assert code_hash(TARGETS["header"]) == code_hash(TARGETS["header"])
    assert code_hash(TARGETS["header"]) != code_hash(TARGETS["range"])
