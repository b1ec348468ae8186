"""What a found picture says about the marks in a sent one, before any key is asked for.

Tracing and the independent check both listen here, so that they hear the same. The leak's detail
and its coding are heard at the same time, each by itself: that changes no bit of either.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from entrenous.craft.align.geometry import resizing
from entrenous.craft.align.lay import lay_over, lay_under
from entrenous.craft.align.register import Registration
from entrenous.craft.mark.code import Layout
from entrenous.craft.mark.listen import Heard, Voice, by_coding, by_octave, heard_in
from entrenous.craft.mark.luma import luma
from entrenous.craft.mark.prepare import Prepared, trial_chips
from entrenous.craft.mark.recode import recoded, table_for
from entrenous.model.picture import Picture


def hear(found: Picture, registration: Registration, prepared: Prepared) -> Heard:
    """The evidence of a found picture; ``prepared`` is the sent one that it was registered on."""
    with ThreadPoolExecutor(1) as beside:
        coding = beside.submit(_coding, found, registration, prepared)
        laid, covered = lay_over(luma(np.asarray(found)), registration)
        octaves = by_octave(laid, covered, prepared)
        return heard_in(octaves, coding.result())


def _coding(found: Picture, registration: Registration, prepared: Prepared) -> Voice | None:
    """What the leak's coefficients say; None when that would add nothing."""
    table = table_for(found.encoding.tables, found.pixels, prepared.layout)
    if table is None:
        return None
    at_work = _at_work(registration, prepared.layout)
    under, inside = lay_under(prepared.pixels_rgb, registration)
    trial, _ = lay_under(prepared.pattern(trial_chips(prepared.layout)), at_work)
    plane = recoded(np.asarray(found), under, inside, table, trial)
    laid, covered = lay_over(plane, at_work)
    laid[~covered] = 0  # or what stands at the leak's border would speak for all beyond it
    return by_coding(laid, prepared)


def _at_work(registration: Registration, plan: Layout) -> Registration:
    """The same of the sent picture at the size at which marks are made."""
    rows, columns = plan.working
    size = (columns, rows)
    pose = registration.pose.resized(resizing(registration.sent_size, size), np.eye(3))
    return replace(registration, sent_size=size, pose=pose)
