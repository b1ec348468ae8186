"""Tests of what a relay's requests, rows and log of a simulated week reveal."""

import json
from collections import Counter
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any

import pytest

from entrenous.base.limits import PREKEY_ID_BYTES
from entrenous.base.secret import Secret
from entrenous.carry.relay_rows import StoredEnvelope, StoredToken
from entrenous.crypto.hashing import token_hash
from entrenous.crypto.hpke import SEAL_OVERHEAD_BYTES
from entrenous.crypto.key_derivation import derive_send_token
from entrenous.crypto.seal import PADDED_SIZES_BYTES
from entrenous.device.vault_tables import ISSUED_TOKEN_RANGE, RETIRED_TOKEN_RANGE, Table
from entrenous.send.inbox import received_messages
from entrenous.send.tokens.token_ranges import IssuedRange, RetiredIssuedRange
from tests.village.week import (
    RecordedRequest,
    RecordedWeek,
    batch_numbers_by_lock,
    decode_base64url,
    simulate_week_on_disk,
)
from tests.village.world import Participant

pytestmark = pytest.mark.slow

#: Fields in which the rows of different envelopes may have equal values.
FIELDS_WITH_SHARED_VALUES = {
    "mailbox",
    "sequence",
    "expires_at",
    "due_at",
    "state",
    "opened",
    "opens",
    "used",
    "uses",
}


@pytest.fixture
def week() -> RecordedWeek:
    return simulate_week_on_disk()[0]


def values_of_envelope(post: RecordedRequest, requests: tuple[RecordedRequest, ...]) -> set[bytes]:
    """Return the token, IDs, locks, hashes, sealed bytes and share of an envelope's requests."""
    body = json.loads(post.body)
    share = body["share"] or {}
    texts = [body["sealed"], body["withdraw_lock"], *body["blobs"]]
    texts += [share[name] for name in ("value", "open_lock") if name in share]
    texts.append(post.path.rsplit("/", 1)[1])
    for one in requests:
        blob = one.path.rsplit("/", 1)[1] if "/blobs/" in one.path else None
        if one.method == "PUT" and blob in body["blobs"]:
            assert one.token == post.token  # uploads for an envelope use the envelope's token
            texts += [one.headers["entrenous-fetch-lock"], one.headers["entrenous-sha256"]]
    assert post.token is not None
    return {post.token, token_hash(Secret(post.token)), *map(decode_base64url, texts)}


def test_week_has_enough_traffic(week: RecordedWeek) -> None:
    assert len(week.accepted_posts()) > 200
    assert len(week.token_batches()) >= 10
    registered = {
        lock for batch in week.token_batches() for lock in map(decode_base64url, batch["add"])
    }
    used = {
        token_hash(Secret(post.token)) for post in week.accepted_posts() if post.token is not None
    }
    assert len(registered & used) > 100
    assert all(len(received_messages(one.device)) > 20 for one in week.people)


@pytest.mark.threat("metadata")
def test_no_two_envelopes_share_an_identifying_value(week: RecordedWeek) -> None:
    seen = Counter[bytes]()
    for post in week.accepted_posts():
        seen.update(values_of_envelope(post, week.requests))
    assert [value for value, times in seen.items() if times > 1] == []


@pytest.mark.threat("metadata")
def test_stored_rows_link_no_envelopes_and_contain_no_used_token(
    week: RecordedWeek,
) -> None:
    used = {
        token_hash(Secret(post.token)) for post in week.accepted_posts() if post.token is not None
    }
    by_value: dict[bytes, set[bytes]] = {}
    for row in week.rows:
        values = {
            name: getattr(row, name)
            for name in row.__struct_fields__
            if name not in FIELDS_WITH_SHARED_VALUES
            and not isinstance(getattr(row, name), datetime)
        }
        envelope = values.get("envelope")
        secrets = {
            value.reveal() if isinstance(value, Secret) else value
            for value in values.values()
            if isinstance(value, bytes | Secret)
        }
        if isinstance(row, StoredToken):
            continue
        assert not secrets & used
        if isinstance(envelope, bytes):
            for value in secrets:
                by_value.setdefault(value, set()).add(envelope)
    assert any(isinstance(row, StoredEnvelope) for row in week.rows)
    assert [value for value, envelopes in by_value.items() if len(envelopes) > 1] == []


@pytest.mark.threat("metadata")
def test_an_unused_token_reveals_only_the_day_of_its_registration(week: RecordedWeek) -> None:
    groups = dict[tuple[bytes, datetime, datetime | None], set[bytes]]()
    for asked, rows in week.requests_and_tokens_by_day():
        used = {
            token_hash(Secret(post.token))
            for post in week.accepted_posts(len(asked))
            if post.token is not None
        }
        assert not used & {row.lock for row in rows if row.uses == 1}
        for row in rows:
            if row.uses == 1 and row.claims == 0:
                times = (row.claims_since, row.due_at)
                assert {(at.hour, at.minute, at.second) for at in times if at} == {(0, 0, 0)}
                groups.setdefault((row.mailbox, *times), set()).add(row.lock)
    batches = [frozenset(map(decode_base64url, batch["add"])) for batch in week.token_batches()]
    seen = all_locks(groups)
    # For each batch, a group has either all of the tokens that were ever seen unused, or none.
    for locks in groups.values():
        assert all(len(batch & locks) in {0, len(batch & seen)} for batch in batches)
    batch_counts = [sum(bool(batch & locks) for batch in batches) for locks in groups.values()]
    assert max(batch_counts) >= 2  # at least one group mixes tokens of several batches


def all_locks(groups: dict[Any, set[bytes]]) -> set[bytes]:
    """Return the union of all groups of locks."""
    return {lock for locks in groups.values() for lock in locks}


@pytest.mark.threat("metadata")
def test_the_log_names_requests_but_no_ids_or_locks(week: RecordedWeek) -> None:
    assert "post_envelope" in week.log
    for one in week.requests:
        for part in one.path.split("/"):
            if len(part) > 16:  # an ID or a lock
                assert part not in week.log


def owner_and_recipient_of_locks(people: tuple[Participant, ...]) -> dict[bytes, tuple[str, str]]:
    """Map each lock to the mailbox's owner (a name) and the token's recipient (a person ID)."""
    people_by_lock = {}
    for one in people:
        kinds: tuple[tuple[str, type[Any]], ...] = (
            (ISSUED_TOKEN_RANGE, IssuedRange),
            (RETIRED_TOKEN_RANGE, RetiredIssuedRange),
        )
        for table, kind in kinds:
            for key in one.device.vault.keys(table):
                token_range = Table(table, kind).load(key, one.device.vault)
                assert token_range is not None
                for index in range(token_range.first, token_range.until):
                    lock = token_hash(derive_send_token(token_range.seed, index))
                    people_by_lock[lock] = (one.name, key.split()[0])
    return people_by_lock


@pytest.mark.threat("metadata")
def test_every_batch_of_locks_is_sorted_for_several_people_and_of_a_listed_size(
    week: RecordedWeek,
) -> None:
    people_by_lock = owner_and_recipient_of_locks(week.people)
    for batch in week.token_batches():
        for locks in (batch["add"], batch["drop"]):
            assert len(locks) in {0, 64, 128, 256, 512, 1024, 2048, 4096}
            assert locks == sorted(locks, key=decode_base64url)
        given = {
            people_by_lock[lock]
            for lock in map(decode_base64url, batch["add"])
            if lock in people_by_lock
        }
        assert len({person for _, person in given}) >= 2
        assert len({owner for owner, _ in given}) == 1


def test_sealed_letters_have_only_listed_sizes(week: RecordedWeek) -> None:
    sizes = {
        len(decode_base64url(json.loads(post.body)["sealed"])) for post in week.accepted_posts()
    }
    assert sizes <= {
        1 + PREKEY_ID_BYTES + SEAL_OVERHEAD_BYTES + size for size in PADDED_SIZES_BYTES
    }


def test_no_token_is_used_for_two_envelopes_or_two_claims(week: RecordedWeek) -> None:
    use_counts = Counter(post.token for post in week.accepted_posts())
    assert set(use_counts.values()) == {1}
    claims = [one.token for one in week.requests if one.path.endswith("/claim")]
    assert len(claims) == len(set(claims))


@pytest.mark.threat("metadata")
def test_a_stolen_sqlite_file_does_not_reveal_batches() -> None:
    """Rows of one mailbox and day are stored in random order.

    If two batches have the same size, a row of one batch is followed by a row of the other batch in
    half of the cases, on average.
    """
    week, nights = simulate_week_on_disk()
    batch_numbers, mixed_groups = batch_numbers_by_lock(week), 0
    for night in nights:
        for _, rows in groupby(sorted(night.tokens), key=lambda row: row[:2]):
            known = [lock for *_, lock in rows if lock in batch_numbers]
            batches_in_file_order = [
                batch_numbers[lock] for lock in sorted(known, key=night.file.index)
            ]
            minority_size = len(batches_in_file_order) - max(
                map(batches_in_file_order.count, batches_in_file_order), default=0
            )
            if minority_size > 40:
                mixed_groups += 1
                assert (
                    sum(one != other for one, other in pairwise(batches_in_file_order))
                    > minority_size / 2
                )
    assert mixed_groups > 0
