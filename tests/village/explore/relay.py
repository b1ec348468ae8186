"""The explorer's relay: the production rules, on rows that can be copied and restored.

A request runs until its first transaction is done. Then the transaction's changes belong to the
group of requests but are not durable, and the answer waits. If the relay crashes now, the changes
and the answer are lost. After the commit, the group is durable, the rest of the request runs, and
the relay sends the answer, as carry/store/group_commit.py does on a database.

The relay caches the result of each request on each state of the rows, so that the rules run only
once for each pair.
"""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple

from entrenous.base.errors import EntrenousError, NoSuchEnvelope
from entrenous.base.secret import Secret
from entrenous.carry.accept import accept, acknowledge, list_waiting_envelopes
from entrenous.carry.blob_upload import find_blob, upload_blob
from entrenous.carry.mailbox import create_mailbox
from entrenous.carry.relay import Relay
from entrenous.carry.relay_rows import StoredEnvelope
from entrenous.carry.release import finish_attempt, release_key_share
from entrenous.carry.send_tokens import register_send_token
from entrenous.carry.withdraw import withdraw
from entrenous.crypto.hashing import token_hash
from entrenous.wire.relay_nouns import EnvelopeState, EnvelopeStatus
from tests.carry.relays import SampleMessage, stream
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.blobs import MemoryBlobs
from tests.in_memory.courier import run_sync
from tests.in_memory.mail import MemoryRowStore

RequestCoroutine = Coroutine[Any, Any, Any]
NEVER_POSTED: Final = "never came"  # the answer to the recall of a letter that was not posted
Rows = dict[type, dict[tuple[object, ...], Any]]


class Request(NamedTuple):
    """A request; ``copy`` is 0 for the copy for the first device, and 1 for the second device."""

    kind: str
    copy: int
    attempt: int = 0


class Disk(NamedTuple):
    """The relay's disk: the number that ``RowStates`` gives to its rows, and which blobs exist."""

    rows: int
    blobs: tuple[bool, bool]


class RowStates:
    """Numbers for states of the relay's rows; equal states have the same number."""

    def __init__(self) -> None:
        self._numbers: dict[frozenset[Any], int] = {}
        self._states: list[Rows] = []

    def __len__(self) -> int:
        return len(self._states)

    def number_of(self, rows: Rows) -> int:
        """Return the number of the state of these rows; a new state gets a new number."""
        key = frozenset(_comparable_row(row) for kind in rows.values() for row in kind.values())
        if key not in self._numbers:
            self._numbers[key] = len(self._states)
            self._states.append({kind: dict(contents) for kind, contents in rows.items()})
        return self._numbers[key]

    def mail(self, number: int) -> MemoryRowStore:
        """Return a new row store that contains the rows of the state with this number."""
        mail = MemoryRowStore()
        mail._transaction._rows = {
            kind: dict(contents) for kind, contents in self._states[number].items()
        }
        return mail


def _comparable_row(row: Any) -> tuple[object, ...]:
    fields = (getattr(row, name) for name in type(row).__slots__)
    shown = (one.reveal() if isinstance(one, Secret) else one for one in fields)
    return type(row).__name__, *shown


BLOBS_TO_DELETE: Final = (
    " leaving "  # separates the answer, which the receiver sees, from the names of the blobs
)


class _StopAtCommit(BaseException):
    """Raised to stop a request after its first transaction, which is not yet durable."""


class _GroupStore(MemoryRowStore):
    """A row store that stops a request after its first transaction.

    If ``replays`` is true, the first transaction is not run: the store returns the recorded answer,
    and the request continues.
    """

    done: bool = False
    replays: bool = False
    answer: Any = None

    async def transact(self, work: Callable[[Any], Any], _: object = None) -> Any:
        if not self.done:
            self.done, self.answer = True, await super().transact(work)
            raise _StopAtCommit
        if self.replays:
            self.replays = False
            return self.answer
        return await super().transact(work)


class ExploredRelay:
    """A relay with two mailboxes of one person, and a copy of one message for each mailbox."""

    def __init__(self, opens: int | None) -> None:
        random_source = SeededRandomSource()
        self.opens = opens
        self.posts = (
            SampleMessage(random_source=random_source),
            SampleMessage(random_source=random_source),
        )
        self.posts[1].group = self.posts[0].group
        self.rows = RowStates()
        self.transitions: set[tuple[EnvelopeState | None, str, EnvelopeState | None]] = set()
        self._results: dict[tuple[int, Request], tuple[int, str]] = {}
        self._answers: dict[tuple[Request, str], Any] = {}
        self._disks_after: dict[tuple[Disk, Request, str], Disk] = {}
        self._letters_and_blobs: dict[tuple[Disk, int], tuple[bool, bool]] = {}

    @property
    def result_count(self) -> int:
        """The number of cached results. Each belongs to one request and one state of the rows."""
        return len(self._results)

    def create_initial_disk(self) -> Disk:
        """Create both mailboxes, upload the blobs of both copies, and return the disk."""
        relay = Relay(MemoryRowStore(), MemoryBlobs(), SettableClock(), SeededRandomSource())
        for post in self.posts:
            run_sync(create_mailbox(post.mailbox, token_hash(post.owner), relay))
            run_sync(register_send_token(post.mailbox, post.owner, post.send_token(uses=1), relay))
            run_sync(upload_blob(post.blob_deposit(), post.token, stream(post.blob), relay))
        self._names = list(relay.blobs._blobs)
        return Disk(self.rows.number_of(relay.mail._transaction._rows), (True, True))

    def run_request(self, rows: int, request: Request) -> tuple[int, str]:
        """Run a request until its first transaction is done.

        Return the number of the rows' state after the transaction, and the answer in words.
        """
        known = self._results.get((rows, request))
        if known is None:
            known = self._results[rows, request] = self._run(rows, request)
        return known

    def disk_after(self, disk: Disk, request: Request, answer_text: str) -> Disk:
        """Return the disk after the whole request, whose first transaction is already durable."""
        if (request, answer_text) not in self._answers:
            return disk  # a refused request changes nothing
        key = (disk, request, answer_text)
        if key not in self._disks_after:
            self._disks_after[key] = self._finish(
                disk, request, self._answers[request, answer_text]
            )
        return self._disks_after[key]

    def letter_and_blob(self, disk: Disk, copy: int) -> tuple[bool, bool]:
        """Return whether a copy's letter waits in its mailbox, and whether its blob is stored."""
        if (disk, copy) not in self._letters_and_blobs:
            self._letters_and_blobs[disk, copy] = self._find_letter_and_blob(disk, copy)
        return self._letters_and_blobs[disk, copy]

    def _run(self, rows: int, request: Request) -> tuple[int, str]:
        mail = _GroupStore()
        mail._transaction = self.rows.mail(rows)._transaction
        relay = Relay(mail, MemoryBlobs(), SettableClock(), SeededRandomSource())
        before = self._state(mail, request.copy)
        try:
            run_sync(self._request_coroutine(request, relay))
        except _StopAtCommit:
            answer_text = _describe_answer(mail.answer, self.posts[request.copy])
            self._answers[request, answer_text] = mail.answer
        except EntrenousError as why:
            answer_text = type(why).__name__
        self.transitions.add((before, request.kind, self._state(mail, request.copy)))
        return self.rows.number_of(mail._transaction._rows), answer_text

    def _finish(self, disk: Disk, request: Request, answer: Any) -> Disk:
        mail = _GroupStore()
        mail._transaction = self.rows.mail(disk.rows)._transaction
        mail.done, mail.replays, mail.answer = True, True, answer
        blobs = self._blobs(disk)
        relay = Relay(mail, blobs, SettableClock(), SeededRandomSource())
        with suppress(NoSuchEnvelope):  # raised by the recall of an unposted letter
            run_sync(self._request_coroutine(request, relay))
        blobs_exist = tuple(name in blobs._blobs for name in self._names)
        return Disk(self.rows.number_of(mail._transaction._rows), (blobs_exist[0], blobs_exist[1]))

    def _find_letter_and_blob(self, disk: Disk, copy: int) -> tuple[bool, bool]:
        post = self.posts[copy]
        blobs = self._blobs(disk)
        relay = Relay(self.rows.mail(disk.rows), blobs, SettableClock(), SeededRandomSource())
        letters = run_sync(list_waiting_envelopes(post.mailbox, post.owner, 0, 50, relay))
        try:
            stored = run_sync(find_blob(post.blob_id, post.fetch, relay))
        except EntrenousError:
            return bool(letters), False
        return bool(letters), stored.name in blobs._blobs

    def _blobs(self, disk: Disk) -> MemoryBlobs:
        blobs = MemoryBlobs()
        for name, post, blob_exists in zip(self._names, self.posts, disk.blobs, strict=True):
            if blob_exists:
                blobs._blobs[name] = post.blob
        return blobs

    def _state(self, mail: MemoryRowStore, copy: int) -> EnvelopeState | None:
        stored = mail._transaction.get(StoredEnvelope, self.posts[copy].id)
        return stored.state if stored else None

    def _request_coroutine(self, request: Request, relay: Relay) -> RequestCoroutine:
        post, attempt = self.posts[request.copy], request.attempt.to_bytes(16)
        match request.kind:
            case "post":
                return accept(post.envelope(self.opens), post.token, relay)
            case "deliver":
                return acknowledge(post.mailbox, post.owner, post.id, relay)
            case "open":
                return release_key_share(post.id, post.open, attempt, relay)
            case "finish":
                return finish_attempt(post.id, post.open, attempt, relay)
        return withdraw(post.id, post.withdraw, relay)


def _describe_answer(answer: Any, post: SampleMessage) -> str:
    """Return an answer in words, followed by the names of the blobs that are to be deleted."""
    match answer:
        case (value, [_, *_] as left):
            return f"{_describe_answer(value, post)}{BLOBS_TO_DELETE}{' '.join(left)}"
        case (value, []):
            return _describe_answer(value, post)
        case Secret():
            return "share" if answer == post.share else "another share"
        case datetime():
            return NEVER_POSTED
        case EnvelopeStatus():
            return f"{answer.state.value}, {answer.opened}"
    return str(answer)
