"""Hold a part of the lock of each device, and count the tries (docs/spec/lock.md section 2).

A try is counted, and the count durable, before its answer is computed: no crash and no race gives
an eleventh. The relay learns nothing about a passphrase, and cannot open anything with its part.
"""

from dataclasses import replace

from entrenous.carry.mailboxes.lock_states import LockEvent, asking, state_of, step
from entrenous.carry.mailboxes.tokens import closer, owner
from entrenous.craft.crypto.hashing import lock_of, same
from entrenous.craft.crypto.oprf import UNIFORM_BYTES, draw_scalar, evaluate, refuse_no_element
from entrenous.model.held import GoneMailbox, HeldLock
from entrenous.model.ids import MailboxId
from entrenous.model.lock import Answered, LockExists, NoLock, Opening, RolledBack
from entrenous.model.relay_problem import NoSuchMailbox, WrongToken
from entrenous.model.secret import Secret
from entrenous.ports import MailDesk, MailView, Relay
from entrenous.spec import UNLOCK_TRIES


async def make_lock(mailbox: MailboxId, token: Secret, unlock_lock: bytes, relay: Relay) -> bool:
    """Draw a key for this mailbox's device; False if it has this lock already.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
        LockExists: there is one with another token.
    """
    key = draw_scalar(relay.dice.token(UNIFORM_BYTES))

    def work(desk: MailDesk) -> bool:
        owner(desk, mailbox, token)
        held = desk.get(HeldLock, mailbox)
        if held is None:
            desk.put(HeldLock(mailbox, key, unlock_lock, UNLOCK_TRIES))
        elif not same(held.unlock_lock, unlock_lock):
            raise LockExists
        return held is None

    return await relay.mail.together(work)


async def answer(
    mailbox: MailboxId, token: Secret, untrusted_blinded: bytes, relay: Relay
) -> Answered:
    """Answer one question, if a try is left. The last question asked again counts no second time.

    Raises:
        NotAPoint: this is no question; it was not counted.
        NoLock: the key was deleted.
        NoSuchMailbox: nothing is known of one here.
        WrongToken: this is not the device's unlock token.
        Locked: no try is left.
    """
    refuse_no_element(untrusted_blinded)

    def work(desk: MailDesk) -> HeldLock:
        held = _asked_by(desk, mailbox, token)
        if same(held.asked or b"", untrusted_blinded):
            return held
        step(state_of(held), asking(held))
        counted = replace(held, tries=held.tries - 1, asked=untrusted_blinded)
        desk.put(counted)
        return counted

    held = await relay.mail.together(work)
    return Answered(evaluate(held.key, untrusted_blinded), held.tries)


async def note_opened(mailbox: MailboxId, token: Secret, opening: Opening, relay: Relay) -> None:
    """The vault opened: all tries are back. No other copy of it may have opened in between.

    A later generation is taken. The same one is, if its last opening was by this very vault, which
    did not hear the answer: another copy does not know that opening's number.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner, or nothing is known of a key here.
        NoLock: the key was deleted.
        RolledBack: another copy of the vault opened already. Tries are back all the same: who
            shows the owner's token has opened a vault.
    """

    def work(desk: MailDesk) -> bool:
        _refuse_deleted(desk, mailbox)
        owner(desk, mailbox, token)
        held = _ready(desk, mailbox, LockEvent.OPENED)
        taken = _goes_on(opening, held)
        noted = replace(held, generation=opening.generation, opening=opening.number)
        desk.put(noted if taken else held)
        return taken

    if not await relay.mail.together(work):
        raise RolledBack


async def allow_more_tries(mailbox: MailboxId, token: Secret, relay: Relay) -> None:
    """Give all tries back, for whoever may also delete the mailbox.

    Raises:
        NoSuchMailbox, WrongToken: this is not the close token, or nothing is known of a key here.
        NoLock: the key was deleted.
    """

    def work(desk: MailDesk) -> None:
        _refuse_deleted(desk, mailbox)
        closer(desk, mailbox, token)
        desk.put(_ready(desk, mailbox, LockEvent.RESET))

    await relay.mail.together(work)


async def renew_lock(mailbox: MailboxId, token: Secret, unlock_lock: bytes, relay: Relay) -> None:
    """From now on another token asks questions, and the one before none; may be repeated.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner, or nothing is known of a key here.
        NoLock: the key was deleted.
    """

    def work(desk: MailDesk) -> None:
        _refuse_deleted(desk, mailbox)
        owner(desk, mailbox, token)
        held = _known(desk, mailbox)
        step(state_of(held), LockEvent.RENEW)
        desk.put(replace(held, unlock_lock=unlock_lock))

    await relay.mail.together(work)


def _asked_by(view: MailView, mailbox: MailboxId, token: Secret) -> HeldLock:
    _refuse_deleted(view, mailbox)
    held = _known(view, mailbox)
    if not same(held.unlock_lock, lock_of(token)):
        raise WrongToken
    return held


def _goes_on(opening: Opening, held: HeldLock) -> bool:
    if opening.generation != held.generation or held.opening is None:
        return opening.generation > held.generation
    return any(same(held.opening, number) for number in (opening.number, *opening.before))


def _ready(view: MailView, mailbox: MailboxId, event: LockEvent) -> HeldLock:
    """The lock with all its tries; raises NoSuchMailbox."""
    held = _known(view, mailbox)
    step(state_of(held), event)
    return replace(held, tries=UNLOCK_TRIES)


def _refuse_deleted(view: MailView, mailbox: MailboxId) -> None:
    """What is left of a mailbox that was deleted shows that its lock was; raises NoLock."""
    if view.get(GoneMailbox, mailbox) is not None:
        raise NoLock


def _known(view: MailView, mailbox: MailboxId) -> HeldLock:
    """The lock. That there is none says nothing of why: it may be in another database.

    Raises:
        NoSuchMailbox.
    """
    held = view.get(HeldLock, mailbox)
    if held is None:
        raise NoSuchMailbox
    return held
