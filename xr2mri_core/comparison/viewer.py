"""The viewer's data: volumes as pictures that the page unpacks, and its controls.

NiiVue (npm: @niivue/niivue, BSD-2-Clause) was looked at and is not used. It draws each volume by
WebGL 2 in a context of its own, of which a browser keeps about 16 alive; a report shows the truth
beside more rows than that. It would add 2.9 MB of script to every report and a download from npm to
every build. And greys that pass through a graphics card cannot be held to the volume's by a test to
the last bit. What a reader needs here, three linked planes, takes 170 lines (`page/viewer.js`).
"""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xr2mri_core.comparison.results import Results
from xr2mri_core.comparison.volumes import case_title, volumes_of
from xr2mri_core.geometry import FIELD_OF_VIEW_MM, WINDOW_MM

PLANES = ("coronal", "sagittal", "axial")
TIMES = 2
"""Pixels of the side that one pixel of the viewer stands for."""
FIRST = 6
"""Volumes that are shown at first; a reader may choose others."""


def controls() -> str:
    """Choice of case and volumes, and a slider for each plane."""
    sliders = "".join(
        f'<label><span id="label-{plane}">{plane}</span><br>'
        f'<input type="range" id="slider-{plane}" min="0" max="1" value="0"></label>'
        for plane in PLANES
    )
    return (
        "<p>The same point of the knee in every volume: scroll over a picture, click into it, or "
        "use the sliders. Coronal and axial pictures have the medial side on the right hand, "
        "sagittal ones the front.</p>"
        f'<div class="controls"><label>case <select id="case"></select></label>{sliders}'
        '<label><input type="checkbox" id="crosshair" checked> crosshair</label></div>'
        '<div class="controls" id="chosen"></div><div id="viewer"></div>'
    )


def data(results: Results) -> str:
    """The viewer's data as JSON: volumes as PNG pictures, slice below slice."""
    by_case: dict[str, Any] = {str(item["case"]): item for item in results.test}
    wide, deep = FIELD_OF_VIEW_MM, WINDOW_MM
    cases = []
    for case in results.shown:
        volumes = [(title, smaller(v)) for title, v in volumes_of(results, case).items()]
        if volumes:
            cases.append(
                {
                    "title": case_title(by_case[case]),
                    "shape": list(volumes[0][1].shape),
                    "millimetres": {"coronal": [wide, wide], "sagittal": [deep, wide],
                                    "axial": [wide, deep]},
                    "volumes": [{"title": t, "source": as_picture(v)} for t, v in volumes],
                }
            )  # fmt: skip
    return json.dumps({"cases": cases, "first": FIRST}).replace("</", "<\\/")


def smaller(slices: NDArray[np.floating[Any]], times: int = TIMES) -> NDArray[np.uint8]:
    """Slices (n, H, W) in [0, 1] -> uint8 (n, H/times, W/times), means of `times` x `times`."""
    count, height, width = (len(slices), *(side // times for side in slices.shape[1:]))
    part = slices[:, : height * times, : width * times]
    mean = part.reshape(count, height, times, width, times).mean((2, 4))
    return np.rint(mean * 255).astype(np.uint8)


def as_picture(voxels: NDArray[np.uint8]) -> str:
    """uint8 (n, h, w) -> data address of a grey PNG, slice below slice."""
    buffer = io.BytesIO()
    Image.fromarray(voxels.reshape(-1, voxels.shape[2])).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
