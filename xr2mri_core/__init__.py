"""XR2MRI: a knee MRI volume generated from one radiograph. For research, never for diagnosis."""

__version__ = "0.1.0"
