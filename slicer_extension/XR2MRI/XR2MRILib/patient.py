"""What may be given of the patient beside the graded features: age, sex, body mass index.

Which of these, and within which limits, is the server's to say: a model asks only for what its
weights were trained with, and most ask for nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union

from xr2mri_client.errors import FormError, one_line
from xr2mri_client.texts import tr as _

Value = Union[float, str]

_YEARS = re.compile(r"(\d{3})Y")


@dataclass(frozen=True)
class PatientField:
    """One entry: a number or a choice.

    Attributes:
        name: its key in what is sent, such as `age`.
        title: text to show.
        unit: unit of a number.
        least, most: accepted numbers.
        labels: a word for each accepted choice; empty for a number.
    """

    name: str
    title: str
    unit: str = ""
    least: float = -math.inf
    most: float = math.inf
    labels: Mapping[str, str] | None = None

    @property
    def accepted(self) -> str:
        """What may be given, in words."""
        if self.labels:
            return ", ".join(self.labels.values())
        text = _("{least:g} to {most:g} {unit}")
        return text.format(least=self.least, most=self.most, unit=self.unit).strip()

    def text(self, value: Value) -> str:
        """A value in words, such as "Age 61 years"."""
        word = self.labels.get(str(value), value) if self.labels else f"{value} {self.unit}"
        return f"{self.title} {word}".strip()

    def parse(self, value: Any) -> Value | None:
        """The value of a text or a number; None where nothing is given. Raises FormError."""
        text = "" if value is None else str(value).strip()
        if not text:
            return None
        if self.labels:
            for choice, word in self.labels.items():
                if text.lower() in (choice.lower(), word.lower()):
                    return choice
            raise self._refusal(text)
        try:
            number = float(text.replace(",", "."))
        except ValueError:
            raise self._refusal(text) from None
        inside = math.isfinite(number) and self.least <= number <= self.most
        if isinstance(value, bool) or not inside:
            raise self._refusal(text)
        return int(number) if number.is_integer() else number

    def _refusal(self, text: str) -> FormError:
        message = _("{title} cannot be {value}.").format(title=self.title, value=one_line(text, 40))
        return FormError(message, _("Accepted are {x}, or nothing.").format(x=self.accepted))


def read_fields(schema: Mapping[str, Any] | None) -> tuple[PatientField, ...]:
    """The entries that a model asks for.

    Args:
        schema: value of `jobs.ModelInfo.demographics`: JSON schema of an object of numbers and
            choices.

    Raises:
        FormError: it is no such schema.
    """
    try:
        described = (schema or {}).get("properties", {})
        return tuple(_field(str(name), about) for name, about in described.items())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = _("The server's form cannot be used: {x}.").format(x=one_line(repr(error), 80))
        raise FormError(message, _("Update the server or the extension.")) from None


def sift(
    fields: tuple[PatientField, ...], given: Mapping[str, Any]
) -> tuple[dict[str, Value], list[str]]:
    """Sort given values into those that the fields accept and those that they refuse.

    Args:
        fields: what the model asks for.
        given: values by name; those that belong to no field are passed over, because another model
            may ask for them.

    Returns:
        The accepted values by name, and a text for each refused one, such as "Age 12".
    """
    kept: dict[str, Value] = {}
    refused = []
    for field in fields:
        try:
            value = field.parse(given.get(field.name))
        except FormError:
            refused.append(f"{field.title} {one_line(given[field.name], 40)}")
            continue
        if value is not None:
            kept[field.name] = value
    return kept, refused


def from_tags(age: str, sex: str) -> dict[str, str]:
    """What the DICOM elements Patient's Age and Patient's Sex tell; nothing where they do not."""
    years = _YEARS.fullmatch(age.strip())
    values = {"age": str(int(years[1]))} if years else {}
    if sex.strip() in ("F", "M"):
        values["sex"] = sex.strip()
    return values


def _field(name: str, about: Mapping[str, Any]) -> PatientField:
    title = str(about["title"])
    if "enum" in about:
        choices = [str(choice) for choice in about["enum"] if choice is not None]
        words = about.get("x-labels", {})
        return PatientField(name, title, labels={c: str(words.get(c, c)) for c in choices})
    return PatientField(
        name,
        title,
        unit=str(about.get("x-unit", "")),
        least=float(about.get("minimum", -math.inf)),
        most=float(about.get("maximum", math.inf)),
    )
