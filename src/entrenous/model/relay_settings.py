"""What an operator sets: how a relay serves, what it takes (docs/spec/relay.md section 11)."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from entrenous.model.errors import Malformed, NotFound, Refused, Unreachable
from entrenous.spec import (
    EXPIRY_DAYS_MAX,
    LETTERS_WAITING_MAX,
    LOOSE_BYTES_MAX,
    MAILBOX_BYTES_MAX,
    PROTOCOL_FLOOR,
    PROTOCOL_NEWEST,
    TOKEN_BYTES_COMING_MAX,
)

MEGABYTE: Final = 1 << 20  # as settings and people count them
_WAKES_AT_MAILBOX: Final = 8  # a device waits once, and again after a broken line
_WAKES_FROM_NETWORK: Final = 16  # at least: a household's devices
_NETWORKS: Final = 16  # that may have all the places of which one may have its share


@dataclass(frozen=True, slots=True)
class WakeBounds:
    """How many may wait for letters at the same time: at one mailbox, from one network, in all.

    ``network`` is None where the relay sees no address but that of a web server in front.
    """

    mailbox: int = _WAKES_AT_MAILBOX
    network: int | None = None
    total: int = 3072


def wake_bounds(connections: int, *, behind_proxy: bool) -> WakeBounds:
    """Three of four connections may wait; the fourth is left for all other requests."""
    total = max(connections * 3 // 4, 1)
    network = None if behind_proxy else max(total // _NETWORKS, _WAKES_FROM_NETWORK)
    return WakeBounds(_WAKES_AT_MAILBOX, network, total)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a relay takes.

    ``keep_days`` is the farthest expiry; ``letters`` and ``mailbox_bytes`` are of one mailbox;
    ``coming_bytes`` of what one send token brings at the same time; below ``free_bytes_min`` on
    its disk a relay takes no blobs. ``floor`` is the oldest protocol that it speaks;
    ``mailbox_open`` whether new mailboxes are made. ``wakes`` follows from the files that the
    process may open.
    """

    keep_days: int = EXPIRY_DAYS_MAX
    letters: int = LETTERS_WAITING_MAX
    mailbox_bytes: int = MAILBOX_BYTES_MAX
    coming_bytes: int = TOKEN_BYTES_COMING_MAX
    free_bytes_min: int = 0
    floor: int = PROTOCOL_FLOOR
    mailbox_open: bool = True
    wakes: WakeBounds = WakeBounds()

    def __post_init__(self) -> None:
        if not 1 <= self.keep_days <= EXPIRY_DAYS_MAX:
            raise ValueError(f"a relay keeps for 1 to {EXPIRY_DAYS_MAX} days")
        if not PROTOCOL_FLOOR <= self.floor <= PROTOCOL_NEWEST:
            raise ValueError("a relay speaks from a floor to the newest protocol")
        if min(self.letters, self.mailbox_bytes, self.coming_bytes) < 1 or self.free_bytes_min < 0:
            raise ValueError("a limit leaves room for something")

    @property
    def loose_bytes(self) -> int:
        """Of blobs that no envelope names yet, in one mailbox."""
        return min(LOOSE_BYTES_MAX, self.mailbox_bytes)


class LogKind(StrEnum):
    """What a relay writes to standard error: faults only, or also a line for each answer."""

    ERRORS = "errors"
    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """How a relay serves; ``listen`` and ``metrics_listen`` are ``HOST:PORT``.

    ``database`` is a PostgreSQL, ``postgresql://...``, and ``blobs`` a bucket, ``s3://...``;
    without them both are in ``data``.
    With ``tls_cert`` and ``tls_key`` it speaks TLS itself; ``behind_proxy`` says that a web server
    on a way that nobody else sees does so for it.
    """

    data: Path
    listen: str = "127.0.0.1:7801"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    metrics_listen: str | None = None
    log: LogKind = LogKind.ERRORS
    database: str | None = None
    blobs: str | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("a certificate and its key go together")


class LacksPostgresql(Refused):
    """
    The settings name a PostgreSQL, and its library is not installed, so the relay did not start.
    Install it, in the folder of Entrenous: .venv/bin/pip install -e '.[postgresql]'
    """


class BadDatabaseAddress(Refused):
    """
    The setting `database` is no address that PostgreSQL can read, so nothing was started. It is
    postgresql://user@host:port/name; signs such as / : @ % in a user's name or a password are
    written as %2F, %3A, %40 and %25. A password is better kept in ~/.pgpass.
    """


class LacksS3(Refused):
    """
    The settings name a bucket, and its library is not installed, so the relay did not start.
    Install it, in the folder of Entrenous: .venv/bin/pip install -e '.[s3]'
    """


class NoBackupElsewhere(Refused):
    """
    This relay keeps its rows in PostgreSQL or its blobs in a bucket, which have ways of their own
    to be backed up and restored, so nothing was done. After such a restore, and before the relay
    starts: entrenous relay restored. docs/operate.md says what else there is to do.
    """


class OtherDatabase(Refused):
    """
    The relay in {data} was used with the database {before}, and its settings now name {now}, which
    {held}. With that one no device of its people could open. So nothing was started, and nothing
    was changed. Correct the setting `database`, or put a backup of {before} there. If you mean it,
    say so once: entrenous relay run --other-database
    """


class RelayStillRuns(Refused):
    """
    A relay still answers at {listen}, so nothing was changed: it would go on handing out what this
    command ends. Stop every relay on this database, then type the command again.
    """


class NoSettingsFile(NotFound):
    """
    There are no relay settings at {path}. Write the default ones, in which everything is
    explained, and change what you need: entrenous relay init
    """


class NoRelayHere(NotFound):
    """
    No relay keeps anything in {path}. Nothing was changed. Name the folder that the relay was
    started with: --data DIR
    """


class UnreadableSettings(Malformed):
    """
    The relay settings in {path} cannot be read: {why}. The relay did not start. Correct that
    place, or write new settings: entrenous relay init
    """


class BadRelaySetting(Refused):
    """
    In {path}, {name} should be {wanted}. The relay did not start. Correct it, or put a # in front
    of that line to have the default.
    """


class UnknownRelaySetting(Refused):
    """
    In {path}, {name} is no setting of a relay. It did not start, since a setting that is spelled
    wrongly would do nothing. The names are in the default settings: entrenous relay init
    """


class MetricsAddressTaken(Unreachable):
    """
    The relay's figures cannot be shown at {listen}: another program or the relay itself uses this
    address, it is not one of this machine's, or this account may not use it. The relay did not
    start. Change metrics_listen in its settings.
    """


class BadCertificate(Refused):
    """
    The certificate in {cert} and the key in {key} cannot be used together: one is missing, may not
    be read, or does not fit the other. Look at both files, and at who may read them.
    """
