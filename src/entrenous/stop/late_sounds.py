"""Which clips and sounds that were let through sound like newly registered ones.

docs/spec/gate.md, sections 5.2 and 12.4. An index is made of some hours of what was let through,
and asked for each new sound: so a claim costs a moment for each such piece, and not one for each
upload. Of an upload the words of its own speed alone are kept, so other speeds are not heard here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from entrenous.craft.fingerprint.sound.index import SoundIndex, as_words
from entrenous.craft.fingerprint.sound.look import AS_IT_IS, SoundView
from entrenous.model.claim import Claim
from entrenous.model.fingerprint import Match
from entrenous.model.print import Alike, SoundPrint
from entrenous.model.review import KeptSound
from entrenous.ports import ReviewQueue
from entrenous.stop.sound import sound_hits

_PAGE: Final = 100  # at 40 kB each
_WORDS_AT_ONCE: Final = 250_000  # in one index: eight and a half hours, about 4 MB


@dataclass(slots=True)
class SoughtSounds:
    """Registered sounds, by number, and the claims on each."""

    sounds: dict[int, SoundPrint] = field(default_factory=dict)
    claims: dict[int, list[Claim]] = field(default_factory=dict)

    def add(self, claim: Claim, number: int, sound: SoundPrint) -> None:
        """A claim, and its sound."""
        self.sounds[number] = sound
        self.claims.setdefault(number, []).append(claim)

    def each_claim(self) -> Iterator[Claim]:
        """Of all of them."""
        return (claim for those in self.claims.values() for claim in those)


@dataclass(frozen=True, slots=True)
class SoundFits:
    """One upload, all claims whose sound it holds, and the number of that which fits best."""

    case: str
    matches: tuple[Match, ...]
    sound: int


def kept_sounds(reviews: ReviewQueue) -> Iterator[Sequence[KeptSound]]:
    """All, some hours at a time; read in pages, so that no writer waits for long."""
    some, words, after = list[KeptSound](), 0, 0
    while page := reviews.kept_sounds(after, _PAGE):
        for one in page:
            some.append(one)
            words += len(one.sound)
            if words >= _WORDS_AT_ONCE:
                yield some
                some, words = [], 0
        after = page[-1].number
    if some:
        yield some


def fitting_sounds(sought: SoughtSounds, kept: Sequence[KeptSound]) -> Iterator[SoundFits]:
    """Those of these uploads in which one of these sounds is heard."""
    index = SoundIndex.of([one.sound for one in kept])
    found = dict[int, list[Alike]]()
    for number, sound in sought.sounds.items():
        for upload, alike in _heard_in(index, number, sound):
            found.setdefault(upload, []).append(alike)
    for upload, every in sorted(found.items()):
        yield _fits(kept[upload].case, every, sought.claims)


def _heard_in(index: SoundIndex, number: int, sound: SoundPrint) -> Iterable[tuple[int, Alike]]:
    """By place of the upload in the index, the stretch of it that is like this sound. Which of both
    was in the index makes no difference to how alike they are.
    """
    for one in index.near([SoundView(AS_IT_IS, as_words(sound))]):
        turned = replace(one, sound=number, at_s=one.registered_at_s, registered_at_s=one.at_s)
        yield one.sound, turned


def _fits(case: str, alike: Sequence[Alike], claims: Mapping[int, Sequence[Claim]]) -> SoundFits:
    best = min(alike, key=lambda one: (-one.length_s, one.errors))
    return SoundFits(case, tuple(match for match, _ in sound_hits(alike, claims)), best.sound)
