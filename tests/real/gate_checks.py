"""Check the store, log, cases, look-backs and index of gates after kills (gate_kills.py)."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from entrenous.stop.audit import audit_rows, verify_audit_log
from entrenous.stop.index.file_index import FileIndex
from entrenous.stop.judge.look_back import look_back_for_due_claims
from entrenous.stop.platform import Platform
from entrenous.stop.upload_record import FoundBy, NoSuchReview, ReviewState
from tests.real.gate_stories import HOLD, Story
from tests.stop.index.index_banks import assert_index_equals_brute_force

LIST_LENGTH: Final = 20
_LOOK_BACK_S_MAX: Final = 10  # longer than a lease of a killed gate


@dataclass(frozen=True)
class ImportedList:
    """An imported list of hashes. If ``is_sure`` is false, the import may have failed."""

    hashes: tuple[bytes, ...]
    is_sure: bool


def store_faults(
    stories: Sequence[Story], lists: Sequence[ImportedList], platform: Platform
) -> list[str]:
    """Return the faults in the store and the cases; raise an error if the log is wrong."""
    verify_audit_log(platform.bank)
    logged = {row.of for row in audit_rows(platform.bank) if row.what == "claim registered"}
    claims = {
        name: active for story in stories for name, active in story.registered_by_claim.items()
    }
    faults = [f"a claim is not in the log: {name}" for name in claims.keys() - logged]
    matching = {claim.id for _, claim in platform.bank.claims_on_pictures(_entry_numbers(platform))}
    faults += [
        f"{name}: {active}" for name, active in claims.items() if (name in matching) is not active
    ]
    for one in lists:
        near = {near.query for near in platform.index.find_near_hashes(one.hashes, part=False)}
        if len(near) not in ({LIST_LENGTH} if one.is_sure else {0, LIST_LENGTH}):
            faults.append(f"{len(near)} of a list are there")
    return faults + [fault for story in stories for fault in _case_faults(story, platform)]


def look_back_faults(stories: Sequence[Story], platform: Platform) -> Iterator[str]:
    """Do the look-backs that a killed gate left undone, and yield a fault if some were lost."""
    due = [case for story in stories if (case := story.case_to_look_back_at) is not None]
    for _ in range(_LOOK_BACK_S_MAX):
        while look_back_for_due_claims(platform):
            pass
        due = [case for case in due if platform.reviews.review(case).found is FoundBy.UPLOAD]
        if not due:
            return
        threading.Event().wait(1)
    yield f"{len(due)} look backs were lost"


def _entry_numbers(platform: Platform) -> list[int]:
    return [entry.number for entry in platform.bank.entries(0)]


def _case_faults(story: Story, platform: Platform) -> Iterator[str]:
    """Yield a fault for each case that is missing, or whose decision is not the gate's answer.

    Also yield a fault for each held case that no longer waits, although no reviewer has decided.
    """
    decided = {"confirm", "release"} & {*story.answered_steps, story.step_in_doubt}
    for case, decision in story.decision_by_case.items():
        try:
            review = platform.reviews.review(case)
        except NoSuchReview:
            yield "a case was lost"
            continue
        if review.decision.outcome != decision and review.found is FoundBy.UPLOAD:
            yield f"{case} was {decision}, and is {review.decision.outcome}"
        if decision == HOLD and not decided and review.state is not ReviewState.WAITING:
            yield f"a held upload does not wait: {review.state}"


def index_faults(
    stories: Sequence[Story], platform: Platform, folders: Sequence[Path]
) -> Iterator[str]:
    """Yield a fault if a gate's index differs from a brute-force search, or if the index's files
    contain a withdrawn hash after a rebuild.
    """
    withdrawn_hashes = [
        story.bits
        for story in stories
        if story.registered_by_claim and not any(story.registered_by_claim.values())
    ]
    registered_hashes = {entry.bits for entry in platform.bank.entries(0)}
    for folder in folders:
        index = FileIndex(folder / "index", platform.bank)
        try:
            assert_index_equals_brute_force(index, platform.bank)
        except AssertionError:
            yield "the index differs from a brute-force search"
        index.rebuild()
        index_bytes = b"".join(path.read_bytes() for path in (folder / "index").iterdir())
        if any(bits in index_bytes for bits in withdrawn_hashes if bits not in registered_hashes):
            yield "a withdrawn hash is in the index's file"
