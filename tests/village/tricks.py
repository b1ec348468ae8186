"""The tricks that an adversary can play on one call: some for any call, others for single calls.

A trick gets the call (``tests.village.adversary.Asked``), and answers it or raises an error of a
relay or of the network.
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

LIES: Final[tuple[EntrenousError, ...]] = (
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


def turned(thing: Any, dice: Random) -> Any:
    """Return a copy with one bit flipped somewhere in its bytes; without bytes, return it as is."""
    if isinstance(thing, bytes) and thing:
        changed = bytearray(thing)
        changed[int(dice.random() * len(thing))] ^= 1 << int(dice.random() * 8)
        return type(thing)(changed)
    if isinstance(thing, Secret):
        return Secret(turned(thing.reveal(), dice))
    if isinstance(thing, list) and thing:
        place = int(dice.random() * len(thing))
        return [turned(one, dice) if at == place else one for at, one in enumerate(thing)]
    if is_dataclass(thing) and not isinstance(thing, type):
        held = [one.name for one in fields(thing) if _holds_bytes(getattr(thing, one.name))]
        if held:
            name = held[int(dice.random() * len(held))]
            return replace(thing, **{name: turned(getattr(thing, name), dice)})
    return thing


def _holds_bytes(thing: Any) -> bool:
    return isinstance(thing, bytes | Secret) and len(thing) > 0


# --- any call -----------------------------------------------------------------------------------


def drops_the_question(_asked: Any) -> Any:
    raise RelayUnreachable(host="relay")


def drops_the_answer(asked: Any) -> Any:
    asked.honest()
    raise RelayUnreachable(host="relay")


def repeats_the_question(asked: Any) -> Any:
    asked.honest()
    return asked.honest()


def sends_it_on_later(asked: Any) -> Any:
    """Delay the call behind later ones, as if it were lost; its caller repeats it meanwhile."""
    asked.adversary.late.append((asked.caller, asked.call, asked.arguments))
    raise RelayUnreachable(host="relay")


def lies(asked: Any) -> Any:
    raise asked.dice.choice(LIES)


def turns_a_bit(asked: Any) -> Any:
    return turned(asked.honest(), asked.dice)


def answers_as_before(asked: Any) -> Any:
    """Repeat an earlier answer about the same subject, without asking the honest relay."""
    if asked.call == "open_share":
        return hands_out_again(asked)
    earlier = [one for one in asked.remembered() if one.about == asked.about]
    return asked.dice.choice(earlier).answer if earlier else asked.honest()


def answers_about_another(asked: Any) -> Any:
    """Answer with what was said about another subject."""
    answer = asked.honest()
    others = [one for one in asked.remembered() if one.about != asked.about]
    return asked.dice.choice(others).answer if others else answer


ANY: Final[tuple[Trick, ...]] = (
    drops_the_question,
    drops_the_answer,
    repeats_the_question,
    sends_it_on_later,
    lies,
    turns_a_bit,
    answers_as_before,
    answers_about_another,
)


# --- letters ------------------------------------------------------------------------------------


def swallows(_asked: Any) -> None:
    """Acknowledge the call, and do nothing."""


def says_it_is_swallowed(asked: Any) -> EnvelopeStatus:
    """Answer with a random state, whether or not the call is passed on."""
    if asked.call == "envelope_status" or asked.dice.random() < 0.5:
        asked.honest()
    return EnvelopeStatus(asked.dice.choice(list(EnvelopeState)), asked.dice.randrange(3))


def posts_it_changed(asked: Any) -> None:
    """Post the letter with one bit flipped."""
    url, token, envelope = asked.arguments
    changed = replace(envelope, sealed=turned(envelope.sealed, asked.dice))
    asked.adversary.ask(asked.caller, "post", (url, token, changed))


def posts_another_again(asked: Any) -> None:
    """Post the letter, and then somebody's earlier letter into the same mailbox under a new ID."""
    asked.honest()
    earlier = asked.dice.choice(asked.remembered()).arguments[2]
    url, token, envelope = asked.arguments
    number = EnvelopeId(asked.dice.randbytes(16))
    again = replace(envelope, id=number, sealed=earlier.sealed, share=None, blobs=())
    asked.adversary.ask(asked.caller, "post", (url, token, again))


def reorders(asked: Any) -> list[WaitingEnvelope]:
    page: list[WaitingEnvelope] = list(asked.honest())
    asked.dice.shuffle(page)
    return page


def withholds_some(asked: Any) -> list[WaitingEnvelope]:
    return [one for one in asked.honest() if asked.dice.random() < 0.5]


def shows_twice(asked: Any) -> list[WaitingEnvelope]:
    page = asked.honest()
    return [*page, *page]


def shows_old_ones_anew(asked: Any) -> list[WaitingEnvelope]:
    """Show earlier letters again, with new sequence numbers and more time left."""
    page = list(asked.honest())
    old = [one for heard in asked.remembered() for one in heard.answer]
    asked.dice.shuffle(old)
    return [*map(_renumbered(asked.dice, len(page)), old[:3]), *page]


def _renumbered(dice: Random, above: int) -> Callable[[WaitingEnvelope], WaitingEnvelope]:
    def renumbered(one: WaitingEnvelope) -> WaitingEnvelope:
        number = EnvelopeId(dice.randbytes(16)) if dice.random() < 0.5 else one.id
        later = one.expires_at + timedelta(days=9)
        return replace(one, id=number, sequence=one.sequence + above, expires_at=later)

    return renumbered


def swaps_letters(asked: Any) -> list[WaitingEnvelope]:
    page = list(asked.honest())
    sealed = [one.sealed for one in page]
    asked.dice.shuffle(sealed)
    return [replace(one, sealed=letter) for one, letter in zip(page, sealed, strict=True)]


def shows_others_letters(asked: Any) -> list[WaitingEnvelope]:
    page = list(asked.honest())
    others = [
        one for heard in asked.remembered() if heard.about != asked.about for one in heard.answer
    ]
    asked.dice.shuffle(others)
    return [*others[:2], *page]


# --- cards and keys -----------------------------------------------------------------------------


def splits_the_view(asked: Any) -> bytes:
    """Always show the oldest list of somebody to some callers, and the newest to others."""
    newest = asked.honest()
    mine = [one.answer for one in asked.remembered() if one.about == asked.about]
    hidden = Random(f"{asked.adversary.seed} {asked.caller}").random() < 0.5
    return mine[0] if hidden else newest


def rolls_the_list_back(asked: Any) -> bytes:
    asked.honest()
    mine: list[bytes] = [one.answer for one in asked.remembered() if one.about == asked.about]
    return mine[int(asked.dice.random() * len(mine))]


def swallows_the_list(asked: Any) -> None:
    """Acknowledge a new list, and keep showing the old one."""


def hands_out_anothers_keys(asked: Any) -> PrekeyBundle:
    """Replace some or all keys by those of another device, or by earlier ones of this device."""
    true: PrekeyBundle = asked.honest()
    others = [one for one in asked.remembered() if one.about != asked.about]
    other = asked.dice.choice(others or asked.remembered()).answer
    names = [one.name for one in fields(PrekeyBundle)]
    some = asked.dice.sample(names, asked.dice.randint(1, len(names)))
    return replace(true, **{name: getattr(other, name) for name in some})


def runs_out_of_keys(asked: Any) -> PrekeyBundle:
    return replace(asked.honest(), one_time=None)


def miscounts(asked: Any) -> int:
    asked.honest()
    return asked.dice.choice((0, 1, 50, 10**9))


# --- content ------------------------------------------------------------------------------------


def cuts(asked: Any) -> bytes:
    data: bytes = asked.honest()
    return data[: int(asked.dice.random() * len(data))]


def lengthens(asked: Any) -> bytes:
    return bytes(asked.honest()) + b"\0" * asked.dice.randrange(1, 9)


def replays_a_half(asked: Any) -> Secret:
    """Answer with the share of another envelope, or with an invented one."""
    asked.honest()
    others = [half for one, half in asked.adversary.halves.items() if one != asked.about]
    return asked.dice.choice([*others, Secret(bytes(32))])


def hands_out_again(asked: Any) -> Secret:
    """Answer anybody with the true share, even a deleted one, if the adversary hoards."""
    adversary = asked.adversary
    if not adversary.hoards or asked.about not in adversary.halves:
        return replays_a_half(asked)
    adversary.handed_out_again.add(asked.about)
    return adversary.halves[asked.about]


def answers_two_racers(asked: Any) -> Secret:
    """Let a second opener race with an attempt of its own, and answer with the winner's share."""
    url, envelope, token, _ = asked.arguments
    racers = [
        (asked.caller, asked.arguments),
        ("racer", (url, envelope, token, asked.dice.randbytes(16))),
    ]
    asked.dice.shuffle(racers)
    won: list[Secret] = []
    for caller, arguments in racers:
        try:
            won.append(asked.adversary.ask(caller, "open_share", arguments))
        except EntrenousError:
            if not won and caller != "racer":
                raise
    return won[0] if won else asked.honest()


ON_ONE_CALL: Final[Mapping[str, tuple[Trick, ...]]] = {
    "waiting_envelopes": (
        reorders,
        withholds_some,
        shows_twice,
        shows_old_ones_anew,
        swaps_letters,
        shows_others_letters,
    ),
    "post": (swallows, posts_it_changed, posts_another_again),
    "acknowledge": (swallows,),
    "withdraw": (says_it_is_swallowed,),
    "envelope_status": (says_it_is_swallowed,),
    "key_bundle": (splits_the_view, rolls_the_list_back),
    "publish_key_bundle": (swallows_the_list,),
    "publish_prekeys": (miscounts,),
    "prekey_count": (miscounts,),
    "claim_prekeys": (hands_out_anothers_keys, runs_out_of_keys),
    "register_token": (swallows,),
    "drop_send_token": (swallows,),
    "change_tokens": (swallows,),
    "upload_blob": (swallows,),
    "blob": (cuts, lengthens),
    "open_share": (replays_a_half, hands_out_again, answers_two_racers),
    "finish_opening": (swallows,),
    "report_vault_unlock": (swallows,),
    "allow_more_tries": (swallows,),
    "replace_unlock_token": (swallows,),
    "set_close_token": (swallows,),
    "close_mailbox": (swallows,),
    "create_lock": (swallows,),
    "create_mailbox": (swallows,),
}
