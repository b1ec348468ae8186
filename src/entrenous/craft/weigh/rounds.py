"""Name copies in rounds: without those already named, fainter ones beside them are heard.

Round 0 scores every copy; round k scores those not yet named, in the evidence without the named
ones (``craft/mark/ear/aside.py``). Round k may spend 2^-(k+1) of alpha: its chances count 2^(k+1)
fold. The rounds end when one names nobody.

The chance that any innocent copy is named stays at most alpha. Let A_0 be empty and A_(k+1) the
*merged* copies (those that had a part in the leak) that rounds 0 to k name when innocents are left
out. A_k depends on the leak and on merged copies' streams alone, so, given both, an innocent's
chips are still independent fair signs, and its score without A_k obeys the bound of ``tail``. As
long as no innocent has been named, the copies set aside in round k are exactly A_k. Hence the first
innocent to be named, if any, is one that reaches round k's threshold without A_k, and
P(any) <= sum over k of 2^-(k+1) alpha <= alpha. docs/spec/mark.md, section 7.
"""

from collections.abc import Callable, Collection, Mapping

from entrenous.craft.weigh.ratio import likelihood_ratio
from entrenous.craft.weigh.tail import best_of, upper_tail
from entrenous.craft.weigh.verdict import finding_of
from entrenous.model.ids import RecipientId
from entrenous.model.verdict import NothingToWeigh, Verdict
from entrenous.spec import ALPHA

Score = Callable[[Collection[RecipientId]], Mapping[RecipientId, float]]


def weigh_in_rounds(score: Score, *, alpha: float = ALPHA, compared: int | None = None) -> Verdict:
    """Name the copies whose score no innocent copy would plausibly reach, in rounds.

    A copy's chance is the least of its chances in the rounds that scored it, each counted 2^(k+1)
    fold; its score is the one of that round, its likelihood ratio that of its first score.

    Args:
        score: scores of all copies, in standard deviations of an innocent's, in the evidence
            without these copies; scores of copies already named are not looked at.
        alpha: accepted probability, in (0, 1), that any innocent copy is named.
        compared: as in ``verdict.weigh``.

    Raises:
        NothingToWeigh: there are no copies.
        ValueError: a score is not finite, ``alpha`` is outside (0, 1), ``compared`` is too small.
    """
    first = dict(score(()))
    everybody = _checked(len(first), alpha, compared)
    best = {who: (_chance(z, everybody, 0), z) for who, z in first.items()}
    named = _named(best, (), alpha)
    fresh, spent = named, 1
    while fresh and len(named) < len(first):
        for who, z in score(named).items():
            if who not in named:
                best[who] = min(best[who], (_chance(z, everybody, spent), z))
        fresh = _named(best, named, alpha)
        named, spent = named + fresh, spent + 1
    return Verdict(
        finding_of(len(named)),
        named,
        {who: chance for who, (chance, _) in best.items()},
        {who: z for who, (_, z) in best.items()},
        {who: likelihood_ratio(z) for who, z in first.items()},
    )


def _checked(copies: int, alpha: float, compared: int | None) -> int:
    if not copies:
        raise NothingToWeigh
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    everybody = copies if compared is None else compared
    if everybody < copies:
        raise ValueError(f"{copies} copies were scored, so more than {everybody} were compared")
    return everybody


def _chance(score: float, everybody: int, spent: int) -> float:
    """Counted 2^(spent + 1) fold; beyond 1,000 rounds nothing is small enough any more."""
    return min(1.0, best_of(everybody, upper_tail(score)) * 2.0 ** min(spent + 1, 1000))


def _named(
    best: Mapping[RecipientId, tuple[float, float]], before: Collection[RecipientId], alpha: float
) -> tuple[RecipientId, ...]:
    """From most to least likely."""
    small = [who for who, (chance, _) in best.items() if chance <= alpha and who not in before]
    return tuple(sorted(small, key=lambda who: best[who][1], reverse=True))
