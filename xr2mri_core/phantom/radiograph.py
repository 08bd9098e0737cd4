"""The phantom's X-ray room: a posteroanterior fixed-flexion radiograph of the painted knee.

The chain is the physical one: `project` integrates attenuation along diverging rays,
`trabecular_texture` adds the bone architecture that is finer than a voxel, `expose`
turns path integrals into a 12-bit image "for presentation". `take_radiograph` runs it.

In a fixed-flexion view the patella touches the detector and the beam comes from behind, 10 degrees
caudal, while the tibia leans forward by about 15 degrees: seen from the tibia the beam *rises*
towards the front, about parallel to the posteriorly sloping plateau, which is what opens the joint
space (Peterfy et al., Skeletal Radiol 2003;32:128). The phantom's knee stands upright, so the beam
takes that angle.
"""

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from xr2mri_core.geometry import FIELD_OF_VIEW_MM

from .tissues import TRABECULAR

SLABS = 36
"""Planes that the knee is collapsed to before they are magnified one by one."""
WHITE = 4095
"""Largest pixel value of the 12-bit image."""
_STREAM = 32  # of the X-ray unit's random numbers, within those of a seed


@dataclass(frozen=True, slots=True)
class Beam:
    """One exposure of the X-ray unit. Lengths in mm, angles in degrees.

    Attributes:
        size: rows and columns of the square detector field.
        spacing_mm: pixel size at the detector (DICOM's ImagerPixelSpacing).
        source_to_detector_mm: 72 inches in the OAI protocol.
        skin_to_detector_mm: air and cassette between the patella and the detector.
        tilt_deg: how much the beam rises from back to front in the frame of the tibia.
        centre_mm: where the central ray passes, (medial, superior) of the middle of the volume.
        focal_spot_mm: size of the focal spot.
        detector_blur_mm: standard deviation of the detector's point spread.
        scatter_ratio: scatter over primary behind the middle of the knee.
        quanta: detected quanta per square millimetre behind soft tissue.
        kvp: tube voltage.
        mas: tube charge.
        brightness, contrast: offset and slope of the presentation curve, in units of path integral
            and per such unit.
        equalisation: share of the low frequencies that the processing takes away, in [0, 1).
        shutters: pixels hidden by collimation at the top, left, bottom and right.
        magnification: magnification of the middle of the joint on the detector; follows from the
            size of the leg.
    """

    size: int = 512
    spacing_mm: float = 0.31
    source_to_detector_mm: float = 1830.0
    skin_to_detector_mm: float = 8.0
    tilt_deg: float = 5.0
    centre_mm: tuple[float, float] = (0.0, 0.0)
    focal_spot_mm: float = 1.2
    detector_blur_mm: float = 0.16
    scatter_ratio: float = 0.35
    quanta: float = 22000.0
    kvp: float = 70.0
    mas: float = 10.0
    brightness: float = 0.0
    contrast: float = 1.0
    equalisation: float = 0.35
    shutters: tuple[int, int, int, int] = (0, 0, 0, 0)
    magnification: float = 1.035

    def to_dict(self) -> dict[str, object]:
        """The parameters as JSON-ready values."""
        return {
            name: [*value] if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def sample_beam(rng: np.random.Generator, plateau_slope: float = 6.0) -> Beam:
    """Draws an exposure; the technician aligns it to the plateau within about 2.5 degrees."""
    shutters = np.where(rng.random(4) < 0.3, rng.integers(4, 26, 4), 0)
    return Beam(
        spacing_mm=round(float(rng.uniform(0.29, 0.325)), 4),
        skin_to_detector_mm=float(rng.uniform(4, 14)),
        tilt_deg=float(plateau_slope - 1 + 2.5 * np.clip(rng.standard_normal(), -2, 2)),
        centre_mm=(float(rng.normal(0, 1.2)), float(rng.normal(0, 1.5))),
        focal_spot_mm=float(rng.uniform(0.9, 1.4)),
        detector_blur_mm=float(rng.uniform(0.12, 0.22)),
        scatter_ratio=float(rng.uniform(0.25, 0.55)),
        quanta=float(np.exp(rng.uniform(np.log(12000), np.log(45000)))),
        kvp=float(rng.integers(60, 76)),
        mas=round(float(rng.uniform(5, 16)), 1),
        brightness=float(rng.normal(0, 0.12)),
        contrast=float(np.exp(rng.normal(0, 0.10))),
        equalisation=float(rng.uniform(0.2, 0.5)),
        shutters=(int(shutters[0]), int(shutters[1]), int(shutters[2]), int(shutters[3])),
    )


def collapse(volume: Tensor, slices_y: Tensor, slabs: int) -> tuple[Tensor, Tensor]:
    """Sums neighbouring slices into slabs, each slice times its thickness.

    Args:
        volume: Tensor (n, H, W), any quantity per mm.
        slices_y: Tensor (n,), y of the slices in mm, ascending; the spacing may vary.
        slabs: how many to make, of about equal extent along y.

    Returns:
        Integrals Tensor (m, H, W) with m <= slabs, and their y in mm, Tensor (m,).
    """
    thickness = torch.gradient(slices_y)[0]
    extent = thickness.sum() / slabs
    middle = thickness.cumsum(0) - thickness / 2
    _, group = torch.unique_consecutive((middle / extent).long(), return_inverse=True)
    weight = F.one_hot(group).T.float() * thickness  # (m, n)
    integrals = (weight @ volume.flatten(1)).view(-1, *volume.shape[1:])
    return integrals, (weight @ slices_y) / weight.sum(1)


def project(
    volume: Tensor,
    slices_y: Tensor,
    beam: Beam,
    detector_y: float,
    slabs: int = SLABS,
    width_mm: float = FIELD_OF_VIEW_MM,
) -> Tensor:
    """Line integrals of a volume on the detector, by magnifying and shifting one slab at a time.

    Args:
        volume: Tensor (n, rows, columns), a quantity per mm, as pictures of a right knee from
            posterior to anterior, at any resolution. Beyond it the edge goes on.
        slices_y: Tensor (n,), y of the slices in mm, ascending; y = 0 is the middle of the joint.
        beam: geometry of the exposure.
        detector_y: y of the detector in mm.
        slabs: how finely magnification and tilt follow the depth.
        width_mm: how wide the pictures are.

    Returns:
        Tensor (size, size), the integral in units of the quantity times mm.
    """
    planes, y = collapse(volume.float(), slices_y, slabs)
    voxel_mm = width_mm / volume.shape[-1]
    rise = math.tan(math.radians(beam.tilt_deg))
    magnification = beam.source_to_detector_mm / (beam.source_to_detector_mm - (detector_y - y))
    # A detector point shows, on the plane at y, the point at `u / magnification` from the central
    # ray; the tilted central ray is lower behind the joint (y < 0) and higher before it.
    u = (torch.arange(beam.size) - (beam.size - 1) / 2) * beam.spacing_mm
    across = u / magnification[:, None] + beam.centre_mm[0]
    down = u / magnification[:, None] - beam.centre_mm[1] - rise * y[:, None]
    rows = _interpolation(down / voxel_mm, planes.shape[1])  # (m, size, H)
    columns = _interpolation(across / voxel_mm, planes.shape[2])  # (m, size, W)
    partial = torch.bmm(rows, planes).transpose(0, 1).flatten(1)  # (size, m * W)
    return partial @ columns.transpose(0, 1).flatten(1).T / math.cos(math.radians(beam.tilt_deg))


def _interpolation(offset: Tensor, count: int) -> Tensor:
    """Linear interpolation as matrices: voxels from the centre (m, n) -> Tensor (m, n, count)."""
    position = (offset + (count - 1) / 2).clamp(0, count - 1)
    return (1 - (position[..., None] - torch.arange(count)).abs()).clamp_min_(0)


def trabecular_texture(thickness: Tensor, spacing_mm: float, generator: torch.Generator) -> Tensor:
    """Trabeculae, finer than a voxel, as a change of the path integral.

    Mostly vertical plates and struts, as load has drawn them in femur and tibia, with a weaker
    isotropic web between. Independent layers add up like noise, so the amplitude grows with the
    square root of the bone passed.

    Args:
        thickness: Tensor (H, W), projected length in trabecular bone, mm.
        spacing_mm: pixel size.
        generator: draws the pattern.

    Returns:
        Tensor (H, W), zero on average, about 0.03 in 40 mm of bone.
    """
    height, width = thickness.shape
    fy = torch.fft.fftfreq(height, spacing_mm)[:, None]
    fx = torch.fft.rfftfreq(width, spacing_mm)[None]

    def pattern(along_mm: float, across_mm: float, lean_deg: float) -> Tensor:
        lean = math.radians(lean_deg)
        along = math.cos(lean) * fy + math.sin(lean) * fx
        across = -math.sin(lean) * fy + math.cos(lean) * fx
        ring = (across.abs() * across_mm - 0.35) / 0.18  # a preferred distance between struts
        gain = torch.exp(-((along * along_mm) ** 2)) * (
            torch.exp(-(ring**2)) + 0.5 * torch.exp(-((across * across_mm * 1.6) ** 2))
        )
        white = torch.randn(height, width, generator=generator)
        field = torch.fft.irfft2(torch.fft.rfft2(white) * gain, s=(height, width))
        return field / field.std()

    mix = torch.randn((1, 1, 6, 6), generator=generator)
    mix = torch.sigmoid(2 * F.interpolate(mix, (height, width), mode="bicubic")[0, 0])
    striping = mix * pattern(9.0, 0.62, 5.0) + (1 - mix) * pattern(9.0, 0.62, -6.0)
    web = pattern(0.9, 0.55, 90.0)
    return 0.0043 * torch.sqrt(thickness.clamp_min(0)) * (striping + 0.45 * web)


def expose(path_integral: Tensor, beam: Beam, generator: torch.Generator) -> np.ndarray:
    """From path integrals to the picture: Beer-Lambert, scatter, blur, noise, presentation curve.

    Args:
        path_integral: Tensor (H, W), the integral of mu along each ray.
        beam: dose, blur, scatter and processing.
        generator: draws the noise.

    Returns:
        uint16 (H, W), 12 bits, bone bright.
    """
    primary = torch.exp(-path_integral)  # I / I0
    tissue = torch.quantile(path_integral[path_integral > 0.5][::97], 0.5).item()
    # singly scattered quanta: born in proportion to what is passed, attenuated like the primary
    scatter = _wide_blur(path_integral * primary, 28.0 / beam.spacing_mm) / tissue
    intensity = primary + beam.scatter_ratio * scatter

    penumbra = beam.focal_spot_mm * 65 / beam.source_to_detector_mm / math.sqrt(12)
    blur = math.hypot(penumbra, beam.detector_blur_mm) / beam.spacing_mm
    quanta = intensity * beam.quanta * beam.spacing_mm**2 * math.exp(tissue)
    quanta = _blur(quanta, blur)
    noise = torch.randn(quanta.shape, generator=generator)
    quanta = (quanta + quanta.sqrt() * _blur(noise, 0.45)).clamp_min(1)

    density = math.log(beam.quanta * beam.spacing_mm**2) - quanta.log()  # 0 in soft tissue
    processed = density - beam.equalisation * _wide_blur(density, 16.0 / beam.spacing_mm)
    shown = torch.sigmoid(2.0 * beam.contrast * (processed - 0.34 + beam.brightness))
    picture = (shown * WHITE).round_().clamp_(0, WHITE)
    top, left, bottom, right = beam.shutters
    height, width = picture.shape
    window = torch.zeros_like(picture)
    window[top : height - bottom, left : width - right] = 1
    return (picture * window).to(torch.int32).numpy().astype(np.uint16)


def take_radiograph(
    mu: Tensor,
    labels: Tensor,
    slices_y: Tensor,
    seed: int,
    plateau_slope: float = 6.0,
    beam: Beam | None = None,
) -> tuple[np.ndarray, Beam]:
    """A radiograph of a painted knee.

    Args:
        mu: Tensor (n, rows, columns), linear attenuation in 1/mm, pictures of a right knee, 160 mm
            wide, from posterior to anterior. The whole leg, not only the imaged slab.
        labels: Tensor (n, rows, columns), the label map, uint8.
        slices_y: Tensor (n,), y of the slices in mm, ascending; the spacing may vary.
        seed: draws the exposure, the trabeculae and the noise.
        plateau_slope: posterior slope of the tibial plateau in degrees, which the beam follows.
        beam: a given exposure instead of a drawn one.

    Returns:
        uint16 (H, W), 12 bits, bone bright; and the exposure, with its pixel spacing.
    """
    rng = np.random.default_rng([seed, _STREAM])
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    beam = beam or sample_beam(rng, plateau_slope)
    slices_y = torch.as_tensor(slices_y, dtype=torch.float32)
    body = slices_y[mu.flatten(1).amax(1) > 0]
    detector_y = float(body[-1] if len(body) else slices_y[-1]) + beam.skin_to_detector_mm
    trabecular = torch.isin(labels[:, ::2, ::2], torch.tensor(TRABECULAR, dtype=labels.dtype))
    thickness = project(trabecular, slices_y, beam, detector_y, slabs=8)
    path = project(mu, slices_y, beam, detector_y)
    path = path + trabecular_texture(thickness, beam.spacing_mm, generator)
    distance = beam.source_to_detector_mm
    beam = replace(beam, magnification=round(distance / (distance - detector_y), 4))
    return expose(path.clamp_min(0), beam, generator), beam


def _blur(picture: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of a picture (H, W), sigma in pixels, with the edge continued."""
    if sigma < 0.05:
        return picture
    radius = math.ceil(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(picture[None, None], [radius] * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))[0, 0]


def _wide_blur(picture: Tensor, sigma: float) -> Tensor:
    """The same for a large sigma, at an eighth of the resolution."""
    small = F.avg_pool2d(picture[None, None], 8, ceil_mode=True)[0, 0]
    wide = _blur(small, sigma / 8)
    return F.interpolate(wide[None, None], picture.shape, mode="bilinear")[0, 0]
