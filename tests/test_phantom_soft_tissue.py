"""The limb around the joint: what is where, and what its size follows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from xr2mri_core.phantom.fields import Canvas
from xr2mri_core.phantom.limb import paint_limb
from xr2mri_core.phantom.mri import signal_of
from xr2mri_core.phantom.shape import KneeShape
from xr2mri_core.phantom.tissues import PROPERTIES, Tissue

SLICES_Y = np.arange(-78.0, 79.0, 6.0)


def limb(shape: KneeShape, seed: int = 1) -> Canvas:
    canvas = Canvas(SLICES_Y, (shape.field_x, shape.field_z), warp=1.0, seed=seed)

    def paint(region, distance, tissue, texture=None, opacity=1.0):
        mu = PROPERTIES[tissue].mu_per_mm
        canvas.paint(region, distance, int(tissue), signal_of(tissue), mu, texture, opacity)

    paint_limb(canvas, shape, paint)
    return canvas


@pytest.fixture(scope="module")
def usual() -> Canvas:
    return limb(KneeShape())


def size(canvas: Canvas, *tissues: Tissue) -> float:
    """Number of voxels of the tissues on the whole canvas."""
    return float(sum((canvas.label == int(t)).sum() for t in tissues))


def test_the_limb_has_its_tissues(usual: Canvas) -> None:
    present = {Tissue(int(v)) for v in usual.label.unique()}
    assert present >= {
        Tissue.AIR,
        Tissue.SKIN,
        Tissue.SUBCUTANEOUS_FAT,
        Tissue.FASCIA,
        Tissue.INTERMUSCULAR_FAT,
        Tissue.MUSCLE,
        Tissue.VESSEL,
        Tissue.NERVE,
        Tissue.TENDON,
    }
    assert torch.isfinite(usual.signal).all() and torch.isfinite(usual.mu).all()
    assert usual.signal.min() >= 0 and usual.mu.min() >= 0


def test_muscles_leave_the_popliteal_fossa_and_the_shin_free(usual: Canvas) -> None:
    def label(x: float, y: float, z: float) -> int:
        i = int(np.abs(SLICES_Y - y).argmin())
        row, column = 128 - (z - 19) / 0.625, 128 + (x + 2) / 0.625
        return int(usual.label[i, round(row), round(column)])

    assert label(6, -42, 85) == Tissue.MUSCLE  # semimembranosus
    assert label(15, -42, -40) == Tissue.MUSCLE  # gastrocnemius
    assert label(24, 18, 85) == Tissue.MUSCLE  # vastus medialis
    assert label(8, -18, 50) != Tissue.MUSCLE  # popliteal fossa
    assert label(35, 12, -40) != Tissue.MUSCLE  # medial face of the tibia


def test_fat_follows_bmi_and_muscle_follows_muscularity(usual: Canvas) -> None:
    heavy = limb(replace(KneeShape(), bmi=35.0))
    strong = limb(replace(KneeShape(), muscularity=1.12))
    fat, muscle = Tissue.SUBCUTANEOUS_FAT, Tissue.MUSCLE
    assert size(heavy, fat) > 1.25 * size(usual, fat)
    assert size(strong, muscle) > 1.1 * size(usual, muscle)


def test_the_same_seed_gives_the_same_limb(usual: Canvas) -> None:
    again, other = limb(KneeShape()), limb(KneeShape(), seed=2)
    assert torch.equal(again.signal, usual.signal)
    assert not torch.equal(other.label, usual.label)
