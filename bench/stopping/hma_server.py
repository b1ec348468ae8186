"""Meta's Hasher-Matcher-Actioner (HMA) as its operator runs it, from its own source.

gunicorn on loopback beside a PostgreSQL, all three roles in one app, the index in each worker's
memory, tasks by its own commands: see its README, "Running the Application in Production". The
source stays where it was fetched; nothing of it is here.

    git clone https://github.com/facebook/ThreatExchange DIR
    python3 -m venv DIR/venv
    DIR/venv/bin/pip install flask flask_sqlalchemy flask_migrate psycopg2-binary requests
        'threatexchange>=1.2.16' flask_apscheduler python-dateutil python-json-logger
        'flask-openapi3[swagger]' gunicorn
"""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

_APP: Final = "OpenMediaMatch.app"
_IN_TREE: Final = Path("hasher-matcher-actioner/src/OpenMediaMatch")
_NEEDED: Final = "import faiss, flask_migrate, flask_openapi3, gunicorn, psycopg2, threatexchange"
_JEMALLOC: Final = Path("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2")  # as in its image
_START_S: Final = 180.0
_SURE: Final = 32  # good answers in a row: then every worker has loaded its index
_CONFIG: Final = """
from OpenMediaMatch.storage.postgres.impl import DefaultOMMStore
from threatexchange.exchanges.impl import ncmec_api, stop_ncii_api

PRODUCTION = ROLE_HASHER = ROLE_MATCHER = ROLE_CURATOR = True
STORAGE_IFACE_INSTANCE = DefaultOMMStore(
    exchange_types=[
        ncmec_api.NCMECSignalExchangeAPI, stop_ncii_api.StopNCIISignalExchangeAPI
    ]
)
"""


@dataclass(frozen=True)
class Hma:
    """A checkout, an interpreter that has what it needs, and an empty database for it.

    ``folder`` is where its configuration, log and home lie; ``settings`` are more of its settings.
    """

    tree: Path
    python: Path
    database: str
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def missing(self) -> str | None:
        """What has to be there before it can run."""
        if not (self.tree / _IN_TREE).is_dir():
            return f"{self.tree} is no checkout of facebook/ThreatExchange: no {_IN_TREE} in it"
        if not self.python.exists():
            return f"there is no interpreter {self.python}"
        tried = subprocess.run(  # noqa: S603 -- the interpreter that was named
            [self.python, "-c", _NEEDED], check=False, capture_output=True, text=True
        )
        return tried.stderr.strip().rpartition("\n")[2] or None

    def migrate(self) -> None:
        """Its tables."""
        (self.folder / "config.py").write_text(_CONFIG)
        where = str(self.tree / _IN_TREE / "migrations")
        self.flask("db", "upgrade", "--directory", where, MIGRATION_COMMAND="1")

    def flask(self, *words: str, **more: str) -> None:
        """One of its own commands: ``fetch``, ``build_indices``."""
        done = subprocess.run(  # noqa: S603 -- its own program
            [self.python, "-m", "flask", "--app", _APP, *words],
            check=False,
            env=self._environment() | more,
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        (self.folder / "flask.log").write_text(done.stdout + done.stderr)
        if done.returncode:
            raise SystemExit(f"flask {' '.join(words)} failed:\n{done.stderr[-2000:]}")

    @contextmanager
    def running(self, workers: int = 2, *more: str) -> Iterator[tuple[int, str]]:
        """The process above its workers, and its URL, once every worker answers."""
        log = self.folder / "gunicorn.log"
        with socket.create_server(("127.0.0.1", 0), backlog=512) as taken, log.open("w") as to:
            command = [str(self.python), "-m", "gunicorn", f"{_APP}:create_app()"]
            command += ["--workers", str(workers), "--bind", f"fd://{taken.fileno()}", *more]
            with subprocess.Popen(  # noqa: S603 -- its own program
                command,
                env=self._environment(),
                cwd=self.folder,
                stdout=to,
                stderr=to,
                pass_fds=[taken.fileno()],
            ) as process:
                try:
                    url = f"http://127.0.0.1:{taken.getsockname()[1]}"
                    _wait_for(url, process, log)
                    yield process.pid, url
                finally:
                    process.terminate()

    def _environment(self) -> dict[str, str]:
        known = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TZ": "UTC",  # its NCMEC client stamps local time Z
            "PYTHONPATH": str(self.tree / _IN_TREE.parent),
            "OMM_CONFIG": str(self.folder / "config.py"),
            # Its driver has to be named: SQLAlchemy 2.1 takes another one by default.
            "OMM_DATABASE_URI": self.database.replace("postgresql:", "postgresql+psycopg2:", 1),
            "OMM_TASK_INDEX_CACHE": "true",
        }
        if _JEMALLOC.exists():
            known["LD_PRELOAD"] = str(_JEMALLOC)
        return known | self.settings


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until, good = time.monotonic() + _START_S, 0
    while good < _SURE:
        if time.monotonic() > until or process.poll() is not None:
            raise SystemExit(f"HMA did not start:\n{log.read_text()[-2000:]}")
        try:
            ready = httpx.get(f"{url}/status", timeout=60).is_success
        except httpx.TransportError:
            ready = False
        good = good + 1 if ready else 0
        if not ready:
            time.sleep(0.2)  # HMA does not say when it serves
