"""The form of the features, made from the server's schema; files, tables, summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import qt
import slicer

from xr2mri_client.errors import FormError, one_line
from xr2mri_client.jobs import ServerInfo
from xr2mri_client.texts import tr as _

from ..form import FeatureForm, ReadForm
from ..logic import XR2MRILogic
from ..signals import Signal
from .form_grid import STYLE, FormGrid
from .patient import PatientSection
from .section import Section, tell
from .turns import Turns


class FeatureSection(Section):
    """Shows the form and keeps it and the parameter node the same.

    Attributes:
        form: None before a server has sent its schema.
        placed: signal (): another form is in its place.
    """

    notes = ("formNote",)

    def __init__(self, ui: Any, logic: XR2MRILogic, patient: PatientSection) -> None:
        super().__init__(ui, logic)
        self._patient = patient
        self._turns = Turns()  # its own: a form is built to its end, whatever becomes of the scene
        self._form: FeatureForm | None = None
        self._shown_grid: FormGrid | None = None
        self.placed = Signal()
        ui.formFrame.styleSheet = STYLE
        ui.loadFormButton.connect("clicked(bool)", self._on_load)
        ui.saveFormButton.connect("clicked(bool)", self._on_save)
        ui.pasteRowButton.connect("clicked(bool)", self._on_paste)
        ui.clearFormButton.connect("clicked(bool)", self._on_clear)
        self.listen(logic.connected, self._on_connected)
        tell(ui.formNote, "")

    def update(self) -> None:
        ready = self._form is not None and self.bound
        for name in ("loadFormButton", "saveFormButton", "pasteRowButton", "clearFormButton"):
            getattr(self.ui, name).enabled = ready
        self.ui.keysNote.visible = ready
        if not ready:
            tell(self.ui.summaryLabel, _("Connect to a server, or start it: it has the form."))
            return
        if dict(self.node.features) != self.form.values:
            self._take(self.node.features)
        for name, field in self._grid.fields.items():
            field.show(self.form.get(name))
        tell(self.ui.summaryLabel, self._summary())

    def _on_connected(self, info: ServerInfo) -> None:
        self._form = FeatureForm(info.form)
        tell(self.ui.formNote, "")
        self._build()
        self.update()

    def _take(self, features: Mapping[str, Any]) -> None:
        """Fill in what the scene says. It may be from a server with another form: then say what
        this one does not know, and forget it, so that it is not sent."""
        kept, unknown = self.form.sift(features)
        self.form.replace(kept)
        if unknown:
            self.node.features = self.form.values
            message = _("Left out, since this server's form does not know it: {x}.")
            tell(self.ui.formNote, message.format(x=one_line(", ".join(unknown), 200)), "attention")

    def close(self) -> None:
        self._turns.clear()
        super().close()

    @property
    def form(self) -> FeatureForm:
        """The form, once a server has sent its schema."""
        assert self._form is not None
        return self._form

    @property
    def _grid(self) -> FormGrid:
        assert self._shown_grid is not None
        return self._shown_grid

    @property
    def settled(self) -> bool:
        """Whether the form is whole."""
        return not self._turns.busy

    def _build(self) -> None:
        self._turns.clear()
        if self._shown_grid is not None:
            self._shown_grid.remove()
        self._shown_grid = FormGrid(self.form, self._on_grade)
        self._turns.walk(self._grid.build())
        self._turns.add(self._place)

    def _place(self) -> None:
        self.ui.formFrame.layout().addWidget(self._grid.widget)
        self._patient.align(self._grid.label_width)
        self.update()
        self.placed.emit()

    def _on_grade(self, name: str, grade: int | None) -> None:
        tell(self.ui.formNote, "")
        self.form.set(name, grade)
        self._store()

    def _store(self) -> None:
        if self.bound:
            self.node.features = self.form.values
        self.update()

    def _summary(self) -> str:
        grades, patient = self._grades_text(), self._patient.summary
        if not patient:
            return grades or _("Nothing was read: the radiograph alone decides.")
        patient = _("Patient: {x}.").format(x=patient)
        return f"{grades or _('No feature was read.')} {patient}"

    def _grades_text(self) -> str:
        read = self.form.summary()
        if not read:
            return ""
        count = _("{n} of {m} read").format(n=len(read), m=len(self.form.fields))
        present = [
            line for line, grade in zip(read, self.form.values.values()) if grade > 0
        ]  # fmt: skip
        if not present:
            return _("{count}, all of them 0.").format(count=count)
        return f"{count}: {'; '.join(present)}."

    # --- files and tables -----------------------------------------------------------------------

    def _on_load(self, _checked: bool = False) -> None:
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Load features"), "", _("Features (*.json)")
        )
        if path:
            self._change(lambda: self._fill(self.form.load(path)))

    def _fill(self, read: ReadForm) -> None:
        """Take what a file or a row says; what it does not tell of side and patient stays."""
        if read.laterality != "auto" and self.bound:
            self.node.laterality = read.laterality
        if read.demographics:
            self._patient.take(read.demographics)
        self.form.replace(read.features)  # last: the panel has shown the node's meanwhile

    def _on_save(self, _checked: bool = False) -> None:
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save features"), "features.json", _("Features (*.json)")
        )
        if path:
            self._patient.commit()
            self._change(lambda: self._save(path))

    def _save(self, path: str) -> None:
        self.form.save(path, self._patient.values, self.node.laterality)

    def _on_paste(self, _checked: bool = False) -> None:
        text = qt.QApplication.clipboard().text()
        self._change(lambda: self._fill(self.form.parse_row(text)))

    def _on_clear(self, _checked: bool = False) -> None:
        self._patient.take({})
        self._change(self.form.clear)

    def _change(self, change) -> None:
        """Change the form, or say why not."""
        try:
            tell(self.ui.formNote, "")
            change()
            self._store()
        except FormError as error:
            tell(self.ui.formNote, str(error), "bad")
