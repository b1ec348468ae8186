"""Make a message: each device's own copies, marked, sealed, remembered and laid into the outbox."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from entrenous.craft.crypto.commitments import mark_commitment
from entrenous.craft.wire.letter.commitment import write_mark
from entrenous.model.ids import RecipientId
from entrenous.model.letter import ContentFile
from entrenous.model.message import Copy, Draft, Message
from entrenous.model.sealed_copy import SealedCopy
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.doubts.note import note_sent
from entrenous.send.drawers import SEALED, lay
from entrenous.send.kinds.plan import Plan
from entrenous.send.letter.write import Addressee, write_letter
from entrenous.send.message.seal import OwnFile, Sealed, Sending, seal_content
from entrenous.send.message.watch import Counted, Stage, Watch

if TYPE_CHECKING:
    from entrenous.send.mark.copies import MadeCopy


@dataclass(frozen=True, slots=True)
class _Made:
    """One device's copies, sealed; ``copies`` run as the draft's files do."""

    to: Addressee
    sealed: Sealed
    copies: tuple[Copy, ...]


def make_message(  # noqa: PLR0913, PLR0917 - all that a message is made of
    draft: Draft,
    plan: Plan,
    to: tuple[Addressee, ...],
    sending: Sending,
    device: Device,
    watch: Watch,
) -> datetime | None:
    """Make all of a message, in one transaction; when it may leave, None if at once.

    Raises:
        TooLarge, LetterTooLong, OfflineDevice, RolledBack, NotConfirmed.
        KeyboardInterrupt: ``watch`` was stopped.
    """
    making = _Making(draft, plan, sending, device)
    making.seal_all(to, watch)
    return making.commit()


@dataclass(slots=True)
class _Making:
    """One message in the making."""

    draft: Draft
    plan: Plan
    sending: Sending
    device: Device
    made: list[_Made] = field(default_factory=list)

    def seal_all(self, to: tuple[Addressee, ...], watch: Watch) -> None:
        """For one device after the other, its copies; none is in memory when the next begin."""
        size = sum(map(len, self.draft.files))
        marking = Counted(Stage.MARKING, size * len(to), watch)
        sealing = Counted(Stage.SEALING, size * len(to), watch)
        for one, copies in zip(to, self._copies(len(to), marking), strict=True):
            self.made.append(self._seal(one, copies))
            sealing.more(size)

    def _copies(self, people: int, marking: Counted) -> Iterator[tuple["MadeCopy", ...]]:
        with closing(self.plan.copies(people, self.device, marking)) as copies:
            yield from copies

    def _seal(self, to: Addressee, made: tuple["MadeCopy", ...]) -> _Made:
        copies = tuple(_copy(to, one, self.device) for one in made)
        files = tuple(
            OwnFile(
                ContentFile(shape.media_type, one.data, shape.role),
                mark_commitment(write_mark(self.sending.message, place, copy)),
            )
            for place, (shape, one, copy) in enumerate(
                zip(self.plan.shapes, made, copies, strict=True), start=1
            )
        )
        return _Made(
            to, seal_content(files, self.draft.words, to, self.sending, self.device), copies
        )

    def commit(self) -> datetime | None:
        """Remember the message and lay its letters out; when they may leave."""
        device, message = self.device, self._message()
        device.ledger.record(message)
        note_sent(message, self.draft, device)
        self.plan.keep_looks(message.id, device)
        wait = timedelta(seconds=self.draft.undo_s)
        release_at = device.clock.now() + wait if wait else None
        for one in self.made:
            outer = replace(one.sealed.outer, release_at=release_at)
            write_letter(one.sealed.manifest, one.to, outer, device)
            lay(_remembered(one, self.sending), SEALED, outer.envelope.hex(), device.vault)
        return release_at

    def _message(self) -> Message:
        by_file = tuple(zip(*(one.copies for one in self.made), strict=True))
        kept = self.plan.remember(by_file, self.device)
        return Message(
            id=self.sending.message,
            name=self.sending.name,
            sent_at=self.sending.sent_at,
            pictures=kept.pictures,
            caption=self.draft.words,
            expires_at=self.sending.policy.expires_at,
            clips=kept.clips,
            sounds=kept.sounds,
        )


def _copy(to: Addressee, made: "MadeCopy", device: Device) -> Copy:
    return Copy(
        to=RecipientId(to.contact.name),
        seed=made.seed,
        sha256=made.sha256,
        person=to.contact.person.id,
        device=to.key.device,
        nonce=Secret(device.dice.token(32)),
    )


def _remembered(made: _Made, sending: Sending) -> SealedCopy:
    return SealedCopy(
        message=sending.message,
        to=RecipientId(made.to.contact.name),
        person=made.to.contact.person.id,
        device=made.to.key.device,
        relay_url=made.to.contact.person.relay_url,
        envelope=made.sealed.outer.envelope,
        withdraw_token=made.sealed.outer.withdraw_token,
    )
