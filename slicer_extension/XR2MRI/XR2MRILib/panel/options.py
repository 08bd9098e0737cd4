"""How to generate: what, slices, steps, sampler, guidance, seed, samples."""

from __future__ import annotations

import math
from typing import Any

from xr2mri_client.jobs import KINDS, ServerInfo
from xr2mri_client.texts import tr as _

from .. import settings
from ..logic import XR2MRILogic
from ..parameters import MOST, OPTIONS
from ..request import Request
from .section import Section, select_data, selected_data, set_items, tell

WINDOW_MM = 73.5
"""From the first to the last slice, whatever their number: the paper's 50 slices, 1.5 mm apart."""
_KNOBS = {
    "num_slices": ("numSlices", "slicesSpinBox"),
    "steps": ("steps", "stepsSpinBox"),
    "guidance": ("guidance", "guidanceSpinBox"),
    "samples": ("samples", "samplesSpinBox"),
}
"""As the server calls it -> the parameter, its field."""
_FALLBACK: dict[str, Any] = {knob: getattr(Request, knob) for knob in _KNOBS}
"""Until a server states its defaults; None is the model's own."""
_SLIDER_REACHES = 10
"""Times the server's own number of slices; the field beside it takes all that the server does."""


class OptionsSection(Section):
    """Shows the options; most of them are bound to the parameter node by the .ui file.

    Limits and defaults are the server's. Where it has no default of its own but its model's, the
    least value of a field stands for that, in words.
    """

    def __init__(self, ui: Any, logic: XR2MRILogic) -> None:
        super().__init__(ui, logic)
        self._defaults = dict(_FALLBACK)
        self._offered: tuple[str, ...] = KINDS
        for widget in (ui.stepsSpinBox, ui.guidanceSpinBox):
            widget.specialValueText = _("the model's own")
        ui.slicesSlider.connect("valueChanged(int)", self._on_slider)
        ui.samplerComboBox.addItem(_("the model's own"), "")
        ui.samplerComboBox.connect("currentIndexChanged(int)", self._on_sampler)
        set_items(ui.kindComboBox, _kinds(self._offered))
        ui.kindComboBox.connect("currentIndexChanged(int)", self._on_kind)
        self.listen(logic.connected, self._on_connected)

    def asked(self) -> dict[str, Any]:
        """The settings of a generation by their names in `request.Request`."""
        node = self.node
        return {
            "kind": self._kind,
            "sampler": node.sampler or None,
            "seed": None if node.newSeed else node.seed,
            "pixels_only": node.pixelsOnly,
            **{knob: None if self._is_own(knob) else self._value(knob) for knob in _KNOBS},
        }

    @property
    def _kind(self) -> str:
        """What is generated: what was chosen, if the server's model gives it."""
        return self.node.kind if self.node.kind in self._offered else self._offered[0]

    def _value(self, knob: str) -> Any:
        return getattr(self.node, _KNOBS[knob][0])

    def _is_own(self, knob: str) -> bool:
        """Whether a setting is left to the model."""
        widget = getattr(self.ui, _KNOBS[knob][1])
        return bool(widget.specialValueText) and self._value(knob) <= widget.minimum

    def update(self) -> None:
        if not self.bound:
            return
        slices, slider = self.node.numSlices, self.ui.slicesSlider
        apart = _("{x:.2f} mm apart").format(x=WINDOW_MM / (slices - 1)) if slices > 1 else ""
        tell(self.ui.slicesNote, apart)
        slider.enabled = self.logic.info is not None
        blocked = slider.blockSignals(True)
        field, reach = self.ui.slicesSpinBox, _SLIDER_REACHES * self._defaults["num_slices"]
        slider.setRange(field.minimum, max(field.minimum, min(field.maximum, reach)))
        slider.value = slices
        slider.blockSignals(blocked)
        select_data(self.ui.samplerComboBox, self.node.sampler)
        select_data(self.ui.kindComboBox, self._kind)
        self.ui.seedSpinBox.enabled = not self.node.newSeed
        note = _("Mean and standard deviation come too.")
        if self._kind == "mean":
            note = _("The standard deviation comes too.")
        note = note if self.node.samples > 1 else ""
        tell(self.ui.samplesNote, note)

    def recall(self) -> None:
        """Take the options of the last generation, as in a new scene."""
        for name, value in settings.options().items():
            if name in OPTIONS and isinstance(value, type(getattr(self.node, name))):
                setattr(self.node, name, value)

    def remember(self) -> None:
        settings.remember_options({name: getattr(self.node, name) for name in OPTIONS})

    def _on_connected(self, info: ServerInfo) -> None:
        """Take the limits and defaults of the server's model."""
        if info.model is None:
            return
        for knob in _KNOBS:
            limits = info.model.limits(knob)
            if all(_is_number(limit) for limit in limits[:2]):  # else it is an older server
                self._limit(knob, *limits)
        samplers = [(name, name) for name in info.model.choices("sampler")]
        set_items(self.ui.samplerComboBox, [(_("the model's own"), ""), *samplers])
        self._offered = info.model.choices("kind") or ("sample",)  # all that older servers make
        set_items(self.ui.kindComboBox, _kinds(self._offered))
        self.update()

    def _limit(self, knob: str, least: Any, most: Any, default: Any) -> None:
        """Take a setting's limits, and its default where the user has not chosen a value."""
        parameter, name = _KNOBS[knob]
        widget = getattr(self.ui, name)
        kind = type(widget.value)
        least, most = (kind(min(max(limit, 0), MOST)) for limit in (least, most))
        default = kind(min(max(default, least), most)) if _is_number(default) else _FALLBACK[knob]
        untouched = self.bound and (self._is_own(knob) or self._value(knob) == self._defaults[knob])
        self._defaults[knob] = default
        widget.specialValueText = _("the model's own") if default is None else ""
        if default is None:
            least = default = least - widget.singleStep
        widget.setRange(least, max(least, most))
        if untouched:
            setattr(self.node, parameter, default)

    def _on_slider(self, value: int) -> None:
        self.ui.slicesSpinBox.value = value

    def _on_kind(self, _index: int) -> None:
        if self.bound:
            self.node.kind = selected_data(self.ui.kindComboBox) or "sample"

    def _on_sampler(self, _index: int) -> None:
        if self.bound:
            self.node.sampler = selected_data(self.ui.samplerComboBox) or ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _kinds(offered: tuple[str, ...]) -> list[tuple[str, str]]:
    """What a volume can be, in words, and as the server calls it."""
    words = {
        "sample": _("a realistic draw (sample)"),
        "mean": _("the best guess, smoother (mean)"),
    }
    return [(words.get(kind, kind), kind) for kind in offered]
