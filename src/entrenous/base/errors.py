"""The five base classes of errors (the families), and the errors that a relay answers with.

Other errors are in the modules that raise them. A relay's errors are here because both sides use
them: the relay raises and sends them (as problem documents, RFC 9457), and the device raises them
again.
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
    # which of the given files the error is about, as an index; see note_error_file_index
    file: int | None = None

    def __init__(self, **facts: object) -> None:
        super().__init__()
        self.facts = facts

    def __str__(self) -> str:
        facts = {name: _format_fact_translated(name, fact) for name, fact in self.facts.items()}
        return fill_message(
            _message_template(type(self)), **{"update": translated(HOW_TO_UPDATE), **facts}
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the error with its facts as keyword arguments; the default loses the names."""
        return (_unpickle_error, (type(self), self.facts))


class Unproven(EntrenousError):
    """The check of a signature, a hash or a token failed, so the data was not accepted."""

    family = "unproven"


class InvalidTimestamp(Unproven):
    """
    The time stamp was not accepted: {why}. Nothing was changed here. If the reason is the
    certificate file, use the right file and check the stamp again. If you have just requested the
    stamp, try again, or use another stamp authority. Until a saved stamp is accepted, do not rely
    on the time that it states.
    """


class Malformed(EntrenousError):
    """This data is not in the expected format."""

    family = "malformed"


class BadRecord(Malformed):
    """
    A stored record ({kind}) cannot be read: it is damaged, or a newer version of Entrenous wrote
    it. Nothing was changed. Update Entrenous and try again. If that does not help and you have a
    backup of your Entrenous folder, you can read your messages and cases in the backup, unless you
    changed the passphrase after making it. You cannot send messages from the backup.
    """


class NotFound(EntrenousError):
    """
    What you asked for was not found here. Nothing was changed. Check its name or its address, then
    try again.
    """

    family = "not-found"


class NoSuchMailbox(NotFound):
    """
    The relay does not know the mailbox that this request is about, or did not accept this device's
    token for that mailbox. The relay stored nothing. If you were writing to somebody, ask them for
    a new invite. If it is your own mailbox, tell the people who run the relay.
    """


class NoSuchEnvelope(NotFound):
    """
    The relay no longer has this message. Nothing on this device was changed. If you still need the
    message, ask its sender to send it again.
    """


class NoSuchBlob(NotFound):
    """
    The relay no longer has this file. Nothing on this device was changed. If you were sending the
    file, send it again. If you were opening it, ask its sender to send it again.
    """


class NoPrekeys(NotFound):
    """
    The relay has no keys yet for a device of the person you are writing to, so nothing can be
    encrypted for that device. Nothing was sent to it. Ask the person to open Entrenous once on each
    of their devices: entrenous inbox
    """


class WrongToken(Unproven):
    """
    The relay did not accept this device's token, so it did not do what was asked. Nothing on this
    device was lost. If you were writing to somebody, the invite may have expired or been used up,
    or the person no longer accepts messages from you. If you have just added each other, ask the
    person to run this command, and then run it yourself: entrenous inbox. Otherwise ask the person
    for a new invite. If you were not writing to anybody, tell the people who run the relay.
    """


class Refused(EntrenousError):
    """This was refused."""

    family = "refused"


class IdInUse(Refused):
    """
    The relay already has different data under the identifier that this device chose for a message,
    a file or a mailbox, so it stored nothing new. Try again: a message that you send again gets a
    new identifier.
    """


class TakenBack(Refused):
    """
    The person who sent this message took it back, so it can no longer be opened here. The message
    may have been meant for somebody else, or the sender may have changed their mind.
    """


class Expired(Refused):
    """
    This message could be opened until {when}. That time has passed, and the key of the message has
    been deleted. If you still need the message, ask its sender to send it again.
    """


class UsedUp(Refused):
    """
    This message has been opened as often as its sender allowed, and its key has been deleted. If
    you did not see the message, ask its sender to send it again.
    """


class TooLarge(Refused):
    """
    This file or message is larger than the {limit_bytes} bytes that the relay accepts. The relay
    stored nothing. Send a smaller version. To make pictures smaller, add this to the command:
    --size 2000
    """


class TooMany(Refused):
    """
    The relay does not accept this request right now: there are too many requests, or the same file
    is already being uploaded. Nothing was lost. Try again in {retry_after_s} seconds.
    """


class MailboxFull(TooMany):
    """
    The relay has no room for more in the mailbox of the person you are writing to, or for more
    copies of this message, so it stored nothing more. Nothing was lost. Ask the person to open
    Entrenous and open the messages that are waiting there. Then send your message again. If you are
    sending to very many devices, send to fewer at once.
    """


class TooManyRegistered(TooMany):
    """
    Your mailbox at the relay has reached its limit of {limit}, so nothing was added. Nothing was
    lost. The limit is 65536 for permissions to write to you, and 64 for devices that published
    keys. To make room for permissions, forget people who no longer need to write to you: entrenous
    person forget NAME. Unused invites expire by themselves. If the limit that was reached is 64,
    tell the people who run the relay.
    """


class MailboxesClosed(Refused):
    """
    This relay accepts no new mailboxes at the moment. Nothing was set up. Ask the people who run
    it, or choose another relay: --relay URL
    """


class WrongOffset(Refused):
    """
    The relay has less of this file than expected, so nothing more was stored. Send again: the
    upload continues from the part that the relay has.
    """


class Unreachable(EntrenousError):
    """The network or a disk did not answer. Try again."""

    family = "unreachable"


class RelayUnreachable(Unreachable):
    """
    The relay at {host} does not answer, or answers with an error. Nothing was lost. Check your
    connection and the relay's address, then try again. If this goes on, tell the people who run the
    relay.
    """


class OnionNeedsProxy(RelayUnreachable):
    """
    The relay at {host} can only be reached through Tor, and no proxy is set. Nothing was sent to
    it, and nothing was lost. Start Tor, then set ENTRENOUS_PROXY to the address of Tor's proxy, for
    example socks5h://127.0.0.1:9050
    """


class ProxyUnreachable(RelayUnreachable):
    """
    The proxy at {host}, set with ENTRENOUS_PROXY, does not answer. Nothing was sent without the
    proxy, and nothing was lost. Start the proxy (for example Tor), then try again.
    """


class DiskFull(Unreachable):
    """
    The disk is full, so this could not be stored. Data that was stored earlier was not changed.
    Free some space and try again.
    """


class IncompleteOutput(Unreachable):
    """
    The output is incomplete: the disk is full, or reported an error. The command itself may have
    completed, so check what it did before you run it again. To see what was sent: entrenous sent.
    Then free some space, or print to the terminal.
    """


class RelayFull(DiskFull):
    """
    The relay's disk is full, so the relay stored nothing. Nothing was lost. Try again later, or
    tell the people who run the relay.
    """


class DiskFailed(Unreachable):
    """
    The disk reported an error, so this could not be stored. Data that was stored earlier was not
    changed. Try again later; if it happens again, have the disk checked.
    """


class RelayDiskFailed(DiskFailed):
    """
    The relay's disk reported an error, so the relay stored nothing. Nothing was lost. Try again
    later; if it happens again, tell the people who run the relay.
    """


class DatabaseAway(Unreachable):
    """
    The relay cannot reach its database, so nothing was stored. Nothing was lost. Try again in
    {retry_after_s} seconds. If this goes on, tell the people who run the relay: they have to check
    its database.
    """


class RelayClockAhead(Unreachable):
    """
    By the relay's clock, {days} days have passed since the relay last deleted expired messages.
    Either the clock is wrong, or the relay was off for that long. Nothing was deleted, and nothing
    was lost. Try again in an hour. If this goes on, tell the people who run the relay: they have to
    set its clock.
    """


class RelayNotAuthenticated(RelayUnreachable):
    """
    The server at {host} could not prove that it is the relay. Nothing was sent to it, and nothing
    was lost. On a network that you do not control, somebody may be intercepting the connection: try
    another network. If no public authority issued the relay's certificate, ask the people who run
    the relay for their certificate file, and set ENTRENOUS_RELAY_CA to its path.
    """


class NotARelay(RelayUnreachable):
    """
    There is no Entrenous relay at {host}: either this is not a valid address, or a different server
    answers there. Nothing was lost. Check the address, and check whether this network wants you to
    sign in first. Then try again.
    """


class NotEncrypted(Refused):
    """
    The relay's address {url} begins with http://, so anybody on the network could read what you
    send. Nothing was sent. Use its https:// address. Plain http is only for a relay on this
    machine.
    """


class TooFarAhead(Refused):
    """
    You asked for a longer time than this relay allows: it stores a message for at most {limit_days}
    days. Nothing was stored. Choose fewer days: --days {limit_days}
    """


class ClocksDiffer(Refused):
    """
    This device's clock {differs} that of the relay at {host}, so the relay did not accept the
    request. Nothing was lost. Check the date, the time and the time zone of this device: it shows
    {now}. Then try again. If they are right already, tell the people who run the relay.
    """


class PostponedUntilClockIsRight(ClocksDiffer):
    """
    This device's clock {differs} that of the relay at {host}, so the relay accepts no messages from
    it now. Your messages wait on this device, and nothing was lost. Check the date, the time and
    the time zone of this device: it shows {now}. Once they are right, the messages are sent with
    the next command, or with: entrenous send --resume. If they are right already, tell the people
    who run the relay.
    """


class WaitedTooLong(Refused):
    """
    A message waited on this device until it expired, so it will not be sent to those who have not
    received it yet. To see which message it was: entrenous sent. If it is still needed, write it
    again.
    """


class NotUnderstood(Malformed):
    """
    The relay and this device do not understand each other, so it is not certain that the relay did
    what you asked. Nothing on this device was lost. One of them runs a newer version of Entrenous
    than the other, or is damaged. Update Entrenous, then try again: {update}
    """


class DamagedBlob(Malformed):
    """
    A file was damaged on its way to the relay, so the relay did not store it. The file on this
    device is not damaged. Send it again.
    """


class ProtocolTooOld(Refused):
    """
    This relay supports protocol versions {floor} to {newest}; this version of Entrenous uses
    {ours}. Nothing was sent to it. Update Entrenous: {update}
    """


HOW_TO_UPDATE: Final = translatable(
    "in the folder from which it was installed, run git pull and then make .venv/.run"
)
"""How to update, in the words that messages use (docs/start.md).

Entrenous is in no package index.
"""


# besides letters and digits, a shell does not interpret these characters
_SHELL_SAFE_CHARS: Final = "@%+=:,./-_"
_COMMAND_PATTERN: Final = re.compile(r"\bentrenous(?:\s+(?:[\w-]+|\{\w+\}))+")
_FIELD_PATTERN: Final = re.compile(r"\{(\w+)\}")


def quote_for_shell(word: object) -> str:
    """Quote a word of a command for the shell, if necessary."""
    text = str(word)
    plain = text and all(char.isalnum() or char in _SHELL_SAFE_CHARS for char in text)
    return text if plain else shlex.quote(text)


def fill_message(words: str, **facts: object) -> str:
    """Replace the ``{fields}`` of a message by facts.

    Facts that are part of a command are quoted for the shell.
    """
    facts = {name: _format_fact(fact) for name, fact in facts.items()}
    said = _COMMAND_PATTERN.sub(
        lambda command: _FIELD_PATTERN.sub(r"{typed \1}", command[0]), words
    )
    return said.format(
        **facts, **{f"typed {name}": quote_for_shell(fact) for name, fact in facts.items()}
    )


#: The names of those facts whose values are words of this program, and are translated. The values
#: of all other facts are names, or text that people typed.
TRANSLATED_FACTS: Final = frozenset({"wanted", "what", "when", "why"})


def _format_fact_translated(name: str, fact: object) -> object:
    """Return a fact in the person's language if its value is one of this program's words."""
    return translated(fact) if name in TRANSLATED_FACTS and isinstance(fact, str) else fact


def _format_fact(fact: object) -> object:
    """Format a fact for people; a time is shown with its zone, since a relay may have sent it."""
    return moment_in_words(fact) if isinstance(fact, datetime) else fact


def _message_template(kind: type[EntrenousError]) -> str:
    """Return an error's docstring, in the person's language if it is translated."""
    words = inspect.cleandoc(kind.__doc__ or kind.__name__)
    key = " ".join(words.split())
    found = translated(key)
    return words if found == key else found


def _unpickle_error(kind: type[EntrenousError], facts: dict[str, object]) -> EntrenousError:
    return kind(**facts)


@contextmanager
def note_error_file_index(place: int) -> Iterator[None]:
    """If the block raises an error about a file, store the file's index (from 0) in the error.

    Only the caller knows the files' names and whether they may be shown.
    """
    try:
        yield
    except (Malformed, Refused) as error:
        error.file = place
        raise
