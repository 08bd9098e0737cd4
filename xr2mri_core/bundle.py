"""A MONAI bundle of this project: find it, load its model, describe it."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xr2mri_core import __version__
from xr2mri_core.demographics import demographics_schema
from xr2mri_core.diffusion import Scheduler
from xr2mri_core.errors import InputError, WeightsError, shown
from xr2mri_core.left_out import left_out
from xr2mri_core.networks import XR2MRIModel
from xr2mri_core.networks.model import (
    draws_nothing,
    guided_by_demographics,
    is_volumetric,
    method_of,
)
from xr2mri_core.request import checked
from xr2mri_core.shipped import bundle_folder
from xr2mri_core.volume import KINDS


@dataclass(frozen=True)
class Bundle:
    """What a bundle gives a generator.

    Attributes:
        model: the model with its weights.
        scheduler: noise scheduler of the training.
        settings: the section `generation`.
        origin: bundle, size and weights, for records.
    """

    model: XR2MRIModel
    scheduler: Scheduler
    settings: dict[str, Any]
    origin: dict[str, Any]


def load_bundle(
    path: Path | str | None = None, size: str = "compact", weights: Path | str | None = None
) -> Bundle:
    """Load the model of a bundle.

    Args:
        path: the bundle's folder; None is the one that the project ships.
        size: the bundle's size overlay, `compact` or `paper`. Weights with regression or depth
            mixing take the overlay `volume` as well, those of a compared method its own. A
            distilled student's header says its steps and sampler, which go before the overlay's.
        weights: a safetensors file of that size; None is the bundle's own.

    Raises:
        WeightsError: no bundle, no such size, no weights, or weights of another model.
    """
    bundle = Path(path or bundle_folder())
    overlays, known = [size], sizes(bundle)
    if not known:
        configured(bundle, overlays)  # says what is missing
    if size not in known:
        raise WeightsError(
            f"size {shown(size)}: the bundle at '{bundle}' has {', '.join(known) or 'no size'}",
            option="size",
        )
    weights = weights_path(bundle) if weights is None else Path(weights)
    method = method_of(weights)
    if method is not None:
        overlays.append(f"baselines/{method}")
    elif is_volumetric(weights):
        overlays.append("volume")
    parser = configured(bundle, overlays)
    model = parser.get_parsed_content("model")
    own = sampling_of(model.load_weights(weights), weights)
    return Bundle(
        model,
        parser.get_parsed_content("scheduler"),
        {**parser.get_parsed_content("generation"), **own},
        {
            "bundle": bundle.resolve().name,
            "size": size,
            "weights": weights.name,
            "sha256": digest(weights),
        },
    )


def sizes(bundle: Path) -> list[str]:
    """Names of a bundle's size overlays: of its configurations those that define a model."""
    found = []
    for path in sorted((bundle / "configs").glob("[!.]*.yaml")):
        with suppress(OSError):  # what cannot be read is none
            if re.search(r"^model:", path.read_text("utf-8", errors="replace"), re.M):
                found.append(path.stem)
    return found


def sampling_of(metadata: Mapping[str, str], weights: Path) -> dict[str, Any]:
    """Steps and sampler that weights were distilled for, from their file's header; else nothing.

    Raises:
        WeightsError: they are out of their range.
    """
    try:
        known: dict[str, Any] = {}
        if "steps" in metadata:
            known["steps"] = checked("steps", int(metadata["steps"]))
        if "sampler" in metadata:
            known["sampler"] = checked("sampler", metadata["sampler"])
    except (ValueError, InputError) as error:
        raise WeightsError(f"{weights}: what its header says of sampling: {error}") from None
    return known


def configured(bundle: Path, overlays: list[str]) -> Any:
    """The bundle's inference configuration with overlays: MONAI's ConfigParser.

    Raises:
        WeightsError: one of the files is missing.
    """
    with left_out("mlflow", "pandas"):
        from monai.bundle import ConfigParser

    configs = [bundle / "configs" / f"{name}.yaml" for name in ("inference", *overlays)]
    missing = [path for path in configs if not path.is_file()]
    if missing:
        raise WeightsError(
            f"no bundle of size {shown(overlays[0])} at '{bundle}': configs/{missing[0].name} is "
            "missing; give the folder of a bundle such as monai_app/model/knee_xr2mri",
            option="bundle",
        )
    parser = ConfigParser()
    parser.read_config([str(path) for path in configs])
    parser["bundle_root"] = str(bundle)
    return parser


def weights_path(bundle: Path) -> Path:
    """The weights of a bundle.

    Raises:
        WeightsError: there are none.
    """
    path = bundle / "models" / "knee_xr2mri.safetensors"
    if not path.is_file():
        raise WeightsError(
            f"no weights at '{path}'; train them with the bundle's commands (docs/README.md there) "
            "or give another bundle",
            option="bundle",
        )
    return path


def describe_bundle(path: Path | str | None = None) -> dict[str, Any]:
    """What a bundle holds, without loading its networks."""
    bundle = Path(path or bundle_folder())
    weights = weights_path(bundle)
    card = weights.with_name("model_card.json")
    return {
        "path": str(bundle),
        "weights": weights.name,
        "megabytes": round(weights.stat().st_size / 1e6, 1),
        "sha256": digest(weights),
        "demographics": demographics_schema() if guided_by_demographics(weights) else None,
        "kinds": ["mean"] if draws_nothing(weights) else list(KINDS),
        "card": json.loads(card.read_text(encoding="utf-8")) if card.is_file() else None,
    }


def versions() -> dict[str, str]:
    """Versions of everything that has a say in the result."""
    import diffusers
    import monai

    return {
        "xr2mri": __version__,
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "monai": monai.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
