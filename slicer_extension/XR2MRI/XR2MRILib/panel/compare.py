"""What if one feature were different; and how close it comes to a real MRI."""

from __future__ import annotations

from typing import Any

import slicer

from xr2mri_client.errors import FormError
from xr2mri_client.jobs import ServerInfo
from xr2mri_client.texts import tr as _

from ..form import FeatureForm
from ..generation import Result, result_of
from ..logic import XR2MRILogic
from ..scene import attributes
from ..states import State
from .generate import GenerateSection
from .section import Section, selected_data, set_items, tell


class CompareSection(Section):
    """Generates again with one grade changed; compares with a real volume."""

    def __init__(self, ui: Any, logic: XR2MRILogic, generate: GenerateSection) -> None:
        super().__init__(ui, logic)
        self._generate = generate
        self._form: FeatureForm | None = None
        ui.whatIfFeature.connect("currentIndexChanged(int)", self._on_feature)
        ui.whatIfGrade.connect("currentIndexChanged(int)", lambda _index: self.update())
        ui.whatIfButton.connect("clicked(bool)", self._on_what_if)
        ui.compareButton.connect("clicked(bool)", self._on_compare)
        self.listen(logic.connected, self._on_connected)
        self.listen(logic.finished, lambda _outcome: self.update())

    def update(self) -> None:
        tell(self.ui.compareNote, _figures(self.node.result) if self.bound else "")
        if not self.bound:
            return
        made, idle = self._made(), self.logic.state is State.IDLE
        known = self._form is not None and self.logic.info is not None
        ready = made is not None and known
        self.ui.whatIfFeature.enabled = self.ui.whatIfGrade.enabled = ready
        missing = _("Generate a volume first.") if made is None else _("Connect to a server.")
        why_not = self._why_no_what_if(made) if made is not None and known else missing
        tell(self.ui.whatIfNote, why_not)
        self.ui.whatIfButton.enabled = idle and ready and not why_not
        real = self.node.realMri
        self.ui.compareButton.enabled = (
            idle and made is not None and real is not None and not attributes.is_synthetic(real)
        )

    def _made(self) -> Result | None:
        """What the chosen volume was made from."""
        try:
            return result_of(self.node.result) if self.node.result is not None else None
        except FormError:
            return None

    def _why_no_what_if(self, made: Result) -> str:
        name, grade = selected_data(self.ui.whatIfFeature), selected_data(self.ui.whatIfGrade)
        if made.radiograph is None:
            return _("Its radiograph has gone.")
        if name and made.request.features.get(name) == (None if grade == "" else grade):
            return _("It is so already: choose another grade.")
        return ""

    def _on_connected(self, info: ServerInfo) -> None:
        self._form = FeatureForm(info.form)
        set_items(
            self.ui.whatIfFeature,
            [(field.title, name) for name, field in self._form.fields.items()],
        )
        self._on_feature(0)

    def _on_feature(self, _index: int) -> None:
        name = selected_data(self.ui.whatIfFeature)
        if self._form is None or not name:
            return
        field = self._form.fields[name]
        grades = [(field.grade_text(grade), grade) for grade in reversed(field.grades)]
        set_items(self.ui.whatIfGrade, [*grades, (field.grade_text(None), "")])
        self.ui.whatIfGrade.setCurrentIndex(0)
        self.update()

    def _on_what_if(self, _checked: bool = False) -> None:
        name, grade = selected_data(self.ui.whatIfFeature), selected_data(self.ui.whatIfGrade)
        changes = {name: None if grade == "" else grade}
        volume = self.node.result
        self._generate.attempt(lambda: self.logic.whatIf(volume, changes))

    def _on_compare(self, _checked: bool = False) -> None:
        volume, real, align = self.node.result, self.node.realMri, self.node.alignCentres
        self._generate.attempt(lambda: self.logic.compare(volume, real, align))


def _figures(volume: slicer.vtkMRMLScalarVolumeNode | None) -> str:
    """How close a volume comes to the real one that it was last compared with."""
    table = volume.GetNodeReference(attributes.TABLE) if volume is not None else None
    if table is None:
        return ""
    x, y = (float(table.GetAttribute(name) or "nan") for name in (attributes.PSNR, attributes.SSIM))
    message = _("PSNR {x:.2f} dB, SSIM {y:.3f}; slice by slice in the table {table}.")
    return message.format(x=x, y=y, table=table.GetName())
