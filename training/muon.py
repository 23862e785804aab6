"""Muon: momentum whose matrix is made orthogonal, for the hidden convolutions.

Source: Keller Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. A plain chain without
skip connections is badly conditioned; equal singular values in each update are what it gains most from. The first and
last layer, biases and slopes belong to AdamW (they are not maps between hidden features).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def orthogonal(update: Tensor, steps: int = 5) -> Tensor:
    """Return about U V' of the singular value decomposition of a (rows, columns) matrix (Newton-Schulz, quintic)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x: Tensor = update / (update.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    if tall:
        x = x.T
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(Optimizer):
    """:param parameters: convolution weights (out, in, kh, kw), seen as (out, in*kh*kw) matrices."""

    def __init__(self, parameters: Iterable[Tensor], *, lr: float = 0.01, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # there is no loss to return
        """Update every weight that has a gradient."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                self._update(parameter, group)

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        if parameter.grad is None:
            return
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        gradient, momentum = parameter.grad, state["momentum"]
        momentum.lerp_(gradient, 1 - group["momentum"])
        update = gradient.lerp(momentum, group["momentum"])  # Nesterov
        matrix = orthogonal(update.flatten(1))
        # One root-mean-square per element whatever the shape: rates carry over between widths.
        size = (max(matrix.size(0), matrix.size(1))) ** 0.5
        parameter.add_(matrix.view_as(parameter), alpha=-group["lr"] * 0.2 * size)
