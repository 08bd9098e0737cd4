"""The translator of every text that a user may read: Slicer's inside Slicer, none elsewhere.

    from .texts import tr as _
    message = _("No model is called {name}.").format(name=name)

Slicer finds the translation by the file that the call stands in, so `tr` is its own function,
not one around it.
"""

from __future__ import annotations

import sys
from contextlib import suppress


def tr(text: str) -> str:
    """The text as it stands."""
    return text


if "slicer" in sys.modules:  # never the one to import it: a command line needs no VTK
    with suppress(ImportError):  # an older Slicer, or the MRML library alone
        from slicer.i18n import tr  # type: ignore[no-redef]  # noqa: F401
