"""Alerts about floods and overdue reviews, with nothing about their content."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from entrenous.stop.nouns import Alert, AlertKind, AlertProgramFailed, GateLimits
from entrenous.stop.review import send_due_alerts
from tests.stop.platform_for_tests import Room, jpeg, judge_upload


@dataclass
class Pager:
    """Records alerts as pairs of kind and count, or fails while it is broken."""

    broken: bool = False
    sent: list[tuple[str, int]] = field(default_factory=list)

    def send(self, alert: Alert) -> None:
        if self.broken:
            raise AlertProgramFailed(kind=alert.kind, why="reported that it failed")
        self.sent.append((alert.kind, alert.count))


@pytest.fixture
def pager() -> Pager:
    return Pager()


@pytest.fixture
def room(pager: Pager) -> Room:
    made = Room(limits=GateLimits(held_per_hash=3, page_after_hours=2))
    made.platform = replace(made.platform, send_alert=pager.send)
    return made


@pytest.mark.slow
@pytest.mark.threat("uploads-flood")
def test_flood_and_overdue_reviews_alert_once_an_hour(
    room: Room, pager: Pager, her_picture: Any
) -> None:
    room.protect(her_picture, parts=False)
    for quality in range(40, 43):
        judge_upload(jpeg(her_picture, quality), room.platform)
    assert (send_due_alerts(room.platform), pager.sent) == ((), [])
    judge_upload(jpeg(her_picture, 50), room.platform)
    for _ in range(70):  # once a minute
        assert send_due_alerts(room.platform) == ()
        room.clock.advance(minutes=1)
    assert pager.sent == [("flood", 1)]
    for _ in range(120):
        send_due_alerts(room.platform)
        room.clock.advance(minutes=1)
    assert pager.sent == [("flood", 1), ("reviews-waiting", 1), ("reviews-waiting", 1)]


def test_failed_alert_is_sent_again_after_an_hour(
    room: Room, pager: Pager, her_picture: Any
) -> None:
    room.protect(her_picture, parts=False)
    for quality in range(40, 44):
        judge_upload(jpeg(her_picture, quality), room.platform)
    pager.broken = True
    (failed,) = send_due_alerts(room.platform)
    assert failed.facts["kind"] is AlertKind.FLOOD
    pager.broken = False
    assert (send_due_alerts(room.platform), pager.sent) == ((), [])
    room.clock.advance(hours=1)
    send_due_alerts(room.platform)
    assert pager.sent == [("flood", 1)]


def test_alerts_stay_due_without_an_alert_program(
    room: Room, pager: Pager, her_picture: Any
) -> None:
    room.protect(her_picture, parts=False)
    for quality in range(40, 44):
        judge_upload(jpeg(her_picture, quality), room.platform)
    send_due_alerts(replace(room.platform, send_alert=None))
    send_due_alerts(room.platform)
    assert pager.sent == [("flood", 1)]
