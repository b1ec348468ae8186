"""Register a file with a platform from a person's device, which sends only fingerprints.

A file's content decides what is registered: a picture, a video with its sound, or a sound. The
device's vault has a record of each registration. Without that record, the device can neither query
nor withdraw the registration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from entrenous.base.audio_video import (
    DamagedSound,
    NoSoundFound,
    NoVideoFound,
    SoundTooLong,
    UnsupportedVideoCodec,
)
from entrenous.base.errors import OnionNeedsProxy, ProxyUnreachable, Refused
from entrenous.base.limits import HOLDER_TOKEN_BYTES, PDQ_QUALITY_MIN
from entrenous.base.picture import MediaKind, Picture
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.sent_messages import Message, SentClip, SentPicture, SentSound
from entrenous.device.vault_tables import Table
from entrenous.fingerprint.chromaprint import RATE_HZ
from entrenous.fingerprint.crops import window_hashes
from entrenous.fingerprint.embedding import resize_to_square
from entrenous.fingerprint.nouns import (
    ClipPrint,
    Embedding,
    EmbeddingModelMissing,
    MediaFingerprint,
    PicturePrint,
    PlatformTakesNoEmbedding,
    SoundPrint,
    SoundTooQuiet,
    TooFlat,
    VideoPrint,
    VideoTooFlat,
)
from entrenous.fingerprint.pdq import fingerprint, pixels_on_white
from entrenous.fingerprint.sound_index import make_sound_fingerprint
from entrenous.fingerprint.video_hash import REGISTERED_FRAME_SELECTION, make_video_fingerprint
from entrenous.media.file_kind import media_kind_of
from entrenous.stop.nouns import BadAnswer, GateUnreachable, NoConnection
from entrenous.stop.registration import (
    MATCHING_STATES,
    ClaimRequest,
    ClaimState,
    Consent,
    FileHasOnlySound,
    NoSuchClaim,
    NoSuchProtection,
    NotEverybodyAdult,
    Protection,
    RegistrationUnanswered,
    claim_id_of,
    holder_token_hash,
)

if TYPE_CHECKING:
    from entrenous.stop.client.registration_client import RegistrationClient


def withdraw_protection(
    protection: Protection, gate: RegistrationClient, device: Device
) -> Protection:
    """Withdraw a registration that this device made.

    Raises:
        NoSuchClaim: the gate has no such claim, although it answered for it before.
        NotTheHolder: the gate did not register this claim with this token.
        GateUnreachable, GateBusy, GateRefused, BadAnswer: the gate did not say that the claim is
            withdrawn; try again.
    """
    try:
        state = gate.withdraw(protection.claim, protection.token).state
    except NoSuchClaim:
        if protection.state is not None:
            raise
        state = ClaimState.WITHDRAWN  # the registration never reached the gate
    withdrawn = replace(protection, state=state)
    save_protection(withdrawn, device)
    return withdrawn


def fingerprint_file(untrusted_data: bytes, consent: Consent, device: Device) -> MediaFingerprint:
    """Compute the fingerprints of a file; its content decides its kind, not its name.

    A GIF is registered as a picture, by its first frame. If all frames of a video are too flat,
    only its sound is registered, if the person agreed to that.

    Raises:
        NotEverybodyAdult: somebody is under 18; the message points to NCMEC's Take It Down.
        TooFlat, VideoTooFlat, SoundTooQuiet: it has too little detail to be distinctive.
        EmbeddingModelMissing: an embedding was agreed to, but the neural network that computes it
            is not installed on this device.
        FileHasOnlySound: the file is a sound, and sound is to be left out.
        What ``read_picture``, ``read_clip`` and ``read_sound`` raise.
    """
    if not consent.adult:
        raise NotEverybodyAdult
    medium = media_kind_of(untrusted_data)
    if medium is MediaKind.PICTURE:
        return fingerprint_picture(device.read_picture(untrusted_data), consent, device)
    if medium is MediaKind.CLIP:
        try:
            return _fingerprint_clip(untrusted_data, consent, device)
        except UnsupportedVideoCodec:
            raise  # the file has a video, so do not register its sound alone
        except NoVideoFound:
            pass  # files of this kind may contain only sound
    if not consent.sound:
        raise FileHasOnlySound
    return _fingerprint_sound(untrusted_data, device)


def fingerprint_picture(picture: Picture, consent: Consent, device: Device) -> PicturePrint:
    """Hash a picture and, if the person agreed, its windows (parts); compute an embedding if the
    person agreed to that.

    Raises:
        TooFlat: it has too little detail to be distinctive.
        EmbeddingModelMissing: the neural network that computes embeddings is not installed on this
            device.
    """
    whole = fingerprint(picture)
    if whole.quality < PDQ_QUALITY_MIN:
        raise TooFlat(quality=whole.quality)
    parts = window_hashes(picture) if consent.parts else ()
    return PicturePrint(
        whole, parts, _compute_embedding(picture, device) if consent.embedding else None
    )


def _compute_embedding(picture: Picture, device: Device) -> Embedding:
    if device.embedder is None:
        raise EmbeddingModelMissing
    (embedding,) = device.embedder.embed([resize_to_square(pixels_on_white(picture))])
    return embedding


def _fingerprint_clip(
    untrusted_data: bytes, consent: Consent, device: Device
) -> ClipPrint | SoundPrint:
    try:
        video = _fingerprint_video(untrusted_data, consent, device)
    except VideoTooFlat:
        sound = _fingerprint_sound_of_video(untrusted_data, device) if consent.sound else None
        if sound is None:
            raise
        return sound
    return ClipPrint(
        video, _fingerprint_sound_of_video(untrusted_data, device) if consent.sound else None
    )


def _fingerprint_video(untrusted_data: bytes, consent: Consent, device: Device) -> VideoPrint:
    with device.read_clip(untrusted_data, REGISTERED_FRAME_SELECTION) as clip:
        return make_video_fingerprint(clip.frames, clip.shown.length_s, parts=consent.parts)


def _fingerprint_sound_of_video(untrusted_data: bytes, device: Device) -> SoundPrint | None:
    """Return the fingerprint of a video's sound, or None if it has none that is usable."""
    try:
        return _fingerprint_sound(untrusted_data, device)
    except (NoSoundFound, DamagedSound, SoundTooLong, SoundTooQuiet):
        return None


def _fingerprint_sound(untrusted_data: bytes, device: Device) -> SoundPrint:
    sound = device.read_sound(untrusted_data, RATE_HZ)
    return make_sound_fingerprint(np.asarray(sound), sound.rate_hz)


PROTECTION_TABLE: Final = Table("protection", Protection)  # keyed by claim


def all_protections(device: Device) -> tuple[Protection, ...]:
    """Return all registrations by this device, withdrawn ones too, the oldest first."""
    return tuple(sorted(PROTECTION_TABLE.all(device.vault), key=lambda one: one.made_at))


def find_protection(claim: str, device: Device) -> Protection:
    """Return the registration of that claim; raises NoSuchProtection."""
    found = PROTECTION_TABLE.load(claim, device.vault)
    if found is None:
        raise NoSuchProtection(claim=claim)
    return found


def find_unanswered_protection(
    sent_sha256: bytes, gate_url: str, device: Device
) -> Protection | None:
    """Return the registration of these fingerprints that the platform has not answered, or None."""
    for one in all_protections(device):
        if one.state is None and (one.sent_sha256, one.gate_url) == (sent_sha256, gate_url):
            return one
    return None


def save_protection(protection: Protection, device: Device) -> None:
    """Store the record of a registration; it is durable when this returns."""
    PROTECTION_TABLE.store(protection, protection.claim, device.vault)


def delete_protection(protection: Protection, device: Device) -> None:
    """Delete the record of a registration that need not be withdrawn, or cannot be."""
    PROTECTION_TABLE.drop(protection.claim, device.vault)


def refresh_protection(
    protection: Protection, gate: RegistrationClient, device: Device
) -> Protection:
    """Ask the platform for the present state of a claim, and store that state.

    Raises:
        NoSuchClaim: the platform does not know this claim.
        GateUnreachable, GateBusy, GateRefused, BadAnswer: see RegistrationClient.
    """
    asked = replace(protection, state=gate.status(protection.claim).state)
    save_protection(asked, device)
    return asked


def register_fingerprints(
    fingerprint: MediaFingerprint, gate: RegistrationClient, device: Device
) -> Protection:
    """Register fingerprints with a platform and return the only record that can withdraw them.

    The record is stored before the request, with ``state`` None. If the answer is lost, registering
    the same file again repeats that request and makes no second claim.

    Args:
        fingerprint: the fingerprints, made by :func:`fingerprint_file`.
        gate: the platform.
        device: generates and keeps the holder's token; the platform sees only its hash.

    Raises:
        PlatformTakesNoEmbedding: the platform does not compare embeddings, or does so with a
            different neural network; nothing was sent.
        NoConnection, OnionNeedsProxy, ProxyUnreachable: nothing was sent, and no record is kept,
            except of an earlier request that may have arrived.
        RegistrationUnanswered: it is unknown whether the fingerprints were registered; they can be
            withdrawn in either case.
        GateBusy, GateRefused, BadAnswer: see RegistrationClient.
    """
    _refuse_unused_embedding(fingerprint, gate)
    sent_sha256 = _request_digest(fingerprint)
    before = find_unanswered_protection(sent_sha256, gate.url, device)
    asked = before or _create_protection(fingerprint.kind, sent_sha256, gate, device)
    try:
        status = gate.register(ClaimRequest(fingerprint, holder_token_hash(asked.token)))
    except NoConnection:
        if before is None:  # otherwise an earlier request may have arrived
            delete_protection(asked, device)
            raise
        raise RegistrationUnanswered(url=gate.url, claim=asked.claim) from None
    except GateUnreachable:
        raise RegistrationUnanswered(url=gate.url, claim=asked.claim) from None
    except (Refused, OnionNeedsProxy, ProxyUnreachable):  # nothing was registered
        if before is None:
            delete_protection(asked, device)
        raise
    if status.claim != asked.claim:
        raise BadAnswer(url=gate.url)
    answered = replace(asked, state=status.state)
    save_protection(answered, device)
    return answered


def find_active_registration(
    fingerprint: MediaFingerprint, gate: RegistrationClient, device: Device
) -> Protection | None:
    """Return this device's registration of the same fingerprints, if it is still active.

    The platform is asked whether the claim is still waiting or confirmed. Return None if this
    device has no such registration.

    Raises:
        GateUnreachable, GateBusy, GateRefused, BadAnswer: see RegistrationClient.
    """
    sent_sha256 = _request_digest(fingerprint)
    for one in all_protections(device):
        is_it = (one.sent_sha256, one.gate_url) == (sent_sha256, gate.url)
        if is_it and one.state in MATCHING_STATES:
            try:
                asked = refresh_protection(one, gate, device)
            except NoSuchClaim:  # the platform no longer has this claim
                continue
            if asked.state in MATCHING_STATES:
                return asked
    return None


def _refuse_unused_embedding(fingerprint: MediaFingerprint, gate: RegistrationClient) -> None:
    """Raise PlatformTakesNoEmbedding if the platform would not use the embedding.

    Sending it would then reveal more of the picture for nothing.
    """
    wanted = fingerprint.embedding if isinstance(fingerprint, PicturePrint) else None
    if wanted is not None and gate.accepted_embedding_model() != wanted.model:
        raise PlatformTakesNoEmbedding(url=gate.url)


def _request_digest(fingerprint: MediaFingerprint) -> bytes:
    """Return the SHA-256 by which a repeated request is recognized."""
    match fingerprint:
        case PicturePrint(whole, parts, embedding):
            extra = (embedding.model.encode(), embedding.numbers) if embedding else ()
            sent = (whole.bits, *parts, *extra)
        case ClipPrint(video, sound):
            words = sound.words if sound else b""
            sent = (fingerprint.kind.encode(), *video.hashes, *video.inner, words)
        case SoundPrint(words):
            sent = (fingerprint.kind.encode(), words)
    return hashlib.sha256(b"".join(sent)).digest()


def _create_protection(
    kind: str, sent_sha256: bytes, gate: RegistrationClient, device: Device
) -> Protection:
    token = Secret(device.random_source.token(HOLDER_TOKEN_BYTES))
    claim = claim_id_of(holder_token_hash(token))
    record = Protection(claim, kind, None, gate.url, token, device.clock.now(), sent_sha256)
    save_protection(record, device)
    return record


def original_files_of(message: Message, device: Device) -> Iterator[bytes]:
    """Yield the unmarked original of each file, one at a time, in the order sent.

    The sound of a clip is part of the clip and not a separate file.
    """
    parts: tuple[SentPicture | SentClip | SentSound, ...] = (
        *message.pictures,
        *message.clips,
        *message.sounds,
    )
    in_order = sorted(parts, key=lambda part: part.place or 0)
    for original in dict.fromkeys(part.original for part in in_order):
        yield device.vault.read_stored_file(original)
