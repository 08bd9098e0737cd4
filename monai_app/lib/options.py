"""What an administrator sets, as text, read by pydantic-settings into the fields of a dataclass.

The annotations of the fields say what is accepted: a range, a choice, a validator. An option that
is given on the command line precedes the environment; what is empty is not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from annotated_types import Ge, Le
from pydantic import ValidationError, create_model
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from xr2mri_core.errors import shown

ENVIRONMENT_PREFIX = "XR2MRI_"
"""With it begin the names of all variables that are read."""


class _FromEnvironment(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        extra="ignore",
        env_ignore_empty=True,
        str_strip_whitespace=True,
        validate_default=False,  # a validator reads text
    )


def read_options(kind: type[Any], conf: Mapping[str, Any]) -> dict[str, Any]:
    """Read the options that are fields of a dataclass.

    Args:
        kind: the dataclass; fields without a default are left out.
        conf: name -> text, as MONAI Label hands it to the app; other names are left alone.

    Returns:
        The values of all of these fields.

    Raises:
        ValueError: one sentence that names the option, its text and what is accepted.
    """
    hints = get_type_hints(kind, include_extras=True)
    known = {item.name: item for item in fields(kind) if item.default is not MISSING}
    definitions: dict[str, Any] = {n: (hints[n], item.default) for n, item in known.items()}
    model = create_model(kind.__name__, __base__=_FromEnvironment, **definitions)
    given: dict[str, Any] = {
        n: str(conf[n]).strip() for n in known if str(conf.get(n) or "").strip()
    }
    try:
        read = model(**given)
    except ValidationError as error:
        raise ValueError(_sentence(model, error.errors()[0])) from None
    return {name: getattr(read, name) for name in known}


def _sentence(model: type[BaseSettings], wrong: ErrorDetails) -> str:
    name = str(wrong["loc"][0])
    limits = model.model_fields[name].metadata
    low = next((limit.ge for limit in limits if isinstance(limit, Ge)), None)
    high = next((limit.le for limit in limits if isinstance(limit, Le)), None)
    why = f"{wrong['msg'][0].lower()}{wrong['msg'][1:]}".removeprefix("value error, ")
    if low is not None and high is not None:
        why = f"a whole number from {low} to {high} is accepted"
    elif wrong["type"] == "literal_error":
        choices = wrong["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        why = f"accepted are {choices}"
    elif wrong["type"].startswith("bool"):
        why = "accepted are yes and no"
    return f"{name} {shown(wrong['input'])}: {why}"
