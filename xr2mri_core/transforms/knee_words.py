"""What the words of a description in a DICOM header say of a knee: its side, its view, the part.

The words of many languages are in `knee_words_table`. What is read here is never believed alone:
see `dicom_statements`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from xr2mri_core.geometry import Laterality
from xr2mri_core.transforms.knee_words_table import LANGUAGES, Language

_FIELDS = Language._fields
_LEG = re.compile(
    r"(?<![^\W_])(legs?|lower (limb|extremit)\w*|bein\w*|ganzbein\w*|membres?|scanogram|alignment"
    r"|goniomet\w*|下肢|нижн\w+ конечн\w+)(?![^\W_])"
)
_SEVERAL = re.compile(
    r"(?<![\w.])([1-9]\s*[+-]\s*)?[2-9]\s*\+?\s*(v|vw|vws|views?|vues?|incid\w*|ebenen|eb|proy\w*"
    r"|proj\w*|proi\w*|richt\w*|방향|方向|проекц\w*)(?![^\W_])|(?<![^\W_])(views|ebenen|vues)(?![^\W_])"
)
_AND = {"and", "et", "und", "en", "y", "e", "i", "och", "og", "и"}
_NOTCH = {"notch", "tunnel", "tunel", "frik", "intercondylar"}


class Words:
    """What the words of a text say.

    Args:
        text: the text of a header, unchanged.

    Attributes:
        knee: whether it names the knee.
        other_part: whether it names another part of the body, and neither knee nor leg.
        sides: the sides that it names; both where it says so.
        frontal: whether it names a frontal view.
        not_frontal: whether it names a view that is none, or of a bent knee: of this picture, not
            of several. ``Knee AP LAT`` is of both. ``Notch PA`` is one: PA is how the rays go.
    """

    def __init__(self, text: str) -> None:
        self._folded = _fold(text)
        self._tokens = _tokens(self._folded)
        self._known = {number for number, _ in self._found("knee")} | self._within_words()
        self.knee = bool(self._known)
        leg = _LEG.search(self._folded) is not None
        self.other_part = not self.knee and not leg and self._says("other_parts")
        self.sides = self._sides()
        self.frontal = self._says("frontal")
        self.not_frontal = self._is_not_frontal()

    def _within_words(self) -> set[int]:
        """The languages whose word for the knee is part of a longer one (``LKNEE``)."""
        return {number for stem, number in _STEMS if stem in self._folded}

    def _sides(self) -> frozenset[Laterality]:
        if self._says("both"):
            return frozenset(Laterality)
        named = ((Laterality.RIGHT, "right"), (Laterality.LEFT, "left"))
        return frozenset(
            side for side, field in named if self._says(field) or self._beside_knee(field)
        )

    def _is_not_frontal(self) -> bool:
        if _SEVERAL.search(self._folded) or not self._says("not_frontal"):
            return False
        tokens = set(self._tokens)
        through_the_notch = bool(tokens & _NOTCH) and not tokens & {"ap", "lateral", "lat"}
        return not self.frontal or ("pa" in tokens and through_the_notch)

    def _says(self, field: str) -> bool:
        return any(
            not word.with_knee or number in self._known for number, word in self._found(field)
        )

    def _found(self, field: str) -> Iterator[tuple[int, _Word]]:
        """The words of a field in the text, each with the number of its language."""
        index = _INDEX[field]
        for token in dict.fromkeys(self._tokens):
            yield from index.exact.get(token, ())
        yield from (found for found in index.others if found[1].is_in(self._tokens, self._folded))

    def _beside_knee(self, field: str) -> bool:
        """Whether a letter for the side stands beside the knee, or a word without a space."""
        last = self._tokens[-1:]
        for number in self._known:
            letters, plain = _LETTERS[field][number]
            if letters & {"r", "l"} & set(last):
                return True
            stems = _KNEES[number]
            for at, token in enumerate(self._tokens):
                stem = next((stem for stem in stems if stem in token), None)
                if stem is None:
                    continue
                around = {*self._tokens[max(at - 1, 0) : at], *self._tokens[at + 1 : at + 2]}
                if set(self._tokens[at + 2 : at + 3]) & _AND:
                    around |= set(self._tokens[at + 3 : at + 4])
                before, _, behind = token.partition(stem)
                if letters & {before, *around} or plain & {before, behind}:
                    return True
        return False


# --- the table, ready for use ---------------------------------------------------------------------


class _Word(NamedTuple):
    """A word of the table.

    Attributes:
        text: folded; words of a phrase with ``_`` between.
        stem: whether more letters may follow.
        with_knee: whether it counts only beside the knee of its language.
        within: whether it may be any part of the text.
    """

    text: str
    stem: bool
    with_knee: bool
    within: bool

    @property
    def is_plain(self) -> bool:
        return not (self.stem or self.within or "_" in self.text)

    def is_in(self, tokens: Sequence[str], folded: str) -> bool:
        if self.within:
            return self.text in folded
        *first, last = self.text.split("_")
        for start in range(len(tokens) - len(first)):
            end = tokens[start + len(first)]
            fits = end.startswith(last) if self.stem else end == last
            if fits and list(tokens[start : start + len(first)]) == first:
                return True
        return False


class _Index(NamedTuple):
    exact: dict[str, list[tuple[int, _Word]]]
    others: list[tuple[int, _Word]]


def _fold(text: str) -> str:
    """A text in small letters without accents; small beside capital letters are apart."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})", " ", text)
    bare = unicodedata.normalize("NFKD", apart).casefold()
    bare = "".join(letter for letter in bare if unicodedata.category(letter) != "Mn")
    return unicodedata.normalize("NFC", bare)


def _tokens(folded: str) -> list[str]:
    """The words of a text; letters with points between, as in ``a.p.``, are one."""
    text = re.sub(r"(?<![^\W_])r/o(?![^\W_])", " ", folded)  # rule out
    text = re.sub(r"(?<![^\W_])([ap])[./ -]+([ap])(?![^\W_])", r"\1\2", text)
    text = re.sub(r"(?<![^\W_])([^\W\d_])\.([^\W\d_])(?![^\W_])", r"\1\2", text)
    return re.findall(r"[^\W\d_]+|\d+", text)


def _word(text: str) -> _Word:
    plain = text.removeprefix("~").removesuffix("*")
    spaceless = "\u0e00" <= plain[0] <= "\u0e7f" or plain[0] >= "\u2e80"
    syllable = len(plain) == 1 and unicodedata.name(plain).startswith("HANGUL")
    return _Word(plain, text.endswith("*"), text.startswith("~"), spaceless and not syllable)


def _words(texts: str) -> tuple[frozenset[str], list[_Word]]:
    """The single letters of a field, and its words."""
    folded = _fold(texts).split()
    letters = frozenset(text for text in folded if len(text) == 1 and text.isascii())
    return letters, [_word(text) for text in folded if text not in letters]


def _index(field: str) -> _Index:
    found = _Index({}, [])
    for number, language in enumerate(LANGUAGES):
        for word in _words(getattr(language, field))[1]:
            if word.is_plain:
                found.exact.setdefault(word.text, []).append((number, word))
            else:
                found.others.append((number, word))
    return found


_INDEX = {field: _index(field) for field in _FIELDS}
_KNEES = [tuple(word.text for word in _words(language.knee)[1]) for language in LANGUAGES]
_STEMS = [(stem, number) for number, stems in enumerate(_KNEES) for stem in stems if len(stem) > 3]
_LETTERS = {
    field: [
        (letters, {word.text for word in words if word.is_plain})
        for letters, words in (_words(getattr(language, field)) for language in LANGUAGES)
    ]
    for field in ("right", "left")
}
