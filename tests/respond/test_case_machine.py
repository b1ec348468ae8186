"""Stateful test of a case: the chain stays valid, and random bit flips are detected."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from entrenous.base.errors import BadRecord
from entrenous.respond.case_file import find_case
from entrenous.respond.case_status import (
    NOTICE_TRANSITIONS,
    NoticeEvent,
    TransitionNotPossible,
    close_case,
    record_notice_event,
    reopen_case,
)
from entrenous.respond.client.stamp_authority import HttpTimestampAuthority, verify_stamp
from entrenous.respond.custody import (
    CASES_TABLE,
    CUSTODY_LINKS_TABLE,
    ChainBroken,
    CustodyAct,
    verify_chain,
)
from entrenous.respond.evidence import EvidenceChanged, read_evidence, stamp_evidence, verify_case
from entrenous.respond.law.deadlines import DeadlineState, deadlines_of_case
from entrenous.respond.law.routes import RouteNotApplicable
from entrenous.respond.letters.draft import draft_and_store_notice
from entrenous.respond.letters.sightings import NoSightingToName, OnlyInChats
from entrenous.respond.next_step import next_step
from entrenous.respond.nouns import Case, CaseState, NoticeState, SightingReach
from entrenous.respond.open_case import add_file, add_sighting, add_statement
from tests.respond.case_owner import make_sighting, owner_at_current_time, situation_in

pytestmark = pytest.mark.real  # runs openssl, but sends nothing
STAMPS_MAX = 2  # few, because each stamp starts openssl
STEPS_PER_RUN = 25
HOURS_MAX = 100


class CaseStateMachine(RuleBasedStateMachine):
    authority: HttpTimestampAuthority

    def __init__(self) -> None:
        super().__init__()
        self.owner = owner_at_current_time()
        # Start so early that the owner's clock never gets ahead of the authority's clock.
        self.owner.clock.advance(hours=-STEPS_PER_RUN * HOURS_MAX)
        self.link_count = 0

    @initialize(places=st.sampled_from([("US",), ("GB",), ("DE", "US"), ("IN",)]))
    def open_case(self, places: tuple[str, ...]) -> None:
        self.name = self.owner.open_case(situation_in(*places)).name
        self.link_count = 1

    @property
    def case(self) -> Case:
        return find_case(self.name, self.owner.device)

    def is_open(self) -> bool:
        return self.case.state is CaseState.OPEN

    @rule(hours=st.floats(0.01, HOURS_MAX))
    def advance_clock(self, hours: float) -> None:
        self.owner.clock.advance(hours=hours)

    @precondition(is_open)
    @rule(where=st.text(min_size=1).filter(str.strip), reach=st.sampled_from(SightingReach))
    def add_random_sighting(self, where: str, reach: SightingReach) -> None:
        sighting = replace(make_sighting(reach=reach, at=self.owner.clock.now()), where=where)
        add_sighting(self.name, sighting, self.owner.device)
        self.link_count += 1

    @precondition(is_open)
    @rule(data=st.binary(max_size=64), is_statement=st.booleans())
    def store_evidence(self, data: bytes, *, is_statement: bool) -> None:
        if is_statement:
            add_statement(self.name, data.hex(), self.owner.device)
        else:
            add_file(self.name, data, "a file", self.owner.device)
        self.link_count += 1

    @precondition(lambda self: self.case.evidence)
    @rule(index=st.integers(0, 99), act=st.sampled_from([CustodyAct.READ, CustodyAct.EXPORTED]))
    def read_item(self, index: int, act: CustodyAct) -> None:
        item = self.case.evidence[index % len(self.case.evidence)]
        read_evidence(self.name, item.number, "to look", self.owner.device, act)
        self.link_count += 1

    @precondition(
        lambda self: self.is_open() and self.case.evidence and len(self.case.stamps) < STAMPS_MAX
    )
    @rule()
    def stamp(self) -> None:
        stamp_evidence(self.name, self.authority.stamp, self.owner.device)
        self.link_count += 1

    @precondition(is_open)
    @rule(
        route=st.sampled_from(["search-google", "hash-stopncii", "eu-gdpr-17", "us-tida-removal"])
    )
    def draft_notice(self, route: str) -> None:
        try:
            draft_and_store_notice(self.name, route, self.owner.device)
        except RouteNotApplicable:
            return
        except NoSightingToName:
            assert not self.case.sightings
            return
        except OnlyInChats:
            assert {one.reach for one in self.case.sightings} == {SightingReach.PRIVATE}
            return
        self.link_count += 1

    @precondition(lambda self: self.is_open() and self.case.notices)
    @rule(index=st.integers(0, 99), event=st.sampled_from(NoticeEvent))
    def record_event(self, index: int, event: NoticeEvent) -> None:
        notice = self.case.notices[index % len(self.case.notices)]
        allowed = (notice.state, event) in NOTICE_TRANSITIONS
        try:
            record_notice_event(
                self.name, notice.number, event, self.owner.clock.now(), self.owner.device
            )
        except TransitionNotPossible:
            assert not allowed
            return
        assert allowed
        self.link_count += 1

    @rule()
    def close_or_reopen(self) -> None:
        (close_case if self.is_open() else reopen_case)(self.name, self.owner.device)
        self.link_count += 1

    @rule(data=st.data())
    def flip_a_bit(self, data: st.DataObject) -> None:
        tables, files = self.owner.vault._tables, self.owner.vault._files
        stored = [
            (tables[table], key)
            for table in (CASES_TABLE, CUSTODY_LINKS_TABLE)
            for key in tables[table]
        ]
        stored += [(files, blob) for blob in files if files[blob]]  # type: ignore[misc]
        store, key = stored[data.draw(st.integers(0, len(stored) - 1))]
        whole = store[key]
        at = data.draw(st.integers(0, 2**20)) % len(whole)  # the length differs in each run
        bit = 1 << data.draw(st.integers(0, 7))
        store[key] = whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
        with pytest.raises((ChainBroken, EvidenceChanged, BadRecord)):
            verify_case(self.name, self.owner.device)
        store[key] = whole

    @invariant()
    def check_chain(self) -> None:
        if self.link_count:
            case = verify_case(self.name, self.owner.device)
            assert len(verify_chain(self.name, self.owner.device)) == self.link_count == case.links

    @invariant()
    def check_deadlines(self) -> None:
        if self.link_count:
            now = self.owner.clock.now()
            sent = {notice.number for notice in self.case.notices if notice.sent_at}
            ticking = {DeadlineState.RUNNING, DeadlineState.MET, DeadlineState.MISSED}
            for clock in deadlines_of_case(self.case, now):
                assert clock.state not in ticking or clock.notice in sent
            assert next_step(self.case, now)

    def teardown(self) -> None:
        if self.link_count:
            verify_case(self.name, self.owner.device, verify_stamp)
            assert all(
                notice.state is NoticeState.DRAFTED
                or notice.sent_at
                or notice.state is NoticeState.WITHDRAWN
                for notice in self.case.notices
            )


def test_any_sequence_of_actions_keeps_a_case_consistent(authority: HttpTimestampAuthority) -> None:
    CaseStateMachine.authority = authority
    run_state_machine_as_test(
        CaseStateMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=STEPS_PER_RUN,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
