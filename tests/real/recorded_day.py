"""Real traffic of a day on which five people use one relay.

The names and texts are unusual, so that a search for them finds nothing by chance.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from entrenous.base.environment import SystemClock, SystemRandomSource
from entrenous.base.identifiers import RecipientId
from entrenous.device.client.http_courier import HttpCourier
from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.clip_reader import read_clip
from entrenous.media.picture_reader import read_picture
from entrenous.media.sound_reader import read_sound
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.message.react import react
from entrenous.send.message.states import InboxState
from entrenous.send.open import open_message
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import mark_keys_compared
from entrenous.send.recall import recall_message
from entrenous.send.send import send_message
from entrenous.send.set_up import set_up
from entrenous.send.status import query_sent_messages
from entrenous.wire.relay_nouns import EnvelopeState
from tests.in_memory.vault import MemoryVault
from tests.media.test_no_metadata_left import MARKER, exif_with_personal_data
from tests.real.processes import Server, Shell
from tests.real.wire import RecordedTraffic
from tests.send.message.media_network import voice_note

PHOTO_FILE_NAME = "quillfeather-at-the-lighthouse.jpg"
NAMES = (
    *("Anastasia Quillfeather", "Benedict Ossington", "Cassiopeia Thornbury"),
    *("Demetrius Wolverhampton", "Evangeline Marchbanks"),
)
ANA, BEN, CARO, DAN, EVA = NAMES
TEXTS = (
    *("the lighthouse keeper sends his regards", "meet me beneath the copper weathervane"),
    *("nobody else shall see this picture", "forget what I wrote about the harbourmaster"),
    *("my grandmother's recipe needs nutmeg", "it still waits in the mailbox tonight"),
)
REACTION_TEXT = "hip-hip-hooray!"


@dataclass
class DayClock:
    """The machine's clock plus the time that was skipped."""

    skipped_time: timedelta = timedelta()

    def now(self) -> datetime:
        return SystemClock().now() + self.skipped_time


@dataclass
class Day:
    """A relay, the devices of people, and the recorded traffic. ``private_parts`` lists bytes that
    only these people may see.
    """

    wire: RecordedTraffic
    relay: Server
    clock: DayClock
    folder: Path
    devices: dict[str, Device] = field(default_factory=dict)
    private_parts: list[bytes] = field(default_factory=list)

    def send(self, sender: str, *recipients: str, **content: Any) -> str:
        """Skip an hour, send a message, and return the message's name."""
        self.clock.skipped_time += timedelta(hours=1)
        device = self.devices[sender]
        policy = MessagePolicy(device.clock.now() + timedelta(days=2), content.pop("opens", None))
        names, files = tuple(map(RecipientId, recipients)), content.pop("files", ())
        draft = Draft(files, names, policy, confirmed=frozenset(recipients), **content)
        return str(send_message(draft, device).name)

    def fetch(self, *people: str) -> None:
        """Fetch the messages of these people, or of everybody."""
        for person in people or tuple(self.devices):
            fetch_messages(self.devices[person])

    def open_newest(self, person: str) -> str:
        """Fetch and open a person's newest message; return its name.

        The secret of the message and parts of the files are added to ``private_parts``.
        """
        self.fetch(person)
        newest = received_messages(self.devices[person])[-1]
        assert newest.manifest is not None
        self.private_parts.append(newest.manifest.secret.reveal())
        content = open_message(newest.name, self.devices[person])
        for file in content.files:
            starts = range(600, len(file.data) - 24, 499)
            self.private_parts += [file.data[at : at + 24] for at in starts]
        return str(newest.name)


def set_up_device(name: str, courier: HttpCourier, day: Day) -> Device:
    vault = MemoryVault()
    device = Device(
        *(day.clock, SystemRandomSource(), vault, VaultLedger(vault), courier),
        read_picture=read_picture,
        read_clip=read_clip,
        read_sound=read_sound,
    )
    set_up(name, day.wire.url, device)
    return device


def run_day(day: Day) -> None:
    """Let people become contacts, send, open and recall messages, and react to a message."""
    for first_name, second_name in ((BEN, CARO), (BEN, DAN), (CARO, EVA)):
        make_contacts(first_name, second_name, day)
    photo = save_photo_with_metadata(day.folder / PHOTO_FILE_NAME)
    send_by_commands(photo, day)
    day.send(BEN, CARO, DAN, text=TEXTS[1])
    day.open_newest(CARO)
    react(day.open_newest(DAN), REACTION_TEXT, day.devices[DAN])
    day.send(CARO, EVA, files=(voice_note(),), caption=TEXTS[4])
    day.open_newest(EVA)
    day.send(BEN, CARO, files=(photo.read_bytes(),), caption=TEXTS[2], opens=1)
    view_once = day.open_newest(CARO)
    recalled = day.send(BEN, DAN, text=TEXTS[3])
    recall_message(recalled, day.devices[BEN])
    day.fetch()
    day.clock.skipped_time += timedelta(minutes=20)  # receipts are sent after a delay
    day.fetch()
    day.fetch()
    day.send(CARO, EVA, BEN, files=(photo.read_bytes(),), caption=TEXTS[5])
    assert inbox_state(day, CARO, view_once) is InboxState.USED_UP
    assert sent_state(day, BEN, recalled) is EnvelopeState.TAKEN_BACK


def make_contacts(first_name: str, second_name: str, day: Day) -> None:
    first, second = day.devices[first_name], day.devices[second_name]
    add_person(make_invite_link(second), second_name, first)
    day.fetch(second_name, first_name)
    mark_keys_compared(first_name, second)
    mark_keys_compared(second_name, first)


def send_by_commands(photo: Path, day: Day) -> None:
    """Let Ana set up a device, add Ben, and send a file with a revealing name, all by commands."""
    ana = Shell(ANA, day.folder / "ana")
    ana.run("setup", "--name", ANA, "--relay", day.wire.url)
    ana.run("person", "add", make_invite_link(day.devices[BEN]), "--as", BEN, "--json")
    day.fetch(BEN)
    to = ("--to", BEN, "--confirm", BEN.split()[0], "--caption", TEXTS[0], "--json")
    ana.run("send", str(photo), *to)
    day.open_newest(BEN)
    day.private_parts.append(ana.passphrase.encode())


def inbox_state(day: Day, person: str, message: str) -> InboxState:
    (found,) = [one for one in received_messages(day.devices[person]) if one.name == message]
    return found.state


def sent_state(day: Day, person: str, message: str) -> EnvelopeState | None:
    sent_messages = query_sent_messages(day.devices[person])
    (sent,) = [one for one in sent_messages if one.message.name == message]
    return sent.copies[0].state


def save_photo_with_metadata(path: Path) -> Path:
    """Save a photograph with recognisable words in and after the metadata; return the path."""
    import skimage.data

    picture = Image.fromarray(np.asarray(skimage.data.astronaut())[0:200, 100:360])
    picture.save(path, "JPEG", quality=90, exif=exif_with_personal_data(), comment=MARKER)
    path.write_bytes(path.read_bytes() + MARKER * 20)
    return path
