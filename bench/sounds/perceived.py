"""Rate a marked copy with a model of hearing: ViSQOL's MOS-LQO (Chinen et al. 2020), 1 to 5.

The package is optional (``pip install --no-deps visqol-python``; its model for anything but speech
also needs ``libsvm-official``). If the package is missing, a benchmark says so.
"""

from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

Samples = NDArray[np.float32]

_LENGTH_S: Final = 10.0  # at most this much of a sound is rated: the model was made for 5 to 10 s
_SPEECH_HZ: Final = 16_000
_AUDIO_HZ: Final = 48_000


@dataclass(frozen=True, slots=True)
class HearingModel:
    """The model, loaded, for speech (16 kHz) or for any sound (48 kHz)."""

    api: Any
    rate_hz: int

    def mos(self, original: Samples, heard: Samples, rate_hz: int) -> float:
        """Return the predicted mean opinion score of ``heard``, compared with ``original``."""
        pair = [self._at(one, rate_hz) for one in (original, heard)]
        return float(self.api.measure_from_arrays(*pair, self.rate_hz).moslqo)

    def _at(self, samples: Samples, rate_hz: int) -> NDArray[np.float64]:
        ratio = Fraction(self.rate_hz, rate_hz)
        part = samples[: int(_LENGTH_S * rate_hz)].astype(np.float64)
        return np.asarray(resample_poly(part, ratio.numerator, ratio.denominator), np.float64)


def load_hearing_model(*, speech: bool) -> HearingModel | None:
    """Load the model; return None if a package that it needs is missing."""
    if find_spec("visqol") is None or (not speech and find_spec("libsvm") is None):
        return None
    api = import_module("visqol").VisqolApi()
    if speech:  # the polynomial rates a sound that cannot be told from its original as 5
        api.create(mode="speech", use_lattice_model=False)
    else:
        api.create(mode="audio")
    return HearingModel(api, _SPEECH_HZ if speech else _AUDIO_HZ)
