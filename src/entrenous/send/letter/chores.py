"""Chores at our own relay that wait until it answers: tokens to register, tokens to withdraw."""

from entrenous.craft.crypto.hashing import lock_of
from entrenous.craft.crypto.tokens import send_token
from entrenous.model.envelope import SendToken
from entrenous.model.errors import EntrenousError
from entrenous.model.ids import PersonId
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.devices.self import who_am_i
from entrenous.send.drawers import CHORE, GIVEN, WITHDRAW, given_key, lay, take_all


def promise_window(person: PersonId, device: Device) -> Secret:
    """The seed of a window with whose first token (index 0) one person may write to us; that is
    registered, as a lasting one, before a letter says so.
    """
    seed = Secret(device.dice.token(32))
    chore = SendToken(lock_of(send_token(seed, 0)), None, None)
    lay(chore, CHORE, chore.lock.hex(), device.vault)
    device.vault.put(GIVEN, given_key(person, chore.lock), b"")
    return seed


def take_tokens_back(person: PersonId, device: Device) -> tuple[bytes, ...]:
    """See to it that no token that we gave to a person holds any longer; their locks.

    Call it in a transaction; the relay hears it with the next chores.
    """
    mine = given_key(person, b"")
    keys = [key for key, _ in device.vault.items(GIVEN) if key.startswith(mine)]
    locks = tuple(bytes.fromhex(key.removeprefix(mine)) for key in keys)
    for key, lock in zip(keys, locks, strict=True):
        device.vault.drop(GIVEN, key)
        device.vault.drop(CHORE, lock.hex())
        device.vault.put(WITHDRAW, lock.hex(), b"")
    return locks


def has_tokens_to_withdraw(device: Device) -> bool:
    """Whether our relay has yet to hear that a token shall not hold any longer."""
    return any(True for _ in device.vault.items(WITHDRAW))


def do_chores(device: Device) -> list[EntrenousError]:
    """Register what letters in the outbox promise, and withdraw what was taken back.

    What our relay refuses, or does not answer, is a chore again next time.
    """
    problems = list[EntrenousError]()
    for work in (_register, _withdraw):
        try:
            work(device)
        except EntrenousError as error:
            problems.append(error)
    return problems


def _register(device: Device) -> None:
    for token in list(take_all(SendToken, CHORE, device.vault)):
        home = who_am_i(device).home
        device.courier.register_token(home.relay_url, home.mailbox, home.owner, token)
        device.vault.drop(CHORE, token.lock.hex())


def _withdraw(device: Device) -> None:
    for lock, _ in list(device.vault.items(WITHDRAW)):
        home = who_am_i(device).home
        device.courier.withdraw_token(home.relay_url, home.mailbox, home.owner, bytes.fromhex(lock))
        device.vault.drop(WITHDRAW, lock)
