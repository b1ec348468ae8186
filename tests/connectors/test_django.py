"""Uploads to a Django project, which runs in its own process and asks a real gate."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from entrenous.base.secret import Secret
from entrenous.stop.client.gate_answer import account_header
from tests.connectors.running_gates import her_picture_mirrored, other_picture, waiting_picture

pytest.importorskip("django")
pytestmark = pytest.mark.real

PROJECT_FILE = Path(__file__).parent / "django_project.py"
REQUESTS_WITH_ANOTHER_PICTURE = ("validator another", "handler another")
REQUESTS_WITH_HER_PICTURE = ("validator hers", "handler hers")


def run_project(
    gate_url_and_token_file: tuple[str, Path],
    folder: Path,
    *request_names: str,
    **other_settings: Any,
) -> dict[str, Any]:
    """Return the project's answers to the requests with these names, or to all requests."""
    for name, data in (
        *(
            ("hers", her_picture_mirrored()),
            ("waiting", waiting_picture()),
            ("another", other_picture()),
        ),
        ("text", b"words"),
        ("broken", other_picture()[:9000]),
        ("clip", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(64)),
    ):
        (folder / name).write_bytes(data)
    url, token_file = gate_url_and_token_file
    hook_settings = {"gate": url, "token_file": str(token_file), "budget_s": 60, **other_settings}
    done = subprocess.run(
        [sys.executable, str(PROJECT_FILE), str(folder), json.dumps(hook_settings), *request_names],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.fixture(scope="module")
def answers(
    gate_url_and_token_file: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    url = "https://site.example/appeal"
    return run_project(gate_url_and_token_file, tmp_path_factory.mktemp("django"), appeal_url=url)


def test_validator_rejects_refused_and_unreadable_files(answers: dict[str, Any]) -> None:
    assert answers["validator another"] == {"saved": "let through"}
    assert answers["validator text"] == {"saved": "let through"}
    assert answers["validator waiting"] == {"saved": "hold"}
    for name, code in (("hers", "stopped"), ("broken", "held")):
        ((error,),) = answers[f"validator {name}"]["errors"].values()
        assert error["code"] == code
        assert "https://site.example/appeal" in error["message"]
        assert "case number" in error["message"]
    # The file has only the first bytes of a clip.
    ((error,),) = answers["validator clip"]["errors"].values()
    assert (error["code"], "case number" in error["message"]) == ("held", True)


def test_marking_validator_accepts_held_files(answers: dict[str, Any]) -> None:
    assert answers["marking waiting"] == {"saved": "hold"}
    assert "errors" in answers["marking hers"]


def test_validator_is_serialized_in_migrations(answers: dict[str, Any]) -> None:
    assert "entrenous.connectors.django.GateValidator(on_hold='mark')" in answers["migration"]


def test_upload_handler_checks_files(answers: dict[str, Any]) -> None:
    assert answers["handler another"] == {"files": ["file"], "said": ["let through"]}
    assert answers["handler waiting"] == {"files": ["file"], "said": ["hold"]}
    assert answers["handler broken"] == {"files": [], "said": ["hold"]}
    assert answers["handler hers"] == {"files": [], "said": ["refuse"]}
    assert answers["handler large"] == {"files": [], "said": ["hold"]}
    assert answers["marking handler waiting"] == {"files": ["file"], "said": ["hold"]}
    assert answers["marking handler hers"] == {"files": [], "said": ["refuse"]}


def test_user_is_sent_as_a_hash(
    answers: dict[str, Any], gate_url_and_token_file: tuple[str, Path]
) -> None:
    hash_of_ana = account_header("1", Secret(gate_url_and_token_file[1].read_bytes()))[
        "Entrenous-Account"
    ]
    assert answers["account in a loop"] == ["7", ""]
    assert answers["accounts"] == {
        "nobody": None,
        "ana": hash_of_ana,
        "ana by the validator": hash_of_ana,
    }


def test_unreachable_gate_rejects_files(
    tmp_path: Path, gate_url_and_token_file: tuple[str, Path]
) -> None:
    answers = run_project(
        ("http://127.0.0.1:9", gate_url_and_token_file[1]), tmp_path, *REQUESTS_WITH_ANOTHER_PICTURE
    )
    ((error,),) = answers["validator another"]["errors"].values()
    assert (error["code"], "could not be checked at the moment" in error["message"]) == (
        "held",
        True,
    )
    assert answers["handler another"] == {"files": [], "said": ["hold"]}


def test_shadow_mode_passes_all_files(
    tmp_path: Path, gate_url_and_token_file: tuple[str, Path]
) -> None:
    answers = run_project(
        gate_url_and_token_file, tmp_path, *REQUESTS_WITH_HER_PICTURE, shadow=True
    )
    assert answers["validator hers"] == {"saved": "refuse"}
    assert answers["handler hers"] == {"files": ["file"], "said": ["refuse"]}
