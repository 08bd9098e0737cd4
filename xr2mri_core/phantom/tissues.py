"""The tissues of the phantom knee and what each is to a 3 T scanner and to an X-ray beam.

`Tissue` is the label map's code book; `PROPERTIES` is the only place where physical constants live.

Sources
-------
- T1 and T2 at 3 T: Gold et al., AJR 2004;183:343 (cartilage, muscle, synovial fluid, fat, marrow)
  and Stanisz et al., Magn Reson Med 2005;54:507 (cartilage, muscle, blood, nerve). T2* is T2
  shortened by susceptibility: slightly in soft tissue, strongly beside trabeculae and wherever
  collagen is ordered.
- Fitted, not measured, so that the scan has the greys of a real volume of this series
  (`benchmarks/phantom_look.py`): the fat fractions of adipose tissue (.88 under the skin, .96
  between muscles) and marrow (.885), the T2* of meniscus (7.5 ms) and synovium (21 ms). The T1 of
  joint fluid (2500 ms) is shorter than that of normal synovial fluid (3600 ms, Gold 2004): the
  effusions that are thick enough to be seen belong to diseased knees, and theirs is as white as
  cartilage in the real volume. Texture is laid on where a tissue is painted.
- Short-T2 tissues (cortical bone, tendon, ligament, meniscus): ultrashort-echo work reviewed by
  Chang, Du and Chung, J Magn Reson Imaging 2015;41:870.
- Linear attenuation: NIST X-ray mass attenuation tables (Hubbell and Seltzer) at 60 keV, about the
  effective energy of a filtered 70 kVp beam behind a knee (cm2/g: water 0.206, adipose 0.197,
  skeletal muscle 0.205, ICRU-44 cortical bone 0.315), times the ICRU-44 densities. Trabecular bone
  is marrow with 18 to 25 % of cortical bone by volume.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType


class Tissue(IntEnum):
    """Label values of the phantom's label maps (uint8)."""

    AIR = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    FASCIA = 3
    INTERMUSCULAR_FAT = 4
    MUSCLE = 5
    VESSEL = 6
    NERVE = 7
    TENDON = 8
    LIGAMENT = 9
    FAT_PAD = 10
    JOINT_FLUID = 11
    CORTICAL_BONE = 12
    TRABECULAR_MARROW = 13  # of the femur
    TIBIA_MARROW = 14
    FIBULA_MARROW = 15
    PATELLA_MARROW = 16
    PHYSEAL_SCAR = 17
    FEMORAL_CARTILAGE = 18
    TIBIAL_CARTILAGE_MEDIAL = 19
    TIBIAL_CARTILAGE_LATERAL = 20
    PATELLAR_CARTILAGE = 21
    MENISCUS_MEDIAL = 22
    MENISCUS_LATERAL = 23
    ACL = 24
    PCL = 25
    MCL = 26
    LCL = 27
    PATELLAR_TENDON = 28
    QUADRICEPS_TENDON = 29
    SYNOVIUM = 30
    CAPSULE = 31
    OSTEOPHYTE = 32
    SCLEROSIS = 33
    CYST = 34
    CHONDROCALCINOSIS = 35
    ATTRITION_GAP = 36


PATHOLOGY: tuple[Tissue, ...] = (
    Tissue.OSTEOPHYTE,
    Tissue.SCLEROSIS,
    Tissue.CYST,
    Tissue.CHONDROCALCINOSIS,
    Tissue.ATTRITION_GAP,
)
"""Labels that exist only where a radiographic feature put them."""

TRABECULAR: tuple[Tissue, ...] = (
    Tissue.TRABECULAR_MARROW,
    Tissue.TIBIA_MARROW,
    Tissue.FIBULA_MARROW,
    Tissue.PATELLA_MARROW,
)
"""Marrow spaces crossed by trabeculae: they carry the radiograph's striping."""

BONE: tuple[Tissue, ...] = (
    *TRABECULAR,
    Tissue.CORTICAL_BONE,
    Tissue.PHYSEAL_SCAR,
    Tissue.OSTEOPHYTE,
    Tissue.SCLEROSIS,
)
"""Everything mineralised that belongs to a bone."""


@dataclass(frozen=True, slots=True)
class Properties:
    """What one tissue is to the physics.

    Attributes:
        t1_ms: longitudinal relaxation time of its water at 3 T, in milliseconds.
        t2star_ms: effective transverse relaxation time of its water at 3 T, in milliseconds.
        proton_density: visible protons (water and fat) relative to water, in [0, 1.1].
        fat_fraction: the part of those protons that sits in fat, in [0, 1].
        mu_per_mm: linear X-ray attenuation at 60 keV, in 1/mm.
    """

    t1_ms: float
    t2star_ms: float
    proton_density: float
    fat_fraction: float
    mu_per_mm: float


_CARTILAGE = Properties(1200, 24, 0.78, 0.0, 0.0226)
_MENISCUS = Properties(850, 7.5, 0.68, 0.0, 0.0228)
_LIGAMENT = Properties(750, 3.2, 0.60, 0.02, 0.0226)
_TENDON = Properties(650, 2.2, 0.55, 0.01, 0.0228)
_MARROW = Properties(1100, 8.0, 0.82, 0.885, 0.0268)
_FAT = Properties(1200, 18, 0.90, 0.88, 0.0188)

PROPERTIES: Mapping[Tissue, Properties] = MappingProxyType(
    {
        Tissue.AIR: Properties(1000, 10, 0.0, 0.0, 0.0),
        Tissue.SKIN: Properties(900, 11, 0.66, 0.15, 0.0223),
        Tissue.SUBCUTANEOUS_FAT: _FAT,
        Tissue.FASCIA: Properties(850, 11, 0.70, 0.15, 0.0215),
        Tissue.INTERMUSCULAR_FAT: Properties(1200, 18, 0.90, 0.96, 0.0190),
        Tissue.MUSCLE: Properties(1410, 23, 0.78, 0.03, 0.0215),
        # fresh spins flow into the slab, which acts like a shorter T1
        Tissue.VESSEL: Properties(800, 32, 0.80, 0.0, 0.0217),
        Tissue.NERVE: Properties(1080, 20, 0.62, 0.25, 0.0210),
        Tissue.TENDON: _TENDON,
        Tissue.LIGAMENT: _LIGAMENT,
        Tissue.FAT_PAD: Properties(1200, 16, 0.90, 0.94, 0.0190),
        Tissue.JOINT_FLUID: Properties(2500, 120, 1.0, 0.0, 0.0207),
        Tissue.CORTICAL_BONE: Properties(240, 0.5, 0.20, 0.05, 0.0604),
        Tissue.TRABECULAR_MARROW: _MARROW,
        Tissue.TIBIA_MARROW: _MARROW,
        Tissue.FIBULA_MARROW: Properties(1100, 9, 0.82, 0.88, 0.0248),
        Tissue.PATELLA_MARROW: Properties(1100, 8, 0.80, 0.86, 0.0285),
        Tissue.PHYSEAL_SCAR: Properties(700, 2.5, 0.50, 0.60, 0.0390),
        Tissue.FEMORAL_CARTILAGE: _CARTILAGE,
        Tissue.TIBIAL_CARTILAGE_MEDIAL: _CARTILAGE,
        Tissue.TIBIAL_CARTILAGE_LATERAL: _CARTILAGE,
        Tissue.PATELLAR_CARTILAGE: _CARTILAGE,
        Tissue.MENISCUS_MEDIAL: _MENISCUS,
        Tissue.MENISCUS_LATERAL: _MENISCUS,
        # the ACL's fascicles are looser and interleaved with synovium: grey, where the PCL is black
        Tissue.ACL: Properties(900, 9.0, 0.70, 0.08, 0.0225),
        Tissue.PCL: Properties(800, 4.0, 0.62, 0.02, 0.0226),
        Tissue.MCL: _LIGAMENT,
        Tissue.LCL: _LIGAMENT,
        Tissue.PATELLAR_TENDON: _TENDON,
        Tissue.QUADRICEPS_TENDON: _TENDON,
        Tissue.SYNOVIUM: Properties(1100, 21, 0.78, 0.06, 0.0215),
        Tissue.CAPSULE: Properties(850, 7, 0.64, 0.08, 0.0222),
        # young osteophytes: a fatty marrow core in a mineralised shell finer than a voxel
        Tissue.OSTEOPHYTE: Properties(1000, 6, 0.70, 0.80, 0.0400),
        Tissue.SCLEROSIS: Properties(700, 1.5, 0.40, 0.60, 0.0480),
        # proteinaceous fluid relaxes faster than synovial fluid and is brighter here
        Tissue.CYST: Properties(1700, 60, 0.96, 0.0, 0.0209),
        # calcium pyrophosphate: about 10 % mineral by volume, dephasing what water is left
        Tissue.CHONDROCALCINOSIS: Properties(900, 2.0, 0.55, 0.0, 0.0330),
        Tissue.ATTRITION_GAP: Properties(3000, 90, 0.98, 0.0, 0.0208),
    }
)
