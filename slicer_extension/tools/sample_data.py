"""Makes the extension's sample radiographs from the output of `xr2mri phantom`.

    xr2mri phantom --cases 2 --seed 77 --out phantoms
    python slicer_extension/tools/sample_data.py phantoms

Case 0 is a right knee of KL grade 4; case 1, KL grade 0, is mirrored into a left one, since every
phantom is a right knee.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image

OUT = Path(__file__).resolve().parents[1] / "XR2MRI" / "Resources" / "SampleData"
CASES = {"phantom_right_KL4": ("phantom-000000", "R"), "phantom_left_KL0": ("phantom-000001", "L")}
THUMBNAIL = 128


def main(phantoms: Path) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for name, (case, side) in CASES.items():
        folder = phantoms / "cases" / case
        record = json.loads((folder / "features.json").read_text(encoding="utf-8"))
        picture = np.asarray(Image.open(folder / "radiograph.png"))
        picture = picture[:, ::-1] if side == "L" else picture
        origin = {**record["origin"], "case": case, "mirrored": side == "L"}
        keys = {
            "XR2MRI.Laterality": side,
            "XR2MRI.Features": json.dumps(record["features"]),
            "XR2MRI.Origin": json.dumps({"phantom": origin}),
        }
        write_nrrd(OUT / f"{name}.nrrd", picture, record["radiograph_spacing_mm"], keys)
        thumbnail(picture).save(OUT / f"{name}.png", optimize=True)


def write_nrrd(path: Path, picture: np.ndarray, spacing: float, keys: dict[str, str]) -> None:
    """A picture with keys in its header, which the module makes attributes of its node."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(picture)[None])
    image.SetSpacing((spacing, spacing, 1.0))
    for key, value in keys.items():
        image.SetMetaData(key, value)
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(path))
    writer.SetUseCompression(True)
    writer.SetCompressionLevel(9)
    writer.Execute(image)


def thumbnail(picture: np.ndarray) -> Image.Image:
    low, high = np.percentile(picture, (1, 99.5))
    grey = np.uint8(np.clip((picture - low) / (high - low), 0, 1) * 255)
    return Image.fromarray(grey).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
