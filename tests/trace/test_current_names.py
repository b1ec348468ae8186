"""Tests of the names in traces and cases: current names, and reused or unknown ones."""

import pytest

from entrenous.base.identifiers import PersonId
from entrenous.device.identities import current_name_lookup
from entrenous.respond.case_file import find_case
from entrenous.respond.commands.case_view import case_json
from entrenous.respond.nouns import AgeAnswer
from entrenous.respond.open_case import open_case
from entrenous.respond.situation import Situation
from entrenous.send.people.block import rename_contact
from entrenous.send.people.keep_contacts import contact_named, forget_contact
from entrenous.trace.report.disclose import disclose_trace, recorded_trace
from entrenous.trace.trace_file import trace_file, with_current_names
from tests.archive.archives_in_memory import export_tar, import_tar
from tests.send.send_device import Network, Person
from tests.trace.traced_leak import coffee_photo, crop_jpeg, encode_jpeg, mark_and_trace

pytestmark = pytest.mark.slow


class NetworkWithLeak(Network):
    """Ana sent a photo to Ben; a part of his copy is found."""

    def __init__(self) -> None:
        super().__init__()
        self.ana, ben = self.set_up_person("ana"), self.set_up_person("ben")
        self.ben = ben.id
        self.ana.add_contact(ben)
        self.ana.send(encode_jpeg(coffee_photo(), 95), ben)
        self.leak = crop_jpeg(ben.open_newest().files[0].data)

    def add_second_ben(self, person: Person) -> None:
        """Add Caro on one of Ana's devices as a second contact named ben."""
        person.add_contact(self.set_up_person("caro"))
        rename_contact("caro", "ben", person.device)

    def traced_name(self, person: Person) -> str:
        (name,) = with_current_names(
            trace_file(self.leak, person.device), person.device
        ).trace.verdict.named
        return name


@pytest.fixture
def network() -> NetworkWithLeak:
    return NetworkWithLeak()


def test_later_holder_of_a_reused_name_is_not_named(network: NetworkWithLeak) -> None:
    rename_contact("ben", "benjamin", network.ana.device)
    network.add_second_ben(network.ana)
    assert network.traced_name(network.ana) == "benjamin"
    name_of = current_name_lookup(network.ana.device)
    made = disclose_trace(1, network.leak, network.ana.device, None, blind=False, name_of=name_of)
    assert made.report.named == ("benjamin",)


def test_later_holder_of_a_reused_name_is_not_named_after_an_import(
    network: NetworkWithLeak,
) -> None:
    anew = network.set_up_person("ana anew")
    network.add_second_ben(anew)
    import_tar(export_tar(network.ana.device), anew.device)
    assert network.traced_name(anew) == "ben 2"
    assert contact_named("ben 2", anew.device).person.id == network.ben


def test_later_holder_of_a_forgotten_persons_name_is_not_named(network: NetworkWithLeak) -> None:
    forget_contact("ben", network.ana.device)
    assert network.traced_name(network.ana) == "ben"
    network.add_second_ben(network.ana)
    assert network.traced_name(network.ana) == "ben (not the one you know now)"


def test_case_uses_current_names(network: NetworkWithLeak) -> None:
    trace = trace_file(network.leak, network.ana.device).trace
    case = open_case(trace, Situation(()), AgeAnswer.ADULTS, network.ana.device)
    rename_contact("ben", "benjamin", network.ana.device)
    network.add_second_ben(network.ana)
    assert case_json(case, network.ana.device)["named"] == ["benjamin"]


def test_an_imported_case_refers_to_its_own_trace() -> None:
    old, new = mark_and_trace(("ben", "caro"), "caro"), mark_and_trace(("dina", "eve"), "dina")
    case = open_case(old.picture_trace.trace, Situation(()), AgeAnswer.ADULTS, old.device)
    assert import_tar(export_tar(old.device), new.device).cases == 1
    said = case_json(find_case(case.name, new.device), new.device)
    assert said["named"] == ["caro"]
    number = said["trace"]
    assert isinstance(number, int)
    assert recorded_trace(number, new.device).leak_sha256 == old.picture_trace.trace.leak_sha256


def test_name_lookup_uses_current_names_and_marks_unknown_people(network: NetworkWithLeak) -> None:
    name_of = current_name_lookup(network.ana.device)
    assert name_of(None, "ben") == "ben"
    assert name_of(network.ben, "ben of old") == "ben"
    assert name_of(PersonId(bytes(32)), "Ben") == "Ben (not the one you know now)"
