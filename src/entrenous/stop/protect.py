"""Register a picture with a platform, from the person's own device: only fingerprints leave it."""

import hashlib
from dataclasses import replace

from entrenous.craft.fingerprint.parts import part_hashes
from entrenous.craft.fingerprint.picture import fingerprint
from entrenous.model.claim import ClaimRequest
from entrenous.model.errors import Refused
from entrenous.model.fingerprint import Fingerprint, TooFlat
from entrenous.model.gate import BadAnswer, GateUnreachable
from entrenous.model.picture import Picture
from entrenous.model.protection import Protection, TooYoung, Unanswered
from entrenous.model.secret import Secret
from entrenous.ports import BankClient, Device
from entrenous.spec import HOLDER_TOKEN_BYTES, PDQ_QUALITY_MIN
from entrenous.stop.holder import claim_of, holder_hash
from entrenous.stop.protections import forget, keep, unanswered


def protect_picture(
    picture: Picture, *, adult: bool, parts: bool, gate: BankClient, device: Device
) -> Protection:
    """Ask a platform to stop this picture; what is kept of that alone can withdraw the claim.

    It is written down before the platform is asked, with ``state`` None. Asking once more with the
    same picture, after an answer was lost, is the same asking and not a second claim.

    Args:
        picture: all of its pixels; nothing of it is sent but fingerprints.
        adult: the person in the picture was 18 or older; ask, never guess.
        parts: she agrees to send hashes of windows too, so that cut-outs are held; each hash
            betrays a little more of the picture (docs/spec/gate.md section 8).
        gate: the platform.
        device: makes the holder's token, of which the platform sees the hash, and keeps it.

    Raises:
        TooYoung: somebody under 18; points to NCMEC's Take It Down.
        TooFlat: too little detail to be told apart.
        Unanswered: it may have been registered or not; it can be withdrawn all the same.
        GateBusy, GateRefused, BadAnswer: see BankClient.
    """
    if not adult:
        raise TooYoung
    whole = fingerprint(picture)
    if whole.quality < PDQ_QUALITY_MIN:
        raise TooFlat(quality=whole.quality)
    return _ask(whole, part_hashes(picture) if parts else (), gate, device)


def _ask(
    whole: Fingerprint, windows: tuple[bytes, ...], gate: BankClient, device: Device
) -> Protection:
    sent_sha256 = hashlib.sha256(b"".join((whole.bits, *windows))).digest()
    before = unanswered(sent_sha256, gate.url, device)
    asked = before or _written_down(whole.kind, sent_sha256, gate, device)
    try:
        status = gate.register(ClaimRequest(whole, windows, holder_hash(asked.token)))
    except GateUnreachable:
        raise Unanswered(url=gate.url, claim=asked.claim) from None
    except Refused:
        if before is None:  # an earlier asking may have been heard
            forget(asked, device)
        raise
    if status.claim != asked.claim:
        raise BadAnswer(url=gate.url)
    answered = replace(asked, state=status.state)
    keep(answered, device)
    return answered


def _written_down(kind: str, sent_sha256: bytes, gate: BankClient, device: Device) -> Protection:
    token = Secret(device.dice.token(HOLDER_TOKEN_BYTES))
    claim = claim_of(holder_hash(token))
    asked = Protection(claim, kind, None, gate.url, token, device.clock.now(), sent_sha256)
    keep(asked, device)
    return asked
