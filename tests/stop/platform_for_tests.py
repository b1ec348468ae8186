"""Helpers for tests of a platform: a gate, a device, pictures, uploads and opinions."""

from dataclasses import dataclass, field
from typing import Any, cast

import cv2
import msgspec
import numpy as np

from entrenous.base.environment import SystemRandomSource
from entrenous.base.identifiers import ClaimId
from entrenous.base.picture import Picture
from entrenous.base.secret import Secret
from entrenous.device.device import Courier, Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.clip_reader import read_clip
from entrenous.media.picture_reader import read_picture
from entrenous.media.sound_reader import read_sound
from entrenous.stop.index.memory_indexes import RegisteredSounds
from entrenous.stop.judge.decide import Decision, decide_upload, store_upload_bytes_if_needed
from entrenous.stop.nouns import GateLimits
from entrenous.stop.platform import Platform
from entrenous.stop.protect import fingerprint_picture, register_fingerprints
from entrenous.stop.register import accepted_embedding_model, register_claim, withdraw_claim
from entrenous.stop.registration import ClaimRequest, ClaimStatus, Consent, Opinion, Protection
from entrenous.stop.registration_format import (
    read_claim_status,
    read_registration_request,
    write_claim_status,
    write_registration_request,
)
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.upload_record import PublishedAnyway
from entrenous.wire.encodings import to_base64url
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.vault import MemoryVault
from tests.new_bank import index_of, prepared_bank, review_queue_of


@dataclass
class InProcessGate:
    """A registration client that calls a platform in the same process, without HTTP."""

    platform: Platform
    url: str = "http://127.0.0.1:7802"
    sent_requests: list[bytes] = field(default_factory=list)

    def accepted_embedding_model(self) -> str | None:
        return accepted_embedding_model(self.platform)

    def register(self, request: ClaimRequest) -> ClaimStatus:
        self.sent_requests.append(write_registration_request(request))
        claim = register_claim(read_registration_request(self.sent_requests[-1]), self.platform)
        return _encode_and_decode(ClaimStatus(claim.id, claim.kind, claim.state))

    def status(self, claim: ClaimId) -> ClaimStatus:
        stored = self.platform.bank.claim(claim)
        return _encode_and_decode(ClaimStatus(stored.id, stored.kind, stored.state))

    def withdraw(self, claim: ClaimId, token: Secret) -> ClaimStatus:
        withdrawn = withdraw_claim(claim, token, self.platform)
        return _encode_and_decode(ClaimStatus(withdrawn.id, withdrawn.kind, withdrawn.state))


def _encode_and_decode(status: ClaimStatus) -> ClaimStatus:
    return read_claim_status(write_claim_status(status))


@dataclass
class GateSetup:
    """A person's device and a platform in one process, connected by an ``InProcessGate``."""

    clock: SettableClock = field(default_factory=SettableClock)
    limits: GateLimits = field(default_factory=GateLimits)
    bank: BankStore = field(init=False)
    device: Device = field(init=False)
    platform: Platform = field(init=False)
    gate: InProcessGate = field(init=False)

    def __post_init__(self) -> None:
        self.device = new_device(self.clock)
        self.bank = prepared_bank(self.clock)
        self.platform = Platform(
            clock=self.clock,
            random_source=SeededRandomSource("platform"),
            bank=self.bank,
            index=index_of(self.bank),
            reviews=review_queue_of(self.bank),
            read_picture=read_picture,
            limits=self.limits,
            read_clip=read_clip,
            read_sound=read_sound,
            sounds=RegisteredSounds(self.bank),
        )
        self.gate = InProcessGate(self.platform)

    def protect(self, pixels: Any, *, parts: bool = True) -> Protection:
        return protect_picture(
            picture(pixels),
            adult=True,
            parts=parts,
            gate=self.gate,
            device=self.device,
        )


def new_device(clock: SettableClock | None = None) -> Device:
    """Return a person's device in memory, without a relay."""
    vault = MemoryVault()
    return Device(
        clock=clock or SettableClock(),
        random_source=SystemRandomSource(),
        vault=vault,
        ledger=VaultLedger(vault),
        courier=cast("Courier", None),
        read_picture=read_picture,
    )


def picture(pixels: Any) -> Picture:
    return read_picture(png(pixels))


def png(pixels: Any) -> bytes:
    _, data = cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]))
    return data.tobytes()


def jpeg(pixels: Any, quality: int = 50) -> bytes:
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), parameters)
    return data.tobytes()


def screenshot_crop(pixels: Any) -> bytes:
    """Return an off-centre crop of about 70 % of the area, scaled down, as a JPEG."""
    height, width, _ = pixels.shape
    rows, columns = int(0.837 * height), int(0.837 * width)
    cut = pixels[height // 11 : height // 11 + rows, width // 13 : width // 13 + columns]
    small = cv2.resize(cut, (int(columns * 0.8), int(rows * 0.8)), interpolation=cv2.INTER_AREA)
    return jpeg(small)


def judge_upload(
    untrusted_data: bytes,
    platform: Platform,
    reference: str = "",
    publishes: PublishedAnyway = PublishedAnyway.NOTHING,
) -> Decision:
    """Decide about an upload, then store its bytes if the decision needs them, as a gate does."""
    decision = decide_upload(untrusted_data, platform, reference, publishes)
    store_upload_bytes_if_needed(decision, untrusted_data, platform)
    return decision


def protect_picture(
    picture: Picture, *, adult: bool, parts: bool, gate: Any, device: Device
) -> Protection:
    """Register a picture at a gate, with the hashes of parts if ``parts`` is true."""
    consent = Consent(adult=adult, parts=parts)
    return register_fingerprints(fingerprint_picture(picture, consent, device), gate, device)


def write_opinion(opinion: Opinion, signature: bytes) -> bytes:
    """Return the opinion and its signature as the JSON that a partner platform submits."""
    return msgspec.json.encode(
        {
            "schema": "entrenous/opinion/1",
            "opinion": opinion.stance,
            "at": int(opinion.at.timestamp()),
            "key": to_base64url(opinion.key),
            "signature": to_base64url(signature),
        }
    )
