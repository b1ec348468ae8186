"""Generate, publish, top up and rotate this device's prekeys."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from entrenous.base.identity import Prekey, PrekeyKind
from entrenous.base.limits import BATCH_SIZE_MAX, ONE_TIME_KEYS_MAX, PREKEY_ID_BYTES
from entrenous.crypto.hpke import (
    XWING_PRIVATE_KEY_BYTES,
    xwing_private_key_from_seed,
    xwing_public_key,
)
from entrenous.crypto.identity_keys import add_one_time_keys, replace_fallback_key
from entrenous.crypto.statements import prekey_leaf, sign_prekeys
from entrenous.device.device import Device
from entrenous.device.identities import OwnIdentity, olm_account_of, own_device, store_olm_account
from entrenous.device.vault_tables import OwnRecord
from entrenous.send.clock_sanity import (
    MAX_TIME_IN_TRANSIT,
    is_clock_implausible,
    is_recent,
    now_in_whole_seconds,
    time_certainly_passed,
)
from entrenous.send.devices.own_key_bundle import batch_positions, sign_batch
from entrenous.send.formats.identity_formats import write_prekey, write_prekey_statement
from entrenous.send.letter.letter_nouns import OWN_XWING_KEY_TABLE, OwnXWingKey, PublicXWingKey
from entrenous.wire.relay_nouns import Prekeys

_TOP_UP_BELOW_ONE_TIME_KEYS: Final = ONE_TIME_KEYS_MAX // 2
# docs/spec/identity.md section 5
_XWING_KEY_ROTATED_AFTER: Final = timedelta(days=7)
_REPLACED_XWING_KEY_DELETED_AFTER: Final = timedelta(days=14)
# An Olm account keeps two fallback keys: a new one deletes the last but one. So a replaced key is
# kept for this time too.
_FALLBACK_KEY_ROTATED_AFTER: Final = timedelta(days=14)
_UNPUBLISHED_PREKEYS_RECORD: Final = OwnRecord("prekeys", Prekeys)
_PADDING_MERKLE_LEAF: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class ReusableKeyStatements:
    """The statements of the current fallback and X-Wing keys, which are part of each set until the
    keys are rotated.
    """

    fallback: bytes
    fallback_made_at: datetime
    xwing: bytes


_REUSABLE_STATEMENTS_RECORD: Final = OwnRecord("lasting-prekeys", ReusableKeyStatements)


def publish_prekeys(device: Device, *, renew_reusable: bool = True) -> None:
    """Publish a set of prekeys with fresh one-time keys and, if ``renew_reusable`` is true, with a
    fresh X-Wing key, and a fresh fallback key if it is due.

    One signature covers a set. When the relay gets a set, it discards the previous one. Private
    keys are stored before the public ones are sent. A set that the relay did not accept is sent
    again unchanged: an account stores the private halves of only two fallback keys, and the one
    that the relay hands out must be among them. For the same reason the fallback key is replaced
    only every two weeks, however often one-time keys run out and X-Wing keys are replaced.
    """
    me = own_device(device)
    prekeys = _UNPUBLISHED_PREKEYS_RECORD.load(device.vault)
    prekeys = prekeys or _new_prekey_set(me, device, renew_reusable=renew_reusable)
    device.courier.publish_prekeys(
        me.home.relay_url, me.home.mailbox, me.home.owner, me.key.device, prekeys
    )
    _UNPUBLISHED_PREKEYS_RECORD.drop(device.vault)


def _new_prekey_set(me: OwnIdentity, device: Device, *, renew_reusable: bool) -> Prekeys:
    with device.vault.transaction():
        current = _REUSABLE_STATEMENTS_RECORD.load(device.vault)
        account, one_time = add_one_time_keys(olm_account_of(device), ONE_TIME_KEYS_MAX)
        store_olm_account(account, device)
        if current is None or renew_reusable:
            current = _renew_reusable_keys(current, me, device)
        statements = [
            _prekey_statement(PrekeyKind.ONE_TIME, key_id, public, me, device)
            for key_id, public in one_time.items()
        ]
        prekeys = _sign_prekey_set([*statements, current.fallback, current.xwing], me, device)
        _UNPUBLISHED_PREKEYS_RECORD.store(prekeys, device.vault)
    return prekeys


def _renew_reusable_keys(
    current: ReusableKeyStatements | None, me: OwnIdentity, device: Device
) -> ReusableKeyStatements:
    """Make and store a new X-Wing key, and a new fallback key if there is none or if it is due."""
    if current is not None and is_recent(
        current.fallback_made_at, _FALLBACK_KEY_ROTATED_AFTER, device
    ):
        fallback, made_at = current.fallback, current.fallback_made_at
    else:
        fallback, made_at = _new_fallback_key(me, device), now_in_whole_seconds(device)
    key = make_own_xwing_key(None, me, device)
    xwing = _prekey_statement(PrekeyKind.XWING, key.id, key.public, me, device)
    renewed = ReusableKeyStatements(fallback, made_at, xwing)
    _REUSABLE_STATEMENTS_RECORD.store(renewed, device.vault)
    return renewed


def _new_fallback_key(me: OwnIdentity, device: Device) -> bytes:
    """Make and store a new fallback key; return its statement."""
    account, key_id, public = replace_fallback_key(olm_account_of(device))
    store_olm_account(account, device)
    return _prekey_statement(PrekeyKind.FALLBACK, key_id, public, me, device)


def discard_unpublished_prekeys(device: Device) -> None:
    """Discard a set that the relay does not have yet, since it is signed for our former mailbox."""
    _UNPUBLISHED_PREKEYS_RECORD.drop(device.vault)


def top_up_and_rotate_prekeys(device: Device) -> None:
    """Publish prekeys if few one-time keys are left at the relay, or if the X-Wing prekey is due
    for rotation. Then delete the X-Wing prekeys that were replaced long ago.
    """
    me = own_device(device)
    home = me.home
    left_at_relay = device.courier.prekey_count(
        home.relay_url, home.mailbox, home.owner, me.key.device
    )
    _mark_future_keys_for_rotation(device)
    is_fresh = any(
        is_recent(key.made_at, _XWING_KEY_ROTATED_AFTER, device)
        for key in _own_xwing_prekeys(device)
    )
    if left_at_relay < _TOP_UP_BELOW_ONE_TIME_KEYS or not is_fresh:
        publish_prekeys(device, renew_reusable=not is_fresh)
    _delete_old_prekeys(device)


def _mark_future_keys_for_rotation(device: Device) -> None:
    """Mark prekeys dated far in the future as due for rotation, unless the clock may be behind now.
    They were made while the clock was ahead, and would otherwise count as the newest until that
    date.
    """
    now = device.clock.now()
    for key in _own_xwing_prekeys(device):
        if key.made_at - now > MAX_TIME_IN_TRANSIT and not is_clock_implausible(device):
            due = replace(key, made_at=now - _XWING_KEY_ROTATED_AFTER)
            OWN_XWING_KEY_TABLE.store(due, key.id.hex(), device.vault)


def _own_xwing_prekeys(device: Device) -> list[OwnXWingKey]:
    """Return our X-Wing prekeys, oldest first."""
    public = [key for key in OWN_XWING_KEY_TABLE.all(device.vault) if key.peer is None]
    return sorted(public, key=lambda key: key.made_at)


def _delete_old_prekeys(device: Device) -> None:
    """Delete X-Wing prekeys that were replaced two weeks ago or earlier.

    A sender who requested a prekey just before it was replaced has had these weeks to write.
    """
    now = time_certainly_passed(device)
    for key, successor in pairwise(_own_xwing_prekeys(device)):
        if now - successor.made_at >= _REPLACED_XWING_KEY_DELETED_AFTER:
            OWN_XWING_KEY_TABLE.drop(key.id.hex(), device.vault)


def make_own_xwing_key(peer: str | None, me: OwnIdentity, device: Device) -> PublicXWingKey:
    """Make and store an X-Wing key pair: for letters from one ``peer``, or (None) a prekey to
    publish for everybody.
    """
    private = xwing_private_key_from_seed(device.random_source.token(XWING_PRIVATE_KEY_BYTES))
    key_id = device.random_source.token(PREKEY_ID_BYTES)
    own = OwnXWingKey(key_id, private, me.person.epoch, me.person.head, device.clock.now(), peer)
    OWN_XWING_KEY_TABLE.store(own, key_id.hex(), device.vault)
    return PublicXWingKey(key_id, xwing_public_key(private))


def _prekey_statement(
    kind: PrekeyKind, key_id: bytes, public: bytes, me: OwnIdentity, device: Device
) -> bytes:
    now, person = now_in_whole_seconds(device), me.person
    return write_prekey_statement(
        Prekey(kind, key_id, me.key.device, person.epoch, person.head, now, public)
    )


def _sign_prekey_set(statements: Sequence[bytes], me: OwnIdentity, device: Device) -> Prekeys:
    """Return the set in the form in which the relay hands it out. The last two statements are those
    of the reusable keys.

    The Merkle tree is filled up with dummy leaves, so that all paths are equally long and the
    length of an answer does not reveal which keys the relay still has.
    """
    leaves = [
        *map(prekey_leaf, statements),
        *[_PADDING_MERKLE_LEAF] * (BATCH_SIZE_MAX - len(statements)),
    ]
    batch = sign_batch(leaves, me.home.mailbox, sign_prekeys, device)
    last = len(statements) - 1
    *one_time, fallback, xwing = (
        write_prekey(statement, place, batch if index == last else None)
        for index, (statement, place) in enumerate(
            zip(statements, batch_positions(leaves), strict=False)
        )
    )
    return Prekeys(tuple(one_time), fallback, xwing)
