"""Tables that come back from a spreadsheet: in UTF-16 or a code page, a line `sep=;` before the
header. The core and the Slicer module read them alike.
"""

from __future__ import annotations

import codecs
import re

_SEPARATOR = re.compile(r"[|\t,;]")


def decoded(raw: bytes) -> str:
    """The text of a table, whatever program has written it.

    What is no Unicode is read in the code page of Western Windows.

    Raises:
        UnicodeDecodeError: it is UTF-16 that breaks off.
    """
    text = _unicode(raw)
    if text is not None:
        return text
    raw = raw[len(codecs.BOM_UTF8) :] if raw.startswith(codecs.BOM_UTF8) else raw
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return raw.decode("latin-1")  # free text of 2004


def letters_are_guessed(raw: bytes) -> bool:
    """Whether a table is text but no Unicode: other letters than ASCII's may be others then."""
    return b"\0" not in raw and _unicode(raw) is None  # NUL: UTF-16, or a file of SAS


def _unicode(raw: bytes) -> str | None:
    """The text of a file in UTF-16 or UTF-8; None where it is neither."""
    if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return raw.decode("utf-16")
    if b"\0" in raw[:200]:  # every second byte of Latin letters in UTF-16, here without its mark
        return raw.decode("utf-16-be" if raw[:1] == b"\0" else "utf-16-le")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def from_header(text: str) -> str:
    """The text of a table from its header on, lines ended by a line feed.

    Left out are a title above the header and a spreadsheet's line ``sep=;``.
    """
    text = text.replace("\0", "").replace("\r\n", "\n")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    text = text.lstrip("\ufeff\n ")
    first, _, rest = text.partition("\n")
    titled = not _SEPARATOR.search(first) and _SEPARATOR.search(rest.partition("\n")[0])
    return rest if titled or re.fullmatch(r'"?sep=.?"?\s*', first, re.IGNORECASE) else text
