"""Register something with a platform, from the person's own device: only fingerprints leave it."""

import hashlib
from dataclasses import replace

from entrenous.model.claim import MATCHING, ClaimRequest, NoSuchClaim
from entrenous.model.embedding import TakesNoEmbedding
from entrenous.model.errors import Refused
from entrenous.model.gate import BadAnswer, GateUnreachable, NoConnection
from entrenous.model.picture import Picture
from entrenous.model.print import ClipPrint, PicturePrint, Print, SoundPrint
from entrenous.model.protection import Consent, Protection, TooYoung, Unanswered
from entrenous.model.secret import Secret
from entrenous.ports import BankClient, Device
from entrenous.spec import HOLDER_TOKEN_BYTES
from entrenous.stop.holder import claim_of, holder_hash
from entrenous.stop.print_of import picture_print
from entrenous.stop.protections import ask_again, forget, keep, protections, unanswered


def protect_picture(
    picture: Picture, *, adult: bool, parts: bool, gate: BankClient, device: Device
) -> Protection:
    """:func:`protect` a picture, of which all pixels are here.

    Args:
        picture: nothing of it is sent but fingerprints.
        adult: the person in the picture was 18 or older; ask, never guess.
        parts: she agrees to send hashes of windows too, so that cut-outs are held; each hash
            betrays a little more of the picture (docs/spec/gate.md section 8).
        gate: as of :func:`protect`.
        device: as of :func:`protect`.

    Raises:
        TooYoung: somebody under 18; points to NCMEC's Take It Down.
        TooFlat: too little detail to be told apart.
    """
    if not adult:
        raise TooYoung
    consent = Consent(adult=adult, parts=parts)
    return protect(picture_print(picture, consent, device), gate, device)


def protect(what: Print, gate: BankClient, device: Device) -> Protection:
    """Ask a platform to stop this; what is kept of that alone can withdraw the claim.

    It is written down before the platform is asked, with ``state`` None. Asking once more for the
    same, after an answer was lost, is the same asking and not a second claim.

    Args:
        what: fingerprints, which :func:`.print_of.print_of` makes of a file.
        gate: the platform.
        device: makes the holder's token, of which the platform sees the hash, and keeps it.

    Raises:
        TakesNoEmbedding: the platform compares none of this network; nothing was sent.
        NoConnection: nothing was sent, and nothing is kept.
        Unanswered: it may have been registered or not; it can be withdrawn all the same.
        GateBusy, GateRefused, BadAnswer: see BankClient.
    """
    _refuse_untaken(what, gate)
    sent_sha256 = _digest(what)
    before = unanswered(sent_sha256, gate.url, device)
    asked = before or _written_down(what.kind, sent_sha256, gate, device)
    try:
        status = gate.register(ClaimRequest(what, holder_hash(asked.token)))
    except NoConnection:
        if before is None:  # an earlier asking may have been heard
            forget(asked, device)
            raise
        raise Unanswered(url=gate.url, claim=asked.claim) from None
    except GateUnreachable:
        raise Unanswered(url=gate.url, claim=asked.claim) from None
    except Refused:
        if before is None:
            forget(asked, device)
        raise
    if status.claim != asked.claim:
        raise BadAnswer(url=gate.url)
    answered = replace(asked, state=status.state)
    keep(answered, device)
    return answered


def registered_already(what: Print, gate: BankClient, device: Device) -> Protection | None:
    """The registration of just this at that platform, if it stops it now; the platform is asked.

    What is kept to know it by is what :func:`protect` keeps anyhow.

    Raises:
        GateUnreachable, GateBusy, GateRefused, BadAnswer: see BankClient.
    """
    sent_sha256 = _digest(what)
    for one in protections(device):
        is_it = (one.sent_sha256, one.gate_url) == (sent_sha256, gate.url)
        if is_it and one.state in MATCHING:
            try:
                asked = ask_again(one, gate, device)
            except NoSuchClaim:  # it has lost what it knew
                continue
            if asked.state in MATCHING:
                return asked
    return None


def _refuse_untaken(what: Print, gate: BankClient) -> None:
    """An embedding betrays too much to be sent to who does not use it."""
    wanted = what.embedding if isinstance(what, PicturePrint) else None
    if wanted is not None and gate.embedding_taken() != wanted.model:
        raise TakesNoEmbedding(url=gate.url)


def _digest(what: Print) -> bytes:
    """By which the same asking is known again."""
    match what:
        case PicturePrint(whole, parts, embedding):
            looks = (embedding.model.encode(), embedding.numbers) if embedding else ()
            sent = (whole.bits, *parts, *looks)
        case ClipPrint(video, sound):
            heard = sound.words if sound else b""
            sent = (what.kind.encode(), *video.hashes, *video.inner, heard)
        case SoundPrint(words):
            sent = (what.kind.encode(), words)
    return hashlib.sha256(b"".join(sent)).digest()


def _written_down(kind: str, sent_sha256: bytes, gate: BankClient, device: Device) -> Protection:
    token = Secret(device.dice.token(HOLDER_TOKEN_BYTES))
    claim = claim_of(holder_hash(token))
    asked = Protection(claim, kind, None, gate.url, token, device.clock.now(), sent_sha256)
    keep(asked, device)
    return asked
