"""An adversary's tricks. Some fit any call, others only calls of certain names.

A trick receives the call (``tests.village.adversary.PendingCall``), and answers it or raises an
error of a relay or of the network.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from random import Random
from typing import Any, Final

from entrenous.base.errors import (
    EntrenousError,
    NoSuchBlob,
    NoSuchEnvelope,
    NoSuchMailbox,
    NotUnderstood,
    RelayFull,
    RelayUnreachable,
    TakenBack,
    TooMany,
    UsedUp,
    WrongToken,
)
from entrenous.base.identifiers import EnvelopeId
from entrenous.base.secret import Secret
from entrenous.wire.relay_nouns import EnvelopeState, EnvelopeStatus, PrekeyBundle, WaitingEnvelope

Trick = Callable[[Any], Any]

FALSE_ERRORS: Final[tuple[EntrenousError, ...]] = (
    NoSuchMailbox(),
    NoSuchEnvelope(),
    NoSuchBlob(),
    WrongToken(),
    NotUnderstood(),
    TooMany(retry_after_s=60),
    RelayFull(),
    TakenBack(),
    UsedUp(),
)


def with_flipped_bit(value: Any, rng: Random) -> Any:
    """Return a copy of ``value`` with one random bit flipped, or ``value`` if it has no bytes."""
    if isinstance(value, bytes) and value:
        changed = bytearray(value)
        changed[int(rng.random() * len(value))] ^= 1 << int(rng.random() * 8)
        return type(value)(changed)
    if isinstance(value, Secret):
        return Secret(with_flipped_bit(value.reveal(), rng))
    if isinstance(value, list) and value:
        place = int(rng.random() * len(value))
        return [with_flipped_bit(one, rng) if at == place else one for at, one in enumerate(value)]
    if is_dataclass(value) and not isinstance(value, type):
        byte_fields = [one.name for one in fields(value) if _holds_bytes(getattr(value, one.name))]
        if byte_fields:
            name = byte_fields[int(rng.random() * len(byte_fields))]
            return replace(value, **{name: with_flipped_bit(getattr(value, name), rng)})
    return value


def _holds_bytes(value: Any) -> bool:
    return isinstance(value, bytes | Secret) and len(value) > 0


# --- any call -----------------------------------------------------------------------------------


def drop_request(_call: Any) -> Any:
    raise RelayUnreachable(host="relay")


def drop_answer(call: Any) -> Any:
    call.forward()
    raise RelayUnreachable(host="relay")


def repeat_request(call: Any) -> Any:
    call.forward()
    return call.forward()


def delay_request(call: Any) -> Any:
    """Delay the call until after later calls, and tell its caller that the relay is unreachable."""
    call.adversary.delayed.append((call.caller, call.name, call.arguments))
    raise RelayUnreachable(host="relay")


def raise_false_error(call: Any) -> Any:
    raise call.rng.choice(FALSE_ERRORS)


def flip_bit(call: Any) -> Any:
    return with_flipped_bit(call.forward(), call.rng)


def replay_answer(call: Any) -> Any:
    """Give an earlier answer about the same subject, without asking the honest relay.

    Ask the honest relay if there is no earlier answer.
    """
    if call.name == "open_share":
        return replay_share(call)
    earlier = [one for one in call.earlier_calls() if one.subject == call.subject]
    return call.rng.choice(earlier).answer if earlier else call.forward()


def answer_about_another(call: Any) -> Any:
    """Pass the call on, but give an earlier answer about another subject, if there is one."""
    answer = call.forward()
    others = [one for one in call.earlier_calls() if one.subject != call.subject]
    return call.rng.choice(others).answer if others else answer


TRICKS_FOR_ANY_CALL: Final[tuple[Trick, ...]] = (
    drop_request,
    drop_answer,
    repeat_request,
    delay_request,
    raise_false_error,
    flip_bit,
    replay_answer,
    answer_about_another,
)


# --- letters and statuses -----------------------------------------------------------------------


def acknowledge_only(_call: Any) -> None:
    """Acknowledge the call, and do nothing else."""


def answer_random_status(call: Any) -> EnvelopeStatus:
    """Answer with a random status. Forward each status request, but only some of the recalls."""
    if call.name == "envelope_status" or call.rng.random() < 0.5:
        call.forward()
    return EnvelopeStatus(call.rng.choice(list(EnvelopeState)), call.rng.randrange(3))


def post_with_flipped_bit(call: Any) -> None:
    """Post the letter with one bit flipped in its sealed content."""
    url, token, envelope = call.arguments
    changed = replace(envelope, sealed=with_flipped_bit(envelope.sealed, call.rng))
    call.adversary.call_relay(call.caller, "post", (url, token, changed))


def post_earlier_letter_too(call: Any) -> None:
    """Post the letter, and then a random earlier letter to the same mailbox under a new ID."""
    call.forward()
    earlier = call.rng.choice(call.earlier_calls()).arguments[2]
    url, token, envelope = call.arguments
    number = EnvelopeId(call.rng.randbytes(16))
    again = replace(envelope, id=number, sealed=earlier.sealed, share=None, blobs=())
    call.adversary.call_relay(call.caller, "post", (url, token, again))


def shuffle_letters(call: Any) -> list[WaitingEnvelope]:
    page: list[WaitingEnvelope] = list(call.forward())
    call.rng.shuffle(page)
    return page


def withhold_letters(call: Any) -> list[WaitingEnvelope]:
    return [one for one in call.forward() if call.rng.random() < 0.5]


def repeat_letters(call: Any) -> list[WaitingEnvelope]:
    page = call.forward()
    return [*page, *page]


def replay_letters(call: Any) -> list[WaitingEnvelope]:
    """Show up to three earlier letters again, with new sequence numbers and a later expiry."""
    page = list(call.forward())
    old = [one for earlier_call in call.earlier_calls() for one in earlier_call.answer]
    call.rng.shuffle(old)
    return [*map(_renumber(call.rng, len(page)), old[:3]), *page]


def _renumber(rng: Random, above: int) -> Callable[[WaitingEnvelope], WaitingEnvelope]:
    def renumbered(one: WaitingEnvelope) -> WaitingEnvelope:
        number = EnvelopeId(rng.randbytes(16)) if rng.random() < 0.5 else one.id
        later = one.expires_at + timedelta(days=9)
        return replace(one, id=number, sequence=one.sequence + above, expires_at=later)

    return renumbered


def swap_letters(call: Any) -> list[WaitingEnvelope]:
    page = list(call.forward())
    sealed = [one.sealed for one in page]
    call.rng.shuffle(sealed)
    return [replace(one, sealed=letter) for one, letter in zip(page, sealed, strict=True)]


def show_others_letters(call: Any) -> list[WaitingEnvelope]:
    page = list(call.forward())
    others = [
        one
        for earlier_call in call.earlier_calls()
        if earlier_call.subject != call.subject
        for one in earlier_call.answer
    ]
    call.rng.shuffle(others)
    return [*others[:2], *page]


# --- key bundles and prekeys ---------------------------------------------------------------------


def split_view(call: Any) -> bytes:
    """Show about half of the callers a person's oldest remembered list, and the rest the newest."""
    newest = call.forward()
    answers = [one.answer for one in call.earlier_calls() if one.subject == call.subject]
    sees_oldest = Random(f"{call.adversary.seed} {call.caller}").random() < 0.5
    return answers[0] if sees_oldest else newest


def roll_back_list(call: Any) -> bytes:
    call.forward()
    earlier = [one for one in call.earlier_calls() if one.subject == call.subject]
    answers: list[bytes] = [one.answer for one in earlier]
    return answers[int(call.rng.random() * len(answers))]


def ignore_list(call: Any) -> None:
    """Acknowledge a new list without publishing it."""


def hand_out_others_keys(call: Any) -> PrekeyBundle:
    """Replace some or all keys by keys of another device, or by earlier keys of this device."""
    true: PrekeyBundle = call.forward()
    others = [one for one in call.earlier_calls() if one.subject != call.subject]
    other = call.rng.choice(others or call.earlier_calls()).answer
    names = [one.name for one in fields(PrekeyBundle)]
    replaced = call.rng.sample(names, call.rng.randint(1, len(names)))
    return replace(true, **{name: getattr(other, name) for name in replaced})


def omit_one_time_key(call: Any) -> PrekeyBundle:
    return replace(call.forward(), one_time=None)


def answer_wrong_count(call: Any) -> int:
    call.forward()
    return call.rng.choice((0, 1, 50, 10**9))


# --- blobs and key shares -----------------------------------------------------------------------


def truncate_blob(call: Any) -> bytes:
    data: bytes = call.forward()
    return data[: int(call.rng.random() * len(data))]


def lengthen_blob(call: Any) -> bytes:
    return bytes(call.forward()) + b"\0" * call.rng.randrange(1, 9)


def answer_wrong_share(call: Any) -> Secret:
    """Answer with the share of another envelope, or with 32 zero bytes."""
    call.forward()
    others = [share for one, share in call.adversary.shares.items() if one != call.subject]
    return call.rng.choice([*others, Secret(bytes(32))])


def replay_share(call: Any) -> Secret:
    """Answer with the true share, even after its deletion, if the adversary keeps shares."""
    adversary = call.adversary
    if not adversary.keeps_shares or call.subject not in adversary.shares:
        return answer_wrong_share(call)
    adversary.handed_out_again.add(call.subject)
    return adversary.shares[call.subject]


def race_two_openers(call: Any) -> Secret:
    """Let a second opener compete with the caller; answer with the share that is released first."""
    url, envelope, token, _ = call.arguments
    racers = [
        (call.caller, call.arguments),
        ("racer", (url, envelope, token, call.rng.randbytes(16))),
    ]
    call.rng.shuffle(racers)
    shares: list[Secret] = []
    for caller, arguments in racers:
        try:
            shares.append(call.adversary.call_relay(caller, "open_share", arguments))
        except EntrenousError:
            if not shares and caller != "racer":
                raise
    return shares[0] if shares else call.forward()


TRICKS_BY_CALL: Final[Mapping[str, tuple[Trick, ...]]] = {
    "waiting_envelopes": (
        shuffle_letters,
        withhold_letters,
        repeat_letters,
        replay_letters,
        swap_letters,
        show_others_letters,
    ),
    "post": (acknowledge_only, post_with_flipped_bit, post_earlier_letter_too),
    "acknowledge": (acknowledge_only,),
    "withdraw": (answer_random_status,),
    "envelope_status": (answer_random_status,),
    "key_bundle": (split_view, roll_back_list),
    "publish_key_bundle": (ignore_list,),
    "publish_prekeys": (answer_wrong_count,),
    "prekey_count": (answer_wrong_count,),
    "claim_prekeys": (hand_out_others_keys, omit_one_time_key),
    "register_token": (acknowledge_only,),
    "drop_send_token": (acknowledge_only,),
    "change_tokens": (acknowledge_only,),
    "upload_blob": (acknowledge_only,),
    "blob": (truncate_blob, lengthen_blob),
    "open_share": (answer_wrong_share, replay_share, race_two_openers),
    "finish_opening": (acknowledge_only,),
    "report_vault_unlock": (acknowledge_only,),
    "allow_more_tries": (acknowledge_only,),
    "replace_unlock_token": (acknowledge_only,),
    "set_close_token": (acknowledge_only,),
    "close_mailbox": (acknowledge_only,),
    "create_lock": (acknowledge_only,),
    "create_mailbox": (acknowledge_only,),
}
