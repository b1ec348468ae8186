"""Invariants that hold under all faults, checked after every step and at the end of a run.

The oracle reads the relays' answers, the durable contents of disks and vaults, and the messages
that people saw. It never relies on a program's reports about itself.
"""

import base64
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import httpx

from entrenous.base.identifiers import EnvelopeId, MessageId, PersonId
from entrenous.carry.relay_rows import StoredEnvelope, StoredLetter
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, CopyDelivery, SendState
from entrenous.device.vault_tables import (
    INBOX,
    OUTBOX,
    SEEN_LETTER,
    TOKEN_REGISTRATION,
    UNDECRYPTABLE_LETTER,
    UNREPORTED_OPENING,
    inbox_key,
)
from entrenous.send.inbox import ENDED_STATES
from entrenous.send.message.draft import Draft
from entrenous.send.message.states import INBOX_TABLE, InboxState, ReceivedMessage
from entrenous.wire.relay_nouns import EnvelopeState
from tests.village.sim.world import Host, RelayHost, relay_url_of

_MESSAGE_TABLE: Final = "message"  # the name of the ledger's table
# The least time for which a relay keeps ended envelopes.
_RELAY_RETENTION: Final = timedelta(days=30)
_SENDER_ENDED_STATES: Final = (InboxState.TAKEN_BACK, InboxState.EXPIRED)
_USED_UP_STATES: Final = (InboxState.USED_UP, InboxState.ELSEWHERE)
Group = tuple[MessageId, PersonId]  # openings are counted for each message and person


@dataclass
class Oracle:
    """Checks the invariants of one run.

    ``violations`` describes the violations; ``checks_held`` is the number of checks that held at
    the end.
    """

    hosts: Mapping[str, Host]
    violations: list[str] = field(default_factory=list)
    checks_held: int = 0
    drafts: dict[MessageId, Draft] = field(default_factory=dict)
    groups: dict[EnvelopeId, Group] = field(default_factory=dict)
    # The URL of the relay that accepted the envelope, and the time of the relay's answer.
    accepted: dict[EnvelopeId, tuple[str, datetime]] = field(default_factory=dict)
    withdrawn: set[EnvelopeId] = field(default_factory=set)
    attempts: dict[EnvelopeId, dict[bytes, None]] = field(default_factory=lambda: defaultdict(dict))
    opened_attempts: dict[Group, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    _known_records: dict[str, dict[str, bytes]] = field(default_factory=lambda: defaultdict(dict))
    _seen_messages: set[str] = field(default_factory=set)
    _ended: set[tuple[str, str]] = field(default_factory=set)

    def report_once(self, violation: str) -> None:
        """Record a violation, unless it is recorded already."""
        if violation not in self.violations:
            self.violations.append(violation)

    # --- answers of relays -----------------------------------------------------------------------

    def record_answer(self, request: httpx.Request, answer: httpx.Response, at: datetime) -> None:
        """Record a relay's answer, even if the network loses it."""
        parts = request.url.path.strip("/").split("/")[1:]
        if not answer.is_success or len(parts) < 3:
            return
        if (request.method, parts[-1]) == ("POST", "withdraw"):
            self.withdrawn.add(_envelope_id(parts[1]))
        elif (parts[0], parts[-1]) == ("shares", "open"):
            self._record_release(_envelope_id(parts[1]), request.content)
        elif parts[2] == "envelopes" and request.method == "PUT":
            self.accepted.setdefault(_envelope_id(parts[3]), (relay_url_of(request), at))
        elif parts[2] == "envelopes" and request.method == "DELETE":
            self._check_acknowledged(_envelope_id(parts[3]), _envelope_id(parts[1]))

    def _record_release(self, envelope: EnvelopeId, attempt: bytes) -> None:
        self.attempts[envelope].pop(attempt, None)
        self.attempts[envelope][attempt] = None  # move the newest attempt to the end
        if envelope in self.withdrawn:
            self.report_once("a relay let a share go after its message was taken back")

    def _check_acknowledged(self, envelope: EnvelopeId, mailbox: bytes) -> None:
        for host in self.hosts.values():
            durable = (SEEN_LETTER, envelope.hex()) in host.records.durable
            if host.me.home.mailbox == mailbox and not durable:
                self.report_once(f"{host.name}: a letter was acknowledged and is not on its disk")

    def check_restarted_relay(self, relay: RelayHost, at: datetime) -> None:
        """Check that a restarted relay still has the letters that it had acknowledged."""
        for envelope, (url, since) in self.accepted.items():
            if url != relay.url or at - since > _RELAY_RETENTION:
                continue
            if envelope in self.withdrawn or self._is_on_a_device(envelope):
                continue
            records = relay.rows.durable.get((StoredEnvelope, envelope))
            letter = relay.rows.durable.get((StoredLetter, envelope))
            waits = records is not None and records.closed_at is None
            if records is None or (waits and letter is None):
                self.report_once("a letter that a relay had acknowledged was lost in a crash")

    def _is_on_a_device(self, envelope: EnvelopeId) -> bool:
        return any(
            (SEEN_LETTER, envelope.hex()) in one.records.durable for one in self.hosts.values()
        )

    # --- contents of a device -------------------------------------------------------------------

    def check_device(self, host: Host, draft: Draft | None = None) -> None:
        """Check one device after a step; ``draft`` is the message that the step tried to send."""
        self._record_sent(host, draft)
        if host.vault.memory_store.keys(UNDECRYPTABLE_LETTER):
            self.report_once(f"{host.name}: a letter could not be opened")
        known = self._known_records[host.name]
        for key, record in host.vault.memory_store.items(INBOX):
            if known.get(key) != record:
                known[key] = record
                received = INBOX_TABLE.load(key, host.vault)
                assert received is not None
                self._check_message(received, key, host)
        if known.keys() - set(host.vault.memory_store.keys(INBOX)):
            self.report_once(f"{host.name}: a message that came is not there any more")

    def _record_sent(self, host: Host, draft: Draft | None) -> None:
        new = [
            key
            for key in host.vault.memory_store.keys(_MESSAGE_TABLE)
            if key not in self._seen_messages
        ]
        self._seen_messages.update(new)
        if len(new) > 1:
            self.report_once(f"{host.name}: one draft became {len(new)} messages")
        for key in new:
            if draft is not None:
                self.drafts[MessageId(bytes.fromhex(key))] = draft

    def _check_message(self, received: ReceivedMessage, key: str, host: Host) -> None:
        if received.state not in ENDED_STATES and (host.name, key) in self._ended:
            self.report_once(f"{host.name}: {received.name} had ended and lives again")
        if received.state in ENDED_STATES:
            self._ended.add((host.name, key))
        seen = self.opened_attempts[received.id, host.me.person.id]
        has_one_device = len(host.me.person.devices) == 1
        if received.state in _USED_UP_STATES and has_one_device and not seen:
            self.report_once(f"{host.name}: {received.name} was used up and nobody has seen it")

    # --- shown messages -------------------------------------------------------------------------

    def check_shown_message(
        self, host: Host, before: ReceivedMessage, text: str | None, start: "OpeningStart"
    ) -> None:
        """Check a shown message; ``before`` is the message as it was when the opening started."""
        draft = self.drafts.get(before.id)
        if draft is not None and text != draft.text_or_caption:
            self.report_once(f"{host.name}: {before.name} reads otherwise than it was written")
        if before.state in ENDED_STATES:
            self.report_once(f"{host.name}: {before.name} opened after it had ended")
        if before.expires_at is not None and start.at >= before.expires_at:
            self.report_once(f"{host.name}: {before.name} opened after its time")
        if not before.kept and before.envelope in start.withdrawn:
            self.report_once(
                f"{host.name}: {before.name} was taken back, and opened first afterwards"
            )
        if before.opens is not None:
            self._count_opening(host, before)

    def _count_opening(self, host: Host, before: ReceivedMessage) -> None:
        seen = self.opened_attempts[before.id, host.me.person.id]
        seen.add(next(reversed(self.attempts[before.envelope])))
        assert before.opens is not None
        if len(seen) > before.opens:
            self.report_once(
                f"{host.name}: {before.name} opened {len(seen)}, not {before.opens} times"
            )

    # --- the end --------------------------------------------------------------------------------

    def check_final_state(self, now: datetime) -> None:
        """Check the state after the last fault and the last fetch.

        Nothing waits to be sent, and no copy that was taken back is still there. Every other copy
        has arrived, unless it was refused or has expired.
        """
        for host in self.hosts.values():
            for table in (OUTBOX, TOKEN_REGISTRATION, UNREPORTED_OPENING):
                if host.vault.memory_store.keys(table):
                    self.report_once(f"{host.name}: something waits for ever in the table {table}")
            for copy in COPY_DELIVERY_TABLE.all(host.vault):
                self._check_owed_copy(copy, host, now)

    def _check_owed_copy(self, copy: CopyDelivery, sender: Host, now: datetime) -> None:
        message = sender.device.ledger.message(copy.message)
        copy_label = f"{sender.name}'s {message.name} for {copy.to}"
        to = self._host_of(copy)
        if copy.departure is SendState.REFUSED:
            return  # run.py checks why the copy was refused
        key = inbox_key(sender.me.person.id, copy.message)
        came = None if to is None else INBOX_TABLE.load(key, to.vault)
        if copy.state is EnvelopeState.TAKEN_BACK:
            is_active = came is not None and came.state not in ENDED_STATES
            self._check_not(is_active, f"{copy_label} was taken back and is still there")
        elif message.expires_at is not None and message.expires_at > now:
            self._check_not(not copy.is_confirmed_by_relay, f"{copy_label} never left")
            self._check_not(came is None, f"{copy_label} never came")
            ended_early = came is not None and came.state in _SENDER_ENDED_STATES
            self._check_not(ended_early, f"{copy_label} has ended without a reason")

    def _check_not(self, is_violated: bool, violation: str) -> None:  # noqa: FBT001
        if is_violated:
            self.report_once(violation)
        else:
            self.checks_held += 1

    def _host_of(self, copy: CopyDelivery) -> Host | None:
        wanted = (copy.person, copy.device)
        every = self.hosts.values()
        return next((one for one in every if (one.me.person.id, one.me.key.device) == wanted), None)


@dataclass(frozen=True)
class OpeningStart:
    """The time at which an opening started, and the envelopes that were withdrawn by then."""

    at: datetime
    withdrawn: frozenset[EnvelopeId]


def _envelope_id(text: str) -> EnvelopeId:
    return EnvelopeId(base64.urlsafe_b64decode(text + "=="))
