"""Which of the DICOM database's pictures may be radiographs."""

RADIOGRAPHS = ("CR", "DX", "RG", "DR", "XR", "OT", "SC", "RF", "XA", "PX")
"""DICOM modalities that the server reads; a test holds this to its list."""


def is_radiograph(modality: str) -> bool:
    """Whether a picture of a modality is worth sending; empty where nothing tells."""
    return modality.strip().upper() in ("", *RADIOGRAPHS)
