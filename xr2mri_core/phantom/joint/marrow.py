"""Bone from its cortex inwards: marrow, epiphyseal scars, and what disease does to it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..fields import ellipsoid, intersection
from ..pathology import SIGNS, cysts, sclerosis
from ..tissues import Tissue
from . import measures as m
from .bones import Local
from .parts import Joint, soft


def paint_bones(joint: Joint) -> None:
    """Cortical shells round marrow, then osteophytes and the scars of the growth plates."""
    marrow, bones, still, swung = joint.textures.marrow, joint.bones, joint.still, joint.swung
    for local, bone, tissue, ends, cortex in (
        (still, bones.tibia, Tissue.TIBIA_MARROW, m.TIBIA_ENDS, m.CORTEX),
        (still, bones.fibula, Tissue.FIBULA_MARROW, m.FIBULA_ENDS, m.CORTEX),
        (swung, bones.femur, Tissue.TRABECULAR_MARROW, m.FEMUR_ENDS, m.CORTEX),
        (still, bones.patella, Tissue.PATELLA_MARROW, m.PATELLA_ENDS, m.PATELLAR_CORTEX),
    ):
        joint.lay(bone, Tissue.CORTICAL_BONE)
        joint.lay(bone + _shell(local, ends, cortex), tissue, marrow)
    for lip in joint.lips:
        joint.lay(lip + m.LIP_CORTEX, Tissue.OSTEOPHYTE, marrow, m.LIP_OPACITY)
    _paint_physes(joint)


def _shell(local: Local, ends: m.Pair, thin: float) -> Tensor:
    """Thickness of the cortex: thin at the joint, thick along the shaft."""
    near, far = ends
    return thin + m.SHAFT_CORTEX * soft((local.z - near) / (far - near))


def _paint_physes(joint: Joint) -> None:
    """Epiphyseal scars: thin, wavy, interrupted plates."""
    for local, bone, (level, bow) in (
        (joint.swung, joint.bones.femur, m.FEMORAL_PHYSIS),
        (joint.still, joint.bones.tibia, m.TIBIAL_PHYSIS),
    ):
        sheet = local.z - level - bow * local.x**2
        sheet = sheet - m.PHYSIS_WAVES * joint.textures.patches - m.PHYSIS_SLOPE * local.y
        plate = torch.maximum(sheet.abs() - m.PHYSIS_HALF, bone + m.PHYSIS_WITHIN)
        joint.lay(plate, Tissue.PHYSEAL_SCAR, opacity=m.PHYSIS_OPACITY)


def paint_lesions(joint: Joint) -> None:
    """Sclerosis, attrition and cysts under the joint's surface, side by side."""
    for side in SIGNS:
        _paint_sclerosis(joint, side)
        if joint.disease.attrition(side):
            _paint_worn_floor(joint, side)
        _paint_cysts(joint, side)


def _paint_sclerosis(joint: Joint, side: str) -> None:
    still, swung, disease, bones = joint.still, joint.swung, joint.disease, joint.bones
    hard = sclerosis(-bones.femur, swung.x, swung.y, disease, side, "F")
    if hard is not None:
        low = torch.maximum(hard, swung.z - m.SCLEROSIS_TOP)
        joint.lay(torch.maximum(low, bones.femur + m.SCLEROSIS_WITHIN), Tissue.SCLEROSIS)
    hard = sclerosis(bones.plateau - still.z, still.x, still.y, disease, side, "T")
    if hard is not None:
        joint.lay(torch.maximum(hard, bones.tibia + m.SCLEROSIS_WITHIN), Tissue.SCLEROSIS)


def _paint_worn_floor(joint: Joint, side: str) -> None:
    x, y, z = joint.still.xyz
    floor = torch.maximum(
        (joint.bones.plateau - z).abs() - m.ATTRITION_HALF,
        (x - SIGNS[side] * m.ATTRITION_MIDDLE).abs() - m.ATTRITION_HALF_X,
    )
    bounds = torch.maximum(joint.bones.tibia - m.ATTRITION_OUT, y.abs() - m.ATTRITION_HALF_Y)
    joint.lay(torch.maximum(floor, bounds), Tissue.ATTRITION_GAP, opacity=m.ATTRITION_OPACITY)


def _paint_cysts(joint: Joint, side: str) -> None:
    for bone, local, field, surface in (
        ("F", joint.swung, joint.bones.femur, joint.shape.cartilage * m.FEMORAL_CYST_LEVEL),
        ("T", joint.still, joint.bones.tibia, m.TIBIAL_CYST_LEVEL),
    ):
        for centre, radius in cysts(surface, joint.disease, side, bone):
            ball = ellipsoid(*local.xyz, centre, (radius, radius, radius * m.CYST_FLAT))
            ball = intersection(ball, field + m.CYST_COVER, m.CYST_FILLET)
            joint.lay(ball - m.CYST_RIM, Tissue.SCLEROSIS)
            joint.lay(ball, Tissue.CYST)
