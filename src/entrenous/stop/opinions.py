"""What other platforms say of a claim (docs/spec/gate.md section 4, 4.1)."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from entrenous.craft.crypto.device import verify_device
from entrenous.craft.wire.canonical import canonical_json
from entrenous.model.claim import Claim, ClaimEvent, ClaimState
from entrenous.model.opinion import AGAINST, BadOpinion, NoSuchPartner, Opinion
from entrenous.ports import BankStore, Platform
from entrenous.stop.review import DISPUTES_MAX

OPINION_CONTEXT: Final = b"entrenous/1 opinion"
_AHEAD: Final = timedelta(minutes=5)  # as far as two platforms' clocks may differ
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def opinion_statement(opinion: Opinion) -> bytes:
    """What the platform signs, after ``OPINION_CONTEXT`` and a zero byte."""
    at = (opinion.at - _EPOCH) // timedelta(seconds=1)
    return canonical_json({"at": at, "claim": opinion.claim, "opinion": str(opinion.stance)})


def take_opinion(opinion: Opinion, signature: bytes, platform: Platform) -> Claim:
    """Keep a platform's opinion; three platforms that are against a claim suspend it.

    An opinion in favour changes nothing by itself: a machine refuses only what a person here has
    confirmed. Saying the same again, or something older, changes nothing. An opinion and the
    suspension by it are one: where the store fails, neither is there, and it can be said again.

    Raises:
        NoSuchPartner: the operator has not registered this key.
        BadSignature: it is not this key's.
        BadOpinion: it is dated ahead.
        NoSuchClaim: there is no such claim.
    """
    _require_partner(opinion.key, platform)
    statement = opinion_statement(opinion)
    verify_device(opinion.key, OPINION_CONTEXT, statement, signature, what="opinion")
    if opinion.at > platform.clock.now() + _AHEAD:
        raise BadOpinion(why="it is dated ahead")

    def suspend(before: tuple[Opinion, ...], bank: BankStore) -> None:
        against = _against(bank.opinions(opinion.claim))
        is_new = opinion.key in against - _against(before)
        withdrawn = bank.claim(opinion.claim).state is ClaimState.WITHDRAWN
        if is_new and len(against) >= DISPUTES_MAX and not withdrawn:
            bank.move(opinion.claim, ClaimEvent.SUSPEND)

    platform.bank.opine(opinion, suspend)
    return platform.bank.claim(opinion.claim)


def _against(opinions: Iterable[Opinion]) -> set[bytes]:
    """Keys that are against it. Only a new one suspends: what a reviewer confirmed since is not
    undone by three old ones that are said again.
    """
    return {one.key for one in opinions if one.stance in AGAINST}


def _require_partner(key: bytes, platform: Platform) -> None:
    if key not in {partner.key for partner in platform.bank.partners()}:
        raise NoSuchPartner
