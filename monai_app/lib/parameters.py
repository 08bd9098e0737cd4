"""What a client may ask for: one model of it, from which checks, errors and `/info/` are made."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from monai_app.lib.json_text import read_object
from xr2mri_core.condition import Condition
from xr2mri_core.errors import InputError, shown
from xr2mri_core.geometry import LARGEST_EDGE
from xr2mri_core.request import KNOBS, GenerationRequest, left_to_the_model
from xr2mri_core.volume import KINDS

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


_HERE: Mapping[str, Mapping[str, Any]] = {
    "box": {"least": -LARGEST_EDGE, "most": LARGEST_EDGE},
    "samples": {"most": 16},
    "seed": {"default": None, "also": "; drawn when left out"},
}
"""What is other on a server than in a `GenerationRequest`."""

_SERVED = tuple(name for name in KNOBS if name != "batch_size")
"""Knobs that a client may set; the batch size is the server's."""


def _parameter(name: str) -> Any:
    """A knob as a field of a pydantic model: its annotation and its default."""
    knob = KNOBS[name]
    limits = {"default": knob.default, "also": "", **knob.metadata, **_HERE.get(name, {})}
    text = limits["help"][0].upper() + limits["help"][1:] + limits["also"] + "."
    if left_to_the_model(name):
        text += " The bundle's when left out."
    kind: Any = int if limits.get("whole") else float
    bounds: dict[str, Any] = {}
    if "least" in limits:
        bounds = {"ge": limits["least"], "le": limits["most"]}
    if "choices" in limits:
        kind = Literal[tuple(limits["choices"])]
    elif "length" in limits:
        one: Any = Annotated[kind, Field(**bounds)]
        kind = list[one]
        bounds = dict(zip(("min_length", "max_length"), limits["length"], strict=True))
    if limits["default"] is None:
        kind = kind | None
    return Annotated[kind, Field(description=text, **bounds)], limits["default"]


class _Form(BaseModel):
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


_Asked: Any = create_model("_Asked", __base__=_Form, **{n: _parameter(n) for n in _SERVED})


class GenerationParameters(_Asked):
    """The parameters of one generation. What is not named here is refused, not ignored."""

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

    @cached_property
    def condition(self) -> Condition:
        """Grades and demographics; raises InputError, or FeatureError for grades."""
        return Condition.parse(self.features, self.demographics)

    @cached_property
    def request(self) -> GenerationRequest:
        """How to generate; raises InputError for depths that are not evenly spaced."""
        return GenerationRequest(**{name: getattr(self, name) for name in _SERVED})

    @classmethod
    def from_json(
        cls, text: str | bytes | Mapping[str, Any], model: str | None = None
    ) -> tuple[GenerationParameters, list[str]]:
        """Read and check parameters.

        Args:
            text: a JSON object, or what it says.
            model: model that the request is for; the parameters may name no other one.

        Returns:
            The parameters, whose condition and request are in order, the seed drawn where none is
            given; and warnings about what a stock client asked for in vain.

        Raises:
            InputError: not JSON, an unknown name, a value out of range, another model; FeatureError
                for grades.
        """
        given = dict(text) if isinstance(text, Mapping) else read_object(text, "params")
        stock = {key: given.pop(key) for key in STOCK_KEYS & given.keys()}
        check_model(stock.get("model"), model)
        if stock.get("result_extension") == ".nrrd":
            given.setdefault("output_format", "nrrd")
        if given.get("seed") is None:
            given["seed"] = secrets.randbelow(2**31)
        try:
            parameters = cls.model_validate(given)
        except ValidationError as error:
            raise InputError(sentence_of(error, cls)) from None
        _ = parameters.condition, parameters.request  # refused here, if at all
        return parameters, _warnings(stock)


def parameter_schema(kinds: Sequence[str] = tuple(KINDS)) -> dict[str, Any]:
    """The parameters as a JSON schema, with ranges and defaults, for `/info/`.

    Args:
        kinds: what the volumes of the model can be; one that only has the mean draws no samples.
    """
    schema = GenerationParameters.model_json_schema()
    known = schema["properties"]
    known["kind"]["anyOf"][0]["enum"] = list(kinds)
    if "sample" not in kinds:
        known["samples"]["maximum"] = 1
    return schema


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
