"""Age, sex and body mass index: what may guide the model beside the graded features.

The paper names demographics as future work. Off by default: a model uses them when its weights
were trained with them (`Guidance`), and only then do the
forms ask for them. What is not given is left out and encodes as zeros.

This module needs numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_client.cells import decimal, says_missing
from xr2mri_core.errors import InputError, shown

Demographics = dict[str, float | str]
"""``age`` in years, ``sex`` (F or M), ``bmi`` in kg/m2; what is unknown is left out."""

SLICES = {"age": slice(0, 2), "sex": slice(2, 4), "bmi": slice(4, 6)}
"""Where the encoding holds what: given and standardised; female, male; given and standardised."""
NUM_POSITIONS = 6

_NUMBERS = {
    # least, most, and OAI's mean and standard deviation at enrolment (as `phantom.cohort` has them)
    "age": (18.0, 110.0, 61.0, 9.0),
    "bmi": (10.0, 80.0, 28.6, 4.8),
}
_TITLES = {"age": "Age", "sex": "Sex", "bmi": "Body mass index"}
_UNITS = {"age": "years", "bmi": "kg/m2"}
_SEXES = {"F": "female", "M": "male"}


def parse_demographics(source: Mapping[str, Any] | None = None) -> Demographics:
    """Check demographics given by name.

    Args:
        source: ``age`` (18 to 110 years), ``sex`` (F, M, female or male) and ``bmi`` (10 to 80
            kg/m2); numbers may be texts. None, NaN, empty texts and words for a missing value
            (`says_missing`) count as not given.

    Returns:
        What is given, in the order age, sex, BMI.

    Raises:
        InputError: naming the entry, the value and what is accepted.
    """
    source = dict(source or {})
    unknown = [name for name in source if name not in _TITLES]
    if unknown:
        raise InputError(
            f"demographics: unknown {shown(unknown[0])}; accepted are {', '.join(_TITLES)}"
        )
    given = {
        "age": _number("age", source.get("age")),
        "sex": _sex(source.get("sex")),
        "bmi": _number("bmi", source.get("bmi")),
    }
    return {name: value for name, value in given.items() if value is not None}


def demographics_of(item: Mapping[str, Any]) -> Demographics:
    """Return the demographics among the entries of a datalist's item."""
    return parse_demographics({name: item[name] for name in _TITLES if name in item})


def encode_demographics(demographics: Mapping[str, Any] | None) -> NDArray[np.float32]:
    """Encode demographics for the network.

    Returns:
        float32 (6,): 1 and the standardised age; female, male; 1 and the standardised BMI. Zeros
        for what is not given.

    Raises:
        InputError: as `parse_demographics`.
    """
    given = parse_demographics(demographics)
    vector = np.zeros(NUM_POSITIONS, dtype=np.float32)
    for name, (_, _, mean, deviation) in _NUMBERS.items():
        if name in given:
            vector[SLICES[name]] = 1.0, (float(given[name]) - mean) / deviation
    if "sex" in given:
        vector[SLICES["sex"]] = [letter == given["sex"] for letter in _SEXES]
    return vector


def demographics_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of the demographics, for forms."""
    properties: dict[str, Any] = {}
    for name, title in _TITLES.items():
        properties[name] = {"title": title, "default": None}
        if name == "sex":
            properties[name] |= {
                "type": ["string", "null"],
                "enum": [*_SEXES, None],
                "x-labels": dict(_SEXES),
            }
        else:
            least, most, *_ = _NUMBERS[name]
            properties[name] |= {
                "type": ["number", "null"],
                "minimum": least,
                "maximum": most,
                "x-unit": _UNITS[name],
            }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Demographics",
        "description": "What is not known is left out or null.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _number(name: str, value: Any) -> float | None:
    least, most, *_ = _NUMBERS[name]
    accepted = f"accepted is a number of {_UNITS[name]} from {least:g} to {most:g}"
    if isinstance(value, str):
        if says_missing(value):
            return None
        try:
            value = decimal(value)
        except ValueError:
            raise InputError(f"{name} {shown(value)}: {accepted}") from None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise InputError(f"{name} {shown(value)}: {accepted}")
    if value != value:  # NaN
        return None
    if not least <= value <= most:
        raise InputError(f"{name} {shown(value)}: {accepted}")
    return float(value)


def _sex(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and says_missing(value)):
        return None
    if isinstance(value, float) and value != value:  # NaN, of a table's empty cell
        return None
    word = value.strip().lower() if isinstance(value, str) else ""
    for letter, name in _SEXES.items():
        if word in (letter.lower(), name):
            return letter
    raise InputError(f"sex {shown(value)}: accepted are F (female) and M (male)")
