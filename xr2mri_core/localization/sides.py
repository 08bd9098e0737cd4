"""What lead letters say of how a radiograph lies, and of whose knee it shows.

One set of doubts for generation, the server, ``xr2mri localize`` and ``xr2mri oai index``: each
function gives one sentence for a person, or "" where the letters agree or there are none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.geometry import Laterality
from xr2mri_core.localization.marker import Marker, read_markers
from xr2mri_core.transforms.orientation import Turn

FILM = 1.2
"""Columns over rows from which a picture may show both knees."""


def turned_wrongly(picture: NDArray[np.float32], turn: Turn) -> str:
    """The letters can be read only as the picture lay before its header turned it.

    Args:
        picture: float32 (rows, columns), as it was turned, bone bright.
        turn: the turn that made it so.
    """
    if not turn.is_turned or read_markers(picture):
        return ""
    legible = read_markers(turn.lying(picture))
    if not legible:
        return ""
    return (
        f"the picture is {turn.text} as its header says, but the letter {legible[0].side} can be "
        "read as the picture lies in its file: the header may be wrong, and the knee the other one"
    )


def mirrored(picture: NDArray[np.float32]) -> str:
    """A letter R can be read in a mirror alone. An L's mirror image is a common corner.

    Args:
        picture: float32 (rows, columns), bone bright.
    """
    if read_markers(picture):
        return ""
    legible = read_markers(picture[:, ::-1])
    if not any(letter.side is Laterality.RIGHT for letter in legible):
        return ""
    return (
        "the letter R of this picture can be read in a mirror alone: the picture seems to be "
        "mirrored, and the knee the other one; give it mirrored back"
    )


def swapped(letters: Sequence[Marker], columns: int) -> str:
    """A letter stands beside the other knee of a film of both.

    Args:
        letters: letters, as `marker.read_markers` reads them.
        columns: number of columns of the picture.
    """
    for letter in letters:
        on_left = letter.column < columns / 2
        if on_left is not (letter.side is Laterality.RIGHT):
            return (
                f"the letter {letter.side} stands on image {'left' if on_left else 'right'}, where "
                "the other knee is by position: the picture may be mirrored, and the knee the "
                "other one"
            )
    return ""


def contradicted(letters: Sequence[Marker], side: Laterality | None) -> str:
    """Every letter of one knee's picture says the other side than is stated."""
    if side is None or not letters or any(letter.side is side for letter in letters):
        return ""
    return (
        f"the letter in the picture says {letters[0].side}, the laterality {side}: check the side"
    )


def letter_doubts(
    picture: NDArray[np.float32], turn: Turn, side: Laterality | None, both: bool
) -> tuple[str, ...]:
    """All of these of one picture.

    Args:
        picture: float32 (rows, columns), upright, bone bright.
        turn: the turn that made it so.
        side: side of the knee that is asked for, or that the file states; None where nothing does.
        both: whether the picture shows both knees.
    """
    letters = read_markers(picture)
    if letters:
        doubt = swapped(letters, picture.shape[1]) if both else contradicted(letters, side)
    else:
        doubt = turned_wrongly(picture, turn) or mirrored(picture)
    return (doubt,) if doubt else ()
