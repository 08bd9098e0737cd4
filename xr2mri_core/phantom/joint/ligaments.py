"""Extensor mechanism, cruciate and collateral ligaments, and the popliteus tendon."""

from __future__ import annotations

from ..fields import band, capsule
from ..tissues import Tissue
from . import measures as m
from .parts import Joint


def paint_extensor(joint: Joint) -> None:
    """Quadriceps and patellar tendon, which follow the patella."""
    shape, xyz = joint.shape, joint.still.xyz
    top = shape.patella_z + shape.patella_height / 2
    low = shape.patella_z - shape.patella_height / 2
    heights = (top + m.QUADRICEPS_UP[0], top + m.QUADRICEPS_UP[1], m.QUADRICEPS_TOP)
    path = list(zip(m.QUADRICEPS_X, m.QUADRICEPS_Y, heights, strict=True))
    strap = band(*xyz, path, m.QUADRICEPS_WIDTH, m.QUADRICEPS_THICKNESS, m.QUADRICEPS_FLAT)
    joint.lay(strap, Tissue.QUADRICEPS_TENDON)
    heights = (low + m.PATELLAR_UP[0], low + m.PATELLAR_UP[1], m.PATELLAR_END)
    path = list(zip(m.PATELLAR_X, m.PATELLAR_Y, heights, strict=True))
    strap = band(*xyz, path, m.PATELLAR_WIDTH, m.PATELLAR_THICKNESS, m.PATELLAR_FLAT)
    joint.lay(strap, Tissue.PATELLAR_TENDON)


def paint_cruciates(joint: Joint) -> None:
    """The anterior ligament in two bundles, and the posterior one, from wall to wall."""
    shape, xyz = joint.shape, joint.still.xyz
    fibres = joint.textures.mottled(*m.CRUCIATE_MOTTLE)
    wall = shape.notch_width / 2 + m.CRUCIATE_WALL
    roof = m.CRUCIATE_ROOF + m.CRUCIATE_ROOF_SHARE * shape.notch_height
    for dx in m.ACL_BUNDLES:
        low = (m.ACL_TIBIA[0] + dx, *m.ACL_TIBIA[1:])
        high = (-wall - dx, m.ACL_FEMUR_Y + dx, roof)
        joint.lay(capsule(*xyz, low, high, *m.ACL_RADII), Tissue.ACL, fibres)
    high = (wall, m.PCL_FEMUR_Y, roof - m.PCL_BELOW_ROOF)
    joint.lay(capsule(*xyz, m.PCL_TIBIA, high, *m.PCL_RADII), Tissue.PCL, fibres)


def paint_collaterals(joint: Joint) -> None:
    """The medial band, the lateral cord to the fibula, and the popliteus tendon."""
    shape, xyz = joint.shape, joint.still.xyz
    w, p = (shape.intercondylar + shape.condyle_width) / 2, shape.plateau_width / 2
    medial = [(w + dx, y, z) for dx, y, z in m.MCL_FEMUR]
    medial += [(p + dx, y, z) for dx, y, z in m.MCL_TIBIA]
    joint.lay(band(*xyz, medial, m.MCL_WIDTH, m.MCL_THICKNESS, m.SIDEWAYS), Tissue.MCL)
    high = (-w + m.LCL_FEMUR[0], *m.LCL_FEMUR[1:])
    low = (*m.LCL_FIBULA, shape.fibula_height + m.LCL_FIBULA_UP)
    joint.lay(capsule(*xyz, high, low, m.LCL_RADIUS), Tissue.LCL)
    popliteus = [*((-w + dx, y, z) for dx, y, z in m.POPLITEUS_FEMUR), m.POPLITEUS_BACK]
    strap = band(*xyz, popliteus, m.POPLITEUS_WIDTH, m.POPLITEUS_THICKNESS, m.SIDEWAYS)
    joint.lay(strap, Tissue.TENDON)
