"""The model as MONAI Label's own interface sees it: `/info/`, and inference without HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from monai_app.lib.parameters import GenerationParameters, parameter_schema
from monai_app.lib.service import GenerationService
from xr2mri_core.export import write_generated
from xr2mri_core.volume import KINDS, NOTICE

_schema = cache(parameter_schema)


class KneeMRITask(InferTask):
    """Generates a volume for `app.infer({"model": ..., "image": path, ...})`.

    Args:
        service: the service that has the model.
        model: name of the model.
    """

    def __init__(self, service: GenerationService, model: str) -> None:
        super().__init__(
            type=InferType.OTHERS,
            labels=[],
            dimension=2,
            description=f"Coronal knee MRI from one radiograph and graded features: {NOTICE}",
        )
        self.service, self.model = service, model

    def is_valid(self) -> bool:
        return True  # a model without weights is offered, and says so when it is asked for

    def info(self) -> dict[str, Any]:
        """The task's description, with ranges and defaults, the weights' digest and model card.

        `demographics` is the form of age, sex and BMI where this model is guided by them. Of the
        `parameters`, `kind` and `samples` accept what this model can give.
        """
        card = dict(self.service.card(self.model) or {})
        return {
            **super().info(),
            "notice": NOTICE,
            "parameters": _schema(tuple(card.pop("kinds", KINDS))),
            "demographics": card.pop("demographics", None),
            "weights": card or None,
        }

    def config(self) -> dict[str, Any]:
        return {}  # stock clients send back what stands here

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Generate in line with all others; the file is the caller's, who named its folder.

        Args:
            request: `image` (path), `output_dir`, and any parameter of `GenerationParameters`.
        """
        names = GenerationParameters.model_fields.keys()
        given = {key: value for key, value in request.items() if key in names}
        parameters, _ = GenerationParameters.from_json(given)
        radiograph = self.service.read(self.model, Path(request["image"]), parameters)
        generation = self.service.prepare(self.model, radiograph, parameters)
        job = generation.lined_up(self.service.queue)
        job.wait()
        if job.error is not None:
            raise job.error
        written = write_generated(job.result, Path(request["output_dir"]))
        return str(written["volume"]), dict(job.result.record)
