"""Open a platform's gate: its banks, its index, its review queue, its tokens, its exchange."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from entrenous.base.environment import SystemClock, SystemDice
from entrenous.base.errors import NotUnderstood
from entrenous.base.files import add_private, folder_errors
from entrenous.base.limits import GATE_SIDE_PX, TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.fingerprint.embedding import FollowingEmbeddings, OnnxEmbedder
from entrenous.fingerprint.nouns import LacksEmbedding, Likeness
from entrenous.media.sandbox.confinement import Limits
from entrenous.media.sandbox.decoder_pool import DecoderPool
from entrenous.media.sandbox.decoders import decode_clip_untrusted, decode_sound_untrusted
from entrenous.serving.host_checks import free_bytes
from entrenous.stop.banks import prepare_banks
from entrenous.stop.exchange_fetch import Removed, remove_source_from_bank
from entrenous.stop.exchange_serving import PartnerOpinions, PartnerSubmissions
from entrenous.stop.exchange_stores import Exchange
from entrenous.stop.gate_settings import (
    FILE,
    GateFront,
    GateSettings,
    default_settings,
    gate_settings,
)
from entrenous.stop.index.maintenance import LazyIndex, MaintainedIndex, open_index
from entrenous.stop.index.registered_sounds import FollowingSounds
from entrenous.stop.nouns import BadKeptToken, LacksPsycopg, NoGateHere
from entrenous.stop.platform import IndexStore, Platform
from entrenous.stop.review import run_alert_program
from entrenous.stop.store.bank_store import SqlBankStore
from entrenous.stop.store.engine import open_engine
from entrenous.stop.store.exchange_partners import SqlPartnerStore, SqlSourceStore, source_lock
from entrenous.stop.store.exchange_served import SqlServedStore, prepare_tables
from entrenous.stop.store.registration_changes import SqlListingStore
from entrenous.stop.store.review_queue import SqlReviewQueue
from entrenous.stop.store.upload_encryption import UploadCipher, open_upload_keys, upload_keys
from entrenous.stop.stores import BankStore, ListingStore
from entrenous.wire.encodings import from_base64url, to_base64url


def exchange_of(platform: Platform, name: str = "entrenous gate") -> Exchange:
    """The exchange beside a platform's banks, in the same database; tables made if missing.

    Raises:
        NewerBank, OlderBank.
    """
    engine = _engine(platform)
    prepare_tables(engine)
    partners = SqlPartnerStore(engine, platform.clock)
    return Exchange(
        name,
        platform.clock,
        platform.dice,
        platform.bank,
        partners,
        SqlServedStore(engine),
        SqlSourceStore(engine, platform.clock),
        PartnerOpinions(platform.clock, partners),
        PartnerSubmissions(platform),
    )


def remove_source(
    name: str, exchange: Exchange, platform: Platform, *, withdraw: bool | None
) -> Removed:
    """End a source while nobody fetches it; raises FetchRuns, and what ``remove`` does."""
    exchange.sources.source(name)  # before a file of that name is made
    with source_lock(_engine(platform), name):
        return remove_source_from_bank(name, exchange, platform, withdraw=withdraw)


def listings_of(platform: Platform) -> ListingStore:
    """What is kept of claims that the platform listed itself, in the same database."""
    return SqlListingStore(_engine(platform), platform.clock)


def _engine(platform: Platform) -> sa.Engine:
    engine = platform.bank.engine if isinstance(platform.bank, SqlBankStore) else None
    if not isinstance(engine, sa.Engine):
        raise TypeError("exchanges are kept beside the banks, in a database")
    return engine


def read_or_create_token(place: Path) -> Secret:
    """The token in the file at ``place`` (base64url text, 256 bits), which is made if missing.

    Raises:
        BadKeptToken: something else is in it. An empty one would be shown by everybody who shows
            none, and a short one is soon guessed.
    """
    if not place.exists():
        with suppress(FileExistsError):  # another process was quicker; its token is the one
            add_private(place, to_base64url(secrets.token_bytes(TOKEN_BYTES)).encode())
    token = place.read_bytes().strip()
    try:
        from_base64url(token.decode("latin-1"), TOKEN_BYTES)
    except NotUnderstood:
        raise BadKeptToken(file=place) from None
    return Secret(token)


INDEX: Final = "index"  # the folder of its files
HELD_KEY: Final = "held.key"
_DATABASE: Final = "bank.db"
TOKEN_ROLES: Final = ("operator", "uploader", "metrics")  # in the order of GateTokens
# One that a picture takes over misleads about no more than these; fewer would cost time
# (docs/decisions/0026-a-gates-children-see-sixteen-pictures.md).
_PICTURES_PER_CHILD: Final = 16
# Of one upload: less than for one's own clips, for strangers send these.
_CLIP: Final = Limits(memory_bytes=2 << 30, cpu_s=120, wall_s=30.0)


@dataclass(frozen=True, slots=True)
class GateTokens:
    """What the platform's own server shows, what may be given to whoever uploads, and
    what opens the figures and nothing else.
    """

    operator: Secret
    uploader: Secret
    metrics: Secret


@contextmanager
def open_platform(folder: Path, *, serves: bool = False) -> Iterator[tuple[Platform, GateTokens]]:
    """The platform whose settings, tokens and (without another in its settings) database are in
    ``folder``; made if missing.

    Its index is opened by the first look-up, so that a command without one does not read the file;
    where this ``serves``, at once: the first upload should not wait for it.

    Raises:
        UnusableFolder, DiskFull, NewerBank, OlderBank, BankUnreachable, BadGateSettings.
        BadDatabaseAddress, LacksPsycopg: the settings name a PostgreSQL.
        BadHeldKeys: what seals the bytes of uploads cannot be used.
        BadKeptToken: one of the tokens is none.
    """
    with folder_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_gate(folder):
            with suppress(FileExistsError):  # another process was quicker
                add_private(folder / FILE, default_settings())
        tokens = GateTokens(
            *(read_or_create_token(token_file(folder, role)) for role in TOKEN_ROLES)
        )
        settings = gate_settings(folder)
        held = _held(folder, settings)
    with ExitStack() as opened:
        engine = _platform_engine(folder, settings.database)
        opened.callback(engine.dispose)
        bank = SqlBankStore(engine, SystemClock())
        prepare_banks(bank)
        index = opened.enter_context(
            closing(LazyIndex(partial(_index, folder, bank, settings.index_shards)))
        )
        if serves:
            index.opened()
        jails = opened.enter_context(DecoderPool(pictures_per_child=_PICTURES_PER_CHILD))
        has_disk = partial(_has_disk, folder, settings)
        yield _platform(engine, bank, index, jails, settings, held, has_disk), tokens


@contextmanager
def open_existing(folder: Path, *, serves: bool = False) -> Iterator[tuple[Platform, GateTokens]]:
    """The same for a gate that is there: a folder that was mistyped must not become an empty gate,
    of which nothing is wrong.

    Raises:
        NoGateHere: neither tokens nor settings nor a database are in ``folder``.
        UnusableFolder, DiskFull, NewerBank, OlderBank, BadGateSettings, and the others as above.
    """
    if not is_gate(folder):
        raise NoGateHere(path=folder)
    with open_platform(folder, serves=serves) as opened:
        yield opened


def front_of(folder: Path) -> GateFront:
    """How the gate in ``folder`` stands towards those who ask it; nothing is made.

    Raises:
        UnusableFolder, BadGateSettings.
    """
    with folder_errors(folder):
        return gate_settings(folder).front


def is_gate(folder: Path) -> bool:
    """Whether a gate's tokens, settings or database are there.

    Raises:
        UnusableFolder.
    """
    with folder_errors(folder):
        signs = (token_file(folder, TOKEN_ROLES[0]), folder / FILE, folder / _DATABASE)
        return any(sign.exists() for sign in signs)


def token_file(folder: Path, role: str) -> Path:
    """Where one of a gate's tokens is kept, readable by its account alone."""
    return folder / f"{role}.token"


def _index(folder: Path, bank: BankStore, shards: int) -> MaintainedIndex:
    """Raises UnusableFolder, DiskFull, BankUnreachable."""
    with folder_errors(folder):
        return open_index(folder / INDEX, bank, shards=shards)


def _platform_engine(folder: Path, database: str | None) -> sa.Engine:
    """PostgreSQL's is imported here, for not everybody has its library."""
    if database is None:
        return open_engine(folder / _DATABASE)
    try:
        from entrenous.stop.store.postgres import open_postgres_engine  # noqa: PLC0415
    except ImportError:
        raise LacksPsycopg from None
    return open_postgres_engine(database)


def _held(folder: Path, settings: GateSettings) -> UploadCipher:
    """A gate whose database is beside its key makes one. Several gates on one PostgreSQL need the
    same, so that is for who runs them to make.

    Raises:
        BadHeldKeys.
    """
    if settings.held_key is not None:
        return UploadCipher(upload_keys(settings.held_key))
    return UploadCipher(open_upload_keys(folder / HELD_KEY) if settings.database is None else ())


def _has_disk(folder: Path, settings: GateSettings) -> bool:
    """Whether the disk of a database in ``folder`` has the room that claims need; of another
    machine's nobody here can tell.
    """
    least = settings.limits.free_mb_min
    return settings.database is not None or not least or free_bytes(folder) >= least << 20


def _platform(  # noqa: PLR0913, PLR0917 (a room has what it has)
    engine: sa.Engine,
    bank: BankStore,
    index: IndexStore,
    jails: DecoderPool,
    settings: GateSettings,
    held: UploadCipher,
    has_disk: Callable[[], bool],
) -> Platform:
    clock = SystemClock()
    return Platform(
        clock=clock,
        dice=SystemDice(),
        bank=bank,
        index=index,
        reviews=SqlReviewQueue(engine, clock, held=held, has_disk=has_disk),
        read_picture=partial(jails.read, at_least_px=GATE_SIDE_PX),
        read_luma=lambda data, side_px: jails.read(data, at_least_px=side_px, luma=True),
        read_clip=partial(decode_clip_untrusted, limits=_CLIP),
        read_sound=decode_sound_untrusted,
        sounds=FollowingSounds(bank),
        limits=settings.limits,
        likeness=_likeness(bank),
        page=partial(run_alert_program, settings.page) if settings.page else None,
    )


def _likeness(bank: BankStore) -> Likeness | None:
    """None without the extra `embedding`."""
    try:
        return Likeness(OnnxEmbedder(), FollowingEmbeddings(bank))
    except LacksEmbedding:
        return None
