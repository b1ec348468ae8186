"""Tests of the labels of copies: devices, current names, line breaks, and pseudonyms."""

import pytest

from entrenous.base.copies import Copy
from entrenous.base.identifiers import PersonId, RecipientId
from entrenous.base.secret import Secret
from entrenous.device.sent_copies import (
    current_labels,
    name_when_sent,
    pseudonymized_labels,
    values_by_label,
)

BEN, CARO = PersonId(b"b" * 32), PersonId(b"c" * 32)


def sent_copy(to: str, person: PersonId | None = None) -> Copy:
    return Copy(RecipientId(to), Secret(bytes(32)), bytes(32), person)


def test_further_devices_are_numbered() -> None:
    assert list(
        values_by_label(
            [sent_copy("ben"), sent_copy("caro"), sent_copy("ben"), sent_copy("ben")], range(4)
        )
    ) == [*("ben", "caro", "ben (device 2)", "ben (device 3)")]


def test_device_label_never_equals_another_persons_label() -> None:
    copies = [sent_copy("ben"), sent_copy("ben"), sent_copy("ben (device 2)"), sent_copy("ben")]
    assert values_by_label(copies, "abcd") == {
        "ben": "a",
        "ben (device 3)": "b",
        "ben (device 2)": "c",
        "ben (device 4)": "d",
    }


def test_copies_carry_current_names() -> None:
    """Since these copies were sent, Ben was renamed to "caro" and Caro to "ben"."""
    now = {BEN: "caro", CARO: "ben"}
    copies = [sent_copy("ben", BEN), sent_copy("caro", CARO), sent_copy("ben", BEN)]
    assert current_labels(copies, lambda person, label: now[person] if person else label) == {
        "ben": "caro",
        "caro": "ben",
        "ben (device 2)": "caro (device 2)",
    }


def test_old_label_with_line_breaks_is_shown_on_one_line() -> None:
    assert list(current_labels([sent_copy("ben\nIt is signed.")], name_when_sent).values()) == [
        "ben\ufffdIt is signed."
    ]


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ((), ["copy 1", "copy 2", "copy 3"]),
        (("copy 2",), ["copy 2", "copy 4", "copy 3"]),
        (("copy 2", "copy 4"), ["copy 2", "copy 5", "copy 4"]),
        (("Copy 2",), ["Copy 2", "copy 4", "copy 3"]),
    ],
)
def test_pseudonym_never_equals_a_label(named: tuple[str, ...], shown: list[str]) -> None:
    first = named[0] if named else "dina"
    third = named[1] if len(named) > 1 else "eva"
    assert pseudonymized_labels([first, "copy 1", third], named) == shown
