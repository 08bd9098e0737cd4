"""Errors that speak to the person who can mend them.

Every message is one line: what was wrong, with which value, and what is accepted or what to do.
The command line prints it and exits; the server sends it as the detail of its reply.
"""

from __future__ import annotations

from collections.abc import Callable

_LONGEST_VALUE = 80


def shown(value: object) -> str:
    """Return ``value`` as a short, printable, one-line text for an error message."""
    try:
        text = " ".join(repr(value).split())
    except (RecursionError, ValueError):  # nested too deeply, an integer of too many digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def encodable(text: str) -> str:
    r"""Return ``text`` with lone surrogates, as JSON and file names can bring them, as ``\udc80``.

    What is left can be printed and sent in UTF-8.
    """
    return text.encode("utf-8", "backslashreplace").decode()


class XR2MRIError(Exception):
    """Anything that a user can mend; ``str(error)`` is always a single line of valid Unicode.

    Attributes:
        option: the argument that mends it, as Python has it (``out``, ``resume False``); empty
            where there is none. A command line tells it in its own spelling (`with_option`).
    """

    def __init__(self, message: str, *, option: str = "") -> None:
        super().__init__(encodable(" ".join(str(message).split())))
        self.option = option


def with_option(error: XR2MRIError, spell: Callable[[str], str] = str) -> str:
    """An error's message for a command line, with the option that mends it.

    Args:
        error: what happened.
        spell: turns an argument's name into the option's.
    """
    name, *value = error.option.split(" ", 1)
    return f"{error} ({' '.join(['--' + spell(name), *value])})" if name else str(error)


class InputError(XR2MRIError):
    """What was handed in cannot be used."""


class FeatureError(InputError):
    """A radiographic feature has an unknown name, a wrong type or a grade out of range."""


class RadiographError(InputError):
    """A file is not a radiograph that can be read."""


class UndecodableError(RadiographError):
    """A file is damaged, or of a kind that is not read at all."""


class VolumeError(InputError):
    """A file or an array is not an MRI volume, or label map, as expected."""


class DatalistError(InputError):
    """A datalist is malformed, or names files that do not exist."""


class ReleaseError(InputError):
    """An OAI release lacks a table, or a table cannot be read as what it is."""


class WeightsError(XR2MRIError):
    """Network weights are missing, damaged or belong to another model."""


class TrainingError(XR2MRIError):
    """A training cannot be started as asked, or cannot go on."""


class OutputError(XR2MRIError):
    """A result cannot be written."""


class Cancelled(XR2MRIError):
    """Raised when the user cancels."""

    def __init__(self, message: str = "cancelled by the user") -> None:
        super().__init__(message)
