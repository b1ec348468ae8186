"""Other platforms that the bank in memory knows, and what they say of claims."""

from dataclasses import dataclass, field

from entrenous.model.ids import ClaimId
from entrenous.model.opinion import NoSuchPartner, Opinion, Partner


@dataclass(slots=True)
class MemoryPartners:
    """By key; the newest opinion of each claim and key."""

    known: dict[bytes, Partner] = field(default_factory=dict)
    said: dict[tuple[ClaimId, bytes], Opinion] = field(default_factory=dict)

    def require(self, key: bytes) -> None:
        """Raises NoSuchPartner."""
        if key not in self.known:
            raise NoSuchPartner

    def drop(self, key: bytes) -> None:
        """Delete."""
        self.require(key)
        del self.known[key]

    def every(self) -> tuple[Partner, ...]:
        """By name."""
        return tuple(sorted(self.known.values(), key=lambda one: (one.name, one.key)))

    def keep(self, opinion: Opinion) -> bool:
        """Unless that key has a newer one; whether it was kept."""
        of = opinion.claim, opinion.key
        if of in self.said and self.said[of].at >= opinion.at:
            return False
        self.said[of] = opinion
        return True

    def opinions(self, claim: ClaimId) -> tuple[Opinion, ...]:
        """By time."""
        found = (one for one in self.said.values() if one.claim == claim)
        return tuple(sorted(found, key=lambda one: (one.at, one.key)))
