"""Letters of a DICOM header that its Specific Character Set does not cover, or cannot mean.

Without that attribute a header may hold ASCII alone, yet devices write names in the code page of
their country. pydicom then reads every byte as a letter of Latin-1: wrong letters, which lose
nothing, for written the same way they are the same bytes again. UTF-8 is recognised, for no text
in a code page of one byte is UTF-8 by chance; those code pages cannot be distinguished, and are
kept as they are.

Others declare a code page of one byte, by a default of the device, and write in another. Every byte
is a letter there too, but not every letter stands beside every other: see `implausible`. What
is so read cannot be meant, and its bytes are kept as if nothing were declared. What reads as words
of the declared alphabet is believed. Capitals of Windows' Cyrillic read as 8859-5, and those of
KOI8-R, have only letters of the second half of the alphabet; names of six letters and more do not.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from codecs import lookup
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

from pydicom import Dataset
from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement

log = logging.getLogger("xr2mri")

UTF8 = "ISO_IR 192"
_TEXT = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
_ONE_BYTE = ("latin", "iso8859", "iso_ir_1")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_APOSTROPHES = "'\N{ACUTE ACCENT}\N{MIDDLE DOT}\N{SOFT HYPHEN}"
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "HEBREW", "ARABIC", "THAI")
_ESCAPE = b"\x1b"
_SETS = {
    b"\x1b$B": "ISO 2022 IR 87", b"\x1b$(D": "ISO 2022 IR 159", b"\x1b(J": "ISO 2022 IR 13",
    b"\x1b)I": "ISO 2022 IR 13", b"\x1b$)C": "ISO 2022 IR 149", b"\x1b$)A": "ISO 2022 IR 58",
    b"\x1b-A": "ISO 2022 IR 100", b"\x1b-B": "ISO 2022 IR 101", b"\x1b-C": "ISO 2022 IR 109",
    b"\x1b-D": "ISO 2022 IR 110", b"\x1b-L": "ISO 2022 IR 144", b"\x1b-G": "ISO 2022 IR 127",
    b"\x1b-F": "ISO 2022 IR 126", b"\x1b-H": "ISO 2022 IR 138", b"\x1b-M": "ISO 2022 IR 148",
    b"\x1b-T": "ISO 2022 IR 166",
}  # fmt: skip
"""Escape sequences and the character sets they switch to (PS3.3, C.12.1.1.2)."""
_ENOUGH = 4
"""Letters of several bytes that are no UTF-8 by chance in text of another set of several bytes."""
_FIRST_HALF = set("абвгдежзийклмноп")
_FEW = 6
_SERBIAN, _RUSSIAN = set("ђѓѕјљњћќџ"), set("йщъыьэюяё")
_WORDS = re.compile(r"[^\W\d_](?:[^\x00-\x7f]|[^\W\d_])*[^\W\d_]")


def settle_character_set(dataset: Dataset) -> None:
    """Make a dataset that was just read state a character set that its text is in, or none.

    UTF-8 that is not declared is declared, and so are sets that escape sequences in the text switch
    to. Where the declared set is unknown, or its text is in another, it is taken out: the letters
    are those of Latin-1 then, and the bytes are kept.
    """
    foreign = [value for value in _raw_texts(dataset) if not value.isascii() or _ESCAPE in value]
    encodings = _declared(dataset)
    if not foreign or (encodings is not None and _fits(dataset, foreign, encodings)):
        return
    if all(map(_is_utf8, foreign)) and not all(map(bytes.isascii, foreign)):
        log.info("the DICOM file declares no character set that fits: its text is UTF-8")
        dataset.SpecificCharacterSet = UTF8
        _decode_by(dataset, ["utf8"])
    elif switched := _switched_to(foreign):
        log.info("the DICOM file declares no character set that fits: its text switches to some")
        dataset.SpecificCharacterSet = ["", *switched]
        _decode_by(dataset, convert_encodings(["", *switched]))
    elif meant := _meant_without_switch(foreign, encodings or []):
        log.info("the DICOM file switches to no character set: its text is %s", meant)
        _decode_by(dataset, [meant])
    else:
        log.info("the DICOM file declares no character set that fits: letters are not known")
        if "SpecificCharacterSet" in dataset:
            del dataset.SpecificCharacterSet
        _decode_by(dataset, [default_encoding])


def _declared(dataset: Dataset) -> list[str] | None:
    """Python's names of the declared character sets; None for none, ASCII, and unknown ones."""
    try:
        encodings = convert_encodings(dataset.get("SpecificCharacterSet"))
    except LookupError:
        return None
    return None if encodings == [default_encoding] else encodings


def _fits(dataset: Dataset, foreign: list[bytes], encodings: list[str]) -> bool:
    """Whether text with letters beyond ASCII is in the declared character sets."""
    if any(_ESCAPE in value for value in foreign):  # code extensions: pydicom knows how to switch
        declared = dataset.get("SpecificCharacterSet") or ""
        known = {declared} if isinstance(declared, str) else set(declared)
        return known.issuperset(_switched_to(foreign))
    first = encodings[0]
    if len(encodings) > 1 and first == default_encoding:
        return False
    if all(map(_is_utf8, foreign)) and lookup(first).name != "utf-8":
        letters = [letter for value in foreign for letter in value.decode() if letter > "\x7f"]
        if first.startswith(_ONE_BYTE) or len(letters) >= _ENOUGH or max(letters) > "\u07ff":
            return False
    texts = [value.decode(first, "replace") for value in foreign]
    if any(_REPLACEMENT in text for text in texts):
        return False
    one_byte = len("".join(texts)) == sum(map(len, foreign))
    return not (one_byte and any(map(implausible, texts)))


def _switched_to(foreign: list[bytes]) -> list[str]:
    """The character sets that escape sequences in the text switch to, but ASCII."""
    return [name for code, name in _SETS.items() if any(code in value for value in foreign)]


def _meant_without_switch(foreign: list[bytes], encodings: list[str]) -> str:
    """The declared set that all text is in, though it never switches to it; "" for none."""
    for encoding in encodings[1:]:
        with suppress(UnicodeDecodeError, LookupError):
            for value in foreign:
                value.decode(encoding)
            return encoding
    return ""


def implausible(text: str) -> bool:
    """Whether text beyond ASCII can't be what was written, so that its bytes are of another set.

    That is: control characters of Latin-1 (0x80 to 0x9F); letters of several alphabets, or signs,
    within words (8859-5 has a numero
    sign where Windows' Cyrillic has er); small letters before capitals beyond ASCII, or after two;
    three and more Latin letters all of which have accents; letters of Serbian among those of
    Russian; six and more Cyrillic ones without any of the first half of the alphabet, which makes
    two of three letters of a text.
    """
    if any("\x80" <= letter <= "\x9f" for letter in text):
        return True
    if any(map(_no_word, _WORDS.findall(text))):
        return True
    small = set(text.lower())
    cyrillic = sum(letter.isalpha() and _is_of("CYRILLIC", letter) for letter in text)
    second_half = cyrillic >= _FEW and not small & _FIRST_HALF
    accents = any(map(_all_accents, text.split("=")))  # a name in several alphabets
    return second_half or accents or bool(small & _SERBIAN and small & _RUSSIAN)


def _no_word(word: str) -> bool:
    """Whether no word is written so."""
    if any(unicodedata.category(s)[0] in "SPCN" for s in word if s not in _APOSTROPHES):
        return True
    if sum(any(_is_of(script, letter) for letter in word) for script in _SCRIPTS) > 1:
        return True
    if any(a.islower() and b.isupper() for a, b in pairwise(word) if not (a + b).isascii()):
        return True
    triples = zip(word, word[1:], word[2:], strict=False)
    return any(
        (a + b).isupper() and c.islower()
        for a, b, c in triples
        if not any(map(str.isascii, (a, b, c)))
    )


def _all_accents(text: str) -> bool:
    """Whether more than two letters are Latin, and none of all is without an accent."""
    letters = [letter for letter in text if letter.isalpha()]
    latin = sum(_is_of("LATIN", letter) for letter in letters)
    return latin > 2 and not any(map(str.isascii, letters))


def _is_of(script: str, letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(script)


def _raw_texts(dataset: Dataset) -> Iterator[bytes]:
    """The bytes of public text that nothing has decoded yet."""
    for tag in [*dataset.keys()]:
        element = dataset.get_item(tag)
        kind = _kind(element)
        if kind == "SQ":
            for item in dataset[tag].value or ():
                yield from _raw_texts(item)
        elif kind in _TEXT and isinstance(element, RawDataElement) and element.value:
            yield element.value


def _kind(element: DataElement | RawDataElement | None) -> str:
    """The value representation of a public element, "" for a private one."""
    if element is None or element.tag.is_private:
        return ""
    if element.VR or not dictionary_has_tag(element.tag):
        return element.VR or ""
    return dictionary_VR(element.tag)  # implicit ones do not say it


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decode_by(dataset: Dataset, encodings: list[str]) -> None:
    """Set other encodings for what pydicom has not decoded yet."""
    dataset.read_encoding = encodings
    dataset._parent_encoding = encodings
    for tag in [*dataset.keys()]:
        if _kind(dataset.get_item(tag)) == "SQ":
            for item in dataset[tag].value or ():
                _decode_by(item, encodings)
