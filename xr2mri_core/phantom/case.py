"""One phantom patient: the same knee once in the scanner and once in front of the X-ray tube."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..features import parse_features
from ..geometry import IN_PLANE_MM, SLICE_MM, centred_affine
from . import render
from .cohort import DEFAULT_ENRICHMENT, Demographics, sample_demographics, sample_features
from .mri import acquire
from .radiograph import take_radiograph
from .shape import KneeShape, sample_shape
from .tissues import Tissue


@dataclass(frozen=True)
class PhantomCase:
    """Paired synthetic data of one right knee.

    Attributes:
        radiograph: uint16 (H, W), 12 bits, bone bright, fibula on image left.
        radiograph_spacing: mm per pixel at the detector.
        mri: int16 (256, 80, 256), RAS+; coronal slices run along axis 1, posterior to anterior.
        labels: uint8, same shape, values of `tissues.Tissue`.
        affine: float64 (4, 4) of both volumes.
        features: the 19 grades, keyed by OAI name.
        demographics: sex, age, BMI, height.
        parameters: the shape of the knee and the exposure, for the record.
    """

    radiograph: NDArray[np.uint16]
    radiograph_spacing: float
    mri: NDArray[np.int16]
    labels: NDArray[np.uint8]
    affine: NDArray[np.float64]
    features: dict[str, int]
    demographics: dict[str, object] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)


def case_person(
    seed: int, enrichment: float = DEFAULT_ENRICHMENT
) -> tuple[Demographics, KneeShape, dict[str, int]]:
    """The patient of a seed: demographics, the shape of the knee and its grades."""
    # One stream per purpose, so that what one of them draws never moves another.
    findings, person, anatomy = (np.random.default_rng([seed, stream]) for stream in range(3))
    grades = sample_features(findings, enrichment)
    demographics = sample_demographics(person, grades)
    return demographics, sample_shape(anatomy, demographics.sex, demographics.bmi), grades


def make_case(
    seed: int,
    features: Mapping[str, int] | None = None,
    enrichment: float = DEFAULT_ENRICHMENT,
    shape: KneeShape | None = None,
    exposure: int | None = None,
) -> PhantomCase:
    """Makes the patient of a seed: the same seed gives the same bytes.

    Args:
        seed: non-negative integer.
        features: grades to give this knee instead of those it was born with. Nothing else changes:
            shape, textures, noise and exposure stay, so that two calls differ only in the findings.
        enrichment: how much commoner than in OAI rare findings are, 0..1 (`cohort`).
        shape: a knee to use instead of the seed's own.
        exposure: seed of another radiograph of the same knee: its beam, dose, processing and noise.

    Raises:
        FeatureError: for an unknown variable or a grade out of range.
    """
    demographics, born, own = case_person(seed, enrichment)
    knee = shape or born
    grades = own if features is None else parse_features(features)

    canvas = render.paint(knee, grades, seed)
    signal = render.to_ras(render.imaged(canvas.signal))
    labels = render.to_ras(render.imaged(canvas.label))
    pixels, beam = take_radiograph(
        canvas.mu,
        canvas.label,
        canvas.slices_y,
        seed if exposure is None else exposure,
        plateau_slope=knee.plateau_slope,
    )
    return PhantomCase(
        radiograph=pixels,
        radiograph_spacing=beam.spacing_mm,
        mri=acquire(signal, seed, vessels=labels == Tissue.VESSEL),
        labels=labels,
        affine=centred_affine(signal.shape, (IN_PLANE_MM, SLICE_MM, IN_PLANE_MM)),
        features=dict(grades),
        demographics=asdict(demographics),
        parameters={"shape": knee.to_dict(), "beam": beam.to_dict()},
    )
