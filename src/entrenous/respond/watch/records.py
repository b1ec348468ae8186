"""The vault's tables for watching. They are separate from the case files, so that checks do not
change case files.

One table has a record for each watched sighting. An index by due time finds what is due without
reading any record. Other tables have the person's agreement, and the time when a host may be
contacted again.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from entrenous.base.errors import BadRecord, NotFound, Refused
from entrenous.base.language import translatable, translated
from entrenous.device.device import Device
from entrenous.device.vault_tables import Table
from entrenous.respond.case_file import find_case, find_open_case, find_sighting
from entrenous.respond.nouns import SightingReach
from entrenous.respond.watch.states import WatchedSighting


class WatchingNotAgreed(Refused):
    """
    The watched site sees each visit, so watching is off until you agree to that. No page was
    fetched. To read what the site sees, and then agree: entrenous case watch {name} --on {number}
    """


class NotWatchable(Refused):
    """
    Sighting {number} of case {name} is in a chat or another place without a web address, and only
    web addresses can be watched from here. To see whether the picture is still there, look there
    yourself.
    """


# key: the case's name, a slash, and the sighting's number in ten digits
WATCHED_TABLE: Final = Table("watched", WatchedSighting)
WATCH_DUE_TABLE: Final = "watch-due"  # key: time, case name and sighting; the value is empty
CASE_HASHES_TABLE: Final = "watch-look"  # key: case name; value: CaseHashes


@dataclass(frozen=True, slots=True)
class WatchingAgreement:
    """When the person agreed to what watched sites see, and whether a proxy hid their address at
    that time.
    """

    at: datetime
    by_proxy: bool


@dataclass(frozen=True, slots=True)
class HostPostponement:
    """The time until which a host is not contacted, because it asked for that or did not answer."""

    until: datetime


HOST_POSTPONEMENT_TABLE: Final = Table("watch-host", HostPostponement)  # key: host and port
AGREEMENT_TABLE: Final = Table("watch-agreed", WatchingAgreement)  # the only key is "watch"
# no check and no host is postponed for longer (LONGEST_RETRY_WAIT and the random time, states.py)
_POSTPONEMENT_MAX: Final = timedelta(weeks=5)
_SITE_SEES_TEXT: Final = translatable(
    "To look at a page, the app asks its site for it, as your browser does. The site, and other "
    "sites that its pictures come from, see:"
)
_SITE_KEEPS_TEXT: Final = translatable(
    "They can keep that for as long as they like. If somebody you fear runs the site, "
    "they can see it too."
)


def describe_what_site_sees(*, by_proxy: bool) -> tuple[str, ...]:
    """Explain what a request from here reveals, before the first one is made."""
    address = (
        translated("an IP address: the one from which your proxy reaches the site, not yours")
        if by_proxy
        else translated(
            "your IP address, which can show roughly where you are (with the proxy in Settings, "
            "the proxy's instead)"
        )
    )
    return (
        translated(_SITE_SEES_TEXT),
        translated("- that this address was opened, and when;"),
        f"- {address};",
        translated('- that the program is called "Entrenous".'),
        translated(_SITE_KEEPS_TEXT),
        translated("Nothing about you or your case is sent: no name, no picture, no fingerprint."),
    )


def store_watching_agreement(device: Device, *, by_proxy: bool) -> None:
    """Store that the person has read :func:`describe_what_site_sees` and agreed."""
    AGREEMENT_TABLE.store(WatchingAgreement(device.clock.now(), by_proxy), "watch", device.vault)


def has_agreed_to_watching(device: Device, *, by_proxy: bool) -> bool:
    """Return whether the person agreed to what sites see now: an agreement given with a proxy does
    not cover requests without one.
    """
    known = AGREEMENT_TABLE.load("watch", device.vault)
    return known is not None and (by_proxy or not known.by_proxy)


def start_watching(name: str, number: int, device: Device, *, by_proxy: bool) -> WatchedSighting:
    """Begin to watch a sighting; the first check is due at once. If it is watched already, nothing
    changes.

    Raises:
        NoSuchCase, NotAllAdults, CaseClosed, NoSuchCaseEntry, NotWatchable.
        WatchingNotAgreed: the person has not agreed to what the site sees.
    """
    with device.vault.transaction():
        case = find_open_case(name, device)
        seen = find_sighting(case, number)
        if seen.reach is not SightingReach.PUBLIC or not host_and_port_of(seen.where):
            raise NotWatchable(name=case.name, number=number)
        if not has_agreed_to_watching(device, by_proxy=by_proxy):
            raise WatchingNotAgreed(name=case.name, number=number)
        known = load_watched(name, number, device)
        if known is not None:
            return known
        now = device.clock.now()
        return save_watched(WatchedSighting(case.name, number, since=now, due_at=now), device)


def stop_watching(name: str, number: int, device: Device) -> None:
    """Stop watching a sighting, and delete what was stored about it. Nothing happens if it is not
    watched.
    """
    with device.vault.transaction():
        known = load_watched(name, number, device)
        if known is not None:
            _drop_record(known, device)
            _drop_unwatched_hosts(device)


def host_and_port_of(url: str) -> str:
    """Return the host and port of a web address, or ""."""
    try:
        parts = urlsplit(url)
        return parts.netloc.rpartition("@")[2].lower() if parts.scheme in {"http", "https"} else ""
    except ValueError:
        return ""


def load_watched(name: str, number: int, device: Device) -> WatchedSighting | None:
    return WATCHED_TABLE.load(_record_key(name, number), device.vault)


def save_watched(record: WatchedSighting, device: Device) -> WatchedSighting:
    """Store a record and move its entry in the index."""
    with device.vault.transaction():
        before = load_watched(record.case, record.sighting, device)
        if before is not None:
            device.vault.drop(WATCH_DUE_TABLE, _due_key(before))
        WATCHED_TABLE.store(record, _record_key(record.case, record.sighting), device.vault)
        device.vault.put(WATCH_DUE_TABLE, _due_key(record), b"")
    return record


def watched_in_case(name: str, device: Device) -> tuple[WatchedSighting, ...]:
    """Return the watched sightings of a case, in the order of their numbers."""
    keys = WATCHED_TABLE.keys(device.vault, f"{name}/")
    found = (WATCHED_TABLE.load(key, device.vault) for key in keys)
    return tuple(record for record in found if record is not None)


def due_sightings(
    now: datetime, device: Device, name: str | None = None
) -> Iterator[WatchedSighting]:
    """Yield the watched sightings that are due, the longest overdue first. If ``name`` is given,
    yield only those of that case.
    """
    end = _time_key(now)
    for key in device.vault.keys(WATCH_DUE_TABLE):
        at, case, number = key.split("/")
        if at > end:
            return
        if name is None or case == name:
            record = load_watched(case, int(number), device)
            if record is not None:
                yield record


def correct_times_in_future(now: datetime, device: Device) -> None:
    """Undo what was recorded while the clock was ahead (docs/spec/README.md): checks become due at
    once, and hosts may be contacted again.
    """
    with device.vault.transaction():
        for record in tuple(WATCHED_TABLE.all(device.vault)):
            looked_at = record.looked_at or record.since
            was_ahead = looked_at > now or record.due_at - now > _POSTPONEMENT_MAX
            if was_ahead and record.due_at > now:
                save_watched(replace(record, due_at=now), device)
        for host in HOST_POSTPONEMENT_TABLE.keys(device.vault):
            until = host_postponed_until(host, device)
            if until is not None and until - now > _POSTPONEMENT_MAX:
                postpone_host(host, None, device)


def forget_watching(name: str, device: Device) -> None:
    """Delete everything that watching stored about a case."""
    with device.vault.transaction():
        for record in watched_in_case(name, device):
            _drop_record(record, device)
        device.vault.drop(CASE_HASHES_TABLE, name)
        _drop_unwatched_hosts(device)


def _drop_unwatched_hosts(device: Device) -> None:
    """Delete the postponements of hosts on which no sighting is watched: the name of a host may say
    something about an erased case.
    """
    watched = set(_watched_hosts(device))
    for host in HOST_POSTPONEMENT_TABLE.keys(device.vault):
        if host not in watched:
            HOST_POSTPONEMENT_TABLE.drop(host, device.vault)


def _watched_hosts(device: Device) -> Iterator[str]:
    for key in WATCHED_TABLE.keys(device.vault):
        name, number = key.split("/")
        with suppress(NotFound, BadRecord):  # a damaged case does not prevent erasing another
            yield host_and_port_of(find_sighting(find_case(name, device), int(number)).where)


def host_postponed_until(host: str, device: Device) -> datetime | None:
    """Return the time until which a host is not contacted, or None."""
    known = HOST_POSTPONEMENT_TABLE.load(host, device.vault)
    return None if known is None else known.until


def postpone_host(host: str, until: datetime | None, device: Device) -> None:
    """Store the time until which a host is not contacted. None means that the host answered."""
    if until is None:
        HOST_POSTPONEMENT_TABLE.drop(host, device.vault)
    else:
        HOST_POSTPONEMENT_TABLE.store(HostPostponement(until), host, device.vault)


def _drop_record(record: WatchedSighting, device: Device) -> None:
    device.vault.drop(WATCH_DUE_TABLE, _due_key(record))
    WATCHED_TABLE.drop(_record_key(record.case, record.sighting), device.vault)


def _record_key(name: str, number: int) -> str:
    return f"{name}/{number:010d}"


def _due_key(record: WatchedSighting) -> str:
    return f"{_time_key(record.due_at)}/{_record_key(record.case, record.sighting)}"


def _time_key(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}"
