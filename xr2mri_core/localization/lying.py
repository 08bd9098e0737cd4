"""Whether a picture lies upside down or on its side, where nothing but the picture tells it.

The detector has learnt from upright knees, so it sees one that lies otherwise less clearly, or not
at all. Where it does not see one clearly, the picture is looked at turned as well. A picture that
is upside down because its rows run the other way looks the same to it: knees of either side are
mirror images of each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable

CLEAR = 0.97
"""Score from which a knee is upright: 0.98 and more on upright films, 0.96 at most upside down."""
SEEN = 0.5
"""Score from which a knee is seen in a turned picture."""
SURER = 1.5
"""Log-odds by which it is seen more clearly there."""
_LIES = {1: "on its side", 2: "upside down", 3: "on its side"}  # by quarter turns


def lying_doubt(score: float, look_turned: Callable[[], tuple[int, float]]) -> str:
    """A sentence for a person where a knee is seen more clearly in the turned picture, else "".

    Args:
        score: score of the surest knee in the picture as it is, in [0, 1].
        look_turned: returns the quarter turns (1, 2, 3) after which a knee is seen most clearly,
            and its score; not called where ``score`` is clear.
    """
    if score >= CLEAR:
        return ""
    turns, best = look_turned()
    if best < SEEN or _log_odds(best) - _log_odds(score) < SURER:
        return ""
    return (
        f"a knee is seen more clearly with the picture turned: it seems to lie {_LIES[turns]}; "
        "give it with the head up and the patient's right on image left"
    )


def _log_odds(score: float) -> float:
    clipped = min(max(score, 1e-3), 1 - 1e-3)
    return math.log(clipped / (1 - clipped))
