"""Mark copies of a picture for people who are sent them by another channel."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from entrenous.model.ids import ID_BYTES, BlobId, MessageId, MessageName, RecipientId
from entrenous.model.message import Copy, Message
from entrenous.ports import Device
from entrenous.send.mark.copies import MadeCopy, Original, new_seed, prepare_original, write_copies
from entrenous.send.mark.remember import keep_looks, remember
from entrenous.send.mark.unwritten import NotWritten
from entrenous.send.message.naming import new_name


@dataclass(frozen=True, slots=True)
class MarkedFile:
    """One recipient's copy as a file, and the suffix that its name should have."""

    to: RecipientId
    data: bytes
    suffix: str


def mark_copies(
    untrusted_data: bytes, to: Sequence[RecipientId], size_px: int | None, device: Device
) -> Generator[tuple[MessageName, MarkedFile], None, None]:
    """One marked copy after the other; the ledger has each before it is handed over.

    All processors work a little ahead of what is asked for, so memory does not grow with the number
    of copies. Whoever stops early (closes the generator, or interrupts it) can trace the copies
    that were handed over, and the ledger names no others; nor the last one, where NotWritten is
    thrown in.

    Raises:
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp, TooSmallToMark.
    """
    original = prepare_original(untrusted_data, size_px, device)
    message = MessageId(device.dice.token(ID_BYTES))
    marking = _Marking(original, message, new_name(device), device.clock.now(), device)
    suffix = original.picture.encoding.format.written.suffix
    people = iter(to)
    with (
        closing(write_copies(original, (new_seed(device) for _ in to))) as made,
        closing(marking),
    ):
        for batch in made:
            names = [next(people) for _ in batch]
            marking.record(names, batch)
            for name, copy in zip(names, batch, strict=True):
                marking.handed += 1
                try:
                    yield marking.name, MarkedFile(name, copy.data, suffix)
                except NotWritten:
                    marking.handed -= 1
                    raise


@dataclass(slots=True)
class _Marking:
    """A message whose copies are being made.

    ``batch`` is what was recorded last, its first copy being number ``start``; ``handed`` copies
    have been handed over.
    """

    original: Original
    id: MessageId
    name: MessageName
    at: datetime
    device: Device
    start: int = 0
    batch: tuple[Copy, ...] = ()
    handed: int = 0
    kept: BlobId | None = None

    def record(self, names: Sequence[RecipientId], made: Sequence[MadeCopy]) -> None:
        """Put the next copies into the ledger, with the message itself before the first of them."""
        copies = tuple(
            Copy(name, copy.seed, copy.sha256) for name, copy in zip(names, made, strict=True)
        )
        self.start, self.batch = self.start + len(self.batch), copies
        with self.device.vault.together():
            if self.kept is None:
                self._begin()
            self.device.ledger.add_copies(self.id, 0, self.start, copies)

    def close(self) -> None:
        """Take out of the ledger what was recorded and then not handed over."""
        handed = self.batch[: self.handed - self.start]
        if self.handed > 0 and len(handed) < len(self.batch):
            self.device.ledger.add_copies(self.id, 0, self.start, handed)
        if self.handed == 0 and self.kept is not None:
            self.device.ledger.forget(self.id)
            self.device.vault.forget(self.kept)

    def _begin(self) -> None:
        self.kept = self.device.vault.keep(self.original.source)
        picture = remember(self.original, self.kept, ())
        self.device.ledger.record(Message(self.id, self.name, self.at, (picture,)))
        keep_looks(self.id, (self.original,), self.device)
