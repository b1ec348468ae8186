"""Check the setup of a relay, and count what the relay stores in total, never for one person."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.environment import SystemClock, is_loopback
from entrenous.base.errors import EntrenousError
from entrenous.carry.open_relay import (
    DATABASE_NAME,
    find_postgres_fault,
    refuse_folder_of_other_database,
)
from entrenous.carry.relay import Relay, RowView, stored_clock_mark, time_of_last_restore
from entrenous.carry.relay_rows import (
    StoredBlob,
    StoredEnvelope,
    StoredLetter,
    StoredLock,
    StoredMailbox,
    StoredShare,
    StoredToken,
    StoredUpload,
)
from entrenous.carry.relay_settings import MEGABYTE, RelaySettings
from entrenous.carry.store.sqlite_rows import REWRITE_SPACE_FACTOR
from entrenous.carry.store.tables import SCHEMA_VERSION
from entrenous.serving.host_checks import (
    are_metrics_at,
    describe_database_fault,
    describe_listen_fault,
    exists_visibly,
    free_bytes,
    is_private,
    is_relay_at,
    is_writable,
    nearest_existing,
)
from entrenous.serving.tls import BadCertificate, TlsCertificate


@dataclass(frozen=True, slots=True)
class SetupFinding:
    """The result for one part of the setup.

    ``words`` say what was found. Unless ``ok``, they may also say what to do.
    """

    part: str
    ok: bool
    words: str


_CERTIFICATE_WARNING_PERIOD: Final = timedelta(days=14)
_CLOCK_TOLERANCE: Final = timedelta(minutes=2)
_WILDCARD_ADDRESSES: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- compared, not listened to


def check_relay(settings: RelaySettings) -> tuple[SetupFinding, ...]:
    """Check folder, disk, database, clock, TLS, address and, if set, the metrics address, in this
    order.

    Changes nothing; the relay may be running.
    """
    now = SystemClock().now()
    looks: tuple[Callable[[RelaySettings, datetime], SetupFinding], ...] = (
        *(
            _check_folder,
            _check_disk,
            _check_database,
            _check_clock,
            _check_tls,
            _check_listen_address,
        ),
    )
    found = tuple(look(settings, now) for look in looks)
    if settings.metrics_listen is None:
        return found
    return (*found, _check_metrics_address(settings.listen, settings.metrics_listen))


def _check_folder(settings: RelaySettings, _: datetime) -> SetupFinding:
    data = settings.data
    if not exists_visibly(data):
        above = nearest_existing(data)
        if not above.is_dir() or not is_writable(above):
            return _failed_finding(
                "folder", f"{data} is not there and cannot be made: make it in {above}"
            )
        return _passed_finding("folder", f"{data} is not there yet; the relay creates it")
    if not data.is_dir() or not is_writable(data):
        return _failed_finding(
            "folder", f"nothing can be kept in {data}: give it to the relay's account"
        )
    if not is_private(data):
        return _failed_finding("folder", f"others can look into {data}: chmod 700 {data}")
    return _passed_finding("folder", f"{data} can be written to, and is private")


def _check_disk(settings: RelaySettings, _: datetime) -> SetupFinding:
    free, least = free_bytes(settings.data), settings.limits.free_bytes_min
    words = f"{free // MEGABYTE:,} MB are free"
    if settings.blobs is None and free < least:  # a bucket has no such limit
        return _failed_finding(
            "disk", f"{words}, free_mb_min is {least // MEGABYTE:,}: no blob is taken"
        )
    rewrite = _bytes_to_rewrite_database(settings)
    needs = f"a rewrite of the database needs {-(-rewrite // MEGABYTE):,}"
    if free < rewrite:
        return _failed_finding("disk", f"{words}, {needs}: what was deleted may stay in it")
    return _passed_finding("disk", f"{words}; {needs}" if rewrite else words)


def _bytes_to_rewrite_database(settings: RelaySettings) -> int:
    """Return how many free bytes SQLite needs to rewrite the relay's database.

    Return 0 if there is no database yet, or if it is in PostgreSQL.
    """
    mail = settings.data / DATABASE_NAME
    if settings.database is not None or not exists_visibly(mail):
        return 0
    return REWRITE_SPACE_FACTOR * mail.stat().st_size


def _check_database(settings: RelaySettings, _: datetime) -> SetupFinding:
    found = _check_sqlite_or_postgres(settings)
    if not found.ok:
        return found
    try:
        refuse_folder_of_other_database(settings)
    except EntrenousError as why:
        return _failed_finding("database", " ".join(str(why).split()))
    return found


def _check_sqlite_or_postgres(settings: RelaySettings) -> SetupFinding:
    if settings.database is not None:
        fault = find_postgres_fault(settings.database)
        return (
            _failed_finding("database", fault)
            if fault
            else _passed_finding("database", "the PostgreSQL answers")
        )
    mail = settings.data / DATABASE_NAME
    if any(exists_visibly(path) and not os.access(path, os.R_OK) for path in (settings.data, mail)):
        return _failed_finding(
            "database", f"this account may not read {mail}: give it to the relay's"
        )
    if not exists_visibly(mail):
        return _passed_finding("database", "there is none yet; the relay creates it")
    fault = describe_database_fault(mail, SCHEMA_VERSION)
    if fault:
        remedy = "Restore a backup, or run the version of Entrenous that wrote it"
        return _failed_finding("database", f"{mail}: {fault}. {remedy}")
    return _passed_finding("database", "it is undamaged")


def _check_clock(settings: RelaySettings, now: datetime) -> SetupFinding:
    """Check that the clock was not set back; if it was, messages would expire too late."""
    mail = settings.data / DATABASE_NAME
    is_old = exists_visibly(mail)
    written_at = datetime.fromtimestamp(mail.stat().st_mtime, now.tzinfo) if is_old else now
    if written_at > now + _CLOCK_TOLERANCE:
        return _failed_finding(
            "clock", "the database was written later than it is now: set the clock"
        )
    return _passed_finding("clock", f"it is {now:%Y-%m-%d %H:%M} UTC")


def _check_tls(settings: RelaySettings, now: datetime) -> SetupFinding:
    if settings.tls_cert is None or settings.tls_key is None:
        return _check_missing_tls(settings)
    try:
        since, until = TlsCertificate(settings.tls_cert, settings.tls_key).validity()
    except BadCertificate as bad:
        return _failed_finding("tls", " ".join(str(bad).split()))
    if not is_private(settings.tls_key, others=0o007):
        return _failed_finding(
            "tls", f"anybody can read {settings.tls_key}: chmod 640 {settings.tls_key}"
        )
    if not since <= now < until:
        return _failed_finding(
            "tls", f"the certificate holds from {since:%Y-%m-%d} to {until:%Y-%m-%d}"
        )
    if until - now < _CERTIFICATE_WARNING_PERIOD:
        return _failed_finding("tls", f"the certificate ends on {until:%Y-%m-%d}: renew it")
    return _passed_finding("tls", f"the certificate holds until {until:%Y-%m-%d}")


def _check_missing_tls(settings: RelaySettings) -> SetupFinding:
    host = settings.listen.rpartition(":")[0].strip("[]")
    if settings.behind_proxy:
        return _passed_finding("tls", "a web server in front speaks it")
    if is_loopback(host):
        return _passed_finding("tls", "none; only this machine reaches the relay")
    words = f"nobody speaks TLS at {settings.listen}: set tls_cert and tls_key, or behind_proxy"
    return _failed_finding("tls", words)


def _check_listen_address(settings: RelaySettings, _: datetime) -> SetupFinding:
    host, port = _split_host_and_port(settings.listen)
    if is_relay_at(host, port, tls=settings.tls_cert is not None):
        return _passed_finding("address", f"a relay answers at {settings.listen}")
    fault = describe_listen_fault(host, port)
    if fault:
        return _failed_finding("address", f"{settings.listen} {fault}")
    return _passed_finding("address", f"{settings.listen} is free; no relay runs there now")


def _check_metrics_address(listen: str, metrics_listen: str) -> SetupFinding:
    """Check that the metrics address is not the relay's own and is free, or serves metrics already.

    A server that listens on "0.0.0.0" or "::" takes the port on every address.
    """
    (host, port), (metrics_host, metrics_port) = (
        _split_host_and_port(listen),
        _split_host_and_port(metrics_listen),
    )
    if port == metrics_port != 0 and (
        host == metrics_host or {host, metrics_host} & _WILDCARD_ADDRESSES
    ):
        return _failed_finding(
            "metrics", f"metrics_listen, {metrics_listen}, is where the relay is: take another"
        )
    if are_metrics_at(metrics_host, metrics_port):
        return _passed_finding("metrics", f"metrics are served at {metrics_listen}")
    fault = describe_listen_fault(metrics_host, metrics_port)
    if fault:
        return _failed_finding("metrics", f"{metrics_listen} {fault}: change metrics_listen")
    return _passed_finding("metrics", f"{metrics_listen} is free; no metrics are served there now")


def _split_host_and_port(listen: str) -> tuple[str, int]:
    host, _colon, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def _passed_finding(part: str, words: str) -> SetupFinding:
    return SetupFinding(part, ok=True, words=words)


def _failed_finding(part: str, words: str) -> SetupFinding:
    return SetupFinding(part, ok=False, words=words)


@dataclass(frozen=True, slots=True)
class RelayStats:
    """Counts of rows and bytes, never for a single person.

    ``envelopes`` includes tombstones; ``letters`` counts only envelopes whose letter still waits.
    ``uploads`` counts incomplete blobs; ``upload_bytes`` is the sum of their announced sizes.
    ``free_bytes`` is None if unknown. ``swept_at`` is the time of the last sweep, which is recorded
    at most hourly; it is None before the first sweep.
    """

    mailboxes: int
    locks: int
    tokens: int
    letters: int
    shares: int
    envelopes: int
    blobs: int
    blob_bytes: int
    uploads: int
    upload_bytes: int
    free_bytes: int | None
    restored_at: datetime | None
    swept_at: datetime | None


async def collect_stats(relay: Relay) -> RelayStats:
    return await relay.mail.read(lambda view: _stats_of_rows(view, relay.blobs.free_bytes()))


def _stats_of_rows(view: RowView, free_bytes: int | None) -> RelayStats:
    blobs, blob_bytes = view.count_and_sum(StoredBlob, "size")
    swept = stored_clock_mark(view)
    uploads, upload_bytes = view.count_and_sum(StoredUpload, "size")
    return RelayStats(
        mailboxes=view.count(StoredMailbox),
        locks=view.count(StoredLock),
        tokens=view.count(StoredToken),
        letters=view.count(StoredLetter),
        shares=view.count(StoredShare),
        envelopes=view.count(StoredEnvelope),
        blobs=blobs,
        blob_bytes=blob_bytes,
        uploads=uploads,
        upload_bytes=upload_bytes,
        free_bytes=free_bytes,
        restored_at=time_of_last_restore(view),
        swept_at=swept.at if swept else None,
    )
