"""What the painters of the joint work with: coordinates of both bones, the bones, thicknesses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..brush import Brush
from ..fields import Canvas, Region, rotate, union
from ..pathology import Disease, osteophytes
from ..shape import KneeShape
from ..tissues import Tissue
from . import bones, measures
from .bones import Local


def soft(x: Tensor) -> Tensor:
    """Limited to [0, 1]."""
    return x.clamp(0, 1)


@dataclass(frozen=True)
class Thicknesses:
    """What follows from shape and disease, in mm before scaling.

    Attributes:
        femoral, tibial: cartilage of the medial and lateral compartment.
        bottom: lowest z of the medial and lateral condyle without narrowing.
        drop, tilt: femoral descent (mm) and turn (degrees, positive closes the medial side) by
            narrowing.
    """

    femoral: tuple[float, float]
    tibial: tuple[float, float]
    bottom: tuple[float, float]
    drop: float
    tilt: float

    @classmethod
    def of(cls, shape: KneeShape, disease: Disease) -> Thicknesses:
        """The thicknesses of one knee with its disease."""
        m = measures
        femoral = (shape.cartilage, shape.cartilage * m.LATERAL_FEMORAL_SHARE)
        tibial = tuple(shape.cartilage * share for share in m.TIBIAL_SHARE)
        left = tuple(disease.cartilage_left(side) for side in "ML")
        bottom = (
            m.CONCAVITY_FILLED * shape.medial_concavity + femoral[0] + tibial[0] + m.SLIT,
            m.CONVEXITY_FILLED * shape.lateral_convexity + femoral[1] + tibial[1] + m.SLIT,
        )
        loss = [
            (femoral[i] + tibial[i]) * (1 - left[i])
            + m.SLIT * (1 - left[i])
            + disease.attrition(side)
            for i, side in enumerate("ML")
        ]
        return cls(
            femoral=(femoral[0] * left[0], femoral[1] * left[1]),
            tibial=(tibial[0] * left[0], tibial[1] * left[1]),
            bottom=bottom,
            drop=(loss[0] + loss[1]) / 2,
            tilt=float(np.degrees((loss[0] - loss[1]) / shape.intercondylar)),
        )


@dataclass(frozen=True)
class Bones:
    """Signed distances to the bones, and the height of the tibial plateau: Tensors, mm."""

    femur: Tensor
    tibia: Tensor
    fibula: Tensor
    patella: Tensor
    plateau: Tensor


@dataclass(frozen=True)
class Textures:
    """Random fields of unit variance, in the order in which they are drawn; see `measures`."""

    mottle: Tensor
    folds: Tensor
    trabeculae: Tensor
    patches: Tensor

    @classmethod
    def draw(cls, canvas: Canvas, box: Region) -> Textures:
        """Draw them from the canvas' generator."""
        grains = (
            measures.MOTTLE_GRAIN,
            measures.FOLDS_GRAIN,
            measures.TRABECULAE_GRAIN,
            measures.PATCHES_GRAIN,
        )
        return cls(*(canvas.noise(box, grain) for grain in grains))

    @property
    def marrow(self) -> Tensor:
        """Factor on the signal of marrow."""
        trabecular, patchy = measures.TRABECULAE_DEPTH, measures.PATCHES_DEPTH
        signal = 1 + trabecular * self.trabeculae + patchy * self.patches
        return signal.clamp_min(measures.MARROW_LEAST)

    def mottled(self, depth: float, least: float, mean: float = 1) -> Tensor:
        """Factor on the signal of a tissue that is uneven to this depth."""
        return (mean + depth * self.mottle).clamp_min(least)


@dataclass(frozen=True)
class Joint:
    """One knee joint on its canvas.

    Attributes:
        box: box of the grid in which the joint is painted.
        shape, disease: shape and disease of the knee.
        still, swung: coordinates in the tibia's and in the femur's frame, mm of scale 1.
        bare: the bones without osteophytes.
        bones: the bones with them.
        lips: signed distance to each osteophyte where it lies outside its bone.
        thickness: thickness of the cartilages.
        textures: textures of the tissues.
    """

    box: Region
    shape: KneeShape
    disease: Disease
    still: Local
    swung: Local
    bare: Bones
    bones: Bones
    lips: tuple[Tensor, ...]
    thickness: Thicknesses
    textures: Textures
    _brush: Brush

    @classmethod
    def of(cls, canvas: Canvas, shape: KneeShape, disease: Disease, brush: Brush) -> Joint:
        """Work out where everything lies; nothing is painted yet."""
        k = shape.scale
        box = canvas.region(
            x=(measures.BOX_X[0] * k, measures.BOX_X[1] * k),
            y=(measures.BOX_Y[0] * k, measures.BOX_Y[1] * k),
        )
        assert box is not None
        thickness = Thicknesses.of(shape, disease)
        still, swung = _frames(box, shape, thickness)
        plateau = bones.plateau(still, shape, (disease.attrition("M"), disease.attrition("L")))
        bare = Bones(
            femur=bones.femur(swung, shape, thickness.bottom),
            tibia=bones.tibia(still, shape, plateau),
            fibula=bones.fibula(still, shape),
            patella=bones.patella(still, shape),
            plateau=plateau,
        )
        femur, femoral = _with_lips("F", bare.femur, swung, shape, disease)
        tibia, tibial = _with_lips("T", bare.tibia, still, shape, disease)
        grown = Bones(femur, tibia, bare.fibula, bare.patella, plateau)
        textures = Textures.draw(canvas, box)
        lips = (*femoral, *tibial)
        return cls(box, shape, disease, still, swung, bare, grown, lips, thickness, textures, brush)

    def lay(
        self,
        distance: Tensor,
        tissue: Tissue,
        texture: Tensor | None = None,
        opacity: float = 1.0,
    ) -> None:
        """Paint a tissue; the distance in mm of scale 1."""
        self._brush(self.box, distance * self.shape.scale, tissue, texture, opacity)


def _frames(box: Region, shape: KneeShape, thickness: Thicknesses) -> tuple[Local, Local]:
    """Coordinates of the tibia, which stands still, and of the femur, which turns over it."""
    k = shape.scale
    turned = rotate(box.x / k, box.y / k, box.z / k, (0, 0, 0), 0, 0, shape.rotation)
    axis = (0, 0, shape.medial_radius + measures.FLEXION_AXIS_UP)
    bent = rotate(*turned, axis, -shape.flexion, 0, 0)
    moved = rotate(*bent, (0, 0, 0), 0, -thickness.tilt, 0)
    return Local(*turned, box, k), Local(moved[0], moved[1], moved[2] + thickness.drop, box, k)


def _with_lips(
    bone: str, bare: Tensor, local: Local, shape: KneeShape, disease: Disease
) -> tuple[Tensor, list[Tensor]]:
    """A bone with its osteophytes, and these."""
    rim, level = shape.plateau_width / 2, measures.TIBIAL_LIP_LEVEL
    if bone == "F":
        rim = (shape.intercondylar + shape.condyle_width) / 2 + measures.FEMORAL_RIM_OUT
        level = measures.FEMORAL_LIP_LEVEL
    grown, lips = bare, []
    for side in "ML":
        lip = osteophytes(local.x, local.y, local.z, disease, side, bone, rim, level)
        if lip is not None:
            grown = union(grown, lip, measures.LIP_FILLET)
            lips.append(torch.maximum(lip, measures.LIP_BEYOND - bare))
    return grown, lips
