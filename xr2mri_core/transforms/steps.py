"""Steps of the chains: callables from a dictionary to a dictionary, as MONAI composes them.

They have no base class of MONAI's: what prepares a file from a stranger is loaded by the server's
reading box, whose processes have to be small and quick to start.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from xr2mri_core.geometry import Laterality

Keys = Hashable | Sequence[Hashable]
Step = Callable[[Mapping[Hashable, Any]], Mapping[Hashable, Any]]

MIRRORED = "left knee: mirrored for the model, and its volume mirrored back"
"""The note on every left knee; a user of one volume wants it, a log of many does not."""


class KeyedStep:
    """A step that does the same to some items of the data.

    Args:
        keys: keys of the items: one, or several.
        allow_missing_keys: whether one may be absent.
    """

    def __init__(self, keys: Keys, allow_missing_keys: bool = False) -> None:
        several = isinstance(keys, Sequence) and not isinstance(keys, str)
        self.keys: tuple[Hashable, ...] = tuple(keys) if several else (keys,)  # type: ignore
        self.allow_missing_keys = allow_missing_keys

    def key_iterator(self, data: Mapping[Hashable, Any]) -> Iterator[Hashable]:
        """The keys that are there; raises KeyError for one that must be and is not."""
        for key in self.keys:
            if key in data:
                yield key
            elif not self.allow_missing_keys:
                raise KeyError(f"no {key!r} in the data")


def unit_range(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring the network's [-1, 1] to float32 in [0, 1]; what lies beyond is cut off."""
    return np.clip((picture + 1) / 2, 0, 1).astype(np.float32)


def stretched(values: torch.Tensor, percentiles: tuple[float, float]) -> torch.Tensor | None:
    """Clip values at two of their percentiles (0-100), which become -1 and 1.

    Returns:
        None where the two are the same.
    """
    low, high = np.percentile(np.asarray(values), percentiles)
    if not high > low:
        return None
    return ((values - low) / (high - low) * 2 - 1).clamp(-1, 1)


def resize_pictures(pictures: torch.Tensor, size: int, smooth: bool = True) -> torch.Tensor:
    """Resize pictures (n, H, W) to (n, size, size).

    Smooth is bilinear with a filter that widens as the picture shrinks, up to the edge (MONAI's
    ``anti_aliasing`` darkens a frame, because it pads with zeros); else nearest, for labels.
    """
    options: dict[str, Any] = {"mode": "nearest-exact"}
    if smooth:
        options = {"mode": "bilinear", "antialias": True, "align_corners": False}
    return interpolate(pictures[None], (size, size), **options)[0]


class ResizePicturesd(KeyedStep):
    """Resize pictures (n, H, W) to (n, size, size); see `resize_pictures`.

    Args:
        keys: pictures.
        size: rows and columns of the result.
    """

    def __init__(self, keys: Keys, size: int) -> None:
        super().__init__(keys)
        self.size = size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        for key in self.key_iterator(done):
            done[key] = resize_pictures(done[key], self.size)
        return done


class RightKneeFramed(KeyedStep):
    """Mirror pictures (..., H, W) of a left knee, left to right, into the right-knee frame.

    The side is ``data["laterality"]`` (R, L or auto), else what the radiograph's file says
    (``data["radiograph_info"]["laterality"]``), else right. Where there are such notes, the side
    that was taken, whether the picture was mirrored, and a warning if so or where nobody knew are
    added.

    Args:
        keys: pictures to mirror.
        allow_missing_keys: whether a key may be absent.

    Raises:
        InputError: for a ``laterality`` that is neither R, L nor auto.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        info = done.get("radiograph_info", {})
        asked = Laterality.parse(done.get("laterality"))
        stated = Laterality.parse(info.get("laterality"))
        side = asked or stated
        if "radiograph_info" in done:
            notes = list(info.get("warnings", ()))
            if asked and stated and asked is not stated:
                notes.append(
                    f"the file states the laterality {stated}, the request {asked}: {asked} is "
                    "taken; check which knee it shows"
                )
            if side is None:
                notes.append("the side of the knee is unknown: taken as right; give the laterality")
            elif side is Laterality.LEFT:
                notes.append(MIRRORED)
            done["radiograph_info"] = {
                **info,
                "laterality": str(side or Laterality.RIGHT),
                "mirrored": side is Laterality.LEFT,
                "warnings": notes,
            }
        if side is Laterality.LEFT:
            for key in self.key_iterator(done):
                done[key] = done[key].flip(-1)
        return done
