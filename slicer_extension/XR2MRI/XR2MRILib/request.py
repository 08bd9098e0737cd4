"""What is asked of the server, apart from the radiograph itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from xr2mri_client.errors import FormError, one_line
from xr2mri_client.texts import tr as _


@dataclass(frozen=True)
class Request:
    """One generation.

    Attributes:
        features: grades by name; what is left out was not read.
        laterality: `R`, `L`, or `auto`: the server looks into the radiograph.
        box: the knee in the radiograph, (top, left, bottom, right) in pixels, bottom and right
            exclusive; None leaves it to the server.
        num_slices: number of slices of the volume.
        steps, sampler, guidance: settings of the denoising; None is the model's own.
        samples: volumes to draw; from 2 on, mean and standard deviation come too.
        seed: the same seed gives the same volume; None has the server draw one.
        model: name of a model of the server; None is the one that it offers first.
        pixels_only: send the picture without its DICOM header.
        demographics: age in years, sex (F or M), bmi, for a model that asks for them.
        kind: `sample`, a realistic draw, or `mean`, the best guess, which a model that draws
            nothing gives in any case.
    """

    features: Mapping[str, int] = field(default_factory=dict)
    laterality: str = "auto"
    box: tuple[int, int, int, int] | None = None
    num_slices: int = 50
    steps: int | None = None
    sampler: str | None = None
    guidance: float | None = None
    samples: int = 1
    seed: int | None = None
    model: str | None = None
    pixels_only: bool = False
    demographics: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "sample"

    def parameters(self) -> dict[str, Any]:
        """The parameters that the server takes; what is None is left out."""
        given = asdict(self)
        del given["model"], given["pixels_only"]
        if self.kind == "sample":
            del given["kind"]  # what older servers make, and they refuse the word
        if not self.demographics:
            del given["demographics"]  # older servers refuse what they do not know
        if self.box is not None:
            given["box"] = [int(edge) for edge in self.box]
        return {name: value for name, value in given.items() if value is not None}

    def what_if(self, changes: Mapping[str, int | None], seed: int) -> Request:
        """One volume with other grades (None: not read) and the seed that was drawn."""
        features = {**self.features, **changes}
        kept = {name: grade for name, grade in features.items() if grade is not None}
        return replace(self, features=kept, seed=seed, samples=1)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Request:
        """Read what `to_json` wrote; raises FormError."""
        try:
            given = json.loads(text)
            if given.get("box") is not None:
                given["box"] = tuple(given["box"])
            known = {item.name for item in fields(cls)}
            return cls(**{name: value for name, value in given.items() if name in known})
        except (ValueError, TypeError, AttributeError) as error:
            message = _("The volume does not tell what it was made from: {x}.")
            raise FormError(message.format(x=one_line(error, 80))) from None
