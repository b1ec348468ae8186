"""Tests of ``trace --explain`` and ``verdict``: output, refusals and exit statuses."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from entrenous.cli import run
from entrenous.terminal.session import EXIT_USAGE_ERROR, EXIT_YES
from tests.trace.traced_leak import coffee_photo, crop_jpeg, encode_jpeg
from tests.vaults import make_vaults_open_quickly

pytestmark = pytest.mark.slow

PASSPHRASE = "four or five unrelated words"


def run_command(*arguments: object) -> int:
    return run([str(one) for one in arguments], {})


@pytest.fixture
def leak_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a photo, its marked copies and a leak of the second copy."""
    make_vaults_open_quickly(monkeypatch)
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", PASSPHRASE)
    monkeypatch.delenv("ENTRENOUS_DEBUG", raising=False)
    (tmp_path / "photo.jpg").write_bytes(encode_jpeg(coffee_photo(), 95))
    assert run_command("setup", "--name", "ana", "--offline") == EXIT_YES
    people = [word for name in ("ben", "caro") for word in ("--to", name)]
    assert (
        run_command("mark", tmp_path / "photo.jpg", *people, "--out", tmp_path / "copies")
        == EXIT_YES
    )
    (copy,) = (tmp_path / "copies").glob("*-2.jpg")
    (tmp_path / "leak.jpg").write_bytes(crop_jpeg(copy.read_bytes(), 75))
    return tmp_path


def read_json_output(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_leak_is_traced_disclosed_and_checked(
    leak_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leak, out, original = (
        leak_folder / "leak.jpg",
        leak_folder / "out",
        leak_folder / "original.jpg",
    )
    capsys.readouterr()
    assert run_command("trace", leak, "--explain", out, "--disclose", "--json") == EXIT_YES
    found = read_json_output(capsys)
    assert found["named"] == ["caro"]
    assert found["likelihood_ratio"]["caro"] > 1e6
    assert {file.name for file in out.iterdir()} == {"trace.html", "trace.pdf", "report.json"}
    assert all(file.stat().st_mode & 0o077 == 0 for file in out.iterdir())
    assert "made for caro" in (out / "trace.html").read_text()

    again = (
        "verdict",
        "disclose",
        1,
        "--leak",
        leak,
        "--out",
        leak_folder / "second.json",
        "--blind",
    )
    assert run_command(*again, "--with-original", original, "--json") == EXIT_YES
    made = read_json_output(capsys)
    assert (made["finding"], made["named"]) == ("one", ["caro"])
    assert original.read_bytes() == (leak_folder / "photo.jpg").read_bytes()

    files = ("--leak", leak, "--original", original)
    copy = next((leak_folder / "copies").glob("*-1.jpg"))
    assert (
        run_command("verdict", "check", out / "report.json", *files, "--copy", copy, "--json")
        == EXIT_YES
    )
    checked = read_json_output(capsys)
    assert checked["holds"]
    assert (checked["copy_of"], checked["copy_of_one_of"]) == ("ben", ["ben"])
    assert checked["named"] == ["caro"]

    assert run_command("verdict", "check", leak_folder / "second.json", *files) == EXIT_YES
    output = capsys.readouterr().out
    assert "The report holds" in output
    assert "made for caro" in output
    assert "she can make every copy" in output
    assert "copy for ben" not in output
    assert (
        run_command("verdict", "check", leak_folder / "second.json", *files, "--copy", copy)
        == EXIT_YES
    )
    output = capsys.readouterr().out
    assert "the one that the report lists for copy 1.\n  The finding does not name this" in output

    assert run_command("verdict", "check", out / "report.json", "--leak", copy, *files[2:]) == 5
    out_text, err_text = capsys.readouterr()
    assert out_text == ""
    assert "the found file" in err_text
    (leak_folder / "bad.json").write_bytes(
        (out / "report.json").read_bytes().replace(b'"caro"', b'"ann"')
    )
    assert run_command("verdict", "check", leak_folder / "bad.json", *files) == 7


def test_check_says_of_identical_copies_whether_the_finding_names_them(
    leak_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = leak_folder / "plain.webp"
    Image.new("RGB", (128, 96)).save(plain, "WEBP", quality=30)
    copy = _mark_until_copies_are_identical(plain)
    run_command("trace", copy)
    report = leak_folder / "plain.json"
    assert run_command("verdict", "disclose", 1, "--leak", copy, "--out", report) == EXIT_YES
    capsys.readouterr()
    files = ("--leak", copy, "--original", plain, "--copy", copy)
    assert run_command("verdict", "check", report, *files) == EXIT_YES
    output = capsys.readouterr().out
    assert "the same file as each of these copies in the report: ben, caro" in output
    assert "The finding does not name this copy" in output


def _mark_until_copies_are_identical(picture: Path) -> Path:
    """Mark a plain picture for two people, and return one copy. In nine of ten tries, the
    encoder makes both copies identical files.
    """
    for attempt in range(8):
        copies = picture.with_name(f"plain-{attempt}")
        people = ("--to", "ben", "--to", "caro")
        assert run_command("mark", picture, *people, "--out", copies) == EXIT_YES
        one, other = sorted(copies.glob("*.webp"))
        if one.read_bytes() == other.read_bytes():
            return one
    pytest.fail("the copies of the plain picture differ in every try")


def test_missing_or_damaged_original_is_not_blamed_on_the_relay(
    leak_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("trace", leak_folder / "leak.jpg") == EXIT_YES
    (file,) = (leak_folder / "home" / "files").iterdir()
    disclosed = (
        "verdict",
        "disclose",
        1,
        "--leak",
        leak_folder / "leak.jpg",
        "--out",
        leak_folder / "new.json",
    )
    for spoil, code in ((lambda: file.write_bytes(b"spoilt"), 5), (file.unlink, 4)):
        spoil()
        capsys.readouterr()
        assert run_command(*disclosed) == code
        output = capsys.readouterr().err
        assert ", which this device stored" in output
        assert "elay" not in output
        assert not (leak_folder / "new.json").exists()


def test_existing_files_are_not_overwritten(
    leak_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (leak_folder / "out").mkdir()
    (leak_folder / "out" / "trace.pdf").write_text("something else")
    assert run_command("trace", leak_folder / "leak.jpg", "--explain", leak_folder / "out") == 3
    assert [file.name for file in (leak_folder / "out").iterdir()] == ["trace.pdf"]
    assert "trace.pdf" in capsys.readouterr().err


def test_explain_options_need_explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--blind", "--veil", "--disclose"):
        assert run_command("trace", tmp_path / "leak.jpg", option) == EXIT_USAGE_ERROR
        assert "--explain" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "advice"), [(1, "entrenous verdict disclose"), (3, "Update Entrenous: ")]
)
def test_report_of_another_version_gets_its_own_message(
    tmp_path: Path, version: int, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report, file = tmp_path / "report.json", tmp_path / "leak.jpg"
    report.write_text(json.dumps({"schema": f"entrenous/verdict-report/{version}"}))
    file.write_bytes(b"not looked at")
    assert run_command("verdict", "check", report, "--leak", file, "--original", file) == 7
    output = " ".join(capsys.readouterr().err.split())
    assert f"in format version {version}; the version that you are using reads" in output
    assert advice in output
    assert "whoever sent it" not in output


def test_a_check_needs_no_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "none"))
    (tmp_path / "report.json").write_text("{}")
    picture = io.BytesIO()
    coffee_photo().save(picture, "PNG")
    (tmp_path / "a.png").write_bytes(picture.getvalue())
    files = ("--leak", tmp_path / "a.png", "--original", tmp_path / "a.png")
    assert run_command("verdict", "check", tmp_path / "report.json", *files) == 7
    assert "cannot read this verdict report" in capsys.readouterr().err
    assert run_command("verdict", "check", tmp_path / "missing.json", *files) == 4
