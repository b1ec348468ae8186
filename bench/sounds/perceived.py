"""What a model of hearing says of a marked copy: ViSQOL's MOS-LQO (Chinen et al. 2020), 1 to 5.

The package is optional (``pip install --no-deps visqol-python``; its model for anything but speech
asks for ``libsvm-official`` as well). A bench without it says so.
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

_LENGTH_S: Final = 10.0  # of a sound: the model was made for 5 to 10
_SPEECH_HZ: Final = 16_000
_AUDIO_HZ: Final = 48_000


@dataclass(frozen=True, slots=True)
class Judge:
    """The model for speech (16 kHz) or for anything (48 kHz), ready to listen."""

    api: Any
    rate_hz: int

    def mos(self, original: Samples, heard: Samples, rate_hz: int) -> float:
        """Mean opinion score that listeners would give to ``heard``, knowing ``original``."""
        pair = [self._at(one, rate_hz) for one in (original, heard)]
        return float(self.api.measure_from_arrays(*pair, self.rate_hz).moslqo)

    def _at(self, samples: Samples, rate_hz: int) -> NDArray[np.float64]:
        ratio = Fraction(self.rate_hz, rate_hz)
        part = samples[: int(_LENGTH_S * rate_hz)].astype(np.float64)
        return np.asarray(resample_poly(part, ratio.numerator, ratio.denominator), np.float64)


def judge(*, speech: bool) -> Judge | None:
    """None where a package that it needs is missing."""
    if find_spec("visqol") is None or (not speech and find_spec("libsvm") is None):
        return None
    api = import_module("visqol").VisqolApi()
    if speech:  # its polynomial gives 5 to what can't be told from its original
        api.create(mode="speech", use_lattice_model=False)
    else:
        api.create(mode="audio")
    return Judge(api, _SPEECH_HZ if speech else _AUDIO_HZ)
