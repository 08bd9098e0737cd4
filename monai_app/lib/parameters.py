"""What a client may ask for: one model of it, from which checks, errors and `/info/` are made."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from monai_app.lib.json_text import read_object
from xr2mri_core.condition import Condition
from xr2mri_core.errors import InputError, shown
from xr2mri_core.geometry import LARGEST_EDGE
from xr2mri_core.request import KNOBS, MOST_SLICES

MOST_SAMPLES_SERVED = 16
STOCK_KEYS = frozenset(
    {"client_id", "device", "model", "result_extension", "result_dtype", "result_compress"}
)
"""Sent along by stock MONAI Label clients; taken note of by `GenerationParameters.from_json`."""


def _without_nan(given: dict[str, Any]) -> dict[str, Any]:
    """Refuse NaN, as a number or a text: in a table it means "not read", in a form a mistake."""
    for name, value in given.items():
        number = value
        if isinstance(value, str):
            try:
                number = float(value)
            except ValueError:
                continue
        if isinstance(number, float) and math.isnan(number):
            raise ValueError(f"{shown(name)} is NaN; leave out what is not known, or send null")
    return given


def knob(name: str, most: int | None = None) -> Any:
    """A parameter's limits and description, as `GenerationRequest` has them."""
    limits = KNOBS[name].metadata
    text = limits["help"][0].upper() + limits["help"][1:] + "."
    if KNOBS[name].default is None:
        text += " The bundle's when left out."
    bounds = {} if "choices" in limits else {"ge": limits["least"], "le": most or limits["most"]}
    return Field(description=text, **bounds)


class GenerationParameters(BaseModel):
    """The parameters of one generation. What is not named here is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    features: Annotated[
        dict[str, Any],
        AfterValidator(_without_nan),
        Field(description="Grades by OAI name or key, see `form`; what is left out is not read."),
    ] = {}
    demographics: Annotated[
        dict[str, Any],
        AfterValidator(_without_nan),
        Field(description="Age, sex, BMI, for a model whose `demographics` asks for them."),
    ] = {}
    laterality: Annotated[
        Literal["auto", "R", "L"],
        Field(description="Side of the knee; auto takes it from the DICOM file, else right."),
    ] = "auto"
    box: Annotated[
        list[Annotated[int, Field(ge=-LARGEST_EDGE, le=LARGEST_EDGE)]] | None,
        Field(
            min_length=4,
            max_length=4,
            description="The knee in the radiograph: top, left, bottom, right in pixels.",
        ),
    ] = None
    num_slices: Annotated[int, knob("num_slices")] = 50
    depths: Annotated[
        list[float] | None,
        Field(
            min_length=1,
            max_length=MOST_SLICES,
            description="Instead of num_slices: positions in [0, 1], ascending, evenly spaced.",
        ),
    ] = None
    kind: Annotated[Literal["sample", "mean"], knob("kind")] = "sample"
    steps: Annotated[int | None, knob("steps")] = None
    sampler: Annotated[Literal["ddim", "unipc", "dpmsolver"] | None, knob("sampler")] = None
    noise_length: Annotated[float | None, knob("noise_length")] = None
    guidance: Annotated[float | None, knob("guidance")] = None
    samples: Annotated[int, knob("samples", most=MOST_SAMPLES_SERVED)] = 1
    seed: Annotated[
        int | None,
        Field(ge=0, le=2**63 - 1, description="Same seed, same volume; drawn when left out."),
    ] = None
    output_format: Annotated[
        Literal["nifti", "nrrd", "dicom"],
        Field(description="nifti (.nii), nrrd, or dicom (a ZIP of an MR series)."),
    ] = "nifti"
    sop_instance_uid: Annotated[
        str | None,
        Field(pattern=r"^[0-9.]{1,64}$", description="Which image of a series in the PACS."),
    ] = None
    view_position: Annotated[
        str | None,
        Field(max_length=16, description="Which view of a series in the PACS, such as PA."),
    ] = None
    store: Annotated[
        bool,
        Field(description="Store the result in the PACS that the radiograph, an `image`, is in."),
    ] = False

    @model_validator(mode="after")
    def _consistent(self) -> GenerationParameters:
        if self.depths is not None and "num_slices" in self.model_fields_set:
            raise ValueError("give num_slices or depths, not both")
        return self

    @property
    def condition(self) -> Condition:
        """Grades and demographics, as `from_json` has parsed them."""
        return Condition(dict(self.features), dict(self.demographics))

    @property
    def request(self) -> dict[str, Any]:
        """The fields of a `GenerationRequest` among them; the batch size is the server's."""
        given = {name: getattr(self, name) for name in KNOBS if name in type(self).model_fields}
        return {**given, "seed": self.seed or 0}

    @property
    def count(self) -> int:
        """Slices of the volume."""
        return self.num_slices if self.depths is None else len(self.depths)

    @classmethod
    def from_json(
        cls, text: str | bytes | Mapping[str, Any], model: str | None = None
    ) -> tuple[GenerationParameters, list]:
        """Read and check parameters.

        Args:
            text: a JSON object, or what it says.
            model: model that the request is for; the parameters may name no other one.

        Returns:
            The parameters, features parsed and the seed drawn; and warnings about what a stock
            client asked for in vain.

        Raises:
            InputError: not JSON, an unknown name, a value out of range, another model; FeatureError
                for grades.
        """
        given = dict(text) if isinstance(text, Mapping) else read_object(text, "params")
        stock = {key: given.pop(key) for key in STOCK_KEYS & given.keys()}
        check_model(stock.get("model"), model)
        try:
            parameters = cls.model_validate(given)
        except ValidationError as error:
            raise InputError(sentence_of(error, cls)) from None
        condition = Condition.parse(parameters.features, parameters.demographics)
        update: dict[str, Any] = {
            "features": condition.features,
            "demographics": condition.demographics,
        }
        if parameters.seed is None:
            update["seed"] = secrets.randbelow(2**31)
        if stock.get("result_extension") == ".nrrd" and "output_format" not in given:
            update["output_format"] = "nrrd"
        return parameters.model_copy(update=update), _warnings(stock)


def parameter_schema() -> dict[str, Any]:
    """The parameters as a JSON schema, with ranges and defaults, for `/info/`."""
    return GenerationParameters.model_json_schema()


def check_model(named: object, model: str | None) -> None:
    """Refuse parameters that name another model than their route does; raises InputError."""
    if named is not None and model is not None and named != model:
        raise InputError(
            f"model {shown(named)}: the route names {shown(model)}; ask under the name of the "
            "model that is meant, or leave this parameter out"
        )


def sentence_of(error: ValidationError, model: type[BaseModel]) -> str:
    """The first complaint about a model's fields as one line that says what is accepted."""
    first = error.errors(include_url=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        accepted = ", ".join(model.model_fields)
        return f"unknown parameter {shown(name)}; accepted are {accepted}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{name} {shown(first['input'])}: {message}" if name else message


def _warnings(stock: Mapping[str, Any]) -> list[str]:
    wanted = stock.get("result_dtype")
    if wanted in (None, "float32"):
        return []
    return [f"result_dtype {shown(wanted)} is not served: intensities are float32"]
