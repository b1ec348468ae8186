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

CASE, OTHER = "3f9a-70c2-b11e", "aaaa-bbbb-cccc"
AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def her_picture() -> Any:
    return skimage.data.astronaut()


@pytest.fixture
def typed(capfd: pytest.CaptureFixture[str]) -> Typed:
    def run_gate_command(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        status = run(["gate", *map(str, words)], {"gate": _gate_app})
        said = capfd.readouterr()
        return status, said.out, said.err

    return run_gate_command


@pytest.fixture
def data(tmp_path: Path, her_picture: Any) -> Path:
    """Create a gate at which a match and an unreadable file wait for review."""
    folder = tmp_path / "gate"
    with open_platform(folder) as (platform, _):
        claim = Claim(
            ClaimId("ab"), PEOPLE_BANK, ClaimState.WAITING, "pdq", 90, AT, reason="\x1b[2J"
        )
        platform.bank.register(Registration(claim, (bytes(32),)))
        match = Match(PEOPLE_BANK, ClaimId("ab"), 4, "mirror")
        for decision, upload, reference, at in (
            (Decision(Outcome.HOLD, CASE, (match,)), jpeg(her_picture), "post 17", AT),
            (Decision(Outcome.HOLD, OTHER), b"broken", "", AT),
        ):
            bits = bytes(32) if upload != b"broken" else None
            review = Review(
                decision, at, ReviewState.WAITING, bits, None, reference, FoundBy.UPLOAD
            )
            platform.reviews.record_upload(review, upload)
    return folder


def test_review_lists_cases_with_facts(typed: Typed, data: Path) -> None:
    status, said, _ = typed("review", "--data", data)
    assert status == 0
    lines = said.splitlines()
    assert re.fullmatch(rf"{CASE}: held as it came, came 2026-11-25 12:00 UTC(, .* ago)?", lines[1])
    assert [lines[0], *lines[2:4]] == [
        "2 wait for a reviewer; you are operator at this gate.",
        "  people, 4 bits away, mirror; the claim is waiting; its owner says: \ufffd[2J",
        "  your name for it: post 17",
    ]
    assert f"{OTHER}: held" in said
    assert "  it could not be read" in said
    page = json.loads(typed("review", "--data", data, "--json")[1])
    assert (page["schema"], page["waiting"], page["more"]) == ("entrenous/gate-review/1", 2, False)
    assert (page["reviewer"], page["confirmers"]) == ("operator", 1)
    assert [(one["schema"], one["case"]) for one in page["cases"]] == [
        ("entrenous/review/1", CASE), ("entrenous/review/1", OTHER),
    ]  # fmt: skip
    assert page["cases"][0]["matches"][0]["reason"] == "\x1b[2J"
    one = json.loads(typed("review", "--data", data, "--json", "--limit", "1")[1])
    assert ([case["case"] for case in one["cases"]], one["more"]) == ([CASE], True)
    rest = json.loads(typed("review", "--data", data, "--json", "--after", CASE)[1])
    assert [case["case"] for case in rest["cases"]] == [OTHER]
    assert typed("review", "--data", data, "--after", "nonsense")[0] == 4


def test_review_without_a_token_suggests_a_reviewer_token(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENTRENOUS_GATE_TOKEN", raising=False)
    status, _, wrong = typed("review", "--gate", "http://127.0.0.1:1")
    assert (status, "reviewer add" in " ".join(wrong.split()), "operator" in wrong) == (
        2, True, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ({"minutes": 5}, "5 min ago"),
        ({"hours": 47}, "47 h ago"),
        ({"days": 3}, "3 days ago"),
        ({"minutes": -5}, "UTC"),
    ],
)
def test_review_shows_the_age_of_a_case(before: dict[str, int], said: str) -> None:
    at = datetime.now(UTC) - timedelta(**before)
    assert _arrival_in_words(at.isoformat()).endswith(said)


@pytest.mark.threat("reviewer-harm")
def test_review_shows_a_blurred_view_by_default(
    typed: Typed, data: Path, tmp_path: Path, her_picture: Any
) -> None:
    view, clear = tmp_path / "view.png", tmp_path / "clear.jpg"
    status, said, _ = typed("review", "--data", data, "--show", CASE, "--out", view)
    assert (status, "grey and blurred" in said) == (0, True)
    assert Image.open(io.BytesIO(view.read_bytes())).mode == "L"
    assert view.stat().st_mode & 0o777 == 0o600
    shown = typed("review", "--data", data, "--show", CASE, "--out", clear, "--clear", "--json")
    assert json.loads(shown[1]) == {
        "schema": "entrenous/gate-view/1", "case": CASE, "file": str(clear), "clear": True,
    }  # fmt: skip
    assert clear.read_bytes() == jpeg(her_picture)
    assert clear.stat().st_mode & 0o777 == 0o600
    rows = json.loads(typed("audit", "show", "--data", data, "--of", CASE, "--json")[1])["rows"]
    assert [(row["what"], row["details"]) for row in rows] == [
        ("upload seen", {"by": "operator", "as": "view"}),
        ("upload seen", {"by": "operator", "as": "bytes"}),
    ]


def test_review_overwrites_no_file_and_logs_no_view(
    typed: Typed, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "nowhere").symlink_to(tmp_path / "not there")
    for name in ("mine", "nowhere"):
        shown = typed("review", "--data", data, "--show", CASE, "--out", tmp_path / name)
        assert shown[0] == 3
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "not there").exists()
    assert "upload seen" not in typed("audit", "show", "--data", data)[1]


def test_review_errors_name_no_internal_address(typed: Typed, data: Path) -> None:
    (data / "gate.toml").write_text("confirmers = 2\n")
    decide = ("review", "--data", data, "--decide", CASE, "confirm")
    assert typed(*decide)[0] == 0
    status, _, wrong = typed(*decide)
    said = " ".join(wrong.split())
    assert (status, "Nothing was changed: the case waits for somebody else." in said) == (3, True)
    assert (str(data) in said, "127.0.0.1" in said) == (True, False)


def test_confirmation_without_effect_says_so(typed: Typed, data: Path) -> None:
    with open_platform(data) as (platform, _):
        platform.bank.withdraw(ClaimId("ab"))
    said = typed("review", "--data", data, "--decide", CASE, "confirm")[1]
    assert "No claim that it matches is left, so nothing follows" in said
    said = typed("review", "--data", data, "--decide", OTHER, "confirm")[1]
    assert "the same file is held again" in said


def test_two_reviewers_confirm_with_their_tokens(typed: Typed, data: Path, tmp_path: Path) -> None:
    (data / "gate.toml").write_text("confirmers = 2\n")
    for name in ("ana", "ben"):
        added = json.loads(typed("reviewer", "add", name, "--data", data, "--json")[1])
        (tmp_path / name).write_text(added["token"] + "\n")

    def decide(name: str, decision: str = "confirm", *more: str) -> tuple[int, str, str]:
        mine = ("--token-file", tmp_path / name)
        return typed("review", "--data", data, *mine, "--decide", CASE, decision, *more)

    status, said, _ = decide("ana")
    assert (status, "waits for a second person" in said) == (0, True)
    status, _, wrong = decide("ana")
    assert (status, "ana is already the first one" in " ".join(wrong.split())) == (3, True)
    listed = typed("review", "--data", data, "--token-file", tmp_path / "ana")[1]
    assert "1 that you confirmed wait for a second person." in listed
    seen = typed("review", "--data", data, "--token-file", tmp_path / "ben")[1]
    assert "ana confirmed it; a second person has to confirm it too" in seen
    done = json.loads(decide("ben", "confirm", "--json")[1])
    assert (done["state"], done["case"]) == ("confirmed", CASE)
    status, _, wrong = decide("ben", "release")
    assert (status, "already decided" in wrong) == (3, True)
    said = typed("audit", "show", "--data", data, "--of", CASE)[1]
    assert [line.split(" ", 2)[2] for line in said.splitlines()] == [
        f"case confirmed first: {CASE} by=ana",
        f"case confirmed: {CASE} also=0 by=ben first=ana",
    ]


def test_reviewers_are_listed_and_removed(typed: Typed, data: Path, tmp_path: Path) -> None:
    assert "Only the holder" in typed("reviewer", "list", "--data", data)[1]
    status, said, _ = typed("reviewer", "add", "ana", "--data", data)
    assert status == 0
    (token,) = [line.split()[-1] for line in said.splitlines() if "shown only now" in line]
    (tmp_path / "ana").write_text(token)
    assert not any(
        token.encode() in file.read_bytes() for file in data.rglob("*") if file.is_file()
    )
    listed = json.loads(typed("reviewer", "list", "--data", data, "--json")[1])
    assert [one["reviewer"] for one in listed["reviewers"]] == ["ana"]
    assert typed("reviewer", "add", "ana", "--data", data)[0] == 3
    assert typed("reviewer", "add", "operator", "--data", data)[0] == 7
    asked = ("review", "--data", data, "--token-file", tmp_path / "ana")
    assert "you are ana" in typed(*asked)[1]
    assert typed("reviewer", "remove", "ana", "--data", data)[0] == 0
    assert typed("reviewer", "remove", "ana", "--data", data)[0] == 4
    status, _, wrong = typed(*asked)
    assert (status, "does not accept this token" in wrong) == (5, True)


@pytest.mark.parametrize(
    "words",
    [
        (), ("--data", "x", "--gate", "http://127.0.0.1:1"), ("--data", "x", "--show", CASE),
        ("--data", "x", "--out", "y"), ("--data", "x", "--clear"),
        ("--data", "x", "--decide", CASE, "perhaps"),
        ("--data", "x", "--decide", CASE, "confirm", "--show", CASE, "--out", "y"),
    ],
)  # fmt: skip
def test_contradictory_review_options_are_refused(typed: Typed, words: tuple[str, ...]) -> None:
    assert typed("review", *words)[0] == 2


def test_decision_on_a_terminal_is_confirmed_first(
    typed: Typed, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a mistyped case would release another upload."""
    answers, asked = iter([False, True]), list[str]()

    def answered(question: str, **_: object) -> bool:
        asked.append(question)
        if next(answers):
            return True
        raise typer.Abort

    monkeypatch.setattr("typer.confirm", answered)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    status, _, shown = typed("review", "--data", data, "--decide", CASE, "release")
    assert (status, "people, 4 bits away, mirror" in shown) == (130, True)
    assert typed("review", "--data", data, "--decide", CASE, "release")[0] == 0
    assert asked == [f"Release case {CASE}?"] * 2
    status, _, wrong = typed("review", "--data", data, "--decide", CASE, "confirm")
    assert (status, "already decided" in wrong, len(asked)) == (3, True, 2)
    # a script is not asked
    assert typed("review", "--data", data, "--decide", OTHER, "confirm", "--json")[0] == 0


@pytest.mark.parametrize("case", ["no-such", "..", "a/b?c=d", "\u20ac {}"])
def test_unknown_case_is_reported(typed: Typed, data: Path, tmp_path: Path, case: str) -> None:
    out = tmp_path / "out"
    assert typed("review", "--data", data, "--decide", case, "confirm")[0] in {3, 4}
    assert typed("review", "--data", data, "--show", case, "--out", out)[0] in {3, 4}
    assert typed("review", "--data", data, "--show", OTHER, "--out", out)[0] == 4  # no view
    assert not out.exists()


@pytest.mark.real
def test_review_over_the_network(
    typed: Typed, data: Path, tmp_path: Path, her_picture: Any
) -> None:
    """A reviewer of a remote gate has its address and a token."""
    token = json.loads(typed("reviewer", "add", "ana", "--data", data, "--json")[1])["token"]
    (tmp_path / "ana").write_text(token)
    with start_gate(data, "--no-slow-look") as gate:
        where = ("review", "--gate", gate.url, "--token-file", tmp_path / "ana")
        assert "you are ana at this gate" in typed(*where)[1]
        assert typed(*where, "--show", CASE, "--out", tmp_path / "view.png")[0] == 0
        assert typed(*where, "--show", CASE, "--out", tmp_path / "clear", "--clear")[0] == 0
        assert (tmp_path / "clear").read_bytes() == jpeg(her_picture)
        assert "is released" in typed(*where, "--decide", CASE, "release")[1]
        assert gate.get_json(f"/v1/reviews/{CASE}")["state"] == "released"
    assert typed(*where)[0] == 6  # the gate has stopped
