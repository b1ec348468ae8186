"""What is kept of claims that a platform listed itself, beside the claims."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from entrenous.model.ids import ClaimId
from entrenous.model.listing import Listing


class ListingStore(Protocol):
    """Listings by claim; durable when it returns. A claim that is withdrawn loses its listing in
    the same transaction. Every method raises BankUnreachable when the store does not answer.
    """

    def keep(self, claims: Collection[ClaimId], listing: Listing) -> None:
        """Of each of these claims, in the place of what was kept; those that are withdrawn or not
        there are passed over.
        """
        ...

    def listings(self, claims: Collection[ClaimId]) -> Mapping[ClaimId, Listing]:
        """Those of these claims that have one."""
        ...

    def due(self, at: datetime) -> tuple[ClaimId, ...]:
        """Claims whose ``on_at`` has come."""
        ...

    def annotate(self, claims: Collection[ClaimId], note: str) -> None:
        """Write a reason in the place of the one that these claims have; a row of the log each.
        Those that are withdrawn or not there are passed over.
        """
        ...
