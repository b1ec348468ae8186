"""What ``trace --explain`` writes: a page, a PDF, and on demand the report for an expert."""

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Final

import typer

from entrenous.faces.cli.output import hint, write_new
from entrenous.model.message import OfflineDevice
from entrenous.model.picture import AlreadyThere
from entrenous.model.report import Proofs
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.acquaintance.called import called_now
from entrenous.send.devices.self import account_of as keys_of
from entrenous.send.receipts.shown import proofs_of
from entrenous.trace.any import Traced
from entrenous.trace.explain.account import Choices, account_of, account_of_picture
from entrenous.trace.words import what_is_lost

PAGE: Final = "trace.html"
PAPER: Final = "trace.pdf"
REPORT: Final = "report.json"
FOR_FEW: Final = (
    "Whoever has {path} can make every copy of this one picture. Give it to the person who checks "
    "the finding, and to nobody else. Your other messages are not in it."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked for, and the folder that it goes to."""

    out: Path
    choices: Choices
    disclosed: bool

    def under(self, name: str) -> "Wanted":
        """The same, in a folder of that name inside."""
        return replace(self, out=self.out / name)


def wanted_of(out: Path | None, choices: Choices, *, disclose: bool) -> Wanted | None:
    """What was asked for; None without ``--explain``.

    Raises:
        BadParameter: something was asked of an explanation that nobody asked for.
    """
    if out is not None:
        return Wanted(out, choices, disclose)
    if disclose or choices != Choices():
        raise typer.BadParameter("--blind, --veil and --disclose need --explain DIR")
    return None


def room_for(out: Path) -> None:
    """Return only if the files of an explanation can get their names; asked before long work.

    Raises:
        AlreadyThere.
    """
    for name in (PAGE, PAPER, REPORT):
        if (out / name).exists() or (out / name).is_symlink():
            raise AlreadyThere(path=out / name)


def write_explanation(
    traced: Traced, data: bytes, name: str, device: Device, wanted: Wanted
) -> None:
    """Write the page, the PDF and, if asked for, the report of one trace; say so in a hint."""
    choices, seen = wanted.choices, traced.investigation
    account = (
        account_of(traced.trace, name, choices)
        if seen is None
        else account_of_picture(seen, data, name, device, choices)
    )
    if traced.lost:  # before any other remark: it may be why no copy stands out
        account = replace(account, remarks=(what_is_lost(traced.lost), *account.remarks))
    # loaded here: a trace that nobody wants explained shall not wait for a PDF library
    page, paper = map(
        import_module, ("entrenous.trace.explain.page", "entrenous.trace.explain.pdf")
    )
    files = {
        PAGE: page.write_page(account, veiled=choices.veiled).encode(),
        PAPER: paper.write_pdf(account, veiled=choices.veiled),
    }
    if wanted.disclosed:
        keys, of = signing_account(device), traced.trace.message
        proofs = Proofs() if of is None else proofs_of(device.ledger.find(of).id, device)
        disclose = import_module("entrenous.trace.report.disclose").disclose
        blind, call = choices.blind, called_now(device)
        made = disclose(
            traced.trace.number, data, device, keys, blind=blind, proofs=proofs, call=call
        )
        files[REPORT] = made.file
    for file, content in files.items():
        write_new(wanted.out / file, content)
    hint(f"  wrote {', '.join(str(wanted.out / file) for file in files)}")
    if wanted.disclosed:
        hint(FOR_FEW.format(path=wanted.out / REPORT))


def signing_account(device: Device) -> Secret | None:
    """The keys that this device signs with; None when it was set up without a relay."""
    try:
        return keys_of(device)
    except OfflineDevice:
        return None
