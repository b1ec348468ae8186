"""The five families of errors, and the errors that a relay answers with.

Other errors are in the modules they concern. A relay's are here because the relay raises them, the
wire carries them as problem documents, and the device raises them again.
"""

import inspect
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import ClassVar, Final

from entrenous.base.language import moment_in_words, translatable, translated


class EntrenousError(Exception):
    """Something went wrong."""

    family: ClassVar[str] = "bug"
    file: int | None = None  # the index of the given file that it is about; see of_file

    def __init__(self, **facts: object) -> None:
        super().__init__()
        self.facts = facts

    def __str__(self) -> str:
        return fill_message(_message_of(type(self)), **{"update": translated(UPDATE), **self.facts})

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the facts as keyword arguments; the default would pass them by position."""
        return (_rebuild, (type(self), self.facts))


class Unproven(EntrenousError):
    """A signature, a hash or a token is not valid."""

    family = "unproven"


class StampDoesNotHold(Unproven):
    """
    The time stamp was not accepted: {why}. Nothing was changed here. If you asked for it just now,
    try again, or use another stamp authority. If it was saved before, do not rely on the time that
    it states.
    """


class Malformed(EntrenousError):
    """These bytes are not what they claim to be."""

    family = "malformed"


class BadRecord(Malformed):
    """
    A stored {kind} cannot be read: its bytes are damaged, or a newer version of Entrenous wrote
    them. Nothing was changed. Update Entrenous and try again, or restore the vault from a backup.
    """


class NotFound(EntrenousError):
    """There is no such thing here."""

    family = "not-found"


class NoSuchMailbox(NotFound):
    """
    This relay has no such mailbox, or this token does not open it. Ask the person for a new
    invite.
    """


class NoSuchEnvelope(NotFound):
    """The relay holds no such message any more."""


class NoSuchBlob(NotFound):
    """The relay does not hold this file any more."""


class NoPrekeys(NotFound):
    """
    That device has left no keys at its relay yet, so nothing can be sealed for it. Ask the
    person to open Entrenous there once: entrenous inbox
    """


class WrongToken(Unproven):
    """
    The relay did not accept the token that was shown. An invite may have ended or been used
    up, or the person no longer accepts letters from here. If you have just added them, wait until
    they and then you have opened the inbox: entrenous inbox. Otherwise ask them for a new invite.
    """


class Refused(EntrenousError):
    """That was refused."""

    family = "refused"


class IdInUse(Refused):
    """
    The relay already holds something else under this number, so nothing was stored. Send
    again.
    """


class TakenBack(Refused):
    """
    The person who sent this took it back, so it cannot be opened here any more. That happens:
    it may have been meant for someone else, or they changed their mind.
    """


class Expired(Refused):
    """
    This message was meant to be opened until {when}. That time has passed and its key is
    gone. If you still need it, ask the person to send it again.
    """


class UsedUp(Refused):
    """
    This message could be opened a limited number of times, and that has happened. Its key is
    gone. Ask the person to send it again if you did not see it.
    """


class TooLarge(Refused):
    """
    This is larger than the relay takes ({limit_bytes} bytes at most). Send a smaller version:
    --size 2000
    """


class TooMany(Refused):
    """
    The relay is asked too often right now. Try again in {retry_after_s} seconds; nothing was
    lost.
    """


class MailboxFull(TooMany):
    """
    The relay holds as much for this person as it will for anyone, so it stored nothing more,
    and nothing was lost. There is room again once they have fetched what waits for them, and
    opened it or let it expire: ask them to open Entrenous, then send again.
    """


class TooManyRegistered(TooMany):
    """
    Your relay has as many people and devices registered for your mailbox as it will keep
    ({limit}), so it added nothing more, and nothing was lost. Let go of people you no longer
    write with: entrenous person forget NAME. Invites that nobody uses end by themselves.
    """


class MailboxesClosed(Refused):
    """
    This relay accepts no new mailboxes at the moment, so nothing was set up. Ask the people who run
    it, or choose another relay: --relay URL
    """


class WrongOffset(Refused):
    """
    The relay holds less of this file than expected, so nothing was stored. Send again; it continues
    where the relay stopped.
    """


class Unreachable(EntrenousError):
    """The network or a disk did not answer. Try again."""

    family = "unreachable"


class RelayUnreachable(Unreachable):
    """
    The relay at {host} does not answer. Nothing was lost. Check your connection and the
    relay's address, and try again.
    """


class OnionNeedsProxy(RelayUnreachable):
    """
    The relay at {host} is reached through Tor only, and no proxy is set, so nobody was asked and
    nothing was lost. Start Tor, then set ENTRENOUS_PROXY to its address, for example
    socks5h://127.0.0.1:9050
    """


class ProxySilent(RelayUnreachable):
    """
    The proxy at {host}, which ENTRENOUS_PROXY names, does not answer. Nothing was sent past it, and
    nothing was lost. Start it (for example Tor), and try again.
    """


class DiskFull(Unreachable):
    """
    The disk is full, so nothing was stored and nothing was lost. Free some space and try
    again.
    """


class AnswerCut(Unreachable):
    """
    The output could not be written completely: the disk is full, or reported an error. The command
    itself may have completed. Free some space, or print to the terminal. To see what was sent:
    entrenous sent
    """


class RelayFull(DiskFull):
    """
    The relay's disk is full, so it stored nothing. Nothing was lost. Try again later, or tell
    the people who run the relay.
    """


class DiskFailed(Unreachable):
    """
    The disk reported an error, so nothing was stored and nothing was lost. Try again later;
    if it happens again, the disk needs to be looked at.
    """


class DatabaseAway(Unreachable):
    """
    The relay cannot reach its database, so nothing was stored and nothing was lost. Try again in
    {retry_after_s} seconds; if this goes on, whoever runs the relay has to check the database.
    """


class RelayClockAhead(Unreachable):
    """
    The relay's clock is {days} days ahead of its last clean-up: the clock is wrong, or the relay
    was off for so long. So nothing was deleted, and nothing was lost. Try again in an hour; if this
    goes on, whoever runs the relay has to set its clock.
    """


class NotProven(RelayUnreachable):
    """
    The server at {host} could not prove that it is that relay, so nothing was sent to it and
    nothing was lost. On a network that is not yours somebody may be in between: try another one.
    If the relay is your own, with certificates of its own, name their file in ENTRENOUS_RELAY_CA.
    """


class NotARelay(RelayUnreachable):
    """
    Something answers at {host}, but it is not an Entrenous relay. Nothing was lost. Check the
    address, and whether this network wants you to sign in first.
    """


class NotEncrypted(Refused):
    """
    The relay's address {url} begins with http://, so everybody on the way could watch. Use
    its https:// address. Plain http is only for a relay on this machine.
    """


class TooFarAhead(Refused):
    """
    A relay keeps a message for {limit_days} days at most, so nothing was stored. Choose fewer:
    --days {limit_days}
    """


class ClocksDiffer(Refused):
    """
    This device's clock {differs} that of the relay at {host}, so the relay did not take this. Check
    the date, the time and the time zone here: this device has {now}. If that is right, tell the
    people who run the relay.
    """


class WaitsForClock(ClocksDiffer):
    """
    This device's clock {differs} that of the relay at {host}, so the relay accepts no letters from
    here now. They wait here, and nothing was lost. Check the date, the time and the time zone here:
    this device has {now}. Once that is right they leave with the next command, or with: entrenous
    send --resume. If it is right already, tell the people who run the relay.
    """


class WaitedTooLong(Refused):
    """A letter waited on this device until it expired, so it will not be sent."""


class NotUnderstood(Malformed):
    """
    The relay and this device do not understand each other, so nothing was stored. One of them
    is damaged or newer than the other. Update Entrenous: {update}
    """


class DamagedBlob(Malformed):
    """
    A file was damaged on its way to the relay, so the relay did not store it. Send again; the
    file on this device is unharmed.
    """


class ProtocolTooOld(Refused):
    """
    This relay speaks protocol {floor} to {newest}; this Entrenous speaks {ours}. Update it:
    {update}. Nothing was sent in the old way.
    """


UPDATE: Final = translatable(
    "in the folder it was installed from, git pull and then make .venv/.run"
)
"""How to update, as every message says (docs/start.md); no package index has Entrenous."""


_PLAIN: Final = "@%+=:,./-_"  # characters that a shell does not interpret, besides letters, digits
_COMMAND: Final = re.compile(r"\bentrenous(?:\s+(?:[\w-]+|\{\w+\}))+")
_FIELD: Final = re.compile(r"\{(\w+)\}")


def shell_quoted(word: object) -> str:
    """Quote a word of a command for the shell, if necessary."""
    text = str(word)
    plain = text and all(char.isalnum() or char in _PLAIN for char in text)
    return text if plain else shlex.quote(text)


def fill_message(words: str, **facts: object) -> str:
    """Fill a message's ``{fields}``; quote those that are part of a command (:func:`as_typed`)."""
    facts = {name: _in_words(fact) for name, fact in facts.items()}
    said = _COMMAND.sub(lambda command: _FIELD.sub(r"{typed \1}", command[0]), words)
    return said.format(
        **facts, **{f"typed {name}": shell_quoted(fact) for name, fact in facts.items()}
    )


def _in_words(fact: object) -> object:
    """Format a time for people, with its zone, since a relay may have chosen it."""
    return moment_in_words(fact) if isinstance(fact, datetime) else fact


def _message_of(kind: type[EntrenousError]) -> str:
    """Return an error's docstring, in the person's language if it is translated."""
    words = inspect.cleandoc(kind.__doc__ or kind.__name__)
    key = " ".join(words.split())
    found = translated(key)
    return words if found == key else found


def _rebuild(kind: type[EntrenousError], facts: dict[str, object]) -> EntrenousError:
    return kind(**facts)


@contextmanager
def about_file(place: int) -> Iterator[None]:
    """Mark an error raised inside the block as about one of the given files, counted from 0.

    Only the caller that was given the files knows their names, and may show them.
    """
    try:
        yield
    except (Malformed, Refused) as error:
        error.file = place
        raise
