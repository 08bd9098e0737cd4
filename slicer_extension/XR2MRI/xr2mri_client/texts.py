"""The translator of every text that a user may read: Slicer's inside Slicer, none elsewhere.

    from .texts import tr as _
    message = _("No model is called {name}.").format(name=name)

Slicer finds the translation by the file that the call stands in, so `tr` is its own function,
not one around it.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "Resources" / "Translations"
_ROLE = "XR2MRITranslator"
_FIELD = re.compile(r"(?<!\{)\{([^\{\}]+)\}(?!\})")


def tr(text: str) -> str:
    """The text as it stands."""
    return text


def _of_caller(text: str) -> str:
    """Slicer's `tr`, with each text looked up once: that one asks the disk about the file of its
    caller every time, and in 5.4 about those of the whole stack. Slicer's language changes when it
    starts."""
    path = sys._getframe(1).f_code.co_filename
    found = _known.get((path, text))
    if found is None:
        found = i18n.translate(i18n.getContext(path), text)
        if set(_FIELD.findall(found)) != set(_FIELD.findall(text)):
            found = text  # a translator has lost a placeholder
        _known[path, text] = found
    return found


_known: dict[tuple[str, str], str] = {}


def load() -> bool:
    """Install the translation into Slicer's language, where this extension brings one; whether it
    does."""
    import qt
    import slicer

    before = getattr(slicer.modules, _ROLE, None)
    if before is not None:
        qt.QCoreApplication.removeTranslator(before)  # of a module that has been reloaded
        delattr(slicer.modules, _ROLE)
    settings = slicer.app.userSettings()
    enabled = str(settings.value("Internationalization/Enabled")).lower()
    language = re.match(r"[a-z]*", str(settings.value("language") or ""))[0]  # type: ignore[index]
    path = FOLDER / f"XR2MRI_{language}.qm"
    if enabled not in ("true", "1") or not path.is_file():  # where nothing is set, Slicer is not
        return False
    translator = qt.QTranslator()
    if not translator.load(str(path)):
        return False
    qt.QCoreApplication.installTranslator(translator)
    setattr(slicer.modules, _ROLE, translator)  # Qt does not keep it
    return True


if "slicer" in sys.modules:  # never the one to import it: a command line needs no VTK
    with suppress(ImportError):  # an older Slicer, or the MRML library alone
        from slicer import i18n

        tr = _of_caller
        with suppress(ImportError, AttributeError):  # there is no application
            load()
