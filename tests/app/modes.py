"""In which ways a test uses the pages, where it is about none of the six jobs of the app.

By keyboard and without script, what does not work shows. The mouse presses the same buttons of the
same pages, and scripts run with the keyboard, too: with both, these tests run at night.
"""

import pytest

MODE_PARAMETERS = pytest.mark.parametrize(
    "mode", [pytest.param("mouse", marks=pytest.mark.nightly), "keyboard", "no-script"]
)
