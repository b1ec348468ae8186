"""This device's own prekeys at its relay: make them, top them up, replace them in time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Final

from entrenous.base.identity import Prekey, PrekeyKind
from entrenous.base.limits import BATCH_SIZE_MAX, KEY_ID_BYTES, ONE_TIME_KEYS
from entrenous.crypto.hpke import PRIVATE_BYTES, new_key, public_key
from entrenous.crypto.identity_keys import add_one_time_keys, replace_fallback_key
from entrenous.crypto.statements import prekey_leaf, sign_prekeys
from entrenous.device.device import Device
from entrenous.device.identities import Me, account_of, keep_account, who_am_i
from entrenous.device.vault_tables import OWN_KEY, SELF, load_record, load_records, store_record
from entrenous.send.clock_sanity import (
    LONGEST_ON_ITS_WAY,
    believed_now,
    is_clock_odd,
    is_lately,
    this_second,
)
from entrenous.send.devices.own_key_bundle import place_in, signed_batch
from entrenous.send.formats.identity_formats import write_prekey, write_prekey_statement
from entrenous.send.letter.letter_nouns import OwnKey, XWingKey
from entrenous.wire.relay_nouns import Prekeys

_LOW: Final = ONE_TIME_KEYS // 2
_REPLACE_AFTER: Final = timedelta(days=7)  # docs/spec/identity.md section 5
_DELETE_AFTER: Final = timedelta(days=14)  # counted from when it was replaced
_UNPUBLISHED: Final = "prekeys"
_LASTING: Final = "lasting-prekeys"
_NO_LEAF: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class LastingStatements:
    """The statements of our present fallback key and X-Wing key: each set repeats them until they
    are replaced.
    """

    fallback: bytes
    xwing: bytes


def publish_prekeys(device: Device, *, lasting: bool = True) -> None:
    """Bring a set of prekeys to the relay, with fresh one-time keys; with ``lasting`` its fallback
    key and its X-Wing key are fresh too. One signature covers a set, and the relay hands out none
    of the one before it.

    The private halves are on disk before the public ones leave. A set that the relay did not take
    is brought again rather than a new one: an account keeps the private halves of two fallback keys
    only, and one of them must be the one that the relay hands out. So a fallback key is replaced
    once a week, however often the others run out.
    """
    me = who_am_i(device)
    prekeys = load_record(Prekeys, SELF, _UNPUBLISHED, device.vault)
    prekeys = prekeys or _new_set(me, device, lasting=lasting)
    device.courier.publish_prekeys(
        me.home.relay_url, me.home.mailbox, me.home.owner, me.key.device, prekeys
    )
    device.vault.drop(SELF, _UNPUBLISHED)


def _new_set(me: Me, device: Device, *, lasting: bool) -> Prekeys:
    with device.vault.together():
        known = None if lasting else load_record(LastingStatements, SELF, _LASTING, device.vault)
        account, one_time = add_one_time_keys(account_of(device), ONE_TIME_KEYS)
        keep_account(account, device)
        kept = known or _new_lasting_keys(me, device)
        statements = [
            _statement(PrekeyKind.ONE_TIME, key_id, public, me, device)
            for key_id, public in one_time.items()
        ]
        prekeys = _signed([*statements, kept.fallback, kept.xwing], me, device)
        store_record(prekeys, SELF, _UNPUBLISHED, device.vault)
    return prekeys


def _new_lasting_keys(me: Me, device: Device) -> LastingStatements:
    account, fallback_id, fallback = replace_fallback_key(account_of(device))
    keep_account(account, device)
    xwing = make_own_key(None, me, device)
    made = LastingStatements(
        _statement(PrekeyKind.FALLBACK, fallback_id, fallback, me, device),
        _statement(PrekeyKind.XWING, xwing.id, xwing.public, me, device),
    )
    store_record(made, SELF, _LASTING, device.vault)
    return made


def forget_unpublished(device: Device) -> None:
    """What has not left is not brought any more: a new relay needs a whole set."""
    device.vault.drop(SELF, _UNPUBLISHED)


def top_up_prekeys(device: Device) -> None:
    """Top up when few one-time keys are left, or when the X-Wing prekey has done its days."""
    me = who_am_i(device)
    home = me.home
    held = device.courier.prekey_count(home.relay_url, home.mailbox, home.owner, me.key.device)
    _date_again(device)
    fresh = any(is_lately(key.made_at, _REPLACE_AFTER, device) for key in _public_keys(device))
    if held < _LOW or not fresh:
        publish_prekeys(device, lasting=not fresh)
    _forget_old_prekeys(device)


def _date_again(device: Device) -> None:
    """What a clock made that was far ahead is due to be replaced: else it would be the newest one
    for as long, and be kept. Not by a clock that may be behind now.
    """
    now = device.clock.now()
    for key in _public_keys(device):
        if key.made_at - now > LONGEST_ON_ITS_WAY and not is_clock_odd(device):
            due = replace(key, made_at=now - _REPLACE_AFTER)
            store_record(due, OWN_KEY, key.id.hex(), device.vault)


def _public_keys(device: Device) -> list[OwnKey]:
    """Our X-Wing prekeys, oldest first."""
    public = [key for key in load_records(OwnKey, OWN_KEY, device.vault) if key.peer is None]
    return sorted(public, key=lambda key: key.made_at)


def _forget_old_prekeys(device: Device) -> None:
    """Whoever was given one before it was replaced has some days to write to it."""
    now = believed_now(device)
    for key, successor in pairwise(_public_keys(device)):
        if now - successor.made_at >= _DELETE_AFTER:
            device.vault.drop(OWN_KEY, key.id.hex())


def make_own_key(peer: str | None, me: Me, device: Device) -> XWingKey:
    """A new X-Wing key pair of ours, stored; made for one ``peer``, or public (None)."""
    private = new_key(device.dice.token(PRIVATE_BYTES))
    key_id = device.dice.token(KEY_ID_BYTES)
    own = OwnKey(key_id, private, me.person.epoch, me.person.head, device.clock.now(), peer)
    store_record(own, OWN_KEY, key_id.hex(), device.vault)
    return XWingKey(key_id, public_key(private))


def _statement(kind: PrekeyKind, key_id: bytes, public: bytes, me: Me, device: Device) -> bytes:
    now, person = this_second(device), me.person
    return write_prekey_statement(
        Prekey(kind, key_id, me.key.device, person.epoch, person.head, now, public)
    )


def _signed(statements: Sequence[bytes], me: Me, device: Device) -> Prekeys:
    """A set as the relay hands it out; the last two statements are those of the lasting keys.

    Its tree is filled up with leaves that no statement has, so that all paths are equally long, and
    the length of an answer does not tell which keys of the set it holds.
    """
    leaves = [*map(prekey_leaf, statements), *[_NO_LEAF] * (BATCH_SIZE_MAX - len(statements))]
    batch = signed_batch(leaves, me.home.mailbox, sign_prekeys, device)
    last = len(statements) - 1
    *one_time, fallback, xwing = (
        write_prekey(statement, place_in(leaves, index), batch if index == last else None)
        for index, statement in enumerate(statements)
    )
    return Prekeys(tuple(one_time), fallback, xwing)
