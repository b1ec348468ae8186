"""An upload that waits for review can only be read with the gate's key."""

import base64
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import skimage.data

from entrenous.cli import run
from tests.connectors.running_gates import entrenous
from tests.postgres import Cluster
from tests.real.stage import wait_until
from tests.stop.commands.gates import Running, running
from tests.stop.platform_for_tests import jpeg

pytestmark = pytest.mark.real

HERS, ANOTHER = jpeg(skimage.data.astronaut()), jpeg(skimage.data.coffee())
SEALED = b"entrenous/1 held\1"


def lists_hers(data: Path) -> None:
    """Import the hash of the picture into a bank of the gate, so that its uploads are held."""
    (data.parent / "hers.jpg").write_bytes(HERS)
    told = entrenous("fingerprint", str(data.parent / "hers.jpg"), "--json")
    hashes = httpx.Response(200, text=told).json()
    (data.parent / "list.txt").write_text(f"{hashes['hex']}\n")
    entrenous(
        "gate", "bank", "import", str(data.parent / "list.txt"),
        "--bank", "listed", "--data", str(data),
    )  # fmt: skip


def held(gate: Running) -> str:
    answer = gate.bring(HERS).json()
    assert answer["decision"] == "hold", answer
    case = str(answer["case"])
    assert wait_until(lambda: shown(gate, case).is_success, 120)  # it is stored after the answer
    return case


def shown(gate: Running, case: str) -> httpx.Response:
    url = f"{gate.url}/v1/reviews/{case}/upload"
    return httpx.get(url, headers=gate.who, timeout=60, trust_env=False)


def decides(gate: Running, case: str, decision: str) -> int:
    url, said = f"{gate.url}/v1/reviews/{case}", {"decision": decision}
    return httpx.post(url, json=said, headers=gate.who, timeout=60, trust_env=False).status_code


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def pieces(picture: bytes) -> list[bytes]:
    """Return short parts from all over the picture, because a database may split it into pages."""
    return [picture[at : at + 64] for at in range(0, len(picture) - 64, 512)]


@pytest.mark.threat("gate-stolen")
def test_nothing_of_it_is_on_the_disk_and_a_lost_key_loses_only_the_picture(
    tmp_path: Path,
) -> None:
    data = tmp_path / "gate"
    data.mkdir()
    lists_hers(data)
    with running(data, "--no-slow-look") as gate:
        case = held(gate)
        disk = on_disk(data)
        assert SEALED in disk
        assert not [piece for piece in pieces(HERS) if piece in disk]
        assert shown(gate, case).content == HERS
    with running(data, "--no-slow-look") as gate:
        assert shown(gate, case).content == HERS
    (data / "held.key").unlink()
    with running(data, "--no-slow-look") as gate:
        lost = shown(gate, case)
        assert (lost.status_code, "encrypted with a key" in lost.json()["detail"]) == (404, True)
        assert decides(gate, case, "confirm") == 200
        assert gate.bring(HERS).json()["decision"] == "refuse"


def test_what_waits_for_the_slow_look_is_sealed_and_looked_at(tmp_path: Path) -> None:
    """The second process has the same key; the sealed bytes stay until it has scanned them."""
    data = tmp_path / "gate"
    data.mkdir()
    (data / "gate.toml").write_text("slow_looks = 5\n")
    lists_hers(data)
    with running(data, "--no-slow-look"):
        pass  # creates the key
    program = (
        "import sys; from pathlib import Path; from datetime import timedelta\n"
        "from entrenous.stop.store.open_gate import open_platform\n"
        "with open_platform(Path(sys.argv[1])) as (platform, _):\n"
        "    look = platform.reviews.lease_deferred_scan(timedelta(minutes=2))\n"
        "    print('none' if look is None else len(look.untrusted_upload))\n"
    )
    with running(data) as gate:
        assert gate.bring(ANOTHER).json()["decision"] == "let through"
    disk = on_disk(data)
    assert not [piece for piece in pieces(ANOTHER) if piece in disk]
    done = subprocess.run(
        [sys.executable, "-c", program, str(data)], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() in {"none", str(len(ANOTHER))}  # it may have been quicker


@pytest.mark.threat("gate-stolen")
def test_two_gates_on_one_postgresql_share_a_key(tmp_path: Path, postgres: Cluster) -> None:
    url, key = postgres.fresh(), tmp_path / "held.keys"
    key.write_bytes(base64.b64encode(secrets.token_bytes(32)))
    key.chmod(0o600)
    folders = [tmp_path / name / "gate" for name in ("one", "two")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "gate.toml").write_text(f'database = "{url}"\nheld_key = "{key}"\n')
    lists_hers(folders[0])
    with running(folders[0], "--no-slow-look") as one, running(folders[1], "--no-slow-look") as two:
        case = held(one)
        assert shown(two, case).content == HERS
    assert rows(url) == [True]
    assert not (folders[0] / "held.key").exists()


def test_a_postgresql_without_a_key_is_said_not_to_seal(tmp_path: Path, postgres: Cluster) -> None:
    url, data = postgres.fresh(), tmp_path / "gate"
    data.mkdir()
    (data / "gate.toml").write_text(f'database = "{url}"\n')
    lists_hers(data)
    with running(data, "--no-slow-look") as gate:
        assert shown(gate, held(gate)).content == HERS
    assert rows(url) == [False]
    wrong = httpx.Response(200, text=entrenous("gate", "status", "--data", str(data), "--json"))
    assert any("held_key" in line for line in wrong.json()["wrong"])


def test_keys_that_are_not_there_start_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their disk may not be mounted; a new key in their place would be known to this gate alone."""
    place = tmp_path / "away" / "gate"
    (tmp_path / "gate.toml").write_text(f'held_key = "{place}"\n')
    assert run(["gate", "bank", "list", "--data", str(tmp_path)], {}) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert f"{place} should contain the keys" in said
    assert "it does not exist" in said
    assert not (tmp_path / "bank.db").exists()


def rows(url: str) -> list[Any]:
    """Return for each upload with stored bytes whether they are sealed."""
    with psycopg.connect(url) as db:
        found = db.execute("SELECT untrusted_upload FROM upload WHERE untrusted_upload IS NOT NULL")
        return [bytes(row[0]).startswith(SEALED) for row in found]
