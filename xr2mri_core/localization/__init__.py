"""The knee joint in a plain radiograph: which knees are shown, where, and on which side."""

from xr2mri_core.localization.decision import KneeBox, Localization
from xr2mri_core.localization.detector import KneeDetector
from xr2mri_core.localization.locate import LocateKneed

__all__ = ["KneeBox", "KneeDetector", "Localization", "LocateKneed"]
