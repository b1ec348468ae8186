"""Make one's own card: certify devices, sign the newest list (docs/spec/identity.md 2 to 4)."""

from datetime import datetime
from typing import Final

from entrenous.craft.crypto.device import (
    DeviceSigner,
    identity_key,
    mldsa65_hash,
    mldsa65_key,
    signing_key,
)
from entrenous.craft.crypto.hashing import person_id
from entrenous.craft.crypto.lists import sign_list
from entrenous.craft.crypto.master import public_master
from entrenous.craft.crypto.statements import proof_of, sign_certificate
from entrenous.craft.wire.identity.card import recent
from entrenous.craft.wire.identity.certificate import write_certificate
from entrenous.craft.wire.identity.device_list import read_device_list, write_device_list
from entrenous.model.card import Card, Certificate, Enforces, SignedCertificate
from entrenous.model.device_list import DeviceList, ListedDevice, ListStatement, Speaks
from entrenous.model.identity import Home
from entrenous.model.ids import DeviceId
from entrenous.model.secret import Secret
from entrenous.spec import PROTOCOL_VERSION

SPEAKS: Final = Speaks(PROTOCOL_VERSION, PROTOCOL_VERSION)
ENFORCES: Final = tuple(int(one) for one in Enforces)  # what this program does


def certify(
    master: Secret, signer: DeviceSigner, device: DeviceId, created_at: datetime
) -> SignedCertificate:
    """What the master key says about the device whose keys these are."""
    certificate = Certificate(
        person=person_id(public_master(master)),
        device=device,
        ed25519=signing_key(signer.account),
        curve25519=identity_key(signer.account),
        mldsa65_hash=mldsa65_hash(mldsa65_key(signer)),
        created_at=created_at,
        enforces=ENFORCES,
    )
    statement = write_certificate(certificate)
    return SignedCertificate(certificate, statement, sign_certificate(master, statement))


def first_list(
    name: str, home: Home, signed: SignedCertificate, issued_at: datetime
) -> ListStatement:
    """The list of epoch 1, with one device on it."""
    said = DeviceList(
        person=signed.certificate.person,
        epoch=1,
        previous=None,
        devices=(ListedDevice(signed.certificate.device, proof_of(signed), home.mailbox),),
        revoked=(),
        name=name,
        speaks=SPEAKS,
        issued_at=issued_at,
        relay_url=home.relay_url,
    )
    return read_device_list(write_device_list(said))


def signed_card(
    master: Secret, lists: tuple[ListStatement, ...], certificates: tuple[SignedCertificate, ...]
) -> Card:
    """The card of these lists, the newest last, with its devices' certificates, in any order."""
    by_device = {one.certificate.device: one for one in certificates}
    newest = lists[-1]
    return Card(
        master=public_master(master),
        lists=recent(lists),
        signature=sign_list(master, newest.statement),
        certificates=tuple(by_device[one.device] for one in newest.said.devices),
    )
