"""What is known of a knee beside its radiograph: grades and demographics, the condition r.

Parsed once at each boundary (command line, server, datalist), plain from there on, and encoded by
the model that it guides (`networks.guidance.Guidance.encode`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xr2mri_core.demographics import Demographics, demographics_of, parse_demographics
from xr2mri_core.errors import InputError
from xr2mri_core.features import parse_features


@dataclass(frozen=True)
class Condition:
    """The condition of one knee.

    Attributes:
        features: OAI name (``V00...``) -> grade, in the order of Table I; what was not read is
            left out.
        demographics: ``age``, ``sex``, ``bmi``; what is unknown is left out.
    """

    features: dict[str, int] = field(default_factory=dict)
    demographics: Demographics = field(default_factory=dict)

    @classmethod
    def parse(
        cls,
        features: Mapping[str, Any] | str | Path | None = None,
        demographics: Mapping[str, Any] | None = None,
        **grades: Any,
    ) -> Condition:
        """Read a form in any spelling.

        Args:
            features: see `parse_features`: a mapping, JSON text, or a
                ``.json`` or ``.csv`` file; a record of a phantom or of a generation, which holds
                its form under the key ``features``, is one too.
            demographics: see `parse_demographics`.
            grades: further features by name.

        Raises:
            FeatureError, InputError: naming the entry, the value and what is accepted.
        """
        source = _form_within(features) if isinstance(features, Path) else features
        return cls(parse_features(source, **grades), parse_demographics(demographics))

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Condition:
        """The condition of an item of a datalist."""
        return cls(parse_features(item.get("features")), demographics_of(item))

    def check_for(self, uses_demographics: bool) -> None:
        """Refuse demographics for a model that was trained without any; raises InputError."""
        if self.demographics and not uses_demographics:
            names = ", ".join(self.demographics)
            raise InputError(
                f"{names}: this model was trained without demographics; leave them out"
            )


def _form_within(path: Path) -> Mapping[str, Any] | Path:
    """The form that a record holds; the file itself where it is no record."""
    if path.suffix.lower() == ".json" and path.is_file():
        with suppress(OSError, ValueError, RecursionError):
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict) and isinstance(content.get("features"), dict):
                form: dict[str, Any] = content["features"]
                return form
    return path
