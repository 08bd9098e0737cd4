"""Where a knee is on a film, and how that is told of each knee."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from xr2mri_core.geometry import Laterality
from xr2mri_core.localization import KneeDetector
from xr2mri_core.localization.decision import decide
from xr2mri_core.oai.index import _doubts
from xr2mri_core.oai.pictures import DETECTED, DRAWN, HALF, MIDDLE, MIRRORED, detected

R, L = Laterality.RIGHT, Laterality.LEFT
FILM = np.random.default_rng(0).random((300, 600)).astype(np.float32)
RIGHT, LEFT = (100.0, 100.0, 200.0, 200.0), (100.0, 400.0, 200.0, 500.0)


@pytest.mark.parametrize(
    ("seen", "how", "warned"),
    [
        ([(RIGHT, 0.9), (LEFT, 0.9)], {R: DETECTED, L: DETECTED}, {R: "", L: ""}),
        ([(RIGHT, 0.9)], {R: DETECTED, L: MIRRORED}, {R: "", L: "mirror image"}),
        ([(LEFT, 0.9)], {R: MIRRORED, L: DETECTED}, {R: "mirror image", L: ""}),
        ([(RIGHT, 0.9), (LEFT, 0.3)], {R: DETECTED, L: DETECTED}, {R: "", L: "check its box"}),
        ([(RIGHT, 0.3)], {R: HALF, L: HALF}, {R: "halves", L: "halves"}),
        ([], {R: HALF, L: HALF}, {R: "sees none", L: "sees none"}),
    ],
)
def test_each_knee_is_told_by_how_it_was_found_itself(monkeypatch, seen, how, warned):
    """A guess beside a knee that was found is a guess, and no stain on the other."""
    shipped = SimpleNamespace(locate=lambda pixels, spacing: decide(seen, pixels, spacing))
    monkeypatch.setattr(KneeDetector, "shipped", lambda: shipped)
    for side in Laterality:
        found = detected(FILM, None, side, True)
        assert found.how == how[side]
        assert warned[side] in found.warning and bool(found.warning) == bool(warned[side])
        assert ((found.box[1] + found.box[3]) / 2 < 300) == (side is R)


def test_every_guess_is_counted_below_the_flow():
    ways = [DETECTED, MIRRORED, HALF, HALF, MIDDLE, DRAWN]
    text = _doubts([SimpleNamespace(located=how) for how in ways])
    assert "4 of 6 knees were not found" in text
    assert f" 1 {MIRRORED}\n" in text and f" 2 {HALF}\n" in text
    assert _doubts([SimpleNamespace(located=how) for how in (DETECTED, DRAWN)]) == ""
