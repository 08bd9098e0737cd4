"""Slice and 3-D views: VTK draws off-screen through EGL, a Qt widget shows the picture.

Rendering is put off to the next turn of the event loop, as Slicer does it, so that a handler's
time holds no rendering.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import qt
import slicer
import vtk
from PySide6.QtCore import QTimer
from trame_slicer.views import AbstractView, SliceView, ThreeDView
from trame_slicer.views.render_scheduler import ScheduledRenderStrategy
from vtk.util.numpy_support import vtk_to_numpy

from .own_time import slicers_own


class Later(ScheduledRenderStrategy):
    """Renders once when the event loop is next idle; nothing before it has its widget."""

    def __init__(self) -> None:
        super().__init__()
        self.widget: Any = None
        self.waiting = False

    def schedule_render(self) -> None:
        if self.widget is not None and not self.waiting:
            self.waiting = True
            QTimer.singleShot(0, self.widget.renderIfShown)

    def did_render(self) -> None:
        self.waiting = False


class _OfNode:
    """A view of a node that the layout has made, which it leaves as it is. Mixed in before one of
    trame-slicer's views, which would make the node or take one by its name."""

    def __init__(self, node: Any, logic: Any) -> None:
        self._node, self.later = node, Later()
        super().__init__(slicer.mrmlScene, logic, node.GetLayoutName(), self.later)

    def set_scene(self, scene: Any) -> None:
        AbstractView.set_scene(self, scene)
        self._logic.SetMRMLScene(scene)
        if hasattr(self._logic, "SetSliceNode"):
            self._logic.SetSliceNode(self._node)
        self.set_view_node(self._node)

    def _reset_node_view_properties(self) -> None:
        pass

    def _on_object_event(self, obj: Any, event: int, data: Any) -> None:
        pass


class _Slice(_OfNode, SliceView):
    def _on_object_event(self, obj: Any, event: int, data: Any) -> None:
        if obj == self._logic:
            self._on_slice_logic_modified_event()


class _Solid(_OfNode, ThreeDView):
    pass


class _View(qt.QWidget):
    """The picture of one view.

    Attributes:
        core: the trame-slicer view, with logic, displayable managers and render window.
    """

    SIZE = 320

    def __init__(self, core: Any) -> None:
        super().__init__()
        self.setMinimumSize(120, 90)
        self.core, self.image, self.alive = core, None, True
        core.later.widget = self
        self.annotation = vtk.vtkCornerAnnotation()
        self.annotation.SetMaximumLineHeight(0.07)
        self.annotation.SetNonlinearFontScaleFactor(0.3)
        self.annotation.GetTextProperty().SetShadow(1)
        core.renderers()[-1].AddViewProp(self.annotation)
        self.resize(self.SIZE, self.SIZE)
        core.update_size(self.SIZE, self.SIZE)

    def mrmlViewNode(self) -> Any:
        return self.core.get_view_node()

    def cornerAnnotation(self) -> Any:
        return self.annotation

    def renderWindow(self) -> Any:
        return self.core.render_window()

    def renderer(self) -> Any:
        return self.core.renderer()

    def interactor(self) -> Any:
        return self.core.interactor()

    def scheduleRender(self) -> None:
        self.core.schedule_render()

    def renderIfShown(self) -> None:
        """What is scheduled: nothing while the window is closed or rendering is paused."""
        if self.alive and slicer.app.renderPaused:
            QTimer.singleShot(20, self.renderIfShown)
        elif self.alive and self.isVisible():
            self.forceRender()
        elif self.alive:
            self.core._scheduled_render.did_render()

    def showEvent(self, event: Any) -> None:
        self.core.schedule_render()

    @slicers_own
    def forceRender(self) -> None:
        """Draw, and take the picture."""
        if not self.alive:
            return
        self.core.render()
        self.image = picture(self.core.render_window())
        self.update()

    def finish(self) -> None:
        """Let go of the render window."""
        self.alive = False
        self.core.finalize()

    def resizeEvent(self, event: Any) -> None:
        self.core.update_size(max(event.size().width(), 2), max(event.size().height(), 2))
        if isinstance(self.core, SliceView):
            self.core._update_slice_size()
        self.core.schedule_render()

    def paintEvent(self, event: Any) -> None:
        painter = qt.QPainter(self)
        if self.image is not None:
            height, width, _ = self.image.shape
            shown = qt.QImage(self.image.data, width, height, 3 * width, qt.QImage.Format_RGB888)
            painter.drawImage(qt.QRect(0, 0, self.width, self.height), shown)
        painter.end()


class qMRMLSliceView(_View):
    def mrmlSliceNode(self) -> Any:
        return self.core.get_view_node()

    def overlayCornerAnnotation(self) -> Any:
        return self.annotation


class qMRMLThreeDView(_View):
    def resetFocalPoint(self) -> None:
        self.core.reset_focal_point()

    def resetCamera(self, *_: Any) -> None:
        self.core.reset_camera()

    def rotateToViewAxis(self, axis: int) -> None:
        self.core.get_camera_node().RotateTo(axis)


class _Framed(qt.QWidget):
    """A view below the bar that bears its name in its colour."""

    def __init__(self, view: _View, name: str) -> None:
        super().__init__()
        self.view, self.view_name = view, name
        node = view.mrmlViewNode()
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(1, 1, 1, 1)
        column.setSpacing(0)
        self.bar = qt.QLabel(node.GetLayoutLabel() or name)
        colour = qt.QColor.fromRgbF(*node.GetLayoutColor()).name()
        self.bar.setStyleSheet(f"background: {colour}; color: black; padding-left: 4px;")
        self.bar.setFixedHeight(18)
        column.addWidget(self.bar)
        column.addWidget(view, 1)


class qMRMLSliceWidget(_Framed):
    def sliceView(self) -> qMRMLSliceView:
        return self.view

    def sliceLogic(self) -> Any:
        return self.view.core._logic

    def mrmlSliceNode(self) -> Any:
        return self.view.mrmlSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self.sliceLogic().GetSliceCompositeNode()

    def sliceController(self) -> Any:
        return self.bar

    def fitSliceToBackground(self) -> None:
        self.view.core.fit_view_to_content()


class qMRMLThreeDWidget(_Framed):
    def threeDView(self) -> qMRMLThreeDView:
        return self.view

    def mrmlViewNode(self) -> Any:
        return self.view.mrmlViewNode()

    def threeDController(self) -> Any:
        return self.bar


def make_widget(node: Any, logic: Any) -> _Framed:
    """The widget of a view node."""
    if node.IsA("vtkMRMLSliceNode"):
        return qMRMLSliceWidget(qMRMLSliceView(_Slice(node, logic)), node.GetLayoutName())
    return qMRMLThreeDWidget(qMRMLThreeDView(_Solid(node, logic)), node.GetLayoutName())


def picture(window: Any) -> np.ndarray:
    """What a render window shows, (rows, columns, 3) uint8."""
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.ShouldRerenderOff()
    grab.Update()
    image = grab.GetOutput()
    width, height, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)
    return np.ascontiguousarray(pixels[::-1, :, :3])


def install() -> None:
    for kind in (qMRMLSliceView, qMRMLThreeDView, qMRMLSliceWidget, qMRMLThreeDWidget):
        setattr(slicer, kind.__name__, kind)
