"""The record of a generation: from what, with what and how it was made, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.bundle import versions
from xr2mri_core.condition import Condition
from xr2mri_core.features import VARIABLES
from xr2mri_core.reading import PreparedRadiograph
from xr2mri_core.request import KNOBS, GenerationRequest
from xr2mri_core.volume import NOTICE

_AS_IT_CAME = ("laterality", "box", "num_slices", "depths", "kind")
"""Knobs that are recorded by what came of them; all others are recorded as they were asked for."""


def record_of(
    radiograph: PreparedRadiograph,
    condition: Condition,
    request: GenerationRequest,
    affine: NDArray[np.float64],
    *,
    grading: str,
    uses_demographics: bool,
    mean_by: str | None,
    seconds: Mapping[str, float],
    model: Mapping[str, Any],
) -> dict[str, Any]:
    """Describe a volume.

    Args:
        radiograph, condition, request: what it was made from.
        affine: (4, 4) of the volume.
        grading: grading of the model.
        uses_demographics: whether they guide the model; if not, none are recorded.
        mean_by: what the mean was made by, ``regression`` or ``8 samples``; None for a sample.
        seconds: seconds by stage.
        model: bundle, size, weights, device.
    """
    info, depths = radiograph.info, request.positions
    warnings = (*info.get("warnings", ()), *condition.doubts(radiograph.side))
    return {
        "notice": NOTICE,
        "kind": request.kind,
        "mean_by": mean_by,
        "radiograph": radiograph.name,
        "laterality": str(info["laterality"]),
        "box": None if info.get("box") is None else [int(edge) for edge in info["box"]],
        "localization": info.get("localization"),
        "radiograph_spacing_mm": info.get("spacing_mm"),
        "features": dict(condition.features),
        "features_missing": [v.name for v in VARIABLES if v.name not in condition.features],
        "grading": grading,
        "demographics": condition.demographics if uses_demographics else None,
        "slices": len(depths),
        "depths": [float(depths[0]), float(depths[-1])],
        "spacing_mm": np.linalg.norm(affine[:3, :3], axis=0).tolist(),
        **{name: getattr(request, name) for name in KNOBS if name not in _AS_IT_CAME},
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "warnings": [str(warning) for warning in warnings],
        "model": dict(model),
        "versions": versions(),
    }
