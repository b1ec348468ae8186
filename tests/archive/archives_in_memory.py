"""Export archives to memory, and import them into devices with vaults in memory."""

import io
from contextlib import nullcontext

from entrenous.archive.archive_format import ImportReport
from entrenous.archive.read_archive import import_opened_archive
from entrenous.archive.write_archive import write_archive_tar
from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.picture_reader import read_picture
from entrenous.send.set_up import set_up
from tests.deterministic import SeededRandomSource
from tests.in_memory.vault import MemoryVault
from tests.send.send_device import Network

StoredContents = tuple[dict[str, dict[str, bytes]], dict[bytes, bytes]]


def ignore_progress(_done: int, _total: int) -> None:
    """A progress callback that does nothing."""


def export_tar(device: Device) -> bytes:
    """Export an archive of the device, and return its tar."""
    out = io.BytesIO()
    write_archive_tar(out, device, ignore_progress)
    return out.getvalue()


def import_tar(tar: bytes, device: Device) -> ImportReport:
    """Import the tar of an archive into a device."""
    return import_opened_archive(nullcontext(io.BytesIO(tar)), device, ignore_progress)


def set_up_offline_device(network: Network, name: str = "ana anew") -> Device:
    """Set up a device without a relay, with a vault in memory."""
    vault = MemoryVault()
    device = Device(
        network.clock,
        SeededRandomSource(name),
        vault,
        VaultLedger(vault),
        network.honest,
        read_picture,
    )
    set_up(name, None, device)
    return device


def stored_contents(device: Device) -> StoredContents:
    """Return all records by table, and all files, of a device with a vault in memory."""
    vault = device.vault
    assert isinstance(vault, MemoryVault)
    tables = {name: dict(records) for name, records in vault._tables.items() if records}
    return tables, dict(vault._files)
