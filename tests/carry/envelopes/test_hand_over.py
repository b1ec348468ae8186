"""Pages of letters are limited in size, so that nobody can fill a relay's memory with them."""

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
from tests.carry.relays import Post, new_relay, run

# The event loop's wake-up channel is a socket pair.
pytestmark = pytest.mark.usefixtures("socket_enabled")


def pages(relay: Relay, post: Post, limit: int = ENVELOPES_PER_PAGE_MAX) -> list[list[int]]:
    """Return the sequences on each page until an empty one."""
    found, after = list[list[int]](), 0
    while page := run(list_waiting_envelopes(post.mailbox, post.owner, after, limit, relay)):
        found.append([one.sequence for one in page])
        after = page[-1].sequence
    return found


def relay_with(post: Post, *sizes: int) -> Relay:
    """Return a relay with waiting letters of these sizes."""
    relay = new_relay()
    run(create_mailbox(post.mailbox, token_hash(post.owner), relay))
    run(register_send_token(post.mailbox, post.owner, post.granted(), relay))
    for size in sizes:
        post.sealed = bytes(size)
        run(accept(post.letter(), post.token, relay))
    return relay


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([SEALED_LETTER_BYTES_MAX] * 9, [[1, 2, 3, 4], [5, 6, 7, 8], [9]]),
        (
            [1, SEALED_LETTER_BYTES_MAX, SEALED_LETTER_BYTES_MAX, SEALED_LETTER_BYTES_MAX, 2, 3],
            [[1, 2, 3, 4, 5, 6]],
        ),
        ([SEALED_LETTER_BYTES_MAX // 2] * 7, [[1, 2, 3, 4, 5, 6, 7]]),
        ([ENVELOPE_PAGE_FULL_BYTES // 4] * 5, [[1, 2, 3, 4], [5]]),
    ],
    ids=["largest", "mixed", "seven", "exactly full"],
)
def test_a_page_ends_when_it_is_full_and_the_rest_is_on_the_next(
    sizes: list[int], expected: list[list[int]]
) -> None:
    post = Post()
    assert pages(relay_with(post, *sizes), post) == expected


def test_page_of_small_letters_is_limited_by_count() -> None:
    post = Post()
    relay = relay_with(post, *[9000] * (ENVELOPES_PER_PAGE_MAX + 1))
    assert [len(page) for page in pages(relay, post)] == [ENVELOPES_PER_PAGE_MAX, 1]
    assert [len(page) for page in pages(relay, post, 40)] == [40, 11]
