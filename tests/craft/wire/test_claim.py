"""Claims as JSON: there and back, and nothing else is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.craft.wire.claim import read_claim, read_request, write_claim, write_request
from entrenous.model.claim import BadClaim, ClaimRequest, ClaimState, ClaimStatus
from entrenous.model.fingerprint import Fingerprint
from entrenous.model.ids import ClaimId

hashes = st.binary(min_size=32, max_size=32)
requests = st.builds(
    ClaimRequest,
    whole=st.builds(Fingerprint, kind=st.just("pdq"), bits=hashes, quality=st.integers(0, 100)),
    parts=st.lists(hashes, max_size=5).map(tuple),
    holder_sha256=hashes,
    reason=st.text(max_size=64),
    jurisdiction=st.text(max_size=8),
)
GOOD = write_request(ClaimRequest(Fingerprint("pdq", bytes(32), 90), (bytes(32),), bytes(32)))


@given(requests)
def test_a_request_comes_back(request: ClaimRequest) -> None:
    assert read_request(write_request(request)) == request


@given(st.text(min_size=1, max_size=64), st.sampled_from(ClaimState))
def test_an_answer_comes_back(name: str, state: ClaimState) -> None:
    status = ClaimStatus(ClaimId(name), "pdq", state)
    assert read_claim(write_claim(status)) == status


@given(st.binary(max_size=300))
def test_noise_is_refused(data: bytes) -> None:
    for read in (read_request, read_claim):
        with pytest.raises(BadClaim):
            read(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"claim-request/1", b"claim-request/2"),
        (b'"pdq"', b'"md5"'),
        (b'"quality":90', b'"quality":101'),
        (b'"quality":90', b'"quality":-1'),
        (b'"quality":90', b'"quality":"90"'),
        (b'"hex":"00', b'"hex":"0'),
        (b'"hex":"00', b'"hex":"0G'),
        (b'"hex":"00', b'"hex":" 0'),
        (b'"parts":["00', b'"parts":["0000'),
        (b'"reason":""', b'"reason":"' + b"a" * 65 + b'"'),
        (b'"reason":""', b'"reason":"","name":"Ana"'),
        (b'"parts":[', b'"parts":[' + b'"' + b"0" * 64 + b'",' + b'"",' * 600),
    ],
)
def test_what_is_off_in_one_place_is_refused(old: bytes, new: bytes) -> None:
    assert old in GOOD
    with pytest.raises(BadClaim):
        read_request(GOOD.replace(old, new, 1))


def test_an_error_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(BadClaim) as caught:
        read_request(GOOD.replace(b'"reason":""', b'"reason":"","secret":"Ana"'))
    assert "Ana" not in str(caught.value)
    assert "secret" not in str(caught.value)
