"""Which radiograph: the image, the side of the knee, the box around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from xr2mri_client.errors import XR2MRIClientError
from xr2mri_client.jobs import read_located
from xr2mri_client.texts import tr as _

from .. import sample_data, settings
from ..batch.items import is_radiograph
from ..generation import Result, sided
from ..location import Found
from ..logic import XR2MRILogic
from ..parameters import XR2MRIParameterNode
from ..request import Request
from ..scene import attributes, crop, dicom_source, known, layout
from ..scene.picture import frame_of, problem
from ..states import State
from .section import Section, select_data, selected_data, tell
from .turns import Turns


class RadiographSection(Section, VTKObservationMixin):
    """Chooses the radiograph, and what the server needs to know of it."""

    notes = ("radiographNote",)

    def __init__(self, ui: Any, logic: XR2MRILogic, turns: Turns) -> None:
        Section.__init__(self, ui, logic)
        VTKObservationMixin.__init__(self)
        self._turns = turns
        self._entered = self._opening = False
        self._proposed_for = ""  # the side of the knee that the box is around
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.NodeAddedEvent, self._on_added)
        self._complained = True
        for text, value in ((_("As the image says"), "auto"), (_("Right"), "R"), (_("Left"), "L")):
            ui.lateralityComboBox.addItem(text, value)
        ui.lateralityComboBox.connect("currentIndexChanged(int)", self._on_laterality)
        ui.cropButton.connect("toggled(bool)", self._on_crop)
        ui.cropResetButton.connect("clicked(bool)", self._on_reset)
        ui.sampleButton.connect("clicked(bool)", lambda _checked: self._on_sample(0))
        self._offer_samples()
        ui.layoutYesButton.connect("clicked(bool)", lambda _checked: self.arrange(True))
        ui.layoutNoButton.connect("clicked(bool)", lambda _checked: self.arrange(False))
        ui.ownLayoutCheckBox.connect("clicked(bool)", self.arrange)
        self.listen(logic.finished, self._on_finished)

    @property
    def radiograph(self) -> slicer.vtkMRMLVolumeNode | None:
        """The chosen node, if it is a radiograph."""
        chosen = self.node.radiograph if self.bound else None
        return chosen if not problem(chosen) else None

    @property
    def _roi(self) -> slicer.vtkMRMLMarkupsROINode | None:
        roi: Any = self.node.cropRoi  # typed by a base class, see `parameters`
        return roi

    @property
    def box(self) -> crop.Box | None:
        """The box that the user made of the proposal; None where the proposal stands."""
        radiograph = self.radiograph
        return self._drawn_in(radiograph) if radiograph is not None else None

    def _drawn_in(self, radiograph: slicer.vtkMRMLVolumeNode) -> crop.Box | None:
        """`box` in the pixels of the radiograph that it is of."""
        box = crop.box_of(self._roi, frame_of(radiograph)) if self._roi is not None else None
        return None if box is None or crop.written(box) == self.node.cropProposal else box

    def bind(self, node: XR2MRIParameterNode | None) -> None:
        super().bind(node)
        if node is not None:
            self._adopt()
        self._proposed_for = self._side if node is not None else ""

    def update(self) -> None:
        if not self.bound:
            return
        self._remember()
        self._prepare()
        if self.node.cropProposal and self._proposed_for != self._side:
            self._proposed_for = self._side
            self._turns.add(self._propose_again)  # the other sections are being updated, too
        radiograph, chosen = self.radiograph, self.node.radiograph
        why_not = problem(chosen) if chosen is not None else ""
        if why_not or self._complained:
            tell(self.ui.radiographNote, why_not, "bad")
        self._complained = bool(why_not)
        select_data(self.ui.lateralityComboBox, self.node.laterality)
        tell(self.ui.lateralityNote, self._laterality_note() if radiograph else "")
        for name in ("lateralityComboBox", "cropButton", "cropResetButton"):
            getattr(self.ui, name).enabled = radiograph is not None
        self._update_crop(radiograph)
        asked = settings.own_layout()
        unasked = asked is None and chosen is not None and not layout.is_shown()
        self.ui.layoutFrame.visible = unasked
        self.ui.ownLayoutCheckBox.checked = bool(asked)

    def arrange(self, wanted: bool) -> None:
        """Arrange the views from now on, or leave them as the user has them."""
        settings.set_own_layout(wanted)
        if wanted and self.bound and self.node.radiograph is not None:
            self._turns.add(layout.show, self.show)
        self.update()

    def enter(self) -> None:
        """The user looks at the panel now."""
        self._entered = True
        with self.opening():
            self._take_only()

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Meanwhile a radiograph may be chosen, but the views stay as the user has arranged them:
        who opens a module has not asked for another layout."""
        before, self._opening = self._opening, True
        try:
            yield
        finally:
            self._opening = before

    def leave(self) -> None:
        self._entered = False

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_added(self, _scene: Any, _event: Any, node: slicer.vtkMRMLNode) -> None:
        if not node.IsA("vtkMRMLScalarVolumeNode") or slicer.mrmlScene.IsImporting():
            return
        if self._entered:
            self._turns.add(self._take_only)  # by then it has been read
        node_id = node.GetID()
        self._turns.add(lambda: self._take_sample(node_id))

    def _take_sample(self, node_id: str) -> None:
        """Choose a sample that was loaded elsewhere, as from the gallery of Sample Data: there,
        too, somebody has asked for it."""
        node = slicer.mrmlScene.GetNodeByID(node_id)
        if self.bound and node is not None and sample_data.is_sample(node):
            self.node.radiograph = node

    def _take_only(self) -> None:
        """Choose the radiograph if none is chosen and there is but one, such as a file that was
        just dropped onto Slicer. Between several the user decides."""
        if not self._entered or not self.bound or self.node.radiograph is not None:
            return
        volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        found = [node for node in volumes if is_radiograph(node)]
        if len(found) == 1:
            self.node.radiograph = found[0]

    def _remember(self) -> None:
        """Write form, side and box on the radiograph that they are of, as soon as they change:
        nothing that happens to the panel can lose them then."""
        node, shown = self.node, self.node.preparedFor
        if shown is not None:
            known.remember(shown, node.features, node.demographics, node.laterality)
            if not problem(shown):
                known.remember_box(shown, self._drawn_in(shown))

    def _adopt(self) -> None:
        """Leave form, side and box to the radiograph that they are of in a scene of an earlier
        version, which had an id, as text, where the reference to it is now. Ids change when a scene
        is added to another: the id only tells that there was one, the one that is chosen, else that
        of the box."""
        node, roi = self.node, self._roi
        if not node.parameterNode.GetParameter("preparedFor"):
            return
        shown: Any = node.radiograph
        if shown is None and roi is not None:
            shown = roi.GetNodeReference(attributes.RADIOGRAPH)
        if shown is not None:
            known.keep_tags(shown)
        node.preparedFor, node.prepared = shown, shown is not None

    def _prepare(self) -> None:
        """Show what is known of a radiograph that was just chosen, and nothing of the one before.
        What was filled in before there was any is taken to be of the first."""
        chosen = self.node.radiograph
        if chosen is None or chosen is self.node.preparedFor:
            return
        known.keep_tags(chosen)
        features, demographics = known.features(chosen), known.demographics(chosen)
        side, first = known.chosen_side(chosen), not self.node.prepared
        with slicer.util.NodeModify(self.node.parameterNode):  # `_remember` must not see half of it
            self.node.preparedFor, self.node.prepared = chosen, True
            if side or not first:
                self.node.laterality = side or "auto"
            if features or not first:
                self.node.features = features
            if demographics or not first:
                self.node.demographics = demographics
        self._remove_roi()
        self._bring_box_back(chosen)
        self._let_go_of_result(chosen)
        tell(self.ui.radiographNote, "")
        if not problem(chosen):
            if settings.own_layout() and not self._opening:
                self._turns.add(layout.show)
            self._turns.add(self.show if not self._opening else self.show_own)

    def show(self) -> None:
        """Bring the chosen radiograph into its view; where that is not in the layout, into a view
        that is."""
        if layout.is_shown():
            self.show_own()
        elif self.radiograph is not None:
            layout.show_radiograph(self.radiograph, layout.VOLUME_VIEWS[-1])
            self._update_roi_views()

    def show_own(self) -> None:
        """Bring the chosen radiograph into its own view, which the layout may not have now."""
        if self.radiograph is not None:
            layout.show_radiograph(self.radiograph)
            self._update_roi_views()

    def _let_go_of_result(self, chosen: slicer.vtkMRMLVolumeNode) -> None:
        """Never show one knee's radiograph beside another one's volume."""
        made = self.node.result
        if made is not None and made.GetNodeReference(attributes.RADIOGRAPH) is not chosen:
            self.node.result, self.node.overlay = None, ""  # type: ignore[assignment]

    # --- the side -------------------------------------------------------------------------------

    @property
    def _side(self) -> str:
        """The side that the server is told: `R`, `L` or `auto`."""
        return sided(Request(laterality=self.node.laterality), self.radiograph).laterality

    def _stated_laterality(self) -> str:
        """The side by what is known of the image; empty where nothing is."""
        return dicom_source.laterality(self.radiograph) if self.radiograph is not None else ""

    def _laterality_note(self) -> str:
        side = self._stated_laterality()
        words = {"R": _("right"), "L": _("left")}
        if not side:
            if self.node.laterality != "auto":
                return ""
            return _("The file does not tell: by place or a letter in the picture, else right.")
        if self.node.laterality in ("auto", side):
            return _("The image says: {side}.").format(side=words[side])
        return _("But the image says: {side}.").format(side=words[side])

    def _on_laterality(self, _index: int) -> None:
        if self.bound:
            self.node.laterality = selected_data(self.ui.lateralityComboBox)

    # --- the box --------------------------------------------------------------------------------

    def _on_crop(self, shown: bool) -> None:
        radiograph = self.radiograph
        if radiograph is None:
            return
        if shown:
            self._turns.add(*([layout.show] if settings.own_layout() else []), self.show)
        if shown and self.node.cropRoi is None:
            self._add_roi(radiograph)
            self._propose()
        if self.node.cropRoi is not None:
            self._show_roi(shown)
        self.update()

    def _add_roi(self, radiograph: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLMarkupsROINode:
        name = _("Knee in {name}").format(name=radiograph.GetName())
        self.node.cropRoi = roi = crop.add_roi(radiograph, name)
        return roi

    def _bring_box_back(self, chosen: slicer.vtkMRMLVolumeNode) -> None:
        """Show the box that the user drew in the chosen radiograph: it will be sent."""
        drawn = known.box(chosen)
        if drawn is not None and not problem(chosen):
            crop.place(self._add_roi(chosen), frame_of(chosen), drawn)
            self._show_roi(True)

    def _on_reset(self, _checked: bool = False) -> None:
        if self.node.cropRoi is not None and self.radiograph is not None:
            self._propose()
            self.update()

    def _propose_again(self) -> None:
        """A film may show two knees, and the box that nobody has moved is around the other one."""
        there = self.bound and self.node.cropRoi is not None and self.radiograph is not None
        if there and self.box is None:
            self._propose()
            self.update()

    def _propose(self) -> None:
        """The middle at once; what the server finds, where it may be asked, when it answers."""
        radiograph = self.radiograph
        assert radiograph is not None
        self._proposed_for = self._side
        self._place(crop.proposal(frame_of(radiograph)), found=False)
        if self.logic.state is State.IDLE and self.logic.uploadAllowed():
            request = Request(laterality=self.node.laterality, pixels_only=self.node.pixelsOnly)
            with suppress(XR2MRIClientError):  # a proposal is a courtesy
                self.logic.locate(radiograph, request)

    def _place(self, box: crop.Box, found: bool) -> None:
        roi, radiograph = self._roi, self.radiograph
        assert roi is not None and radiograph is not None
        frame = frame_of(radiograph)
        crop.place(roi, frame, box)
        self.node.cropProposal, self.node.cropFound = crop.written(crop.box_of(roi, frame)), found

    def _on_finished(self, outcome: Any) -> None:
        """Put the box where the server has found the knee, whatever it was asked for, unless the
        user has moved it by now."""
        if not self.bound or self.node.cropRoi is None or self.box is not None:
            return
        if not isinstance(outcome, (Found, Result)) or self.radiograph is None:
            return
        if outcome.radiograph is not self.radiograph:
            return
        if isinstance(outcome, Result):
            if outcome.request.box is None and outcome.request.laterality == self._side:
                with suppress(XR2MRIClientError):  # of an older server, which does not tell it
                    self._place(read_located(outcome.record).box, found=True)
        elif outcome.asked != self._side:
            self._turns.add(self._propose_again)  # another was chosen meanwhile
        else:
            self._place(outcome.located.box, found=True)
            tell(self.ui.radiographNote, "\n".join(outcome.located.warnings), "attention")

    def _show_roi(self, shown: bool) -> None:
        self._update_roi_views()
        self.node.cropRoi.GetDisplayNode().SetVisibility(shown)

    def _update_roi_views(self) -> None:
        """The box means nothing in the views of the volume."""
        tag = layout.RADIOGRAPH_VIEW if layout.is_shown() else layout.VOLUME_VIEWS[-1]
        view = layout.slice_node(tag)
        if view is not None and self.node.cropRoi is not None:
            self.node.cropRoi.GetDisplayNode().SetViewNodeIDs([view.GetID()])

    def _update_crop(self, radiograph: slicer.vtkMRMLVolumeNode | None) -> None:
        roi = self._roi
        shown = roi is not None and bool(roi.GetDisplayNode().GetVisibility())
        blocked = self.ui.cropButton.blockSignals(True)
        self.ui.cropButton.checked = shown
        self.ui.cropButton.blockSignals(blocked)
        self.ui.cropResetButton.enabled = roi is not None and self.box is not None
        self._watch(roi)
        note = ""
        if radiograph is not None and roi is not None:
            top, left, bottom, right = crop.box_of(roi, frame_of(radiograph))
            size = f"{right - left} \u00d7 {bottom - top}"
            text = _("The middle, until the server has looked: {size} pixels.")
            if self.box is not None:
                text = _("Your box, {size} pixels.")
            elif self.node.cropFound:
                text = _("The proposed box, {size} pixels.")
            note = text.format(size=size)
        tell(self.ui.cropNote, note)

    def _watch(self, roi: slicer.vtkMRMLMarkupsROINode | None) -> None:
        if roi is not None and not self.hasObserver(roi, vtk.vtkCommand.ModifiedEvent, self._moved):
            self.removeObservers(self._moved)
            self.addObserver(roi, vtk.vtkCommand.ModifiedEvent, self._moved)

    def _moved(self, *_arguments: Any) -> None:
        if self.bound:
            self._remember()
            self._update_crop(self.radiograph)

    def _remove_roi(self) -> None:
        self.removeObservers(self._moved)
        if self.node.cropRoi is not None:
            slicer.mrmlScene.RemoveNode(self.node.cropRoi)
            self.node.cropRoi = None  # type: ignore[assignment]
        self.node.cropProposal = ""

    def close(self) -> None:
        self.removeObservers()
        super().close()

    # --- sample data ----------------------------------------------------------------------------

    def _offer_samples(self) -> None:
        """The menu of the button: all of them; the button itself loads the first."""
        menu = qt.QMenu(self.ui.sampleButton)
        for index, sample in enumerate(sample_data.SAMPLES):
            entry = qt.QAction(sample.name, menu)
            menu.addAction(entry)
            entry.connect("triggered(bool)", lambda _checked, index=index: self._on_sample(index))
        self.ui.sampleButton.setMenu(menu)

    def _on_sample(self, index: int) -> None:
        if self.bound:
            self.node.radiograph = sample_data.load(sample_data.SAMPLES[index])
