"""Simulate a year of one person's messages, all of which go to the people she means.

The figures are assumptions; nobody's real messages were studied. The person has 30 contacts, among
them three pairs with similar names, and meets 8 more. How much she writes to each follows Zipf's
law. All are known by link only: one of the two used the other's invite link. In one of ten
conversations with a single person, the two compare keys, if they have not done so before. She has
two conversations a day, and sends six messages in each on average. 12 conversations in 100 are with
one of four circles of 6 to 20 people. She begins half of the conversations with one person and a
quarter of those with a circle. All her messages belong to the conversation, except the first one of
a conversation that she begins. A contact gets a new phone every three years on average, and uses
it. 15 messages in 100 have words, and 10 in 100 of these name a random contact, usually somebody
who does not get the message. One picture in five is one of 20 that she sends repeatedly. When the
guard has asked three times because two names are similar, she renames the contact with the shorter
name.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import numpy as np

from bench.guard.people import (
    ALIKE,
    NAMES,
    NEW_YEAR,
    Clock,
    PrekeyStore,
    Rng,
    circle_of,
    device_of,
    pictures,
    somebody,
    with_new_phone,
)
from entrenous.base.copies import Copy
from entrenous.base.identifiers import BlobId, MessageId, MessageName, RecipientId
from entrenous.base.identity import Contact, Trust
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.device.sent_messages import Message, SentPicture
from entrenous.fingerprint.nouns import Fingerprint
from entrenous.fingerprint.pdq import fingerprint
from entrenous.media.picture_reader import read_picture
from entrenous.send.guard import record_message_recipients
from entrenous.send.message.draft import Draft, MessagePolicy, RecipientWarning
from entrenous.send.people.block import rename_contact
from entrenous.send.people.circles import Circle, MessageParticipants, circles, store_circle
from entrenous.send.people.contact_history import record_heard_from
from entrenous.send.people.keep_contacts import store_contact
from entrenous.send.recipient_checks import SIMILAR_NAMES_SENTENCE

CONVERSATIONS: Final = 700
MESSAGES: Final = 6  # in one conversation, on average
_FILES: Final = 40  # of which half are sent again and again
_CONTACTS_AT_FIRST: Final = 30
_CONTACTS_MET_LATER: Final = 8
_CIRCLES: Final = {"family": 6, "friends": 9, "choir": 14, "neighbours": 20}


#: Matches a warning about two similar names; the group is the other name.
_SIMILAR_NAMES: Final = re.compile(
    re.escape(SIMILAR_NAMES_SENTENCE.partition("{other}")[0]).replace(r"\{name\}", ".+")
    + r"([^,(]+) \("
)


@dataclass(frozen=True, slots=True)
class UnsentMessage:
    """A message before it is sent; ``look`` is its picture's fingerprint."""

    draft: Draft
    to: tuple[Contact, ...]
    look: Fingerprint


class Year:
    """The simulated person, her device, and everybody she knows so far."""

    def __init__(self, seed: int, conversations: int = CONVERSATIONS) -> None:
        self.rng: Rng = np.random.default_rng(seed)
        self.clock = Clock()
        self.prekey_store = PrekeyStore(self.clock)
        self.device: Device = device_of(self.clock, self.prekey_store, self.rng)
        self.conversations = conversations
        self.files = pictures(_FILES, self.rng)
        self.looks = [fingerprint(read_picture(file)) for file in self.files]
        self._asked = Counter[str]()
        self._tired_of: list[str] = []
        names = [str(name) for name in self.rng.permutation(NAMES)]
        self._to_come = names[_CONTACTS_AT_FIRST : _CONTACTS_AT_FIRST + _CONTACTS_MET_LATER]
        for name in self.rng.permutation([*ALIKE, *names[: _CONTACTS_AT_FIRST - len(ALIKE)]]):
            self.meets(str(name))
        self._write_to_all_before_the_year()
        for name, size in _CIRCLES.items():
            store_circle(circle_of(name, self.random_contacts(size), self.rng), self.device.vault)

    def meets(self, name: str) -> None:
        """Add a contact, who is known by link until keys are compared."""
        store_contact(somebody(name, self.device, self.prekey_store), self.device)

    def record_warnings(self, warnings: tuple[RecipientWarning, ...]) -> None:
        """Count the warnings about similar names; after three, the shorter name will be changed."""
        for one in warnings:
            alike = _SIMILAR_NAMES.search(one.why)
            if alike is not None:
                short = min(one.who, alike[1], key=len)  # e.g. Sam, of Sam and Samuel
                self._asked[short] += 1
                if self._asked[short] == 3:
                    self._tired_of.append(short)

    def random_contacts(self, count: int) -> list[Contact]:
        """Return ``count`` different contacts at random, or all if there are fewer."""
        known = contacts(self.device)
        return [known[place] for place in self.rng.permutation(len(known))[:count]]

    def messages(self) -> Iterator[UnsentMessage]:
        """Yield every message in order; each is recorded as sent when the next one is requested."""
        for number in range(self.conversations):
            self.clock.moment = NEW_YEAR + timedelta(days=365 * number / self.conversations)
            self._change_contacts(number)
            yield from self._conversation()

    def make_message(
        self, to: list[Contact], circle: Circle | None, within: MessageParticipants | None
    ) -> UnsentMessage:
        """Return a message with one picture to these people.

        Four of five pictures are new: they have random fingerprints, which match no other picture
        in the ledger.
        """
        file = int(self.rng.integers(_FILES))
        known = file < _FILES // 2 and self.rng.random() < 0.4
        look = self.looks[file] if known else Fingerprint("pdq", self.rng.bytes(32), 100)
        file = file if known else int(self.rng.integers(_FILES // 2, _FILES))
        caption = self._words() if self.rng.random() < 0.15 else None
        return UnsentMessage(self.draft(file, caption, to, circle, within), tuple(to), look)

    def draft(
        self,
        file: int,
        caption: str | None,
        to: list[Contact],
        circle: Circle | None,
        within: MessageParticipants | None,
    ) -> Draft:
        """Return a draft with one picture, which expires after 30 days."""
        return Draft(
            (self.files[file],),
            tuple(RecipientId(one.name) for one in to),
            MessagePolicy(self.clock.now() + timedelta(days=30)),
            caption,
            circles=() if circle is None else (circle.id,),
            within=within,
        )

    def sent(self, unsent: UnsentMessage) -> MessageParticipants:
        """Record a message as sent, and return the conversation that it began or continued."""
        message = self._message(unsent)
        self.device.ledger.store_message(message)
        record_message_recipients(message, unsent.draft, self.device)
        people = frozenset(one.person.id for one in unsent.to)
        return unsent.draft.within or MessageParticipants(message.name, people)

    def conversation_partners(self) -> tuple[list[Contact], Circle | None]:
        """Return the people of a new conversation, and their circle or None."""
        if self.rng.random() < 0.12:
            every = circles(self.device.vault)
            circle = every[int(self.rng.integers(len(every)))]
            return self.people_of(circle), circle
        return [self.random_contact_by_frequency()], None

    def people_of(self, circle: Circle) -> list[Contact]:
        """Return the contacts who are in a circle."""
        return [one for one in contacts(self.device) if one.person.id in circle.people]

    def random_contact_by_frequency(self) -> Contact:
        """Return a random contact, weighted by how much she writes to each."""
        known = sorted(contacts(self.device), key=lambda one: one.person.id)
        weights = 1 / np.arange(1, len(known) + 1)
        return known[int(self.rng.choice(len(known), p=weights / weights.sum()))]

    def _conversation(self) -> Iterator[UnsentMessage]:
        to, circle = self.conversation_partners()
        people = frozenset(one.person.id for one in to)
        hers = self.rng.random() < (0.5 if circle is None else 0.25)
        begun_by = to[int(self.rng.integers(len(to)))].person.id
        within = None if hers else MessageParticipants(self._name(), people, begun_by)
        for one in to:
            if circle is None or self.rng.random() < 0.5:
                record_heard_from(one.person.id, one.person.devices[0].device, self.device)
        for _ in range(int(self.rng.geometric(1 / MESSAGES))):
            unsent = self.make_message(to, circle, within)
            yield unsent
            within = self.sent(unsent)
            self.clock.moment += timedelta(minutes=2)
        self._compare_keys_at_random(to)

    def _change_contacts(self, number: int) -> None:
        """Rename contacts whose names are too similar, and add new acquaintances and new phones."""
        while self._tired_of:
            name = self._tired_of.pop()
            rename_contact(name, f"{name} K.", self.device)
        every, first = (
            self.conversations // (_CONTACTS_MET_LATER + 1),
            self.conversations // (_CONTACTS_MET_LATER + 2),
        )
        if self._to_come and number % every == first:
            self.meets(self._to_come.pop())
        for contact in contacts(self.device):
            if self.rng.random() < 1 / 3 / self.conversations:
                store_contact(with_new_phone(contact, self.device, self.prekey_store), self.device)

    def _compare_keys_at_random(self, to: list[Contact]) -> None:
        for one in to:
            if not one.compared and len(to) == 1 and self.rng.random() < 0.1:
                store_contact(replace(one, trust=Trust.COMPARED), self.device)

    def _write_to_all_before_the_year(self) -> None:
        """Before the year begins, write to every contact and record that each was heard from."""
        self.clock.moment = NEW_YEAR - timedelta(days=10)
        for contact in contacts(self.device):
            record_heard_from(contact.person.id, contact.person.devices[0].device, self.device)
            for _ in range(3):
                self.sent(self.make_message([contact], None, None))
                self.clock.moment += timedelta(minutes=1)

    def _words(self) -> str:
        named = self.random_contacts(1)[0].name
        return f"saw {named} there" if self.rng.random() < 0.1 else "look at this"

    def _name(self) -> MessageName:
        return MessageName(f"{int(self.rng.integers(1, 10**6))}-any-name")

    def _message(self, unsent: UnsentMessage) -> Message:
        copies = tuple(self._copy(one) for one in unsent.to)
        picture = SentPicture(BlobId(bytes(16)), unsent.look, Secret(bytes(32)), copies)
        return Message(MessageId(self.rng.bytes(16)), self._name(), self.clock.now(), (picture,))

    def _copy(self, to: Contact) -> Copy:
        key = to.person.devices[0].device
        return Copy(RecipientId(to.name), Secret(bytes(32)), bytes(32), to.person.id, key)
