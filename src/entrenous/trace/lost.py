"""What a trace could not look at: the vault does not give it any more."""

from dataclasses import dataclass, field

from entrenous.model.ids import BlobId, MessageId
from entrenous.model.letter import DoesNotOpen
from entrenous.model.message import Message
from entrenous.model.relay_problem import NoSuchBlob
from entrenous.ports import Device


@dataclass(slots=True)
class Lost:
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
