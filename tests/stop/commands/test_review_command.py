"""``entrenous gate review`` and ``reviewer``, on the gate's machine and over the network."""

import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import skimage.data
import typer
from PIL import Image

from entrenous.__main__ import _gate_app
from entrenous.base.identifiers import ClaimId
from entrenous.cli import run
from entrenous.fingerprint.nouns import Match
from entrenous.stop.commands.gate_review import _arrival_in_words
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.registration import Claim, ClaimState, Registration
from entrenous.stop.store.open_gate import open_platform
from entrenous.stop.upload_record import Decision, FoundBy, Outcome, Review, ReviewState
from tests.stop.commands.gates import start_gate
from tests.stop.platform_for_tests import jpeg

pytestmark = pytest.mark.slow

MATCHED_CASE, UNREADABLE_CASE = "3f9a-70c2-b11e", "aaaa-bbbb-cccc"
UPLOAD_TIME = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
GateCli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def uploaded_picture() -> Any:
    return skimage.data.astronaut()


@pytest.fixture
def gate_cli(capfd: pytest.CaptureFixture[str]) -> GateCli:
    def run_gate_command(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        status = run(["gate", *map(str, arguments)], {"gate": _gate_app})
        said = capfd.readouterr()
        return status, said.out, said.err

    return run_gate_command


@pytest.fixture
def data_folder(tmp_path: Path, uploaded_picture: Any) -> Path:
    """Return the folder of a gate at which a match and an unreadable file wait for review."""
    folder = tmp_path / "gate"
    with open_platform(folder) as (platform, _):
        claim = Claim(
            ClaimId("ab"), PEOPLE_BANK, ClaimState.WAITING, "pdq", 90, UPLOAD_TIME, reason="\x1b[2J"
        )
        platform.bank.register(Registration(claim, (bytes(32),)))
        match = Match(PEOPLE_BANK, ClaimId("ab"), 4, "mirror")
        for decision, upload, reference, at in (
            (
                Decision(Outcome.HOLD, MATCHED_CASE, (match,)),
                jpeg(uploaded_picture),
                "post 17",
                UPLOAD_TIME,
            ),
            (Decision(Outcome.HOLD, UNREADABLE_CASE), b"broken", "", UPLOAD_TIME),
        ):
            bits = bytes(32) if upload != b"broken" else None
            review = Review(
                decision, at, ReviewState.WAITING, bits, None, reference, FoundBy.UPLOAD
            )
            platform.reviews.record_upload(review, upload)
    return folder


def test_review_lists_waiting_cases_in_pages(gate_cli: GateCli, data_folder: Path) -> None:
    status, said, _ = gate_cli("review", "--data", data_folder)
    assert status == 0
    lines = said.splitlines()
    assert re.fullmatch(
        rf"{MATCHED_CASE}: held as it came, came 2026-11-25 12:00 UTC(, .* ago)?", lines[1]
    )
    assert [lines[0], *lines[2:4]] == [
        "2 wait for a reviewer; you are operator at this gate.",
        "  people, 4 bits away, mirror; the claim is waiting; its owner says: \ufffd[2J",
        "  your name for it: post 17",
    ]
    assert f"{UNREADABLE_CASE}: held" in said
    assert "  it could not be read" in said
    page = json.loads(gate_cli("review", "--data", data_folder, "--json")[1])
    assert (page["schema"], page["waiting"], page["more"]) == ("entrenous/gate-review/1", 2, False)
    assert (page["reviewer"], page["confirmers"]) == ("operator", 1)
    assert [(one["schema"], one["case"]) for one in page["cases"]] == [
        ("entrenous/review/1", MATCHED_CASE), ("entrenous/review/1", UNREADABLE_CASE),
    ]  # fmt: skip
    assert page["cases"][0]["matches"][0]["reason"] == "\x1b[2J"
    one = json.loads(gate_cli("review", "--data", data_folder, "--json", "--limit", "1")[1])
    assert ([case["case"] for case in one["cases"]], one["more"]) == ([MATCHED_CASE], True)
    rest = json.loads(
        gate_cli("review", "--data", data_folder, "--json", "--after", MATCHED_CASE)[1]
    )
    assert [case["case"] for case in rest["cases"]] == [UNREADABLE_CASE]
    assert gate_cli("review", "--data", data_folder, "--after", "nonsense")[0] == 4


def test_review_without_a_token_suggests_a_reviewer_token(
    gate_cli: GateCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENTRENOUS_GATE_TOKEN", raising=False)
    status, _, wrong = gate_cli("review", "--gate", "http://127.0.0.1:1")
    assert (status, "reviewer add" in " ".join(wrong.split()), "operator" in wrong) == (
        2, True, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("age", "expected_ending"),
    [
        ({"minutes": 5}, "5 min ago"),
        ({"hours": 47}, "47 h ago"),
        ({"days": 3}, "3 days ago"),
        ({"minutes": -5}, "UTC"),
    ],
)
def test_review_shows_the_age_of_a_case_unless_it_is_negative(
    age: dict[str, int], expected_ending: str
) -> None:
    at = datetime.now(UTC) - timedelta(**age)
    assert _arrival_in_words(at.isoformat()).endswith(expected_ending)


@pytest.mark.threat("reviewer-harm")
def test_review_shows_a_blurred_view_unless_the_clear_file_is_requested(
    gate_cli: GateCli, data_folder: Path, tmp_path: Path, uploaded_picture: Any
) -> None:
    view, clear = tmp_path / "view.png", tmp_path / "clear.jpg"
    status, said, _ = gate_cli(
        "review", "--data", data_folder, "--show", MATCHED_CASE, "--out", view
    )
    assert (status, "grey and blurred" in said) == (0, True)
    assert Image.open(io.BytesIO(view.read_bytes())).mode == "L"
    assert view.stat().st_mode & 0o777 == 0o600
    shown = gate_cli(
        "review", "--data", data_folder, "--show", MATCHED_CASE, "--out", clear, "--clear", "--json"
    )
    assert json.loads(shown[1]) == {
        "schema": "entrenous/gate-view/1", "case": MATCHED_CASE, "file": str(clear), "clear": True,
    }  # fmt: skip
    assert clear.read_bytes() == jpeg(uploaded_picture)
    assert clear.stat().st_mode & 0o777 == 0o600
    rows = json.loads(
        gate_cli("audit", "show", "--data", data_folder, "--of", MATCHED_CASE, "--json")[1]
    )["rows"]
    assert [(row["what"], row["details"]) for row in rows] == [
        ("upload seen", {"by": "operator", "as": "view"}),
        ("upload seen", {"by": "operator", "as": "bytes"}),
    ]


def test_review_overwrites_no_file_and_logs_no_view(
    gate_cli: GateCli, data_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "nowhere").symlink_to(tmp_path / "not there")
    for name in ("mine", "nowhere"):
        shown = gate_cli(
            "review", "--data", data_folder, "--show", MATCHED_CASE, "--out", tmp_path / name
        )
        assert shown[0] == 3
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "not there").exists()
    assert "upload seen" not in gate_cli("audit", "show", "--data", data_folder)[1]


def test_review_errors_name_no_internal_address(gate_cli: GateCli, data_folder: Path) -> None:
    (data_folder / "gate.toml").write_text("confirmers = 2\n")
    decide = ("review", "--data", data_folder, "--decide", MATCHED_CASE, "confirm")
    assert gate_cli(*decide)[0] == 0
    status, _, wrong = gate_cli(*decide)
    said = " ".join(wrong.split())
    assert (status, "Nothing was changed: the case waits for somebody else." in said) == (3, True)
    assert (str(data_folder) in said, "127.0.0.1" in said) == (True, False)


def test_confirmation_of_a_match_without_claims_or_of_an_unreadable_file_says_what_follows(
    gate_cli: GateCli, data_folder: Path
) -> None:
    with open_platform(data_folder) as (platform, _):
        platform.bank.withdraw(ClaimId("ab"))
    said = gate_cli("review", "--data", data_folder, "--decide", MATCHED_CASE, "confirm")[1]
    assert "No claim that it matches is left, so nothing follows" in said
    said = gate_cli("review", "--data", data_folder, "--decide", UNREADABLE_CASE, "confirm")[1]
    assert "the same file is held again" in said


def test_two_reviewers_confirm_with_their_tokens(
    gate_cli: GateCli, data_folder: Path, tmp_path: Path
) -> None:
    (data_folder / "gate.toml").write_text("confirmers = 2\n")
    for name in ("ana", "ben"):
        added = json.loads(gate_cli("reviewer", "add", name, "--data", data_folder, "--json")[1])
        (tmp_path / name).write_text(added["token"] + "\n")

    def decide(name: str, decision: str = "confirm", *more: str) -> tuple[int, str, str]:
        mine = ("--token-file", tmp_path / name)
        return gate_cli(
            "review", "--data", data_folder, *mine, "--decide", MATCHED_CASE, decision, *more
        )

    status, said, _ = decide("ana")
    assert (status, "waits for a second person" in said) == (0, True)
    status, _, wrong = decide("ana")
    assert (status, "ana is already the first one" in " ".join(wrong.split())) == (3, True)
    listed = gate_cli("review", "--data", data_folder, "--token-file", tmp_path / "ana")[1]
    assert "1 that you confirmed wait for a second person." in listed
    seen = gate_cli("review", "--data", data_folder, "--token-file", tmp_path / "ben")[1]
    assert "ana confirmed it; a second person has to confirm it too" in seen
    done = json.loads(decide("ben", "confirm", "--json")[1])
    assert (done["state"], done["case"]) == ("confirmed", MATCHED_CASE)
    status, _, wrong = decide("ben", "release")
    assert (status, "no longer waits" in wrong) == (3, True)
    said = gate_cli("audit", "show", "--data", data_folder, "--of", MATCHED_CASE)[1]
    assert [line.split(" ", 2)[2] for line in said.splitlines()] == [
        f"case confirmed first: {MATCHED_CASE} by=ana",
        f"case confirmed: {MATCHED_CASE} also=0 by=ben first=ana",
    ]


def test_reviewers_are_added_listed_and_removed(
    gate_cli: GateCli, data_folder: Path, tmp_path: Path
) -> None:
    assert "Only the holder" in gate_cli("reviewer", "list", "--data", data_folder)[1]
    status, said, _ = gate_cli("reviewer", "add", "ana", "--data", data_folder)
    assert status == 0
    (token,) = [line.split()[-1] for line in said.splitlines() if "shown only now" in line]
    (tmp_path / "ana").write_text(token)
    assert not any(
        token.encode() in file.read_bytes() for file in data_folder.rglob("*") if file.is_file()
    )
    listed = json.loads(gate_cli("reviewer", "list", "--data", data_folder, "--json")[1])
    assert [one["reviewer"] for one in listed["reviewers"]] == ["ana"]
    assert gate_cli("reviewer", "add", "ana", "--data", data_folder)[0] == 3
    assert gate_cli("reviewer", "add", "operator", "--data", data_folder)[0] == 7
    asked = ("review", "--data", data_folder, "--token-file", tmp_path / "ana")
    assert "you are ana" in gate_cli(*asked)[1]
    assert gate_cli("reviewer", "remove", "ana", "--data", data_folder)[0] == 0
    assert gate_cli("reviewer", "remove", "ana", "--data", data_folder)[0] == 4
    status, _, wrong = gate_cli(*asked)
    assert (status, "does not accept this token" in wrong) == (5, True)


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("--data", "x", "--gate", "http://127.0.0.1:1"), ("--data", "x", "--clear"),
        ("--data", "x", "--show", MATCHED_CASE), ("--data", "x", "--out", "y"),
        ("--data", "x", "--decide", MATCHED_CASE, "perhaps"),
        ("--data", "x", "--decide", MATCHED_CASE, "confirm", "--show", MATCHED_CASE, "--out", "y"),
    ],
)  # fmt: skip
def test_incomplete_or_contradictory_review_options_are_refused(
    gate_cli: GateCli, arguments: tuple[str, ...]
) -> None:
    assert gate_cli("review", *arguments)[0] == 2


def test_decision_on_a_terminal_is_confirmed_first(
    gate_cli: GateCli, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistyped case number must not release another upload."""
    answers, asked = iter([False, True]), list[str]()

    def answer_confirmation(question: str, **_: object) -> bool:
        asked.append(question)
        if next(answers):
            return True
        raise typer.Abort

    monkeypatch.setattr("typer.confirm", answer_confirmation)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    status, _, shown = gate_cli(
        "review", "--data", data_folder, "--decide", MATCHED_CASE, "release"
    )
    assert (status, "people, 4 bits away, mirror" in shown) == (130, True)
    assert gate_cli("review", "--data", data_folder, "--decide", MATCHED_CASE, "release")[0] == 0
    assert asked == [f"Release case {MATCHED_CASE}?"] * 2
    status, _, wrong = gate_cli(
        "review", "--data", data_folder, "--decide", MATCHED_CASE, "confirm"
    )
    assert (status, "no longer waits" in wrong, len(asked)) == (3, True, 2)
    # With --json, the command asks for no confirmation.
    assert (
        gate_cli("review", "--data", data_folder, "--decide", UNREADABLE_CASE, "confirm", "--json")[
            0
        ]
        == 0
    )


@pytest.mark.parametrize("case", ["no-such", "..", "a/b?c=d", "\u20ac {}"])
def test_unknown_case_or_unreadable_file_is_refused_and_nothing_written(
    gate_cli: GateCli, data_folder: Path, tmp_path: Path, case: str
) -> None:
    out = tmp_path / "out"
    assert gate_cli("review", "--data", data_folder, "--decide", case, "confirm")[0] in {3, 4}
    assert gate_cli("review", "--data", data_folder, "--show", case, "--out", out)[0] in {3, 4}
    unreadable = gate_cli("review", "--data", data_folder, "--show", UNREADABLE_CASE, "--out", out)
    assert unreadable[0] == 4  # an unreadable file cannot be shown
    assert not out.exists()


@pytest.mark.real
def test_review_over_the_network(
    gate_cli: GateCli, data_folder: Path, tmp_path: Path, uploaded_picture: Any
) -> None:
    """A reviewer needs only the address of the gate and a token."""
    token = json.loads(gate_cli("reviewer", "add", "ana", "--data", data_folder, "--json")[1])[
        "token"
    ]
    (tmp_path / "ana").write_text(token)
    with start_gate(data_folder, "--no-slow-look") as gate:
        where = ("review", "--gate", gate.url, "--token-file", tmp_path / "ana")
        assert "you are ana at this gate" in gate_cli(*where)[1]
        assert gate_cli(*where, "--show", MATCHED_CASE, "--out", tmp_path / "view.png")[0] == 0
        assert (
            gate_cli(*where, "--show", MATCHED_CASE, "--out", tmp_path / "clear", "--clear")[0] == 0
        )
        assert (tmp_path / "clear").read_bytes() == jpeg(uploaded_picture)
        assert "is released" in gate_cli(*where, "--decide", MATCHED_CASE, "release")[1]
        assert gate.get_json(f"/v1/reviews/{MATCHED_CASE}")["state"] == "released"
    assert gate_cli(*where)[0] == 6  # the gate has stopped
