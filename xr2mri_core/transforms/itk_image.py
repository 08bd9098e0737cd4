"""ITK's images in the conventions of this project: axes in file order, world in RAS."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk


def array_and_affine(image: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """Return the voxels (i, j[, k][, components]) of an image and its RAS affine (4, 4) in mm."""
    axes = image.GetDimension()
    voxels = sitk.GetArrayFromImage(image)
    voxels = voxels.transpose(*range(axes)[::-1], *range(axes, voxels.ndim))
    affine = np.eye(4)
    affine[:axes, :axes] = np.reshape(image.GetDirection(), (axes, axes)) * image.GetSpacing()
    affine[:axes, 3] = image.GetOrigin()
    affine[:2] *= -1  # ITK's first two axes run to the left and to posterior
    return voxels, affine
