"""Judge an upload: let it through, hold it for a person, or refuse it (docs/spec/gate.md, 5).

A machine refuses only what a person has confirmed, or what the platform listed itself. A cut-out is
at most held, whatever the claim: that it fits by chance is likelier than for a whole picture. An
upload that cannot be read is held as well: nothing is published unseen.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from entrenous.model.bank import RELEASED, Bank
from entrenous.model.claim import Claim, ClaimState
from entrenous.model.decision import Decision, Outcome
from entrenous.model.fingerprint import Match, Near
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.picture import CutShort, DecoderGaveUp, Picture
from entrenous.model.review import Review, ReviewState
from entrenous.model.secret import Secret
from entrenous.ports import Platform
from entrenous.stop.look import views

CASE_BYTES: Final = 6
SECRET_BYTES: Final = 16  # what opens an appeal
_STRICTNESS: Final = (Outcome.LET_THROUGH, Outcome.HOLD, Outcome.REFUSE)

Hit = tuple[Match, Claim]
Views = tuple[tuple[str, bytes], ...]  # how each was made, and its hash
_Spot = tuple[Near, str, bool]  # a registered hash, how the view near it was made, and if of a part


@dataclass(frozen=True, slots=True)
class _Upload:
    """What came, and the platform's own name of it."""

    untrusted_data: bytes
    reference: str


def judge_upload(untrusted_data: bytes, platform: Platform, reference: str = "") -> Decision:
    """Decode what a stranger sent, compare it with the banks, and keep the decision.

    ``reference`` is the platform's own name of the upload.

    Raises:
        NotAPicture, TooManyPixels: there is nothing to judge; refuse the upload as such.
        BankUnreachable: no decision could be made; publish nothing.
    """
    decision = decide_upload(untrusted_data, platform, reference)
    keep_held(decision, untrusted_data, platform)
    return decision


def decide_upload(untrusted_data: bytes, platform: Platform, reference: str = "") -> Decision:
    """:func:`judge_upload` as far as the answer: what is done takes as long held as let through."""
    try:
        picture = platform.read_picture(untrusted_data)
    except (CutShort, DecoderGaveUp):
        unread = Decision(Outcome.HOLD, new_case(platform), secret=_new_secret(platform))
        return _record(unread, _Upload(untrusted_data, reference), platform)
    return _decide(picture, _Upload(untrusted_data, reference), platform)


def keep_held(decision: Decision, untrusted_data: bytes, platform: Platform) -> None:
    """Keep the bytes of a held upload for the reviewer, and gather a flood of them."""
    if decision.outcome is Outcome.HOLD:
        platform.reviews.keep(decision.case, untrusted_data, platform.limits.held_per_hash)


def _decide(picture: Picture, upload: _Upload, platform: Platform) -> Decision:
    seen = views(picture)
    whole = _near(seen.whole, platform, part=False)
    found, banks = _fits([*whole, *_near(seen.parts, platform, part=True)], platform)
    hits = best_of_each(hit for _, hit in found)
    decision = replace(
        decision_of(hits, banks), case=new_case(platform), secret=_new_secret(platform)
    )
    _record(decision, upload, platform, seen.bits, _best_entry(found))
    _look_again(decision, seen.whole, {near.entry for near, _, _ in whole}, platform)
    return decision


def _look_again(decision: Decision, whole: Views, known: set[int], platform: Platform) -> None:
    """Look back at this upload for a claim that was made while it was judged: the claim's own look
    back came before this upload was recorded, and this upload's look before the claim.

    Asked whatever was decided, so that an answer takes as long held as let through.
    """
    spots = _near(whole, platform, part=False)
    news = [spot for spot in spots if spot[0].entry not in known]
    if not news or decision.outcome is not Outcome.LET_THROUGH:
        return
    found, banks = _fits(news, platform)
    asked = [(entry, hit) for entry, hit in found if _asks(*hit, banks)]
    matches = tuple(match for match, _ in best_of_each(hit for _, hit in asked))
    if matches and (entry := _best_entry(asked)) is not None:
        limit = platform.limits.held_per_hash
        platform.reviews.look_back(decision.case, matches, entry, limit)


def _asks(match: Match, claim: Claim, banks: dict[BankName, Bank]) -> bool:
    """Whether a person would have been asked, or a machine have refused, had it come in time."""
    bank = banks[claim.bank]
    return not bank.shadow and called_for(match, claim, bank) is not Outcome.LET_THROUGH


def find(views_of_upload: Views, platform: Platform, *, part: bool) -> Iterator[Hit]:
    """Every claim that matches one of these views within its bank's radius, with its distance."""
    found, _ = _fits(_near(views_of_upload, platform, part=part), platform)
    return (hit for _, hit in found)


def _near(views_of_upload: Views, platform: Platform, *, part: bool) -> list[_Spot]:
    near = platform.index.near([bits for _, bits in views_of_upload], part=part)
    return [(one, views_of_upload[one.query][0], part) for one in near]


def _fits(
    spots: list[_Spot], platform: Platform
) -> tuple[list[tuple[int, Hit]], dict[BankName, Bank]]:
    """Claims there within their bank's radius, with the number of the registered hash; the banks.

    These are read after the claims: so the bank of each claim is among them, however new it is.
    """
    claims: dict[int, list[Claim]] = {}
    for entry, claim in platform.bank.claims_on({near.entry for near, _, _ in spots}):
        claims.setdefault(entry, []).append(claim)
    banks = {bank.name: bank for bank in platform.bank.banks()}
    found = [
        (near.entry, (Match(claim.bank, claim.id, near.distance, how, part), claim))
        for near, how, part in spots
        for claim in claims.get(near.entry, ())
        if near.distance <= banks[claim.bank].radius
    ]
    return found, banks


def _best_entry(found: list[tuple[int, Hit]]) -> int | None:
    """The registered hash that an upload fits best: by this one a flood is counted."""
    asked = [one for one in found if one[1][0].bank != RELEASED]
    best = min(asked, key=lambda one: (one[1][0].part, one[1][0].distance, one[0]), default=None)
    return None if best is None else best[0]


def best_of_each(hits: Iterable[Hit]) -> list[Hit]:
    """One hit per claim, a whole picture before a part, then the nearest; nearest claims first."""
    best: dict[ClaimId, Hit] = {}
    for match, claim in sorted(hits, key=lambda hit: (hit[0].part, hit[0].distance)):
        best.setdefault(claim.id, (match, claim))
    return list(best.values())


def decision_of(hits: list[Hit], banks: dict[BankName, Bank]) -> Decision:
    """What these hits call for, those of banks in shadow apart; without a case number."""
    acting = weigh_hits([hit for hit in hits if not banks[hit[0].bank].shadow], banks)
    would = weigh_hits(hits, banks)
    matches = tuple(match for match, _ in hits if match.bank != RELEASED)
    return Decision(acting, "", matches, None if would is acting else would)


def weigh_hits(hits: list[Hit], banks: dict[BankName, Bank]) -> Outcome:
    """The strictest outcome that a hit calls for.

    A hit that only calls for holding is passed over when a reviewer let this picture through after
    that claim was made: the same question is not asked twice. A newer claim asks anew.
    """
    released = [claim.made_at for match, claim in hits if claim.bank == RELEASED]
    outcomes = [Outcome.LET_THROUGH]
    for match, claim in hits:
        outcome = called_for(match, claim, banks[claim.bank])
        answered = any(claim.made_at <= at for at in released)
        if not (outcome is Outcome.HOLD and answered):
            outcomes.append(outcome)
    return max(outcomes, key=_STRICTNESS.index)


def called_for(match: Match, claim: Claim, bank: Bank) -> Outcome:
    """What one hit calls for, by its bank's policy; a part never calls for more than holding."""
    wanted = bank.on_confirmed if claim.state is ClaimState.CONFIRMED else bank.on_claimed
    return min(wanted, Outcome.HOLD, key=_STRICTNESS.index) if match.part else wanted


def new_case(platform: Platform) -> str:
    """A case number that can be read out over a telephone, and not be guessed: "3f9a-70c2-b11e"."""
    digits = platform.dice.token(CASE_BYTES).hex()
    return "-".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def secret_hash(secret: Secret) -> bytes:
    """What the gate keeps of the secret that opens an appeal."""
    return hashlib.sha256(secret.reveal()).digest()


def _new_secret(platform: Platform) -> Secret:
    return Secret(platform.dice.token(SECRET_BYTES))


def _record(
    decision: Decision,
    upload: _Upload,
    platform: Platform,
    bits: bytes | None = None,
    entry: int | None = None,
) -> Decision:
    """One row, whatever was decided: of a refused upload its SHA-256, for an appeal; of the others
    their hash too, for the reviewer and for looking back, which may end in a refusal.
    """
    upload_sha256 = hashlib.sha256(upload.untrusted_data).digest()
    refused, held = decision.outcome is Outcome.REFUSE, decision.outcome is Outcome.HOLD
    looks_back = not refused and platform.limits.look_back_days > 0
    review = Review(
        decision=decision,
        at=platform.clock.now(),
        state=ReviewState.WAITING if held else ReviewState.CLOSED,
        bits=bits if held or looks_back else None,
        entry=entry if held else None,
        reference=upload.reference,
        secret_sha256=secret_hash(decision.secret) if decision.secret else None,
        upload_sha256=upload_sha256 if held or refused or looks_back else None,
    )
    platform.reviews.record(review, None)
    return decision
