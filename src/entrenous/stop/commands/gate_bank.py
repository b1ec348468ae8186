"""``entrenous gate bank`` and ``gate partner``: lists of fingerprints, and platforms with a say."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.stop.banks import (
    PolicyChange,
    bank_for_list,
    import_hashes,
    set_policy,
    suspend_claim,
)
from entrenous.stop.judge.look_back import look_back_again
from entrenous.stop.nouns import Bank
from entrenous.stop.partners import add_partner, drop_partner
from entrenous.stop.store.open_gate import is_gate, open_existing, open_platform
from entrenous.stop.upload_record import Outcome
from entrenous.terminal.output import put_json, say, unwrapped
from entrenous.terminal.output_files import read_file

Data = Annotated[Path, typer.Option(metavar="DIR", help="Folder for the database.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def join(gate: typer.Typer) -> None:
    """Add this module's commands below ``gate``."""
    join_partner(gate)
    bank = typer.Typer(help="The banks of fingerprints.", no_args_is_help=True)
    bank.command("import")(import_list)
    bank.command("list")(list_banks)
    bank.command("policy")(policy)
    bank.command("suspend")(suspend)
    gate.add_typer(bank, name="bank")


def import_list(
    file: Annotated[Path, typer.Argument(help="One hash a line, 64 hexadecimal digits.")],
    bank: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the bank; made if it is missing.")
    ],
    data: Data,
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="You stand behind the list: fits are refused.")
    ] = False,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="A new bank, which only writes down what fits.")
    ] = False,
    looks_back: Annotated[
        bool | None,
        typer.Option(
            "--look-back/--no-look-back",
            show_default="the gate does, while it runs",
            help="Find what was let through before: now, or not at all.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring a list of PDQ hashes into a bank; what is no hash is reported, the rest is kept.

    What the bank has already is not added again.
    """
    text = read_file(file).decode("utf-8-sig", errors="replace")  # with or without a mark
    is_new = not is_gate(data)
    with open_platform(data) as (platform, _):
        name = bank_for_list(bank, platform)
        done = import_hashes(
            text, name, platform, confirmed=confirmed, looks_back=looks_back, shadow=shadow
        )
        bank_now = platform.bank.bank(name)
    if as_json:
        refused = [{"line": line, "why": why} for line, why in done.refused]
        answer = {"schema": "entrenous/import/1", "accepted": done.accepted, "refused": refused}
        answer["already"] = done.already
        put_json(answer | ({"looked_back": done.looked_back} if looks_back else {}))
        return
    if is_new:
        say(f"There was no gate in {unwrapped(str(data))}, so one was made.")
    there = f"; {done.already} were there already" if done.already else ""
    say(f"{done.accepted} hashes were added to bank {unwrapped(bank)}{there}.")
    if shadow:
        say(_in_words(bank_now))
    if looks_back:
        say(f"{done.looked_back} uploads that were let through wait for a person now.")
    for line, why in done.refused:
        say(f"  line {line} was left out: {unwrapped(why)}")


def list_banks(data: Data, as_json: AsJson = False) -> None:
    """Show each bank and its policy."""
    with open_existing(data) as (platform, _):
        banks = platform.bank.banks()
    if as_json:
        put_json({"schema": "entrenous/banks/1", "banks": [_as_json(bank) for bank in banks]})
        return
    for bank in banks:
        say(_in_words(bank))


def policy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the bank.")],
    data: Data,
    radius: Annotated[
        int | None, typer.Option(metavar="N", help="Largest distance that counts: 0 to 31 bits.")
    ] = None,
    shadow: Annotated[
        bool | None,
        typer.Option("--shadow/--live", help="Only write down what fits, or act on it."),
    ] = None,
    on_claimed: Annotated[
        Outcome | None,
        # Typed all the same, "refuse" is turned away by the bank, with the reason.
        typer.Option(
            metavar="[let through|hold]", help="What becomes of it before anybody looked."
        ),
    ] = None,
    on_confirmed: Annotated[
        Outcome | None, typer.Option(help="A person has confirmed the claim.")
    ] = None,
    looks_back: Annotated[
        bool,
        typer.Option("--look-back", help="Compare its claims again with what was let through."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what a bank does with an upload that fits; what you do not name stays as it is.

    It is about uploads to come. With --look-back the gate, while it runs, finds by the policy as it
    is now what was let through before: of a bank that was in shadow, say.
    """
    wanted = PolicyChange(radius, shadow, on_claimed, on_confirmed)
    with open_existing(data) as (platform, _):
        bank = set_policy(BankName(name), wanted, platform)
        due = look_back_again(bank, platform) if looks_back else 0
    if as_json:
        told = {"schema": "entrenous/bank/1", **_as_json(bank)}
        put_json(told | ({"look_backs_due": due} if looks_back else {}))
        return
    say(_in_words(bank))
    if looks_back:
        say(f"{due:,} claims are compared with what was let through before, while the gate runs.")


def suspend(
    claim: Annotated[str, typer.Argument(metavar="CLAIM", help="As a review or the log has it.")],
    data: Data,
    as_json: AsJson = False,
) -> None:
    """A claim that was made to harm others matches nothing from now on."""
    with open_existing(data) as (platform, _):
        ended = suspend_claim(ClaimId(claim), platform)
    if as_json:
        told = {"claim": ended.id, "kind": ended.kind, "state": ended.state}
        put_json({"schema": "entrenous/claim/1", **told})
        return
    say(f"Claim {unwrapped(claim)} is {ended.state}: nothing is held or refused for it.")


def _as_json(bank: Bank) -> dict[str, object]:
    return {
        "bank": bank.name,
        "radius": bank.radius,
        "shadow": bank.shadow,
        "on_claimed": bank.on_claimed,
        "on_confirmed": bank.on_confirmed,
    }


def _in_words(bank: Bank) -> str:
    does = f"claimed: {bank.on_claimed}, confirmed: {bank.on_confirmed}"
    shadow = "; in shadow, so this is only written down" if bank.shadow else ""
    return f"{bank.name}: within {bank.radius} bits; {does}{shadow}"


Key = Annotated[
    str, typer.Argument(metavar="KEY", help="Its Ed25519 public key, 64 hexadecimal digits.")
]


def join_partner(gate: typer.Typer) -> None:
    """Add this module's commands below ``gate``."""
    partner = typer.Typer(help="Platforms whose opinions count.", no_args_is_help=True)
    partner.command("add")(add)
    partner.command("drop")(drop)
    partner.command("list")(list_partners)
    gate.add_typer(partner, name="partner")


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What you call it.")],
    key: Key,
    data: Data,
) -> None:
    """Let a platform's opinions on claims count; its operator gives you the key."""
    with open_existing(data) as (platform, _):
        partner = add_partner(name, key, platform)
    say(f"{partner.name} is known by its key {partner.key.hex()}.")


def drop(
    named: Annotated[str, typer.Argument(metavar="KEY|NAME", help="Its key, or its name.")],
    data: Data,
) -> None:
    """Take no more opinions of a platform; those that it gave stay."""
    with open_existing(data) as (platform, _):
        drop_partner(named, platform)
    say("That platform is not known any more.")


def list_partners(data: Data, as_json: AsJson = False) -> None:
    """Show which platforms are known."""
    with open_existing(data) as (platform, _):
        partners = platform.bank.partners()
    if as_json:
        known = [{"name": one.name, "key": one.key.hex()} for one in partners]
        put_json({"schema": "entrenous/partners/1", "partners": known})
        return
    for one in partners:
        say(f"{one.name}: {one.key.hex()}")
