"""Take a claim back: the holder's token is enough, and it acts at once."""

import hmac
from dataclasses import replace

from entrenous.model.claim import Claim, ClaimEvent, ClaimState, NoSuchClaim, NotTheHolder
from entrenous.model.ids import ClaimId
from entrenous.model.protection import Protection
from entrenous.model.secret import Secret
from entrenous.ports import BankClient, Device, Platform
from entrenous.stop.holder import holder_hash
from entrenous.stop.protections import keep


def unprotect(protection: Protection, gate: BankClient, device: Device) -> Protection:
    """Withdraw, from the device that registered it.

    Raises:
        NoSuchClaim, NotTheHolder: the gate does not know this claim, or this token.
        GateUnreachable, GateBusy, GateRefused, BadAnswer: nothing is withdrawn yet; try again.
    """
    withdrawn = replace(protection, state=_withdrawn(protection, gate))
    keep(withdrawn, device)
    return withdrawn


def _withdrawn(protection: Protection, gate: BankClient) -> ClaimState:
    try:
        return gate.withdraw(protection.claim, protection.token).state
    except NoSuchClaim:
        if protection.state is not None:
            raise
        return ClaimState.WITHDRAWN  # it was asked for, and never got there


def withdraw_claim(claim: ClaimId, token: Secret, platform: Platform) -> Claim:
    """The platform's side: the claim matches nothing any more, its hashes are deleted.

    Accepted uploads that were being looked back at for it are let be.

    Withdrawing again changes nothing, so that a device may repeat a request without an answer.

    Raises:
        NoSuchClaim: there is none of that name.
        NotTheHolder: the token is not the one that it was registered with.
    """
    held = platform.bank.claim(claim)
    known = held.holder_sha256 or b""
    if not hmac.compare_digest(known, holder_hash(token)):
        raise NotTheHolder(claim=claim)
    return platform.bank.move(claim, ClaimEvent.WITHDRAW)
