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

from collections.abc import Callable, Hashable, Mapping
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.nn.functional import avg_pool2d

from xr2mri_core.geometry import edges_of
from xr2mri_core.transforms.orientation import UPRIGHT
from xr2mri_core.transforms.picture import LARGE
from xr2mri_core.transforms.steps import KeyedStep, Keys, Step, resize_pictures

TEMPLATE = Path(__file__).with_name("knee_polarity.safetensors")
SURE = 2.0
"""Log-odds below minus which a picture is taken as a negative."""
UNSURE = 1.0
"""Log-odds below which a knee's picture is doubted: knees with bright bone have 1.5 and more."""
DARK = 0.5
"""Log-odds below minus which any picture is doubted."""
INVERTED = "bone is dark in this picture, and nothing says so: taken as a negative and inverted"
DOUBTED = "bone may be dark in this picture: if it is a negative, give it inverted"


class Shows(Enum):
    """What a crop is known to show: a knee, found or pointed at; perhaps one; or none."""

    KNEE = "knee"
    PERHAPS = "perhaps"
    NONE = "none"


Judged = tuple[float, Shows]
"""Polarity of a picture's crop, and what that shows."""

_SIZE = 64
_ENOUGH = 1024  # pixels of a side, to be seen at _SIZE
_POOL = 4
_FINE, _COARSE, _AROUND = 2.0, 8.0, 12.0  # pixels of 64 in a crop


def polarity(crop: NDArray[np.float32]) -> float:
    """Log-odds that bone is bright in a crop around a knee (rows, columns), square or nearly."""
    return float(middle_scales(crop).ravel() @ _template())


def middle_scales(crop: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the middle scales (16, 16) of a picture, about 5 to 18 mm, of equal local strength.

    An odd function: ``middle_scales(-crop) == -middle_scales(crop)``.
    """
    step = max(1, min(crop.shape) // 256)  # of a large film every few pixels tell as much
    low, high = np.percentile(crop[::step, ::step], (1, 99))
    small = resize_pictures(_clipped(crop, low, high)[None], _SIZE)[0].numpy()
    small = (small - small.mean()) / max(float(small.std()), 1e-6)
    band = gaussian_filter(small, _FINE) - gaussian_filter(gaussian_filter(small, _FINE), _COARSE)
    band /= np.sqrt(gaussian_filter(band**2, _AROUND)) + 0.1
    return band.reshape(_SIZE // _POOL, _POOL, _SIZE // _POOL, _POOL).mean(axis=(1, 3))


def _clipped(crop: NDArray[np.floating[Any]], low: float, high: float) -> torch.Tensor:
    """A crop with its extremes cut off; a large one smaller, made so some rows at a time."""
    factor = max(1, min(crop.shape) // _ENOUGH)
    if crop.size <= LARGE or factor == 1:
        return torch.from_numpy(np.clip(np.asarray(crop, np.float32), low, high))
    parts = []
    for top in range(0, crop.shape[0] - factor + 1, 32 * factor):
        rows = np.clip(np.asarray(crop[top : top + 32 * factor], np.float32), low, high)
        parts.append(avg_pool2d(torch.from_numpy(rows)[None], factor)[0])
    return torch.cat(parts)


@lru_cache(maxsize=1)
def _template() -> NDArray[np.float64]:
    from safetensors.numpy import load_file

    return load_file(TEMPLATE)["template"].astype(np.float64)


def negative(picture: Any) -> Any:
    """The negative of a picture, an array or a tensor, over the same range of grey values."""
    return picture.max() + picture.min() - picture


def is_negative(picture: Any, judged: Callable[[Any], Judged]) -> bool | None:
    """Whether a picture is a negative; None where that is not sure.

    The crop of a knee tells it. A picture in which no knee is found is one where its negative shows
    a knee: the detector finds some in one of both alone.

    Args:
        picture: an array or a tensor.
        judged: finds the crop of a picture and judges it; called for the negative, too, unless the
            picture itself is not in doubt, and then last.
    """
    score, shows = judged(picture)
    if score >= {Shows.KNEE: UNSURE, Shows.PERHAPS: -DARK, Shows.NONE: SURE}[shows]:
        return False
    bright, then = judged(negative(picture))
    seen_then = then is Shows.KNEE and bright > SURE
    if seen_then if shows is Shows.NONE else score < -SURE:
        return True
    return None if shows is Shows.KNEE or score < -DARK else False


class PositiveRadiographd(KeyedStep):
    """Find the knee of a loaded radiograph (1, H, W), and invert a picture that is a negative.

    The crop that will be taken is judged by `polarity`; where that is sure, the whole picture
    is inverted and the knee looked for once more. Where no knee is found in a picture, its negative
    is looked at, and taken if that shows one. ``data["<key>_info"]["inverted"]`` says so, and a
    warning; another warning says where it is in doubt.

    A given box shows a knee, unless it is the one that is cut out where none is given and none
    found: that may be handed back by who was told of it, and is judged as it was then.

    Args:
        keys: radiographs.
        locate: step that finds the box where none is given, None for none.
        crop: step that cuts the box, or what is taken without one.
    """

    def __init__(self, keys: Keys, locate: Step | None, crop: Step) -> None:
        super().__init__(keys)
        self.locate, self.crop = locate, crop

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        for key in self.key_iterator(done):
            handed_back = done.get("box") is not None and self._is_taken_without_one(done, key)
            given = {**done, "box": None} if handed_back else done
            looks: list[dict[Hashable, Any]] = []

            def judged(picture: Any, given: Any = given, key: Any = key, to: Any = looks) -> Judged:
                to.append(self._located({**given, key: picture}))
                return self._judged(to[-1], key)

            verdict = is_negative(given[key], judged)
            if handed_back:
                picture = negative(done[key]) if verdict else done[key]
                done = self._located({**done, key: picture})
            else:
                done = looks[-1] if verdict else looks[0]
            if verdict is not False:
                name = f"{key}_info"
                info = done.get(name, {})
                notes = [*info.get("warnings", ()), INVERTED if verdict else DOUBTED]
                done[name] = {**info, "inverted": bool(verdict), "warnings": notes}
        return done

    def _is_taken_without_one(self, data: Mapping[Hashable, Any], key: Hashable) -> bool:
        """Whether the given box is the one of a picture without box and knee."""
        turn = data.get(f"{key}_info", {}).get("turn", UPRIGHT)
        box = turn.box_in_file(tuple(edges_of(data["box"])), data[key].shape[-2:])
        without = self.crop({**data, "box": None})[f"{key}_info"]["box"]
        return bool(tuple(box) == tuple(without))

    def _judged(self, data: Mapping[Hashable, Any], key: Hashable) -> Judged:
        """The polarity of what is cut out, and what that shows.

        The gap between two knees looks like a negative of one, so the middle of a wide picture
        shows none.
        """
        score = polarity(np.asarray(self.crop(data)[key])[0])
        if self.locate is None:
            rows, columns = data[key].shape[-2:]
            knee = data.get("box") is not None or columns <= 1.1 * rows
            return score, Shows.PERHAPS if knee else Shows.NONE
        return score, Shows.KNEE if data.get("box") is not None else Shows.NONE

    def _located(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return dict(data if self.locate is None else self.locate(data))
