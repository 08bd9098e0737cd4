"""What may be asked of a generation beside the condition: every knob, its range and its words.

    >>> request = GenerationRequest(num_slices=3, kind="mean")
    >>> request.positions
    array([0. , 0.5, 1. ])
    >>> request.filled({"steps": 10, "image_size": 256}).steps
    10

The command line builds its options from these fields, the server its parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from xr2mri_core.errors import InputError, shown
from xr2mri_core.volume import KINDS

if TYPE_CHECKING:  # the command line reads this module for its help, without any library
    import numpy as np
    from numpy.typing import NDArray

SAMPLERS = ("ddim", "unipc", "dpmsolver")
"""Of `xr2mri_core.diffusion`, which takes seconds to import; a test holds the two together."""

MOST_SLICES, MOST_STEPS, MOST_SAMPLES = 2000, 1000, 256


SIDES = ("auto", "R", "L")

_EDGES = ("top", "left", "bottom", "right")

_MODELS_OWN: Any = None


def _knob(text: str, **limits: Any) -> dict[str, Any]:
    """A field's help and limits.

    Args:
        text: the help text.
        limits: ``least`` and ``most`` of a number, which is ``whole`` or not; or ``choices``; with
            ``length``, (least, most), the field is a list of such, called by ``names``. ``parse``
            reads other spellings of a choice.
    """
    return {"help": text, **limits}


def _side(value: object) -> str:
    from xr2mri_core.geometry import Laterality

    return str(Laterality.parse(value) or SIDES[0])


@dataclass(frozen=True)
class GenerationRequest:
    """One generation's settings. What is None is the model's own, which `filled` puts in.

    Raises:
        InputError: something is out of its range, or the depths are not evenly spaced.
    """

    laterality: str = field(
        default=SIDES[0],
        metadata=_knob(
            "side of the knee; auto takes it from the file, else from its place or a letter in the "
            "picture, else right",
            choices=SIDES,
            parse=_side,
        ),
    )
    box: Sequence[int] | None = field(
        default=None,
        metadata=_knob(
            "the knee in the radiograph, 140 mm wide, the middle 20 mm above the joint space: "
            f"{', '.join(_EDGES)} in pixels",
            length=(4, 4),
            names=_EDGES,
            whole=True,
        ),
    )
    num_slices: int = field(
        default=50,
        metadata=_knob(
            "slices over the window; 50 are 1.5 mm apart", least=1, most=MOST_SLICES, whole=True
        ),
    )
    depths: Sequence[float] | NDArray[np.float64] | None = field(
        default=None,
        metadata=_knob(
            "instead of num_slices: positions in [0, 1], ascending, evenly spaced",
            length=(1, MOST_SLICES),
        ),
    )
    kind: str = field(
        default=_MODELS_OWN,  # "sample", of a model that draws nothing "mean"
        metadata=_knob("; ".join(f"{name}: {text}" for name, text in KINDS.items()), choices=KINDS),
    )
    steps: int = field(
        default=_MODELS_OWN,
        metadata=_knob("denoising steps", least=1, most=MOST_STEPS, whole=True),
    )
    sampler: str = field(
        default=_MODELS_OWN,
        metadata=_knob("what solves the reverse process", choices=SAMPLERS),
    )
    noise_length: float = field(
        default=_MODELS_OWN,
        metadata=_knob(
            "slices of 1.5 mm over which noise is correlated along depth; 0: independent, as in "
            "the paper",
            least=0,
            most=100,
        ),
    )
    guidance: float = field(
        default=_MODELS_OWN,
        metadata=_knob(
            "strength of the features; 1 as trained, above 1 exaggerated", least=0, most=50
        ),
    )
    samples: int = field(
        default=1,
        metadata=_knob(
            "volumes to draw; with 2 or more, their mean and standard deviation come too",
            least=1,
            most=MOST_SAMPLES,
            whole=True,
        ),
    )
    seed: int = field(
        default=0, metadata=_knob("same seed, same volume", least=0, most=2**63 - 1, whole=True)
    )
    batch_size: int = field(
        default=_MODELS_OWN,
        metadata=_knob(
            "slices in one pass: bounds the memory; with depth mixing the denoiser takes 15 and "
            "more, of which each window gives those in its middle",
            least=1,
            most=1024,
            whole=True,
        ),
    )

    def __post_init__(self) -> None:
        for knob in fields(self):
            value = getattr(self, knob.name)
            left_out = value is None and knob.default is None
            if not left_out and "length" not in knob.metadata:  # a box's edges need the picture
                object.__setattr__(self, knob.name, checked(knob.name, value))
        from xr2mri_core.geometry import volume_affine

        volume_affine(self.positions)  # refuses what is not evenly spaced
        if self.positions.min() < 0 or self.positions.max() > 1 or self.count > MOST_SLICES:
            raise InputError(
                f"depths {shown(self.positions.tolist())}: accepted are at most {MOST_SLICES} "
                "positions in [0, 1]"
            )

    @property
    def positions(self) -> NDArray[np.float64]:
        """The depths of all slices, float64 (n,) in [0, 1]."""
        import numpy as np

        from xr2mri_core.geometry import depths_of

        if self.depths is None:
            return depths_of(self.num_slices)
        return np.asarray(self.depths, np.float64)

    @property
    def count(self) -> int:
        """Slices of the volume."""
        return self.num_slices if self.depths is None else len(self.depths)

    def filled(self, settings: Mapping[str, Any]) -> GenerationRequest:
        """This request, with a model's own settings where it has None; other names are ignored."""
        open_ = {knob.name for knob in fields(self) if getattr(self, knob.name) is None}
        return replace(self, **{n: v for n, v in settings.items() if n in open_})


KNOBS: Mapping[str, Field[Any]] = {knob.name: knob for knob in fields(GenerationRequest)}
"""The fields by name, from which options and schemas are made."""


def left_to_the_model(name: str) -> bool:
    """Whether None means the model's own value, not that nothing is given."""
    return KNOBS[name].default is None and "length" not in KNOBS[name].metadata


def checked(name: str, value: Any) -> Any:
    """A knob's value within its limits, as a plain number or text; raises InputError."""
    limits = KNOBS[name].metadata
    if "parse" in limits:
        return limits["parse"](value)
    if "choices" in limits:
        if value not in list(limits["choices"]):
            raise InputError(f"{name} {shown(value)}: accepted are {', '.join(limits['choices'])}")
        return str(value)
    whole = limits.get("whole", False)
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        wanted = "an integer" if whole else "a number"
        raise InputError(f"{name} {shown(value)}: accepted is {wanted}")
    if not limits["least"] <= value <= limits["most"]:  # NaN fails this too
        raise InputError(f"{name} {value}: accepted are {limits['least']} to {limits['most']}")
    number: Any = value
    return int(number) if whole else float(number)
