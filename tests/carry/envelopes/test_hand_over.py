"""Tests of the limits of a page of waiting envelopes: bytes and number of envelopes."""

import pytest

from entrenous.base.limits import (
    ENVELOPE_PAGE_FULL_BYTES,
    ENVELOPES_PER_PAGE_MAX,
    SEALED_LETTER_BYTES_MAX,
)
from entrenous.carry.accept import accept, list_waiting_envelopes
from entrenous.carry.mailbox import create_mailbox
from entrenous.carry.relay import Relay
from entrenous.carry.send_tokens import register_send_token
from entrenous.crypto.hashing import token_hash
from tests.carry.relays import SampleMessage, new_relay, run


def sequences_by_page(
    relay: Relay, message: SampleMessage, limit: int = ENVELOPES_PER_PAGE_MAX
) -> list[list[int]]:
    """Return the sequence numbers of the waiting envelopes, page by page."""
    found, after = list[list[int]](), 0
    while page := run(list_waiting_envelopes(message.mailbox, message.owner, after, limit, relay)):
        found.append([one.sequence for one in page])
        after = page[-1].sequence
    return found


def relay_with_messages(message: SampleMessage, *sizes: int) -> Relay:
    """Return a relay with waiting messages of these sizes in bytes."""
    relay = new_relay()
    run(create_mailbox(message.mailbox, token_hash(message.owner), relay))
    run(register_send_token(message.mailbox, message.owner, message.send_token(), relay))
    for size in sizes:
        message.sealed = bytes(size)
        run(accept(message.new_envelope(), message.token, relay))
    return relay


@pytest.mark.parametrize(
    ("sizes", "expected_sequences"),
    [
        ([SEALED_LETTER_BYTES_MAX] * 9, [[1, 2, 3, 4], [5, 6, 7, 8], [9]]),
        (
            [1, SEALED_LETTER_BYTES_MAX, SEALED_LETTER_BYTES_MAX, SEALED_LETTER_BYTES_MAX, 2, 3],
            [[1, 2, 3, 4, 5, 6]],
        ),
        ([SEALED_LETTER_BYTES_MAX // 2] * 7, [[1, 2, 3, 4, 5, 6, 7]]),
        ([ENVELOPE_PAGE_FULL_BYTES // 4] * 5, [[1, 2, 3, 4], [5]]),
    ],
    ids=["largest", "mixed", "half of the largest", "exactly full"],
)
def test_page_ends_when_it_is_full_and_the_rest_is_on_the_next(
    sizes: list[int], expected_sequences: list[list[int]]
) -> None:
    message = SampleMessage()
    relay = relay_with_messages(message, *sizes)
    assert sequences_by_page(relay, message) == expected_sequences


def test_page_of_small_messages_is_limited_by_count() -> None:
    message = SampleMessage()
    relay = relay_with_messages(message, *[9000] * (ENVELOPES_PER_PAGE_MAX + 1))
    assert [len(page) for page in sequences_by_page(relay, message)] == [ENVELOPES_PER_PAGE_MAX, 1]
    assert [len(page) for page in sequences_by_page(relay, message, 40)] == [40, 11]
