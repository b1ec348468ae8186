"""How loudly each copy's mark is heard in the frames of a found clip.

Everything up to :class:`Choir` is made without any copy's key. The pilot's chips, which all copies
share, are known here: they tell which bands have survived and how well the frames are laid. That
costs the bound nothing, for an innocent copy's own chips are independent of the pilot's. See
docs/spec/clip.md, section 7.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.mark.code import chips
from entrenous.craft.mark.ear.residual import gather
from entrenous.craft.mark.ear.tone import fit_tone
from entrenous.craft.mark.luma import Plane
from entrenous.craft.mark.prepare import trial_chips
from entrenous.craft.mark.pyramid import detail_adjoint, detail_pyramid
from entrenous.craft.mark.reel.motion import Motion, Stage, amplitude, brought_back
from entrenous.craft.mark.weave import pattern, pattern_adjoint

_PRIOR: Final = 0.5  # of a band's weight, in standard deviations of the pilot: none is given up


@dataclass(slots=True, eq=False)
class Ear:
    """Gathers frames, one plane of evidence per node. It grows with seconds, not with frames."""

    stage: Stage
    planes: dict[int, Plane] = field(default_factory=dict)
    _trial: Plane | None = None

    def take(
        self,
        found: Plane,
        covered: NDArray[np.bool_],
        sent: Plane,
        nodes: Mapping[int, tuple[float, Motion]],
    ) -> None:
        """Listen to one frame.

        Args:
            found: luma of the found frame, laid over the sent one, at the working size, in grey
                levels.
            covered: where it shows the sent one.
            sent: luma of the sent frame, unmarked, likewise.
            nodes: share of each node, and the way from its grid to the frame's.
        """
        if self._trial is None:
            self._trial = pattern(trial_chips(self.stage.plan), self.stage.plan, self.stage.masks)
        strength = amplitude(sent, self.stage)
        grey = np.clip(np.rint(sent), 0, 255).astype(np.uint8)
        tone = fit_tone(found, np.asarray(cv2.merge([grey] * 3), np.uint8), covered)
        trial = detail_pyramid(self._trial * strength, len(self.stage.plan.bands))
        evidence = gather(found, tone, covered.astype(np.float32), trial)
        said = detail_adjoint([octave.rho for octave in evidence]) * strength
        for node, (share, motion) in nodes.items():
            own = brought_back(said, motion) * np.float32(share)
            self.planes[node] = self.planes[node] + own if node in self.planes else own


@dataclass(frozen=True, slots=True, eq=False)
class Choir:
    """One number per chip of every node: which sign the found frames speak for, how firmly.

    Pilot chips are 0. ``strength`` is the norm of all numbers together.
    """

    per_chip: Mapping[int, NDArray[np.float32]]
    strength: float

    def said(self, node: int, copy_stream: bytes) -> float:
        """What a node says for a copy; the sum over nodes divided by ``strength`` is the score."""
        numbers = self.per_chip[node]
        return float(np.dot(chips(copy_stream, numbers.size), numbers))


def choir(ear: Ear, pilots: Mapping[int, bytes]) -> Choir:
    """Weigh the bands by how well the pilot is heard in each.

    Args:
        ear: what was gathered.
        pilots: the pilot's key stream for every node in ``ear``.
    """
    stage = ear.stage
    nodes = {
        node: np.concatenate(pattern_adjoint(plane, stage.plan, stage.masks))
        for node, plane in ear.planes.items()
    }
    pilot = {node: chips(stream, stage.plan.chips) for node, stream in pilots.items()}
    weights = _weights(nodes, pilot, stage)
    own = stage.own.astype(np.float32) * weights
    weighed = {node: numbers * own for node, numbers in nodes.items()}
    power = sum(float(np.dot(one.astype(np.float64), one)) for one in weighed.values())
    return Choir(weighed, math.sqrt(power))


def _weights(
    nodes: Mapping[int, Plane], pilot: Mapping[int, Plane], stage: Stage
) -> NDArray[np.float32]:
    """Per chip: a band heard z deviations above chance deserves a weight of z over its norm."""
    weights = np.zeros(stage.plan.chips, np.float32)
    shared = ~stage.own
    for band in stage.plan.bands:
        part = slice(band.start, band.stop)
        on = shared[part]
        said = sum(float(np.dot(pilot[node][part][on], g[part][on])) for node, g in nodes.items())
        heard = sum(float(np.sum(np.square(g[part][on], dtype=np.float64))) for g in nodes.values())
        noise = sum(float(np.sum(np.square(g[part], dtype=np.float64))) for g in nodes.values())
        if noise > 0.0 and heard > 0.0:
            z = max(0.0, said / math.sqrt(heard)) + _PRIOR
            weights[part] = z / math.sqrt(noise)
    return weights
