"""What the module XR2MRI is made of. The HTTP side (`client`, `worker`, `form` and what they use)
knows neither Qt nor MRML, so scripts, tests and the command line use it without 3D Slicer.

Runs on Python 3.9 to 3.12 with numpy and requests, which Slicer bundles.
"""
