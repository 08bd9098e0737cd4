"""What is known of a knee beside its radiograph: grades and demographics, the condition r.

    >>> Condition.parse({"kl_grade": "2: 2"}, {"sex": "female"}, cysts_femur_medial=1)
    Condition(features={'V00XRCYFM': 1, 'V00XRKL': 2}, demographics={'sex': 'F'})

Parsed once at each boundary (command line, server, datalist), plain from there on, and encoded by
the model that it guides (`networks.guidance.Guidance.encode`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xr2mri_core.demographics import Demographics, demographics_of, parse_demographics
from xr2mri_core.errors import InputError
from xr2mri_core.features import parse_features
from xr2mri_core.form_text import FormText, read_form
from xr2mri_core.geometry import Laterality


@dataclass(frozen=True)
class Condition:
    """The condition of one knee.

    Attributes:
        features: OAI name (``V00...``) -> grade, in the order of Table I; what was not read is
            left out.
        demographics: ``age``, ``sex``, ``bmi``; what is unknown is left out.
        side: side of the knee that the form says it is of; None where it says none.
    """

    features: dict[str, int] = field(default_factory=dict)
    demographics: Demographics = field(default_factory=dict)
    side: Laterality | None = field(default=None, repr=False, compare=False)

    @classmethod
    def parse(
        cls,
        features: Mapping[str, Any] | str | Path | None = None,
        demographics: Mapping[str, Any] | None = None,
        /,
        **grades: Any,
    ) -> Condition:
        """Read a form in any spelling.

        Args:
            features: a mapping, or a form as `form_text.read_form` reads it: JSON, a record of a
                phantom or of a generation, a row of OAI's table pasted with its header, or a file
                with one of these.
            demographics: see `parse_demographics`.
            grades: further features by name.

        Raises:
            FeatureError, InputError: naming the entry, the value and what is accepted.
        """
        side, form = None, read_form(features) if isinstance(features, str | Path) else features
        if isinstance(form, FormText):
            with suppress(InputError):  # what is no side says nothing
                side = Laterality.parse(form.side)
        return cls(parse_features(form, **grades), parse_demographics(demographics), side)

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Condition:
        """The condition of an item of a datalist."""
        return cls(parse_features(item.get("features")), demographics_of(item))

    def doubts(self, taken: Laterality | None) -> tuple[str, ...]:
        """A warning where the form is of the other knee than the one that is taken.

        Args:
            taken: side of the radiograph's knee; None counts as right.
        """
        taken = taken or Laterality.RIGHT
        if self.side in (None, taken):
            return ()
        return (
            f"the form is of side {self.side}, the knee that is taken of side {taken}: check that "
            "they are of the same knee",
        )

    def known_to(self, uses_demographics: bool) -> Condition:
        """What of it a model may be told: not the demographics, if it was trained without any.

        Lists of many knees often hold more than a model knows; who asks for one knee means what is
        given, see `check_for`.
        """
        return self if uses_demographics else replace(self, demographics={})

    def check_for(self, uses_demographics: bool) -> None:
        """Refuse demographics for a model that was trained without any; raises InputError."""
        if self.demographics and not uses_demographics:
            names = ", ".join(self.demographics)
            raise InputError(
                f"{names}: this model was trained without demographics; leave them out"
            )
