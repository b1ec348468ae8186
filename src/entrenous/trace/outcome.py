"""From scores to the trace that is kept; the same for pictures, clips and sounds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from entrenous.base.errors import NoSuchBlob
from entrenous.base.identifiers import BlobId, MessageId, MessageName
from entrenous.crypto.hashing import sha256
from entrenous.crypto.nouns import DoesNotOpen
from entrenous.device.device import Device
from entrenous.device.sent_messages import Message
from entrenous.watermark.verdict import Finding, Part, Span, Trace, Verdict, Warp

UNHEARD: Final = Verdict(Finding.NOBODY, (), {}, {})


@dataclass(frozen=True, slots=True)
class MessageVerdict:
    """What the marks of one message's copies say; ``warp`` is None for a sound."""

    message: MessageName
    verdict: Verdict
    warp: Warp | None = None


@dataclass(slots=True)
class MissingFiles:
    """Files that are gone or damaged, by the message whose copies cannot be told without them.

    They keep nothing else from being traced; whoever reads the trace is told of them.
    """

    files: dict[BlobId, MessageId] = field(default_factory=dict)

    @property
    def messages(self) -> tuple[MessageId, ...]:
        """Each once, in the order in which they were missed."""
        return tuple(dict.fromkeys(self.files.values()))

    def kept(self, file: BlobId, message: Message, device: Device) -> bytes | None:
        """What the vault keeps under this name; None, and it is noted, when it cannot be read."""
        try:
            return device.vault.kept(file)
        except (NoSuchBlob, DoesNotOpen):
            self.files[file] = message.id
            return None


def answer(  # noqa: PLR0913 - a trace is made of this many things
    said: Sequence[MessageVerdict],
    untrusted_data: bytes,
    device: Device,
    *,
    compared: int,
    lost: MissingFiles,
    span: Span | None = None,
) -> Trace:
    """The trace of a found file; it is not kept yet.

    Args:
        said: of every message that the file may be of; the first of which a copy is named is the
            one that the trace speaks of, else the first.
        untrusted_data: the file.
        device: where it is traced.
        compared: how many copies the chances count.
        lost: what could not be looked at.
        span: which part of a clip or a sound it is.
    """
    told = sorted(said, key=lambda one: not one.verdict.named)
    first = told[0] if told else None
    return Trace(
        number=next_number(device),
        at=device.clock.now(),
        leak_sha256=sha256(untrusted_data),
        verdict=UNHEARD if first is None else first.verdict,
        message=None if first is None else first.message,
        warp=None if first is None else first.warp,
        span=span,
        compared=compared,
        others=tuple(
            Part(one.message, one.verdict, one.warp) for one in told[1:] if one.verdict.named
        ),
        lost=lost.messages,
    )


def next_number(device: Device) -> int:
    """The number that the next trace gets."""
    return 1 + max((kept.number for kept in device.ledger.traces()), default=0)
