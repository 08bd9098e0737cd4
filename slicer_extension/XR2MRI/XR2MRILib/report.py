"""A page of a generated volume: its radiograph, the form, three planes, what it was made with.

Its pictures are drawn from the nodes. Slicer's module ScreenCapture takes what a view shows at the
moment: zoomed, of another volume, or nothing where the layout has no such view.
"""

from __future__ import annotations

import base64
import contextlib
import html
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import qt
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import numpy_to_vtk

from xr2mri_client.errors import NotSaved
from xr2mri_client.texts import tr as _

from .form import FeatureForm
from .generation import Result
from .scene import pictures
from .scene.picture import problem

ENDINGS = (".html", ".htm", ".pdf")
_HIGHEST, _WIDEST, _PAGE = 300, 365, 760
"""A picture on the page, two of which stand side by side, and the width of the page, in pixels of
96 to the inch."""
_BOX, _MARK = "#ff8c1a", "#ff8c1a"
_STYLE = """
body { font-family: sans-serif; font-size: 12px; color: #111; background: #fff; }
h1 { font-size: 19px; margin: 0 0 4px 0; } h2 { font-size: 14px; margin: 12px 0 4px 0; }
td { padding: 1px 10px 1px 0; vertical-align: top; } .mark { color: #b9570e; font-weight: bold; }
"""
_ACROSS = """
body { max-width: 760px; margin: 24px auto; }
.across { position: fixed; top: 42%; left: 0; width: 100%; text-align: center; z-index: 9;
  font-size: 84px; font-weight: bold; color: #ff8c1a; opacity: 0.22; transform: rotate(-30deg);
  pointer-events: none; }
"""


@dataclass(frozen=True, eq=False)
class Page:
    """What stands on the page.

    Attributes:
        title: title of the page.
        images: pictures by name, already marked.
        captions: a line for each of them.
        tables: heading and rows of (name, value), in plain text.
        warnings: what the server doubts.
    """

    title: str
    images: dict[str, qt.QImage]
    captions: dict[str, str]
    tables: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    warnings: Sequence[str]


def write(made: Result, form: FeatureForm | None, path: str | Path) -> Iterator[None]:
    """Write the page of a generated volume into a file, as PDF or HTML by its ending, in pieces
    that hold nothing up. The file is there once it is whole.

    Args:
        made: the volume, and what it was made from.
        form: the server's form, for the words of the grades; None where none is connected.
        path: path of the file.

    Raises:
        NotSaved: another ending, or the file cannot be written, or the volume goes meanwhile.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise NotSaved(_("{path}: a report is a .pdf or a .html file.").format(path=path))
    part = path.with_name(f"{path.name}.part")
    try:
        part.touch()  # Qt does not say why it cannot write
        page = Page(
            made.volume.GetName(),
            {},
            {},
            [(_("Form"), _form_rows(made, form)), (_("Made with"), _made_with(made))],
            made.warnings,
        )
        yield from _add_pictures(page, made)
        yield from (_write_pdf if path.suffix.lower() == ".pdf" else _write_html)(page, part)
        os.replace(part, path)
    except OSError as error:
        raise _not_written(path, error.strerror) from None
    finally:
        with contextlib.suppress(OSError):  # it has its name by now, or never was
            part.unlink()


def _add_pictures(page: Page, made: Result) -> Iterator[None]:
    """The radiograph and three planes, one a step."""
    if made.radiograph is not None and not problem(made.radiograph):
        box = made.record.get("box") or made.request.box
        page.images["radiograph"] = _drawn(pictures.radiograph(made.radiograph, box), marked=False)
        page.captions["radiograph"] = (
            _("Radiograph, with the box that the server looked at") if box else _("Radiograph")
        )
        yield
    captions = {
        "coronal": _("Coronal, synthetic: the patient's right at the left"),
        "sagittal": _("Sagittal, synthetic: the front at the left"),
        "axial": _("Axial, synthetic: the front at the top, the patient's right at the left"),
    }
    for name in pictures.PLANES:
        if made.volume.GetScene() is None or made.volume.GetImageData() is None:
            message = _("{name} has gone.").format(name=page.title)
            raise NotSaved(message, _("Choose a generated volume."))
        page.images[name] = _drawn(pictures.plane(made.volume, name), marked=True)
        page.captions[name] = captions[name]
        yield


# --- what it says ---------------------------------------------------------------------------------


def _form_rows(made: Result, form: FeatureForm | None) -> list[tuple[str, str]]:
    rows = []
    for name, grade in made.request.features.items():
        field = form.fields.get(name) if form is not None else None
        if field is not None and grade in field.labels:
            rows.append((field.title, field.grade_text(grade)))
        else:
            rows.append((name, str(grade)))
    for name, value in made.request.demographics.items():
        rows.append((name.capitalize() if name != "bmi" else "BMI", str(value)))
    left = len(form.fields) - len(made.request.features) if form is not None else 0
    if left:
        rows.append((_("Not read"), _("{n} features").format(n=left)))
    return rows or [(_("Nothing was read"), _("the radiograph alone decided"))]


def _made_with(made: Result) -> list[tuple[str, str]]:
    record, model = made.record, made.record.get("model")
    model = model if isinstance(model, Mapping) else {}
    sides = {"R": _("right"), "L": _("left")}
    kinds = {"sample": _("Sample"), "mean": _("Mean (best guess)")}
    spacing = record.get("spacing_mm") or ()
    rows = [
        (_("Seed"), made.seed),
        (_("Volume"), kinds.get(str(record.get("kind")), "")),
        (_("Side"), sides.get(str(record.get("laterality")), "")),
        (_("Slices"), record.get("slices")),
        (_("Voxel"), " \u00d7 ".join(f"{step:.2f}" for step in spacing) + " mm" if spacing else ""),
        (_("Samples"), record.get("samples")),
        (_("Steps"), record.get("steps")),
        (_("Sampler"), record.get("sampler")),
        (_("Guidance"), record.get("guidance")),
        (_("Model"), made.job.model if made.job is not None else model.get("name")),
        (_("Weights"), str(model.get("sha256") or "")[:16]),
        (_("Software"), ", ".join(f"{k} {v}" for k, v in (record.get("versions") or {}).items())),
    ]
    return [(name, str(value)) for name, value in rows if value not in (None, "")]


def _html(page: Page, sources: Mapping[str, str], style: str) -> str:
    """The page; `sources` is where each picture is."""
    cells = [
        f'<td><img src="{sources[name]}" width="{image.width()}" height="{image.height()}"><br>'
        f"{html.escape(page.captions[name])}</td>"
        for name, image in page.images.items()
    ]
    rows = "".join(f"<tr>{''.join(cells[k : k + 2])}</tr>" for k in range(0, len(cells), 2))
    tables = "".join(_table(heading, rows) for heading, rows in page.tables)
    warnings = "".join(f"<li>{html.escape(text)}</li>" for text in page.warnings)
    heading = html.escape(_("Warnings"))
    doubts = f"<h2>{heading}</h2><ul>{warnings}</ul>" if warnings else ""
    mark = html.escape(_("SYNTHETIC: drawn by a model, no patient was scanned. Not for diagnosis."))
    return (
        f'<!DOCTYPE html><html><head><meta charset="utf-8"><title>{html.escape(page.title)}</title>'
        f"<style>{style}</style></head><body>"
        f'<div class="across">{html.escape(_across()) if "across" in style else ""}</div>'
        f'<h1>{html.escape(page.title)}</h1><p class="mark">{mark}</p>'
        f"<table>{rows}</table><table><tr>{tables}</tr></table>{doubts}</body></html>"
    )


def _table(heading: str, rows: Sequence[tuple[str, str]]) -> str:
    filled = "".join(_row(*row) for row in rows)
    return f"<td><h2>{html.escape(heading)}</h2><table>{filled}</table></td>"


def _row(name: str, value: str) -> str:
    return f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"


def _across() -> str:
    return _("SYNTHETIC")


# --- pictures and paper ---------------------------------------------------------------------------


def _drawn(picture: pictures.Picture, marked: bool) -> qt.QImage:
    """A picture of the page's size with its box, and with the mark where it is synthetic."""
    with tempfile.TemporaryDirectory(prefix="xr2mri-", dir=slicer.app.temporaryPath) as folder:
        path = str(Path(folder) / "picture.png")
        _write_png(picture.pixels, path)
        image = qt.QImage(path)
    scale = min(_HIGHEST / picture.height, _WIDEST / picture.width)
    width, height = (max(1, round(scale * side)) for side in (picture.width, picture.height))
    image = image.scaled(width, height, qt.Qt.IgnoreAspectRatio, qt.Qt.SmoothTransformation)
    image = image.convertToFormat(qt.QImage.Format_RGB32)
    with _painting(image) as painter:
        if picture.box is not None:
            top, left, bottom, right = picture.box
            pen = qt.QPen(qt.QColor(_BOX))
            pen.setWidth(2)
            painter.setPen(pen)
            edges = (left * width, top * height, (right - left) * width, (bottom - top) * height)
            painter.drawRect(*map(round, edges))
        if marked:
            _write_across(painter, width, height, 0.5)
    return image


@contextlib.contextmanager
def _painting(device: qt.QImage | qt.QPdfWriter) -> Iterator[qt.QPainter]:
    """A painter that ends before what it paints on goes, whatever happens: one that does not takes
    Slicer down. Nothing may be put off within."""
    painter = qt.QPainter()
    if not painter.begin(device):
        raise NotSaved(_("Qt cannot paint the report."), _("Is there room on the disk?"))
    try:
        yield painter
    finally:
        painter.end()


def _write_across(painter: qt.QPainter, width: float, height: float, opacity: float) -> None:
    """The mark from the lower left to the upper right, as large as fits."""
    font = qt.QFont()
    font.setBold(True)
    font.setPixelSize(max(8, round(min(width, height) / 7)))
    painter.save()
    painter.setFont(font)
    painter.setPen(qt.QColor(_MARK))
    painter.setOpacity(opacity)
    painter.translate(width / 2, height / 2)
    painter.rotate(-35)
    half = round(max(width, height))
    painter.drawText(-half, -half, 2 * half, 2 * half, qt.Qt.AlignCenter, _across())
    painter.restore()


def _write_png(pixels: NDArray[np.uint8], path: str) -> None:
    rows, columns = pixels.shape
    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, 1)
    upwards = np.ascontiguousarray(pixels[::-1]).reshape(-1)  # VTK begins at the bottom
    image.GetPointData().SetScalars(numpy_to_vtk(upwards, deep=True))
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(path)
    writer.SetCompressionLevel(0)  # it is read at once, and goes
    writer.SetInputData(image)
    writer.Write()


def _base64(image: qt.QImage) -> str:
    with tempfile.TemporaryDirectory(prefix="xr2mri-", dir=slicer.app.temporaryPath) as folder:
        path = Path(folder) / "picture.png"
        image.save(str(path), "PNG", 90)  # compressed lightly: in half the time
        return base64.b64encode(path.read_bytes()).decode()


def _write_html(page: Page, path: Path) -> Iterator[None]:
    """One file, its pictures within."""
    sources = {}
    for name, image in page.images.items():
        sources[name] = f"data:image/png;base64,{_base64(image)}"
        yield
    path.write_text(_html(page, sources, _STYLE + _ACROSS), encoding="utf-8")


def _write_pdf(page: Page, path: Path) -> Iterator[None]:
    """One sheet of A4: the page as wide as the sheet, or as high where it is longer."""
    document = qt.QTextDocument()
    for name, image in page.images.items():
        document.addResource(qt.QTextDocument.ImageResource, qt.QUrl(name), image)
    document.setHtml(_html(page, {name: name for name in page.images}, _STYLE))
    document.setTextWidth(_PAGE)
    length = document.size.height()
    yield
    writer = qt.QPdfWriter(str(path))
    writer.setTitle(page.title)
    with _painting(writer) as painter:
        scale = min(writer.width() / _PAGE, writer.height() / length)
        painter.scale(scale, scale)
        document.drawContents(painter)
        _write_across(painter, _PAGE, min(length, writer.height() / scale), 0.25)


def _not_written(path: Path, why: str | None) -> NotSaved:
    message = _("{path} cannot be written: {why}.")
    return NotSaved(message.format(path=path, why=why or _("the disk or its rights refuse it")))
