"""The joint, painted from the outside in: fat pad and capsule, menisci, ligaments, cartilage, bone.

Frames: the tibia stands still; the femur turns over it by flexion and by what narrowing takes from
one compartment. Cartilage is a shell on its bone, menisci fill the wedge between the cartilages, so
that thickness lost in a compartment brings the bones together there, down to contact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from . import bones
from .bones import Local
from .fields import Canvas, Region, band, capsule, ellipsoid, intersection, rotate, union
from .pathology import Disease, crystal_pattern, cysts, osteophytes, sclerosis
from .shape import KneeShape
from .tissues import Tissue

TIBIAL_SHARE = (1.2, 1.42)
"""Thickness of the medial and lateral tibial cartilage over the femoral: in the central half of
the compartments of a segmented real knee (pymskt's example) 2.9 and 3.65 mm over 2.2 and 2.55."""

Brush = Callable[..., None]
"""brush(region, distance, tissue, texture=None, opacity=1.0)"""


@dataclass(frozen=True)
class Joint:
    """Thicknesses, in mm before scaling, that follow from shape and disease."""

    femoral: tuple[float, float]
    tibial: tuple[float, float]
    bottom: tuple[float, float]
    """Lowest z of the medial and lateral condyle without narrowing."""
    drop: float
    tilt: float
    """Femoral descent (mm) and turn (degrees, positive closes the medial side) by narrowing."""

    @classmethod
    def of(cls, shape: KneeShape, disease: Disease) -> Joint:
        healthy_f = (shape.cartilage, shape.cartilage * 1.05)
        healthy_t = tuple(shape.cartilage * share for share in TIBIAL_SHARE)
        left = tuple(disease.cartilage_left(s) for s in "ML")
        slit = 0.5
        bottom = (
            -0.75 * shape.medial_concavity + healthy_f[0] + healthy_t[0] + slit,
            0.8 * shape.lateral_convexity + healthy_f[1] + healthy_t[1] + slit,
        )
        loss = [
            (healthy_f[i] + healthy_t[i]) * (1 - left[i])
            + slit * (1 - left[i])
            + disease.attrition(s)
            for i, s in enumerate("ML")
        ]
        return cls(
            femoral=(healthy_f[0] * left[0], healthy_f[1] * left[1]),
            tibial=(healthy_t[0] * left[0], healthy_t[1] * left[1]),
            bottom=bottom,
            drop=(loss[0] + loss[1]) / 2,
            tilt=float(np.degrees((loss[0] - loss[1]) / shape.intercondylar)),
        )


def paint_knee(canvas: Canvas, shape: KneeShape, disease: Disease, brush: Brush) -> None:
    """Paints bones and joint over a limb that holds everything else."""
    k = shape.scale
    box = canvas.region(x=(-56 * k, 56 * k), y=(-46 * k, 72 * k))
    assert box is not None
    joint = Joint.of(shape, disease)
    turned = rotate(box.x / k, box.y / k, box.z / k, (0, 0, 0), 0, 0, shape.rotation)
    still = Local(*turned, box, k)
    bent = rotate(*turned, (0, 0, shape.medial_radius + 5), -shape.flexion, 0, 0)
    moved = rotate(*bent, (0, 0, 0), 0, -joint.tilt, 0)
    swung = Local(moved[0], moved[1], moved[2] + joint.drop, box, k)

    height = bones.plateau(still, shape, (disease.attrition("M"), disease.attrition("L")))
    femur = bones.femur(swung, shape, joint.bottom)
    tibia = bones.tibia(still, shape, height)
    fibula = bones.fibula(still, shape)
    patella = bones.patella(still, shape)
    rim = (shape.intercondylar + shape.condyle_width) / 2 + 1.0, shape.plateau_width / 2
    bare = {"F": femur, "T": tibia}
    grown, lips = dict(bare), []
    for bone, local, edge, level in (("F", swung, rim[0], 11.0), ("T", still, rim[1], -3.5)):
        for side in "ML":
            lip = osteophytes(local.x, local.y, local.z, disease, side, bone, edge, level)
            if lip is not None:
                grown[bone] = union(grown[bone], lip, 3.5)
                lips.append(torch.maximum(lip, 0.8 - bare[bone]))
    femur, tibia = grown["F"], grown["T"]

    def lay(
        distance: Tensor, tissue: Tissue, texture: Tensor | None = None, opacity: float = 1.0
    ) -> None:
        brush(box, distance * k, tissue, texture, opacity)

    mottle = canvas.noise(box, (2.0, 2.2, 1.6))
    folds = canvas.noise(box, (5.0, 6.0, 5.0))
    _surroundings(lay, still, swung, bare["F"], bare["T"], shape, mottle, folds)
    _extensor(lay, still, shape)
    gap_low, gap_high = _articular_surfaces(still, swung, femur, tibia, height, joint, disease)
    _menisci(lay, still, height, joint, shape, disease, mottle)
    _cruciates(lay, still, shape, mottle)
    lay(gap_high, Tissue.FEMORAL_CARTILAGE)
    for side, field in gap_low.items():
        lay(
            field,
            Tissue.TIBIAL_CARTILAGE_MEDIAL if side == "M" else Tissue.TIBIAL_CARTILAGE_LATERAL,
        )
    behind = patella - 2.8 * _soft((49.5 - 2 - still.y) / 4)
    lay(torch.maximum(behind, still.y - 47.5), Tissue.PATELLAR_CARTILAGE)
    _chondrocalcinosis(lay, box, still, height, gap_low, gap_high, joint, disease, shape)

    trabeculae = canvas.noise(box, (2.0, 3.0, 1.25))
    patches = canvas.noise(box, (9.0, 12.0, 9.0))
    marrow = (1 + 0.27 * trabeculae + 0.12 * patches).clamp_min(0.2)
    _bone(lay, still, tibia, Tissue.TIBIA_MARROW, (-8.0, -60.0), marrow)
    _bone(lay, still, fibula, Tissue.FIBULA_MARROW, (-18.0, -60.0), marrow)
    _bone(lay, swung, femur, Tissue.TRABECULAR_MARROW, (35.0, 100.0), marrow)
    _bone(lay, still, patella, Tissue.PATELLA_MARROW, (60.0, 100.0), marrow, thin=0.35)
    for lip in lips:
        lay(lip + 0.6, Tissue.OSTEOPHYTE, marrow, 0.6)
    _physes(lay, still, swung, femur, tibia, patches)
    _marrow_lesions(lay, still, swung, femur, tibia, height, disease, shape)
    _collaterals(lay, still, shape)


def _soft(x: Tensor) -> Tensor:
    return x.clamp(0, 1)


def _surroundings(lay, still, swung, femur, tibia, shape, mottle, folds) -> None:
    """Hoffa's fat pad, suprapatellar fat, capsule, synovium and fluid round the joint."""
    k_in = shape.patella_z
    pad = ellipsoid(still.x, still.y, still.z, (0, 38, 6), (26, 19, 22))
    lay(pad, Tissue.FAT_PAD, (1 + 0.25 * mottle).clamp_min(0.3))
    septa = (mottle.abs() - 0.10).clamp_max(3) * 3
    lay(torch.maximum(pad + 3, septa), Tissue.SYNOVIUM, opacity=0.6)
    prefemoral = ellipsoid(still.x, still.y, still.z, (0, 36, k_in + 22), (24, 12, 20))
    lay(prefemoral, Tissue.FAT_PAD, (1 + 0.2 * mottle).clamp_min(0.3))
    # The capsule leaves the femur at the epicondyles and reaches the tibia below its rim.
    loose = (3.4 + 1.5 * folds).clamp(0.6, 6.0)
    hull = union(
        femur - loose * _soft((33 - swung.z) / 16), tibia - loose * _soft((still.z + 12) / 8), 6.0
    )
    span = torch.maximum(swung.z - 33, -still.z - 12)
    outer = torch.maximum(hull, span)
    lay(outer - 1.3, Tissue.CAPSULE, (1 + 0.3 * mottle).clamp_min(0.2), 0.8)
    lay(outer, Tissue.SYNOVIUM, (1 + 0.3 * mottle).clamp_min(0.2))
    thin = 0.4 + 1.6 * shape.fluid
    lay(torch.maximum(union(femur, tibia, 8.0) - thin, span), Tissue.JOINT_FLUID)
    recess = ellipsoid(
        still.x, still.y, still.z, (0, 40.5, k_in + 26), (20, 1.2 + 3.0 * shape.fluid, 16)
    )
    lay(recess, Tissue.JOINT_FLUID)
    notch = ellipsoid(still.x, still.y, still.z, (0, -8, 12), (15, 21, shape.notch_height * 0.8))
    lay(notch + folds, Tissue.FAT_PAD)
    lay(notch + 1.0 + 0.8 * folds, Tissue.SYNOVIUM, (0.8 + 0.35 * mottle).clamp_min(0.1))


def _extensor(lay, still, shape) -> None:
    x, y, z = still.x, still.y, still.z
    top, low = (
        shape.patella_z + shape.patella_height / 2,
        shape.patella_z - shape.patella_height / 2,
    )
    quad = [(-2, 50, top - 4), (-4, 45, top + 22), (-6, 40, 120)]
    lay(band(x, y, z, quad, 34, 6.5, (0, 1, 0.2)), Tissue.QUADRICEPS_TENDON)
    cord = [(-2, 54, low + 5), (-3, 45, low - 18), (-4, 27, -32)]
    lay(band(x, y, z, cord, 27, 5.0, (0, 1, -0.4)), Tissue.PATELLAR_TENDON)


def _articular_surfaces(still, swung, femur, tibia, height, joint, disease):
    """Cartilage shells as signed distances: tibial by side, and femoral."""
    x, y, z = swung.x, swung.y, swung.z
    medial = torch.sigmoid(x / 3)
    weight = torch.lerp(torch.tensor(joint.femoral[1]), torch.tensor(joint.femoral[0]), medial)
    healthy = torch.lerp(
        torch.tensor(joint.femoral[1] / max(disease.cartilage_left("L"), 0.06)),
        torch.tensor(joint.femoral[0] / max(disease.cartilage_left("M"), 0.06)),
        medial,
    )
    # Narrowing wears the weight-bearing arc; the posterior condyles and trochlea keep more.
    bearing = torch.exp(-(((y - 1) / 19) ** 4)) * _soft((26 - z) / 10)
    thick = torch.lerp(0.35 * weight + 0.65 * healthy, weight, bearing)
    cover = _soft((torch.where(y > 10, 46.0, 37.0) - z) / 5) * _soft((37.5 - x.abs()) / 4)
    cover = cover * _soft((13.0 - torch.where((x.abs() < 9) & (y < 12), 13.0 - y, 0.0)) / 13)
    femoral = femur - (thick * (1 + 0.35 * _soft((y - 14) / 12)) * cover - (1 - cover) * 0.6)
    low = {}
    for i, (side, sign) in enumerate((("M", 1.0), ("L", -1.0))):
        cx = sign * 22.5
        rho = torch.sqrt(
            ((still.x - cx) / 14.5) ** 2 + (still.y / (21.0 if side == "M" else 19.0)) ** 2
        )
        dome = joint.tibial[i] * (1 - rho**6).clamp(-1, 1) ** 1.0
        above = still.z - height
        low[side] = torch.maximum(torch.maximum(above - dome, -1.0 - above), (rho - 1) * 10)
    return low, femoral


def _menisci(lay, still, height, joint, shape, disease, mottle) -> None:
    strands = (1 + 0.25 * mottle).clamp_min(0.3)
    x, y, z = still.x, still.y, still.z
    for i, (side, sign, tissue) in enumerate(
        (("M", 1.0, Tissue.MENISCUS_MEDIAL), ("L", -1.0, Tissue.MENISCUS_LATERAL))
    ):
        left = disease.meniscus_left(side)
        ry = 22.5 if side == "M" else 19.0
        rx = 17.0 if side == "M" else 16.5
        extrude = 3.0 * (1 - left)
        cx = sign * (shape.plateau_width / 2 - rx - 0.5 + extrude)
        r = torch.sqrt((x - cx) ** 2 + (y * rx / ry) ** 2)
        width = shape.meniscus_width * (1.0 + (0.25 * _soft(-y / 15) if side == "M" else 0.0))
        inward = r - (rx - width)
        top = (
            height + joint.tibial[i] + shape.meniscus_height * left * (inward / width).clamp_min(0)
        )
        base = height + joint.tibial[i] * 0.4
        body = torch.maximum(torch.maximum(z - top, base - z), torch.maximum(-inward, r - rx))
        # The ring opens towards the spines, between its two roots.
        opening = torch.minimum(-sign * (x - cx) - 8.5, 8.0 - y.abs())
        lay(torch.maximum(body, opening), tissue, strands)


def _cruciates(lay, still, shape, mottle) -> None:
    x, y, z = still.xyz
    fibres = (1 + 0.35 * mottle).clamp_min(0.2)
    wall = shape.notch_width / 2 + 1.0
    roof = 4 + 0.75 * shape.notch_height
    for dx in (-1.6, 1.6):
        lay(
            capsule(x, y, z, (2 + dx, 9, 3), (-wall - dx, -13 + dx, roof), 3.2, 3.8),
            Tissue.ACL,
            fibres,
        )
    lay(capsule(x, y, z, (2, -25, -8), (wall, 3, roof - 4), 4.6, 5.4), Tissue.PCL, fibres)


def _collaterals(lay, still, shape) -> None:
    w, p = (shape.intercondylar + shape.condyle_width) / 2, shape.plateau_width / 2
    x, y, z = still.x, still.y, still.z
    medial = [
        (w + 2.5, 2, 28),
        (w + 3.5, 3, 12),
        (p + 2.5, 5, -6),
        (p - 4, 8, -28),
        (p - 11, 9, -48),
    ]
    lay(band(x, y, z, medial, 11, 2.0, (1, 0, 0)), Tissue.MCL)
    tip = shape.fibula_height
    lay(capsule(x, y, z, (-w - 2.0, -3, 27), (-36, -20, tip - 4), 2.0), Tissue.LCL)
    popliteus = [(-w - 0.5, 4, 16), (-w + 3, -14, 6), (-22, -27, -2)]
    lay(band(x, y, z, popliteus, 5, 3, (1, 0, 0)), Tissue.TENDON)


def _chondrocalcinosis(
    lay, box: Region, still, height, low, femoral, joint, disease, shape
) -> None:
    """Crystals in the meniscus and along the middle of the cartilage of one compartment."""
    for i, (side, sign) in enumerate((("M", 1.0), ("L", -1.0))):
        patches = crystal_pattern(box, disease, side)
        if patches is None:
            continue
        here = -sign * still.x
        mid = still.z - height - joint.tibial[i]
        rim = (sign * still.x - (shape.plateau_width / 2 - 12)).clamp_min(0)
        wedge = torch.maximum(mid - 0.8 - 0.45 * rim, -mid - joint.tibial[i] * 0.6)
        inside = torch.maximum(wedge, torch.maximum(here + 9.0, still.y.abs() - 20))
        inside = torch.maximum(inside, sign * still.x - shape.plateau_width / 2 - 1.0)
        lay(torch.maximum(inside + 0.3, -(patches + 0.55) * 1.2), Tissue.CHONDROCALCINOSIS)
        line = torch.maximum((femoral + 1.0).abs() - 0.7, torch.maximum(here + 8.0, still.z - 16))
        lay(torch.maximum(line, -(patches + 0.35) * 1.2), Tissue.CHONDROCALCINOSIS)


def _bone(
    lay, local: Local, bone: Tensor, marrow: Tissue, ends: tuple[float, float], texture, thin=0.6
) -> None:
    """A cortical shell, thin at the joint and thick along the shaft, round trabecular marrow."""
    near, far = ends
    grow = _soft((local.z - near) / (far - near))
    shell = thin + 2.6 * grow
    lay(bone, Tissue.CORTICAL_BONE)
    lay(bone + shell, marrow, texture)


def _physes(lay, still, swung, femur, tibia, patches) -> None:
    """Epiphyseal scars: thin, wavy, interrupted plates."""
    for local, bone, level, bow in ((swung, femur, 31.0, -0.006), (still, tibia, -15.0, 0.004)):
        sheet = local.z - level - bow * local.x**2 - 1.2 * patches - 0.05 * local.y
        lay(torch.maximum(sheet.abs() - 0.45, bone + 1.5), Tissue.PHYSEAL_SCAR, opacity=0.55)


def _marrow_lesions(lay, still, swung, femur, tibia, height, disease: Disease, shape) -> None:
    for side in "ML":
        hard = sclerosis(-femur, swung.x, swung.y, disease, side, "F")
        if hard is not None:
            low = torch.maximum(hard, swung.z - 18)
            lay(torch.maximum(low, femur + 0.3), Tissue.SCLEROSIS)
        hard = sclerosis(height - still.z, still.x, still.y, disease, side, "T")
        if hard is not None:
            lay(torch.maximum(hard, tibia + 0.3), Tissue.SCLEROSIS)
        if disease.attrition(side):
            sign = 1.0 if side == "M" else -1.0
            floor = torch.maximum((height - still.z).abs() - 0.9, (still.x - sign * 24).abs() - 12)
            floor = torch.maximum(floor, torch.maximum(tibia - 1.2, still.y.abs() - 16))
            lay(floor, Tissue.ATTRITION_GAP, opacity=0.7)
        for bone, local, field, surface in (
            ("F", swung, femur, shape.cartilage * 2.0),
            ("T", still, tibia, -0.5),
        ):
            for centre, radius in cysts(surface, disease, side, bone):
                ball = ellipsoid(local.x, local.y, local.z, centre, (radius, radius, radius * 0.92))
                ball = intersection(ball, field + 1.2, 1.5)
                lay(ball - 1.1, Tissue.SCLEROSIS)
                lay(ball, Tissue.CYST)
