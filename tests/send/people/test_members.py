"""Tests of circles: names, members, recipients of a message, and the guard's questions."""

from dataclasses import replace

import pytest

from entrenous.base.identifiers import PersonId
from entrenous.device.vault_tables import CONTACT
from entrenous.send.conversations import participants_of_message
from entrenous.send.guard import inspect_draft
from entrenous.send.message.draft import (
    ConfirmedNameNotRecipient,
    Draft,
    SendingUndone,
    UnansweredWarnings,
)
from entrenous.send.message.transfer_progress import TransferWatch
from entrenous.send.people.block import block_contact
from entrenous.send.people.circle_members import (
    circle_named,
    create_or_extend_circle,
    members_of,
    remove_from_circle_or_delete,
    resolve_recipients,
)
from entrenous.send.people.circles import (
    Circle,
    CircleFull,
    CircleId,
    EmptyCircle,
    NoReachableMember,
    NotInCircle,
    UnknownCircle,
    circles,
)
from entrenous.send.people.keep_contacts import (
    contact_named,
    forget_contact,
    free_contact_name,
    store_contact,
)
from entrenous.send.people.people_nouns import BadName, ContactIsBlocked, NameTaken, UnknownPerson
from entrenous.send.send import PostedMessage, send_message
from tests.send.send_device import SMALL_PICTURE, Network, Person
from tests.send.signed_lists import NOON
from tests.send.test_guard import draft

pytestmark = pytest.mark.slow


@pytest.fixture
def family(friends: Network) -> Network:
    """Ana, whose circle "family" has the members Ben and Caro."""
    ana = friends["ana"]
    ana.add_contact(friends.set_up_person("caro"))
    create_or_extend_circle("family", ["ben", "caro"], ana.device)
    return friends


def family_draft(ana: Person, *confirmed: str) -> Draft:
    recipients = resolve_recipients(["family"], ana.device)
    return replace(draft(ana, *recipients.people, confirmed=confirmed), circles=recipients.circles)


def send_to_family(ana: Person) -> PostedMessage:
    return send_message(family_draft(ana, "Family"), ana.device)


def test_circle_name_resolves_to_its_people(family: Network) -> None:
    ana = family["ana"]
    recipients = resolve_recipients(["ben", "FAMILY", "Caro"], ana.device)
    assert recipients.people == ("ben", "caro")
    assert recipients.circles == (circle_named("Family", ana.device).id,)
    with pytest.raises(UnknownPerson):
        resolve_recipients(["familie"], ana.device)
    with pytest.raises(UnknownCircle, match="family"):
        circle_named("familie", ana.device)


def test_people_and_circles_cannot_share_a_name(family: Network) -> None:
    ana = family["ana"]
    with pytest.raises(NameTaken):
        create_or_extend_circle("BEN", ["caro"], ana.device)
    with pytest.raises(NameTaken):
        store_contact(replace(contact_named("ben", ana.device), name="Family"), ana.device)
    assert free_contact_name("family", ana.device) == "family 2", (
        "a stranger cannot use a circle's name either"
    )
    with pytest.raises(BadName):
        create_or_extend_circle(" ", ["caro"], ana.device)


def test_people_are_added_and_removed(family: Network) -> None:
    ana = family["ana"]
    assert remove_from_circle_or_delete("family", ["ben"], ana.device) is not None
    with pytest.raises(NotInCircle, match="ben is not in the circle family"):
        remove_from_circle_or_delete("family", ["ben"], ana.device)
    with pytest.raises(EmptyCircle):
        remove_from_circle_or_delete("family", ["caro"], ana.device)
    create_or_extend_circle("family", ["ben"], ana.device)
    assert [one.name for one in members_of(circle_named("family", ana.device), ana.device)] == [
        "ben",
        "caro",
    ]
    forget_contact("ben", ana.device)
    assert len(circle_named("family", ana.device).people) == 1
    forget_contact("caro", ana.device)
    assert circles(ana.device.vault) == ()


def test_a_circle_holds_at_most_256_people_sorted_by_id() -> None:
    people = tuple(PersonId(number.to_bytes(32)) for number in range(257))
    Circle(CircleId(bytes(16)), "city", people[:256], NOON)
    with pytest.raises(CircleFull, match="257 people"):
        Circle(CircleId(bytes(16)), "city", people, NOON)
    with pytest.raises(ValueError, match="sorted"):
        Circle(CircleId(bytes(16)), "city", people[1::-1], NOON)


def test_guard_asks_about_a_circle_once_by_its_name(family: Network) -> None:
    ana = family["ana"]
    (warning,) = inspect_draft(family_draft(ana), ana.device).warnings
    assert (warning.who, warning.answer) == ("family", "family")
    for reason in ("goes to 2 people", "first message to ben", "first message to caro"):
        assert reason in warning.why
    # The error names the circle, not the members.
    with pytest.raises(ConfirmedNameNotRecipient, match="goes to family"):
        inspect_draft(family_draft(ana, "yes"), ana.device).require_answers()
    for wrong in ("ben", "yes"):
        with pytest.raises((UnansweredWarnings, ConfirmedNameNotRecipient)):
            inspect_draft(family_draft(ana, wrong), ana.device).require_answers()
    assert send_to_family(ana).devices == {"ben": 1, "caro": 1}
    (again,) = inspect_draft(family_draft(ana), ana.device).warnings
    assert again.why == "family is a circle: this goes to 2 people"


def test_guard_does_not_ask_within_the_circles_conversation(family: Network) -> None:
    ana = family["ana"]
    of_all = participants_of_message(send_to_family(ana).name, ana.device)
    assert inspect_draft(replace(family_draft(ana), within=of_all), ana.device).warnings == ()
    alone = send_message(draft(ana, "ben", confirmed=("ben",)), ana.device)
    of_ben = participants_of_message(alone.name, ana.device)
    (warning,) = inspect_draft(replace(family_draft(ana), within=of_ben), ana.device).warnings
    assert f"family is not the circle of the conversation of {alone.name}" in warning.why


def test_guard_names_new_circle_members(family: Network) -> None:
    ana = family["ana"]
    send_to_family(ana)
    ana.add_contact(family.set_up_person("zoe"))
    create_or_extend_circle("family", ["zoe"], ana.device)
    (warning,) = inspect_draft(family_draft(ana), ana.device).warnings
    assert "zoe is new in family" in warning.why
    send_to_family(ana)
    (again,) = inspect_draft(family_draft(ana), ana.device).warnings
    assert "new in" not in again.why


def test_blocked_circle_members_are_left_out(family: Network) -> None:
    ana = family["ana"]
    block_contact("ben", ana.device)
    assert resolve_recipients(["family"], ana.device).people == ("caro",)
    with pytest.raises(ContactIsBlocked, match="blocked ben"):
        inspect_draft(draft(ana, "ben"), ana.device).require_answers()


@pytest.mark.threat("wrong-recipient")
def test_person_new_in_a_circle_stays_new_after_an_undone_message(friends: Network) -> None:
    ana, caro = friends["ana"], friends.set_up_person("caro")
    ana.add_contact(caro)
    ana.send(SMALL_PICTURE, friends["ben"], caro)
    create_or_extend_circle("family", ["ben"], ana.device)

    def family_draft(undo_s: int = 0) -> Draft:
        recipients = resolve_recipients(["family"], ana.device)
        made = draft(ana, *recipients.people, confirmed=("family",))
        return replace(made, circles=recipients.circles, undo_s=undo_s)

    def is_caro_reported() -> bool:
        (warning,) = inspect_draft(family_draft(), ana.device).warnings
        return "caro is new in family" in warning.why

    send_message(family_draft(), ana.device)
    create_or_extend_circle("family", ["caro"], ana.device)
    assert is_caro_reported()

    def interrupt(_until: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(SendingUndone):
        send_message(family_draft(undo_s=10), ana.device, TransferWatch(wait=interrupt))
    assert is_caro_reported()
    send_message(family_draft(), ana.device)
    assert not is_caro_reported()


def forget_member(owner: Person, name: str) -> None:
    """Delete a contact but keep the circle, so that the device does not know this member."""
    person = contact_named(name, owner.device).person.id
    owner.device.vault.drop(CONTACT, person.hex())


def test_unknown_circle_members_are_counted(family: Network) -> None:
    ana = family["ana"]
    forget_member(ana, "caro")
    assert resolve_recipients(["family"], ana.device).people == ("ben",)
    (warning,) = inspect_draft(family_draft(ana), ana.device).warnings
    assert "this goes to 1 person" in warning.why
    assert "1 person in it is not known on this device yet, and will get nothing" in warning.why
    of_ben = participants_of_message(
        send_message(draft(ana, "ben", confirmed=("ben",)), ana.device).name, ana.device
    )
    (warning,) = inspect_draft(replace(family_draft(ana), within=of_ben), ana.device).warnings
    assert "not known on this device" in warning.why


def test_circle_without_reachable_members_is_refused(family: Network) -> None:
    ana = family["ana"]
    block_contact("ben", ana.device)
    forget_member(ana, "caro")
    with pytest.raises(NoReachableMember, match="anybody in the circle family"):
        resolve_recipients(["FAMILY"], ana.device)
