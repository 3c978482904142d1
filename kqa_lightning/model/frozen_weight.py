"""Weights of frozen projections out of their 4 bits: for training in fp32."""

from typing import Any, cast

from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from torch import Tensor


class FrozenWeight:
    """The weight of a projection that learns nothing itself, whether it is in 4 bits or not.

    Args:
        base: The projection.
        is_kept: Whether a weight that came out of its 4 bits on a CPU is to stay, until another is in its place or,
            as far as PyTorch counts that, it or its scales were written to: through ``.data`` it does not.
    """

    def __init__(self, base: Any, *, is_kept: bool) -> None:
        self._base = base
        self._is_kept = is_kept
        self._kept: Tensor | None = None
        # What it came out of: held, so that nothing else comes to lie there unnoticed.
        self._source: tuple[Tensor, int, Any, Tensor, int] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without what is kept: a copy gets its own out."""
        return {**self.__dict__, "_kept": None, "_source": None}

    def whole(self) -> Tensor:
        """It in fp32, [out, in]."""
        weight: Any = self._base.weight
        if type(self._base) is not Linear4bit:
            return cast(Tensor, weight)
        if not self._is_kept or weight.device.type != "cpu":
            self._kept = self._source = None
            return dequantize_4bit(weight.data, weight.quant_state)
        if self._kept is None or not self._is_source(weight):
            self._kept = dequantize_4bit(weight.data, weight.quant_state)
            state = weight.quant_state
            self._source = weight.data, weight._version, state, state.absmax, state.absmax._version
        return self._kept

    def _is_source(self, weight: Any) -> bool:
        """Whether what is kept came out of this weight as it is now."""
        if self._source is None:
            return False
        data, version, state, scales, scales_version = self._source
        is_same = data.data_ptr() == weight.data_ptr() and version == weight._version and state is weight.quant_state
        return is_same and scales is state.absmax and scales_version == scales._version
