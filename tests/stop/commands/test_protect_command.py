"""``entrenous protect`` and ``unprotect``, with a real vault and a gate in the same process."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import skimage.data
from starlette.applications import Starlette

from bench.sounds.material import voice
from entrenous.base.identifiers import ClaimId
from entrenous.base.secret import Secret
from entrenous.stop.client import registration_client
from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.platform import Platform
from entrenous.stop.registration import ClaimState
from entrenous.stop.store.open_gate import open_platform
from tests.clips import encode_clip, hand_held_frames
from tests.send.commands.test_letters import CommandLine, CommandResult
from tests.send.message.media_network import voice_note
from tests.stop.http.conftest import URL, AsgiTransport
from tests.stop.http.test_registration_requests import upload_and_get_decision
from tests.stop.platform_for_tests import png
from tests.trace.test_trace_file import add_sound_to_clip
from tests.village.world import photo

pytestmark = pytest.mark.slow

GATE_OPTIONS = ("--gate", URL)
FFMPEG = shutil.which("ffmpeg")


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path / "gate") as (platform, _):
        yield platform


def gate_app_of(platform: Platform) -> Starlette:
    return gate_app(platform, GateAccess(Secret(b"operator-token")))


@pytest.fixture
def gate_client(platform: Platform) -> Iterator[httpx.Client]:
    """Yield an HTTP client that is connected to the gate."""
    with httpx.Client(transport=AsgiTransport(gate_app_of(platform)), base_url=URL) as client:
        yield client


@pytest.fixture(scope="module")
def clip_and_sound_files() -> dict[str, bytes]:
    """Return a video with a voice, and a voice note, by file name."""
    talk = add_sound_to_clip(encode_clip(hand_held_frames(seconds=1.5)), voice(6.0)[:, None])
    return {"talk.mp4": talk, "note.ogg": voice_note()}


@pytest.fixture
def cli(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    platform: Platform,
    clip_and_sound_files: dict[str, bytes],
) -> Iterator[CommandLine]:
    """Yield a command line that uses Ana's device; its requests to any gate reach ``platform``."""
    app = gate_app_of(platform)
    monkeypatch.setattr(
        registration_client,
        "new_relay_client",
        lambda **_: httpx.Client(transport=AsgiTransport(app)),
    )
    monkeypatch.setenv("ENTRENOUS_UNDO", "0")
    cli = CommandLine(tmp_path, monkeypatch)
    for file_name, data in clip_and_sound_files.items():
        (tmp_path / file_name).write_bytes(data)
    cli.set_up_person("ana")
    yield cli
    monkeypatch.undo()


def claim_kind_and_state(platform: Platform, claim_id: str) -> tuple[str, ClaimState]:
    claim = platform.bank.claim(ClaimId(claim_id))
    return claim.kind, claim.state


@pytest.mark.real
def test_video_and_its_sound_are_registered_then_listed_then_withdrawn(
    cli: CommandLine,
    platform: Platform,
) -> None:
    result = cli.run("ana", "protect", "talk.mp4", *GATE_OPTIONS, "--json")
    assert result.status == 0, result
    made = json.loads(result.out)
    assert made == {
        "schema": "entrenous/claim/1",
        "claim": made["claim"],
        "kind": "pdq-video",
        "state": "waiting",
        "gate": URL,
    }
    before, after = result.err.index("--no-sound"), result.err.index("moments, and of its sound")
    assert before < after
    assert claim_kind_and_state(platform, made["claim"]) == ("pdq-video", ClaimState.WAITING)
    assert f"{made['claim']}  video, waiting  at {URL}\n" == cli.run("ana", "protect", "--list").out
    withdrawn = cli.run_json("ana", "unprotect", made["claim"])
    assert (withdrawn["kind"], withdrawn["state"]) == ("pdq-video", "withdrawn")
    assert claim_kind_and_state(platform, made["claim"]) == ("pdq-video", ClaimState.WITHDRAWN)


def test_protecting_a_file_again_returns_its_claim(cli: CommandLine, platform: Platform) -> None:
    first = cli.run_json("ana", "protect", "talk.mp4", *GATE_OPTIONS)
    again = cli.run("ana", "protect", "talk.mp4", *GATE_OPTIONS, "--json")
    assert (again.status, json.loads(again.out)) == (0, first)
    assert "already registered this file at that platform" in again.err
    assert platform.bank.count_claims_and_hashes().claims == 1
    cli.run_json("ana", "unprotect", first["claim"])
    assert cli.run_json("ana", "protect", "talk.mp4", *GATE_OPTIONS)["claim"] != first["claim"]


def test_claim_that_the_gate_did_not_answer_can_be_forgotten(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drop_response(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("no answer")

    monkeypatch.setattr(
        registration_client,
        "new_relay_client",
        lambda **_: httpx.Client(transport=httpx.MockTransport(drop_response)),
    )
    assert cli.run("ana", "protect", "note.ogg", *GATE_OPTIONS).status == 6
    (asked,) = cli.run_json("ana", "protect", "--list")["claims"]
    away = cli.run("ana", "unprotect", asked["claim"])
    assert (away.status, "--forget" in away.err) == (6, True)
    forgotten = cli.run("ana", "unprotect", asked["claim"], "--forget")
    assert (forgotten.status, forgotten.out.count(asked["claim"])) == (0, 2)
    assert cli.run_json("ana", "protect", "--list")["claims"] == []


def test_unreachable_platform_is_asked_once(
    cli: CommandLine, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two claims are registered at that platform, and each request would wait for a timeout."""
    app, other, asked = gate_app_of(platform), "https://other.test", list[str]()
    unanswered = [
        cli.run_json("ana", "protect", one, *GATE_OPTIONS) for one in ("note.ogg", "beach.jpg")
    ]
    answered = cli.run_json("ana", "protect", "talk.mp4", "--gate", other)

    def time_out_or_respond(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        if request.url.host == httpx.URL(URL).host:
            raise httpx.ReadTimeout("no answer")
        return AsgiTransport(app).handle_request(request)

    transport = httpx.MockTransport(time_out_or_respond)
    monkeypatch.setattr(
        registration_client, "new_relay_client", lambda **_: httpx.Client(transport=transport)
    )
    listed = cli.run("ana", "protect", "--list", "--ask", "--json")
    assert sorted(asked) == sorted({httpx.URL(URL).host, "other.test"})
    assert (
        f"{URL} did not answer, so its 2 claims are shown as this device last knew them."
        in listed.err
    )
    shown = {one["claim"]: one["state"] for one in json.loads(listed.out)["claims"]}
    assert shown == {one["claim"]: one["state"] for one in (*unanswered, answered)}


def test_failed_withdrawal_says_that_the_claim_remains(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = cli.run_json("ana", "protect", "note.ogg", *GATE_OPTIONS)["claim"]

    def refuse_connection(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("down", request=request)

    with monkeypatch.context() as down:
        unreachable = httpx.MockTransport(refuse_connection)
        down.setattr(
            registration_client, "new_relay_client", lambda **_: httpx.Client(transport=unreachable)
        )
        result = cli.run("ana", "unprotect", claim)
    assert (result.status, f"registration {claim} still exists at the platform" in result.err) == (
        6,
        True,
    )
    assert cli.run_json("ana", "unprotect", claim)["state"] == "withdrawn"


@pytest.mark.real
@pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed (Debian: ffmpeg)")
def test_smaller_copy_or_sound_of_a_registered_video_is_held_until_the_withdrawal(
    cli: CommandLine, gate_client: httpx.Client
) -> None:
    small, bare = cli.folder / "small.webm", cli.folder / "bare.m4a"
    asked = (str(FFMPEG), "-v", "error", "-i", "talk.mp4")
    smaller = ("-vf", "scale=240:-2", "-c:v", "libvpx", "-b:v", "200k", "-an", str(small))
    for how in (smaller, ("-vn", "-c:a", "aac", "-b:a", "48k", str(bare))):
        subprocess.run((*asked, *how), check=True, timeout=60)
    claim = cli.run_json("ana", "protect", "talk.mp4", *GATE_OPTIONS)["claim"]
    for posted in (small, bare):
        assert upload_and_get_decision(gate_client, posted.read_bytes()) == "hold"
    cli.run_json("ana", "unprotect", claim)
    for posted in (small, bare):
        assert upload_and_get_decision(gate_client, posted.read_bytes()) == "let through"


@pytest.mark.real
def test_protect_registers_a_video_without_sound_and_a_sound_alone(
    cli: CommandLine,
    platform: Platform,
) -> None:
    result = cli.run("ana", "protect", "talk.mp4", *GATE_OPTIONS, "--no-sound", "--whole-only")
    assert "and nothing of its sound" in result.err
    assert "--no-sound" not in result.err
    assert result.out.endswith(
        f"take it back at any time: entrenous unprotect {_registered_claim_id(result)}\n"
    )
    sound = cli.run("ana", "protect", "note.ogg", *GATE_OPTIONS)
    assert "a tune can be guessed" in sound.err
    assert claim_kind_and_state(platform, _registered_claim_id(sound))[0] == "chromaprint"
    refused = cli.run("ana", "protect", "note.ogg", *GATE_OPTIONS, "--no-sound")
    assert (refused.status, "this file was not registered" in " ".join(refused.err.split())) == (
        3,
        True,
    )
    kinds = [one["kind"] for one in cli.run_json("ana", "protect", "--list")["claims"]]
    assert kinds == ["pdq-video", "chromaprint"]


def test_embedding_is_sent_only_if_the_gate_compares_embeddings(
    cli: CommandLine,
    platform: Platform,
) -> None:
    (cli.folder / "beach.png").write_bytes(png(skimage.data.astronaut()))
    result = cli.run("ana", "protect", "beach.png", *GATE_OPTIONS, "--embedding", "--json")
    assert "fuller likeness can be guessed" in " ".join(result.err.split())
    if platform.embedding_comparison is None:  # the extra "embedding" is not installed
        assert (result.status, result.out) == (3, "")
        assert "pip install -e '.[embedding]'" in result.err
        assert platform.bank.count_claims_and_hashes().claims == 0
        return
    made = json.loads(result.out)
    assert [one.claim for one in platform.bank.embeddings(0)] == [made["claim"]]
    cli.run_json("ana", "unprotect", made["claim"])
    assert platform.bank.embedding_count() == 0


def test_under_18_option_refers_to_take_it_down_before_opening_the_vault(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENTRENOUS_PASSPHRASE")
    for words in (("talk.mp4", *GATE_OPTIONS), ("talk.mp4",), ()):
        result = cli.run("ana", "protect", *words, "--under-18")
        assert (result.status, result.out) == (3, "")
        assert "takeitdown.ncmec.org" in result.err


@pytest.mark.real
def test_protect_registers_the_files_of_a_sent_or_opened_message(
    cli: CommandLine,
    platform: Platform,
) -> None:
    cli.set_up_person("ben")
    cli.add_contact("ana", "ben")
    to_ben = ("--to", "ben", "--confirm", "ben", "--undo", "0")
    (cli.folder / "beach.jpg").write_bytes(photo(width_px=240))
    message_id = cli.run_json("ana", "send", "note.ogg", "beach.jpg", *to_ben)["message"]
    by_sender = cli.run_json("ana", "protect", "--message", message_id, *GATE_OPTIONS)
    assert by_sender["schema"] == "entrenous/claims/1"
    assert [one["kind"] for one in by_sender["claims"]] == ["chromaprint", "pdq"]
    for one in by_sender["claims"]:
        assert claim_kind_and_state(platform, one["claim"]) == (one["kind"], ClaimState.WAITING)

    part = cli.run("ana", "protect", "--message", message_id, *GATE_OPTIONS, "--no-sound", "--json")
    assert (part.status, [one["kind"] for one in json.loads(part.out)["claims"]]) == (3, ["pdq"])
    assert "File 1 of the message was left out." in part.err

    cli.run("ben", "inbox")
    closed = cli.run("ben", "protect", "--message", message_id, *GATE_OPTIONS)
    assert (
        closed.status,
        "the message has not been opened here yet" in " ".join(closed.err.split()),
    ) == (
        3,
        True,
    )
    assert cli.run_json("ben", "inbox")["messages"][0]["state"] == "waiting"
    cli.run_json("ben", "open", message_id)
    (sound, picture) = cli.run_json("ben", "protect", "--message", message_id, *GATE_OPTIONS)[
        "claims"
    ]
    assert (sound["kind"], picture["kind"]) == ("chromaprint", "pdq")


@pytest.mark.real
def test_protect_asks_about_age_and_then_once_per_kind_of_file(
    cli: CommandLine, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cli.folder / "beach.jpg").write_bytes(photo(width_px=240))
    cli.set_up_person("ben")
    cli.add_contact("ana", "ben")
    to_ben = ("--to", "ben", "--confirm", "ben", "--undo", "0")
    file_names = ("note.ogg", "beach.jpg", "note.ogg")
    message_id = cli.run_json("ana", "send", *file_names, *to_ben)["message"]
    answers, asked = iter(["yes", "no", "sí"]), list[str]()

    def answer_prompt(question: str, **_: object) -> str:
        asked.append(question)
        return next(answers)

    monkeypatch.setattr("typer.prompt", answer_prompt)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    result = cli.run("ana", "protect", "--message", message_id, *GATE_OPTIONS, "--json")
    assert (result.status, len(asked)) == (3, 3)  # asked about age, sound and picture
    assert [one["kind"] for one in json.loads(result.out)["claims"]] == ["pdq"]
    assert [f"File {number} of the message" in result.err for number in (1, 2, 3)] == [
        True,
        False,
        True,
    ]
    assert platform.bank.count_claims_and_hashes().claims == 1


def test_protect_refuses_unknown_messages_messages_without_files_and_wrong_arguments(
    cli: CommandLine,
) -> None:
    cli.set_up_person("ben")
    cli.add_contact("ana", "ben")
    to_ben = ("--to", "ben", "--confirm", "ben", "--undo", "0")
    words = cli.run_json("ana", "send", "--text", "hello", *to_ben)["message"]
    nothing = cli.run("ana", "protect", "--message", words, *GATE_OPTIONS)
    assert (nothing.status, "Nothing was registered" in " ".join(nothing.err.split())) == (3, True)
    assert cli.run("ana", "protect", "--message", "no-such-one", *GATE_OPTIONS).status == 4
    for wrong in (("beach.jpg", "--message", words), (), ("beach.jpg",)):
        given = wrong if wrong == ("beach.jpg",) else (*wrong, *GATE_OPTIONS)
        assert cli.run("ana", "protect", *given).status == 2


def test_protect_refuses_a_picture_with_too_little_detail(cli: CommandLine) -> None:
    (cli.folder / "fog.png").write_bytes(png(np.full((200, 200, 3), 90, np.uint8)))
    result = cli.run("ana", "protect", "fog.png", *GATE_OPTIONS)
    assert (result.status, result.out, "too little detail" in result.err) == (3, "", True)


def _registered_claim_id(result: CommandResult) -> Any:
    return result.out.split()[1]
