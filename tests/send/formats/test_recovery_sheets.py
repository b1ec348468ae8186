"""Tests of writing and reading recovery sheets, and of detecting typing errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import MailboxId, PersonId
from entrenous.base.secret import Secret
from entrenous.device.recovery_sheet import NotARecoverySheet, RecoverySheet
from entrenous.send.formats.identity_formats import read_sheet, write_sheet


def bytes_strategy(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


recovery_sheets = st.builds(
    RecoverySheet,
    bytes_strategy(32).map(PersonId),
    bytes_strategy(64).map(Secret),
    st.just("https://relay.example"),
    bytes_strategy(16).map(MailboxId),
    bytes_strategy(32).map(Secret),
    bytes_strategy(64).map(Secret),
)
SHEET = RecoverySheet(
    PersonId(b"p" * 32),
    Secret(b"m" * 64),
    "https://relay.example",
    MailboxId(b"M" * 16),
    Secret(b"c" * 32),
    Secret(b"o" * 64),
)
SHEET_TEXT = write_sheet(SHEET)


@given(recovery_sheets)
def test_a_recovery_sheet_is_read_back(sheet: RecoverySheet) -> None:
    text = write_sheet(sheet)
    assert read_sheet(text) == sheet
    assert read_sheet("Keep this apart.\n\n" + text.replace("\n", "\r\n  ")) == sheet
    assert max(map(len, text.splitlines())) <= 85


@given(st.integers(21, len(SHEET_TEXT) - 2), st.sampled_from("AQgw0-_"))
def test_one_wrong_character_in_a_sheet_is_detected(position: int, wrong: str) -> None:
    if SHEET_TEXT[position] in ("\n", wrong):
        return
    with pytest.raises(NotARecoverySheet, match="character"):
        read_sheet(SHEET_TEXT[:position] + wrong + SHEET_TEXT[position + 1 :])


@given(st.integers(0, len(SHEET_TEXT) - 2))
def test_truncated_sheet_is_refused(length: int) -> None:
    with pytest.raises(NotARecoverySheet):
        read_sheet(SHEET_TEXT[:length])


@given(st.text(max_size=300) | st.text(max_size=99).map("entrenous-recovery:2:".__add__))
def test_random_text_is_refused_as_a_sheet(noise: str) -> None:
    with pytest.raises(NotARecoverySheet):
        read_sheet(noise)


def test_an_invalid_sheet_is_not_written() -> None:
    with pytest.raises(ValueError, match="length"):
        RecoverySheet(SHEET.person, Secret(b"m"), "", SHEET.mailbox, SHEET.close, SHEET.output)
    with pytest.raises(ValueError, match="specification"):
        write_sheet(
            RecoverySheet(
                *(SHEET.person, SHEET.master, "no address"),
                *(SHEET.mailbox, SHEET.close, SHEET.output),
            )
        )


def test_a_sheets_repr_shows_no_secret() -> None:
    assert "mmmm" not in repr(SHEET)
