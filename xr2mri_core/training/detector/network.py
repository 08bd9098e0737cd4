"""The network of the detector with the loss that it learns by."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss

from xr2mri_core.localization.network import KneeSSD

_FEWEST_NEGATIVES = 24


class TrainableKneeSSD(KneeSSD):
    """A `KneeSSD` to be trained: the same weights under the same names.

    ``network([frame, ...], targets)`` gives losses while training. Two things differ from SSD: a
    frame without a knee teaches too (SSD takes its negatives in proportion to its positives, so
    none there), and boxes are also pulled by their generalised IoU (Rezatofighi et al., CVPR 2019).
    """

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
