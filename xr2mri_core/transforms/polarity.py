"""Whether a radiograph is shown as a negative: bone dark, as on a light box's duplicate.

Nothing but the picture tells it where a header is silent or wrong. Grey levels alone do not: a
collimator's edge may be black or white in either, and local contrast equalisation (CLAHE) removes
them. What stays is where the middle scales of a knee are brighter than their surroundings: condyles
and plateaus against the joint space and the soft tissue beside them. A picture of these scales,
normalised by their local strength, is weighed by one linear template, so that the negative of a
picture has exactly the opposite score.

    polarity(crop)    # > 0: bone bright, < 0: bone dark; log-odds
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from scipy.ndimage import gaussian_filter

from xr2mri_core.transforms.compose import resize_pictures

TEMPLATE = Path(__file__).with_name("knee_polarity.safetensors")
SURE, UNSURE = 2.0, 0.5
"""Log-odds below minus which a picture is taken as a negative, or doubted."""
INVERTED = "bone is dark in this picture, and nothing says so: taken as a negative and inverted"
DOUBTED = "bone may be dark in this picture: if it is a negative, give it inverted"

_SIZE = 64
_POOL = 4
_FINE, _COARSE, _AROUND = 2.0, 8.0, 12.0  # pixels of 64 in a crop


def polarity(crop: np.ndarray) -> float:
    """Log-odds that bone is bright in a crop around a knee (rows, columns), square or nearly."""
    return float(middle_scales(crop).ravel() @ _template())


def middle_scales(crop: np.ndarray) -> np.ndarray:
    """Return the middle scales (16, 16) of a picture, about 5 to 18 mm, of equal local strength.

    An odd function: ``middle_scales(-crop) == -middle_scales(crop)``.
    """
    step = max(1, min(crop.shape) // 256)  # of a large film every few pixels tell as much
    low, high = np.percentile(crop[::step, ::step], (1, 99))
    clipped = np.clip(np.asarray(crop, np.float32), low, high)
    small = resize_pictures(torch.from_numpy(clipped)[None], _SIZE)[0].numpy()
    small = (small - small.mean()) / max(float(small.std()), 1e-6)
    band = gaussian_filter(small, _FINE) - gaussian_filter(gaussian_filter(small, _FINE), _COARSE)
    band /= np.sqrt(gaussian_filter(band**2, _AROUND)) + 0.1
    return band.reshape(_SIZE // _POOL, _POOL, _SIZE // _POOL, _POOL).mean(axis=(1, 3))


@lru_cache(maxsize=1)
def _template() -> np.ndarray:
    from safetensors.numpy import load_file

    return load_file(TEMPLATE)["template"].astype(np.float64)


class PositiveRadiographd(MapTransform):
    """Find the knee of a loaded radiograph (1, H, W), and invert a picture that is a negative.

    The crop that will be taken is judged by :func:`polarity`; where that is sure, the whole picture
    is inverted and the knee looked for once more. ``data["<key>_info"]["inverted"]`` says so, and
    a warning; another warning says where it is in doubt.

    Args:
        keys: radiographs.
        locate: step that finds the box where none is given, None for none.
        crop: step that cuts the box, or what is taken without one.
    """

    def __init__(
        self, keys: KeysCollection, locate: MapTransform | None, crop: MapTransform
    ) -> None:
        super().__init__(keys)
        self.locate, self.crop = locate, crop

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        given = dict(data)
        done = self._located(given)
        for key in self.key_iterator(given):
            score = polarity(np.asarray(self.crop(done)[key])[0])
            if score >= -UNSURE:
                continue
            sure = score < -SURE and self._shows_a_knee(done, key)
            if sure:
                picture = given[key]
                given[key] = picture.max() + picture.min() - picture
                done = self._located(given)
            name = f"{key}_info"
            info = done.get(name, {})
            notes = [*info.get("warnings", ()), INVERTED if sure else DOUBTED]
            done[name] = {**info, "inverted": sure, "warnings": notes}
        return done

    def _located(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return dict(data if self.locate is None else self.locate(data))

    def _shows_a_knee(self, data: Mapping[Hashable, Any], key: Hashable) -> bool:
        """Whether the crop shows one: the gap between two knees looks like a negative of one."""
        if data.get("box") is not None:
            return True
        if self.locate is None:
            rows, columns = data[key].shape[-2:]
            return columns <= 1.1 * rows
        return data[f"{key}_info"].get("localization", {}).get("kind") == "cropped"
