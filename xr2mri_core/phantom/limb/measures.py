"""The limb round the joint in numbers: contours, muscle bellies, vessels, nerves, long tendons.

In the knee frame (right knee of scale 1), mm. Positions follow cross-sectional anatomy (Moeller and
Reif, Pocket Atlas of Sectional Anatomy III, 2007), set by eye on its plates; they are no
measurements. Textures, and how limbs differ, are set by eye beside a real volume of the imitated
series (`benchmarks/phantom_look.py` compares the two), but for the fascicles' thickness.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..tissues import Tissue

Triple = tuple[float, float, float]

SKIN_MM = 1.3
FASCIA_MM = 0.9
GRAIN: Triple = (2.0, 2.0, 1.25)
LOBULES: Triple = (4.0, 11.0, 4.0)
"""Grain (y, z, x) of the textures of skin and fat, mm."""
FAT_GRAIN, FAT_LOBULES, FAT_LEAST = 0.32, 0.12, 0.3
SKIN_MEAN, SKIN_GRAIN, SKIN_LEAST = 0.65, 0.1, 0.3
FASCIA_MEAN, FASCIA_LOBULES, FASCIA_WITHIN = 0.75, 0.3, (0.2, 1.2)
"""Signal over that of the tissue: its mean (fat's is 1; skin is drier towards the surface), how
deep the textures are, and limits."""
FASCICLE_MM = 1.4
"""Thickness of a fascicle: the texture of a real calf has a correlation of .64 at .6 mm, .2 at 1.3
mm across the fibres in plane and .2 from slice to slice, 1.5 mm on."""
PLANE_MM = 1.1
"""Fat and epimysium between neighbouring bellies."""
BELLY_FAR = 50.0
"""Distance to the bellies where there is none yet; more than any belly is wide."""
UNDER_FASCIA, FASCIA_FILLET, BELLY_FILLET = 1.6, 2.0, 1.5
"""Bellies stay this far under the deep fascia; fillets to it and to each other."""
ENDS_WITHIN = 0.01
"""Of a belly's taper: where its rounded end is cut."""
FASCICLE_TABLE, CLUMPS = 288, (9.0, 40.0, 9.0)
"""Side of the table of random numbers that fascicles are made of; grain (y, z, x) of their clumps,
mm."""
FASCICLE_BEND, FASCICLE_SHIFT, OBLIQUE = 1.2, 30, 0.3
"""How clumps bend the columns; how far apart in the table bellies of other obliquity lie; share of
the obliquity along y that is followed there."""
COARSER, COARSER_SHIFT = 0.3, 40
"""The coarse texture: scale over the fine one's, and its place in the table."""
STREAK_STEEP, STREAK_PARTS, STREAK_LEVEL, STREAK_DARK = 5, (0.8, 1.0, 0.6), 2.0, 0.6
"""Streaks of fat: where fine, coarse and clumps together pass a level, how steeply, how dark."""
SEPTUM_LEVEL, SEPTUM_STEEP, SEPTUM_DARK = 0.14, 3, 0.3
"""Septa run where the coarse texture is this near zero and there are clumps; how dark."""
MUSCLE_GRAIN = (0.09, 0.03, 0.05)
"""Depth of fine, coarse and clumps in the signal of muscle."""

BEND_Z, BEND_OVER = 26, 8
"""z above which the thigh stands flexed and leant on the shank, and over what it turns, mm."""
MOST_DEVIATIONS = 2.2
"""Standard deviations from the mean of whatever is drawn, at most."""

DIRECTIONS = 8
# The contours, in these directions: medial, anteromedial, anterior, anterolateral, lateral,
# posterolateral, posterior, posteromedial.
CENTRE = ((100, 2, -4), (60, 1, -3), (33, 1, -2), (0, 0, -2), (-30, -3, -6), (-62, -5, -10))
"""(z, x, y) of the pole of the contours, mm."""
FASCIA = {
    100: (49, 52, 58, 50, 46, 52, 57, 54),
    60: (47, 49, 58, 47, 46, 50, 55, 53),
    33: (45, 46, 60, 46, 45, 49, 52, 52),
    0: (43, 44, 52, 45, 45, 50, 51, 50),
    -30: (36, 35, 46, 43, 46, 53, 53, 49),
    -62: (30, 32, 40, 42, 47, 55, 54, 51),
}
"""Radius of the deep fascia by z, mm, at muscularity 1."""
FAT = {
    100: (19, 14, 11, 10, 11, 13, 14, 18),
    60: (18, 12, 6, 9, 10, 12, 13, 18),
    33: (17, 10, 4, 8, 10, 11, 12, 17),
    0: (17, 13, 8, 9, 9, 10, 11, 16),
    -30: (19, 15, 8, 9, 9, 10, 11, 15),
    -62: (22, 17, 8, 8, 9, 10, 11, 14),
}
"""Thickness of the subcutaneous fat by z, mm, at BMI 27."""
FAT_BY_BMI = ((16.0, 4.5), (20.0, 6.0), (28.0, 12.0), (36.0, 19.0), (48.0, 23.0))
MUSCLE_SHARE = ((100, 1.0), (60, 0.6), (33, 0.3), (0, 0.15), (-30, 0.7), (-62, 1.0))
"""How much of the muscles' girth the fascia takes over, by z."""


@dataclass(frozen=True)
class Belly:
    """One muscle belly: an elliptic tube with rounded ends.

    `knots`: (z, x, y, rx, ry) in mm. `low`, `high`: z of its ends, None where it leaves the field.
    `turn`: degrees by which the section's rx axis turns from medial towards anterior.
    `fibres`: (dx, dy) in mm per mm of z, the direction of its fascicles. `taper`: length in mm over
    which an end is rounded off.
    """

    name: str
    knots: tuple[tuple[float, float, float, float, float], ...]
    low: float | None = None
    high: float | None = None
    turn: float = 0.0
    fibres: tuple[float, float] = (0.0, 0.0)
    taper: float = 14.0


# In order of precedence: a later belly gives way to the earlier ones.
BELLIES: tuple[Belly, ...] = (
    Belly(
        "vastus medialis",
        ((100, 21, 14, 20, 29), (75, 25, 16, 18, 27), (55, 30, 20, 11, 20), (40, 33, 23, 8, 14)),
        low=44,
        turn=-20,
        fibres=(-0.35, 0.3),
        taper=24,
    ),
    Belly(
        "vastus lateralis",
        ((100, -30, 13, 12, 25), (75, -34, 13, 8, 21), (55, -37, 14, 4.5, 15)),
        low=54,
        turn=8,
        fibres=(0.25, 0.15),
        taper=26,
    ),
    Belly(
        "vastus intermedius",
        ((100, -2, 38, 17, 6.5), (75, -2, 42, 12, 3.5), (60, -2, 44, 8, 2)),
        low=66,
        fibres=(0.0, 0.2),
        taper=20,
    ),
    Belly(
        "semimembranosus",
        ((100, 6, -36, 17, 16), (75, 9, -37, 17, 15), (50, 15, -36, 12, 11), (28, 20, -34, 5, 6)),
        low=27,
        turn=15,
        fibres=(0.25, -0.1),
        taper=16,
    ),
    Belly(
        "semitendinosus",
        ((100, 7, -55, 13, 7), (75, 12, -54, 9, 5.5), (50, 19, -52, 4, 3)),
        low=48,
        fibres=(0.1, 0.0),
        taper=20,
    ),
    Belly(
        "gracilis",
        ((100, 30, -36, 6, 10), (60, 34, -35, 5, 9), (25, 37, -32, 3, 5)),
        low=22,
        turn=35,
        fibres=(0.1, 0.0),
        taper=24,
    ),
    Belly(
        "sartorius",
        (
            (100, 39, -20, 5, 11),
            (60, 41, -21, 4.5, 10),
            (20, 41, -21, 3.5, 10),
            (-20, 34, -12, 2, 10),
        ),
        low=-14,
        turn=12,
        fibres=(0.05, 0.1),
        taper=34,
    ),
    Belly(
        "biceps femoris, long head",
        (
            (100, -25, -36, 15, 13.5),
            (70, -30, -33, 11.5, 12),
            (40, -34, -31, 7, 9),
            (12, -37, -25, 3.5, 5),
        ),
        low=12,
        turn=-30,
        fibres=(-0.2, 0.15),
        taper=18,
    ),
    Belly(
        "biceps femoris, short head",
        (
            (100, -24, -15, 10, 10),
            (60, -31, -18, 8, 8),
            (30, -36, -20, 5.5, 6),
            (5, -38, -20, 3.5, 4),
        ),
        low=4,
        turn=-15,
        fibres=(-0.35, 0.0),
        taper=20,
    ),
    Belly(
        "popliteus",
        ((2, -22, -22, 10, 4.5), (-18, -5, -20, 21, 7), (-42, 8, -16, 16, 9), (-62, 11, -13, 9, 7)),
        low=-66,
        high=2,
        fibres=(-0.8, -0.1),
        taper=16,
    ),
    Belly(
        "gastrocnemius, medial head",
        (
            (36, 9, -33, 11, 9.5),
            (15, 12, -35, 15, 12.5),
            (-20, 15, -39, 19, 17),
            (-62, 14, -42, 21, 19),
        ),
        high=38,
        turn=-8,
        fibres=(0.15, -0.15),
        taper=15,
    ),
    Belly(
        "gastrocnemius, lateral head",
        (
            (32, -22, -32, 11, 9.5),
            (15, -23, -34, 14, 12),
            (-20, -26, -41, 17, 15),
            (-62, -27, -45, 20, 16),
        ),
        high=34,
        turn=8,
        fibres=(-0.12, -0.15),
        taper=15,
    ),
    Belly(
        "plantaris",
        ((40, -26, -24, 4.5, 4.5), (15, -19, -27, 5.5, 4.5), (-12, -11, -31, 3, 2.5)),
        low=-14,
        high=40,
        fibres=(-0.2, 0.0),
        taper=12,
    ),
    Belly(
        "soleus",
        ((-14, -26, -30, 15, 7), (-40, -17, -29, 25, 9), (-62, -10, -29, 29, 11)),
        high=-8,
        turn=4,
        fibres=(0.1, -0.2),
        taper=14,
    ),
    Belly(
        "tibialis anterior",
        ((-14, -32, 12, 7, 8), (-35, -32, 14, 12, 13), (-62, -27, 15, 15, 15)),
        high=-12,
        fibres=(0.15, 0.0),
        taper=22,
    ),
    Belly(
        "extensor digitorum longus",
        ((-18, -41, -1, 6, 9), (-40, -41, 0, 8.5, 10), (-62, -40, 1, 10, 11)),
        high=-15,
        fibres=(0.1, 0.0),
        taper=18,
    ),
    Belly(
        "peroneus longus",
        ((-22, -44, -14, 6, 9), (-42, -45, -15, 8.5, 11), (-62, -44, -16, 10, 13)),
        high=-20,
        turn=-10,
        fibres=(0.1, 0.05),
        taper=18,
    ),
    Belly(
        "tibialis posterior",
        ((-30, -17, -9, 9, 8), (-62, -15, -9, 14, 12)),
        high=-30,
        fibres=(0.1, 0.0),
        taper=14,
    ),
)


@dataclass(frozen=True)
class Cord:
    """A vessel, nerve or tendon: a rod along `path` ((x, y, z), ...) with radii at its ends, mm."""

    tissue: Tissue
    path: tuple[tuple[float, float, float], ...]
    radius: tuple[float, float]
    wander: float = 1.0


CORDS: tuple[Cord, ...] = (
    # popliteal vein, artery; tibial and common peroneal nerve
    Cord(
        Tissue.VESSEL, ((-9, -14, 106), (-7, -19, 60), (-3, -33, 20), (-5, -34, -64)), (5.4, 3.2), 2
    ),
    Cord(
        Tissue.VESSEL,
        ((-1, -11, 106), (-1, -17, 60), (0, -28, 22), (-2, -29, -12), (-4, -26, -64)),
        (3.3, 2.6),
    ),
    Cord(
        Tissue.NERVE, ((-8, -29, 106), (-6, -38, 60), (-5, -43, 20), (-6, -38, -64)), (2.9, 2.2), 2
    ),
    Cord(
        Tissue.NERVE,
        ((-13, -30, 106), (-20, -38, 60), (-30, -36, 25), (-39, -29, -8), (-42, -17, -36)),
        (2.0, 1.4),
    ),
    # medial and lateral superior, inferior genicular branches
    Cord(Tissue.VESSEL, ((-1, -18, 58), (16, -14, 49), (33, -4, 46), (38, 16, 47)), (1.4, 0.8), 3),
    Cord(
        Tissue.VESSEL, ((-1, -18, 55), (-18, -14, 47), (-33, -5, 44), (-37, 14, 45)), (1.3, 0.8), 3
    ),
    Cord(
        Tissue.VESSEL, ((0, -28, 4), (18, -27, -10), (35, -12, -16), (34, 12, -14)), (1.2, 0.8), 2
    ),
    Cord(Tissue.VESSEL, ((-1, -28, 6), (-24, -27, 2), (-39, -10, 2), (-38, 14, 3)), (1.1, 0.7), 2),
    # descending genicular, under vastus medialis
    Cord(Tissue.VESSEL, ((32, 0, 100), (33, 6, 72), (37, 14, 50), (34, 28, 36)), (1.3, 0.8), 2),
    # hamstring and pes anserinus tendons
    Cord(
        Tissue.TENDON,
        ((17, -54, 62), (26, -47, 30), (35, -30, 2), (31, -4, -34), (21, 16, -56)),
        (2.3, 2.2),
        1,
    ),
    Cord(
        Tissue.TENDON,
        ((36, -35, 40), (39, -30, 15), (38, -20, -8), (31, 2, -36), (21, 18, -52)),
        (1.9, 1.8),
        1,
    ),
    Cord(Tissue.TENDON, ((19, -37, 40), (24, -32, 20), (27, -25, 0), (28, -20, -9)), (3.2, 2.8), 1),
    Cord(Tissue.TENDON, ((-35, -30, 36), (-38, -26, 10), (-35, -22, -14)), (2.0, 3.2), 0.5),
)

# --- how limbs differ, as standard deviations -----------------------------------------------------

OWN_FASCIA, OWN_FAT, OWN_GIRTH, OWN_THICKNESS = 0.015, 0.09, 0.015, 0.1
"""Of the contours in each direction, relative; of the muscles' girth; of the fat as a whole."""
OWN_MUSCLES, OWN_BELLY, OWN_DRIFT, OWN_LOW, OWN_HIGH = 0.03, 0.06, 1.2, 5.0, 3.0
"""Girth of all muscles and of each, relative; mm that a belly lies elsewhere; of its ends."""
OWN_MARBLING, MARBLING_BY_BMI, MEAN_BMI = 0.15, 0.02, 27
OWN_CORD = 0.1
"""Of the radii of vessels, nerves and tendons, relative."""
FAT_UNIT, LEAST_FAT = 11.2, 2.5
"""`FAT` is drawn for this thickness of `FAT_BY_BMI`; no limb has less of it, mm."""
GIRTH_SHARE = 0.75
"""Of the muscles' girth that the fascia takes over at most."""

# --- what lies on the fascia and in the fat -------------------------------------------------------

TRACT_BOX = ((-58, -14, -14), (-24, 34, 110))
TRACT_MIDDLE = ((100, 4), (40, 8), (0, 12), (-14, 16))
TRACT_HALF = ((100, 17), (40, 13), (0, 8), (-14, 6))
TRACT_DEPTH, TRACT_THICKNESS, TRACT_SHEATH = 1.6, 1.0, 0.7
"""Iliotibial tract: where it is looked for; y of its middle and half its width by z; its depth
under the fascia, half its thickness, and the sheath."""
RETINACULA = ((4, 60), (-60, -4))
RETINACULA_Y, RETINACULA_Z = (8, 62), (-8, 66)
"""x of the medial and the lateral retinaculum, and where both are looked for."""
RETINACULUM_DEPTH, OWN_DEPTH, RETINACULUM_Z, RETINACULUM_BACK = 3.4, 0.5, (27, 32), 12
"""Depth under the fascia, and how it differs; middle and half height; how far back it reaches."""
SHEET_HALF, SHEET_EDGE, SHEET_OPACITY = 0.55, 0.5, 0.85
SECOND_DEEPER, SECOND_SHORTER, SECOND_HALF, SECOND_EDGE, SECOND_OPACITY = 2.6, 6, 0.35, 0.3, 0.7
"""The two sheets of each."""
SAPHENOUS = ((100, -28), (40, -38), (0, -30), (-62, 4))
SMALL_SAPHENOUS = ((10, -96), (-62, -92))
"""(z, degrees from medial)."""
SAPHENOUS_RADIUS, OWN_RADIUS, SMALL_RADIUS = 1.7, 0.2, 1.2
TRIBUTARIES, TRIBUTARY_Z, TRIBUTARY_ANGLE = 14, (-63, 165.0), (-150, 300.0)
"""How many; least and range of z and angle where they begin."""
TRIBUTARY_LENGTH, TRIBUTARY_TURN, TRIBUTARY_RADIUS, OWN_TRIBUTARY = (12, 25), 14, 0.45, 0.3
VEIN_SHARE, OWN_SHARE = 0.45, 0.15
"""How deep in the fat veins run."""
