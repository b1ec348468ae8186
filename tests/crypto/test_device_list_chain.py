"""Tests of histories of device lists: honest ones are accepted, broken or forked ones refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.identity import (
    BadSignature,
    DeviceList,
    DeviceListHead,
    DeviceListHistoryRelation,
    DeviceListStatement,
    ForkedDeviceList,
    ListedDevice,
    OutdatedDeviceList,
    ProtocolRange,
    RevocationReason,
    RevokedDevice,
    WithheldDeviceList,
)
from entrenous.crypto.identity_keys import master_keys_from_seed, public_master_keys
from entrenous.crypto.statements import (
    check_named_head,
    compare_heads,
    compare_later_lists,
    device_list_head,
    device_list_heads,
    may_succeed_list,
    sign_device_list,
    verify_device_lists,
)
from entrenous.wire.key_bundle import newest_lists_that_fit, read_device_list, write_device_list

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MASTER_SECRET_KEYS = master_keys_from_seed(bytes(range(64)))
PUBLIC_KEYS = public_master_keys(MASTER_SECRET_KEYS)


def listed_device(number: int) -> ListedDevice:
    name = number.to_bytes(16, "big")
    return ListedDevice(DeviceId(name), name * 2, MailboxId(name))


def statement_of(device_list: DeviceList) -> DeviceListStatement:
    return read_device_list(write_device_list(device_list))


FIRST_LIST = statement_of(
    DeviceList(
        person=PersonId(b"a" * 32),
        epoch=1,
        previous=None,
        devices=(listed_device(1),),
        revoked=(),
        name="Ana",
        speaks=ProtocolRange(2, 2),
        issued_at=NOON,
        relay_url="https://relay.example",
    )
)


def successor(newest: DeviceListStatement, **fields: Any) -> DeviceListStatement:
    epoch, previous = newest.said.epoch + 1, device_list_head(newest.statement)
    return statement_of(replace(newest.said, epoch=epoch, previous=previous, **fields))


def with_device(newest: DeviceListStatement, number: int) -> DeviceListStatement:
    devices = sorted((*newest.said.devices, listed_device(number)), key=lambda one: one.device)
    return successor(newest, devices=tuple(devices))


def with_device_revoked(newest: DeviceListStatement, number: int) -> DeviceListStatement:
    gone = RevokedDevice(listed_device(number).device, NOON, RevocationReason.LOST)
    return successor(
        newest,
        devices=tuple(one for one in newest.said.devices if one.device != gone.device),
        revoked=tuple(sorted((*newest.said.revoked, gone), key=lambda one: one.device)),
    )


def verified_heads(lists: tuple[DeviceListStatement, ...]) -> tuple[DeviceListHead, ...]:
    return verify_device_lists(
        lists, sign_device_list(MASTER_SECRET_KEYS, lists[-1].statement), PUBLIC_KEYS
    )


SECOND_LIST = with_device(FIRST_LIST, 2)
THIRD_LIST = with_device_revoked(SECOND_LIST, 1)
FOURTH_LIST = with_device(THIRD_LIST, 3)
CHAIN = (FIRST_LIST, SECOND_LIST, THIRD_LIST, FOURTH_LIST)
HEADS = device_list_heads(CHAIN)


def test_an_honest_history_is_proven_by_its_newest_signature() -> None:
    assert verified_heads(CHAIN) == HEADS
    assert [head.epoch for head in HEADS] == [1, 2, 3, 4]
    assert verified_heads(CHAIN[2:]) == HEADS[2:]


def with_other_certificate(newest: DeviceListStatement, epoch: int) -> DeviceListStatement:
    """Return a later list in which the first device has another certificate."""
    first, *others = newest.said.devices
    devices = (replace(first, proof=b"another certificate".ljust(32)), *others)
    return statement_of(replace(newest.said, epoch=epoch, previous=bytes(32), devices=devices))


BROKEN_HISTORIES = {
    "newest list signed by somebody else": None,
    "list missing": (FIRST_LIST, THIRD_LIST),
    "list of another person": (
        FIRST_LIST,
        replace(SECOND_LIST, said=replace(SECOND_LIST.said, person=PersonId(bytes(32)))),
    ),
    "list replaced": (statement_of(replace(FIRST_LIST.said, name="Eve")), SECOND_LIST),
    "device vanishes": (SECOND_LIST, successor(SECOND_LIST, devices=(listed_device(2),))),
    "device has other keys": (
        SECOND_LIST,
        successor(SECOND_LIST, devices=with_other_certificate(SECOND_LIST, 3).said.devices),
    ),
    "revocation withdrawn": (THIRD_LIST, successor(THIRD_LIST, revoked=())),
    "revoked device returns at once": (
        THIRD_LIST,
        successor(THIRD_LIST, devices=(listed_device(1),), revoked=()),
    ),
    "revoked device returns later": (
        THIRD_LIST,
        FOURTH_LIST,
        successor(FOURTH_LIST, devices=(listed_device(1),), revoked=()),
    ),
}


@pytest.mark.threat("server-adds-device")
@pytest.mark.parametrize("case", BROKEN_HISTORIES)
def test_a_history_that_is_broken_is_refused(case: str) -> None:
    lists = BROKEN_HISTORIES[case] or CHAIN
    master = (
        master_keys_from_seed(bytes(64)) if BROKEN_HISTORIES[case] is None else MASTER_SECRET_KEYS
    )
    with pytest.raises(BadSignature, match="device list"):
        verify_device_lists(lists, sign_device_list(master, lists[-1].statement), PUBLIC_KEYS)


@pytest.mark.threat("stolen-device")
def test_a_device_keeps_its_keys_across_missing_lists() -> None:
    """After missing lists, a device may have another mailbox, but not another certificate."""
    elsewhere = tuple(
        replace(one, mailbox=MailboxId(bytes(16))) for one in SECOND_LIST.said.devices[:1]
    )
    moved = statement_of(replace(SECOND_LIST.said, epoch=7, previous=bytes(32), devices=elsewhere))
    assert compare_later_lists(SECOND_LIST, (moved,)) is DeviceListHistoryRelation.NEWER_UNPROVEN
    taken = with_other_certificate(SECOND_LIST, 7)
    for shown in ((taken,), (moved, successor(moved, devices=taken.said.devices))):
        with pytest.raises(BadSignature, match="device list"):
            compare_later_lists(SECOND_LIST, shown)


def test_next_list_must_link_to_the_known_one() -> None:
    assert (
        compare_later_lists(SECOND_LIST, (THIRD_LIST, FOURTH_LIST))
        is DeviceListHistoryRelation.NEWER
    )
    for previous in (bytes(32), None):
        forked = replace(THIRD_LIST, said=replace(THIRD_LIST.said, previous=previous))
        with pytest.raises(ForkedDeviceList):
            compare_later_lists(SECOND_LIST, (forked,))


def test_next_list_cannot_drop_a_device_without_revoking_it() -> None:
    vanished = successor(SECOND_LIST, devices=(listed_device(2),))
    with pytest.raises(BadSignature, match="device list"):
        compare_later_lists(SECOND_LIST, (vanished,))


@pytest.mark.threat("downgrade")
@pytest.mark.parametrize(
    "speaks", [ProtocolRange(2, 2), ProtocolRange(2, 3), ProtocolRange(3, 3), ProtocolRange(1, 4)]
)
def test_a_person_is_never_taken_back_to_an_older_protocol(speaks: ProtocolRange) -> None:
    """A valid signature is not enough: an old program or a thief may have signed the list."""
    newer = successor(FIRST_LIST, speaks=ProtocolRange(3, 4))
    with pytest.raises(BadSignature, match="device list"):
        verified_heads((FIRST_LIST, newer, successor(newer, speaks=speaks)))
    assert verified_heads((FIRST_LIST, newer, successor(newer, speaks=ProtocolRange(4, 5))))


def test_revoked_device_dropped_from_a_full_list_cannot_return() -> None:
    """The list of revoked devices is full, so the next revocation drops the oldest device."""
    many = tuple(
        RevokedDevice(listed_device(100 + n).device, NOON + timedelta(n), RevocationReason.RETIRED)
        for n in range(64)
    )
    full = successor(FIRST_LIST, revoked=many)
    extra = RevokedDevice(listed_device(200).device, NOON + timedelta(99), RevocationReason.LOST)
    for kept in (
        (*many[:-1], extra),
        (*many[2:], extra),
    ):  # both are wrong: one lacks the newest old entry, the other lacks two old entries
        assert not may_succeed_list(full.said, successor(full, revoked=kept).said)
    makes_room = successor(full, revoked=(*many[1:], extra))
    assert may_succeed_list(full.said, makes_room.said)
    back = with_device(makes_room, 100)
    assert verified_heads((full, makes_room))
    with pytest.raises(BadSignature, match="device list"):
        verified_heads((full, makes_room, back))


@pytest.mark.parametrize(
    ("known", "shown", "relation"),
    [
        (HEADS[:1], HEADS[:1], DeviceListHistoryRelation.SAME),
        (HEADS, HEADS[3:], DeviceListHistoryRelation.SAME),
        (HEADS[:1], HEADS, DeviceListHistoryRelation.NEWER),
        (HEADS[:2], HEADS[1:], DeviceListHistoryRelation.NEWER),
        (HEADS[:1], HEADS[1:], DeviceListHistoryRelation.NEWER_UNPROVEN),
    ],
)
def test_honest_histories_are_accepted(
    known: tuple[DeviceListHead, ...],
    shown: tuple[DeviceListHead, ...],
    relation: DeviceListHistoryRelation,
) -> None:
    assert compare_heads(known, shown) is relation


OTHER_SECOND_LIST = successor(FIRST_LIST, name="Eve")
FORKED_HEADS = device_list_heads((FIRST_LIST, OTHER_SECOND_LIST, with_device(OTHER_SECOND_LIST, 9)))


@pytest.mark.parametrize(
    ("known", "shown", "error"),
    [
        (HEADS, HEADS[:3], OutdatedDeviceList),
        (HEADS[2:], HEADS[:1], OutdatedDeviceList),
        (HEADS[:2], FORKED_HEADS[:2], ForkedDeviceList),
        (HEADS[:2], FORKED_HEADS, ForkedDeviceList),
        (HEADS, FORKED_HEADS[:2], ForkedDeviceList),  # the shown list is older, but unknown
        (HEADS[1:2], FORKED_HEADS[1:], ForkedDeviceList),
    ],
)
def test_dishonest_histories_are_refused(
    known: tuple[DeviceListHead, ...], shown: tuple[DeviceListHead, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        compare_heads(known, shown)


def test_head_named_in_a_letter_must_be_in_the_shown_history() -> None:
    for head in HEADS[:3]:
        check_named_head(head, HEADS[:3])
    with pytest.raises(WithheldDeviceList):
        check_named_head(HEADS[3], HEADS[:3])
    with pytest.raises(ForkedDeviceList):
        check_named_head(FORKED_HEADS[1], HEADS)


class DeviceListMachine(RuleBasedStateMachine):
    """Ana changes her device list; the relay shows Ben the newest lists, older ones, or a fork."""

    @initialize()
    def begin(self) -> None:
        self.lists: tuple[DeviceListStatement, ...] = (FIRST_LIST,)
        self.known = device_list_heads(self.lists)
        self.next_number = 2

    @precondition(lambda self: len(self.lists[-1].said.devices) < 16)
    @rule()
    def link(self) -> None:
        self.lists = (*self.lists, with_device(self.lists[-1], self.next_number))
        self.next_number += 1

    @precondition(lambda self: len(self.lists[-1].said.devices) > 1)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        listed = self.lists[-1].said.devices
        gone = data.draw(st.sampled_from(listed))
        number = int.from_bytes(gone.device, "big")
        self.lists = (*self.lists, with_device_revoked(self.lists[-1], number))

    @rule(name=st.sampled_from(["Ana", "Anna", "A."]))
    def rename(self, name: str) -> None:
        self.lists = (*self.lists, successor(self.lists[-1], name=name))

    @rule()
    def fetch(self) -> None:
        before = self.known[-1].epoch
        shown = device_list_heads(newest_lists_that_fit(self.lists))
        relation = compare_heads(self.known, shown)
        assert (relation is DeviceListHistoryRelation.SAME) == (before == shown[-1].epoch)
        assert relation is not DeviceListHistoryRelation.NEWER_UNPROVEN
        self.known = shown

    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        list_count = data.draw(st.integers(0, len(self.lists)))
        shown = device_list_heads(self.lists[:list_count])
        if shown and shown[-1].epoch < self.known[-1].epoch:
            with pytest.raises(OutdatedDeviceList):
                compare_heads(self.known, shown)

    @rule(data=st.data(), successor_count=st.integers(0, 3))
    def fork(self, data: st.DataObject, successor_count: int) -> None:
        """Show Ben another list of an epoch that he knows, with up to three successors."""
        epoch = data.draw(st.integers(1, self.known[-1].epoch))
        honest = self.lists[epoch - 1].said
        other = (
            *self.lists[: epoch - 1],
            statement_of(replace(honest, relay_url="https://evil.example")),
        )
        for _ in range(successor_count):
            other = (*other, successor(other[-1]))
        with pytest.raises(ForkedDeviceList):
            compare_heads(self.known, device_list_heads(other))

    @invariant()
    def every_honest_history_is_proven(self) -> None:
        if len(self.lists) in {1, 5, 12}:  # not at every step, because signing is slow
            verified_heads(newest_lists_that_fit(self.lists))


@pytest.mark.slow
@pytest.mark.threat("server-adds-device")
def test_rollbacks_and_forks_are_detected_and_honest_changes_accepted() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        DeviceListMachine, settings=settings(max_examples=40, stateful_step_count=25)
    )
