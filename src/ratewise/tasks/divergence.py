"""How far a model's predictions are from a teacher's."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pointwise_divergence(teacher: Tensor, outputs: Tensor) -> Tensor:
    """KL(teacher || model) in nats of logits ``(N, K, ...)`` of both, for each place ``(N, ...)``.

    Computed in float32.
    """
    logs, wanted = outputs.float().log_softmax(1), teacher.float().log_softmax(1)
    divergence: Tensor = F.kl_div(logs, wanted, reduction="none", log_target=True).sum(1)
    return divergence
