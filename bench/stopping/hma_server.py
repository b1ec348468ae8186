"""Run Meta's Hasher-Matcher-Actioner (HMA) from its source, as an operator would.

gunicorn serves it on loopback, with a PostgreSQL database. All three roles are in one app, each
worker has the index in memory, and tasks are run by HMA's own commands: see its README, "Running
the Application in Production". The source stays where it was fetched; none of it is copied here.

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
_JEMALLOC: Final = Path("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2")  # as in HMA's image
_START_S: Final = 180.0
_CONSECUTIVE_SUCCESSES: Final = 32  # after so many, every worker has loaded its index
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
    """A checkout of HMA, a Python interpreter with its dependencies, and a database for it alone.

    ``folder`` gets its configuration and logs, and is its home folder. ``settings`` are more
    environment variables for it.
    """

    tree: Path
    python: Path
    database: str
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def missing(self) -> str | None:
        """Return what is missing to run HMA; None if nothing is."""
        if not (self.tree / _IN_TREE).is_dir():
            return f"{self.tree} is no checkout of facebook/ThreatExchange: no {_IN_TREE} in it"
        if not self.python.exists():
            return f"there is no interpreter {self.python}"
        tried = subprocess.run(  # noqa: S603 -- the interpreter that was named
            [self.python, "-c", _NEEDED], check=False, capture_output=True, text=True
        )
        return tried.stderr.strip().rpartition("\n")[2] or None

    def migrate(self) -> None:
        """Write HMA's configuration, and create its tables or update them."""
        (self.folder / "config.py").write_text(_CONFIG)
        where = str(self.tree / _IN_TREE / "migrations")
        self.flask("db", "upgrade", "--directory", where, MIGRATION_COMMAND="1")

    def flask(self, *words: str, **more: str) -> None:
        """Run one of HMA's commands, such as ``fetch`` or ``build_indices``.

        ``more`` are environment variables for it.

        Raises:
            SystemExit: the command failed.
        """
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
        """Start HMA, wait until every worker answers, and yield a process ID and HMA's URL.

        The process is the parent of the workers. ``more`` are arguments of gunicorn.

        Raises:
            SystemExit: HMA did not start within 180 seconds.
        """
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
            "TZ": "UTC",  # HMA's NCMEC client marks local time as UTC ("Z")
            "PYTHONPATH": str(self.tree / _IN_TREE.parent),
            "OMM_CONFIG": str(self.folder / "config.py"),
            # The driver has to be named, because SQLAlchemy 2.1 uses another one by default.
            "OMM_DATABASE_URI": self.database.replace("postgresql:", "postgresql+psycopg2:", 1),
            "OMM_TASK_INDEX_CACHE": "true",
        }
        if _JEMALLOC.exists():
            known["LD_PRELOAD"] = str(_JEMALLOC)
        return known | self.settings


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until, good = time.monotonic() + _START_S, 0
    while good < _CONSECUTIVE_SUCCESSES:
        if time.monotonic() > until or process.poll() is not None:
            raise SystemExit(f"HMA did not start:\n{log.read_text()[-2000:]}")
        try:
            ready = httpx.get(f"{url}/status", timeout=60).is_success
        except httpx.TransportError:
            ready = False
        good = good + 1 if ready else 0
        if not ready:
            time.sleep(0.2)  # HMA does not announce that it is ready
