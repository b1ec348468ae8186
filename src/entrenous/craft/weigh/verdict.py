"""Decide which copy leaked, and how sure we may be.

Naming an innocent person's copy is the grave mistake here, staying silent the cheap one. So the
rule is built around one promise: *whatever the number of copies that were compared, and whatever
was done to the file, the chance that any innocent copy is named is at most* ``alpha``. It rests on
a theorem about the marks' law (:mod:`entrenous.craft.weigh.tail`), not on a fitted curve.

Nothing here reads files, asks for the time or speaks to people: the words a person sees are chosen
by the faces from the numbers in :class:`Verdict`.
"""

from collections.abc import Mapping

from entrenous.craft.weigh.ratio import likelihood_ratio
from entrenous.craft.weigh.tail import best_of, upper_tail
from entrenous.model.ids import RecipientId
from entrenous.model.verdict import Finding, NothingToWeigh, Verdict
from entrenous.spec import ALPHA


def weigh(
    scores: Mapping[RecipientId, float], *, alpha: float = ALPHA, compared: int | None = None
) -> Verdict:
    """Name the copies whose score no innocent copy would plausibly reach.

    Args:
        scores: one score per copy, in standard deviations of an innocent's; finite; N >= 1 entries.
        alpha: accepted probability, in (0, 1), that any innocent copy is named.
        compared: how many copies the leak was compared with in all: when pictures of several
            messages were tried, everybody who got one of them. At least N, which is the default.

    Raises:
        NothingToWeigh: ``scores`` is empty.
        ValueError: a score is not finite, ``alpha`` is outside (0, 1), ``compared`` is below N.

    >>> weigh({RecipientId("ana"): 9.1, RecipientId("bo"): 0.3}).named
    ('ana',)
    """
    if not scores:
        raise NothingToWeigh
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    everybody = len(scores) if compared is None else compared
    if everybody < len(scores):
        raise ValueError(
            f"{len(scores)} copies were scored, so more than {everybody} were compared"
        )
    chance = {who: best_of(everybody, upper_tail(score)) for who, score in scores.items()}
    standing_out = (who for who in chance if chance[who] <= alpha)
    named = tuple(sorted(standing_out, key=scores.__getitem__, reverse=True))
    ratio = {who: likelihood_ratio(score) for who, score in scores.items()}
    return Verdict(finding_of(len(named)), named, chance, dict(scores), ratio)


def finding_of(named: int) -> Finding:
    """What so many named copies say."""
    return (Finding.NOBODY, Finding.ONE, Finding.SEVERAL)[min(named, 2)]
