"""``xr2mri info``, ``app`` and ``weights``: what is installed, and what can be brought."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from xr2mri_core.cli.options import Commands, refuse


def add(commands: Commands) -> None:
    """Declare the commands."""
    info = commands.add("info", _info, "versions and the bundle's model, or the form of features")
    info.add_argument("--form", action="store_true", help="JSON schema of the feature form instead")
    info.add_argument("--bundle", type=Path, help="MONAI bundle (default: the shipped one)")

    commands.add("app", _app, "print the folder of the app, for monailabel start_server --app")

    importer = commands.group("weights", "bring pretrained weights").add(
        "import", _weights_import, "Zero-123 and CLIP checkpoints"
    )
    importer.add_argument("kind", choices=("zero123", "clip"))
    importer.add_argument("source", type=Path, help="the checkpoint: .ckpt, .pt or .safetensors")
    importer.add_argument("out", type=Path, help="safetensors file to write, or to add to")


def _info(arguments: argparse.Namespace) -> None:
    if arguments.form:
        refuse(arguments, {"bundle": "--bundle"}, "is not for --form: one form serves all bundles")
        from xr2mri_core.features import form_schema

        print(json.dumps(form_schema(), indent=2))
        return
    from xr2mri_core.bundle import describe_bundle, versions
    from xr2mri_core.devices import name_of_best_device

    info = {
        "versions": versions(),
        "device": name_of_best_device(),
        "bundle": describe_bundle(arguments.bundle),
    }
    print(json.dumps(info, indent=2))


def _app(arguments: argparse.Namespace) -> None:
    from xr2mri_core.shipped import app_folder

    print(app_folder())


def _weights_import(arguments: argparse.Namespace) -> None:
    from xr2mri_core.networks import pretrained

    print(pretrained.import_weights(arguments.kind, arguments.source, arguments.out))
