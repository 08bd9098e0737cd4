"""A parametric knee: paired radiographs and MR volumes that anyone can make."""

from .case import PhantomCase, make_case
from .shape import KneeShape, sample_shape
from .tissues import PATHOLOGY, Tissue

__all__ = ["PATHOLOGY", "KneeShape", "PhantomCase", "Tissue", "make_case", "sample_shape"]
