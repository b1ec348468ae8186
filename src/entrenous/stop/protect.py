"""Register a file with a platform from the person's own device: only fingerprints leave it.

What is registered of a file depends on what it holds: a picture, a video with its sound, or a
sound. The device keeps one record for each registration in its vault; with it the registration can
be asked about and withdrawn.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any, Final

import numpy as np

from entrenous.base.audio_video import FramesUnknown, NoFrames, NotASound, SoundBroken, SoundTooLong
from entrenous.base.errors import Refused
from entrenous.base.limits import HOLDER_TOKEN_BYTES, PDQ_QUALITY_MIN
from entrenous.base.picture import Medium, Picture
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.sent_messages import Message, SentClip, SentPicture, SentSound
from entrenous.device.vault_tables import pack, unpack
from entrenous.fingerprint.chromaprint import RATE_HZ
from entrenous.fingerprint.crops import part_hashes
from entrenous.fingerprint.embedding import square
from entrenous.fingerprint.nouns import (
    ClipPrint,
    Embedding,
    LacksEmbedding,
    PicturePrint,
    Print,
    SoundPrint,
    SoundTooQuiet,
    TakesNoEmbedding,
    TooFlat,
    VideoPrint,
    VideoTooFlat,
)
from entrenous.fingerprint.pdq import fingerprint, seen_pixels
from entrenous.fingerprint.video_hash import REGISTERED
from entrenous.media.file_kind import medium_of
from entrenous.stop.nouns import BadAnswer, GateUnreachable, NoConnection
from entrenous.stop.registration import (
    MATCHING,
    BankClient,
    ClaimRequest,
    ClaimState,
    Consent,
    NoSuchClaim,
    NoSuchProtection,
    OnlySound,
    Protection,
    TooYoung,
    Unanswered,
    claim_of,
    holder_hash,
)


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


def fingerprint_file(untrusted_data: bytes, consent: Consent, device: Device) -> Print:
    """The fingerprints of what these bytes hold; they decide what that is, and no name.

    A GIF is registered as a picture, by its first frame. Of a video in which no moment can be told
    apart, the sound is registered alone.

    Raises:
        TooYoung: somebody under 18; points to NCMEC's Take It Down.
        TooFlat, VideoTooFlat, SoundTooQuiet: there is too little in it to be told apart.
        LacksEmbedding: an embedding of a picture was agreed to, and this device has no network.
        OnlySound: it is a sound, and sound is to be left out.
        What ``read_picture``, ``read_clip`` and ``read_sound`` raise.
    """
    if not consent.adult:
        raise TooYoung
    medium = medium_of(untrusted_data)
    if medium is Medium.PICTURE:
        return fingerprint_picture_file(device.read_picture(untrusted_data), consent, device)
    if medium is Medium.CLIP:
        try:
            return _clip(untrusted_data, consent, device)
        except FramesUnknown:
            raise  # its sound alone is not what was asked for
        except NoFrames:
            pass  # these containers may hold a sound alone
    if not consent.sound:
        raise OnlySound
    return _sound(untrusted_data, device)


def fingerprint_picture_file(picture: Picture, consent: Consent, device: Device) -> PicturePrint:
    """The hash of all of it, and what else was agreed to: hashes of windows of it, an embedding.

    Raises:
        TooFlat: there is too little in it to be told apart.
        LacksEmbedding: this device has no network.
    """
    whole = fingerprint(picture)
    if whole.quality < PDQ_QUALITY_MIN:
        raise TooFlat(quality=whole.quality)
    parts = part_hashes(picture) if consent.parts else ()
    return PicturePrint(whole, parts, _embedding(picture, device) if consent.embedding else None)


def _embedding(picture: Picture, device: Device) -> Embedding:
    if device.embedder is None:
        raise LacksEmbedding
    (embedding,) = device.embedder.embed([square(seen_pixels(picture))])
    return embedding


def _clip(untrusted_data: bytes, consent: Consent, device: Device) -> ClipPrint | SoundPrint:
    try:
        video = _video(untrusted_data, consent, device)
    except VideoTooFlat:
        sound = _heard(untrusted_data, device) if consent.sound else None
        if sound is None:
            raise
        return sound
    return ClipPrint(video, _heard(untrusted_data, device) if consent.sound else None)


def _video(untrusted_data: bytes, consent: Consent, device: Device) -> VideoPrint:
    video_print = _late("entrenous.fingerprint.video_hash:video_print")
    with device.read_clip(untrusted_data, REGISTERED) as clip:
        found: VideoPrint = video_print(clip.frames, clip.shown.length_s, parts=consent.parts)
    return found


def _heard(untrusted_data: bytes, device: Device) -> SoundPrint | None:
    """What is heard in a video; its frames are registered also where that is nothing of use."""
    try:
        return _sound(untrusted_data, device)
    except (NotASound, SoundBroken, SoundTooLong, SoundTooQuiet):
        return None


def _sound(untrusted_data: bytes, device: Device) -> SoundPrint:
    sound = device.read_sound(untrusted_data, RATE_HZ)
    found: SoundPrint = _late("entrenous.fingerprint.sound_index:sound_print")(
        np.asarray(sound), sound.rate_hz
    )
    return found


def _late(place: str) -> Callable[..., Any]:
    """Who registers a picture does not wait for what sounds and videos need."""
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


PROTECTION: Final = "protection"  # the drawer; keys are claims


def protections(device: Device) -> tuple[Protection, ...]:
    """Everything that was registered from here, withdrawn ones too, the oldest first."""
    found = (unpack(Protection, record) for _, record in device.vault.items(PROTECTION))
    return tuple(sorted(found, key=lambda one: one.made_at))


def protection_called(claim: str, device: Device) -> Protection:
    """The registration of that claim; raises NoSuchProtection."""
    record = device.vault.get(PROTECTION, claim)
    if record is None:
        raise NoSuchProtection(claim=claim)
    return unpack(Protection, record)


def unanswered(sent_sha256: bytes, gate_url: str, device: Device) -> Protection | None:
    """The registration of just this that the platform never answered, or None."""
    for one in protections(device):
        if one.state is None and (one.sent_sha256, one.gate_url) == (sent_sha256, gate_url):
            return one
    return None


def keep(protection: Protection, device: Device) -> None:
    """Write it down; durable when it returns."""
    device.vault.put(PROTECTION, protection.claim, pack(protection))


def forget(protection: Protection, device: Device) -> None:
    """Drop it: there is nothing to withdraw, or nobody to withdraw it from."""
    device.vault.drop(PROTECTION, protection.claim)


def ask_again(protection: Protection, gate: BankClient, device: Device) -> Protection:
    """Ask the platform how a claim stands now, and write that down.

    Raises:
        NoSuchClaim: the platform knows no such claim.
        GateUnreachable, GateBusy, GateRefused, BadAnswer: see BankClient.
    """
    asked = replace(protection, state=gate.status(protection.claim).state)
    keep(asked, device)
    return asked


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
    return protect(fingerprint_picture_file(picture, consent, device), gate, device)


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


def originals_of(message: Message, device: Device) -> Iterator[bytes]:
    """Every file as it was before it was marked, in the order in which it was sent; one at a time.

    What is heard in a clip is in the clip, and no file of its own.
    """
    parts: tuple[SentPicture | SentClip | SentSound, ...] = (
        *message.pictures,
        *message.clips,
        *message.sounds,
    )
    for original in dict.fromkeys(
        part.original for part in sorted(parts, key=lambda part: part.place or 0)
    ):
        yield device.vault.kept(original)
