"""Fetch what waits at the relay (docs/spec/letter.md section 7).

Each letter is opened and its effect stored in one transaction, and only then is the relay told that
it may forget it: a crash in between means that it comes again, and is recognised.
"""

from dataclasses import dataclass

from entrenous.model.envelope import Waiting
from entrenous.model.errors import EntrenousError, Malformed, Unproven
from entrenous.model.letter import Hello, Manifest, NotBound
from entrenous.model.message import InboxState, Received
from entrenous.model.person import Contact, NotInvited, OnThisMachine
from entrenous.ports import Device
from entrenous.send.aside import put_aside
from entrenous.send.drawers import GREET, RECALLED, SEEN, inbox_key
from entrenous.send.inbox import settle
from entrenous.send.invite import answer_greetings, be_greeted, invited_by
from entrenous.send.naming import free_message_name
from entrenous.send.obey import obey
from entrenous.send.open import finish_openings
from entrenous.send.outbox import flush
from entrenous.send.people import contact_of
from entrenous.send.prekeys import look_after_prekeys
from entrenous.send.read_letter import Letter, read_letter
from entrenous.send.self import Me, who_am_i


@dataclass(frozen=True, slots=True)
class Fetched:
    """How many letters came, and what kept letters of ours from leaving meanwhile."""

    came: int
    problems: tuple[EntrenousError, ...]


def fetch_messages(device: Device) -> Fetched:
    """Send what waits here, and fetch what waits there.

    What another relay refuses, or does not answer, is a problem and stops nothing.

    Raises:
        OfflineDevice; RelayUnreachable or a refusal, when it is our own relay's.
    """
    me = who_am_i(device)
    problems = flush(device).problems
    came = _fetch_all(me, device)
    finish_openings(device)
    answer_greetings(device)
    problems += flush(device).problems
    look_after_prekeys(device)
    return Fetched(came, problems)


def _fetch_all(me: Me, device: Device) -> int:
    came, after, home = 0, 0, me.home
    while page := device.courier.waiting(home.relay_url, home.mailbox, home.owner, after):
        before = after
        for waiting in page:
            came += _take_in(waiting, me, device)
            device.courier.acknowledge(home.relay_url, home.mailbox, home.owner, waiting.id)
            after = max(after, waiting.sequence)
        if after == before:
            break  # the relay repeats itself
    return came


def _take_in(waiting: Waiting, me: Me, device: Device) -> int:
    key = waiting.id.hex()
    if device.vault.get(SEEN, key) is not None:
        return 0
    try:
        with device.vault.together():
            _act_on(read_letter(waiting, me, device), waiting, me, device)
            device.vault.put(SEEN, key, b"")
    except (NotInvited, OnThisMachine):
        device.vault.put(SEEN, key, b"")
    except (Malformed, Unproven):
        # One bad letter must not stop the ones behind it, nor come again for ever.
        with device.vault.together():
            put_aside(key, device)
            device.vault.put(SEEN, key, b"")
    return 1


def _act_on(letter: Letter, waiting: Waiting, me: Me, device: Device) -> None:
    if isinstance(letter.body, Hello):
        _greeted(letter.body, letter, device)
    elif isinstance(letter.body, Manifest):
        _received(letter.body, letter, waiting, me, device)
    else:
        obey(letter.body, letter.header.from_person, device)


def _greeted(hello: Hello, letter: Letter, device: Device) -> None:
    invited = hello.invite_lock is not None and invited_by(hello.invite_lock, device)
    if not invited and contact_of(letter.person.id, device) is None:
        raise NotInvited
    contact = be_greeted(hello, letter.person, device)
    if invited:
        device.vault.put(GREET, contact.person.id.hex(), b"")


def _sender_of(letter: Letter, device: Device) -> Contact:
    """The contact who sent this letter; read_letter has proven that there is one."""
    contact = contact_of(letter.person.id, device)
    if contact is None:
        raise NotBound(what="it is from nobody we know")
    return contact


def _received(manifest: Manifest, letter: Letter, waiting: Waiting, me: Me, device: Device) -> None:
    if manifest.relay_url != me.home.relay_url:
        # Whose server it names would learn where we are, and when we look.
        raise NotBound(what="its files do not lie at our relay")
    message = letter.header.message
    sender = _sender_of(letter, device)
    received = Received(
        id=message,
        name=free_message_name(manifest.name, device),
        sender=sender.person.id,
        sender_name=sender.name,
        sent_at=manifest.sent_at,
        envelope=waiting.id,
        relay_url=manifest.relay_url,
        expires_at=manifest.expires_at,
        opens=manifest.opens,
        state=InboxState.WAITING,
        manifest=manifest,
    )
    key = inbox_key(sender.person.id, message)
    taken_back = device.vault.get(RECALLED, key) is not None
    settle(received, InboxState.TAKEN_BACK if taken_back else InboxState.WAITING, device)
