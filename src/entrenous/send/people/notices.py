"""The notices of links that were used, of keys that changed and of letters that could not be
opened: their words, and which of them were not dismissed yet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from entrenous.base.copies import join_names
from entrenous.base.errors import fill_message
from entrenous.base.identity import Trust
from entrenous.base.language import day_in_words, moment_in_words, plural, translatable, translated
from entrenous.device.device import Device
from entrenous.device.vault_tables import (
    CONTACT_CHANGE,
    INVITE_NOTICE,
    UNDECRYPTABLE_LETTER,
)
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.people.people_nouns import (
    CONTACT_CHANGE_TABLE,
    INVITE_NOTICE_TABLE,
    ContactChange,
    DeviceListContradiction,
    FollowedMoveState,
    InviteEvent,
    InviteNotice,
)

#: Words for what is known about somebody's keys.
TRUST_WORDS: Final = {
    Trust.UNKNOWN: translatable("unknown: compare keys before you send anything private"),
    Trust.BY_LINK: translatable("by link, keys not compared yet"),
    Trust.COMPARED: translatable("keys compared"),
}


def describe_contact_change(changed: ContactChange) -> str:
    """Return the notice of one change, in a few sentences."""
    if changed.lists is not None:
        words = _CONTACT_DEVICE_LIST_SENTENCES if changed.name else _OWN_DEVICE_LIST_SENTENCES
        return fill_message(translated(words[changed.lists]), name=changed.name)
    if changed.moving is not None:
        return fill_message(translated(_MOVE_SENTENCES[changed.moving]), relay=changed.name)
    if changed.was is not None:
        return translated(_RENAMED_SENTENCE).format(was=changed.was, name=changed.name)
    return " ".join(_describe_device_changes(changed))


def _describe_device_changes(changed: ContactChange) -> Iterator[str]:
    at = moment_in_words(changed.at)
    what = [
        plural("{count} is new", "{count} are new", changed.devices_added)
        if changed.devices_added
        else "",
        plural("{count} is gone", "{count} are gone", changed.devices_removed)
        if changed.devices_removed
        else "",
    ]
    if any(what):
        yield translated("{name}'s devices changed on {at}: {what}.").format(
            name=changed.name, at=at, what=f" {translated('and')} ".join(filter(None, what))
        )
    if changed.trust_lost:
        yield translated("Seen on {at}: {name}'s keys count as unknown now.").format(
            name=changed.name, at=at
        )
    yield fill_message(
        translated(
            "This happens with a new phone, but also if somebody has taken over {name}'s "
            "keys. If you did not expect it, ask {name} over another channel, and compare: "
            "entrenous person verify {name}"
        ),
        name=changed.name,
    )


def describe_invite_notice(notice: InviteNotice) -> str:
    """Return the notice of a link event: who, when, with which device, and what to do."""
    sentence = fill_message(
        translated(_INVITE_EVENT_SENTENCES[notice.event]),
        at=moment_in_words(notice.at),
        name=notice.name,
        called=notice.called,
        device=_describe_device(notice),
        link=_describe_invite_link(notice),
        before=translated(", by {names}").format(names=join_names(notice.before))
        if notice.before
        else "",
    )
    if notice.for_one and notice.before:
        sentence += " " + fill_message(translated(_LINK_USED_TWICE_SENTENCE), who=notice.before[0])
    if notice.alike:
        others = join_names(notice.alike)
        sentence += " " + fill_message(
            translated(_SIMILAR_NAME_SENTENCE), name=notice.name, others=others
        )
    return sentence


def describe_undecryptable_letters(count: int) -> str:
    """Return the notice of letters that could not be opened."""
    return plural(
        "1 letter could not be opened. If you miss something, ask its sender to send it again.",
        "{count} letters could not be opened. If you miss something, ask its sender to send it "
        "again.",
        count,
    )


def no_receipts_in_words(name: str) -> str:
    """Return the sentence that says that somebody gets no receipts, because their keys were not
    compared. It is shown before :func:`receipts_question`.
    """
    return translated(
        "You know {name} by a link only, so {name}'s program is not told when you get and open "
        "what they send."
    ).format(name=name)


def receipts_question(name: str) -> str:
    """Ask whether somebody should get receipts."""
    return translated("Tell {name} when you open what they send?").format(name=name)


def _describe_invite_link(notice: InviteNotice) -> str:
    if not notice.meant_for:
        return translated("your link")
    return translated("the link that you made for {name}").format(name=notice.meant_for)


def _describe_device(notice: InviteNotice) -> str:
    """Describe a device so that others can tell it apart: its number, and the time at which, by its
    own account, it was set up.
    """
    if notice.device is None or notice.made_at is None:
        return translated("a device")
    return translated("a device set up on {day} (device {number})").format(
        day=day_in_words(notice.made_at), number=notice.device.hex()[:8]
    )


_INVITE_EVENT_SENTENCES: Final = {
    InviteEvent.JOINED: translatable(
        'Somebody who calls themselves "{called}" joined by {link} on {at}, with '
        "{device}. You call them {name}, and know them by link only: others may have "
        "read the link on its way. Compare keys: entrenous person verify {name}"
    ),
    InviteEvent.ELSEWHERE: translatable(
        "Another device of yours added {name} on {at}, by link; they call themselves "
        '"{called}" and use {device}. Compare keys: entrenous person verify {name}'
    ),
    InviteEvent.REFUSED: translatable(
        'Somebody who calls themselves "{called}" came by {link} on {at}, with '
        "{device}, and was not added: the link had been used already{before}."
    ),
    InviteEvent.TOO_LATE: translatable(
        "{name}'s link had been used before you used it, so {name}'s device did not add "
        "you, and {name} is no longer on your list. What you sent to {name} meanwhile "
        "cannot be opened there. If you did not use the link before, somebody else has "
        "it: tell {name} over another channel, and ask for a new link."
    ),
}
_LINK_USED_TWICE_SENTENCE: Final = translatable(
    "So two people have had a link that was for one person, and {who} may not be "
    "who you mean: {who} counts as unknown unless you compared keys. Ask over "
    "another channel, and compare: entrenous person verify {who}. If {who} is not "
    "who you mean, first remove this entry, then make a new link: entrenous person "
    "forget {who}"
)
_SIMILAR_NAME_SENTENCE: Final = translatable(
    "The name {name} is easily mistaken for {others}. To change it: entrenous person rename"
)
_RENAMED_SENTENCE: Final = translatable(
    "Two of your devices called two different people or circles {was}. So that a name means the "
    "same on all of them, one is now called {name}. Check which is which before you send anything: "
    "entrenous person list, entrenous circle list"
)
_MOVE_SENTENCES: Final = {
    FollowedMoveState.READY: translatable(
        "Another device of yours is about to move to {relay}, and this one is ready to follow. "
        "Continue there: entrenous device move --relay {relay}"
    ),
    FollowedMoveState.MOVED: translatable(
        "This device is at {relay} now, because it followed another device of yours. "
        "Your earlier invite links lead to the old relay; make new ones: entrenous "
        "invite. An earlier recovery sheet no longer opens this device; write a new "
        "one: entrenous device recovery --out FILE"
    ),
}
_CONTACT_DEVICE_LIST_SENTENCES: Final = {
    DeviceListContradiction.FORKED: translatable(
        "There are two lists of {name}'s devices that contradict each other, so nothing "
        "more is sent to {name}. Either somebody is intercepting the connection, or a "
        "stranger has {name}'s keys. Meet, or call a number that you know, and compare: "
        "entrenous person verify {name} --sas"
    ),
    DeviceListContradiction.SPLIT: translatable(
        "Somebody who wrote to you has a list of {name}'s devices that differs from "
        "yours, and {name}'s relay does not show that list. Either one of you was shown "
        "a false list, or that person claims something false. Ask {name}, and compare: "
        "entrenous person verify {name} --sas"
    ),
    DeviceListContradiction.HELD_BACK: translatable(
        "Three messages have named a newer list of {name}'s devices than the one that "
        "{name}'s relay shows. The relay may be slow, or it may be hiding the list. If "
        "{name} has lost a device, do not send anything private before you have asked "
        "{name} over another channel."
    ),
}
_OWN_DEVICE_LIST_SENTENCES: Final = {
    DeviceListContradiction.FORKED: translatable(
        "There is a second list of your own devices that contradicts the one here. If "
        "you did not link or revoke devices on two of them at once, whoever made the "
        "second list has your master key. Tell the people you write to over another "
        "channel, and start again in another folder: ENTRENOUS_HOME=DIR entrenous setup "
        "--name YOU --relay URL"
    ),
    DeviceListContradiction.SPLIT: translatable(
        "Somebody who wrote to you has a list of your devices that differs from the one "
        "here. If you did not make that list, their program has an error, or somebody "
        "has your master key. Compare keys with them: entrenous person verify NAME "
        "--sas"
    ),
    DeviceListContradiction.HELD_BACK: translatable(
        "A message names a newer list of your devices than this device knows. If you "
        "linked or revoked a device on another one, the new list is on its way here. If "
        "you did not, look at the list on your other devices: entrenous device list"
    ),
}


_UNDECRYPTABLE_LETTERS_NOTICE_ID = "letters"


@dataclass(frozen=True, slots=True)
class UnreadNotice:
    """A notice in words; ``id`` identifies it for :func:`dismiss_notice`."""

    id: str
    words: str


def unread_notices(device: Device) -> tuple[UnreadNotice, ...]:
    """Return the notices that were not dismissed, links first; nothing is removed."""
    return (
        *_invite_notices(device),
        *_contact_change_notices(device),
        *_undecryptable_letters_notice(device),
    )


def dismiss_notice(notice_id: str, device: Device) -> None:
    """Remove a notice that the user has read; a missing one is no error."""
    if notice_id == _UNDECRYPTABLE_LETTERS_NOTICE_ID:
        take_undecryptable_count(device)
        return
    table, _, key = notice_id.partition(" ")
    if table in {INVITE_NOTICE, CONTACT_CHANGE}:
        device.vault.drop(table, key)


def _invite_notices(device: Device) -> Iterator[UnreadNotice]:
    for key in INVITE_NOTICE_TABLE.keys(device.vault):
        notice = INVITE_NOTICE_TABLE.load(key, device.vault)
        if notice is not None:
            yield UnreadNotice(f"{INVITE_NOTICE} {key}", describe_invite_notice(notice))


def _contact_change_notices(device: Device) -> Iterator[UnreadNotice]:
    for key in CONTACT_CHANGE_TABLE.keys(device.vault):
        changed = CONTACT_CHANGE_TABLE.load(key, device.vault)
        if changed is not None:
            yield UnreadNotice(f"{CONTACT_CHANGE} {key}", describe_contact_change(changed))


def _undecryptable_letters_notice(device: Device) -> Iterator[UnreadNotice]:
    count = len(device.vault.keys(UNDECRYPTABLE_LETTER))
    if count:
        yield UnreadNotice(_UNDECRYPTABLE_LETTERS_NOTICE_ID, describe_undecryptable_letters(count))
