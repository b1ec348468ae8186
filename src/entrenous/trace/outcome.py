"""Build a trace from the verdicts on a picture, clip or sound."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from entrenous.base.errors import NoSuchBlob
from entrenous.base.identifiers import BlobId, MessageId, MessageName
from entrenous.crypto.hashing import sha256
from entrenous.crypto.nouns import DecryptionFailed
from entrenous.device.device import Device
from entrenous.device.sent_messages import Message
from entrenous.watermark.verdict import (
    Finding,
    FurtherMessageVerdict,
    MatchedSpan,
    PictureWarp,
    Trace,
    Verdict,
)

NO_EVIDENCE_VERDICT: Final = Verdict(Finding.NOBODY, (), {}, {})


@dataclass(frozen=True, slots=True)
class MessageVerdict:
    """The verdict on one message's copies; ``warp`` is None for a sound."""

    message: MessageName
    verdict: Verdict
    warp: PictureWarp | None = None


@dataclass(slots=True)
class MissingFiles:
    """Vault files that are missing or damaged, with the message that needs each one.

    Tracing continues without them, and the trace lists the messages.
    """

    files: dict[BlobId, MessageId] = field(default_factory=dict)

    @property
    def messages(self) -> tuple[MessageId, ...]:
        """The messages whose files are missing or damaged, each once, in the order of discovery."""
        return tuple(dict.fromkeys(self.files.values()))

    def read_or_record_missing(
        self, file: BlobId, message: Message, device: Device
    ) -> bytes | None:
        """Read a file from the vault; return None and note the file if it cannot be read."""
        try:
            return device.vault.read_stored_file(file)
        except (NoSuchBlob, DecryptionFailed):
            self.files[file] = message.id
            return None


def build_trace(  # noqa: PLR0913 - each argument is one part of a trace
    verdicts: Sequence[MessageVerdict],
    untrusted_data: bytes,
    device: Device,
    *,
    compared: int,
    lost: MissingFiles,
    span: MatchedSpan | None = None,
) -> Trace:
    """Build the trace of a found file, without recording it.

    Args:
        verdicts: one for each message that matches. The trace describes the first one that names a
            copy, else the first.
        untrusted_data: the found file.
        device: the device that traces it.
        compared: the number of copies that the chances are corrected for.
        lost: files that could not be read.
        span: the part of a clip or sound that the file shows.
    """
    ordered = sorted(verdicts, key=lambda one: not one.verdict.named)
    first = ordered[0] if ordered else None
    return Trace(
        number=next_trace_number(device),
        at=device.clock.now(),
        leak_sha256=sha256(untrusted_data),
        verdict=NO_EVIDENCE_VERDICT if first is None else first.verdict,
        message=None if first is None else first.message,
        warp=None if first is None else first.warp,
        span=span,
        compared=compared,
        others=tuple(
            FurtherMessageVerdict(one.message, one.verdict, one.warp)
            for one in ordered[1:]
            if one.verdict.named
        ),
        lost=lost.messages,
    )


def next_trace_number(device: Device) -> int:
    return 1 + max((kept.number for kept in device.ledger.traces()), default=0)


def count_sent_clip_copies(device: Device) -> int:
    return sum(
        len(clip.copies) for one in device.ledger.messages_with_clips() for clip in one.clips
    )


def count_all_sent_copies(device: Device) -> int:
    """Return the number of all copies sent from this device; chances are corrected for it."""
    return sum(
        sum(len(picture.copies) for picture in message.pictures)
        + sum(len(clip.copies) for clip in message.clips)
        + sum(len(sound.copies) for sound in message.sounds)
        for message in device.ledger.messages()
    )
