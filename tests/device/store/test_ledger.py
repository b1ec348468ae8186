"""Tests of the ledger, in memory and in SQLCipher: sent messages, traces and picture records."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.copies import Copy
from entrenous.base.identifiers import BlobId, MessageId, MessageName, RecipientId
from entrenous.base.picture import Picture, PictureEncoding, PictureFormat
from entrenous.base.secret import Secret
from entrenous.device.device import Vault
from entrenous.device.sent_messages import Message, SentClip, SentPicture, UnknownMessage
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.device.vault_tables import pack
from entrenous.fingerprint import picture_record
from entrenous.fingerprint.nouns import Fingerprint
from entrenous.fingerprint.pdq import fingerprint
from entrenous.fingerprint.picture_record import make_picture_record
from entrenous.watermark.verdict import Finding, Trace, Verdict
from tests.in_memory.vault import MemoryVault

pytestmark = pytest.mark.slow

KEY = Secret(bytes(32))
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def cache_picture_records() -> Iterator[None]:
    """Compute the record of each picture only once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_record, "make_picture_record", cache(make_picture_record))
        yield


@pytest.fixture(params=["memory", "sqlcipher"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Vault]:
    if request.param == "memory":
        yield MemoryVault()
        return
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        yield vault


@pytest.fixture
def ledger(vault: Vault) -> VaultLedger:
    return VaultLedger(vault)


def make_message(number: int, *pictures: SentPicture, after: timedelta = timedelta()) -> Message:
    return Message(
        id=MessageId(bytes([255 - number]) * 16),
        name=MessageName(f"{number}-lunar-otter"),
        sent_at=NOON + after,
        pictures=pictures or (make_picture(0),),
        caption="at the beach",
        expires_at=NOON + timedelta(days=30),
    )


def make_picture(ones: int) -> SentPicture:
    """Return a picture whose fingerprint begins with this many bits of value 1."""
    bits = ((1 << ones) - 1) << (256 - ones)
    print_ = Fingerprint("pdq", bits.to_bytes(32, "big"), 100)
    copy = Copy(RecipientId("ben"), Secret(b"s" * 32), b"h" * 32)
    return SentPicture(BlobId(bytes([ones]) * 16), print_, Secret(b"d" * 32), (copy,), 640)


def make_trace(number: int) -> Trace:
    verdict = Verdict(Finding.NOBODY, (), {RecipientId("ben"): 0.5}, {RecipientId("ben"): 0.1})
    return Trace(number, NOON, b"l" * 32, verdict, None, None)


def test_forgetting_a_message_deletes_no_other(ledger: VaultLedger) -> None:
    one, other = make_message(1), make_message(2)
    for message in (one, other):
        ledger.store_message(message)
    for _ in range(2):
        ledger.delete_message(one.id)
        assert list(ledger.messages()) == [other]


def test_messages_come_back_whole_and_oldest_first(ledger: VaultLedger) -> None:
    new, old = (
        make_message(1, make_picture(3), make_picture(4), after=timedelta(hours=1)),
        make_message(2),
    )
    for message in (new, old):
        ledger.store_message(message)
    assert list(ledger.messages()) == [old, new]


def test_messages_with_clips_omits_messages_without_clips(ledger: VaultLedger) -> None:
    clip = SentClip(BlobId(b"o" * 16), BlobId(b"v" * 16), Secret(b"d" * 32), (), 320, 240, 3.0)
    copy = Copy(RecipientId("ben"), Secret(b"s" * 32), b"h" * 32)
    new, old = (
        replace(
            make_message(number),
            sent_at=NOON + timedelta(hours=3 - number),
            pictures=(),
            clips=(clip,),
        )
        for number in (1, 2)
    )
    for message in (new, make_message(3), old):
        ledger.store_message(message)
    ledger.put_copy_batch(new.id, 0, 0, (copy,))
    whole = replace(new, clips=(replace(clip, copies=(copy,)),))
    assert list(ledger.messages_with_clips()) == [old, whole]


def test_trace_record_without_later_fields_is_read(vault: Vault, ledger: VaultLedger) -> None:
    fields = msgspec.msgpack.decode(pack(make_trace(1)))
    for later in ("lost", "others", "compared", "span"):
        del fields[later]
    vault.put("trace", "00000001", msgspec.msgpack.encode(fields))
    assert ledger.traces() == (make_trace(1),)


def test_a_message_is_replaced_under_its_id(ledger: VaultLedger) -> None:
    ledger.store_message(make_message(1))
    changed = replace(make_message(1), caption=None)
    ledger.store_message(changed)
    assert list(ledger.messages()) == [changed]


def test_a_message_is_found_by_its_exact_name_only(ledger: VaultLedger) -> None:
    ledger.store_message(make_message(1))
    assert ledger.message_named("1-lunar-otter") == make_message(1)
    for wrong in ("2-lunar-otter", "lunar-otter", "1-LUNAR-OTTER", ""):
        with pytest.raises(UnknownMessage):
            ledger.message_named(wrong)


def names_found_by_reading_all(ledger: VaultLedger, name: str) -> set[str]:
    """Read every message, and return the message names with the same words as ``name``."""
    words = name.split("-", 1)[1]
    return {one.name for one in ledger.messages() if one.name.split("-", 1)[1] == words}


def test_names_with_the_same_words_are_found(ledger: VaultLedger) -> None:
    other = replace(make_message(3), name=MessageName("3-lunar-otters"))
    for message in (make_message(1), make_message(12), other):
        ledger.store_message(message)
    assert ledger.names_with_same_words("7-lunar-otter") == {"1-lunar-otter", "12-lunar-otter"}
    assert ledger.names_with_same_words("7-lunar-otters") == {other.name}
    assert ledger.names_with_same_words("7-solar-otter") == set()


def test_name_of_a_rolled_back_message_is_free(vault: Vault, ledger: VaultLedger) -> None:
    with contextlib.suppress(KeyError), vault.transaction():
        ledger.store_message(make_message(1))
        ledger.names_with_same_words("1-lunar-otter")
        raise KeyError
    assert ledger.names_with_same_words("1-lunar-otter") == set()


MESSAGE_NUMBERS = st.integers(1, 4)
LEDGER_STEPS = st.one_of(
    st.tuples(
        st.just("record"),
        MESSAGE_NUMBERS,
        st.sampled_from(["lunar-otter", "solar-otter"]),
        MESSAGE_NUMBERS,
    ),
    st.tuples(st.just("forget"), MESSAGE_NUMBERS, st.none(), st.none()),
    st.tuples(st.just("look"), st.none(), st.none(), st.none()),
)


@given(st.lists(LEDGER_STEPS, max_size=12))
def test_names_with_same_words_agree_with_reading_all_messages(
    steps: list[tuple[str, int, str, int]],
) -> None:
    """Random steps may rename a message or give several messages the same name."""
    ledger = VaultLedger(MemoryVault())
    for step, number, words, name_number in steps:
        if step == "record":
            ledger.store_message(
                replace(make_message(number), name=MessageName(f"{name_number}-{words}"))
            )
        elif step == "forget":
            ledger.delete_message(make_message(number).id)
        else:
            assert ledger.names_with_same_words("1-lunar-otter") == names_found_by_reading_all(
                ledger, "1-lunar-otter"
            )
    for name in ("1-lunar-otter", "1-solar-otter"):
        assert ledger.names_with_same_words(name) == names_found_by_reading_all(ledger, name)


def sample_photo(name: str) -> Picture:
    pixels = np.asarray(getattr(skimage.data, name)())[:300, :300]
    height, width, _ = pixels.shape
    return Picture(width, height, pixels.tobytes(), PictureEncoding(PictureFormat.PNG))


def mirror_and_crop(whole: Picture) -> Picture:
    """Return a mirrored crop of less than half of the picture."""
    pixels = np.ascontiguousarray(np.asarray(whole)[60:260, 80:290][:, ::-1])
    return Picture(210, 200, pixels.tobytes(), PictureEncoding(PictureFormat.PNG))


PHOTO_NAMES = ("astronaut", "coffee", "cat")
#: Picture searches are slow. Without ``nightly``, these tests run only on the SQLCipher vault.
PICTURE_SEARCH_VAULTS = pytest.mark.parametrize(
    "vault", [pytest.param("memory", marks=pytest.mark.nightly), "sqlcipher"], indirect=True
)


def store_three_pictures(ledger: VaultLedger) -> list[Message]:
    """Store three messages of one photograph each, with picture records, and return them."""
    messages = [make_message(number, make_picture(number)) for number in range(3)]
    for message, name in zip(messages, PHOTO_NAMES, strict=True):
        ledger.store_message(message)
        ledger.store_picture_record(message.id, 0, sample_photo(name))
    return messages


@PICTURE_SEARCH_VAULTS
def test_mirrored_crop_is_nearest_to_its_original(ledger: VaultLedger) -> None:
    messages = store_three_pictures(ledger)
    assert ledger.pictures_without_record() == ()
    for message, name in zip(messages, PHOTO_NAMES, strict=True):
        first, *others = ledger.pictures_to_compare(mirror_and_crop(sample_photo(name)))
        assert (first.message, first.place) == (message.id, 0)
        assert first.is_likely
        assert not any(one.is_likely for one in others)
        assert {one.message for one in others} == {m.id for m in messages} - {message.id}


@PICTURE_SEARCH_VAULTS
def test_picture_sent_twice_has_one_record_in_two_messages(ledger: VaultLedger) -> None:
    store_three_pictures(ledger)
    again = make_message(9, make_picture(3), make_picture(4))
    ledger.store_message(again)
    ledger.store_picture_record(again.id, 1, sample_photo("coffee"))
    first, second, *others = ledger.pictures_to_compare(sample_photo("coffee"))
    assert first.look == second.look
    assert {(first.message, first.place), (second.message, second.place)} == {
        (make_message(1).id, 0),
        (again.id, 1),
    }
    assert first.look not in {one.look for one in others}


def test_pictures_without_a_record_are_compared_beside_one_with_a_record(
    vault: Vault, ledger: VaultLedger
) -> None:
    """Computing the records of a message may be interrupted after its first picture."""
    message = make_message(1, make_picture(1), make_picture(2), make_picture(3))
    ledger.store_message(message)
    ledger.store_picture_record(message.id, 0, sample_photo("coffee"))
    assert ledger.pictures_without_record() == ((message.id, 1), (message.id, 2))
    compared = VaultLedger(vault).pictures_to_compare(sample_photo("coffee"))
    assert {(one.place, one.learnt) for one in compared} == {(0, True), (1, False), (2, False)}


@PICTURE_SEARCH_VAULTS
def test_existing_picture_record_works_like_a_computed_one(ledger: VaultLedger) -> None:
    ledger.store_message(make_message(1))
    assert ledger.pictures_without_record() == ((make_message(1).id, 0),)
    assert ledger.picture_record(make_message(1).id, 0) is None
    ledger.store_existing_picture_record(
        make_message(1).id, 0, make_picture_record(sample_photo("coffee"))
    )
    assert ledger.picture_record(make_message(1).id, 0) == make_picture_record(
        sample_photo("coffee")
    )
    assert ledger.pictures_without_record() == ()
    (similar_picture,) = ledger.pictures_to_compare(mirror_and_crop(sample_photo("coffee")))
    assert similar_picture.is_likely


@PICTURE_SEARCH_VAULTS
def test_picture_record_is_deleted_with_its_message(ledger: VaultLedger) -> None:
    _, coffee, _ = store_three_pictures(ledger)
    ledger.delete_message(coffee.id)
    assert coffee.id not in {
        one.message for one in ledger.pictures_to_compare(sample_photo("coffee"))
    }
    ledger.store_message(coffee)
    assert ledger.pictures_without_record() == ((coffee.id, 0),)


def test_pictures_without_a_record_are_found_by_fingerprint(
    ledger: VaultLedger,
) -> None:
    found = sample_photo("astronaut")
    turned = Picture(300, 300, np.rot90(np.asarray(found)).tobytes(), found.encoding)
    similar_picture = replace(make_picture(3), fingerprint=fingerprint(found))
    ledger.store_message(make_message(1, make_picture(128), similar_picture))
    (place, far_place) = ledger.pictures_without_record()[::-1]
    assert (place, far_place) == ((make_message(1).id, 1), (make_message(1).id, 0))
    for one in (found, turned):
        first, far = ledger.pictures_to_compare(one)
        assert (first.place, first.learnt, first.is_likely) == (1, False, True)
        assert (far.place, far.learnt, far.is_likely) == (0, False, False)
        assert first.look != far.look


def test_empty_ledger_has_no_candidates(ledger: VaultLedger) -> None:
    assert ledger.pictures_to_compare(sample_photo("cat")) == ()


@PICTURE_SEARCH_VAULTS
def test_damaged_picture_record_affects_only_itself_and_is_remade(vault: Vault) -> None:
    ledger = VaultLedger(vault)
    _, coffee, _ = store_three_pictures(ledger)
    ledger.store_message(replace(coffee, pictures=(make_picture(1), make_picture(2))))
    ledger.store_picture_record(coffee.id, 1, sample_photo("cat"))
    key = vault.keys("looks", coffee.id.hex())[0]
    vault.put("looks", key, (vault.get("looks", key) or b"")[:-3])
    again = VaultLedger(vault)
    assert again.pictures_without_record() == ((coffee.id, 0),)
    assert {one.message for one in again.pictures_to_compare(sample_photo("cat"))[:2]} == {
        make_message(2).id,
        coffee.id,
    }
    again.store_picture_record(coffee.id, 0, sample_photo("coffee"))
    assert (
        again.pictures_to_compare(mirror_and_crop(sample_photo("coffee")))[0].message == coffee.id
    )


def test_one_message_is_read_with_the_copies_that_were_added(ledger: VaultLedger) -> None:
    for number in (1, 2):
        ledger.store_message(make_message(number))
    more = Copy(RecipientId("caro"), Secret(b"t" * 32), b"i" * 32)
    ledger.put_copy_batch(make_message(1).id, 0, 1, (more,))
    whole = ledger.message(make_message(1).id)
    assert [copy.to for copy in whole.pictures[0].copies] == ["ben", "caro"]
    assert ledger.message_named("1-lunar-otter") == whole
    assert ledger.message(make_message(2).id) == make_message(2)
    with pytest.raises(UnknownMessage):
        ledger.message(make_message(3).id)


def test_traces_come_back_whole_and_in_numeric_order(ledger: VaultLedger) -> None:
    for number in (2, 10, 1, 9):
        ledger.record_trace(make_trace(number))
    assert [trace.number for trace in ledger.traces()] == [1, 2, 9, 10]
    assert ledger.traces()[0] == make_trace(1)


def test_ledger_survives_closing_and_opening(tmp_path: Path) -> None:
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        VaultLedger(vault).store_message(make_message(1))
        VaultLedger(vault).record_trace(make_trace(1))
    with contextlib.closing(SqlcipherVault(tmp_path, KEY)) as vault:
        assert VaultLedger(vault).message_named("1-lunar-otter") == make_message(1)
        assert VaultLedger(vault).traces() == (make_trace(1),)
