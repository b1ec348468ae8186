"""Send tokens, registered one at a time or in batches: uses, expiry and limits."""

from datetime import timedelta

import pytest

from entrenous.base.errors import Expired, TooMany, TooManyRegistered, WrongToken
from entrenous.base.identifiers import DeviceId
from entrenous.base.limits import (
    SINGLE_USE_TOKEN_CLAIMS_PER_HOUR_MAX,
    TOKEN_BATCH_MAX,
    TOKENS_PER_MAILBOX_MAX,
)
from entrenous.base.secret import Secret
from entrenous.carry.accept import accept
from entrenous.carry.mailbox import (
    claim_prekeys,
    create_mailbox,
    find_key_bundle,
    replace_key_bundle,
    replace_prekeys,
)
from entrenous.carry.relay import Relay
from entrenous.carry.send_tokens import add_and_drop_send_tokens, register_send_token
from entrenous.crypto.hashing import token_hash
from entrenous.wire.relay_nouns import Prekeys, SendTokenChanges
from tests.carry.relays import NOON, SampleMessage, new_relay, run
from tests.deterministic import SettableClock

EXPIRES_AT = NOON + timedelta(days=100)


def numbered_token(number: int) -> Secret:
    return Secret(number.to_bytes(32, "big"))


def token_hashes(*numbers: int) -> tuple[bytes, ...]:
    return tuple(token_hash(numbered_token(number)) for number in numbers)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def relay(clock: SettableClock) -> Relay:
    return new_relay(clock)


@pytest.fixture
def message(relay: Relay) -> SampleMessage:
    message = SampleMessage()
    run(create_mailbox_with_bundle(message, relay))
    return message


async def create_mailbox_with_bundle(message: SampleMessage, relay: Relay) -> None:
    await create_mailbox(message.mailbox, token_hash(message.owner), relay)
    await replace_key_bundle(message.mailbox, message.owner, b"card", relay)


def change_tokens(
    message: SampleMessage, relay: Relay, add: tuple[bytes, ...], drop: tuple[bytes, ...] = ()
) -> int:
    """Add and drop send tokens of these hashes; return how many tokens the mailbox then has."""
    return run(
        add_and_drop_send_tokens(
            message.mailbox, message.owner, SendTokenChanges(add, drop, EXPIRES_AT), relay
        )
    )


def is_token_valid(message: SampleMessage, number: int, relay: Relay) -> bool:
    try:
        return run(find_key_bundle(message.mailbox, numbered_token(number), relay)) == b"card"
    except WrongToken:
        return False


def test_batch_token_admits_one_envelope(message: SampleMessage, relay: Relay) -> None:
    assert change_tokens(message, relay, token_hashes(1, 2)) == 2
    envelope = message.envelope(blobs=False)
    assert run(accept(envelope, numbered_token(1), relay))
    # A repeated post needs no valid token.
    assert not run(accept(envelope, numbered_token(1), relay))
    assert (is_token_valid(message, 1, relay), is_token_valid(message, 2, relay)) == (False, True)


def test_batch_adds_and_drops_tokens_and_may_be_repeated(
    message: SampleMessage, relay: Relay
) -> None:
    change_tokens(message, relay, token_hashes(1, 2, 3))
    assert change_tokens(message, relay, token_hashes(4), token_hashes(2, 9)) == 3
    assert [is_token_valid(message, number, relay) for number in (1, 2, 3, 4, 9)] == [
        *(True, False, True, True, False)
    ]
    assert change_tokens(message, relay, token_hashes(4), token_hashes(2, 9)) == 3


def test_tokens_are_added_only_by_the_owner_and_before_they_expire(
    message: SampleMessage, relay: Relay, clock: SettableClock
) -> None:
    batch = SendTokenChanges(token_hashes(1), (), EXPIRES_AT)
    with pytest.raises(WrongToken):
        run(add_and_drop_send_tokens(message.mailbox, message.token, batch, relay))
    clock.advance(days=100)
    with pytest.raises(Expired):
        run(add_and_drop_send_tokens(message.mailbox, message.owner, batch, relay))
    assert not is_token_valid(message, 1, relay)


def test_batch_tokens_expire(message: SampleMessage, relay: Relay, clock: SettableClock) -> None:
    change_tokens(message, relay, token_hashes(1))
    clock.advance(days=99)
    assert is_token_valid(message, 1, relay)
    clock.advance(days=1)
    assert not is_token_valid(message, 1, relay)


def test_envelopes_are_counted_only_for_a_limited_token(
    message: SampleMessage, relay: Relay
) -> None:
    run(register_send_token(message.mailbox, message.owner, message.send_token(uses=None), relay))
    assert run(accept(message.new_envelope(), message.token, relay))
    run(register_send_token(message.mailbox, message.owner, message.send_token(uses=1), relay))
    assert run(accept(message.new_envelope(), message.token, relay))
    with pytest.raises(WrongToken):
        run(accept(message.new_envelope(), message.token, relay))


@pytest.mark.slow
def test_batch_beyond_the_token_limit_adds_nothing(message: SampleMessage, relay: Relay) -> None:
    for start in range(0, TOKENS_PER_MAILBOX_MAX, TOKEN_BATCH_MAX):
        count = change_tokens(message, relay, token_hashes(*range(start, start + TOKEN_BATCH_MAX)))
    assert count == TOKENS_PER_MAILBOX_MAX
    number = TOKENS_PER_MAILBOX_MAX + 5
    with pytest.raises(TooManyRegistered):
        change_tokens(message, relay, token_hashes(number), ())
    assert (
        change_tokens(message, relay, token_hashes(number), token_hashes(7))
        == TOKENS_PER_MAILBOX_MAX
    )
    assert is_token_valid(message, number, relay)


@pytest.mark.parametrize("batch_size", [TOKEN_BATCH_MAX + 1, 2])
def test_batch_of_repeated_or_too_many_tokens_is_invalid(batch_size: int) -> None:
    hashes = (
        token_hashes(*range(batch_size)) if batch_size > TOKEN_BATCH_MAX else token_hashes(1, 1)
    )
    with pytest.raises(ValueError, match="at most, each once"):
        SendTokenChanges(hashes, (), EXPIRES_AT)


@pytest.mark.threat("prekey-depletion")
def test_single_use_token_claims_few_prekeys(
    message: SampleMessage, relay: Relay, clock: SettableClock
) -> None:
    """A device may repeat a claim if the answer was lost. With a single-use token, it may do so
    only a few times an hour.
    """
    device = DeviceId(b"D" * 16)
    keys = Prekeys((b"one", b"two"), b"fallback", b"xwing")
    run(replace_prekeys(message.mailbox, message.owner, device, keys, relay))
    change_tokens(message, relay, token_hashes(1))
    for _ in range(SINGLE_USE_TOKEN_CLAIMS_PER_HOUR_MAX):
        run(claim_prekeys(message.mailbox, numbered_token(1), device, relay))
    with pytest.raises(TooMany):
        run(claim_prekeys(message.mailbox, numbered_token(1), device, relay))
    clock.advance(hours=1)
    bundle = run(claim_prekeys(message.mailbox, numbered_token(1), device, relay))
    assert (bundle.one_time, bundle.fallback) == (None, b"fallback")
