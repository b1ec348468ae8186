"""Alerts about floods and about overdue reviews."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from entrenous.stop.nouns import Alert, AlertKind, AlertProgramFailed, GateLimits
from entrenous.stop.review import send_due_alerts
from tests.stop.platform_for_tests import GateSetup, jpeg, judge_upload


@dataclass
class RecordingAlertProgram:
    """An alert program that records the kind and count of each alert, or fails if ``broken``."""

    broken: bool = False
    sent: list[tuple[str, int]] = field(default_factory=list)

    def send(self, alert: Alert) -> None:
        if self.broken:
            raise AlertProgramFailed(kind=alert.kind, why="reported that it failed")
        self.sent.append((alert.kind, alert.count))


@pytest.fixture
def alert_program() -> RecordingAlertProgram:
    return RecordingAlertProgram()


@pytest.fixture
def gate_setup(alert_program: RecordingAlertProgram) -> GateSetup:
    setup = GateSetup(limits=GateLimits(held_per_hash=3, page_after_hours=2))
    setup.platform = replace(setup.platform, send_alert=alert_program.send)
    return setup


@pytest.mark.slow
@pytest.mark.threat("uploads-flood")
def test_flood_alerts_once_and_overdue_reviews_alert_every_hour(
    gate_setup: GateSetup, alert_program: RecordingAlertProgram, her_picture: Any
) -> None:
    gate_setup.protect(her_picture, parts=False)
    for quality in range(40, 43):
        judge_upload(jpeg(her_picture, quality), gate_setup.platform)
    assert (send_due_alerts(gate_setup.platform), alert_program.sent) == ((), [])
    judge_upload(jpeg(her_picture, 50), gate_setup.platform)
    for _ in range(70):  # a gate calls send_due_alerts once a minute
        assert send_due_alerts(gate_setup.platform) == ()
        gate_setup.clock.advance(minutes=1)
    assert alert_program.sent == [("flood", 1)]
    for _ in range(120):
        send_due_alerts(gate_setup.platform)
        gate_setup.clock.advance(minutes=1)
    assert alert_program.sent == [("flood", 1), ("reviews-waiting", 1), ("reviews-waiting", 1)]


def test_failed_alert_is_sent_again_after_an_hour(
    gate_setup: GateSetup, alert_program: RecordingAlertProgram, her_picture: Any
) -> None:
    gate_setup.protect(her_picture, parts=False)
    for quality in range(40, 44):
        judge_upload(jpeg(her_picture, quality), gate_setup.platform)
    alert_program.broken = True
    (failed,) = send_due_alerts(gate_setup.platform)
    assert failed.facts["kind"] is AlertKind.FLOOD
    alert_program.broken = False
    assert (send_due_alerts(gate_setup.platform), alert_program.sent) == ((), [])
    gate_setup.clock.advance(hours=1)
    send_due_alerts(gate_setup.platform)
    assert alert_program.sent == [("flood", 1)]


def test_alert_stays_due_without_an_alert_program(
    gate_setup: GateSetup, alert_program: RecordingAlertProgram, her_picture: Any
) -> None:
    gate_setup.protect(her_picture, parts=False)
    for quality in range(40, 44):
        judge_upload(jpeg(her_picture, quality), gate_setup.platform)
    send_due_alerts(replace(gate_setup.platform, send_alert=None))
    send_due_alerts(gate_setup.platform)
    assert alert_program.sent == [("flood", 1)]
