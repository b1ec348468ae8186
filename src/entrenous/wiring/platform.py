"""Open a platform's gate: its banks, its index, its review queue, its tokens."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from entrenous.adapters.bank.engine import open_engine
from entrenous.adapters.bank.following_sounds import FollowingSounds
from entrenous.adapters.bank.held_bytes import HeldBytes
from entrenous.adapters.bank.held_keys import held_keys, kept_held_keys
from entrenous.adapters.bank.settings import (
    FILE,
    GateSettings,
    default_settings,
    gate_settings,
)
from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.bank.sql_reviews import SqlReviewQueue
from entrenous.adapters.embedding.following import FollowingEmbeddings
from entrenous.adapters.embedding.onnx import OnnxEmbedder
from entrenous.adapters.index.lazy import LazyIndex
from entrenous.adapters.index.tending import TendedIndex, open_index
from entrenous.adapters.kept_token import kept_token
from entrenous.adapters.pager import run_pager
from entrenous.adapters.private_file import add_private
from entrenous.adapters.relay_machine import free_bytes
from entrenous.adapters.system import SystemClock, SystemDice
from entrenous.craft.media.clip.jail import decode_clip_untrusted
from entrenous.craft.media.jailed.walls import Limits
from entrenous.craft.media.jails import Jails
from entrenous.craft.media.sound.jail import decode_sound_untrusted
from entrenous.model.embedding import LacksEmbedding
from entrenous.model.gate import LacksPsycopg, NoGateHere
from entrenous.model.gate_front import GateFront
from entrenous.model.secret import Secret
from entrenous.ports import BankStore, IndexStore, Likeness, Platform
from entrenous.spec import GATE_SIDE_PX
from entrenous.stop.banks import prepare_banks
from entrenous.wiring.folders import kept_in

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
    with kept_in(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_gate(folder):
            with suppress(FileExistsError):  # another process was quicker
                add_private(folder / FILE, default_settings())
        tokens = GateTokens(*(kept_token(token_file(folder, role)) for role in TOKEN_ROLES))
        settings = gate_settings(folder)
        held = _held(folder, settings)
    with ExitStack() as opened:
        engine = _engine(folder, settings.database)
        opened.callback(engine.dispose)
        bank = SqlBankStore(engine, SystemClock())
        prepare_banks(bank)
        index = opened.enter_context(
            closing(LazyIndex(partial(_index, folder, bank, settings.index_shards)))
        )
        if serves:
            index.opened()
        jails = opened.enter_context(Jails(pictures_per_child=_PICTURES_PER_CHILD))
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
    with kept_in(folder):
        return gate_settings(folder).front


def is_gate(folder: Path) -> bool:
    """Whether a gate's tokens, settings or database are there.

    Raises:
        UnusableFolder.
    """
    with kept_in(folder):
        signs = (token_file(folder, TOKEN_ROLES[0]), folder / FILE, folder / _DATABASE)
        return any(sign.exists() for sign in signs)


def token_file(folder: Path, role: str) -> Path:
    """Where one of a gate's tokens is kept, readable by its account alone."""
    return folder / f"{role}.token"


def _index(folder: Path, bank: BankStore, shards: int) -> TendedIndex:
    """Raises UnusableFolder, DiskFull, BankUnreachable."""
    with kept_in(folder):
        return open_index(folder / INDEX, bank, shards=shards)


def _engine(folder: Path, database: str | None) -> sa.Engine:
    """PostgreSQL's is imported here, for not everybody has its library."""
    if database is None:
        return open_engine(folder / _DATABASE)
    try:
        from entrenous.adapters.bank.postgres import open_postgres_engine  # noqa: PLC0415
    except ImportError:
        raise LacksPsycopg from None
    return open_postgres_engine(database)


def _held(folder: Path, settings: GateSettings) -> HeldBytes:
    """A gate whose database is beside its key makes one. Several gates on one PostgreSQL need the
    same, so that is for who runs them to make.

    Raises:
        BadHeldKeys.
    """
    if settings.held_key is not None:
        return HeldBytes(held_keys(settings.held_key))
    return HeldBytes(kept_held_keys(folder / HELD_KEY) if settings.database is None else ())


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
    jails: Jails,
    settings: GateSettings,
    held: HeldBytes,
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
        page=partial(run_pager, settings.page) if settings.page else None,
    )


def _likeness(bank: BankStore) -> Likeness | None:
    """None without the extra `embedding`."""
    try:
        return Likeness(OnnxEmbedder(), FollowingEmbeddings(bank))
    except LacksEmbedding:
        return None
