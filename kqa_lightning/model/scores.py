"""Attention scores in base 2, capped and masked, from which a softmax is made.

A softmax may have any base: 2^(s log2 e) is e^s, and tanh(x) is 2 sigmoid(2x) - 1. On a CPU torch hands exp and tanh to
MKL, which takes fifty times as long for what is masked and eight times for the rest as torch's own exp2 and sigmoid.
The sigmoid is rounded near a half, where tanh is near 0: a score capped at c is off by up to 1e-7 c, whatever it is.
"""

import math

import torch
from torch import Tensor

_LOG2_E = 1 / math.log(2)


def masked_scores(
    products: Tensor, mask: Tensor, scaling: float, softcap: float | None
) -> tuple[Tensor, Tensor | None]:
    """Scores whose powers of 2 are what softmax divides by their sum.

    Args:
        products: fp32 [..., queries, keys], queries times keys; overwritten.
        mask: 0, or as low as its type allows for what is not seen; nothing between. Broadcasts to ``products``.
        scaling: Of the products.
        softcap: Bound c of the scaled products s, which become c tanh(s / c).

    Returns:
        The scores, in base 2, and where there is a cap sigmoid(2 s / c) for `cap_slope`.
    """
    if softcap is None:
        return torch.add(mask, products, alpha=scaling * _LOG2_E), None
    sigmoid = products.mul_(2 * scaling / softcap).sigmoid_()
    bound = softcap * _LOG2_E
    return torch.add(mask.float() - bound, sigmoid, alpha=2 * bound), sigmoid


def cap_slope(sigmoid: Tensor) -> Tensor:
    """The derivative of c tanh(s / c) by s from sigmoid(2 s / c), which is overwritten."""
    return sigmoid.addcmul_(sigmoid, sigmoid, value=-1).mul_(4)
