"""What commands print is in the person's language; what they print for scripts never is."""

import pytest

from entrenous.base.language import PSEUDO, speaking, translated
from entrenous.cli import run

SHOWN = (
    ("help", "--place", "Germany"),
    ("case", "platform", "instagram"),
    ("law", "routes", "--place", "DE", "--what", "public"),
    ("law", "deadline", "eu-gdpr-17", "--event", "received=2026-02-20", "--country", "DE"),
)


@pytest.mark.parametrize("command", SHOWN, ids=" ".join)
def test_json_does_not_depend_on_the_language(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for tag in ("en", "de", PSEUDO):
        with speaking(tag):
            run([*command, "--json"], {})
            said.append(capsys.readouterr().out)
            assert translated("Send") != "Send" or tag == "en"
    assert said[0].startswith("{")
    assert said[0] == said[1] == said[2]
