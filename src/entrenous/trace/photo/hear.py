"""What a found picture says about the marks in a sent one, before any key is asked for.

Tracing and the independent check both listen here, so that they hear the same.
"""

import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.lay import lay_over, lay_under
from entrenous.craft.align.register import Registration
from entrenous.craft.mark.listen import Heard, listen
from entrenous.craft.mark.prepare import Prepared
from entrenous.craft.mark.recode import recoded, table_for
from entrenous.model.picture import Picture


def hear(found: Picture, registration: Registration, prepared: Prepared) -> Heard:
    """The evidence of a found picture; ``prepared`` is the sent one that it was registered on."""
    laid, covered = lay_over(np.asarray(found), registration)
    return listen(laid, covered, prepared, _laid_recoded(found, registration, prepared))


def _laid_recoded(
    found: Picture, registration: Registration, prepared: Prepared
) -> NDArray[np.float32] | None:
    """What the leak's coefficients say, on its own grid; None when that would add nothing."""
    table = table_for(found.encoding.tables, found.pixels, prepared.layout)
    if table is None:
        return None
    under, inside = lay_under(prepared.pixels_rgb, registration)
    trial, _ = lay_under(prepared.trial(), registration)
    plane = recoded(np.asarray(found), under, inside, table, trial)
    return lay_over(plane, registration)[0]
