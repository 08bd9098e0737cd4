"""Where the structures of the joint lie and how large they are: the constants of the anatomy.

Lengths in mm of a knee of scale 1, in the knee frame of `fields`: x medial, y anterior, z superior,
the origin in the middle of the tibial plateau; a sign of x is that of the medial side. What differs
between people is in `shape.KneeShape`, what disease does in `pathology`.

Sources
-------
- Places and sizes without another source are read off a segmented right knee (pymskt's example) and
  off cross-sectional anatomy (Moeller and Reif, Pocket Atlas of Sectional Anatomy III, 2007), then
  set by eye until the painted sections look like those. They are nobody's measurements.
- Ratios of cartilage thickness: measured on that segmentation.
- Grain and depth of textures are set by eye beside a real volume of the imitated series
  (`benchmarks/phantom_look.py` compares the two).
"""

from __future__ import annotations

from typing import NamedTuple

Triple = tuple[float, float, float]
Pair = tuple[float, float]


class Ellipsoid(NamedTuple):
    """Middle and half axes."""

    centre: Triple
    radii: Triple


# --- the whole ------------------------------------------------------------------------------------

BOX_X: Pair = (-56, 56)
BOX_Y: Pair = (-46, 72)
"""What of the limb the joint is painted in."""
FLEXION_AXIS_UP = 5
"""Height of the axis of flexion over the middle of the posterior medial condyle's circle."""
SLIT = 0.5
"""Fluid between the cartilages of femur and tibia."""

MOTTLE_GRAIN: Triple = (2.0, 2.2, 1.6)
FOLDS_GRAIN: Triple = (5.0, 6.0, 5.0)
TRABECULAE_GRAIN: Triple = (2.0, 3.0, 1.25)
PATCHES_GRAIN: Triple = (9.0, 12.0, 9.0)
"""Grain (y, z, x) of the textures: of soft tissue, of the synovium's folds, of trabeculae, and of
red and yellow marrow."""
TRABECULAE_DEPTH, PATCHES_DEPTH, MARROW_LEAST = 0.27, 0.12, 0.2
"""Signal of marrow over its mean: how deep the two textures are, and its least."""
HOFFA_MOTTLE, PREFEMORAL_MOTTLE, CAPSULE_MOTTLE = (0.25, 0.3), (0.2, 0.3), (0.3, 0.2)
LINING_MOTTLE: Triple = (0.35, 0.1, 0.8)
CRUCIATE_MOTTLE, MENISCUS_MOTTLE = (0.35, 0.2), (0.25, 0.3)
"""The same of what the mottle makes uneven: depth, least, and the mean where it is not 1."""
SEPTA_OPACITY, CAPSULE_OPACITY = 0.6, 0.8
"""How whole the septa of Hoffa's pad and the capsule are."""

# --- cartilage ------------------------------------------------------------------------------------

TIBIAL_SHARE: Pair = (1.2, 1.42)
"""Thickness of the medial and lateral tibial cartilage over the femoral: in the central half of
the compartments of a segmented real knee (pymskt's example) 2.9 and 3.65 mm over 2.2 and 2.55."""
LATERAL_FEMORAL_SHARE = 1.05
"""Thickness of the lateral femoral cartilage over that of the medial."""
CONCAVITY_FILLED, CONVEXITY_FILLED = -0.75, 0.8
"""How much of the plateau's hollow and dome moves the lowest point of a condyle."""
LEAST_LEFT = 0.06
"""Share of cartilage that is left at worst (`pathology.CARTILAGE_LEFT`)."""
SIDE_BLEND = 3
"""Over which medial turns to lateral."""
BEARING_MIDDLE, BEARING_HALF, BEARING_SHARPNESS = 1, 19, 4
"""Weight-bearing arc of the femur along y: its middle, its half width, and how it ends."""
BEARING_TOP, BEARING_FADE = 26, 10
"""z at which it ends, and over what."""
UNWORN_SHARE = (0.35, 0.65)
"""Of the worn and of the healthy thickness in what carries no weight."""
COVER_FRONT, COVER_TOP_FRONT, COVER_TOP_BACK, COVER_FADE_UP = 10, 46.0, 37.0, 5
"""Ahead of y the trochlea is covered up to z, behind it the condyles; and the fade."""
COVER_SIDE, COVER_FADE_OUT = 37.5, 4
"""Half width of what is covered, and the fade."""
NOTCH_HALF, NOTCH_FRONT, NOTCH_EDGE = 9, 12, 13.0
"""The notch is bare: half its width, how far forward it reaches, and its fade."""
TROCHLEA_GAIN, TROCHLEA_FROM, TROCHLEA_OVER = 0.35, 14, 12
"""The trochlea's cartilage is this much thicker, from y on, over what."""
BARE_DEPTH = 0.6
"""How deep in the bone the surface lies where there is no cartilage."""
TIBIAL_MIDDLE, TIBIAL_HALF_X, TIBIAL_HALF_Y = 22.5, 14.5, {"M": 21.0, "L": 19.0}
"""Ellipses of the tibial cartilages: |x| of the middle, half widths."""
TIBIAL_ROUNDNESS = 6
"""Exponent of the dome: flat, with a steep rim."""
TIBIAL_ROOTED = 1.0
"""How deep the cartilage reaches below the surface of the bone."""
ELLIPSE_MM = 10
"""mm a unit of the ellipses' radius: roughly their half width."""
PATELLAR_CARTILAGE = 2.8
PATELLA_BACK = 47.5
"""y ahead of which the patella has no cartilage, and the fade."""
PATELLA_FADE = 4

# --- fat, capsule, synovium, fluid ----------------------------------------------------------------

HOFFA = Ellipsoid((0, 38, 6), (26, 19, 22))
SEPTA_DEPTH, SEPTA_LEVEL, SEPTA_MOST, SEPTA_MM = 3, 0.10, 3, 3
"""Septa in Hoffa's pad run where the mottle is near zero, this deep under its surface."""
PREFEMORAL = Ellipsoid((0, 36, 22), (24, 12, 20))
"""z over the patella's middle."""
CAPSULE_LOOSE, CAPSULE_FOLDS, CAPSULE_WITHIN = 3.4, 1.5, (0.6, 6.0)
"""How far the capsule stands off the bones: mean, by the folds, and limits."""
CAPSULE_TOP, CAPSULE_TOP_FADE = 33, 16
CAPSULE_LOW, CAPSULE_LOW_FADE = 12, 8
"""It leaves the femur at the epicondyles, and reaches the tibia this far below the plateau."""
CAPSULE_FILLET, CAPSULE_MM = 6.0, 1.3
FILM_MM, FILM_BY_FLUID, FILM_FILLET = 0.4, 1.6, 8.0
"""Fluid on the bones within the capsule: without an effusion, and more by `KneeShape.fluid`."""
RECESS = Ellipsoid((0, 40.5, 26), (20, 1.2, 16))
RECESS_BY_FLUID = 3.0
"""Suprapatellar recess; z over the patella's middle, its depth grows with the fluid."""
NOTCH_FAT = Ellipsoid((0, -8, 12), (15, 21, 0.8))
"""What fills the notch; its half height is a share of `KneeShape.notch_height`."""
NOTCH_LINING, NOTCH_FOLDS = 1.0, 0.8

# --- tendons and ligaments ------------------------------------------------------------------------

QUADRICEPS_X, QUADRICEPS_Y, QUADRICEPS_TOP = (-2, -4, -6), (50, 45, 40), 120
QUADRICEPS_UP = (-4, 22)
"""Over the upper pole of the patella: where the tendon is fixed, and where it becomes muscle."""
QUADRICEPS_WIDTH, QUADRICEPS_THICKNESS, QUADRICEPS_FLAT = 34, 6.5, (0, 1, 0.2)
PATELLAR_X, PATELLAR_Y, PATELLAR_END = (-2, -3, -4), (54, 45, 27), -32
PATELLAR_UP = (5, -18)
"""Over its lower pole; it ends on the tuberosity."""
PATELLAR_WIDTH, PATELLAR_THICKNESS, PATELLAR_FLAT = 27, 5.0, (0, 1, -0.4)

CRUCIATE_WALL, CRUCIATE_ROOF, CRUCIATE_ROOF_SHARE = 1.0, 4, 0.75
"""How far outside the notch's wall they are fixed, and how high under its roof."""
ACL_BUNDLES = (-1.6, 1.6)
"""x of the anteromedial and posterolateral bundle about the middle of the ligament."""
ACL_TIBIA, ACL_FEMUR_Y, ACL_RADII = (2, 9, 3), -13, (3.2, 3.8)
PCL_TIBIA, PCL_FEMUR_Y, PCL_BELOW_ROOF, PCL_RADII = (2, -25, -8), 3, 4, (4.6, 5.4)

MCL_FEMUR = ((2.5, 2, 28), (3.5, 3, 12))
"""Outside the epicondyle; the rest is given outside the plateau's rim."""
MCL_TIBIA = ((2.5, 5, -6), (-4, 8, -28), (-11, 9, -48))
MCL_WIDTH, MCL_THICKNESS = 11, 2.0
LCL_FEMUR, LCL_FIBULA, LCL_FIBULA_UP, LCL_RADIUS = (-2.0, -3, 27), (-36, -20), -4, 2.0
POPLITEUS_FEMUR = ((-0.5, 4, 16), (3, -14, 6))
POPLITEUS_BACK = (-22, -27, -2)
POPLITEUS_WIDTH, POPLITEUS_THICKNESS = 5, 3
SIDEWAYS: Triple = (1, 0, 0)
"""What the collateral bands are flat across."""

# --- menisci --------------------------------------------------------------------------------------

MENISCUS_HALF_X = {"M": 17.0, "L": 16.5}
MENISCUS_HALF_Y = {"M": 22.5, "L": 19.0}
"""Half axes of the outer rims."""
MENISCUS_INSIDE = 0.5
"""How far within the plateau's rim they lie."""
EXTRUSION = 3.0
"""How far a meniscus is pressed out when nothing of its height is left."""
HORN_GAIN, HORN_OVER = 0.25, 15
"""The medial meniscus is wider towards its posterior horn."""
MENISCUS_SUNK = 0.4
"""Share of the tibial cartilage that its base lies above the bone."""
ROOTS_IN, ROOTS_APART = 8.5, 8.0
"""The ring opens towards the spines: how far from its middle, and half the gap."""

# --- bone -----------------------------------------------------------------------------------------

CORTEX, PATELLAR_CORTEX, SHAFT_CORTEX = 0.6, 0.35, 2.6
"""Cortex at the joint, of the patella, and what it gains along a shaft."""
TIBIA_ENDS, FIBULA_ENDS = (-8.0, -60.0), (-18.0, -60.0)
FEMUR_ENDS, PATELLA_ENDS = (35.0, 100.0), (60.0, 100.0)
"""z from which, and to which, the cortex grows."""
FEMORAL_RIM_OUT = 1.0
"""How far the femur's margin lies outside its condyles' middle width."""
FEMORAL_LIP_LEVEL, TIBIAL_LIP_LEVEL = 11.0, -3.5
"""z of the margins on which osteophytes grow."""
LIP_FILLET, LIP_BEYOND, LIP_CORTEX, LIP_OPACITY = 3.5, 0.8, 0.6, 0.6
"""Osteophytes: fillet to the bone; how far outside it they count as such; their own cortex."""
FEMORAL_PHYSIS, TIBIAL_PHYSIS = (31.0, -0.006), (-15.0, 0.004)
"""Epiphyseal scars: z in the middle, and how they bow (1/mm)."""
PHYSIS_WAVES, PHYSIS_SLOPE, PHYSIS_HALF, PHYSIS_WITHIN, PHYSIS_OPACITY = 1.2, 0.05, 0.45, 1.5, 0.55
"""Unevenness, slope along y, half thickness; how far within the bone, and how whole."""

# --- disease, where the joint gives it its place --------------------------------------------------

SCLEROSIS_TOP, SCLEROSIS_WITHIN = 18, 0.3
"""Highest z on the femur; how deep under the surface of the bone it begins."""
ATTRITION_MIDDLE, ATTRITION_HALF_X, ATTRITION_HALF_Y = 24, 12, 16
ATTRITION_HALF, ATTRITION_OUT, ATTRITION_OPACITY = 0.9, 1.2, 0.7
"""The worn floor: |x| of its middle, half widths, half thickness, how far out of the bone."""
FEMORAL_CYST_LEVEL, TIBIAL_CYST_LEVEL = 2.0, -0.5
"""Surface under which cysts lie: in femoral cartilage thicknesses, and z on the tibia."""
CYST_FLAT, CYST_COVER, CYST_FILLET, CYST_RIM = 0.92, 1.2, 1.5, 1.1
"""Height over width; bone that is left over it, and its fillet; the sclerotic rim."""
CRYSTAL_INNER = 12
"""How far within the plateau's rim the meniscus' crystals begin to fill its height."""
CRYSTAL_HALF, CRYSTAL_WEDGE, CRYSTAL_LOW = 0.8, 0.45, 0.6
CRYSTAL_FROM, CRYSTAL_HALF_Y, CRYSTAL_OUT, CRYSTAL_IN = 9.0, 20, 1.0, 0.3
"""Crystals in a meniscus: half height at its inner end and how it grows; how low they reach, as a
share of the cartilage; from |x|, within |y|, beyond the rim; how deep under the surface."""
LINE_DEPTH, LINE_HALF, LINE_FROM, LINE_TOP = 1.0, 0.7, 8.0, 16
"""Crystals along the middle of the femoral cartilage: depth, half thickness, from |x|, up to z."""
CRYSTAL_LEVEL, LINE_LEVEL, CRYSTAL_MM = 0.55, 0.35, 1.2
"""How high the pattern has to be (`pathology.crystal_pattern`), and mm a unit of it."""
