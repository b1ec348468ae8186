"""Tests of writing and reading problem documents, and of the URNs and status codes of errors."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import (
    EntrenousError,
    Expired,
    IdInUse,
    Malformed,
    NoSuchMailbox,
    NotARelay,
    NotFound,
    Refused,
    RelayUnreachable,
    TooLarge,
    TooMany,
    Unproven,
    Unreachable,
    UsedUp,
)
from entrenous.wire.problem_details import read_problem, status_of, urn_of, write_problem

KNOWN_ERRORS = (Expired, IdInUse, NoSuchMailbox, TooMany, UsedUp)
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "error", [Expired(when=NOON), IdInUse(), NoSuchMailbox(), TooMany(retry_after_s=7), UsedUp()]
)
def test_error_is_read_back_from_its_problem_document(error: EntrenousError) -> None:
    again = read_problem(write_problem(error, 409), KNOWN_ERRORS)
    assert type(again) is type(error)
    assert (again.facts, str(again)) == (error.facts, str(error))


@pytest.mark.parametrize(
    ("error_type", "urn"),
    [
        (UsedUp, "urn:entrenous:refused:used-up"),
        (NoSuchMailbox, "urn:entrenous:not-found:no-such-mailbox"),
        (NotARelay, "urn:entrenous:unreachable:not-a-relay"),
        (IdInUse, "urn:entrenous:refused:id-in-use"),
    ],
)
def test_urn_is_in_kebab_case(error_type: type[EntrenousError], urn: str) -> None:
    assert urn_of(error_type) == urn


def test_text_is_not_sent_as_a_fact() -> None:
    written = msgspec.json.decode(write_problem(RelayUnreachable(host="secret.example"), 503))
    assert written["facts"] == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"type":"about:blank","title":"","status":404}',
        b'{"type":"urn:entrenous:refused:unheard-of","title":"","status":409}',
        b'{"type":"urn:entrenous:refused:expired","title":"","status":409}',
        b'{"type":"urn:entrenous:refused:expired","title":"","status":409,"facts":{"when":"now"}}',
        b'{"type":"urn:entrenous:refused:expired","title":"","status":409,"facts":{"other":1}}',
    ],
)
def test_invalid_or_unknown_problem_document_is_none(body: bytes) -> None:
    assert read_problem(body, KNOWN_ERRORS) is None


def test_problem_detail_text_is_not_used() -> None:
    body = write_problem(UsedUp(), 409).replace(b"as its sender", b"<b>phish</b>")
    assert b"phish" in body
    assert "phish" not in str(read_problem(body, KNOWN_ERRORS))


@given(st.binary(max_size=200))
def test_any_bytes_are_an_error_or_none(untrusted_body: bytes) -> None:
    error = read_problem(untrusted_body, KNOWN_ERRORS)
    assert error is None or str(error)


@pytest.mark.parametrize("facts", ['{"self":1}', '{"__class__":1}', '{"limit_bytes":1,"more":2}'])
def test_unexpected_facts_do_not_crash_the_reader(facts: str) -> None:
    body = f'{{"type":"{urn_of(TooLarge)}","title":"x","status":413,"facts":{facts}}}'
    error = read_problem(body.encode(), [TooLarge])
    assert error is None or isinstance(error, TooLarge)


def test_status_follows_the_family_unless_the_caller_sets_one_for_the_class() -> None:
    families = (Refused, NotFound, Unproven, Unreachable, Malformed, EntrenousError)
    assert [status_of(family) for family in families] == [409, 404, 422, 503, 400, 500]
    assert status_of(UsedUp) == 409
    assert status_of(UsedUp, {TooMany: 429}) == 409
    assert status_of(TooMany, {TooMany: 429}) == 429
