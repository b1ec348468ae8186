"""Tests of the key that encrypts uploads while they wait for review or for a deferred scan."""

import base64
import secrets
import subprocess
import sys
from pathlib import Path

import httpx
import psycopg
import pytest
import skimage.data

from entrenous.cli import run
from tests.connectors.running_gates import run_entrenous
from tests.postgres import Cluster
from tests.real.processes import wait_until
from tests.stop.commands.gates import RunningGate, start_gate
from tests.stop.platform_for_tests import jpeg

pytestmark = pytest.mark.real

LISTED_PICTURE, OTHER_PICTURE = jpeg(skimage.data.astronaut()), jpeg(skimage.data.coffee())
SEALED_PREFIX = b"entrenous/1 held\1"


def import_listed_hash(data_folder: Path) -> None:
    """Import the hash of LISTED_PICTURE into a bank, so that the gate quarantines the picture."""
    (data_folder.parent / "hers.jpg").write_bytes(LISTED_PICTURE)
    printed = run_entrenous("fingerprint", str(data_folder.parent / "hers.jpg"), "--json")
    hashes = httpx.Response(200, text=printed).json()
    (data_folder.parent / "list.txt").write_text(f"{hashes['hex']}\n")
    run_entrenous(
        "gate", "bank", "import", str(data_folder.parent / "list.txt"),
        "--bank", "listed", "--data", str(data_folder),
    )  # fmt: skip


def upload_and_hold(gate: RunningGate) -> str:
    answer = gate.upload(LISTED_PICTURE).json()
    assert answer["decision"] == "hold", answer
    case = str(answer["case"])
    # The gate stores the picture only after its answer.
    assert wait_until(lambda: get_upload(gate, case).is_success, 120)
    return case


def get_upload(gate: RunningGate, case: str) -> httpx.Response:
    url = f"{gate.url}/v1/reviews/{case}/upload"
    return httpx.get(url, headers=gate.operator_headers, timeout=60, trust_env=False)


def decide(gate: RunningGate, case: str, decision: str) -> int:
    url, body = f"{gate.url}/v1/reviews/{case}", {"decision": decision}
    return httpx.post(
        url, json=body, headers=gate.operator_headers, timeout=60, trust_env=False
    ).status_code


def all_file_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def picture_parts(picture: bytes) -> list[bytes]:
    """Return short parts of the picture, because a database may split the picture into pages."""
    return [picture[at : at + 64] for at in range(0, len(picture) - 64, 512)]


@pytest.mark.threat("gate-stolen")
def test_held_upload_is_sealed_on_disk_and_a_lost_key_loses_only_the_picture(
    tmp_path: Path,
) -> None:
    data_folder = tmp_path / "gate"
    data_folder.mkdir()
    import_listed_hash(data_folder)
    with start_gate(data_folder, "--no-slow-look") as gate:
        case = upload_and_hold(gate)
        disk = all_file_bytes(data_folder)
        assert SEALED_PREFIX in disk
        assert not [part for part in picture_parts(LISTED_PICTURE) if part in disk]
        assert get_upload(gate, case).content == LISTED_PICTURE
    with start_gate(data_folder, "--no-slow-look") as gate:
        assert get_upload(gate, case).content == LISTED_PICTURE
    (data_folder / "held.key").unlink()
    with start_gate(data_folder, "--no-slow-look") as gate:
        lost = get_upload(gate, case)
        assert (lost.status_code, "cannot be decrypted" in lost.json()["detail"]) == (404, True)
        assert decide(gate, case, "confirm") == 200
        assert gate.upload(LISTED_PICTURE).json()["decision"] == "refuse"


def test_upload_for_a_deferred_scan_is_stored_only_sealed(tmp_path: Path) -> None:
    """While the upload waits for its scan, a process that has the gate's key can read it."""
    data_folder = tmp_path / "gate"
    data_folder.mkdir()
    (data_folder / "gate.toml").write_text("slow_looks = 5\n")
    import_listed_hash(data_folder)
    with start_gate(data_folder, "--no-slow-look"):
        pass  # starting the gate creates the key
    program = (
        "import sys; from pathlib import Path; from datetime import timedelta\n"
        "from entrenous.stop.store.open_gate import open_platform\n"
        "with open_platform(Path(sys.argv[1])) as (platform, _):\n"
        "    look = platform.reviews.lease_deferred_scan(timedelta(minutes=2))\n"
        "    print('none' if look is None else len(look.untrusted_upload))\n"
    )
    with start_gate(data_folder) as gate:
        assert gate.upload(OTHER_PICTURE).json()["decision"] == "let through"
    disk = all_file_bytes(data_folder)
    assert not [part for part in picture_parts(OTHER_PICTURE) if part in disk]
    done = subprocess.run(
        [sys.executable, "-c", program, str(data_folder)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() in {"none", str(len(OTHER_PICTURE))}  # "none" if already scanned


@pytest.mark.threat("gate-stolen")
def test_two_gates_on_one_postgresql_share_a_key(tmp_path: Path, postgres: Cluster) -> None:
    url, key = postgres.create_database(), tmp_path / "held.keys"
    key.write_bytes(base64.b64encode(secrets.token_bytes(32)))
    key.chmod(0o600)
    folders = [tmp_path / name / "gate" for name in ("one", "two")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "gate.toml").write_text(f'database = "{url}"\nheld_key = "{key}"\n')
    import_listed_hash(folders[0])
    with (
        start_gate(folders[0], "--no-slow-look") as one,
        start_gate(folders[1], "--no-slow-look") as two,
    ):
        case = upload_and_hold(one)
        assert get_upload(two, case).content == LISTED_PICTURE
    assert upload_sealed_flags(url) == [True]
    assert not (folders[0] / "held.key").exists()


def test_postgresql_without_a_key_is_reported_as_unsealed(
    tmp_path: Path, postgres: Cluster
) -> None:
    url, data_folder = postgres.create_database(), tmp_path / "gate"
    data_folder.mkdir()
    (data_folder / "gate.toml").write_text(f'database = "{url}"\n')
    import_listed_hash(data_folder)
    with start_gate(data_folder, "--no-slow-look") as gate:
        assert get_upload(gate, upload_and_hold(gate)).content == LISTED_PICTURE
    assert upload_sealed_flags(url) == [False]
    wrong = httpx.Response(
        200, text=run_entrenous("gate", "status", "--data", str(data_folder), "--json")
    )
    assert any("held_key" in line for line in wrong.json()["wrong"])


def test_gate_is_not_opened_without_its_key_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gate makes no new key. The disk with the key file may be unmounted, and other gates would
    not know a new key.
    """
    key_file = tmp_path / "away" / "gate"
    (tmp_path / "gate.toml").write_text(f'held_key = "{key_file}"\n')
    assert run(["gate", "bank", "list", "--data", str(tmp_path)], {}) == 3
    body = " ".join(capsys.readouterr().err.split())
    assert f"{key_file} should contain the keys" in body
    assert "it does not exist" in body
    assert not (tmp_path / "bank.db").exists()


def upload_sealed_flags(url: str) -> list[bool]:
    """Return, for each upload with stored bytes, whether the bytes are sealed."""
    with psycopg.connect(url) as db:
        found = db.execute("SELECT untrusted_upload FROM upload WHERE untrusted_upload IS NOT NULL")
        return [bytes(row[0]).startswith(SEALED_PREFIX) for row in found]
