"""Tests of invite links used by strangers: who is added, who is reported, and what the guard asks.

The stranger is Mallory. She uses a link that Ana made for Ben, or replaces Ben's link by her own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import permutations

import pytest

from entrenous.base.errors import WrongToken
from entrenous.base.identifiers import RecipientId
from entrenous.base.identity import Trust
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import token_hash
from entrenous.device.identities import contacts, own_device
from entrenous.send.fetch import fetch_messages
from entrenous.send.guard import inspect_draft
from entrenous.send.letter.letter_nouns import UsedUpLinkNote
from entrenous.send.message.draft import Draft, MessagePolicy, UnansweredWarnings
from entrenous.send.people.compare_keys import (
    auth_string_with,
    begin_or_answer_comparison,
    confirm_match,
    safety_number,
)
from entrenous.send.people.invite import (
    add_person,
    forget_contact_of_used_up_link,
    make_invite_link,
    take_invite_notices,
)
from entrenous.send.people.keep_contacts import (
    contact_by_id,
    contact_named,
    forget_contact,
    mark_keys_compared,
)
from entrenous.send.people.people_nouns import InviteEvent, InviteNotice, NameTaken
from entrenous.send.send import send_message
from tests.send.send_device import SMALL_PICTURE, Network, Person, cached_network
from tests.village.households import add_linked_device, catch_up

pytestmark = [pytest.mark.threat("link-in-other-hands"), pytest.mark.slow]


@dataclass
class InviteScenario:
    """Ana, who makes the links, and the people who use her links."""

    network: Network
    joiners: dict[str, Person] = field(default_factory=dict)

    @property
    def ana(self) -> Person:
        return self.network["ana"]

    def join(self, name: str, link: str) -> Person:
        """Let somebody add Ana by a link, before Ana's device fetches."""
        joiner = (
            self.joiners.get(name)
            or self.network.people.get(name)
            or self.network.set_up_person(name)
        )
        self.joiners[name] = joiner
        add_person(link, "ana", joiner.device)
        return joiner

    def fetch_notices(self) -> list[InviteNotice]:
        """Fetch on Ana's device and return her new invite notices."""
        fetch_messages(self.ana.device)
        return list(take_invite_notices(self.ana.device))


@cached_network
def three_strangers() -> Network:
    network = Network()
    for name in ("ana", "ben", "mallory"):
        network.set_up_person(name)
    return network


@pytest.fixture
def scenario() -> InviteScenario:
    return InviteScenario(three_strangers())


def draft(recipient: str, sender: Person, confirmed: Sequence[str] = ()) -> Draft:
    policy = MessagePolicy(sender.device.clock.now() + timedelta(days=1))
    return Draft(
        (SMALL_PICTURE,), (RecipientId(recipient),), policy, confirmed=frozenset(confirmed)
    )


def guard_reasons(recipient: str, sender: Person) -> str:
    """Return the guard's doubts about a picture for ``recipient``, joined by semicolons."""
    return "; ".join(
        warning.why for warning in inspect_draft(draft(recipient, sender), sender.device).warnings
    )


def is_nobody_compared(*people: Person) -> bool:
    return not any(one.compared for person in people for one in contacts(person.device))


@pytest.mark.parametrize("order", list(permutations(["mallory", "ben"])), ids="-".join)
@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "both before ana fetches"])
def test_second_user_of_a_link_for_one_person_is_refused_and_reported(
    scenario: InviteScenario, order: tuple[str, str], *, at_once: bool
) -> None:
    link = make_invite_link(scenario.ana.device, name="Ben")
    first = scenario.join(order[0], link)
    notices = [] if at_once else scenario.fetch_notices()
    second = scenario.join(order[1], link)
    notices += scenario.fetch_notices()

    joined, refused = notices
    assert (joined.event, joined.name, joined.called) == (InviteEvent.JOINED, "Ben", order[0])
    assert joined.device == own_device(first.device).key.device
    assert joined.at == scenario.network.clock.moment
    assert joined.meant_for == refused.meant_for == "Ben"
    assert (refused.event, refused.called, refused.before) == (
        *(InviteEvent.REFUSED, order[1]),
        ("Ben",),
    )
    assert refused.device == own_device(second.device).key.device
    (known,) = contacts(scenario.ana.device)
    assert (known.name, known.person.id) == ("Ben", first.id)
    assert known.trust is Trust.UNKNOWN, "one of the two is a stranger"

    fetch_messages(second.device)
    (too_late,) = take_invite_notices(second.device)
    assert (too_late.event, too_late.name) == (InviteEvent.TOO_LATE, "ana")
    assert contacts(second.device) == ()
    fetch_messages(first.device)
    assert take_invite_notices(first.device) == ()
    assert is_nobody_compared(scenario.ana, first, second)


@pytest.mark.slow
@pytest.mark.parametrize("order", list(permutations(["mallory", "ben"])), ids="-".join)
def test_guard_keeps_asking_about_a_doubly_used_link(
    scenario: InviteScenario, order: tuple[str, str]
) -> None:
    link = make_invite_link(scenario.ana.device, name="ben")
    first = scenario.join(order[0], link)
    scenario.fetch_notices()
    for _ in range(5):
        scenario.ana.send(SMALL_PICTURE, Person("ben", first.device, first.vault, first.courier))
        scenario.network.clock.advance(minutes=1)
    assert guard_reasons("ben", scenario.ana) == "", "only one person has used the link so far"
    scenario.join(order[1], link)
    scenario.fetch_notices()
    for _ in range(5):
        assert "ben's keys are unknown" in guard_reasons("ben", scenario.ana)
        with pytest.raises(UnansweredWarnings):
            send_message(draft("ben", scenario.ana), scenario.ana.device)
        send_message(draft("ben", scenario.ana, ["ben"]), scenario.ana.device)
        scenario.network.clock.advance(minutes=1)


def test_guard_asks_about_a_link_that_only_a_stranger_used(
    scenario: InviteScenario,
) -> None:
    scenario.join("mallory", make_invite_link(scenario.ana.device, name="ben"))
    (joined,) = scenario.fetch_notices()
    assert (joined.name, joined.called) == ("ben", "mallory")
    assert "you know ben by link only" in guard_reasons("ben", scenario.ana)
    assert contact_named("ben", scenario.ana.device).trust is Trust.BY_LINK


@pytest.mark.parametrize("people", [2, 3])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_link_for_several_admits_and_reports_each(
    scenario: InviteScenario, people: int, place: int
) -> None:
    """The stranger uses the link before, between or after the invited people."""
    link = make_invite_link(scenario.ana.device, people=people)
    joiners = [f"invited{number}" for number in range(people)]
    joiners.insert(place, "mallory")
    for name in joiners:
        scenario.join(name, link)
    notices = scenario.fetch_notices()
    came, too_late = joiners[:people], joiners[people:]
    assert [one.called for one in notices if one.event is InviteEvent.JOINED] == came
    assert [one.called for one in notices if one.event is InviteEvent.REFUSED] == too_late
    assert {one.name for one in contacts(scenario.ana.device)} == set(came)
    for name in came:
        assert "by link only" in guard_reasons(name, scenario.ana)
    for name in too_late:
        fetch_messages(scenario.joiners[name].device)
        assert [one.event for one in take_invite_notices(scenario.joiners[name].device)] == [
            InviteEvent.TOO_LATE
        ]
    assert is_nobody_compared(scenario.ana, *scenario.joiners.values())


def test_similar_names_are_reported_on_joining_and_before_the_first_picture(
    scenario: InviteScenario,
) -> None:
    """Two people who both call themselves Ben use the same link."""
    link = make_invite_link(scenario.ana.device, people=2)
    for joiner_key in ("first Ben", "second Ben"):
        joiner = scenario.network.set_up_person("Ben")
        scenario.joiners[joiner_key] = joiner
        add_person(link, "ana", joiner.device)
    first, second = scenario.fetch_notices()
    assert (first.name, first.alike) == ("Ben", ())
    assert (second.name, second.alike) == ("Ben 2", ("Ben",))
    for name, other in (("Ben", "Ben 2"), ("Ben 2", "Ben")):
        assert f"{name} is easily mistaken for {other}" in guard_reasons(name, scenario.ana)


@pytest.mark.parametrize("order", list(permutations(["mallory", "ben"])), ids="-".join)
def test_linked_device_reports_joins_and_mistakable_names(
    scenario: InviteScenario, order: tuple[str, str]
) -> None:
    phone = add_linked_device(scenario.network, scenario.ana, "phone")
    scenario.network.clock.advance(minutes=1)
    link = make_invite_link(scenario.ana.device, name="ben")
    first = scenario.join(order[0], link)
    scenario.fetch_notices()
    catch_up(phone, scenario.ana, phone)
    (phone_notice,) = take_invite_notices(phone.device)
    assert (phone_notice.event, phone_notice.name, phone_notice.called) == (
        *(InviteEvent.ELSEWHERE, "ben"),
        order[0],
    )
    assert phone_notice.device == own_device(first.device).key.device
    assert contact_named("ben", phone.device).trust is Trust.BY_LINK
    assert "by link only" in guard_reasons("ben", phone)
    scenario.join(order[1], link)
    scenario.fetch_notices()
    catch_up(phone, scenario.ana, phone)
    assert contact_named("ben", phone.device).trust is Trust.UNKNOWN
    assert "ben's keys are unknown" in guard_reasons("ben", phone)
    assert is_nobody_compared(scenario.ana, phone, *scenario.joiners.values())


def test_newly_linked_device_does_not_report_old_contacts(scenario: InviteScenario) -> None:
    scenario.join("ben", make_invite_link(scenario.ana.device))
    scenario.fetch_notices()
    scenario.network.clock.advance(minutes=1)
    phone = add_linked_device(scenario.network, scenario.ana, "phone")
    catch_up(scenario.ana, phone, scenario.ana, phone)
    assert [one.trust for one in contacts(phone.device)] == [Trust.BY_LINK]
    assert take_invite_notices(phone.device) == ()


def swap_link(scenario: InviteScenario) -> tuple[Person, Person]:
    """Let Mallory replace the link that Ben sends to Ana, and use Ben's link herself. Ana then
    takes Mallory for Ben, and Ben takes Mallory for Ana. Return Ben and Mallory.
    """
    ben, mallory = scenario.network["ben"], scenario.network.set_up_person("ben")
    bens_link = make_invite_link(ben.device, name="ana")
    mallorys_link = make_invite_link(mallory.device, name="ana")
    add_person(mallorys_link, "ben", scenario.ana.device)
    add_person(bens_link, "ben", mallory.device)
    for one in (ben, mallory, scenario.ana):
        fetch_messages(one.device)
    return ben, mallory


def test_swapped_link_is_reported_and_asked_about(
    scenario: InviteScenario,
) -> None:
    ben, mallory = swap_link(scenario)
    of_ana, of_ben = contact_named("ben", scenario.ana.device), contact_named("ana", ben.device)
    assert (of_ana.person.id, of_ben.person.id) == (mallory.id, mallory.id)
    assert of_ana.trust is of_ben.trust is Trust.BY_LINK
    (joined,) = take_invite_notices(ben.device)
    assert (joined.event, joined.name, joined.called) == (InviteEvent.JOINED, "ana", "ben")
    for sender, name in ((scenario.ana, "ben"), (ben, "ana")):
        assert f"you know {name} by link only" in guard_reasons(name, sender)


def test_every_way_of_comparing_detects_a_swapped_link(scenario: InviteScenario) -> None:
    ben, mallory = swap_link(scenario)
    assert safety_number("ben", scenario.ana.device) != safety_number("ana", ben.device)
    begin_or_answer_comparison("ben", scenario.ana.device)
    begin_or_answer_comparison("ana", ben.device)
    catch_up(scenario.ana, ben, mallory)
    ours = own_device(scenario.ana.device).person.id
    of_mallory = contact_by_id(ours, mallory.device)
    assert of_mallory is not None
    for name in (of_mallory.name, "ben"):
        begin_or_answer_comparison(name, mallory.device)
    catch_up(mallory, scenario.ana, ben, mallory)
    assert auth_string_with("ben", scenario.ana.device) != auth_string_with("ana", ben.device)
    for name in ("ben", of_mallory.name):
        auth_string_with(name, mallory.device)
        confirm_match(name, mallory.device)
    catch_up(mallory, scenario.ana, ben)
    assert is_nobody_compared(scenario.ana, ben)


@pytest.mark.parametrize("greeted", [False, True])
def test_an_unfounded_notice_of_a_used_up_link_forgets_nobody(
    scenario: InviteScenario, *, greeted: bool
) -> None:
    """Ben ignores a notice about a link that he did not use.

    He also ignores a notice about the link that he used if Ana has already greeted him.
    """
    ben = scenario.join("ben", make_invite_link(scenario.ana.device))
    if greeted:
        scenario.fetch_notices()
        fetch_messages(ben.device)
    known = contact_named("ana", ben.device)
    token = known.send_token if greeted else Secret(bytes(32))

    forget_contact_of_used_up_link(UsedUpLinkNote(token_hash(token)), known, ben.device)
    assert contacts(ben.device) == (known,)
    assert take_invite_notices(ben.device) == ()


def test_a_stranger_who_tries_a_used_up_link_again_is_reported_and_told_once(
    scenario: InviteScenario,
) -> None:
    link = make_invite_link(scenario.ana.device, name="ben")
    scenario.join("ben", link)
    scenario.fetch_notices()
    notices = list[InviteNotice]()
    for _ in range(3):
        mallory = scenario.join("mallory", link)
        notices += scenario.fetch_notices()
        fetch_messages(mallory.device)
    assert [one.event for one in notices] == [InviteEvent.REFUSED]
    assert [one.event for one in take_invite_notices(mallory.device)] == [InviteEvent.TOO_LATE]
    assert [one.name for one in contacts(scenario.ana.device)] == ["ben"]


def test_forgotten_person_cannot_reuse_the_link(scenario: InviteScenario) -> None:
    """Ana forgets the stranger and makes a new link, by which Ben joins."""
    link = make_invite_link(scenario.ana.device, name="ben")
    mallory = scenario.join("mallory", link)
    ben = scenario.join("ben", link)
    scenario.fetch_notices()
    fetch_messages(ben.device)
    forget_contact("ben", scenario.ana.device)
    forget_contact("ana", mallory.device)
    scenario.join("mallory", link)
    assert InviteEvent.JOINED not in {one.event for one in scenario.fetch_notices()}
    assert contacts(scenario.ana.device) == ()
    scenario.join("ben", make_invite_link(scenario.ana.device, name="ben"))
    (joined,) = scenario.fetch_notices()
    assert (joined.event, joined.called) == (InviteEvent.JOINED, "ben")
    fetch_messages(ben.device)
    scenario.ana.send(SMALL_PICTURE, ben)
    assert ben.received_count() == 1


def test_compared_keys_stay_compared_when_the_link_is_reused(scenario: InviteScenario) -> None:
    link = make_invite_link(scenario.ana.device, name="ben")
    scenario.join("ben", link)
    scenario.fetch_notices()
    mark_keys_compared("ben", scenario.ana.device)
    scenario.join("mallory", link)
    (refused,) = scenario.fetch_notices()
    assert refused.event is InviteEvent.REFUSED
    assert contact_named("ben", scenario.ana.device).compared


def test_link_for_a_taken_name_is_refused(scenario: InviteScenario) -> None:
    scenario.join("ben", make_invite_link(scenario.ana.device))
    scenario.fetch_notices()
    for name in ("ben", "BEN"):
        with pytest.raises(NameTaken):
            make_invite_link(scenario.ana.device, name=name)


def test_name_taken_meanwhile_is_numbered_and_reported_as_similar(
    scenario: InviteScenario,
) -> None:
    link = make_invite_link(scenario.ana.device, name="ben")
    scenario.join("ben", make_invite_link(scenario.ana.device))
    scenario.fetch_notices()
    scenario.join("mallory", link)
    (joined,) = scenario.fetch_notices()
    assert (joined.name, joined.meant_for, joined.alike) == ("ben 2", "ben", ("ben",))


def assert_refused(make_link: Callable[[], str]) -> None:
    with pytest.raises(ValueError, match="a link is for"):
        make_link()


def test_a_link_is_for_one_to_64_people_and_with_a_name_for_one(scenario: InviteScenario) -> None:
    device = scenario.ana.device
    assert_refused(lambda: make_invite_link(device, people=0))
    assert_refused(lambda: make_invite_link(device, people=65))
    assert_refused(lambda: make_invite_link(device, name="ben", people=2))


def test_relay_refuses_a_used_up_link(
    scenario: InviteScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.send.people.invite.INVITE_USES_PER_PERSON", 1)
    link = make_invite_link(scenario.ana.device)
    scenario.join("ben", link)
    with pytest.raises(WrongToken, match="expired or been used"):
        scenario.join("mallory", link)
