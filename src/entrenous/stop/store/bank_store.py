"""BankStore on SQLite or PostgreSQL (docs/spec/gate.md, section 5)."""

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import datetime

from entrenous.base.identifiers import ClaimId
from entrenous.stop.audit import AuditDetails
from entrenous.stop.nouns import Bank
from entrenous.stop.registration import (
    AlreadyWithdrawn,
    Claim,
    ClaimEvent,
    ClaimState,
    NoSuchPartner,
    Opinion,
    Partner,
    Registration,
)
from entrenous.stop.store import registration_changes
from entrenous.stop.store.audit_events import (
    append_events,
    bank_set_event,
    opinion_event,
    partner_added_event,
)
from entrenous.stop.store.bank_queries import BankQueries
from entrenous.stop.store.engine import (
    exclusive_write,
    insert_on_conflict_statement,
    overwrite_deleted_data,
)
from entrenous.stop.store.registrations import (
    existing_claims,
    get_claim,
    get_opinions,
    insert_registrations,
    next_change_number,
)
from entrenous.stop.store.retroactive_quarantine import remove_claims_from_matches
from entrenous.stop.store.schema import (
    BANK_TABLE,
    OPINION_TABLE,
    PARTNER_TABLE,
    RELEASED_FILE_TABLE,
    stored_time,
)


@dataclass(frozen=True, slots=True)
class BankStore(BankQueries):
    """The authoritative store of banks and claims (docs/spec/gate.md section 5).

    Its methods run on the database ``engine``, or in an open transaction given in its place.
    Changes are durable when a method returns, or, in an open transaction, when that is committed.
    Each is logged in the same transaction, except that the caller of ``release_file`` logs the
    decision. Every method raises BankUnreachable when the database does not answer.
    """

    def set_bank(self, bank: Bank) -> None:
        """Create a bank, or replace the policy of the one with that name."""
        values = asdict(bank)
        with exclusive_write(self.engine) as db:
            insertion = insert_on_conflict_statement(db, BANK_TABLE).values(values)
            db.execute(insertion.on_conflict_do_update(index_elements=["name"], set_=values))
            append_events(db, self.clock, bank_set_event(bank))

    def register(self, *registrations: Registration) -> None:
        """Store claims and their hashes, all or none; raises NoSuchBank."""
        with exclusive_write(self.engine) as db:
            insert_registrations(db, self.clock, registrations)

    def register_new(
        self, listed_states: Collection[ClaimState], *registrations: Registration
    ) -> dict[bytes, Claim]:
        """Store those registrations whose hash is not listed yet.

        All are of the same bank, and each has the hash of one picture.

        A hash is listed if :meth:`find_hashes_in_bank` finds a claim on it in one of
        ``listed_states``. Look-up and storage share one transaction, so if several imports add the
        same hash, only one stores it. Either all new registrations are stored or none. Raises
        NoSuchBank.

        Returns:
            The claims that were already listed, by hash.
        """
        hashes = [one.whole[0] for one in registrations]
        with exclusive_write(self.engine) as db:
            listed = dict[bytes, Claim]()
            for bank in {one.claim.bank for one in registrations}:
                listed |= BankQueries(db, self.clock).find_hashes_in_bank(
                    bank, hashes, listed_states
                )
            insert_registrations(
                db, self.clock, [one for one in registrations if one.whole[0] not in listed]
            )
            return listed

    def add_upload_hashes(
        self, claims: Collection[ClaimId], *whole: bytes, confirmed: bool
    ) -> None:
        """Add hashes of whole uploads to the claims that exist and match; skip the others.

        With ``confirmed``, a person said that these uploads are what the claims are about, so the
        claims count as confirmed on these hashes. Otherwise they count as waiting.
        """
        with exclusive_write(self.engine) as db:
            existing = existing_claims(db, claims)
            registration_changes.add_reviewed_hashes(
                db, self.clock, existing, whole, confirmed=confirmed
            )

    def apply_event(self, claim: ClaimId, event: ClaimEvent) -> Claim:
        """Change a claim's state by CLAIM_TRANSITIONS; a withdrawn claim loses its hashes at once.

        If the claim is withdrawn, the same transaction removes it from the matches of published
        uploads that wait for a reviewer. Those that then match no other claim are accepted again. A
        move to the present state changes nothing, except that a repeated confirmation counts as a
        new one.

        Raises NoSuchClaim, AlreadyWithdrawn.
        """
        with exclusive_write(self.engine) as db:
            before = get_claim(db, claim)
            moved = registration_changes.apply_event_to_all(db, self.clock, [before], event)
            if not moved:
                raise AlreadyWithdrawn(claim=claim)
            is_gone = moved[0].state is ClaimState.WITHDRAWN and moved[0] is not before
            if is_gone:
                remove_claims_from_matches(db, {claim})
        if is_gone:
            overwrite_deleted_data(self.engine)
        return moved[0]

    def apply_event_to_all(self, event: ClaimEvent, *claims: ClaimId) -> tuple[Claim, ...]:
        """Change the states of many claims at once and return them as they are now.

        Missing claims are skipped, and so are claims for which the change is not allowed: a
        withdrawn claim stays withdrawn.
        """
        if event is ClaimEvent.WITHDRAW:
            self.withdraw(*claims)
        with exclusive_write(self.engine) as db:
            existing = existing_claims(db, claims)
            return tuple(registration_changes.apply_event_to_all(db, self.clock, existing, event))

    def withdraw(self, *claims: ClaimId) -> int:
        """Withdraw many claims in one transaction, and overwrite their deleted data once.

        Missing and withdrawn claims are skipped. Otherwise this does what :meth:`apply_event` does.
        Return how many claims were withdrawn by this call.
        """
        with exclusive_write(self.engine) as db:
            existing = existing_claims(db, claims)
            live = [claim for claim in existing if claim.state is not ClaimState.WITHDRAWN]
            registration_changes.apply_event_to_all(db, self.clock, live, ClaimEvent.WITHDRAW)
            if live:
                remove_claims_from_matches(db, {claim.id for claim in live})
        if live:
            overwrite_deleted_data(self.engine)
        return len(live)

    def dispute(self, *claims: ClaimId) -> tuple[Claim, ...]:
        """Count one more reviewer who disagreed with each of these claims.

        Either all are counted or none. Raises NoSuchClaim.
        """
        with exclusive_write(self.engine) as db:
            return tuple(registration_changes.add_disputes(db, self.clock, claims))

    def release_file(self, sha256: bytes, at: datetime) -> None:
        """Record that a reviewer who knew all claims made up to ``at`` released this exact file.

        The number of the next change is recorded too: the reviewer knew all earlier changes.
        """
        with exclusive_write(self.engine) as db:
            when = {"at": stored_time(at), "number": next_change_number(db)}
            insertion = insert_on_conflict_statement(db, RELEASED_FILE_TABLE).values(
                sha256=sha256, **when
            )
            db.execute(insertion.on_conflict_do_update(index_elements=["sha256"], set_=when))

    def record_opinion(
        self,
        opinion: Opinion,
        apply_consequences: "Callable[[tuple[Opinion, ...], BankStore], None] | None" = None,
    ) -> tuple[Opinion, ...]:
        """Store a key's opinion on a claim unless a newer one is stored; return all opinions on the
        claim.

        ``apply_consequences`` changes the bank in the same transaction, so that both changes take
        effect or neither. It is called with the opinions stored before, and with the bank that has
        this opinion.

        Raises NoSuchClaim, NoSuchPartner, and what ``apply_consequences`` raises.
        """
        claim, key = opinion.claim, opinion.key
        values = {"stance": opinion.stance, "at": stored_time(opinion.at)}
        with exclusive_write(self.engine) as db:
            before = get_opinions(db, claim)
            get_claim(db, claim)
            if (
                db.execute(PARTNER_TABLE.select().where(PARTNER_TABLE.c.key == key)).one_or_none()
                is None
            ):
                raise NoSuchPartner
            insertion = insert_on_conflict_statement(db, OPINION_TABLE).values(
                claim=claim, key=key, **values
            )
            newer = insertion.on_conflict_do_update(
                index_elements=["claim", "key"],
                set_=values,
                where=OPINION_TABLE.c.at < values["at"],
            )
            if db.execute(newer).rowcount:
                append_events(db, self.clock, opinion_event(opinion))
            now = get_opinions(db, claim)
            if apply_consequences is not None:
                apply_consequences(before, BankStore(db, self.clock))
            return now

    def add_partner(self, partner: Partner) -> None:
        """Add another platform, or change its name."""
        renamed = {"name": partner.name}
        with exclusive_write(self.engine) as db:
            insertion = insert_on_conflict_statement(db, PARTNER_TABLE).values(
                key=partner.key, name=partner.name
            )
            db.execute(insertion.on_conflict_do_update(index_elements=["key"], set_=renamed))
            append_events(db, self.clock, partner_added_event(partner))

    def drop_partner(self, key: bytes) -> None:
        """Remove a platform and keep its opinions. Raises NoSuchPartner."""
        with exclusive_write(self.engine) as db:
            if db.execute(PARTNER_TABLE.delete().where(PARTNER_TABLE.c.key == key)).rowcount == 0:
                raise NoSuchPartner
            append_events(db, self.clock, ("partner dropped", key.hex(), {}))

    def append_audit_row(self, what: str, of: str, details: AuditDetails) -> None:
        """Append a row to the log."""
        with exclusive_write(self.engine) as db:
            append_events(db, self.clock, (what, of, details))
