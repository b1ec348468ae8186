"""The ledger on any vault: messages, copies and traces as records."""

from collections.abc import Iterator
from typing import Final

from entrenous.craft.fingerprint.distance import distance
from entrenous.craft.wire.record import pack, unpack
from entrenous.model.fingerprint import Fingerprint
from entrenous.model.ids import MessageId
from entrenous.model.message import Message, SentPicture, UnknownMessage
from entrenous.model.verdict import Trace
from entrenous.ports import Vault

_MESSAGES: Final = "message"
_TRACES: Final = "trace"


class VaultLedger:
    """The ``Ledger`` port over the ``Vault`` port."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def record(self, message: Message) -> None:
        """Store a message, or replace what is stored under its id."""
        self._vault.put(_MESSAGES, message.id.hex(), pack(message))

    def forget(self, message: MessageId) -> None:
        """Remove a message of which no copy has left; it need not exist."""
        self._vault.drop(_MESSAGES, message.hex())

    def messages(self) -> Iterator[Message]:
        """Every message, oldest first."""
        stored = [unpack(Message, record) for _, record in self._vault.items(_MESSAGES)]
        return iter(sorted(stored, key=lambda message: message.sent_at))

    def find(self, name: str) -> Message:
        """The message of that name; raises UnknownMessage."""
        for message in self.messages():
            if message.name == name:
                return message
        raise UnknownMessage(name=name)

    def near(self, found: Fingerprint) -> tuple[tuple[Message, SentPicture], ...]:
        """Every sent picture, the one with the nearest fingerprint first.

        A crop moves a fingerprint far away, so nothing is left out here: registration decides.
        """
        sent = [(message, picture) for message in self.messages() for picture in message.pictures]
        return tuple(sorted(sent, key=lambda pair: distance(found, pair[1].fingerprint)))

    def note(self, trace: Trace) -> None:
        """Keep a trace, so that a case can be opened from it."""
        self._vault.put(_TRACES, f"{trace.number:08d}", pack(trace))

    def traces(self) -> tuple[Trace, ...]:
        """Every trace that was kept, oldest first."""
        return tuple(unpack(Trace, record) for _, record in self._vault.items(_TRACES))
