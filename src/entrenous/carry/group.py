"""Count openings for a person, not for each of her devices: share groups (relay.md section 6).

A message that may be opened a number of times goes to every device of a person in an envelope of
its own. Their shares are one group: an attempt on any counts for all, and when as many as may have
opened it have it, the content of all is gone.
"""

from dataclasses import replace
from datetime import datetime

from entrenous.carry.expire import use_up
from entrenous.model.envelope import Envelope
from entrenous.model.held import HeldAttempt, HeldEnvelope, HeldGroup, HeldShare
from entrenous.model.relay_problem import IdInUse, UsedUp
from entrenous.ports import MailDesk


def join(desk: MailDesk, envelope: Envelope, present: datetime) -> None:
    """Let a posted share be counted with those of its group.

    Raises:
        IdInUse: the group may be opened another number of times.
    """
    share = envelope.share
    if share is None or share.group is None or share.opens is None:
        return
    held = desk.get(HeldGroup, share.group)
    if held is None or held.due_at <= present:
        held = HeldGroup(share.group, share.opens, 0, envelope.expires_at)
    elif held.opens != share.opens:
        raise IdInUse
    desk.put(replace(held, due_at=max(held.due_at, envelope.expires_at)))
    settle(desk, share.group, present)


def count(desk: MailDesk, share: HeldShare) -> None:
    """Count one opening, if the group allows one more; raises UsedUp."""
    if share.opens is None:
        return
    held = desk.get(HeldGroup, share.group) if share.group is not None else None
    if held is None or held.opened >= held.opens:
        raise UsedUp
    desk.put(replace(held, opened=held.opened + 1))


def settle(desk: MailDesk, group: bytes | None, present: datetime) -> None:
    """End the content of every envelope of a group that is used up, once all have what they
    were given.
    """
    held = desk.get(HeldGroup, group) if group is not None else None
    if held is None or held.opened < held.opens:
        return
    envelopes = [share.envelope for share in desk.find(HeldShare, group=group)]
    if any(desk.count(HeldAttempt, envelope=one, finished=False) for one in envelopes):
        return
    for one in envelopes:
        envelope = desk.get(HeldEnvelope, one)
        if envelope is not None:
            use_up(desk, envelope, present)
