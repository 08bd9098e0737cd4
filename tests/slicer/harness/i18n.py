"""`slicer.i18n`: texts as Qt's translators have them, by the file that they stand in.

A translation that lost a placeholder is refused, as Slicer refuses it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from PySide6.QtCore import QCoreApplication


def tr(text: str) -> str:
    found = translate(getContext(sys._getframe(1).f_code.co_filename), text)
    return found if _fields(found) == _fields(text) else text


def translate(context: str, text: str) -> str:
    return QCoreApplication.translate(context, text)


def getContext(source: str) -> str:
    path = Path(source)
    package = f"{path.parent.name}." if (path.parent / "__init__.py").is_file() else ""
    return f"{package}{path.stem}" if path.is_file() else path.name


def _fields(text: str) -> set[str]:
    return set(re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", text))
