"""Invariants of all devices in a siege, whatever the relays did.

The oracle reads the truth where no relay can change it: in the senders' own vaults, and in the
identities on people's own devices. Its rules:

* No forged or swapped messages: the sender of a message in an inbox has sent it to this person,
  with the shown time, expiry and number of openings. An opened file is, byte for byte, the copy
  that was made for this person.
* No replays: an ended message stays ended, and no letter counts as two messages.
* Messages that were taken back, used up or expired: see :meth:`Oracle.check_opened`.
* No foreign keys: the keys stored for a contact are keys that the contact's device had at some
  time, and older keys never replace them. No letter is sealed to another person's key.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from entrenous.base.identifiers import EnvelopeId, PersonId
from entrenous.base.identity import Person
from entrenous.device.identities import contacts, own_device
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, CopyDelivery, Message
from entrenous.send.inbox import ENDED_STATES, received_messages
from entrenous.send.letter.letter_nouns import OWN_XWING_KEY_TABLE, PEER_TABLE, OpenedContent
from entrenous.send.message.states import ReceivedMessage
from tests.village.siege.world import AttackedNetwork
from tests.village.world import Participant


@dataclass
class Oracle:
    """Checks the invariants of one siege, and records the violations."""

    network: AttackedNetwork
    violations: list[str] = field(default_factory=list)
    # The limit of openings of each message.
    opening_limits: dict[bytes, int | None] = field(default_factory=dict)
    _ended: set[tuple[str, bytes]] = field(default_factory=set)  # pairs of a device and a message
    _openers: dict[EnvelopeId, set[str]] = field(default_factory=dict)
    _identities: dict[tuple[PersonId, int], Person] = field(default_factory=dict)
    _epochs: dict[tuple[str, PersonId], int] = field(default_factory=dict)
    # The name of the owner of each X-Wing key.
    _key_owners: dict[bytes, str] = field(default_factory=dict)

    def check_devices(self) -> None:
        """Check the inbox, the contacts and the keys of every device."""
        for person in self.network.people.values():
            me = own_device(person.device).person
            self._identities[me.id, me.epoch] = me
            for key in OWN_XWING_KEY_TABLE.all(person.vault):
                self._key_owners.setdefault(key.id, person.name)
        for person in self.network.people.values():
            self._check_inbox(person)
            self._check_contacts(person)
            self._check_keys(person)

    def _record_violation(self, person: Participant, violation: str) -> None:
        if (report := f"{person.name}: {violation}") not in self.violations:
            self.violations.append(report)

    def _check_inbox(self, person: Participant) -> None:
        shown = received_messages(person.device)
        if len({one.id for one in shown}) != len(shown):
            self._record_violation(person, "one message is shown twice")
        for received in shown:
            self._check_message(received, person)

    def _check_message(self, received: ReceivedMessage, person: Participant) -> None:
        sent = self._sent_message(received, person)
        if sent is None:
            self._record_violation(person, f"{received.name} is shown, and was never sent to them")
            return
        message, copy = sent
        sent_at = message.sent_at.replace(microsecond=0)  # letters state whole seconds
        stated = (received.sent_at, received.expires_at, received.opens, received.envelope)
        if stated != (sent_at, message.expires_at, self.opening_limits[message.id], copy.envelope):
            self._record_violation(person, f"{received.name} is shown otherwise than it was sent")
        key = (person.name, received.id)
        if key in self._ended and received.state not in ENDED_STATES:
            self._record_violation(person, f"{received.name} had ended and lives again")
        if received.state in ENDED_STATES:
            self._ended.add(key)

    def _sent_message(
        self, received: ReceivedMessage, person: Participant
    ) -> tuple[Message, CopyDelivery] | None:
        """Return the sent message, and the person's copy of it, from the sender's vault.

        Return None if the vault does not contain both, or if nobody is the sender.
        """
        sender = self._owner_of(received.sender)
        if sender is None:
            return None
        mine = own_device(person.device)
        messages = {one.id: one for one in sender.device.ledger.messages()}
        for copy in COPY_DELIVERY_TABLE.all(sender.vault):
            is_for_this_device = (copy.person, copy.device) == (mine.person.id, mine.key.device)
            if is_for_this_device and copy.message == received.id and copy.message in messages:
                return messages[copy.message], copy
        return None

    def _owner_of(self, person: PersonId) -> Participant | None:
        everybody = self.network.people.values()
        return next((w for w in everybody if own_device(w.device).person.id == person), None)

    def _check_contacts(self, person: Participant) -> None:
        for contact in contacts(person.device):
            known = contact.person
            if self._identities.get((known.id, known.epoch)) != known:
                self._record_violation(
                    person, f"{contact.name} has keys that {contact.name} never said"
                )
            before = self._epochs.get((person.name, known.id), 0)
            if known.epoch < before:
                self._record_violation(person, f"{contact.name} has an older list than before")
            self._epochs[person.name, known.id] = max(before, known.epoch)

    def _check_keys(self, person: Participant) -> None:
        for peer in PEER_TABLE.all(person.vault):
            owner, expected = self._key_owners.get(peer.seal_to.id), self._owner_of(peer.person)
            if owner is not None and (expected is None or owner != expected.name):
                self._record_violation(
                    person, f"letters for {peer.person.hex()[:8]} are sealed to {owner}"
                )

    def check_opened(
        self,
        device: str,
        person: Participant,
        before: ReceivedMessage,
        content: OpenedContent,
        at: datetime,
    ) -> None:
        """Check a message that opened on ``device``: a person's device, or a copy of its disk.

        After a message has ended on a device, or expired by the device's clock, it does not open
        there. A message that was taken back, or opened as often as the sender allowed, opens on no
        other device, unless the relay kept its share of the key and handed the share out again. If
        a disk is copied during an opening, the copies continue this opening, until the relay is
        told that the opening is finished (docs/known-attacks.md).
        """
        sent = self._sent_message(before, person)
        if sent is None:
            self._record_violation(person, f"{before.name} opened, and was never sent to them")
            return
        message, copy = sent
        hashes = [hashlib.sha256(one.data).digest() for one in content.files]
        if hashes != _copy_hashes_for(person, message) or content.caption != message.caption:
            self._record_violation(person, f"{before.name} opened as something else than was sent")
        if before.state in ENDED_STATES or (device, before.id) in self._ended:
            self._record_violation(person, f"{before.name} opened after it had ended here")
        if message.expires_at is not None and at >= message.expires_at:
            self._record_violation(person, f"{before.name} opened after its time")
        if not before.kept:
            self._check_first_opening(self._opening(device, before), person, before, copy.envelope)

    def _opening(self, device: str, before: ReceivedMessage) -> str:
        """Return a string that identifies the opening.

        An unfinished opening is identified by its attempt, any other opening by the device.
        """
        attempt = before.attempt
        is_unfinished = (
            attempt and (before.envelope, attempt) not in self.network.adversary.finished_attempts
        )
        return attempt.hex() if attempt and is_unfinished else device

    def _check_first_opening(
        self, opening: str, person: Participant, before: ReceivedMessage, envelope: EnvelopeId
    ) -> None:
        adversary = self.network.adversary
        openers = self._openers.setdefault(envelope, set())
        openers.add(opening)
        if envelope in adversary.handed_out_again:
            return
        if envelope in adversary.taken_back:
            self._record_violation(person, f"{before.name} was taken back and opened afterwards")
        limit = self.opening_limits[before.id]
        if limit is not None and len(openers) > limit:
            self._record_violation(
                person, f"{before.name} opened {len(openers)} times, not {limit}"
            )


def _copy_hashes_for(person: Participant, message: Message) -> list[bytes]:
    me = own_device(person.device).person.id
    return [
        copy.sha256 for picture in message.pictures for copy in picture.copies if copy.person == me
    ]
