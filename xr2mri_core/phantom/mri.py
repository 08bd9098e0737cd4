"""The phantom's scanner: a 3-D FLASH with water excitation, as OAI's `COR_T1_3D_FLASH_RIGHT`.

TE/TR 7.57/20 ms, flip angle 12 degrees, 0.625 x 1.5 x 0.625 mm after reconstruction.
"""

import math
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

from .tissues import PROPERTIES, Properties, Tissue

ECHO_TIME_MS = 7.57
REPETITION_TIME_MS = 20.0
FLIP_ANGLE_DEG = 12.0
WATER_EXCITATION = 0.955
"""Selectivity of the binomial pulse: the share of fat's signal that it suppresses."""
FAT_T1_MS = 371.0
FAT_T2STAR_MS = 28.0


def _spoiled_echo(t1: float, t2star: float, te: float, tr: float, flip_deg: float) -> float:
    """The FLASH signal equation for unit proton density: sin a (1 - E1) / (1 - cos a E1) e^(-TE/T2*)."""
    angle, e1 = math.radians(flip_deg), math.exp(-tr / t1)
    steady_state = math.sin(angle) * (1 - e1) / (1 - math.cos(angle) * e1)
    return steady_state * math.exp(-te / t2star)


def flash_signal(
    properties: Properties,
    te: float = ECHO_TIME_MS,
    tr: float = REPETITION_TIME_MS,
    flip_deg: float = FLIP_ANGLE_DEG,
    water_excitation: float = WATER_EXCITATION,
) -> float:
    """Signal of one tissue in a spoiled gradient echo, in units of fully relaxed water.

    Water and fat are separate pools. The binomial pulse excites water fully and leaves a share
    `1 - water_excitation` of fat's signal. Times in milliseconds, angle in degrees.

    Raises:
        ValueError: for times or angles that are not positive, or a selectivity outside [0, 1].
    """
    if min(te, tr, flip_deg) <= 0 or not 0 <= water_excitation <= 1:
        raise ValueError(
            f"te={te}, tr={tr} and flip_deg={flip_deg} must be positive and "
            f"water_excitation={water_excitation} within [0, 1]"
        )
    water = 1 - properties.fat_fraction
    fat = properties.fat_fraction * (1 - water_excitation)
    fat_t2star = min(FAT_T2STAR_MS, 2.5 * properties.t2star_ms)  # trabeculae dephase fat as well
    return properties.proton_density * (
        water * _spoiled_echo(properties.t1_ms, properties.t2star_ms, te, tr, flip_deg)
        + fat * _spoiled_echo(FAT_T1_MS, fat_t2star, te, tr, flip_deg)
    )


@cache
def signal_of(tissue: Tissue) -> float:
    """Signal of a tissue relative to cartilage (= 1) in the phantom's protocol."""
    cartilage = flash_signal(PROPERTIES[Tissue.FEMORAL_CARTILAGE])
    return flash_signal(PROPERTIES[tissue]) / cartilage


def signal_table() -> np.ndarray:
    """`signal_of` by label: float32 (number of tissues,); `table[labels]` is a noiseless image."""
    return np.array([signal_of(tissue) for tissue in Tissue], dtype=np.float32)
