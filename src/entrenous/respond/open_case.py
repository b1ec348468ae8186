"""Open a case: from a trace, or from nothing but what somebody saw. The age gate comes first."""

from entrenous.model.case import AgeAnswer, Case, Situation
from entrenous.model.evidence import CustodyAct
from entrenous.model.ids import CaseName
from entrenous.model.names import message_name
from entrenous.model.verdict import Trace
from entrenous.ports import Device
from entrenous.respond.age_gate import pass_age_gate
from entrenous.respond.case_file import cases, put_away, refuse_young_file

BEFORE_CAPTURE = (
    "Keep the original messages and files as they are; nothing has to be deleted first.",
    "Leave screenshots unedited.",
    "Nobody has to pay or to negotiate.",
    "Stay out of other people's accounts, also when the password is known.",
    "Helpers can work without seeing the picture: no need to send it to them.",
)


def open_case(trace: Trace | None, situation: Situation, age: AgeAnswer, device: Device) -> Case:
    """Start a person's file and its custody chain.

    Args:
        trace: what TRACE found, or None: a case needs no verdict.
        situation: what the choice of a route turns on; unanswered questions are fine.
        age: the answer to "was everybody in the picture 18 or older when it was taken?"
        device: its vault keeps the case.

    Raises:
        ForYoungPeople: ``age`` is not ``ADULTS``; nothing was stored, and the message says who
            helps.
        NotAllAdults: that was said in another case, of the same found file.
    """
    pass_age_gate(age, situation.places, device.clock.now().date())
    with device.vault.together():
        if trace is not None:
            refuse_young_file(trace.leak_sha256, device)
        case = Case(_new_name(device), device.clock.now(), situation, trace=trace)
        step = "opened from a trace" if trace else "opened without a trace"
        return put_away(case, device, CustodyAct.OPENED, step)


def _new_name(device: Device) -> CaseName:
    taken = {case.name.removeprefix("case-") for case in cases(device)}
    return CaseName(f"case-{message_name(device.dice.token(3), taken)}")
