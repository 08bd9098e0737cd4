"""The generated volume: what it is, how it is shown, where it goes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import qt
import slicer

from xr2mri_client.errors import FormError, Unexpected, XR2MRIClientError
from xr2mri_client.texts import tr as _

from .. import report, settings
from ..compare import Compared
from ..generation import Result, result_of
from ..logic import XR2MRILogic
from ..parameters import XR2MRIParameterNode
from ..scene import attributes, display, layout, legend
from ..scene.picture import problem
from ..states import State
from .generate import GenerateSection
from .section import Section, select_data, selected_data, set_items, tell
from .turns import Turns

log = logging.getLogger("xr2mri")

_NOTICE = "Synthetic, not for diagnosis"
"""What servers say of a volume; the one of their texts that has to be understood."""
_OVERLAYS = (
    (attributes.STD, _("Uncertainty (standard deviation of the samples)")),
    (attributes.DIFFERENCE, _("What-if difference")),
    (attributes.REAL_DIFFERENCE, _("Difference to the real MRI")),
    (attributes.EDGES, _("Difference of the edges (Sobel)")),
)


class ResultSection(Section):
    """Shows a volume in the views, with an overlay, and exports it."""

    def __init__(
        self, ui: Any, logic: XR2MRILogic, generate: GenerateSection, turns: Turns
    ) -> None:
        super().__init__(ui, logic)
        self._generate, self._turns = generate, turns
        self._shown: tuple[Any, ...] = ()  # what the views were last filled for
        ui.resultSelector.addAttribute("vtkMRMLScalarVolumeNode", attributes.KIND, "volume")
        ui.overlayComboBox.addItem(_("None"), "")
        ui.overlayComboBox.connect("currentIndexChanged(int)", self._on_overlay)
        ui.layoutButton.connect("clicked(bool)", self._on_layout)
        ui.exportButton.connect("clicked(bool)", self._on_export)
        ui.reportButton.connect("clicked(bool)", self._on_report)
        self.listen(logic.grown, self._on_grown)
        self.listen(logic.finished, self._on_finished)
        self.listen(logic.cancelled, self._show_chosen)
        self.listen(logic.failed, lambda _error: self._show_chosen())

    def bind(self, node: XR2MRIParameterNode | None) -> None:
        """Show another parameter node, and leave the views as its scene has brought them: who opens
        a scene or a module has arranged them, perhaps for something else."""
        super().bind(node)
        self._shown = self._wanted() if node is not None else ()

    def update(self) -> None:
        if not self.bound:
            return
        chosen = self.node.result
        roles = [(text, role) for role, text in _OVERLAYS if _reference(chosen, role) is not None]
        set_items(self.ui.overlayComboBox, [(_("None"), ""), *roles])
        select_data(self.ui.overlayComboBox, self.node.overlay)
        self.ui.overlayComboBox.enabled = bool(roles)
        self.ui.layoutButton.enabled = chosen is not None or self.node.radiograph is not None
        idle = self.logic.state is State.IDLE
        self.ui.exportButton.enabled = idle and chosen is not None and self.logic.info is not None
        self.ui.reportButton.enabled = _is_described(chosen)
        tell(self.ui.resultNote, _described(chosen))
        self._show_legend(_reference(chosen, self.node.overlay))
        if idle and self._wanted() != self._shown:
            self._show_chosen()

    def _show_legend(self, overlay: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """What the colours of the overlay mean."""
        ui = self.ui
        ui.legendFrame.visible = overlay is not None
        if overlay is None:
            return
        found = legend.legend_of(overlay, self.node.overlay, _samples(self.node.result))
        stops = ", ".join(
            f"stop:{share} rgb({', '.join(str(round(255 * part)) for part in colour)})"
            for share, colour in found.gradient
        )
        ui.legendBar.styleSheet = (
            f"background: qlineargradient(x1:0, y1:0, x2:1, y2:0, {stops}); border: 1px solid grey;"
        )
        for label, text in ((ui.legendLow, found.low), (ui.legendHigh, found.high)):
            tell(label, text)
        tell(ui.legendNote, found.note)

    def _on_grown(self, node: slicer.vtkMRMLScalarVolumeNode, slices: int) -> None:
        """Show the volume that grows, and the slice that came last."""
        if not self._shown or self._shown[0] != node.GetID():
            self._shown = (node.GetID(), "")
            self._turns.add(
                *([layout.show] if settings.own_layout() else []),
                self._with(node, lambda it: layout.show_radiograph(_radiograph_of(it))),
                self._with(node, layout.show_volume),
            )
        self._turns.add(self._with(node, lambda it: layout.show_slice(it, slices - 1)))

    def _on_finished(self, outcome: Any) -> None:
        if not self.bound:
            return
        if isinstance(outcome, Result):
            self.node.overlay = attributes.DIFFERENCE if outcome.difference is not None else ""
            self.node.result = outcome.volume
            middle = outcome.request.num_slices // 2
            self._turns.add(
                self._with(outcome.volume, lambda it: layout.show_slice(it, middle)),
                self._with(outcome.volume, display.render),
                self._with(outcome.volume, _show_only),
            )
        elif isinstance(outcome, Compared):
            self.node.result = outcome.volume
            self.node.overlay = attributes.REAL_DIFFERENCE
        self.update()
        self._show_chosen()

    def _with(
        self,
        node: slicer.vtkMRMLScalarVolumeNode,
        act: Callable[[slicer.vtkMRMLScalarVolumeNode], None],
    ) -> Callable[[], None]:
        """Something to do with a node in a later turn, if it is still there then."""
        node_id = node.GetID()

        def step() -> None:
            found = slicer.mrmlScene.GetNodeByID(node_id)
            if found is not None:
                act(found)

        return step

    def _on_overlay(self, _index: int) -> None:
        if self.bound:
            self.node.overlay = selected_data(self.ui.overlayComboBox) or ""

    def _on_layout(self, _checked: bool = False) -> None:
        settings.set_own_layout(True)
        self._turns.add(layout.show, self._show_radiograph)
        self.show()

    def show(self) -> None:
        """Bring the chosen volume into its views, where they are in the layout."""
        self._shown = ()
        self._show_chosen()

    def _on_export(self, _checked: bool = False) -> None:
        chosen = self.node.result
        if chosen is not None:
            self._generate.attempt(lambda: self.logic.exportDicom(chosen))

    def _on_report(self, _checked: bool = False) -> None:
        chosen = self.node.result
        name = "".join(c if c.isalnum() or c in "-_ " else "_" for c in chosen.GetName())
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(),
            _("Save the report"),
            f"{name}.pdf",
            _("PDF (*.pdf);;HTML (*.html)"),
        )
        if path and not path.lower().endswith(report.ENDINGS):
            path += ".pdf"  # as the first of the kinds
        if path:
            self._turns.walk(self._reported(chosen, path))

    def _reported(self, chosen: slicer.vtkMRMLScalarVolumeNode, path: str) -> Iterator[None]:
        try:
            yield from report.write(result_of(chosen), self.logic.form, path)
            tell(self.ui.messageLabel, _("The report is in {path}.").format(path=path), "good")
        except XR2MRIClientError as error:
            tell(self.ui.messageLabel, str(error), "bad")
        except Exception as error:  # a version of Qt that lacks or names something otherwise
            log.exception("The report failed")
            tell(self.ui.messageLabel, str(Unexpected(error)), "bad")

    def _wanted(self) -> tuple[Any, ...]:
        chosen = self.node.result
        return (chosen.GetID(), self.node.overlay) if chosen is not None else ()

    def _show_chosen(self) -> None:
        """Bring the chosen volume, its radiograph and its overlay into the views."""
        if not self.bound:
            return
        before, self._shown = self._shown, self._wanted()
        if not self._shown and not before:
            return  # what the views show is none of ours
        changed = self._shown[:1] != before[:1]
        self._turns.add(self._show_radiograph, lambda: self._show_volume(changed))
        if changed and self._shown:
            self._turns.add(self._fit_solid)

    def _show_radiograph(self) -> None:
        if layout.is_shown() and self.bound:
            made, chosen = self.node.result, self.node.radiograph
            xray = _radiograph_of(made) if made is not None else chosen
            layout.show_radiograph(xray if not problem(xray) else None)

    def _show_volume(self, fit: bool) -> None:
        if self.bound and (layout.is_shown() or not settings.own_layout()):
            chosen = self.node.result
            overlay = _reference(chosen, self.node.overlay)
            layout.show_volume(chosen, overlay, fit=fit)
            title = ""
            if overlay is not None:
                title = legend.legend_of(overlay, self.node.overlay, _samples(chosen)).title
            legend.show(overlay, title)

    def _fit_solid(self) -> None:
        if layout.is_shown() and self.bound:
            layout.fit_solid(self.node.result)


def _show_only(volume: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Hide the volume renderings of other generated volumes: they lie at the same place."""
    for rendering in slicer.util.getNodesByClass("vtkMRMLVolumeRenderingDisplayNode"):
        node = rendering.GetDisplayableNode()
        if attributes.is_synthetic(node):
            rendering.SetVisibility(node.GetID() == volume.GetID())


def _radiograph_of(node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLVolumeNode | None:
    return node.GetNodeReference(attributes.RADIOGRAPH)


def _reference(
    node: slicer.vtkMRMLScalarVolumeNode | None, role: str
) -> slicer.vtkMRMLScalarVolumeNode | None:
    return node.GetNodeReference(role) if node is not None and role else None


def _is_described(node: slicer.vtkMRMLScalarVolumeNode | None) -> bool:
    """Whether a volume tells what it was made from."""
    try:
        return node is not None and bool(result_of(node))
    except FormError:
        return False


def _samples(node: slicer.vtkMRMLScalarVolumeNode) -> int:
    """The samples of which a volume is the first."""
    return result_of(node).request.samples


def _described(node: slicer.vtkMRMLScalarVolumeNode | None) -> str:
    """What a volume was made from, in a few words."""
    if node is None:
        return ""
    try:
        made = result_of(node)
    except FormError as error:
        return str(error)
    record, request = made.record, made.request
    kinds = {"sample": _("Sample"), "mean": _("Mean (best guess)")}
    what = [kinds[record["kind"]]] if record.get("kind") in kinds else []
    parts = [
        *what,
        _("{n} slices").format(n=record.get("slices")),
        _("seed {n}").format(n=made.seed),
    ]
    if record.get("steps") and record.get("sampler"):
        steps = _("{n} steps of {sampler}")
        parts.append(steps.format(n=record["steps"], sampler=record["sampler"]))
    parts.append(_("{m} features").format(m=len(request.features)))
    if request.demographics:
        parts.append(", ".join(f"{name} {value}" for name, value in request.demographics.items()))
    notice = str(record.get("notice", "")).capitalize()
    notice = {_NOTICE: _("Synthetic, not for diagnosis")}.get(notice, notice)
    return ". ".join(part for part in (", ".join(parts), notice) if part) + "."
