"""Articular cartilage as shells on the bones, the menisci between them, and crystals in both."""

from __future__ import annotations

import torch
from torch import Tensor

from ..pathology import SIGNS, crystal_pattern
from ..tissues import Tissue
from . import measures as m
from .parts import Joint, soft

TIBIAL_CARTILAGE = {"M": Tissue.TIBIAL_CARTILAGE_MEDIAL, "L": Tissue.TIBIAL_CARTILAGE_LATERAL}
MENISCUS = {"M": Tissue.MENISCUS_MEDIAL, "L": Tissue.MENISCUS_LATERAL}


def paint_cartilage(joint: Joint) -> None:
    """Femur, tibia, patella, from the outside in."""
    joint.lay(femoral_cartilage(joint), Tissue.FEMORAL_CARTILAGE)
    for side, tissue in TIBIAL_CARTILAGE.items():
        joint.lay(tibial_cartilage(joint, side), tissue)
    y = joint.still.y
    shell = joint.bones.patella - m.PATELLAR_CARTILAGE * soft((m.PATELLA_BACK - y) / m.PATELLA_FADE)
    joint.lay(torch.maximum(shell, y - m.PATELLA_BACK), Tissue.PATELLAR_CARTILAGE)


def femoral_cartilage(joint: Joint) -> Tensor:
    """Signed distance to the shell on the femur.

    Narrowing wears the weight-bearing arc; the posterior condyles and the trochlea keep more.
    """
    x, y, z = joint.swung.xyz
    femoral, left = joint.thickness.femoral, joint.disease.cartilage_left
    medial = torch.sigmoid(x / m.SIDE_BLEND)
    worn = torch.lerp(torch.tensor(femoral[1]), torch.tensor(femoral[0]), medial)
    healthy = torch.lerp(
        torch.tensor(femoral[1] / max(left("L"), m.LEAST_LEFT)),
        torch.tensor(femoral[0] / max(left("M"), m.LEAST_LEFT)),
        medial,
    )
    arc = ((y - m.BEARING_MIDDLE) / m.BEARING_HALF) ** m.BEARING_SHARPNESS
    bearing = torch.exp(-arc) * soft((m.BEARING_TOP - z) / m.BEARING_FADE)
    thick = torch.lerp(m.UNWORN_SHARE[0] * worn + m.UNWORN_SHARE[1] * healthy, worn, bearing)
    cover = _femoral_cover(x, y, z)
    trochlea = 1 + m.TROCHLEA_GAIN * soft((y - m.TROCHLEA_FROM) / m.TROCHLEA_OVER)
    return joint.bones.femur - (thick * trochlea * cover - (1 - cover) * m.BARE_DEPTH)


def _femoral_cover(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Where the femur has cartilage: 1 there, 0 elsewhere."""
    top = torch.where(y > m.COVER_FRONT, m.COVER_TOP_FRONT, m.COVER_TOP_BACK)
    cover = soft((top - z) / m.COVER_FADE_UP) * soft((m.COVER_SIDE - x.abs()) / m.COVER_FADE_OUT)
    in_notch = (x.abs() < m.NOTCH_HALF) & (y < m.NOTCH_FRONT)
    bare = torch.where(in_notch, m.NOTCH_EDGE - y, 0.0)
    return cover * soft((m.NOTCH_EDGE - bare) / m.NOTCH_EDGE)


def tibial_cartilage(joint: Joint, side: str) -> Tensor:
    """Signed distance to the dome on one side of the tibia."""
    still = joint.still
    cx = SIGNS[side] * m.TIBIAL_MIDDLE
    rho = torch.sqrt(
        ((still.x - cx) / m.TIBIAL_HALF_X) ** 2 + (still.y / m.TIBIAL_HALF_Y[side]) ** 2
    )
    dome = joint.thickness.tibial["ML".index(side)] * (1 - rho**m.TIBIAL_ROUNDNESS).clamp(-1, 1)
    above = still.z - joint.bones.plateau
    shell = torch.maximum(above - dome, -m.TIBIAL_ROOTED - above)
    return torch.maximum(shell, (rho - 1) * m.ELLIPSE_MM)


def paint_menisci(joint: Joint) -> None:
    """Wedges between the cartilages: rings that are open towards the spines."""
    strands = joint.textures.mottled(*m.MENISCUS_MOTTLE)
    for side, tissue in MENISCUS.items():
        joint.lay(_meniscus(joint, side), tissue, strands)


def _meniscus(joint: Joint, side: str) -> Tensor:
    shape, sign = joint.shape, SIGNS[side]
    x, y, z = joint.still.xyz
    left, cartilage = joint.disease.meniscus_left(side), joint.thickness.tibial["ML".index(side)]
    rx, ry = m.MENISCUS_HALF_X[side], m.MENISCUS_HALF_Y[side]
    extrude = m.EXTRUSION * (1 - left)
    cx = sign * (shape.plateau_width / 2 - rx - m.MENISCUS_INSIDE + extrude)
    r = torch.sqrt((x - cx) ** 2 + (y * rx / ry) ** 2)
    horn = m.HORN_GAIN * soft(-y / m.HORN_OVER) if side == "M" else 0.0
    width = shape.meniscus_width * (1.0 + horn)
    inward = r - (rx - width)
    height = shape.meniscus_height * left * (inward / width).clamp_min(0)
    top = joint.bones.plateau + cartilage + height
    base = joint.bones.plateau + cartilage * m.MENISCUS_SUNK
    body = torch.maximum(torch.maximum(z - top, base - z), torch.maximum(-inward, r - rx))
    opening = torch.minimum(-sign * (x - cx) - m.ROOTS_IN, m.ROOTS_APART - y.abs())
    return torch.maximum(body, opening)


def paint_crystals(joint: Joint) -> None:
    """Chondrocalcinosis of a compartment: in the meniscus, and along the cartilage's middle."""
    for side, sign in SIGNS.items():
        pattern = crystal_pattern(joint.box, joint.disease, side)
        if pattern is None:
            continue
        for field, level in (
            (_in_meniscus(joint, side), m.CRYSTAL_LEVEL),
            (_along_cartilage(joint, sign), m.LINE_LEVEL),
        ):
            grains = -(pattern + level) * m.CRYSTAL_MM
            joint.lay(torch.maximum(field, grains), Tissue.CHONDROCALCINOSIS)


def _in_meniscus(joint: Joint, side: str) -> Tensor:
    x, y, z = joint.still.xyz
    sign, cartilage = SIGNS[side], joint.thickness.tibial["ML".index(side)]
    half = joint.shape.plateau_width / 2
    middle = z - joint.bones.plateau - cartilage
    rim = (sign * x - (half - m.CRYSTAL_INNER)).clamp_min(0)
    wedge = torch.maximum(
        middle - m.CRYSTAL_HALF - m.CRYSTAL_WEDGE * rim, -middle - cartilage * m.CRYSTAL_LOW
    )
    inside = torch.maximum(
        wedge, torch.maximum(-sign * x + m.CRYSTAL_FROM, y.abs() - m.CRYSTAL_HALF_Y)
    )
    return torch.maximum(inside, sign * x - half - m.CRYSTAL_OUT) + m.CRYSTAL_IN


def _along_cartilage(joint: Joint, sign: float) -> Tensor:
    x, _, z = joint.still.xyz
    shell = (femoral_cartilage(joint) + m.LINE_DEPTH).abs() - m.LINE_HALF
    return torch.maximum(shell, torch.maximum(-sign * x + m.LINE_FROM, z - m.LINE_TOP))
