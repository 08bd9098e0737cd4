"""The shapes of femur, tibia, fibula and patella: the constants of `bones`.

Lengths in mm of a knee of scale 1 in the knee frame (x medial, y anterior, z superior), ratios
without a unit. Set so that the bones of the mean `shape.KneeShape` have the sizes of a segmented
right knee (pymskt's example: femur 75 x 62 mm, tibia 71 x 51 mm, patella 41 x 39 x 21 mm, fibular
head 27 x 23 mm) and outlines like its own; what differs between people stands in `shape`.

Profiles are ((z, value), ...), interpolated along the leg.
"""

from __future__ import annotations

from .measures import Ellipsoid

# --- femur: three circles side by side, seen from the side ----------------------------------------

SIDE_BLEND = 4
"""Over which medial turns to lateral."""
POSTERIOR_Y = -1.5
"""Middle of the posterior condyle's circle; its radius is the person's."""
DISTAL_Y, DISTAL_Z, DISTAL_RADIUS = 8.5, 25.5, 25.0
TROCHLEA_Y, TROCHLEA_Z, TROCHLEA_RADIUS = 16.5, 27.5, 22.5
TROCHLEA_MEDIAL_BACK = 2.0
"""How much further back the trochlea's circle lies medially."""
CONDYLE_FILLET, TROCHLEA_FILLET = 4.0, 6.0

CREST_CONVERGES, CREST_FROM, CREST_OVER = 0.10, 8, 30
"""Ahead of y the crests of the condyles converge into the trochlea."""
ROUND_OUTSIDE, ROUND_INSIDE = 5.2, 2.4
"""Height that a condyle loses half its width beside its crest."""
GROOVE_UNIT, GROOVE_FROM, GROOVE_OVER = 2.9, 4, 16
"""`KneeShape.trochlea_depth` in that unit, and where the groove begins."""

EPICONDYLE, EPICONDYLE_Z, EPICONDYLE_Y = 3.0, (27, 11), (3, 15)
"""How far it stands out; its middle and width along z and y."""
BACK_TAPER, BACK_FROM, BACK_OVER = 0.10, -4, 25
FRONT_TAPER, FRONT_FROM, FRONT_OVER = 0.16, 12, 30
"""The block of the condyles is narrower behind and ahead of these y."""
BLOCK_EDGE = 9.0

FEMORAL_LEAN_DEG, FEMORAL_LEAN, LEAN_FROM = 5.5, 0.096, 30
"""Angle of the shaft to the leg's axis at neutral alignment, degrees, and its tangent, which the
profile of the middle has in it already; from z on."""
FEMUR_X = ((20, 0.0), (45, -1.0), (70, -3.0), (110, -6.5))
FEMUR_Y = ((15, 10.0), (40, 11.0), (65, 13.5), (110, 16.0))
FEMUR_HALF_X = ((14, 33), (24, 39), (34, 38.5), (46, 33), (60, 26.5))
FEMUR_SHAFT_X = ((78, 2.5), (110, -1))
"""Over `KneeShape.femoral_shaft`."""
FEMUR_HALF_Y = ((14, 16), (24, 20), (40, 18.5), (60, 16.5), (80, 15.5), (110, 15))
FEMUR_SQUARE, FEMUR_LOW, FEMUR_LOW_EDGE, FEMUR_FILLET = 2.4, 19, 4.0, 7.0
"""Power of the shaft's section; where it begins, and the fillet to the block."""

NOTCH_Y, NOTCH_LENGTH, NOTCH_MOST, NOTCH_LEAST = -4, 22, 1.6, 5.0
"""The notch's roof falls from y on over this length, at most so many times its height."""
NOTCH_OPENS, NOTCH_OPENS_FROM = 3.5, -8
NOTCH_WIDENS, NOTCH_WIDENS_OVER = 0.25, 25
"""Behind, it opens upwards and widens."""
NOTCH_EDGE, NOTCH_FILLET = 8.5, 6.0

# --- tibia ----------------------------------------------------------------------------------------

SLOPE_REACH, SLOPE_SHARE = 30, 0.8
"""The plateau slopes within |y|, by this share of the person's angle."""
HOLLOW_MIDDLE, HOLLOW_HALF_X, HOLLOW_HALF_Y = 22, 15, (20, 18)
"""|x| of the medial hollow and the lateral dome, and their half widths (y: medial, lateral)."""
WORN_MIDDLE, WORN_Y, WORN_HALF_X, WORN_HALF_Y = 24, -2, 13, 17
WORN_RIM, WORN_FADE = 1.25, 0.5
"""What attrition sinks: place, half widths, and its rim in half widths."""
SPINE_WIDTH, SPINE_LENGTH = 4.2, 8
MEDIAL_SPINE, LATERAL_SPINE, LATERAL_SPINE_SHARE = (5, 1), (-6, -3), 0.8
"""Intercondylar spines: widths, (x, y), and the lateral one's height over the medial one's."""
RIM_FROM, RIM_FALL, RIM_STEEP = 0.85, 1.6, 4
"""The rim rolls off beyond this squared share of the plateau's half axes."""

TIBIAL_LEAN_FROM = -15
TIBIA_X = ((4, 0.0), (-15, 0.0), (-35, -0.5), (-70, -1.0))
TIBIA_Y = ((0, 0.0), (-20, 0.5), (-40, 3.0), (-70, 4.5))
TIBIA_HALF_X = ((6, -1), (-4, 0), (-10, -1), (-20, -6), (-32, -13))
TIBIA_SHAFT_X = ((-46, 2.5), (-75, 0))
TIBIA_HALF_Y = ((6, -1), (-5, 0), (-14, -1.5), (-28, -5))
TIBIA_SHAFT_Y = ((-45, 1.5), (-75, 0.5))
"""Over half the plateau's width and depth, and over `KneeShape.tibial_shaft`."""
TIBIA_SQUARE, PLATEAU_STEEP, PLATEAU_EDGE = 2.7, 0.97, 2.5
TUBEROSITY = Ellipsoid((-3, -5.0, -27), (9, 8, 15))
"""y over half the plateau's depth."""
TUBEROSITY_FILLET = 6.0
FOSSA_BACK, FOSSA_FLAT, FOSSA_RADIUS, FOSSA_TOP, FOSSA_FILLET = 3, 0.9, 8.0, -22, 4.0
"""Hollow behind between the condyles: its middle behind the plateau, and down to which z."""

# --- fibula ---------------------------------------------------------------------------------------

FIBULA_HEAD = Ellipsoid((-32, -19.5, -11), (11.5, 11, 12.5))
FIBULA_STYLOID = Ellipsoid((-33.5, -22, -3), (5.5, 5.5, 6.5))
"""z over the fibula's tip."""
FIBULA_NECK, FIBULA_NARROW = -10, -22
"""Where neck and shaft begin, over the tip."""
FIBULA_X_NECK, FIBULA_X = -32.0, ((-45, -31.0), (-70, -30.0))
FIBULA_Y_NECK, FIBULA_Y = -19.5, ((-45, -17.5), (-70, -16.0))
FIBULA_HALF_X_TOP, FIBULA_HALF_X = (10.0, 7.6), ((-45, 6.6), (-70, 6.2))
FIBULA_HALF_Y_TOP, FIBULA_HALF_Y = (9.5, 7.2), ((-45, 6.4), (-70, 6.2))
"""At the neck (and where it grows narrow), then by z."""
STYLOID_FILLET, FIBULA_FILLET = 3.0, 4.0

# --- patella --------------------------------------------------------------------------------------

PATELLA_X, PATELLA_Y = -1.5, 49.5
PATELLA_POINTED, PATELLA_FACE = 0.012, 0.8
"""It grows narrower below its middle; mm a unit of its outline over its half width."""
PATELLA_BACK, PATELLA_RIDGE, PATELLA_HOLLOW = 11.5, 0.36, 0.012
PATELLA_FRONT, PATELLA_ROUND = 9.5, 0.010
"""Depth behind and ahead of its middle; the ridge's slope sideways; curvatures (1/mm)."""
PATELLA_EDGE, PATELLA_RIM = 2.5, 5.0
