"""Tests of ``case platform``, and of platforms in the output of other commands."""

import io
import json
import sys
from pathlib import Path

import pytest

from entrenous.cli import run
from tests.respond.commands.conftest import Cli
from tests.respond.rdap_server import DOMAIN_ANSWER, NETWORK_ANSWER, run_rdap_server


@pytest.fixture
def missing_vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("ENTRENOUS_HOME", str(home))
    monkeypatch.delenv("ENTRENOUS_PASSPHRASE", raising=False)
    return home


def run_platform_command(
    capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0
) -> str:
    capsys.readouterr()
    assert run(["case", "platform", *arguments], {}) == status
    return capsys.readouterr().out


def test_platform_is_shown_without_vault_or_passphrase(
    missing_vault: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = run_platform_command(capsys, "Whats App")
    assert output.startswith("WhatsApp")
    assert "read on 2026-11-29" in output
    assert not missing_vault.exists()


def test_json_has_the_record_and_its_source(
    missing_vault: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads(run_platform_command(capsys, "https://x.com/a/status/1", "--json"))
    assert record["schema"] == "entrenous/platform/1"
    assert (record["known"], record["id"]) == (True, "x")
    assert record["account_needed"] is False
    assert record["source"].startswith("https://help.x.com/")
    assert record["read_on"] == "2026-11-30"
    assert record["steps"]["answers"]
    assert not missing_vault.exists()


@pytest.mark.usefixtures("missing_vault")
def test_list_names_at_least_40_platforms(capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(run_platform_command(capsys, "--json"))
    assert listed["schema"] == "entrenous/platforms/1"
    assert len(listed["platforms"]) >= 40
    assert "instagram: Instagram" in run_platform_command(capsys)


@pytest.mark.usefixtures("missing_vault")
def test_unknown_site_gets_general_advice_and_an_unknown_name_is_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = run_platform_command(capsys, "https://instagram.com.evil.example/p/1")
    assert output.startswith("There is no record of this site here.")
    assert (
        json.loads(run_platform_command(capsys, "https://pics.example", "--json"))["known"] is False
    )
    run_platform_command(capsys, "nonesuch", status=4)


@pytest.mark.usefixtures("missing_vault")
def test_address_is_read_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("https://t.me/channel/5\n"))
    assert run_platform_command(capsys, "-").startswith("Telegram")


def test_case_names_the_platform_and_fills_the_form_in(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    name = cli("case", "open", "--adults", "--place", "DE", "--intimate")["case"]
    added = cli("case", "add", name, "--url", "https://www.instagram.com/p/1")
    assert added["sightings"][0]["platform"] == "instagram"
    record = cli("case", "platform", "instagram", "--case", name)
    assert record["steps"]["answers"][0]["paste"] == "https://www.instagram.com/p/1"
    capsys.readouterr()
    assert run(["case", "add", name, "--url", "https://www.tumblr.com/a/7"], {}) == 0
    output = capsys.readouterr().out
    assert "https://www.tumblr.com/abuse/privacy" in output
    assert "Where it goes (sighting 2): Tumblr." in output
    assert output.rstrip().splitlines()[-1].startswith("next: ")


def test_steps_for_a_site_name_only_the_sightings_on_this_site(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    name = cli("case", "open", "--adults", "--place", "DE", "--intimate")["case"]
    for site in ("a-site.example", "b-site.example"):
        capsys.readouterr()
        assert run(["case", "add", name, "--url", f"https://{site}/1"], {}) == 0
        steps = capsys.readouterr().out.partition("how to report it")[2]
        assert f"https://{site}/1" in steps
    assert "a-site.example" not in steps
    steps = cli("case", "platform", "a-site.example", "--case", name)["steps"]
    assert steps["answers"][0]["paste"] == "https://a-site.example/1"
    assert "b-site.example" not in str(steps)
    assert f"entrenous case platform ADDRESS --case {name}" in str(steps["text"])


@pytest.mark.usefixtures("missing_vault")
def test_pasted_whois_gives_the_abuse_address_if_it_has_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whois = "Registrar Abuse Contact Email: abuse@registrar.example\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(whois))
    output = run_platform_command(capsys, "https://pics.example/1", "--pasted", "-")
    assert "Registrar, who can only take away the whole name: abuse@registrar.example" in output
    record = json.loads(
        run_platform_command(capsys, "pics.example", "--pasted", "no address", "--json")
    )
    assert record["looked_up"]["contacts"] == []
    assert "no abuse address" in record["looked_up"]["notes"][0]


@pytest.mark.usefixtures("missing_vault")
def test_nothing_is_looked_up_without_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    """Sockets are disabled in this test, and a look-up would need one."""
    output = run_platform_command(capsys, "https://pics.example/1")
    assert "entrenous case platform https://pics.example/1 --look-up" in output
    assert json.loads(run_platform_command(capsys, "pics.example", "--json"))["looked_up"] is None


@pytest.mark.real
@pytest.mark.usefixtures("missing_vault")
def test_look_up_finds_abuse_addresses_and_says_what_the_registries_see(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with run_rdap_server() as server:
        server.set_server_lists()
        server.set_answer("/rdap/domain/pictures.example", DOMAIN_ANSWER)
        server.set_answer("/rdap/ip/8.8.8.8", NETWORK_ANSWER)
        capsys.readouterr()
        site = ("https://maria.pictures.example/1", "--look-up", "--address", "8.8.8.8")
        assert run(["case", "platform", *site, "--lists", server.url, "--json"], {}) == 0
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert [one["emails"] for one in record["looked_up"]["contacts"]] == [
        ["abuse@host.example"],
        ["abuse@registrar.example"],
    ]
    assert "pictures.example" in captured.err
    assert "your network address" in captured.err
    assert not any("maria" in path for path in server.requested_paths)
    with run_rdap_server() as server:
        run_platform_command(capsys, *site, "--lists", server.url, status=6)


@pytest.mark.usefixtures("missing_vault")
@pytest.mark.parametrize("address", ["192.168.1.1", "nonsense", "127.0.0.1", "fe80::1"])
def test_address_that_is_not_public_is_refused(
    capsys: pytest.CaptureFixture[str], address: str
) -> None:
    capsys.readouterr()
    site = ("https://pictures.example/1", "--look-up", "--yes", "--address", address)
    assert run(["case", "platform", *site], {}) == 2
    assert "not the IP address of a public site" in " ".join(capsys.readouterr().err.split())


@pytest.mark.usefixtures("missing_vault")
def test_steps_name_the_command_that_shows_a_platforms_form(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ("--place", "GB", "--what", "public", "--platform", "tiktok", "--intimate", "--all")
    assert run(["law", "routes", *options], {}) == 0
    lines = capsys.readouterr().out.splitlines()
    to = lines.index("   To: https://www.tiktok.com/legal/report/feedback")
    assert lines[to + 1] == "   What it asks, in its order: entrenous case platform tiktok"
    assert "   What it asks, in its order: entrenous case platform google_search" in lines


def test_routes_of_a_case_begin_with_the_platform(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    name = cli("case", "open", "--adults", "--place", "GB", "--intimate")["case"]
    cli("case", "add", name, "--url", "https://vm.tiktok.com/abc")
    capsys.readouterr()
    assert run(["law", "routes", name], {}) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("  Where it goes (sighting 1): TikTok.")
    assert line.endswith(f"entrenous case platform tiktok --case {name}")


def test_under_18_case_shows_no_form(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    name = cli("case", "open", "--adults", "--place", "GB")["case"]
    cli("case", "add", name, "--url", "https://www.instagram.com/p/1")
    cli("case", "about", name, "--under-18", status=3)
    cli("case", "platform", "instagram", "--case", name, status=3)
    capsys.readouterr()
    assert run(["case", "show", name], {}) == 0
    assert "Where it goes" not in capsys.readouterr().out


@pytest.mark.usefixtures("missing_vault")
def test_look_up_of_a_platforms_name_asks_for_a_web_address(
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    assert run(["case", "platform", "instagram", "--look-up"], {}) == 4
    told = " ".join(capsys.readouterr().err.split())
    assert "instagram is the name of a platform, and --look-up needs a web address" in told
    assert run(["case", "platform", "no-such-platform", "--look-up"], {}) == 4
    assert "no record of a platform called no-such-platform" in capsys.readouterr().err
