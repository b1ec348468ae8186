"""Tell somebody of a flood, and of reviews that wait for long (docs/spec/gate.md, 7.4)."""

from datetime import timedelta

from entrenous.model.page import PageFailed
from entrenous.ports import Platform


def page_somebody(platform: Platform) -> tuple[PageFailed, ...]:
    """Run the operator's program for what nobody was told of within the hour; what failed.

    Raises:
        BankUnreachable.
    """
    if platform.page is None:
        return ()
    failed = []
    before = platform.clock.now() - timedelta(hours=platform.limits.page_after_hours)
    for page in platform.reviews.take_pages(before, platform.limits.held_per_hash):
        try:
            platform.page(page)
        except PageFailed as why:
            failed.append(why)
        else:
            platform.reviews.paged(page)
    return tuple(failed)
