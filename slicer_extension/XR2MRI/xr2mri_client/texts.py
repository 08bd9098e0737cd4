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


def _of_caller(text: str) -> str:
    """Slicer's `tr` for 5.4 and 5.6, whose own looks at each function that waits for an answer, and
    at their source files, for every text."""
    path = sys._getframe(1).f_code.co_filename
    if path not in _contexts:
        _contexts[path] = i18n.getContext(path)
    return i18n.translate(_contexts[path], text)


_contexts: dict[str, str] = {}

if "slicer" in sys.modules:  # never the one to import it: a command line needs no VTK
    with suppress(ImportError):  # an older Slicer, or the MRML library alone
        from slicer import i18n

        slow = hasattr(i18n, "getContext") and not hasattr(i18n, "FILEPATH_TO_CONTEXT")
        tr = _of_caller if slow else i18n.tr
