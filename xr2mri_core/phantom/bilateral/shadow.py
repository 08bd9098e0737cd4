"""What one leg does to the beam: painted once, 320 mm long, and projected on the detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..case import case_person
from ..cohort import DEFAULT_ENRICHMENT
from ..fields import PIXEL
from ..radiograph import project, sample_beam
from ..render import paint_on
from ..shape import KneeShape
from ..tissues import BONE, PROPERTIES, TRABECULAR, Tissue

STREAM = 33
"""Stream of a film's random numbers, among those of a seed."""
JOINT_SPACE_MM = 2.0
"""Height of the joint space over the tibial plateau: the middle of the joint box."""
LEG_PIXELS = (512, 320)
"""Rows and columns of a painted leg, 320 x 200 mm."""
SHADOW_MM = 0.5
"""Pixel size of a shadow, on the detector."""
_REACH_MM, _SLICE_MM = 93.0, 3.0  # of the painted slices along y: the whole thigh


@dataclass(frozen=True)
class Shadow:
    """What one leg does to the beam: a right leg, as seen on the detector.

    Attributes:
        soft: Tensor (rows, columns), the path integral if all bone were muscle.
        bone: Tensor (rows, columns), what the bones add to it.
        trabecular: Tensor (rows, columns), projected length in trabecular bone, mm.
        plateau_mm: width of the tibial plateau on the detector.
        seed: seed of the knee.

    The middle of the joint space is the middle of the picture; pixels are ``SHADOW_MM`` wide.
    """

    soft: Tensor
    bone: Tensor
    trabecular: Tensor
    plateau_mm: float
    seed: int


def cast_shadow(shape: KneeShape, features: Mapping[str, int], seed: int) -> Shadow:
    """Paints a whole right leg and projects it.

    Args:
        shape: the shape of the knee.
        features: the grades of the knee.
        seed: draws textures and the alignment of the beam.

    Returns:
        Shadow of 640 x 400 pixels of 0.5 mm.
    """
    rng = np.random.default_rng([seed, STREAM])
    beam = sample_beam(rng, shape.plateau_slope)
    slices_y = np.arange(-_REACH_MM, _REACH_MM + 0.1, _SLICE_MM)
    canvas = paint_on(shape, features, seed, slices_y, (0.0, JOINT_SPACE_MM), LEG_PIXELS)
    rows, columns = (round(count * PIXEL / SHADOW_MM) for count in LEG_PIXELS)
    beam = replace(beam, size=max(rows, columns), spacing_mm=SHADOW_MM, centre_mm=(0.0, 0.0))
    body = canvas.slices_y[canvas.mu.flatten(1).amax(1) > 0]
    detector_y = float(body[-1]) + beam.skin_to_detector_mm
    labels = canvas.label[:, ::2, ::2]

    def cast(volume: Tensor, slabs: int = 31) -> Tensor:
        width = LEG_PIXELS[1] * PIXEL
        shadow = project(volume, canvas.slices_y, beam, detector_y, slabs, width)
        margin = (shadow.shape[1] - columns - 50) // 2
        return shadow[:, margin : shadow.shape[1] - margin]

    muscle = PROPERTIES[Tissue.MUSCLE].mu_per_mm
    mineral = torch.isin(canvas.label, torch.tensor(BONE, dtype=torch.uint8))
    excess = torch.where(mineral, canvas.mu - muscle, 0.0)
    distance = beam.source_to_detector_mm
    return Shadow(
        soft=cast(canvas.mu - excess),
        bone=cast(excess),
        trabecular=cast(torch.isin(labels, torch.tensor(TRABECULAR, dtype=torch.uint8)), 6),
        plateau_mm=shape.plateau_width * shape.scale * distance / (distance - detector_y),
        seed=seed,
    )


def shadow_of(seed: int, enrichment: float = DEFAULT_ENRICHMENT) -> Shadow:
    """The leg of the patient whom `case.make_case` makes of the same seed."""
    _, shape, grades = case_person(seed, enrichment)
    return cast_shadow(shape, grades, seed)
