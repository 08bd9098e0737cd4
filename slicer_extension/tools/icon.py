"""Draws the extension's icon: a joint, half of it a radiograph, half of it a magnetic resonance.

python slicer_extension/tools/icon.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

OUT = Path(__file__).resolve().parents[1] / "XR2MRI" / "Resources" / "Icons" / "XR2MRI.png"
SIZE, SCALE = 128, 8
RADIOGRAPH = {"ground": (24, 28, 36), "bone": (214, 222, 232), "edge": (250, 252, 255)}
RESONANCE = {"ground": (16, 74, 92), "bone": (250, 176, 66), "edge": (255, 226, 160)}


def main() -> None:
    side = SIZE * SCALE
    icon = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    halves = (RADIOGRAPH, (0, 0, side // 2, side)), (RESONANCE, (side // 2, 0, side, side))
    for colours, half in halves:
        icon.paste(joint(side, colours).crop(half), half[:2])
    corners = Image.new("L", (side, side), 0)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, side - 1, side - 1), side // 7, fill=255)
    icon.putalpha(corners)
    draw = ImageDraw.Draw(icon)
    draw.line((side // 2, 0, side // 2, side), fill=(255, 255, 255, 255), width=side // 64)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    icon.resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(OUT, optimize=True)


def joint(side: int, colours: dict[str, tuple[int, int, int]]) -> Image.Image:
    """Femur over tibia, seen from the front, in a square of `side` pixels."""
    image = Image.new("RGBA", (side, side), (*colours["ground"], 255))
    draw = ImageDraw.Draw(image)

    def bone(fill: tuple[int, int, int], grow: float) -> None:
        def box(left: float, top: float, right: float, bottom: float, radius: float) -> None:
            edges = (left - grow, top - grow, right + grow, bottom + grow)
            draw.rounded_rectangle([e * side for e in edges], (radius + grow) * side, fill=fill)

        box(0.37, -0.2, 0.63, 0.32, 0.05)  # shaft of the femur
        box(0.20, 0.24, 0.485, 0.50, 0.12)  # its condyles
        box(0.515, 0.24, 0.80, 0.50, 0.12)
        box(0.30, 0.22, 0.70, 0.38, 0.06)
        box(0.18, 0.56, 0.82, 0.68, 0.04)  # plateau of the tibia
        box(0.34, 0.60, 0.66, 1.2, 0.08)  # its shaft

    bone(colours["edge"], 0.02)
    bone(colours["bone"], 0.0)
    return image


if __name__ == "__main__":
    main()
