"""A real gate with a bank of many hashes, and JPEGs that are brought to it on the same cores.

The clock on the wall tells what a busy machine gave; the processor's time, of the gate with all its
children and of the load apart, what an idle one would.
"""

import io
import json
import os
import select
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from bench.load.cycles import percentile
from bench.photographs import PHOTOGRAPHS, Size
from bench.stopping.hashes import random_hashes
from bench.stopping.lookups import scratch
from entrenous.adapters.bank.engine import open_engine
from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.index.tending import open_index
from entrenous.model.bank import PEOPLE, Bank
from entrenous.model.claim import Claim, ClaimState, Registration
from entrenous.model.ids import BankName, ClaimId

LINES: Final = 8  # as many as a gate judges at once
_PARTS: Final = 525  # of one registered picture, so that the second look has something to look in
_PER_CLAIM: Final = 10_000
_SIZE: Final = (1200, 834)  # one megapixel
_PICTURES: Final = 32
_SEEN: Final = ("astronaut", "coffee", "chelsea", "rocket")
_LISTED: Final = BankName("listed")
_AT: Final = datetime(2026, 11, 25, tzinfo=UTC)
_BOUNDARY: Final = "entrenous-bench"


class Gate(NamedTuple):
    """A gate that serves."""

    process: int
    url: str
    token: str


class Posted(NamedTuple):
    """What a load came to; the processor's times are of the gate and its children, and of us."""

    count: int
    seconds: float
    times_s: list[float]
    gate_cpu_s: float
    load_cpu_s: float


def posted(count: int, seconds: float, lines: int = LINES) -> Iterator[Posted]:
    """Uploads of a megapixel to a gate with ``count`` hashes, after some that warm it up: first
    without a hash of a part, then with those of one picture, so that the second look is made.
    """
    bodies = forms(pictures())
    with TemporaryDirectory(dir=scratch()) as made:
        for some in (fill, fill_parts):
            some(Path(made), count)
            with gate(Path(made)) as running:
                drive(running, bodies, lines, min(3.0, seconds / 3))
                yield drive(running, bodies, lines, seconds)


def fill(folder: Path, count: int) -> None:
    """A bank of ``count`` random hashes, and its index."""
    hashes = random_hashes(count, np.random.default_rng(7)).tobytes()
    engine = open_engine(folder / "bank.db")
    bank = SqlBankStore(engine)
    for name in (_LISTED, PEOPLE):
        bank.set_bank(Bank(name))
    step = 32 * _PER_CLAIM
    for start in range(0, len(hashes), step):
        some = _cut(hashes[start : start + step])
        bank.register(Registration(_claim(f"listed {start}", _LISTED), some))
    open_index(folder / "index", bank).close()
    engine.dispose()


def fill_parts(folder: Path, _count: int) -> None:
    """And one picture with as many parts as there may be."""
    rng = np.random.default_rng(9)
    engine = open_engine(folder / "bank.db")
    parts = _cut(rng.bytes(32 * _PARTS))
    SqlBankStore(engine).register(Registration(_claim("hers", PEOPLE), (rng.bytes(32),), parts))
    engine.dispose()


def pictures() -> list[bytes]:
    """JPEGs of one megapixel: other parts of photographs, no two alike."""
    rng, made = np.random.default_rng(8), []
    photographs = [Image.fromarray(PHOTOGRAPHS[name].at(Size.S)) for name in _SEEN]
    for number in range(_PICTURES):
        source = photographs[number % len(photographs)]
        left, top = (int(rng.integers(0, side // 4)) for side in source.size)
        box = (left, top, left + source.width * 3 // 4, top + source.height * 3 // 4)
        file = io.BytesIO()
        source.resize(_SIZE, Image.Resampling.LANCZOS, box).save(file, "JPEG", quality=88)
        made.append(file.getvalue())
    return made


def forms(files: Sequence[bytes]) -> list[bytes]:
    """As browsers send them (RFC 7578)."""
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return [head.encode() + one + f"\r\n--{_BOUNDARY}--\r\n".encode() for one in files]


@contextmanager
def gate(folder: Path) -> Iterator[Gate]:
    """``entrenous gate run`` in a process of its own; what it looks at after its answers is another
    one's work, at lowest priority, and left out.
    """
    command = [sys.executable, "-m", "entrenous", "gate", "run", "--json", "--no-slow-look"]
    command += ["--listen", "127.0.0.1:0", "--data", str(folder)]
    with subprocess.Popen(  # noqa: S603 -- this very program
        command, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            said = json.loads(running.stdout.readline() if running.stdout else "")
            yield Gate(running.pid, said["url"], said["operator_token"])
        finally:
            running.terminate()
            running.wait()


def drive(to: Gate, bodies: Sequence[bytes], lines: int, seconds: float) -> Posted:
    """Keep ``lines`` connections busy; stopped by hand, what came until then counts.

    Raises:
        SystemExit: an answer that should not be.
    """
    address = urllib.parse.urlsplit(to.url)
    poll, by_number = select.epoll(), {}
    for number in range(lines):
        line = _Line((address.hostname or "", address.port or 0), to.token, bodies[number::lines])
        by_number[line.socket.fileno()] = line
        poll.register(line.socket.fileno(), select.EPOLLIN)
    gate_cpu, load_cpu = tree_cpu_s(to.process), time.process_time()
    began, times = time.perf_counter(), list[float]()
    with closing(poll):
        try:
            while time.perf_counter() < began + seconds:
                for number, _ in poll.poll(1.0):
                    times += by_number[number].answered()
        except KeyboardInterrupt:
            pass
    taken = time.perf_counter() - began
    used = tree_cpu_s(to.process) - gate_cpu, time.process_time() - load_cpu
    for line in by_number.values():
        line.end()
    return Posted(len(times), taken, times, *used)


def tree_cpu_s(process: int) -> float:
    """What a process, its children and those that have ended used of the processors."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        threads = list(Path(f"/proc/{process}/task").iterdir())
        children = " ".join((one / "children").read_text() for one in threads).split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    own = sum(int(one) for one in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return own + sum(tree_cpu_s(int(child)) for child in children)


class _Line:
    """One connection, and its upload that is under way."""

    def __init__(self, address: tuple[str, int], token: str, bodies: Sequence[bytes]) -> None:
        self.socket = socket.create_connection(address, timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = (
            "POST /v1/uploads HTTP/1.1\r\nHost: gate\r\n"
            f"Authorization: Bearer {token}\r\n"
            f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n"
        )
        self._bodies, self._turn = bodies, 0
        self._came = b""
        self._began = 0.0
        self._send()

    def answered(self) -> list[float]:
        """The seconds of an upload whose answer is whole now; then the next one is sent."""
        self._came += self.socket.recv(65536)
        head, found, rest = self._came.partition(b"\r\n\r\n")
        if not found or len(rest) < _length(head):
            return []
        if head[9:12] != b"200" or b'"decision":"let through"' not in rest:
            raise SystemExit(f"not what should be answered: {self._came[:400]!r}")
        took = time.perf_counter() - self._began
        self._came = b""
        self._send()
        return [took]

    def end(self) -> None:
        """Hear the last answer, so that the next load does not find this one's place taken."""
        self.socket.recv(65536)
        self.socket.close()

    def _send(self) -> None:
        body = self._bodies[self._turn % len(self._bodies)]
        self._turn += 1
        self._began = time.perf_counter()
        self.socket.sendall(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def _length(head: bytes) -> int:
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return int(fields[b"content-length"])


def _cut(hashes: bytes) -> tuple[bytes, ...]:
    return tuple(hashes[start : start + 32] for start in range(0, len(hashes), 32))


def _claim(name: str, bank: BankName) -> Claim:
    return Claim(ClaimId(name), bank, ClaimState.CONFIRMED, "pdq", 90, _AT)


def told(made: Posted) -> dict[str, float]:
    """The figures by their names."""
    count = max(1, made.count)
    return {
        "gate_post_per_s": made.count / made.seconds,
        "gate_p50_ms": 1e3 * percentile(made.times_s, 0.5) if made.times_s else 0.0,
        "gate_p99_ms": 1e3 * percentile(made.times_s, 0.99) if made.times_s else 0.0,
        "gate_cpu_ms": 1e3 * made.gate_cpu_s / count,
        "load_cpu_ms": 1e3 * made.load_cpu_s / count,
    }
