"""What wraps the limb: skin, fat, deep fascia with its thickenings, retinacula."""

from __future__ import annotations

import torch

from ..fields import rounded
from ..tissues import Tissue
from . import measures as m
from .frame import Limb


def paint_envelope(limb: Limb) -> None:
    """Skin, subcutaneous fat, deep fascia, and the fat that the muscles lie in."""
    w, d = limb.whole, limb.fascia
    skin = d - limb.fat
    grain = limb.canvas.noise(w, m.GRAIN)
    lobules = limb.canvas.noise(w, m.LOBULES)
    fat = (1 + (m.FAT_GRAIN * grain + m.FAT_LOBULES * lobules)).clamp_min(m.FAT_LEAST)
    dry = (m.SKIN_MEAN + m.SKIN_GRAIN * grain).clamp_min(m.SKIN_LEAST)
    fibrous = (m.FASCIA_MEAN + m.FASCIA_LOBULES * lobules).clamp(*m.FASCIA_WITHIN)
    limb.paint(w, skin, Tissue.SKIN, dry)
    limb.paint(w, skin + m.SKIN_MM / limb.scale, Tissue.SUBCUTANEOUS_FAT, fat)
    limb.paint(w, d, Tissue.FASCIA, fibrous)
    limb.paint(w, d + m.FASCIA_MM / limb.scale, Tissue.INTERMUSCULAR_FAT, fat)


def paint_iliotibial_band(limb: Limb) -> None:
    """A thickening of the fascia on the lateral side, from the thigh to Gerdy's tubercle."""
    region = limb.region(*m.TRACT_BOX)
    if region is None:
        return
    depth = limb.fascia[region.index] + m.TRACT_DEPTH
    middle = region.profile(m.TRACT_MIDDLE)
    half = region.profile(m.TRACT_HALF)
    band = rounded(
        depth.abs() - m.TRACT_THICKNESS, (region.y - middle).abs() - half, m.TRACT_THICKNESS
    )
    limb.paint(region, band - m.TRACT_SHEATH, Tissue.FASCIA)
    limb.paint(region, band, Tissue.TENDON)


def paint_retinacula(limb: Limb) -> None:
    """Two sheets from the patella back to the epicondyles, a few mm under the fascia."""
    middle, half = m.RETINACULUM_Z
    for low, high in m.RETINACULA:
        (back, front), (bottom, top) = m.RETINACULA_Y, m.RETINACULA_Z
        region = limb.region((low, back, bottom), (high, front, top))
        if region is None:
            continue
        depth = limb.fascia[region.index] + m.RETINACULUM_DEPTH + limb.normal(m.OWN_DEPTH)
        reach = torch.maximum((region.z - middle).abs() - half, m.RETINACULUM_BACK - region.y)
        sheet = rounded(depth.abs() - m.SHEET_HALF, reach, m.SHEET_EDGE)
        limb.paint(region, sheet, Tissue.FASCIA, opacity=m.SHEET_OPACITY)
        deeper = (depth + m.SECOND_DEEPER).abs() - m.SECOND_HALF
        second = rounded(deeper, reach + m.SECOND_SHORTER, m.SECOND_EDGE)
        limb.paint(region, second, Tissue.FASCIA, opacity=m.SECOND_OPACITY)
