"""Reading TensorBoard's files back."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def events(folder: Path) -> EventAccumulator:
    """Everything that TensorBoard would show of a run folder."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    """A curve as (step, value); empty where there is none."""
    accumulator = events(folder)
    if name not in accumulator.Tags()["scalars"]:
        return []
    return [(event.step, event.value) for event in accumulator.Scalars(name)]


def texts(folder: Path, name: str) -> dict[int, str]:
    """What the text tab shows under ``name``, by step."""
    return {
        event.step: event.tensor_proto.string_val[0].decode("utf-8")
        for event in events(folder).Tensors(f"{name}/text_summary")
    }
