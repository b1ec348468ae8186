"""Importing lists of hashes into banks, and preparing the built-in banks."""

from pathlib import Path
from typing import Any

import pytest

from entrenous.base.identifiers import BankName
from entrenous.fingerprint.pdq import fingerprint
from entrenous.stop.banks import (
    bank_name_for_list,
    create_built_in_banks,
    import_hashes,
    read_hashes,
)
from entrenous.stop.judge.look_back import look_back_for_due_claims
from entrenous.stop.nouns import (
    PEOPLE_BANK,
    RELEASED_BANK,
    BadBankName,
    Bank,
    BankTakesNoLists,
    NoHashes,
)
from entrenous.stop.upload_record import Outcome
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload, picture

META_NEEDLES_FILE = Path(__file__).parents[3] / "shared/judges/pdq/reg-test-input/needles.txt"
LIST_BANK = BankName("listed")


def test_list_is_imported_and_bad_lines_are_reported(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    valid_hex = fingerprint(picture(her_picture)).hex
    text = (
        f"hash,note\n\n# a comment\n{valid_hex},one\nnonsense\n{valid_hex.upper()}\n{valid_hex}0\n"
    )
    imported = import_hashes(text, LIST_BANK, gate_setup.platform)
    assert (imported.accepted, imported.already) == (1, 1)
    assert [line for line, _ in imported.refused] == [5, 7]
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.HOLD


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lists_with_any_line_end_and_odd_lines_are_read(line_end: str) -> None:
    valid_hex = "0f" * 32
    odd = ('"' + valid_hex, "x" * 200_000, "a\0b", '"no end')
    hashes, refused = read_hashes(
        line_end.join(("hex", valid_hex, *odd, f'"{valid_hex}",note', valid_hex))
    )
    assert hashes == [bytes.fromhex(valid_hex)] * 4
    assert [line for line, _ in refused] == [4, 5, 6]


def test_importing_a_list_again_adds_claims_only_if_newly_confirmed(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    text = fingerprint(picture(her_picture)).hex + "\n" + "0f" * 32
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.LET_THROUGH
    for accepted in (2, 0, 0):
        imported = import_hashes(text, LIST_BANK, gate_setup.platform)
        assert (imported.accepted, imported.already) == (accepted, 2 - accepted)
    assert len(judge_upload(jpeg(her_picture), gate_setup.platform).matches) == 1
    again = import_hashes(text, LIST_BANK, gate_setup.platform, looks_back=True)
    assert (again.accepted, again.looked_back) == (0, 1)
    confirmed_import = import_hashes(text, LIST_BANK, gate_setup.platform, confirmed=True)
    assert (confirmed_import.accepted, confirmed_import.already) == (2, 0)
    assert judge_upload(jpeg(her_picture), gate_setup.platform).outcome is Outcome.REFUSE
    for confirmed in (True, False):  # a hash with a confirmed claim gets no further claim
        done = import_hashes(text, LIST_BANK, gate_setup.platform, confirmed=confirmed)
        assert (done.accepted, done.already) == (0, 2)


def test_look_back_is_due_for_an_imported_list(gate_setup: GateSetup, her_picture: Any) -> None:
    text = fingerprint(picture(her_picture)).hex
    judge_upload(jpeg(her_picture), gate_setup.platform)
    import_hashes(text, LIST_BANK, gate_setup.platform)
    assert gate_setup.platform.reviews.count_waiting_items() == 0
    assert look_back_for_due_claims(gate_setup.platform) == 1
    assert gate_setup.platform.reviews.count_waiting_items() == 1


def test_no_look_back_is_due_if_the_import_declines_it(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    text = fingerprint(picture(her_picture)).hex
    judge_upload(jpeg(her_picture), gate_setup.platform)
    import_hashes(text, LIST_BANK, gate_setup.platform, looks_back=False)
    assert look_back_for_due_claims(gate_setup.platform) == 0
    assert import_hashes(text, LIST_BANK, gate_setup.platform, looks_back=True).looked_back == 1
    assert look_back_for_due_claims(gate_setup.platform) == 0


def test_list_without_a_hash_adds_nothing(gate_setup: GateSetup) -> None:
    with pytest.raises(NoHashes, match="comments: 2"):
        import_hashes("nonsense\n\0\n", LIST_BANK, gate_setup.platform)
    assert LIST_BANK not in {bank.name for bank in gate_setup.platform.bank.banks()}
    assert import_hashes("# empty\n", LIST_BANK, gate_setup.platform).accepted == 0


def test_list_needs_an_existing_or_well_named_bank_that_is_not_built_in(
    gate_setup: GateSetup,
) -> None:
    """PEOPLE_BANK and RELEASED_BANK are built in, so they take no lists."""
    for name in (PEOPLE_BANK, RELEASED_BANK):
        with pytest.raises(BankTakesNoLists, match=name):
            bank_name_for_list(name, gate_setup.platform)
    for odd in ("", "a", "two words", "a\nb", "UPPER", "-a", "x" * 41, "bl\u00e4"):
        with pytest.raises(BadBankName):
            bank_name_for_list(odd, gate_setup.platform)
    gate_setup.platform.bank.set_bank(Bank(BankName("as_hma_has_it")))
    assert bank_name_for_list("as_hma_has_it", gate_setup.platform) == "as_hma_has_it"
    assert bank_name_for_list("from-elsewhere", gate_setup.platform) == "from-elsewhere"


def test_confirmed_list_refuses_uploads(gate_setup: GateSetup, her_picture: Any) -> None:
    valid_hex = fingerprint(picture(her_picture)).hex
    import_hashes(valid_hex, LIST_BANK, gate_setup.platform, confirmed=True)
    decision = judge_upload(jpeg(her_picture), gate_setup.platform)
    assert decision.outcome is Outcome.REFUSE
    assert decision.matches[0].bank == LIST_BANK


@pytest.mark.skipif(not META_NEEDLES_FILE.is_file(), reason="shared/judges/pdq is not here")
def test_meta_needles_are_imported_and_found(gate_setup: GateSetup) -> None:
    needles = META_NEEDLES_FILE.read_text().split()
    imported = import_hashes("\n".join(needles), LIST_BANK, gate_setup.platform)
    assert (imported.accepted, imported.refused) == (len(needles), ())
    near_hashes = gate_setup.platform.index.find_near_hashes(
        [bytes.fromhex(one) for one in needles], part=False
    )
    assert {near.query for near in near_hashes if near.distance == 0} == set(range(len(needles)))


def test_preparing_banks_keeps_their_policies(gate_setup: GateSetup) -> None:
    strict = Bank(PEOPLE_BANK, radius=20)
    gate_setup.platform.bank.set_bank(strict)
    create_built_in_banks(gate_setup.platform.bank)
    assert gate_setup.platform.bank.bank(PEOPLE_BANK) == strict
    assert gate_setup.platform.bank.bank(RELEASED_BANK).on_confirmed is Outcome.LET_THROUGH
