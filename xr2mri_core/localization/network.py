"""The network of the detector: SSDLite on a narrow MobileNetV3, for squares of one kind.

Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016; Howard et al., "Searching for
MobileNetV3", ICCV 2019 (SSDLite: separable convolutions in the heads). Knees need little of it:
one class, boxes that are square, none smaller than a seventh of the frame. So the backbone has
half its channels and sees one grey channel, three feature maps are kept, and all default boxes
are square.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torchvision.models import mobilenet_v3_large
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteFeatureExtractorMobileNet, SSDLiteHead

FRAME = 256
"""Rows and columns of the frame that the network sees."""
SCALES = (0.14, 0.28, 0.50, 0.95)
"""Sides of the default boxes, as shares of the frame: each map has those of a geometric pair."""


class KneeSSD(SSD):
    """Finds square knee joints in frames.

    ``network([frame, ...])`` gives detections, as `torchvision.models.detection.ssd.SSD` does; a
    frame is a Tensor (1, 256, 256) in [0, 1], a box (left, top, right, bottom) in its pixels. What
    it learns by is in `xr2mri_core.training.detector.network`.

    Args:
        width: channels of the backbone, relative to MobileNetV3-Large.
    """

    def __init__(self, width: float = 0.5) -> None:
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
        backbone = mobilenet_v3_large(
            weights=None, width_mult=width, reduced_tail=True, norm_layer=norm
        ).features
        first = backbone[0][0]
        backbone[0][0] = nn.Conv2d(1, first.out_channels, 3, 2, 1, bias=False)
        stages = [i for i, block in enumerate(backbone) if getattr(block, "_is_cn", False)]
        extractor = SSDLiteFeatureExtractorMobileNet(backbone, stages[-1], norm, width)
        extractor.extra = extractor.extra[:1]
        anchors = DefaultBoxGenerator([[] for _ in SCALES[1:]], scales=list(SCALES))
        with torch.no_grad():
            extractor.eval()
            channels = [m.shape[1] for m in extractor(torch.zeros(1, 1, FRAME, FRAME)).values()]
        head = SSDLiteHead(channels, anchors.num_anchors_per_location(), 2, norm)
        super().__init__(
            extractor,
            anchors,
            (FRAME, FRAME),
            2,
            image_mean=[0.5],
            image_std=[0.25],
            head=head,
            score_thresh=0.02,
            nms_thresh=0.35,
            detections_per_img=6,
            topk_candidates=100,
        )
