"""The commands ``entrenous verdict``: write a report of a verdict's evidence, and check one."""

from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.base.copies import MessageProofs, ReceiptEvent
from entrenous.base.errors import quote_for_shell
from entrenous.base.language import moment_in_words, translatable, translated
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.device.identities import current_name_lookup
from entrenous.device.sent_copies import receipt_proofs
from entrenous.media.sandbox.decoders import decode_picture_untrusted
from entrenous.terminal.output import (
    key_fingerprint,
    print_json,
    print_line,
    rfc3339_utc,
    single_line,
)
from entrenous.terminal.output_files import read_file, write_new
from entrenous.terminal.progress_bars import step_bar
from entrenous.terminal.typed_input import JsonFlag
from entrenous.trace.commands import DISCLOSE_WARNING, signing_olm_account
from entrenous.trace.explain.wording import (
    NOT_WHO_PASSED_IT_ON,
    chance_in_digits,
    chance_in_words,
    likelihood_ratio_in_digits,
    support_in_words,
)
from entrenous.trace.report.check_report import (
    CheckedReport,
    ReportInputs,
    check_report,
    receipt_signer,
    was_opened,
)
from entrenous.trace.report.disclose import disclose_trace, recorded_trace
from entrenous.watermark.verdict import Finding

SENDER_CAVEAT: Final = translatable(
    "It can't show that the sender did not make the found file: she can make every copy."
)


def add_commands(app: typer.Typer) -> None:
    verdict = typer.Typer(help="Let others check a verdict.", no_args_is_help=True)
    verdict.command("disclose")(write_disclosure)
    verdict.command("check")(check_disclosed_report)
    app.add_typer(verdict, name="verdict")


def write_disclosure(
    context: typer.Context,
    number: Annotated[
        int, typer.Argument(help="Number of the trace, as entrenous trace printed it.")
    ],
    leak: Annotated[Path, typer.Option(metavar="FILE", help="The found file, as it was traced.")],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="File to write the report to, in JSON.")
    ],
    with_original: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write the original to this file; a check needs it."
        ),
    ] = None,
    blind: Annotated[
        bool,
        typer.Option("--blind", help="Leave out the names of copies that were not identified."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a report with the mark secrets of one picture, for an expert or a court to check."""
    data = read_file(leak)
    with opened_device(context) as device:
        account, proofs = signing_olm_account(device), _receipt_proofs(number, device)
        name_of = current_name_lookup(device)
        made = disclose_trace(
            number, data, device, account, blind=blind, proofs=proofs, name_of=name_of
        )
    write_new(out, made.file)
    if with_original is not None:
        write_new(with_original, made.original)
    if as_json:
        print_json(
            {
                "schema": "entrenous/verdict-disclosure/1",
                "trace": number,
                "path": str(out),
                "digest": made.digest.hex(),
                "finding": made.report.finding.value,
                "named": list(made.report.named),
            }
        )
        return
    print_line(translated("wrote {out}").format(out=out))
    print_line(
        "  "
        + translated("its digest, to pass on by another channel: {hex}").format(
            hex=made.digest.hex()
        )
    )
    print_line(translated(DISCLOSE_WARNING).format(path=out))
    print_line(
        translated("to check it: entrenous verdict check {out} --leak FILE --original FILE").format(
            out=quote_for_shell(out)
        )
    )


def _receipt_proofs(number: int, device: Device) -> MessageProofs:
    """Return the receipts that the recipients of the traced message signed."""
    name = recorded_trace(number, device).message
    return (
        MessageProofs()
        if name is None
        else receipt_proofs(device.ledger.message_named(name).id, device)
    )


def check_disclosed_report(
    report: Annotated[Path, typer.Argument(help="The report, as you received it.")],
    leak: Annotated[Path, typer.Option(metavar="FILE", help="The found file.")],
    original: Annotated[Path, typer.Option(metavar="FILE", help="The original.")],
    copy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A copy that a recipient still has.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Repeat a disclosed finding from the files, without the sender's vault.

    Exit status 0: everything in the report was computed again and agrees; 5: something differs.
    """
    files = ReportInputs(
        read_file(report), read_file(leak), read_file(original), read_file(copy) if copy else None
    )
    with step_bar(translated("Checking"), 1) as steps:
        checked = check_report(files, decode_picture_untrusted, steps.set_progress)
    if as_json:
        print_json(_checked_report_json(checked))
    else:
        _print_checked_report(checked)


def _checked_report_json(checked: CheckedReport) -> dict[str, object]:
    report = checked.report
    return {
        "schema": "entrenous/verdict-check/1",
        "holds": True,
        "bit_for_bit": not checked.program_differences,
        "elsewhere": {name: list(pair) for name, pair in checked.program_differences.items()},
        "digest": checked.digest.hex(),
        "signed_by": checked.signed_by.hex() if checked.signed_by else None,
        "finding": report.finding.value,
        "named": list(report.named),
        "compared": report.given.compared,
        "compared_at_most": checked.compared_max,
        "copy_of": checked.copy_of[0] if len(checked.copy_of) == 1 else None,
        "copy_of_one_of": list(checked.copy_of),
        "signed_for": {
            label: {one.event.name.lower(): rfc3339_utc(one.at) for one in signed}
            for label, signed in checked.signed.items()
        },
        "keys": {
            label: person.hex()
            for label, signed in checked.signed.items()
            if (person := receipt_signer(signed)) is not None
        },
    }


def _print_checked_report(checked: CheckedReport) -> None:
    if checked.program_differences:
        print_line(
            translated(
                "The report holds: everything in it was computed again and agrees, except "
                "for rounding."
            )
        )
        for name, (there, here) in checked.program_differences.items():
            print_line(
                "  "
                + translated("{name}: made with {there}, checked with {here}").format(
                    name=single_line(name), there=single_line(there), here=here
                )
            )
    else:
        print_line(
            translated(
                "The report holds: everything in it was computed again and agrees bit for bit."
            )
        )
    _print_finding(checked)
    _print_copy_check(checked)
    if checked.signed_by is None:
        print_line(translated("It is not signed."))
    else:
        print_line(
            translated("It is signed with the device key {hex}.").format(
                hex=checked.signed_by.hex()
            )
        )
        print_line(
            "  " + translated("Compare it with the sender's card to know whether it is hers.")
        )
    print_line(f"{translated(NOT_WHO_PASSED_IT_ON)} {translated(SENDER_CAVEAT)}")


def _print_copy_check(checked: CheckedReport) -> None:
    """Print whose copy the given file is, and whether the finding names that copy."""
    if not checked.copy_of:
        return
    whose = ", ".join(single_line(label) for label in checked.copy_of)
    if len(checked.copy_of) > 1:
        print_line(
            translated(
                "The copy you gave is the same file as each of these copies in the report: {whose}."
            ).format(whose=whose)
        )
    else:
        print_line(
            translated("The copy you gave is the one that the report lists for {whose}.").format(
                whose=whose
            )
        )
    if any(label in checked.report.named for label in checked.copy_of):
        print_line("  " + translated("The finding names this copy."))
    else:
        print_line(
            "  " + translated("The finding does not name this copy. This does not clear anybody.")
        )


def _print_finding(checked: CheckedReport) -> None:
    report = checked.report
    if report.finding is Finding.NOBODY:
        print_line(translated("No copy stands out. This does not clear anybody."))
        return
    figures = {copy.to: copy for copy in report.copies}
    for label in report.named:
        copy = figures[label]
        print_line(
            translated("The found file's hidden marks fit the copy made for {label}.").format(
                label=single_line(label)
            )
        )
        print_line(
            "  "
            + translated("{words} Chance: {chance}.").format(
                words=chance_in_words(copy.chance), chance=chance_in_digits(copy.chance)
            )
        )
        ratio = likelihood_ratio_in_digits(copy.likelihood_ratio)
        print_line(
            "  "
            + translated("Likelihood ratio: {ratio} ({support}).").format(
                ratio=ratio, support=support_in_words(copy.likelihood_ratio)
            )
        )
        _print_receipts(label, checked)
    compared, most = f"{report.given.compared:,}", f"{checked.compared_max:,}"
    print_line(
        translated("The report says that {compared} copies were compared.").format(
            compared=compared
        )
    )
    print_line(
        "  "
        + translated("The same would be named if there had been up to {most}.").format(most=most)
    )


def _print_receipts(label: str, checked: CheckedReport) -> None:
    signed = checked.signed.get(label, ())
    person = receipt_signer(signed)
    if person is not None:
        print_line(
            "  "
            + translated("A device of the person with the keys {person} signed for it:").format(
                person=key_fingerprint(person)
            )
        )
    for one in signed:
        said = translated("received on {at}, with this very mark.")
        if one.event is ReceiptEvent.OPENED:
            said = translated("opened on {at}, with this very mark.")
        elif one.event is ReceiptEvent.EXPORTED:
            said = translated("opened and exported on {at}, with this very mark.")
        print_line(f"  {said.format(at=moment_in_words(one.at))}")
    if not was_opened(signed):
        print_line("  " + translated("Never opened, as far as receipts show."))
    if person is None:
        print_line(
            "  " + translated("So only the sender's ledger says that this mark was in their copy.")
        )
    else:
        who = single_line(label)
        word = translated(
            "That this is {who} is the sender's word: compare the keys with theirs, which\n"
            "  entrenous device list shows them."
        )
        print_line(f"  {word.format(who=who)}")
