"""What a device registered with platforms: one record per claim, in the vault."""

from dataclasses import replace
from typing import Final

from entrenous.craft.wire.record import pack, unpack
from entrenous.model.protection import NoSuchProtection, Protection
from entrenous.ports import BankClient, Device

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
