"""Tests of reading and refusing lists of labels (names of recipients), typed or in a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.copies import (
    BadLabel,
    DuplicateLabel,
    NoLabelsGiven,
    NotALabelList,
    TooManyLabels,
    parse_label_file,
    parse_labels,
)
from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import RecipientId
from entrenous.base.limits import LABEL_CHARS_MAX, LABELS_MAX

label_texts = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=30
).filter(lambda name: name.strip() != "")


@pytest.mark.parametrize(
    "text",
    [
        b"ana\nben\ncaro\n",
        b"ana\nben\ncaro",
        b"\xef\xbb\xbfana\r\nben\r\ncaro\r\n",
        b"ana\rben\rcaro",
        b"\n\n  ana  \n\n\t\nben\n   \ncaro\n\n",
    ],
)
def test_line_ends_blanks_and_a_byte_order_mark_make_no_difference(text: bytes) -> None:
    assert parse_label_file(text) == ("ana", "ben", "caro")


@given(st.lists(label_texts, min_size=1, max_size=8), st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
def test_typed_labels_can_also_be_read_from_a_file(labels_given: list[str], line_end: str) -> None:
    labels = parse_labels(labels_given)
    assert parse_label_file(line_end.join(labels).encode()) == labels


@pytest.mark.slow
@given(st.binary(max_size=200))
def test_any_bytes_are_a_label_list_or_a_named_error(data: bytes) -> None:
    try:
        labels = parse_label_file(data)
    except EntrenousError as refused:
        assert "othing was marked" in " ".join(str(refused).split())  # noqa: PT017
    else:
        assert 0 < len(labels) == len(set(labels))
        assert all(0 < len(label) <= LABEL_CHARS_MAX for label in labels)


def test_repeated_label_is_reported_with_both_lines() -> None:
    with pytest.raises(DuplicateLabel, match=r"ana is on line 2 and again on line 5"):
        parse_label_file(b"\nana\nben\n\n ana \n")


def test_equivalent_unicode_forms_are_one_label() -> None:
    with pytest.raises(DuplicateLabel):
        parse_label_file("Ren\u00e9\nRene\u0301\n".encode())


def test_invalid_label_is_reported_by_line_number_only() -> None:
    for bad in ("x" * (LABEL_CHARS_MAX + 1), "a\x1b[2Jb", "a\tb", "\u202eanna"):
        with pytest.raises(BadLabel, match="line 2") as error:
            parse_label_file(f"ana\n{bad}\n".encode())
        assert bad not in str(error.value)


@pytest.mark.parametrize("text", ["ana\n".encode("utf-16"), b"\xff\xd8\xff\xe0", b"Ren\xe9\n"])
def test_label_file_must_be_utf8(text: bytes) -> None:
    with pytest.raises(NotALabelList, match="UTF-8"):
        parse_label_file(text)


def test_empty_label_file_is_refused() -> None:
    for text in (b"", b"\n \r\n", b"\xef\xbb\xbf"):
        with pytest.raises(NoLabelsGiven, match="--to-file"):
            parse_label_file(text)


def test_more_than_ten_thousand_labels_are_refused() -> None:
    everybody = [f"person {number}" for number in range(LABELS_MAX)]
    assert len(parse_label_file("\n".join(everybody).encode())) == LABELS_MAX
    one_more = [*everybody, "and one more"]
    with pytest.raises(TooManyLabels, match="10,001"):
        parse_label_file("\n".join(one_more).encode())
    with pytest.raises(TooManyLabels):
        parse_labels(one_more)
    with pytest.raises(NotALabelList):
        parse_label_file(b"\n" * 10_000_000)


def test_repeated_typed_label_counts_once() -> None:
    assert parse_labels(["ben", "ana", " ben "]) == (RecipientId("ben"), RecipientId("ana"))


@pytest.mark.parametrize("blank_label", ["", "  "])
def test_blank_label_is_reported_as_an_empty_text(blank_label: str) -> None:
    with pytest.raises(BadLabel, match="An empty text is not a valid name"):
        parse_labels(["ben", blank_label])
