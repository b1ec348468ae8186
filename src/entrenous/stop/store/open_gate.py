"""Open a gate: its tokens, settings, database, index, review queue and exchange."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from entrenous.base.environment import SystemClock, SystemRandomSource
from entrenous.base.errors import NotUnderstood
from entrenous.base.files import create_private_file, translate_folder_errors
from entrenous.base.limits import PART_COMPARISON_SIDE_PX_MIN, TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.fingerprint.embedding import OnnxEmbedder
from entrenous.fingerprint.nouns import EmbeddingModelMissing
from entrenous.media.sandbox.confinement import Limits
from entrenous.media.sandbox.decoder_pool import DecoderPool
from entrenous.media.sandbox.decoders import decode_clip_untrusted, decode_sound_untrusted
from entrenous.serving.host_checks import free_bytes
from entrenous.stop.banks import create_built_in_banks
from entrenous.stop.exchange_fetch import SourceRemovalResult, remove_source_from_bank
from entrenous.stop.exchange_nouns import ExchangeServices
from entrenous.stop.exchange_serving import PartnerHashRegistrar, PartnerOpinionRecorder
from entrenous.stop.gate_settings import (
    SETTINGS_FILE,
    GateHttpSettings,
    GateSettings,
    default_gate_toml,
    read_gate_settings,
)
from entrenous.stop.index.maintenance import LazyIndex, MaintainedIndex, open_index
from entrenous.stop.index.memory_indexes import RegisteredEmbeddings, RegisteredSounds
from entrenous.stop.nouns import BadTokenFile, GateNotFound
from entrenous.stop.platform import EmbeddingComparison, IndexStore, Platform
from entrenous.stop.review import run_alert_program
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine, open_postgres_engine
from entrenous.stop.store.exchange_partners import (
    ExchangePartnerStore,
    SourceStore,
    hold_source_lock,
)
from entrenous.stop.store.exchange_served import ServedClaimStore, prepare_exchange_tables
from entrenous.stop.store.registration_changes import ClaimListingStore
from entrenous.stop.store.review_queue import ReviewQueue
from entrenous.stop.store.upload_encryption import (
    UploadCipher,
    read_or_create_upload_keys,
    read_upload_keys,
)
from entrenous.wire.encodings import from_base64url, to_base64url


def open_exchange(platform: Platform, name: str = "entrenous gate") -> ExchangeServices:
    """Open the exchange in the same database as the platform's banks; create missing tables.

    Raises:
        NewerBank, OlderBank.
    """
    engine = engine_of(platform)
    prepare_exchange_tables(engine)
    partners = ExchangePartnerStore(engine, platform.clock)
    return ExchangeServices(
        name,
        platform.clock,
        platform.random_source,
        platform.bank,
        partners,
        ServedClaimStore(engine),
        SourceStore(engine, platform.clock),
        PartnerOpinionRecorder(platform.clock, partners),
        PartnerHashRegistrar(platform),
    )


def remove_source(
    name: str, exchange: ExchangeServices, platform: Platform, *, withdraw: bool | None
) -> SourceRemovalResult:
    """Remove a source while nobody fetches from it; raises FetchAlreadyRunning and the errors of
    :func:`remove_source_from_bank`.
    """
    exchange.sources.source(name)  # raises NoSuchSource before a lock file is created
    with hold_source_lock(engine_of(platform), name):
        return remove_source_from_bank(name, exchange, platform, withdraw=withdraw)


def claim_listing_store(platform: Platform) -> ClaimListingStore:
    """Return the store of the platform's own data about claims (:class:`ClaimListing`), in the
    same database as its banks.
    """
    return ClaimListingStore(engine_of(platform), platform.clock)


def engine_of(platform: Platform) -> sa.Engine:
    engine = platform.bank.engine
    if not isinstance(engine, sa.Engine):
        raise TypeError("a platform's bank must not be within a transaction")
    return engine


def read_or_create_token(path: Path) -> Secret:
    """Read the token in the file at ``path`` (256 bits, base64url); create it if it is missing.

    Raises:
        BadTokenFile: the file contains something else. An empty token would admit every request
            without one, and a short one could be guessed.
    """
    if not path.exists():
        with suppress(FileExistsError):  # another process created it first; use its token
            create_private_file(path, to_base64url(secrets.token_bytes(TOKEN_BYTES)).encode())
    token = path.read_bytes().strip()
    try:
        from_base64url(token.decode("latin-1"), TOKEN_BYTES)
    except NotUnderstood:
        raise BadTokenFile(file=path) from None
    return Secret(token)


INDEX_FOLDER: Final = "index"  # the folder of the index's files
UPLOAD_KEY_FILE: Final = "held.key"
_DATABASE_FILE: Final = "bank.db"
TOKEN_ROLES: Final = ("operator", "uploader", "metrics")  # in the order of GateTokens
# A decoder process decodes this many pictures and is then replaced. A hostile picture that takes
# the process over can falsify only their results; a smaller number would cost time
# (docs/decisions/0026-a-gates-children-see-sixteen-pictures.md).
_PICTURES_PER_DECODER: Final = 16
# The limits for each upload, which are lower than for the user's own clips, since strangers send
# these.
_CLIP_LIMITS: Final = Limits(memory_bytes=2 << 30, cpu_s=120, wall_s=30.0)


@dataclass(frozen=True, slots=True)
class GateTokens:
    """The tokens of the operator's own server, of uploading services, and for reading metrics."""

    operator: Secret
    uploader: Secret
    metrics: Secret


@contextmanager
def open_platform(folder: Path, *, serves: bool = False) -> Iterator[tuple[Platform, GateTokens]]:
    """Open the platform in ``folder``; create missing settings, tokens and database.

    The index is opened at the first look-up, so that commands that need none do not read it. If
    this process ``serves`` uploads, the index is opened at once, so that the first upload does not
    wait for that.

    Raises:
        UnusableFolder, DiskFull, NewerBank, OlderBank, BankUnreachable, BadGateSettings.
        BadDatabaseAddress, PsycopgMissing: the settings name a PostgreSQL database.
        BadUploadKeys: the keys that encrypt uploads cannot be used.
        BadTokenFile: a token's file contains something else.
    """
    with translate_folder_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_gate(folder):
            with suppress(FileExistsError):  # another process created it first
                create_private_file(folder / SETTINGS_FILE, default_gate_toml())
        tokens = GateTokens(
            *(read_or_create_token(token_path(folder, role)) for role in TOKEN_ROLES)
        )
        settings = read_gate_settings(folder)
        cipher = _open_upload_cipher(folder, settings)
    with ExitStack() as opened:
        engine = (
            open_engine(folder / _DATABASE_FILE)
            if settings.database is None
            else open_postgres_engine(settings.database)
        )
        opened.callback(engine.dispose)
        bank = BankStore(engine, SystemClock())
        create_built_in_banks(bank)
        index = opened.enter_context(
            closing(LazyIndex(partial(_open_index, folder, bank, settings.index_shards)))
        )
        if serves:
            index.get_open_index()
        jails = opened.enter_context(DecoderPool(pictures_per_child=_PICTURES_PER_DECODER))
        has_disk_space = partial(_has_free_disk_space, folder, settings)
        yield _build_platform(engine, bank, index, jails, settings, cipher, has_disk_space), tokens


@contextmanager
def open_existing(folder: Path, *, serves: bool = False) -> Iterator[tuple[Platform, GateTokens]]:
    """Open an existing gate, so that a mistyped folder does not become a new, empty one.

    Raises:
        GateNotFound: ``folder`` contains neither tokens nor settings nor a database.
        Others: what :func:`open_platform` raises.
    """
    if not is_gate(folder):
        raise GateNotFound(path=folder)
    with open_platform(folder, serves=serves) as opened:
        yield opened


def read_gate_http_settings(folder: Path) -> GateHttpSettings:
    """Read the settings for the gate's HTTP server; nothing is created.

    Raises:
        UnusableFolder, BadGateSettings.
    """
    with translate_folder_errors(folder):
        return read_gate_settings(folder).http


def is_gate(folder: Path) -> bool:
    """Return whether ``folder`` contains a gate's tokens, settings or database; raises
    UnusableFolder.
    """
    with translate_folder_errors(folder):
        signs = (
            token_path(folder, TOKEN_ROLES[0]),
            folder / SETTINGS_FILE,
            folder / _DATABASE_FILE,
        )
        return any(sign.exists() for sign in signs)


def token_path(folder: Path, role: str) -> Path:
    return folder / f"{role}.token"


def _open_index(folder: Path, bank: BankStore, shards: int) -> MaintainedIndex:
    """Open the index; raises UnusableFolder, DiskFull, BankUnreachable."""
    with translate_folder_errors(folder):
        return open_index(folder / INDEX_FOLDER, bank, shards=shards)


def _open_upload_cipher(folder: Path, settings: GateSettings) -> UploadCipher:
    """Read the keys that encrypt uploads; raises BadUploadKeys.

    A key is created only beside an SQLite database. Several gates on one PostgreSQL database need
    the same keys, which their operator makes.
    """
    if settings.held_key is not None:
        return UploadCipher(read_upload_keys(settings.held_key))
    return UploadCipher(
        read_or_create_upload_keys(folder / UPLOAD_KEY_FILE) if settings.database is None else ()
    )


def _has_free_disk_space(folder: Path, settings: GateSettings) -> bool:
    """Return whether the disk of a database in ``folder`` has at least ``free_mb_min`` MiB free.

    Returns True for PostgreSQL, whose disk cannot be checked, and if ``free_mb_min`` is 0.
    """
    least = settings.limits.free_mb_min
    return settings.database is not None or not least or free_bytes(folder) >= least << 20


def _build_platform(  # noqa: PLR0913, PLR0917 (a gate has this many parts)
    engine: sa.Engine,
    bank: BankStore,
    index: IndexStore,
    jails: DecoderPool,
    settings: GateSettings,
    cipher: UploadCipher,
    has_disk_space: Callable[[], bool],
) -> Platform:
    clock = SystemClock()
    return Platform(
        clock=clock,
        random_source=SystemRandomSource(),
        bank=bank,
        index=index,
        reviews=ReviewQueue(engine, clock, cipher=cipher, has_disk_space=has_disk_space),
        read_picture=partial(jails.read, at_least_px=PART_COMPARISON_SIDE_PX_MIN),
        read_luma=partial(jails.read, luma=True),
        read_clip=partial(decode_clip_untrusted, limits=_CLIP_LIMITS),
        read_sound=decode_sound_untrusted,
        sounds=RegisteredSounds(bank),
        limits=settings.limits,
        embedding_comparison=_load_embedding_comparison(bank),
        send_alert=partial(run_alert_program, settings.page) if settings.page else None,
    )


def _load_embedding_comparison(bank: BankStore) -> EmbeddingComparison | None:
    """Return the network and the index for embeddings; None without the extra `embedding`."""
    try:
        return EmbeddingComparison(OnnxEmbedder(), RegisteredEmbeddings(bank))
    except EmbeddingModelMissing:
        return None
