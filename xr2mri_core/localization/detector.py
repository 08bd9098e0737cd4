"""The knee joints of a plain radiograph.

    found = KneeDetector.shipped().locate(picture, spacing_mm)
    found.kind                    # bilateral, single, cropped or none
    found.choose("L").box         # what generate takes for the left knee
    found.warnings                # for a person

The network looks twice: at the whole picture, then at a window around each joint it has found,
which gives the box twice the accuracy and turns most of what only looked like a knee down.

A picture in which it is sure of nothing may be one that a single joint fills: cut so tightly that
the outline of the bones touches its sides. Such a picture is looked at again with a wide margin; of
that only a joint counts that fills the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from xr2mri_core.errors import WeightsError, shown
from xr2mri_core.localization.boxes import Edges, iou, middle_of
from xr2mri_core.localization.decision import NARROW, SURE, Localization, decide, fills
from xr2mri_core.localization.frames import Window, frame_of, to_picture
from xr2mri_core.localization.lying import lying_doubt
from xr2mri_core.localization.network import KneeSSD
from xr2mri_core.transforms.picture import check_pixels
from xr2mri_core.transforms.radiograph import believed_spacing

SHIPPED = Path(__file__).with_name("knee_detector.safetensors")
MARGIN = 1.12
"""Side of the first look over the longer side of the picture: joints may lie across its border."""
WIDE_MARGIN = 1.9
"""The same ratio where a joint that fills its picture is looked for: its box may be larger."""
FILLING = 0.6
"""Score from which a joint that fills its picture counts."""
CLOSER = 2.1
"""Side of the second look over that of the joint box."""
LARGEST = 1600
"""Longer side in pixels at which a picture is looked at."""
Network = TypeVar("Network", bound=KneeSSD)
_CANDIDATE = 0.12
_TALL = 1.9
_AT_ONCE = 8  # windows, which bounds the memory

Detection = tuple[Edges, float]
"""A joint box and its score."""


class KneeDetector:
    """Finds knee joints with a trained network.

    Args:
        network: network with its weights; it is put in evaluation mode. It runs on the CPU.
    """

    def __init__(self, network: KneeSSD) -> None:
        self.network = network.eval().requires_grad_(False)

    @classmethod
    def shipped(cls) -> KneeDetector:
        """The detector that comes with the package, loaded once.

        Raises:
            WeightsError: if its weights are missing.
        """
        return _shipped()

    @classmethod
    def load(cls, path: str | Path, width: float = 0.5) -> KneeDetector:
        """Load weights as ``training.detector`` exports them.

        Raises:
            WeightsError: for a file that is missing, damaged, or of another network.
        """
        return cls(filled(KneeSSD(width), path))

    def locate(
        self, picture: NDArray[Any], spacing_mm: tuple[float, float] | None = None
    ) -> Localization:
        """Find the knees of a radiograph, and what to make of them.

        Args:
            picture: (rows, columns), any integers or floats, bone bright.
            spacing_mm: spacing of rows and columns, None where unknown.

        Raises:
            RadiographError: for an array that is no picture.
        """
        pixels = check_pixels(np.asarray(picture))
        stated = believed_spacing(pixels.shape, spacing_mm)[0]
        detections = self.detect(pixels, stated)
        found = decide(detections, pixels, spacing_mm)
        doubt = lying_doubt(_best(detections), lambda: self._turned(pixels, stated))
        if not doubt:
            return found
        return replace(found, warnings=(*found.warnings, doubt), doubts=(*found.doubts, doubt))

    @torch.inference_mode()
    def detect(
        self, picture: NDArray[np.float32], spacing_mm: tuple[float, float] | None = None
    ) -> list[Detection]:
        """All that may be joints, the surest first, with scores in [0, 1]; not yet judged.

        Their boxes are square in mm, in pixels where ``spacing_mm`` is unknown.
        """
        whole = _reduced(picture, spacing_mm)
        scale = [n / m for n, m in zip(picture.shape, whole.shape, strict=True)] * 2
        boxes = [
            (tuple(edge * s for edge, s in zip(box, scale, strict=True)), score)
            for box, score in self._seen(whole)
        ]
        return [((box[0], box[1], box[2], box[3]), score) for box, score in boxes]

    def _seen(self, whole: Tensor) -> list[Detection]:
        """All that may be joints in a picture at the size at which it is looked at."""
        found = self._found(whole, _first_windows(tuple(whole.shape)))
        if all(score < SURE for _, score in found):
            found += self._filling(whole)
        return _distinct(found)

    @torch.inference_mode()
    def _turned(
        self, picture: NDArray[np.float32], spacing_mm: tuple[float, float] | None
    ) -> tuple[int, float]:
        """The quarter turns after which a knee is seen most clearly, and its score.

        One look at the three of them tells which; that one is then looked at as any picture is.
        """
        whole = _reduced(picture, spacing_mm)
        frame = frame_of(whole, _first_windows(tuple(whole.shape))[0])
        seen = self.network([torch.rot90(frame, turns, (1, 2)) for turns in (1, 2, 3)])
        scores = [max(found["scores"].tolist(), default=0.0) for found in seen]
        turns = 1 + scores.index(max(scores))
        if max(scores) < _CANDIDATE:
            return turns, 0.0
        return turns, _best(self._seen(torch.rot90(whole, turns)))

    def _found(self, picture: Tensor, windows: Sequence[Window]) -> list[Detection]:
        first = self._look(picture, windows)
        return [self._confirmed(picture, box, score) for box, score in _distinct(first)[:4]]

    def _filling(self, picture: Tensor) -> list[Detection]:
        """A joint that fills the picture, looked for with a wide margin."""
        rows, columns = picture.shape
        longer = max(rows, columns)
        if longer > NARROW * min(rows, columns):
            return []
        found = self._found(picture, [(rows / 2, columns / 2, WIDE_MARGIN * longer)])
        return [
            (box, score) for box, score in found if score >= FILLING and fills(box, (rows, columns))
        ]

    def _look(self, picture: Tensor, windows: Sequence[Window]) -> list[Detection]:
        seen: list[Detection] = []
        for start in range(0, len(windows), _AT_ONCE):
            some = windows[start : start + _AT_ONCE]
            frames = [frame_of(picture, window) for window in some]
            seen += [
                (to_picture(box, window), score)
                for found, window in zip(self.network(frames), some, strict=True)
                for box, score in zip(
                    found["boxes"].tolist(), found["scores"].tolist(), strict=True
                )
                if score >= _CANDIDATE
            ]
        return seen

    def _confirmed(self, picture: Tensor, box: Edges, score: float) -> Detection:
        """A second look: the box of the best that lies where the first look saw one."""
        row, column = middle_of(box)
        side = max(box[2] - box[0], box[3] - box[1])
        again = self._look(picture, [(row, column, CLOSER * side)])
        same = [(b, s) for b, s in again if iou(b, box) > 0.4]
        if not same:
            return box, score * 0.25
        closer, second = max(same, key=lambda detection: detection[1])
        return closer, math.sqrt(score * second)


def filled(network: Network, path: str | Path) -> Network:
    """Fill a network with the weights of a safetensors file, as ``training.detector`` exports them.

    Returns:
        The network.

    Raises:
        WeightsError: for a file that is missing, damaged, or of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"no weights of the knee detector at '{path}' ({shown(error)}); "
            "install the package again, or train them with configs/train_detector.yaml"
        ) from error
    try:
        network.load_state_dict(state)  # half precision is widened
    except RuntimeError as error:
        raise WeightsError(f"'{path}' is of another network than the detector's") from error
    return network


@lru_cache(maxsize=1)
def _shipped() -> KneeDetector:
    return KneeDetector.load(SHIPPED)


def _first_windows(shape: tuple[int, ...]) -> list[Window]:
    """The whole picture; a long film (a whole leg) also in squares along it."""
    rows, columns = shape[:2]
    windows = [(rows / 2, columns / 2, MARGIN * max(rows, columns))]
    short, long = sorted((rows, columns))
    if long > _TALL * short:
        side = 1.3 * short
        for at in np.arange(side / 2, long, side / 2):
            windows.append((at, columns / 2, side) if rows > columns else (rows / 2, at, side))
    return windows


def _reduced(picture: NDArray[np.float32], spacing_mm: tuple[float, float] | None) -> Tensor:
    """The picture (rows, columns) at the size at which it is looked at, its pixels square."""
    whole = torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32))
    steps = spacing_mm or (1.0, 1.0)
    square = [n * (step / min(steps)) for n, step in zip(whole.shape, steps, strict=True)]
    factor = min(1.0, LARGEST / max(square))
    size = [max(1, round(n * factor)) for n in square]
    if size == list(whole.shape):
        return whole
    return F.interpolate(whole[None, None], size, mode="area")[0, 0]


def _best(detections: Sequence[Detection]) -> float:
    return max((score for _, score in detections), default=0.0)


def _distinct(found: Sequence[Detection]) -> list[Detection]:
    """The surest first, without those that overlap a surer one."""
    kept: list[Detection] = []
    for box, score in sorted(found, key=lambda detection: -detection[1]):
        if all(iou(box, other) < 0.3 for other, _ in kept):
            kept.append((box, score))
    return kept
