"""``entrenous gate bank`` and ``gate partner``: lists of fingerprints, and partner platforms."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.stop.banks import (
    PolicyChange,
    bank_name_for_list,
    import_hashes,
    set_policy,
    suspend_claim,
)
from entrenous.stop.judge.look_back import schedule_look_backs
from entrenous.stop.nouns import Bank
from entrenous.stop.partners import add_partner, remove_partner
from entrenous.stop.store.open_gate import is_gate, open_existing, open_platform
from entrenous.stop.upload_record import Outcome
from entrenous.terminal.output import join_wrapped_lines, print_json, print_line
from entrenous.terminal.output_files import read_file

GateFolderOption = Annotated[Path, typer.Option(metavar="DIR", help="Folder for the database.")]
AsJsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def add_commands(gate: typer.Typer) -> None:
    """Add this module's commands to the group ``entrenous gate``."""
    partner = typer.Typer(help="Platforms whose opinions count.", no_args_is_help=True)
    partner.command("add")(add_partner_platform)
    partner.command("drop")(drop_partner_platform)
    partner.command("list")(list_partners)
    gate.add_typer(partner, name="partner")
    bank = typer.Typer(help="The banks of fingerprints.", no_args_is_help=True)
    bank.command("import")(import_hash_list)
    bank.command("list")(list_banks)
    bank.command("policy")(set_bank_policy)
    bank.command("suspend")(suspend_bank_claim)
    gate.add_typer(bank, name="bank")


def import_hash_list(
    file: Annotated[
        Path, typer.Argument(help="A file with one hash of 64 hexadecimal digits on each line.")
    ],
    bank: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the bank; created if it is missing.")
    ],
    data: GateFolderOption,
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="You vouch for the list: matches are refused.")
    ] = False,
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help="Make the new bank only record what matches (shadow mode)."),
    ] = False,
    looks_back: Annotated[
        bool | None,
        typer.Option(
            "--look-back/--no-look-back",
            show_default="a running gate does",
            help="Compare the list with earlier uploads: now, or not at all.",
        ),
    ] = None,
    as_json: AsJsonOption = False,
) -> None:
    """Import a list of PDQ hashes into a bank; report lines that are not hashes.

    Hashes that the bank already has are not added again.
    """
    text = read_file(file).decode("utf-8-sig", errors="replace")
    is_new = not is_gate(data)
    with open_platform(data) as (platform, _):
        name = bank_name_for_list(bank, platform)
        done = import_hashes(
            text, name, platform, confirmed=confirmed, looks_back=looks_back, shadow=shadow
        )
        bank_now = platform.bank.bank(name)
    if as_json:
        refused = [{"line": line, "why": why} for line, why in done.refused]
        answer = {"schema": "entrenous/import/1", "accepted": done.accepted, "refused": refused}
        answer["already"] = done.already
        print_json(answer | ({"looked_back": done.looked_back} if looks_back else {}))
        return
    if is_new:
        print_line(f"There was no gate in {join_wrapped_lines(str(data))}, so one was made.")
    there = f"; {done.already} were there already" if done.already else ""
    print_line(f"{done.accepted} hashes were added to bank {join_wrapped_lines(bank)}{there}.")
    if shadow:
        print_line(_bank_in_words(bank_now))
    if looks_back:
        print_line(f"{done.looked_back} uploads that were let through now wait for a reviewer.")
    for line, why in done.refused:
        print_line(f"  line {line} was left out: {join_wrapped_lines(why)}")


def list_banks(data: GateFolderOption, as_json: AsJsonOption = False) -> None:
    """Show each bank and its policy."""
    with open_existing(data) as (platform, _):
        banks = platform.bank.banks()
    if as_json:
        print_json({"schema": "entrenous/banks/1", "banks": [_bank_json(bank) for bank in banks]})
        return
    for bank in banks:
        print_line(_bank_in_words(bank))


def set_bank_policy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the bank.")],
    data: GateFolderOption,
    radius: Annotated[
        int | None, typer.Option(metavar="N", help="Largest distance that counts: 0 to 31 bits.")
    ] = None,
    shadow: Annotated[
        bool | None,
        typer.Option(
            "--shadow/--live", help="Only record what matches (shadow mode), or act on it."
        ),
    ] = None,
    on_claimed: Annotated[
        Outcome | None,
        # "refuse" is accepted here, so that the bank can explain why it is not possible.
        typer.Option(
            metavar="[let through|hold]",
            help="What to do before a reviewer has confirmed the claim.",
        ),
    ] = None,
    on_confirmed: Annotated[
        Outcome | None, typer.Option(help="What to do once a reviewer has confirmed the claim.")
    ] = None,
    looks_back: Annotated[
        bool,
        typer.Option(
            "--look-back", help="Compare its claims again with uploads that were let through."
        ),
    ] = False,
    as_json: AsJsonOption = False,
) -> None:
    """Set what a bank does with matching uploads; options that you do not give stay as they are.

    This applies to future uploads. With --look-back, the running gate also finds earlier uploads
    that were let through, for example while the bank was in shadow.
    """
    wanted = PolicyChange(radius, shadow, on_claimed, on_confirmed)
    with open_existing(data) as (platform, _):
        bank = set_policy(BankName(name), wanted, platform)
        due = schedule_look_backs(bank, platform) if looks_back else 0
    if as_json:
        document = {"schema": "entrenous/bank/1", **_bank_json(bank)}
        print_json(document | ({"look_backs_due": due} if looks_back else {}))
        return
    print_line(_bank_in_words(bank))
    if looks_back:
        print_line(f"The running gate compares {due:,} claims with uploads that were let through.")


def suspend_bank_claim(
    claim: Annotated[
        str, typer.Argument(metavar="CLAIM", help="Its id, from a review or the log.")
    ],
    data: GateFolderOption,
    as_json: AsJsonOption = False,
) -> None:
    """Suspend a claim that was made to harm others; it matches nothing from now on."""
    with open_existing(data) as (platform, _):
        ended = suspend_claim(ClaimId(claim), platform)
    if as_json:
        document = {"claim": ended.id, "kind": ended.kind, "state": ended.state}
        print_json({"schema": "entrenous/claim/1", **document})
        return
    print_line(
        f"Claim {join_wrapped_lines(claim)} is {ended.state}: nothing is held or refused for it."
    )


def _bank_json(bank: Bank) -> dict[str, object]:
    return {
        "bank": bank.name,
        "radius": bank.radius,
        "shadow": bank.shadow,
        "on_claimed": bank.on_claimed,
        "on_confirmed": bank.on_confirmed,
    }


def _bank_in_words(bank: Bank) -> str:
    does = f"claimed: {bank.on_claimed}, confirmed: {bank.on_confirmed}"
    shadow = "; in shadow, so matches are only recorded" if bank.shadow else ""
    return f"{bank.name}: within {bank.radius} bits; {does}{shadow}"


PartnerKeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="Its Ed25519 public key, 64 hexadecimal digits.")
]


def add_partner_platform(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name for the platform.")],
    key: PartnerKeyArgument,
    data: GateFolderOption,
) -> None:
    """Let a platform's opinions on claims count; its operator gives you the key."""
    with open_existing(data) as (platform, _):
        partner = add_partner(name, key, platform)
    print_line(f"{partner.name} is known by its key {partner.key.hex()}.")


def drop_partner_platform(
    named: Annotated[str, typer.Argument(metavar="KEY|NAME", help="Its key, or its name.")],
    data: GateFolderOption,
) -> None:
    """Accept no more opinions from a platform; its earlier ones stay."""
    with open_existing(data) as (platform, _):
        remove_partner(named, platform)
    print_line("That platform is no longer a partner.")


def list_partners(data: GateFolderOption, as_json: AsJsonOption = False) -> None:
    """List the partner platforms."""
    with open_existing(data) as (platform, _):
        partners = platform.bank.partners()
    if as_json:
        known = [{"name": one.name, "key": one.key.hex()} for one in partners]
        print_json({"schema": "entrenous/partners/1", "partners": known})
        return
    for one in partners:
        print_line(f"{one.name}: {one.key.hex()}")
