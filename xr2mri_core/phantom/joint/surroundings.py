"""Fat pads, capsule, synovium and fluid round the joint."""

from __future__ import annotations

import torch
from torch import Tensor

from ..fields import ellipsoid, union
from ..tissues import Tissue
from . import measures as m
from .parts import Joint, soft


def paint_surroundings(joint: Joint) -> None:
    """Hoffa's and the prefemoral fat pad, capsule, synovium, fluid, and what fills the notch."""
    _fat_pads(joint)
    _capsule(joint)
    _fluid(joint)
    _notch(joint)


def _fat_pads(joint: Joint) -> None:
    textures, xyz = joint.textures, joint.still.xyz
    pad = ellipsoid(*xyz, *m.HOFFA)
    joint.lay(pad, Tissue.FAT_PAD, textures.mottled(*m.HOFFA_MOTTLE))
    septa = (textures.mottle.abs() - m.SEPTA_LEVEL).clamp_max(m.SEPTA_MOST) * m.SEPTA_MM
    inside = torch.maximum(pad + m.SEPTA_DEPTH, septa)
    joint.lay(inside, Tissue.SYNOVIUM, opacity=m.SEPTA_OPACITY)
    x, y, z = m.PREFEMORAL.centre
    centre = (x, y, joint.shape.patella_z + z)
    prefemoral = ellipsoid(*xyz, centre, m.PREFEMORAL.radii)
    joint.lay(prefemoral, Tissue.FAT_PAD, textures.mottled(*m.PREFEMORAL_MOTTLE))


def _span(joint: Joint) -> Tensor:
    """Distance to what lies between the capsule's fixings on femur and tibia."""
    return torch.maximum(joint.swung.z - m.CAPSULE_TOP, -joint.still.z - m.CAPSULE_LOW)


def _capsule(joint: Joint) -> None:
    """It leaves the femur at the epicondyles and reaches the tibia below its rim."""
    loose = (m.CAPSULE_LOOSE + m.CAPSULE_FOLDS * joint.textures.folds).clamp(*m.CAPSULE_WITHIN)
    above = soft((m.CAPSULE_TOP - joint.swung.z) / m.CAPSULE_TOP_FADE)
    below = soft((joint.still.z + m.CAPSULE_LOW) / m.CAPSULE_LOW_FADE)
    femur, tibia = joint.bare.femur, joint.bare.tibia
    hull = union(femur - loose * above, tibia - loose * below, m.CAPSULE_FILLET)
    outer = torch.maximum(hull, _span(joint))
    uneven = joint.textures.mottled(*m.CAPSULE_MOTTLE)
    joint.lay(outer - m.CAPSULE_MM, Tissue.CAPSULE, uneven, m.CAPSULE_OPACITY)
    joint.lay(outer, Tissue.SYNOVIUM, uneven)


def _fluid(joint: Joint) -> None:
    """A film on the bones, and the suprapatellar recess."""
    fluid = joint.shape.fluid
    thin = m.FILM_MM + m.FILM_BY_FLUID * fluid
    film = union(joint.bare.femur, joint.bare.tibia, m.FILM_FILLET) - thin
    joint.lay(torch.maximum(film, _span(joint)), Tissue.JOINT_FLUID)
    (x, y, z), (rx, ry, rz) = m.RECESS
    centre = (x, y, joint.shape.patella_z + z)
    radii = (rx, ry + m.RECESS_BY_FLUID * fluid, rz)
    joint.lay(ellipsoid(*joint.still.xyz, centre, radii), Tissue.JOINT_FLUID)


def _notch(joint: Joint) -> None:
    folds = joint.textures.folds
    rx, ry, share = m.NOTCH_FAT.radii
    radii = (rx, ry, joint.shape.notch_height * share)
    notch = ellipsoid(*joint.still.xyz, m.NOTCH_FAT.centre, radii)
    joint.lay(notch + folds, Tissue.FAT_PAD)
    lining = notch + m.NOTCH_LINING + m.NOTCH_FOLDS * folds
    joint.lay(lining, Tissue.SYNOVIUM, joint.textures.mottled(*m.LINING_MOTTLE))
