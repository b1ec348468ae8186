"""When a clip's sound is heard, beside its picture (docs/spec/clip.md, section 5).

What is marked and traced are the samples, one after the other, whatever their times say. So times
are kept apart from them: as silences that a copy is given once its samples are marked.
"""

from typing import Any, Final

from entrenous.craft.media.clip.read import pictures_of
from entrenous.model.clip import FramesUnknown, NoFrames
from entrenous.model.sound import Silence, Timing
from entrenous.spec import SOUND_LENGTH_S_MAX

_STARTS_APART_S: Final = 0.025  # less is no more than a frame of AAC at 44.1 kHz
_STARTING_S: Final = 0.1  # priming, where a container does not skip it, has times of its own
_BEHIND_S: Final = 0.060  # less is the jitter of recorders


class Timeline:
    """Follows the times of a sound's parts, of ``rate_hz`` samples a second.

    No more silences are noted once they are together as long as the longest sound: whoever sends
    such a sound refuses it, and times that lie make no long list.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._most = round(SOUND_LENGTH_S_MAX * rate_hz)
        self._start_s: float | None = None
        self._heard = 0
        self._silent = 0
        self._silences: list[Silence] = []

    def note(self, at_s: float | None, samples: int) -> None:
        """So many samples come next; their file has them heard at ``at_s`` (None: it is silent on
        that).
        """
        if at_s is not None:
            if self._start_s is None or self._heard < _STARTING_S * self._rate_hz:
                self._start_s = at_s - self._heard / self._rate_hz
            self._keep_up(at_s - self._start_s)
        self._heard += samples

    def beside(self, picture_s: float) -> Timing:
        """The same beside a picture that begins at ``picture_s`` on the clock of the parts."""
        late_s = 0.0 if self._start_s is None else self._start_s - picture_s
        late = min(round(abs(late_s) * self._rate_hz), self._most)
        silences = tuple(self._silences)
        if abs(late_s) <= _STARTS_APART_S:
            return Timing(0, silences)
        if late_s > 0.0:
            return Timing(0, (Silence(0, late), *silences))
        return Timing(min(late, self._heard + self._silent), silences)

    def _keep_up(self, at_s: float) -> None:
        behind = round(at_s * self._rate_hz) - self._heard - self._silent
        if behind > _BEHIND_S * self._rate_hz and self._silent < self._most:
            self._silences.append(Silence(self._heard, min(behind, self._most)))
            self._silent += self._silences[-1].length


def picture_start_s(container: Any) -> float | None:
    """Where the moving pictures of an open file begin, as whoever reads their frames counts it;
    None: there are none.
    """
    try:
        stream = pictures_of(container)
    except (NoFrames, FramesUnknown):
        return None
    return float((stream.start_time or 0) * stream.time_base)
