"""The cells of OAI's tables: labelled values, missing codes, identifiers.

A cell of the text release is a number (``2``), a labelled number (``"2: Minimal"``), or says why
there is none: nothing at all, ``.``, ``".: Missing Form/Incomplete Workbook"``, or one of SAS's
special missing values with or without a label (``.A``, ``".P: Prosthesis"``). In SAS files the
special missing values are NaNs whose payload names the letter.
"""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.errors import ReleaseError, shown

BARCODE_DIGITS = 12


class Missing(StrEnum):
    """Why a cell has no value. Other letters than these count as `MISSING`."""

    BLANK = "."
    """Nothing is said: an empty cell or a bare ``.``."""
    NOT_EXPECTED = ".A"
    """By design: the feature is read only for knees with definite osteoarthritis."""
    MISSING = ".M"
    """It should be there: a form or a workbook is missing."""
    PROSTHESIS = ".P"
    """The joint is replaced."""
    TECHNICAL = ".T"
    """The image did not allow it to be read."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell says: a number with or without a label, or why there is none.

    Attributes:
        number: the value, None where it is missing.
        label: the text after the colon, e.g. ``Minimal``; of missing values too.
        missing: None where there is a number.
    """

    number: float | None
    label: str = ""
    missing: Missing | None = None


_BLANK_WORDS = frozenset({"", ".", "nan", "na", "n/a", "none", "null", "nat"})
_THOUSANDS = re.compile(r"\d{1,3}(?:([,. \u00a0\u2009\u202f'])\d{3})(?:\1\d{3})+", re.ASCII)
_SPECIAL = re.compile(r"\.(?P<letter>[A-Za-z_]?)\s*(?::\s*(?P<label>.*))?", re.DOTALL)
_NUMBER = re.compile(
    r"(?P<number>[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?)\s*(?::\s*(?P<label>.*))?", re.DOTALL
)


def _as_meant(value: object) -> str:
    """The text of a cell without what spreadsheets put around one to keep it a text."""
    text = "" if value is None else str(value).strip()
    if found := re.fullmatch(r"=\s*\"(.*)\"", text, re.DOTALL):
        text = found[1]
    return text.strip().lstrip("'").strip()


def read_cell(value: object) -> Cell:
    """Read a cell of a text table.

    Raises:
        ReleaseError: for a text that is neither a number nor a missing code.
    """
    text = _as_meant(value)
    if text.lower() in _BLANK_WORDS:
        return Cell(None, "", Missing.BLANK)
    if found := _SPECIAL.fullmatch(text):
        label = (found["label"] or "").strip()
        return Cell(None, label, _reason(found["letter"].upper(), label))
    if found := _NUMBER.fullmatch(text):
        number = float(found["number"].replace(",", "."))  # a spreadsheet's decimal comma
        if math.isfinite(number):
            return Cell(number, (found["label"] or "").strip())
    raise ReleaseError(
        f"{shown(text)} is no value of OAI's tables: accepted are a number, a labelled number "
        'such as "2: Minimal", and the missing codes ".", ".A", ".M", ".P", ".T"'
    )


def _reason(letter: str, label: str) -> Missing:
    if not letter:
        return Missing.MISSING if label else Missing.BLANK
    try:
        return Missing(f".{letter}")
    except ValueError:
        return Missing.MISSING


def sas_texts(numbers: NDArray[np.float64]) -> list[str]:
    """Write the numbers of a SAS column as the text release would.

    SAS keeps ``.A`` to ``.Z`` as NaNs whose third byte, of the big-endian double, is the complement
    of the letter's ASCII code, or of 2 for A, 3 for B and so on; anything else is a plain ``.``.
    ReadStat knows both schemes; the first is found in files that SAS wrote. pandas hands such NaNs
    through untouched.

    Args:
        numbers: float64 array (rows,) as `pandas.read_sas` returns it.

    Returns:
        Texts: whole numbers without a point, NaNs as ``.`` or ``.A`` to ``.Z``.
    """
    numbers = np.ascontiguousarray(numbers, dtype=np.float64)
    tags = ~(numbers.view(np.uint64) >> np.uint64(40)).astype(np.uint8)
    return [
        _special_text(int(tag)) if math.isnan(number) else f"{number:.15g}"
        for number, tag in zip(numbers.tolist(), tags.tolist(), strict=True)
    ]


def _special_text(tag: int) -> str:
    letter = chr(ord("A") + tag - 2) if 2 <= tag < 28 else chr(tag)
    return f".{letter}" if "A" <= letter <= "Z" else "."


def identifier(value: object) -> str:
    """Return an ID as text: ``9000099`` for 9000099, "9000099 " and the 9000099.0 of SAS.

    So are the other forms in which spreadsheets keep numbers: ``'9000099``, ``="9000099"``,
    ``9,000,099``, ``9000099.00``, ``9000099,0`` and ``9.000099E+06``, as long as no digit is lost.
    """
    text = _as_meant(value)
    if text.lower() in _BLANK_WORDS:
        return ""
    if _THOUSANDS.fullmatch(text):
        return re.sub(r"\D", "", text)
    if found := re.fullmatch(r"(\d+)[.,]0*", text):
        return found[1]
    if found := re.fullmatch(r"(\d)\.(\d+)[eE]\+?0*(\d{1,2})", text, re.ASCII):
        first, digits, exponent = found[1], found[2], int(found[3])
        if len(digits) >= exponent and not digits[exponent:].strip("0"):
            return f"{first}{digits[:exponent]}".lstrip("0") or "0"
    return text


def participant_of(value: object) -> str:
    """Return a participant's ID without zeros that a program has put in front."""
    text = identifier(value)
    return text.lstrip("0") if text.isdigit() else text


_DATES = (
    re.compile(r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)"),
    re.compile(r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})"),
    re.compile(r"(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4}|\d\d)"),
    re.compile(r"(?P<m>\d{1,2})[-/](?P<d>\d{1,2})[-/](?P<y>\d{4}|\d\d)"),
    re.compile(r"(?P<d>\d{1,2})[- /.]*(?P<m>[A-Za-z]{3})[a-z]*[- /.,:]*(?P<y>\d{4}|\d\d)"),
    re.compile(r"(?P<m>[A-Za-z]{3})[a-z]*[-. /]+(?P<d>\d{1,2})(?:,?\s+|[-/])(?P<y>\d{4})"),
    re.compile(r"(?P<y>\d{4})[- /](?P<m>[A-Za-z]{3})[a-z]*[- /](?P<d>\d{1,2})"),
)
_TIME = re.compile(r"[T :]\d{1,2}:\d\d|(?<=^\d{8})[T ]?\d{4}(?:\d\d)?(?:\.\d+)?$")
_WEEKDAY = re.compile(r"^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*[., ]+", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIRST_YEAR = 1895  # of any radiograph
_SPREADSHEET = datetime.date(1899, 12, 30)
"""Day 0 of the day numbers of spreadsheets."""


def date_of(value: object) -> str:
    """Return a date as yyyymmdd, which sorts; an empty text where it is none.

    Read are ``20050103``, ``2005-01-03``, OAI's ``01/03/2005`` (month first; day first where the
    first is above 12), ``03.01.2005`` (day first, as where dates have points), ``03JAN2005``,
    ``Jan 3, 2005``, ``2005\N{CJK UNIFIED IDEOGRAPH-5E74}1\N{CJK UNIFIED IDEOGRAPH-6708}3`` and
    spreadsheets' day numbers (38355), each also with its weekday before it or a time of day behind
    it, as in SAS's ``03JAN2005:08:15:00`` and DICOM's ``20050103081500``.
    """
    text = _WEEKDAY.sub("", _TIME.split(_as_meant(value))[0]).rstrip(" .,")
    text = re.sub("[\u5e74\u6708]", "-", text).removesuffix("\u65e5")
    if not text.isdigit():
        text = identifier(text)
    for pattern in _DATES:
        if found := pattern.fullmatch(text):
            return _calendar(found["y"], found["m"], found["d"], pattern.pattern[4] != "y")
    if re.fullmatch(r"[34]\d{4}(\.\d+)?", text):  # 1982 to 2036
        return f"{_SPREADSHEET + datetime.timedelta(days=int(float(text))):%Y%m%d}"
    return ""


def _calendar(year: str, month: str, day: str, may_be_swapped: bool) -> str:
    if month.isalpha():
        month = str(_MONTHS.index(month.lower()) + 1) if month.lower() in _MONTHS else "0"
    if may_be_swapped and int(month) > 12 >= int(day):
        month, day = day, month
    full = int(year) + (2000 if int(year) < 70 else 1900) if len(year) == 2 else int(year)
    if full < _FIRST_YEAR:  # 0, and slips
        return ""
    try:
        return f"{datetime.date(full, int(month), int(day)):%Y%m%d}"
    except ValueError:
        return ""


def barcode(value: object) -> str:
    """Return a barcode with its twelve digits: leading zeros get lost in spreadsheets.

    Returns:
        E.g. ``016600123456``, or an empty text where there is none.
    """
    text = identifier(value)
    return text.zfill(BARCODE_DIGITS) if text.isdigit() else ""
