"""What the two chains of transforms share."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import Compose, MapTransform
from torch.nn.functional import interpolate

from xr2mri_core.errors import XR2MRIError
from xr2mri_core.geometry import Laterality

MIRRORED = "left knee: mirrored for the model, and its volume mirrored back"
"""The note on every left knee; a user of one volume wants it, a log of many does not."""


class TypedCompose(Compose):
    """A `monai.transforms.Compose` that lets this project's errors through.

    MONAI wraps whatever a transform raises in a RuntimeError "applying transform ..."; here the
    `XR2MRIError` within, which tells the user what to do, is raised instead.
    """

    def __call__(self, *args: Any, **options: Any) -> Any:
        try:
            return super().__call__(*args, **options)
        except RuntimeError as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, XR2MRIError):
                cause = cause.__cause__
            if cause is None:
                raise
            raise cause from cause.__cause__


def unit_range(picture: np.ndarray) -> np.ndarray:
    """Bring the network's [-1, 1] to float32 in [0, 1]; what lies beyond is cut off."""
    return np.clip((picture + 1) / 2, 0, 1).astype(np.float32)


def resize_pictures(pictures: torch.Tensor, size: int, smooth: bool = True) -> torch.Tensor:
    """Resize pictures (n, H, W) to (n, size, size).

    Smooth is bilinear with a filter that widens as the picture shrinks, up to the edge (MONAI's
    ``anti_aliasing`` darkens a frame, because it pads with zeros); else nearest, for labels.
    """
    options: dict[str, Any] = {"mode": "nearest-exact"}
    if smooth:
        options = {"mode": "bilinear", "antialias": True, "align_corners": False}
    return interpolate(pictures[None], (size, size), **options)[0]


class ResizePicturesd(MapTransform):
    """Resize pictures (n, H, W) to (n, size, size); see `resize_pictures`.

    Args:
        keys: pictures.
        size: rows and columns of the result.
    """

    def __init__(self, keys: KeysCollection, size: int) -> None:
        super().__init__(keys)
        self.size = size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        for key in self.key_iterator(done):
            done[key] = resize_pictures(done[key], self.size)
        return done


class RightKneeFramed(MapTransform):
    """Mirror pictures (..., H, W) of a left knee, left to right, into the right-knee frame.

    The side is ``data["laterality"]`` (R, L or auto), else what the radiograph's file says
    (``data[info_key]["laterality"]``), else right. With ``info_key`` present, the side that was
    taken, whether the picture was mirrored, and a warning if so or where nobody knew are noted.

    Args:
        keys: pictures to mirror.
        info_key: where `LoadRadiographd` leaves its notes.
        allow_missing_keys: whether a key may be absent.

    Raises:
        InputError: for a ``laterality`` that is neither R, L nor auto.
    """

    def __init__(
        self,
        keys: KeysCollection,
        info_key: str = "radiograph_info",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.info_key = info_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        info = done.get(self.info_key, {})
        asked = Laterality.parse(done.get("laterality"))
        told = Laterality.parse(info.get("laterality"))
        side = asked or told
        if self.info_key in done:
            notes = list(info.get("warnings", ()))
            if asked and told and asked is not told:
                notes.append(
                    f"the file states the laterality {told}, the request {asked}: {asked} is "
                    "taken; check which knee it shows"
                )
            if side is None:
                notes.append("the side of the knee is unknown: taken as right; give the laterality")
            elif side is Laterality.LEFT:
                notes.append(MIRRORED)
            done[self.info_key] = {
                **info,
                "laterality": str(side or Laterality.RIGHT),
                "mirrored": side is Laterality.LEFT,
                "warnings": notes,
            }
        if side is Laterality.LEFT:
            for key in self.key_iterator(done):
                done[key] = done[key].flip(-1)
        return done
