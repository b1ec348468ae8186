"""A trace uses people's current names, and never names somebody without that copy."""

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
from tests.archive.boxes import export_tar, import_tar
from tests.send.send_device import Network, Person
from tests.trace.report_desk import as_jpeg, cropped_jpeg, mark_and_trace, photo

pytestmark = pytest.mark.slow


class Leaked(Network):
    """Ana sent a photo to Ben; a part of his copy is found."""

    def __init__(self) -> None:
        super().__init__()
        self.ana, ben = self.set_up_person("ana"), self.set_up_person("ben")
        self.ben = ben.id
        self.ana.add_contact(ben)
        self.ana.send(as_jpeg(photo(), 95), ben)
        self.leak = cropped_jpeg(ben.open_newest().files[0].data)

    def knows_another(self, who: Person) -> None:
        """Let Ana, on one of her devices, add another person whom she also calls Ben."""
        who.add_contact(self.set_up_person("caro"))
        rename_contact("caro", "ben", who.device)

    def named(self, who: Person) -> str:
        (name,) = with_current_names(
            trace_file(self.leak, who.device), who.device
        ).trace.verdict.named
        return name


@pytest.fixture
def network() -> Leaked:
    return Leaked()


def test_later_holder_of_a_reused_name_is_not_named(network: Leaked) -> None:
    rename_contact("ben", "benjamin", network.ana.device)
    network.knows_another(network.ana)
    assert network.named(network.ana) == "benjamin"
    name_of = current_name_lookup(network.ana.device)
    made = disclose_trace(1, network.leak, network.ana.device, None, blind=False, name_of=name_of)
    assert made.report.named == ("benjamin",)


def test_later_holder_of_a_reused_name_is_not_named_after_reading_an_archive(
    network: Leaked,
) -> None:
    anew = network.set_up_person("ana anew")
    network.knows_another(anew)
    import_tar(export_tar(network.ana.device), anew.device)
    assert network.named(anew) == "ben 2"
    assert contact_named("ben 2", anew.device).person.id == network.ben


def test_later_holder_of_a_forgotten_persons_name_is_not_named(network: Leaked) -> None:
    forget_contact("ben", network.ana.device)
    assert network.named(network.ana) == "ben"
    network.knows_another(network.ana)
    assert network.named(network.ana) == "ben (not the one you know now)"


def test_case_uses_current_names_too(network: Leaked) -> None:
    trace = trace_file(network.leak, network.ana.device).trace
    case = open_case(trace, Situation(()), AgeAnswer.ADULTS, network.ana.device)
    rename_contact("ben", "benjamin", network.ana.device)
    network.knows_another(network.ana)
    assert case_json(case, network.ana.device)["named"] == ["benjamin"]


def test_a_case_that_an_archive_brought_names_its_own_trace() -> None:
    old, new = mark_and_trace(("ben", "caro"), "caro"), mark_and_trace(("dina", "eve"), "dina")
    case = open_case(old.seen.trace, Situation(()), AgeAnswer.ADULTS, old.device)
    assert import_tar(export_tar(old.device), new.device).cases == 1
    said = case_json(find_case(case.name, new.device), new.device)
    assert said["named"] == ["caro"]
    number = said["trace"]
    assert isinstance(number, int)
    assert recorded_trace(number, new.device).leak_sha256 == old.seen.trace.leak_sha256


def test_a_label_of_another_channel_is_nobodys_name(network: Leaked) -> None:
    name_of = current_name_lookup(network.ana.device)
    assert name_of(None, "ben") == "ben"
    assert name_of(network.ben, "ben of old") == "ben"
    assert name_of(PersonId(bytes(32)), "Ben") == "Ben (not the one you know now)"
