"""Several radiographs: where they come from, the table of how far each is, their export."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import qt
import slicer

from xr2mri_client.errors import (
    BadRadiograph,
    FormError,
    NotSaved,
    Unexpected,
    XR2MRIClientError,
)
from xr2mri_client.jobs import ServerInfo
from xr2mri_client.radiograph_folder import without_ending
from xr2mri_client.texts import tr as _

from ..batch import items
from ..batch.items import Item, Standing
from ..batch.run import Batch
from ..batch.table import write_table
from ..form import FeatureForm
from ..generation import result_of
from ..logic import XR2MRILogic
from ..patient import read_fields, sift
from ..request import Request
from ..scene import dicom_source, known
from ..states import State
from .generate import GenerateSection
from .section import Section, plain_tip, tell
from .turns import Turns

log = logging.getLogger("xr2mri")

_WORDS = {
    Standing.WAITING: _("waiting"),
    Standing.GENERATING: _("generating"),
    Standing.DONE: _("done"),
    Standing.FAILED: _("failed"),
    Standing.CANCELLED: _("cancelled"),
}
_MOST_NOTES = 5


class BatchSection(Section):
    """Fills the table, starts and stops the batch, and exports the volumes."""

    def __init__(self, ui: Any, logic: XR2MRILogic, generate: GenerateSection) -> None:
        super().__init__(ui, logic)
        self._generate, self._turns = generate, Turns()
        self.batch = Batch(logic, self._request)
        self.batch.changed.connect(self.update)
        self._notes: tuple[str, str] = ("", "plain")
        self._shown: list[tuple[str, str, str]] = []
        table = ui.batchTable
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels([_("Radiograph"), _("Form"), _("State")])
        header = table.horizontalHeader()
        for column, kind in ((0, "Stretch"), (1, "ResizeToContents"), (2, "Stretch")):
            header.setSectionResizeMode(column, getattr(qt.QHeaderView, kind))
        table.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)  # whole words
        table.verticalHeader().hide()
        table.connect("cellClicked(int,int)", self._on_row)
        ui.batchFolderButton.connect("clicked(bool)", self._on_folder)
        ui.batchBrowserButton.connect("clicked(bool)", self._on_browser)
        ui.batchHierarchyComboBox.connect("activated(int)", self._on_hierarchy)
        ui.batchSection.connect("contentsCollapsed(bool)", self._on_folded)
        ui.batchStartButton.connect("clicked(bool)", self._on_start)
        ui.batchExportButton.connect("clicked(bool)", self._on_export)
        ui.batchClearButton.connect("clicked(bool)", self._on_clear)
        self._offer_folders()

    def update(self) -> None:
        batch, ui = self.batch, self.ui
        idle, ready = self.logic.state is State.IDLE, self.logic.info is not None
        for name in ("batchFolderButton", "batchBrowserButton", "batchHierarchyComboBox"):
            getattr(ui, name).enabled = ready and not batch.running
        ui.batchStartButton.text = _("Stop") if batch.running else _("Generate all")
        ui.batchStartButton.enabled = batch.running or bool(idle and ready and batch.left)
        ui.batchClearButton.enabled = bool(batch.items) and not batch.running
        done = [item for item in batch.items if item.volume_node is not None]
        ui.batchExportButton.enabled = bool(done) and not batch.running and not self._turns.busy
        note, kind = self._notes
        if not ready:
            note, kind = _("Connect to a server first: it has the form."), "plain"
        elif batch.items and not note:
            counted = _("{n} of {m} done").format(n=len(done), m=len(batch.items))
            note = f"{counted}."
        tell(ui.batchNote, note, kind)
        self._fill()

    def scene_closes(self) -> None:
        """Hold no node of a scene that is being closed."""
        self._turns.clear()
        self.batch.forget_nodes()

    def close(self) -> None:
        self.batch.close()
        self._turns.clear()
        super().close()

    # --- the table --------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Write the cells that have changed."""
        rows = [_row(item) for item in self.batch.items]
        if rows == self._shown:
            return
        table = self.ui.batchTable
        table.setRowCount(len(rows))
        for index, row in enumerate(rows):
            before = self._shown[index] if index < len(self._shown) else ()
            if row != before:
                for column, text in enumerate(row):
                    cell = qt.QTableWidgetItem(text)
                    cell.setToolTip(plain_tip("\n".join([text, *self._tips(index, column)])))
                    table.setItem(index, column, cell)
        self._shown = rows

    def _tips(self, index: int, column: int) -> list[str]:
        item = self.batch.items[index]
        if column == 1 and item.form is not None:
            return [f"{name} {grade}" for name, grade in item.form.features.items()]
        return item.warnings if column == 2 else []

    def _on_row(self, row: int, _column: int) -> None:
        """Show the volume of a row."""
        volume = self.batch.items[row].volume_node if row < len(self.batch.items) else None
        if volume is not None and self.bound:
            self.node.result = volume

    @property
    def _info(self) -> ServerInfo:
        """What the connected server says of itself."""
        info = self.logic.info
        assert info is not None
        return info

    # --- where they come from ---------------------------------------------------------------------

    def _on_folder(self, _checked: bool = False) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Folder of radiographs")
        )
        if folder:
            self._add(lambda: items.of_folder(folder, FeatureForm(self._info.form)))

    def _on_browser(self, _checked: bool = False) -> None:
        def selected() -> tuple[list[Item], list[str]]:
            series = items.selected_series()
            if not series:
                raise BadRadiograph(
                    _("No series is selected."), _("Open the module DICOM and select some.")
                )
            return items.of_series(series), []

        self._add(selected)

    def _on_hierarchy(self, index: int) -> None:
        parent = self.ui.batchHierarchyComboBox.itemData(index)
        self.ui.batchHierarchyComboBox.setCurrentIndex(0)
        if parent is not None:
            self._add(lambda: (items.of_hierarchy(int(parent)), []))

    def _on_folded(self, folded: bool) -> None:
        if not folded:
            self._offer_folders()

    def _offer_folders(self) -> None:
        """The folders of the scene as it is now."""
        combo = self.ui.batchHierarchyComboBox
        combo.clear()
        combo.addItem(_("Folder of the scene..."), None)
        for name, item in items.folders():
            combo.addItem(name, item)

    def enter(self) -> None:
        """The user looks at the panel now, and may have made folders meanwhile."""
        self._offer_folders()

    def _add(self, find: Callable[[], tuple[list[Item], list[str]]]) -> None:
        """Put radiographs into the table, or say why not."""
        try:
            found, notes = find()
        except XR2MRIClientError as error:
            self._notes = str(error), "bad"
            self.update()
            return
        shown = notes[:_MOST_NOTES]
        if len(notes) > len(shown):
            shown.append(_("and {n} more").format(n=len(notes) - len(shown)))
        self._notes = "\n".join(shown), "attention"
        self.batch.add(found)

    def _on_clear(self, _checked: bool = False) -> None:
        self._notes = "", "plain"
        self.batch.clear()

    # --- generating -------------------------------------------------------------------------------

    def _on_start(self, _checked: bool = False) -> None:
        if self.batch.running:
            self.batch.stop()
            return
        whole = any(item.whole and not item.done for item in self.batch.items)
        if self._generate.permitted(whole and not self.node.pixelsOnly):
            self._notes = "", "plain"
            self.batch.start()

    def _request(self, item: Item, radiograph: slicer.vtkMRMLVolumeNode) -> Request:
        """What the panel's options ask for, of the form of this one."""
        info, given = self._info, item.form
        if given is not None:
            features = dict(given.features)
            demographics = {**dicom_source.demographics(radiograph), **given.demographics}
        else:
            features, _unknown = FeatureForm(info.form).sift(known.features(radiograph))
            demographics = known.demographics(radiograph)
        fields = read_fields(info.model.demographics if info.model is not None else None)
        kept, refused = sift(fields, demographics)
        if refused:
            message = _("The server does not accept {x}.")
            raise FormError(message.format(x=", ".join(refused)))
        return replace(
            self._generate.request(),
            features=features,
            demographics=kept,
            laterality=given.laterality if given is not None else "auto",
            box=known.box(radiograph),
        )

    # --- exporting --------------------------------------------------------------------------------

    def _on_export(self, _checked: bool = False) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Folder for the volumes")
        )
        if folder:
            self._turns.walk(self._exported(Path(folder)))

    def _exported(self, folder: Path) -> Iterator[None]:
        """Write the volumes, one a turn, and a table of them."""
        rows: list[dict[str, Any]] = []
        table = folder / "xr2mri.csv"
        try:
            _check_new(table)  # before volumes are written that it could not tell of
            for item in self.batch.items:
                volume = item.volume_node
                if volume is None:
                    continue
                made = result_of(volume)
                path = folder / _file_name(item.name, [row["file"] for row in rows])
                _write_volume(volume, path)
                rows.append(
                    {
                        "file": path.name,
                        "radiograph": item.name,
                        "seed": made.seed,
                        "laterality": made.record.get("laterality", ""),
                        **made.request.features,
                        "warnings": " ".join(made.warnings),
                        "notice": made.record.get("notice", ""),
                    }
                )
                tell(self.ui.batchNote, _("Writing {path}...").format(path=path.name))
                yield
            write_table(table, rows)
            message = _("{n} volumes and the table xr2mri.csv are in {folder}.")
            self._notes = message.format(n=len(rows), folder=folder), "good"
        except XR2MRIClientError as error:
            self._notes = str(error), "bad"
        except Exception as error:  # of a writer of Slicer's
            log.exception("The export failed")
            self._notes = str(Unexpected(error)), "bad"
        self.update()


def _row(item: Item) -> tuple[str, str, str]:
    """The cells of an item."""
    form = item.form
    if form is not None and form.problem:
        grades = _("cannot be used")
    else:
        features = form.features if form is not None else item.own_grades
        grades = _("{n} read").format(n=len(features)) if features else _("none")
    state = _WORDS[item.standing]
    return item.name, grades, f"{state}: {item.detail}" if item.detail else state


def _file_name(name: str, taken: list[str]) -> str:
    """The file name of a volume: its radiograph's, and no other volume's, also on disks that take
    upper and lower case for the same."""
    stem = without_ending(name)
    stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in stem) or "volume"
    names = (f"{stem}_synthetic{n}.nrrd" for n in ("", *range(2, 2 + len(taken))))
    others = {name.casefold() for name in taken}
    return next(found for found in names if found.casefold() not in others)


def _check_new(path: Path) -> None:
    """Nothing is written over, whosever it is; raises NotSaved."""
    if path.exists():
        raise NotSaved(_("{path} is there already.").format(path=path), _("Choose another folder."))


def _write_volume(volume: slicer.vtkMRMLScalarVolumeNode, path: Path) -> None:
    """Write a .nrrd file with the volume's attributes as its keys, so that it says that it is
    synthetic; Slicer's own export of grey volumes leaves them out."""
    _check_new(path)
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(volume) or not path.exists():
        raise NotSaved(_("{path} cannot be written.").format(path=path))
