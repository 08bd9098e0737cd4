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
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import mobilenet_v3_large
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteFeatureExtractorMobileNet, SSDLiteHead
from torchvision.ops import generalized_box_iou_loss

FRAME = 256
"""Rows and columns of the frame that the network sees."""
SCALES = (0.14, 0.28, 0.50, 0.95)
"""Sides of the default boxes, as shares of the frame: each map has those of a geometric pair."""
_FEWEST_NEGATIVES = 24


class KneeSSD(SSD):
    """Finds square knee joints in frames.

    ``network([frame, ...], targets)`` gives losses while training, else detections, as
    `torchvision.models.detection.ssd.SSD` does; a frame is a Tensor (1, 256, 256) in
    [0, 1], a box (left, top, right, bottom) in its pixels. Two things differ from SSD: a frame
    without a knee teaches too (SSD takes its negatives in proportion to its positives, so none
    there), and boxes are also pulled by their generalised IoU (Rezatofighi et al., CVPR 2019).

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

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        """SSD's loss, with a floor under the negatives and the generalised IoU."""
        matched = torch.stack(matched_idxs)  # (B, A), negative where there is no knee
        knee = matched >= 0
        frame, anchor = knee.nonzero(as_tuple=True)
        boxes = torch.cat(
            [t["boxes"][m[k]] for t, m, k in zip(targets, matched, knee, strict=True)]
        )
        default = torch.stack(anchors)[frame, anchor]
        offset = head_outputs["bbox_regression"][frame, anchor]
        aim = self.box_coder.encode_single(boxes, default)
        found = self.box_coder.decode_single(offset, default)
        count = max(1, len(frame))
        entropy = F.cross_entropy(
            head_outputs["cls_logits"].transpose(1, 2), knee.long(), reduction="none"
        )
        rank = entropy.detach().masked_fill(knee, -1.0).argsort(1, descending=True).argsort(1)
        hard = rank < (3 * knee.sum(1, keepdim=True)).clamp_min(_FEWEST_NEGATIVES)
        return {
            "offset": F.smooth_l1_loss(offset, aim, reduction="sum", beta=0.5) / count,
            "iou": 2 * generalized_box_iou_loss(found, boxes, reduction="sum") / count,
            "knee": entropy[knee | hard].sum() / count,
        }
