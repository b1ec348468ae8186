"""Tests of packing the records of a vault into bytes, and of unpacking them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum, StrEnum
from typing import NewType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import BadRecord, Malformed
from entrenous.base.identity import CertifiedDevice, Contact, MasterPublicKeys, Person, Trust
from entrenous.base.secret import Secret
from entrenous.device.vault_tables import pack, unpack
from entrenous.watermark.verdict import Finding, PictureWarp, Trace, Verdict

Name = NewType("Name", str)
Key = NewType("Key", bytes)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


@dataclass(frozen=True, slots=True)
class Leaf:
    name: Name
    weight: float
    at: datetime

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError("weight lies between 0 and 1")


@dataclass(frozen=True, slots=True)
class Tree:
    key: Key
    secret: Secret
    colour: Colour
    size: Size
    leaves: tuple[Leaf, ...]
    by_name: Mapping[Name, Leaf]
    by_key: Mapping[Key, int]
    tags: frozenset[str]
    note: str | None = None
    tall: bool = False


@dataclass(frozen=True, slots=True)
class OldTree:
    key: Key


@dataclass(frozen=True, slots=True)
class NewTree:
    key: Key
    note: str = "none yet"
    leaves: tuple[Leaf, ...] = ()


times = st.datetimes(timezones=st.just(UTC))
names = st.text(max_size=8).map(Name)
leaves = st.builds(Leaf, names, st.floats(0, 1), times)
trees = st.builds(
    Tree,
    key=st.binary(max_size=16).map(Key),
    secret=st.binary(max_size=32).map(Secret),
    colour=st.sampled_from(Colour),
    size=st.sampled_from(Size),
    leaves=st.lists(leaves, max_size=3).map(tuple),
    by_name=st.dictionaries(names, leaves, max_size=3),
    by_key=st.dictionaries(st.binary(max_size=4).map(Key), st.integers(-(2**63), 2**64 - 1)),
    tags=st.frozensets(st.text(max_size=4), max_size=3),
    note=st.none() | st.text(max_size=9),
    tall=st.booleans(),
)
TIMESTAMP = datetime(2026, 11, 25, 13, 0, 0, 123456, tzinfo=UTC)


def make_contact() -> Contact:
    device = CertifiedDevice(
        b"d" * 16, b"m" * 16, b"e" * 32, b"c" * 32, b"q" * 32, TIMESTAMP, (1, 2)
    )  # type: ignore[arg-type]
    person = Person(
        b"p" * 32,  # type: ignore[arg-type]
        "Ana",
        MasterPublicKeys(b"1" * 32, b"2" * 1952),
        "http://relay",
        3,
        b"h" * 32,
        (device,),
    )
    return Contact("ana", person, Secret(b"t" * 32), trust=Trust.COMPARED, since=TIMESTAMP)


@given(trees)
def test_packed_object_unpacks_to_itself(tree: Tree) -> None:
    assert unpack(Tree, pack(tree)) == tree


def test_trace_and_contact_survive_packing() -> None:
    verdict = Verdict(Finding.ONE, ("caro",), {"caro": 8.3e-13, "ben": 0.44}, {"caro": 31.2})  # type: ignore[arg-type, dict-item]
    warp = PictureWarp((1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0), 0.71, 0.0, mirrored=False, scale=1.0)
    trace = Trace(41, TIMESTAMP, b"s" * 32, verdict, None, warp)
    assert unpack(Trace, pack(trace)) == trace
    assert unpack(Contact, pack(make_contact())) == make_contact()


@given(st.binary(max_size=60))
def test_random_bytes_are_refused_as_record(data: bytes) -> None:
    with pytest.raises(BadRecord):
        unpack(Tree, data)


@given(trees, st.data())
def test_damaged_record_is_refused_or_read_without_crash(tree: Tree, data: st.DataObject) -> None:
    whole = pack(tree)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    try:
        read = unpack(Tree, changed)
    except BadRecord:
        return
    assert unpack(Tree, pack(read)) == read


@given(trees, st.data())
def test_truncated_or_extended_record_is_refused(tree: Tree, data: st.DataObject) -> None:
    whole = pack(tree)
    for bad in (whole[: data.draw(st.integers(0, len(whole) - 1))], whole + b"\xc0"):
        with pytest.raises(BadRecord):
            unpack(Tree, bad)


@given(st.permutations([f"tag {n}" for n in range(12)]))
def test_equal_sets_pack_to_equal_bytes(tags: list[str]) -> None:
    """Equal sets may be iterated in different orders, which must not change the bytes."""
    leaf = Leaf(Name("l"), 0.5, TIMESTAMP)
    trees = [
        Tree(Key(b"k"), Secret(b""), Colour.RED, Size.SMALL, (leaf,), {}, {}, frozenset(order))
        for order in (tags, sorted(tags))
    ]
    assert pack(trees[0]) == pack(trees[1])
    assert unpack(Tree, pack(trees[0])) == trees[1]


def test_deeply_nested_record_does_not_exhaust_the_stack() -> None:
    with pytest.raises(BadRecord):
        unpack(Tree, b"\x91" * 100_000 + b"\xc0")


def test_a_missing_field_takes_its_default() -> None:
    assert unpack(NewTree, pack(OldTree(Key(b"k")))) == NewTree(Key(b"k"))


def test_unknown_field_is_refused_not_dropped() -> None:
    with pytest.raises(BadRecord):
        unpack(OldTree, pack(NewTree(Key(b"k"))))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", "a2V5"),  # base64 text is not accepted as bytes
        ("secret", "c2VjcmV0"),
        ("colour", "green"),
        ("size", 3),
        ("size", "1"),
        ("tall", 1),
        ("note", 7),
        ("leaves", [{"name": "x", "weight": 2.0, "at": TIMESTAMP}]),
        ("leaves", [{"name": "x", "weight": 0.5, "at": "2026-11-25T13:00:00Z"}]),
        ("leaves", [{"name": "x", "weight": 0.5, "at": 5}]),
        ("leaves", [{"name": "x", "weight": "0.5", "at": TIMESTAMP}]),
        ("leaves", [{"name": "x", "weight": 0.5, "at": TIMESTAMP, "more": 1}]),
        ("by_name", []),
        ("by_key", {"text": 1}),
        ("tags", ["twice", "twice"]),
    ],
)
def test_an_invalid_field_value_is_refused(field: str, value: object) -> None:
    leaf = Leaf(Name("l"), 0.5, TIMESTAMP)
    tree = Tree(
        Key(b"k"), Secret(b"s"), Colour.RED, Size.SMALL, (leaf,), {Name("l"): leaf}, {}, frozenset()
    )
    plain = msgspec.msgpack.decode(pack(tree))
    assert field in {f.name for f in fields(Tree)}
    with pytest.raises(BadRecord):
        unpack(Tree, msgspec.msgpack.encode({**plain, field: value}))


@pytest.mark.parametrize(
    "time",
    [TIMESTAMP.replace(tzinfo=None), datetime(2026, 11, 25, tzinfo=timezone(timedelta(hours=2)))],
)
def test_a_time_not_in_utc_is_not_packed(time: datetime) -> None:
    with pytest.raises(ValueError, match="UTC"):
        pack(Leaf(Name("x"), 0.5, time))


@pytest.mark.parametrize("value", [b"bytes", {"a": 1}, Leaf, None])
def test_only_dataclass_instances_are_packed(value: object) -> None:
    with pytest.raises(TypeError):
        pack(value)


def test_an_integer_beyond_64_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="64 bits"):
        pack(PictureWarp((2**70,) * 9, 0.5, 0.0, mirrored=False, scale=1.0))


def test_a_secret_is_in_the_bytes_and_not_in_the_error() -> None:
    data = pack(make_contact())
    assert b"t" * 32 in data
    with pytest.raises(Malformed) as error:
        unpack(Contact, data[:-1])
    assert "ttt" not in str(error.value)
    assert "Contact" in str(error.value)
