"""Add to a case: where a copy was seen, what the person says, a file of her own."""

from dataclasses import replace
from typing import Final

from entrenous.craft.crypto.hashing import sha256
from entrenous.model.case import Case, NothingThere, Sighting, TimesDoNotFit
from entrenous.model.evidence import (
    SALT_BYTES,
    CustodyAct,
    Evidence,
    Level,
    TooLargeToKeep,
)
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.respond.case_file import change, open_case_called, put_away, refuse_young_file

ITEM_BYTES_MAX: Final = 512 * 1024 * 1024  # an item is held in memory while it is sealed
_MB: Final = 1024 * 1024


def add_sighting(name: str, seen: Sighting, device: Device) -> Case:
    """Note where a copy was seen: a web address, or a chat in the person's own words.

    Args:
        name: the case.
        seen: its place is neither opened nor fetched; its number is given here.
        device: its vault keeps the case.

    Raises:
        NoSuchCase, NotAllAdults, CaseClosed: as their messages say.
        TimesDoNotFit: it was seen in the future.
    """
    if seen.first_seen_at > device.clock.now():
        raise TimesDoNotFit(what="a sighting", when="in the future")
    tidy = replace(seen, where=_one_line(seen.where), handle=_one_line(seen.handle))

    def with_sighting(case: Case) -> Case:
        numbered = replace(tidy, number=len(case.sightings) + 1)
        return replace(case, sightings=(*case.sightings, numbered))

    return change(name, device, with_sighting, "noted where a copy was seen")


def add_statement(name: str, words: str, device: Device, *, sighting: int | None = None) -> Case:
    """Keep what the person says, in her own words (level A0); as :func:`add_file` otherwise."""
    return _keep(name, words.encode(), (Level.A0, "a statement", sighting), device)


def add_file(
    name: str, data: bytes, what: str, device: Device, *, sighting: int | None = None
) -> Case:
    """Keep a screenshot or another file of the person's own (level A1), sealed in the vault.

    Args:
        name: the case.
        data: the file's bytes, kept exactly as they are.
        what: one line that says what it shows, in her own words.
        device: its vault keeps the file.
        sighting: the number of the sighting it belongs to.

    Raises:
        NoSuchCase, NotAllAdults, CaseClosed, NothingThere, TooLargeToKeep: as their messages say.
    """
    return _keep(name, data, (Level.A1, _one_line(what), sighting), device)


def _keep(name: str, data: bytes, about: tuple[Level, str, int | None], device: Device) -> Case:
    if len(data) > ITEM_BYTES_MAX:
        raise TooLargeToKeep(size_mb=len(data) // _MB, limit_mb=ITEM_BYTES_MAX // _MB)
    with device.vault.together():
        case = open_case_called(name, device)
        refuse_young_file(sha256(data), device)
        _refuse_unknown_sighting(case, about[2])
        item = _seal(case, data, about, device)
        try:
            kept = replace(case, evidence=(*case.evidence, item))
            step = f"kept item {item.number}: {item.what}"
            return put_away(kept, device, CustodyAct.STORED, step, item)
        except BaseException:
            device.vault.forget(item.blob)  # the record is rolled back; its sealed file is not
            raise


def _seal(
    case: Case, data: bytes, about: tuple[Level, str, int | None], device: Device
) -> Evidence:
    level, what, sighting = about
    return Evidence(
        number=len(case.evidence) + 1,
        level=level,
        what=what,
        added_at=device.clock.now(),
        sha256=sha256(data),
        size_bytes=len(data),
        salt=Secret(device.dice.token(SALT_BYTES)),
        blob=device.vault.keep(data),
        sighting=sighting,
    )


def _refuse_unknown_sighting(case: Case, number: int | None) -> None:
    if number is not None and number not in {seen.number for seen in case.sightings}:
        raise NothingThere(name=case.name, what="sighting", number=number)


def _one_line(text: str) -> str:
    return " ".join(text.split())
