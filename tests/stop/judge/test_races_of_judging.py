"""Tests of claims that arrive while the gate decides or registers, and of a case of 300 claims."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.fingerprint.nouns import NearHash, PicturePrint
from entrenous.fingerprint.pdq import fingerprint
from entrenous.stop.banks import PolicyChange, create_built_in_banks, import_hashes, set_policy
from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.judge.decide import submit_appeal
from entrenous.stop.judge.look_back import look_back
from entrenous.stop.nouns import PEOPLE_BANK, GateLimits
from entrenous.stop.platform import IndexStore, Platform
from entrenous.stop.register import register_claim
from entrenous.stop.registration import BadClaim, Claim, ClaimEvent, ClaimRequest, NoSuchClaim
from entrenous.stop.review import confirm_case, release_case
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine
from entrenous.stop.store.review_queue import ReviewQueue
from entrenous.stop.upload_record import FoundBy, Outcome, Review, ReviewState
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload, picture


@dataclass(frozen=True, slots=True)
class InterruptingIndex:
    """An index that calls ``event`` once.

    Without ``after_look_up``, it calls ``event`` before the first look-up. With ``after_look_up``,
    it calls ``event`` when the number of parts is first read after a look-up.
    """

    index: IndexStore
    event: Callable[[], object]
    after_look_up: bool
    event_calls: list[bool]
    finished_look_ups: list[bool] = field(default_factory=list)

    def find_near_hashes(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[NearHash]:
        if not self.after_look_up:
            self._call_event_once()
        self.finished_look_ups.append(True)
        return self.index.find_near_hashes(hashes, part=part)

    def part_hash_count(self) -> int:
        count = self.index.part_hash_count()
        if self.finished_look_ups:
            self._call_event_once()
        return count

    def _call_event_once(self) -> None:
        if not self.event_calls:
            self.event_calls.append(True)
            self.event()


def judge_during(
    gate_setup: GateSetup, pixels: Any, event: Callable[[], object], *, after_look_up: bool
) -> Any:
    index = InterruptingIndex(gate_setup.platform.index, event, after_look_up, [])
    return judge_upload(jpeg(pixels), replace(gate_setup.platform, index=index), "post 17")


def protect_and_look_back(gate_setup: GateSetup, pixels: Any) -> None:
    """Register a picture and make the look-back that follows the gate's answer."""
    claim = gate_setup.protect(pixels, parts=False).claim
    look_back([claim], gate_setup.platform)


def test_claim_made_while_an_upload_is_judged_is_not_missed(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    decision = judge_during(
        gate_setup,
        her_picture,
        lambda: protect_and_look_back(gate_setup, her_picture),
        after_look_up=True,
    )
    assert decision.outcome is Outcome.LET_THROUGH
    review = gate_setup.platform.reviews.next_waiting_upload()
    assert review is not None
    assert (review.case, review.found, review.reference) == (
        decision.case,
        FoundBy.LOOK_BACK,
        "post 17",
    )


@dataclass(frozen=True, slots=True)
class InterruptingQueue:
    """A review queue that calls ``event`` just before it records an upload."""

    queue: ReviewQueue
    event: Callable[[], object]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.queue, name)

    def record_upload(self, *given: Any) -> None:
        self.event()
        self.queue.record_upload(*given)


def state_if_interrupted_before_recording(
    gate_setup: GateSetup, pixels: Any, event: Callable[[], object]
) -> tuple[ReviewState, FoundBy]:
    """Judge an upload that is accepted; ``event`` happens after its look-ups."""
    queue: Any = InterruptingQueue(gate_setup.platform.reviews, event)
    decision = judge_upload(jpeg(pixels), replace(gate_setup.platform, reviews=queue))
    assert decision.outcome is Outcome.LET_THROUGH
    review = gate_setup.platform.reviews.review(decision.case)
    return review.state, review.found


def test_claim_made_while_judging_is_not_missed_if_its_hash_was_registered_before(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    earlier = gate_setup.protect(her_picture, parts=False).claim
    gate_setup.platform.bank.apply_event(earlier, ClaimEvent.SUSPEND)
    assert state_if_interrupted_before_recording(
        gate_setup, her_picture, lambda: protect_and_look_back(gate_setup, her_picture)
    ) == (ReviewState.WAITING, FoundBy.LOOK_BACK)


def test_confirmation_made_while_judging_is_not_missed(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    claim = gate_setup.protect(her_picture, parts=False).claim
    set_policy(PEOPLE_BANK, PolicyChange(on_claimed=Outcome.LET_THROUGH), gate_setup.platform)

    def confirm_and_look_back() -> None:
        gate_setup.platform.bank.apply_event(claim, ClaimEvent.CONFIRM)
        look_back([claim], gate_setup.platform)

    assert state_if_interrupted_before_recording(
        gate_setup, her_picture, confirm_and_look_back
    ) == (ReviewState.WAITING, FoundBy.LOOK_BACK)


@pytest.mark.slow
def test_first_claim_with_parts_made_while_a_cut_out_is_judged_is_not_missed(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    high, wide = her_picture.shape[:2]
    cut = her_picture[high // 5 :, : wide * 4 // 5]
    decision = judge_during(
        gate_setup, cut, lambda: gate_setup.protect(her_picture, parts=True), after_look_up=True
    )
    assert decision.outcome is Outcome.LET_THROUGH
    review = gate_setup.platform.reviews.next_waiting_upload()
    assert review is not None
    (match,) = review.decision.matches
    assert (review.case, review.found, match.part) == (decision.case, FoundBy.LOOK_BACK, True)


@pytest.mark.parametrize("change", [{"shadow": True}, {"on_claimed": Outcome.LET_THROUGH}])
def test_shadow_claim_made_while_an_upload_is_judged_holds_nothing(
    gate_setup: GateSetup, her_picture: Any, change: Any
) -> None:
    set_policy(PEOPLE_BANK, PolicyChange(**change), gate_setup.platform)
    judge_during(
        gate_setup,
        her_picture,
        lambda: protect_and_look_back(gate_setup, her_picture),
        after_look_up=True,
    )
    assert gate_setup.platform.reviews.count_waiting_items() == 0


def test_claim_made_while_judging_holds_nothing_without_look_backs(her_picture: Any) -> None:
    gate_setup = GateSetup(limits=GateLimits(look_back_days=0))
    judge_during(
        gate_setup,
        her_picture,
        lambda: protect_and_look_back(gate_setup, her_picture),
        after_look_up=True,
    )
    assert gate_setup.platform.reviews.count_waiting_items() == 0


def test_list_imported_into_a_new_bank_while_judging_takes_effect(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    listed = fingerprint(picture(her_picture)).hex

    def import_list() -> None:
        import_hashes(listed, BankName("list"), gate_setup.platform, confirmed=True)

    assert (
        judge_during(gate_setup, her_picture, import_list, after_look_up=False).outcome
        is Outcome.REFUSE
    )


def test_refusal_after_a_look_back_can_be_appealed_with_the_file(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    decision = judge_upload(jpeg(her_picture), gate_setup.platform)
    protect_and_look_back(gate_setup, her_picture)
    confirm_case(decision.case, gate_setup.platform)
    assert decision.secret is not None
    submit_appeal(decision.case, decision.secret, jpeg(her_picture), gate_setup.platform)
    assert gate_setup.platform.reviews.upload_bytes(decision.case) == jpeg(her_picture)


class OvertakenBank(BankStore):
    """A bank that registers the claim of ``competing_call`` whenever a claim id is not found."""

    __slots__ = ("competing_call",)

    def claim(self, claim: ClaimId) -> Claim:
        try:
            return BankStore.claim(self, claim)
        except NoSuchClaim:
            store = threading.Thread(target=register_claim, args=self.competing_call)
            store.start()
            store.join()
            raise


@pytest.mark.parametrize("is_same_request", [True, False])
def test_concurrent_requests_with_one_claim_id_make_one_claim(
    gate_setup: GateSetup, her_picture: Any, tmp_path: Path, *, is_same_request: bool
) -> None:
    engine = open_engine(tmp_path / "gate.sqlite")
    first = BankStore(engine, gate_setup.clock)
    create_built_in_banks(first)
    whole = fingerprint(picture(her_picture))
    request = ClaimRequest(PicturePrint(whole), b"\x07" * 32)
    competing_request = (
        request if is_same_request else replace(request, holder_sha256=b"\x07" * 31 + b"\x08")
    )
    second = OvertakenBank(engine, gate_setup.clock)
    object.__setattr__(
        second, "competing_call", (competing_request, replace(gate_setup.platform, bank=first))
    )
    platform = replace(gate_setup.platform, bank=second, index=FileIndex(tmp_path / "index", first))
    if is_same_request:
        claim = register_claim(request, platform)
        assert claim == first.claim(claim.id)
    else:
        with pytest.raises(BadClaim):
            register_claim(request, platform)
    assert first.count_claims_and_hashes().claims == 1
    engine.dispose()


@pytest.mark.parametrize("decide", [release_case, confirm_case])
def test_deciding_a_case_of_300_claims_takes_at_most_40_statements(
    gate_setup: GateSetup,
    her_picture: Any,
    tmp_path: Path,
    decide: Callable[[str, Platform], Review],
) -> None:
    """Uploads wait while a decision is written, so a decision about many claims must be quick."""
    engine = open_engine(tmp_path / "gate.sqlite")
    bank, reviews = BankStore(engine, gate_setup.clock), ReviewQueue(engine, gate_setup.clock)
    create_built_in_banks(bank)
    index = FileIndex(tmp_path / "index", bank)
    platform = replace(gate_setup.platform, bank=bank, reviews=reviews, index=index)
    listed = "\n".join([fingerprint(picture(her_picture)).hex] * 300)
    import_hashes(listed, PEOPLE_BANK, platform)
    case = judge_upload(jpeg(her_picture), platform).case
    statements: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    decide(case, platform)
    assert len(statements) <= 40
    assert {claim.disputes for _, claim in bank.claims_on_pictures({1})} == {
        int(decide is release_case)
    }
    engine.dispose()
