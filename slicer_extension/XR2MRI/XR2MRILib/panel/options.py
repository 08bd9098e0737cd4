"""How to generate: what, slices, steps, sampler, guidance, seed, samples."""

from __future__ import annotations

from typing import Any

from xr2mri_client.jobs import ServerInfo
from xr2mri_client.texts import tr as _

from .. import settings
from ..logic import XR2MRILogic
from ..parameters import OPTIONS
from .section import Section, select_data, selected_data, set_items, tell

WINDOW_MM = 73.5
"""From the first to the last slice, whatever their number: the paper's 50 slices, 1.5 mm apart."""
_BOUNDED = {"steps": "stepsSpinBox", "guidance": "guidanceSpinBox", "samples": "samplesSpinBox"}


class OptionsSection(Section):
    """Shows the options; most of them are bound to the parameter node by the .ui file."""

    def __init__(self, ui: Any, logic: XR2MRILogic) -> None:
        super().__init__(ui, logic)
        ui.stepsSpinBox.specialValueText = _("the model's own")
        ui.samplerComboBox.addItem(_("the model's own"), "")
        ui.samplerComboBox.connect("currentIndexChanged(int)", self._on_sampler)
        set_items(ui.kindComboBox, _kinds(("sample", "mean")))
        ui.kindComboBox.connect("currentIndexChanged(int)", self._on_kind)
        self.listen(logic.connected, self._on_connected)

    def update(self) -> None:
        if not self.bound:
            return
        distance = WINDOW_MM / (self.node.numSlices - 1)
        tell(self.ui.slicesNote, _("{x:.2f} mm apart").format(x=distance))
        select_data(self.ui.samplerComboBox, self.node.sampler)
        select_data(self.ui.kindComboBox, self.node.kind)
        self.ui.seedSpinBox.enabled = not self.node.newSeed
        note = _("Mean and standard deviation come too.")
        if self.node.kind == "mean":
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
        """Take the limits of the server's model."""
        if info.model is None:
            return
        for parameter, name in _BOUNDED.items():
            least, most, _default = info.model.limits(parameter)
            widget = getattr(self.ui, name)
            if most is not None:
                widget.maximum = most
            if least is not None and parameter != "steps":  # 0 steps are the model's own
                widget.minimum = least
        samplers = [(name, name) for name in info.model.choices("sampler")]
        set_items(self.ui.samplerComboBox, [(_("the model's own"), ""), *samplers])
        offered = info.model.choices("kind") or ("sample",)  # older servers make nothing else
        set_items(self.ui.kindComboBox, _kinds(offered))
        if self.bound and self.node.kind not in offered:
            self.node.kind = "sample"
        self.update()

    def _on_kind(self, _index: int) -> None:
        if self.bound:
            self.node.kind = selected_data(self.ui.kindComboBox) or "sample"

    def _on_sampler(self, _index: int) -> None:
        if self.bound:
            self.node.sampler = selected_data(self.ui.samplerComboBox) or ""


def _kinds(offered: tuple[str, ...]) -> list[tuple[str, str]]:
    """What a volume can be, in words, and as the server calls it."""
    words = {
        "sample": _("a realistic draw (sample)"),
        "mean": _("the best guess, smoother (mean)"),
    }
    return [(words.get(kind, kind), kind) for kind in offered]
