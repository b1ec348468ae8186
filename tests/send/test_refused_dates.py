"""Tests of dates refused because of a wrong clock, a long wait or a short limit."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from entrenous.base.errors import (
    ClocksDiffer,
    Expired,
    PostponedUntilClockIsRight,
    RelayUnreachable,
    TooFarAhead,
    WaitedTooLong,
)
from entrenous.base.identifiers import RecipientId
from entrenous.base.limits import DEFAULT_EXPIRY_DAYS, EXPIRY_DAYS_MAX, TOKENS_LEFT_MIN
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay_settings import RelayLimits
from entrenous.device.identities import contacts
from entrenous.device.vault_tables import OUTBOX
from entrenous.send.clock_sanity import rounded_expiry
from entrenous.send.devices.link_new_device import start_on_new_device
from entrenous.send.devices.link_old_device import start_on_old_device
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.inbox import received_messages
from entrenous.send.message.draft import (
    CopyRefused,
    Draft,
    MessageNotSentYet,
    MessagePolicy,
    RefusedForSome,
)
from entrenous.send.message.states import InboxState
from entrenous.send.people.block import block_contact
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.recall import recall_message
from entrenous.send.send import send_message
from entrenous.send.tokens.issue import send_token_changes
from entrenous.send.tokens.token_ranges import ISSUED_TOKEN_RANGE_TABLE
from entrenous.terminal.output import join_wrapped_lines
from entrenous.wire.relay_nouns import Envelope
from tests.deterministic import SettableClock
from tests.send.send_device import RELAY_URL, SMALL_PICTURE, Network, Person, network_of_three
from tests.send.send_text import send_text
from tests.village.households import (
    add_blank_device,
    add_linked_device,
    can_all_write,
    can_write,
    catch_up,
)
from tests.village.malicious_relay import HonestCall, Trick, error_trick

pytestmark = pytest.mark.slow

CLOCK_ERRORS = [timedelta(days=2), timedelta(days=400), timedelta(days=-40)]


def set_clock_off(person: Person, network: Network, clock_error: timedelta) -> SettableClock:
    """Give a person a separate clock that is wrong by this much, and return the clock."""
    clock = SettableClock(network.clock.moment + clock_error)
    person.device = replace(person.device, clock=clock)
    return clock


def limit_expiry(network: Network, days: int) -> Network:
    """Limit the expiry that the relay at RELAY_URL accepts to this many days."""
    network.apps[RELAY_URL] = relay_app(
        replace(network.relays[RELAY_URL], limits=RelayLimits(keep_days=days))
    )
    return network


def outbox_size(person: Person) -> int:
    return len(person.device.vault.keys(OUTBOX))


def record_envelopes(tried: list[Envelope]) -> Trick:
    def record_envelope(honest: HonestCall, url: str, token: Any, envelope: Envelope) -> Any:
        tried.append(envelope)
        return honest(url, token, envelope)

    return record_envelope


def text_draft(person: Person, days: int) -> Draft:
    """Return a draft of a text to Ben. The text expires in ``days`` days, at a full hour."""
    policy = MessagePolicy(rounded_expiry(days, person.device))
    names = (RecipientId("ben"),)
    return Draft((), names, policy, text="hello", confirmed=frozenset({"ben"}))


@pytest.mark.parametrize("clock_error", CLOCK_ERRORS)
def test_a_hello_refused_for_its_date_waits_until_the_clock_is_right(
    network: Network, clock_error: timedelta
) -> None:
    ana, ben = network["ana"], network["ben"]
    clock = set_clock_off(ana, network, clock_error)
    with pytest.raises(PostponedUntilClockIsRight, match="Check"):
        add_person(make_invite_link(ben.device), "ben", ana.device)
    clock.moment = network.clock.moment
    catch_up(ana, ben, ana)
    assert can_all_write(ana, ben)
    assert outbox_size(ana) == 0
    send_text(ana, "ben")
    assert ben.received_count() == 1


@pytest.mark.parametrize(
    "clock_error",
    [
        CLOCK_ERRORS[0],
        *(pytest.param(clock_error, marks=pytest.mark.nightly) for clock_error in CLOCK_ERRORS[1:]),
    ],
)
def test_one_fetch_with_a_wrong_clock_does_not_stop_the_token_supply(
    friends: Network, clock_error: timedelta
) -> None:
    """Ana's clock is wrong during the fetch in which her device has to send Ben new tokens."""
    ana, ben = friends["ana"], friends["ben"]
    clock = set_clock_off(ana, friends, timedelta(0))
    while _unused_tokens(ana) > TOKENS_LEFT_MIN + 1:
        send_text(ben, "ana")
        catch_up(ana, ben)
    send_text(ben, "ana")
    send_text(ben, "ana")
    clock.moment += clock_error
    (problem, *_) = fetch_messages(ana.device).problems
    assert isinstance(problem, PostponedUntilClockIsRight)
    clock.moment -= clock_error
    for _ in range(3 * TOKENS_LEFT_MIN):
        catch_up(ana, ben)
        send_text(ben, "ana")


def _unused_tokens(person: Person) -> int:
    (issued_range,) = ISSUED_TOKEN_RANGE_TABLE.all(person.device.vault)
    return issued_range.handed_out - issued_range.next_unused


@pytest.mark.parametrize("clock_error", CLOCK_ERRORS)
def test_sync_notes_refused_for_their_date_wait(clock_error: timedelta) -> None:
    network = network_of_three()
    ana, ben = network["ana"], network["ben"]
    phone = add_linked_device(network, ana, "phone", "phone")
    catch_up(ana, phone, ben, ana, phone)
    clock = set_clock_off(phone, network, clock_error)
    block_contact("ben", phone.device)
    for _ in range(2):
        catch_up(phone, ana)
    clock.moment = network.clock.moment
    for _ in range(2):
        catch_up(phone, ana)
    assert {one.name for one in contacts(ana.device) if one.blocked} == {"ben"}


@pytest.mark.parametrize("clock_error", CLOCK_ERRORS)
def test_a_recall_note_refused_for_its_date_waits_and_counts_as_asked(
    friends: Network, clock_error: timedelta
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    ben.open_newest()
    clock = set_clock_off(ana, friends, clock_error)
    (recall,) = recall_message(name, ana.device)
    assert recall.asked
    clock.moment = friends.clock.moment
    catch_up(ana, ben)
    assert [one.state for one in received_messages(ben.device)] == [InboxState.TAKEN_BACK]


def test_an_item_refused_for_its_date_is_tried_once_a_flush_and_not_overtaken(
    network: Network,
) -> None:
    ana, ben = network["ana"], network["ben"]
    clock = set_clock_off(ana, network, timedelta(days=2))
    with pytest.raises(PostponedUntilClockIsRight):
        add_person(make_invite_link(ben.device), "ben", ana.device)
    tried = list[Envelope]()
    with ana.courier.replace_calls(post=record_envelopes(tried)):
        for rounds in (1, 2, 3):
            clock.advance(hours=1)
            network.clock.advance(hours=1)
            with pytest.raises(MessageNotSentYet, match="clock") as raised:
                send_message(text_draft(ana, 7), ana.device)
            assert "Once they are right, the messages are sent" in join_wrapped_lines(
                str(raised.value)
            )
            assert len(tried) == rounds
    assert len({one.id for one in tried}) == 1
    clock.moment = network.clock.moment
    with ana.courier.replace_calls(post=record_envelopes(tried)):
        assert flush_outbox(ana.device).problems == ()
    assert [one.share is None for one in tried[3:]] == [True, True, False, False, False]
    assert ben.received_count() == 3


def test_an_item_refused_for_its_date_delays_no_other(network: Network) -> None:
    """The other item has an earlier expiry and goes to another mailbox."""
    ana, ben = network["ana"], network["ben"]
    ana.add_contact(ben)
    caro = network.set_up_person("caro")
    set_clock_off(ana, network, timedelta(days=2))
    with pytest.raises(PostponedUntilClockIsRight):
        add_person(make_invite_link(caro.device), "caro", ana.device)
    send_text(ana, "ben")
    assert ben.received_count() == 1


def queue_recall_note(ana: Person, ben: Person) -> None:
    """Write a recall note (a letter without content) while posting to the relay fails."""
    name = ana.send(SMALL_PICTURE, ben).name
    ben.open_newest()
    with ana.courier.replace_calls(post=error_trick(RelayUnreachable(host="x"))):
        recall_message(name, ana.device)


def test_a_letter_that_waited_forty_days_leaves_with_a_new_date(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    queue_recall_note(ana, ben)
    friends.clock.advance(days=40)
    assert flush_outbox(ana.device).problems == ()
    assert outbox_size(ana) == 0


@pytest.mark.parametrize("days", [1, 7])
def test_a_relay_with_a_short_limit_accepts_all_letters(network: Network, days: int) -> None:
    limit_expiry(network, days)
    ana, ben = network["ana"], network["ben"]
    ana.add_contact(ben)
    phone = add_linked_device(network, ana, "phone", "phone")
    for _ in range(3):
        catch_up(ana, phone, ben)
    assert can_all_write(ana, ben, phone)
    for writer, reader in ((ana, "ben"), (ben, "ana"), (phone, "ben")):
        send_message(
            replace(
                text_draft(writer, 1), to=(RecipientId(reader),), confirmed=frozenset({reader})
            ),
            writer.device,
        )
    assert (ben.received_count(), ana.received_count(), phone.received_count()) == (2, 1, 1)
    name = ana.send(SMALL_PICTURE, ben, days=1).name
    ben.open_newest()
    recall_message(name, ana.device)
    fetch_messages(ben.device)
    assert received_messages(ben.device)[-1].state is InboxState.TAKEN_BACK
    block_contact("ben", ana.device)
    catch_up(ana, phone)
    assert [one.blocked for one in contacts(phone.device)] == [True]
    assert fetch_messages(ana.device).problems == ()


def test_an_old_letter_is_redated_to_a_relays_short_limit(friends: Network) -> None:
    """The old date has expired, and the device's default date is too far ahead for the relay."""
    ana, ben = friends["ana"], friends["ben"]
    queue_recall_note(ana, ben)
    friends.clock.advance(days=40)
    limit_expiry(friends, 7)
    tried = list[Envelope]()
    with ana.courier.replace_calls(post=record_envelopes(tried)):
        assert flush_outbox(ana.device).problems == ()
    assert len(tried) == 3
    assert tried[-1].expires_at == friends.clock.now() + timedelta(days=6)


@pytest.mark.threat("lying-relay")
@pytest.mark.parametrize("limit_days", [-5, 0, 10**30, datetime(2026, 11, 25, tzinfo=UTC)])
def test_a_relays_stated_limit_is_clamped(friends: Network, limit_days: object) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    ben.open_newest()
    tried = list[Envelope]()

    def refuse(_: HonestCall, _url: str, _token: object, envelope: Envelope) -> None:
        tried.append(envelope)
        raise TooFarAhead(limit_days=limit_days)

    with ana.courier.replace_calls(post=refuse):
        recall_message(name, ana.device)
    assert 1 <= len(tried) <= 2
    half, most = timedelta(hours=12), timedelta(days=EXPIRY_DAYS_MAX)
    assert all(half <= one.expires_at - friends.clock.now() <= most for one in tried)
    catch_up(ana, ben)
    assert received_messages(ben.device)[-1].state is InboxState.TAKEN_BACK


@pytest.mark.threat("lying-relay")
def test_a_relay_that_keeps_refusing_dates_is_tried_three_times_at_most(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    name = ana.send(SMALL_PICTURE, ben).name
    ben.open_newest()
    limits = iter(range(29, 0, -1))
    calls = Counter[str]()

    def refuse(*_: object) -> None:
        calls["post"] += 1
        raise TooFarAhead(limit_days=next(limits))

    with ana.courier.replace_calls(post=refuse):
        recall_message(name, ana.device)
    assert calls["post"] == 3


@pytest.mark.parametrize("hours", [0, 2.5, 23])
def test_the_default_expiry_is_accepted_when_the_clock_is_off_by_hours(
    friends: Network, hours: float
) -> None:
    ana, ben = friends["ana"], friends["ben"]
    set_clock_off(ana, friends, timedelta(hours=hours))
    send_message(text_draft(ana, DEFAULT_EXPIRY_DAYS), ana.device)
    assert ben.received_count() == 1


def test_a_date_refusal_names_differing_clocks_and_not_the_days(friends: Network) -> None:
    ana = friends["ana"]
    set_clock_off(ana, friends, timedelta(days=2))
    with pytest.raises(RefusedForSome) as raised:
        send_message(text_draft(ana, DEFAULT_EXPIRY_DAYS), ana.device)
    text = join_wrapped_lines(str(raised.value))
    assert "This device's clock is ahead of that of the relay at 127.0.0.1:7001" in text
    assert "it shows 27 November 2026, 12:00 UTC" in text
    assert "--days" not in text


def test_a_date_refusal_names_a_clock_that_is_behind(friends: Network) -> None:
    ana = friends["ana"]
    set_clock_off(ana, friends, timedelta(days=-3))
    with pytest.raises(RefusedForSome) as raised:
        send_message(text_draft(ana, 2), ana.device)
    text = join_wrapped_lines(str(raised.value))
    assert "This device's clock is behind that of the relay" in text
    assert "it shows 22 November 2026, 12:00 UTC" in text
    assert "has been deleted" not in text


def test_a_date_refusal_names_too_many_days(friends: Network) -> None:
    limit_expiry(friends, 7)
    with pytest.raises(RefusedForSome, match="--days 7"):
        send_message(text_draft(friends["ana"], DEFAULT_EXPIRY_DAYS), friends["ana"].device)


@pytest.mark.parametrize(
    ("clock_error", "waited", "error_type", "expected_text"),
    [
        (timedelta(days=0), timedelta(days=8), WaitedTooLong, "until it expired"),
        (
            timedelta(days=400),
            timedelta(0),
            ClocksDiffer,
            "was, when the message was written, ahead",
        ),
        (timedelta(days=-5), timedelta(0), ClocksDiffer, "is behind"),
    ],
)
def test_a_waiting_copy_that_is_refused_reports_the_reason(
    friends: Network,
    clock_error: timedelta,
    waited: timedelta,
    error_type: type[Exception],
    expected_text: str,
) -> None:
    ana = friends["ana"]
    clock = set_clock_off(ana, friends, clock_error)
    with (
        ana.courier.replace_calls(upload_blob=error_trick(RelayUnreachable(host="x"))),
        pytest.raises(Exception, match="has not been sent yet"),
    ):
        send_message(text_draft(ana, 2 if clock_error else 7), ana.device)
    friends.clock.advance(days=waited.days)
    clock.moment = friends.clock.moment + min(clock_error, timedelta(0))
    (problem,) = flush_outbox(ana.device).problems
    assert isinstance(problem, CopyRefused)
    assert type(problem.facts["why"]) is error_type
    assert expected_text in join_wrapped_lines(str(problem))


def test_tokens_refused_as_expired_are_reported_as_a_clock_difference(friends: Network) -> None:
    ana = friends["ana"]
    refused = Expired(when=friends.clock.now())
    caro = friends.set_up_person("caro")
    with (
        ana.courier.replace_calls(change_tokens=error_trick(refused)),
        pytest.raises(PostponedUntilClockIsRight, match="is behind"),
    ):
        add_person(make_invite_link(caro.device), "caro", ana.device)
    send_token_changes(ana.device)
    catch_up(ana, caro, ana)
    assert can_write(ana, caro)


def test_linking_reports_a_refusal_due_to_the_clock(network: Network) -> None:
    new = add_blank_device(network, "phone")
    old_device_link = start_on_old_device(None, network["ana"].device)
    with (
        new.courier.replace_calls(post=error_trick(Expired(when=network.clock.now()))),
        pytest.raises(ClocksDiffer, match="is behind"),
    ):
        start_on_new_device(old_device_link.code, None, new.device)


def test_times_in_error_messages_are_written_in_words() -> None:
    text = str(Expired(when=datetime(2026, 11, 25, 12, 30, tzinfo=UTC)))
    assert "25 November 2026, 12:30 UTC" in text
