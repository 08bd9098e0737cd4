"""From the file of a radiograph to what a model takes: one chain for training and generation.

radiograph = prepare_radiograph("knee.dcm", size=256, laterality="L")
radiograph.picture    # (1, 1, 256, 256) float32 in [-1, 1], right-knee frame
radiograph.info       # laterality, box, spacing, warnings
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xr2mri_core.geometry import Laterality, own_side
from xr2mri_core.localization import LocateKneed
from xr2mri_core.transforms.radiograph import radiograph_steps
from xr2mri_core.transforms.radiograph_file import RadiographFile, open_radiograph
from xr2mri_core.transforms.steps import unit_range

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True)
class PreparedRadiograph:
    """A radiograph that a model can take; its file is no longer needed.

    Attributes:
        name: name of the file, for the record.
        picture: (1, 1, H, W) float32 in [-1, 1], cropped, in the right-knee frame.
        info: ``laterality``, ``box``, ``spacing_mm``, ``warnings``, ... of the transforms.
        header: the pydicom Dataset of a DICOM file, without its pixels; None for other files.
    """

    name: str
    picture: Tensor
    info: Mapping[str, Any]
    header: Dataset | None = None

    @property
    def side(self) -> Laterality | None:
        """Side of the knee."""
        return Laterality.parse(self.info["laterality"])

    @property
    def shown(self) -> NDArray[np.float32]:
        """(H, W) float32 in [0, 1], on the patient's own side."""
        return unit_range(own_side(self.picture.numpy()[0, 0], self.side))


def prepare_radiograph(
    radiograph: Path | str | NDArray[Any] | RadiographFile,
    size: int,
    laterality: str = "auto",
    box: Sequence[int] | None = None,
    detached: bool = False,
) -> PreparedRadiograph:
    """Read and check a radiograph for a model whose pictures have ``size`` rows and columns.

    Without a box the knee is looked for (`KneeDetector`): of a plain bilateral radiograph the knee
    of ``laterality`` is cut out; where that is ``auto``, the one of the file's side, else the only
    one that is seen, else the right one (`Localization.choose`). Its side is the file's, else told
    by its place or a letter in the picture, else right. ``detached`` is that of `read_radiograph`.
    A file that was read elsewhere, under guard perhaps, goes through the same chain.

    Raises:
        RadiographError: it cannot be used.
    """
    if isinstance(radiograph, str | Path):
        radiograph = open_radiograph(radiograph, detached)
    item: dict[Hashable, Any] = {"radiograph": radiograph, "laterality": laterality}
    if box is not None:
        item["box"] = tuple(box)
    for step in radiograph_steps(size, LocateKneed("radiograph")):
        item = dict(step(item))
    picture = torch.as_tensor(np.asarray(item["radiograph"], np.float32))[None]
    info = item["radiograph_info"]
    if not isinstance(radiograph, RadiographFile):
        return PreparedRadiograph("array", picture, info)
    return PreparedRadiograph(radiograph.name, picture, info, radiograph.header)
