"""Tests of messages between a gate and a judge process: requests, decisions and errors."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.picture import NotAPicture, TooManyPixels
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import Match
from entrenous.stop.judge.judge_pool import (
    ANSWER_LENGTH_STRUCT,
    JudgeFailed,
    decide_and_encode_answer,
    decode_decision_or_raise,
    encode_judge_request,
    read_judge_request,
)
from entrenous.stop.nouns import BankUnreachable
from entrenous.stop.upload_record import Decision, Outcome, PublishedAnyway

outcomes = st.sampled_from(Outcome)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
matches = st.builds(
    Match, texts.map(BankName), texts.map(ClaimId), st.integers(0, 31), texts, st.booleans()
)
decisions = st.builds(
    Decision,
    outcomes,
    texts,
    st.lists(matches, max_size=3).map(tuple),
    st.none() | outcomes,
    st.none() | st.binary(min_size=1, max_size=16).map(Secret),
    st.booleans(),
)


def decode_answer(answer: bytes) -> Decision:
    (size,) = ANSWER_LENGTH_STRUCT.unpack(answer[: ANSWER_LENGTH_STRUCT.size])
    assert size == len(answer) - ANSWER_LENGTH_STRUCT.size
    return decode_decision_or_raise(answer[ANSWER_LENGTH_STRUCT.size :])


@given(st.binary(max_size=300), texts, st.sampled_from(PublishedAnyway))
def test_request_is_decoded_until_the_end_of_input(
    upload: bytes, reference: str, publishes: PublishedAnyway
) -> None:
    request = b"".join(encode_judge_request(upload, reference, publishes))
    stream = io.BytesIO(request)
    assert read_judge_request(stream.read) == (upload, reference, publishes)
    assert read_judge_request(stream.read) is None
    assert read_judge_request(io.BytesIO(request[:-1]).read) is None


@given(decisions)
def test_decision_is_decoded_with_its_secret(decision: Decision) -> None:
    found = decode_answer(decide_and_encode_answer(lambda: decision))
    assert found == decision
    assert found.secret == decision.secret  # decisions are compared without their secrets


@pytest.mark.parametrize(
    "failure",
    [
        NotAPicture(),
        TooManyPixels(width_px=70_000, height_px=9_000, limit_mp=120),
        BankUnreachable(why="the disk is full"),
    ],
)
def test_error_is_decoded_as_the_same_error(failure: EntrenousError) -> None:
    def raise_failure() -> Decision:
        raise failure

    with pytest.raises(type(failure)) as raised:
        decode_answer(decide_and_encode_answer(raise_failure))
    assert raised.value.facts == failure.facts


def test_only_the_type_of_a_bug_is_sent() -> None:
    def raise_failure() -> Decision:
        raise KeyError("hers.jpg")

    with pytest.raises(JudgeFailed) as raised:
        decode_answer(decide_and_encode_answer(raise_failure))
    assert str(raised.value) == "KeyError"


def test_unknown_error_is_decoded_as_a_bug() -> None:
    with pytest.raises(JudgeFailed):
        decode_decision_or_raise(b'{"failure":"NoSuchFailure","facts":{}}')
