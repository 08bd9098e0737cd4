"""A stock MONAI Label app, for comparison: one model that loads its image as MONAI does.

Becomes the `main.py` of an app folder; nothing of XR2MRI is in it.
"""

from monai.transforms import LoadImage
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType


class Mean(InferTask):
    """Tells the mean of an image."""

    def __init__(self):
        super().__init__(InferType.OTHERS, [], 2, "mean of an image")

    def is_valid(self):
        return True

    def __call__(self, request):
        image = LoadImage(image_only=True)(request["image"])
        return None, {"mean": float(image.mean())}


class StockApp(MONAILabelApp):
    def __init__(self, app_dir, studies, conf):
        super().__init__(app_dir, studies, conf, name="stock")

    def init_infers(self):
        return {"mean": Mean()}
