"""TensorBoard curves that lie in the run folder itself and go on where a run goes on."""

from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only


class Curves(TensorBoardLogger):
    """Lightning's TensorBoard logger, without folders for names and versions.

    Args:
        root: The run folder.
    """

    def __init__(self, root: str | Path) -> None:
        # Soon on disk: a run that is killed loses no more of its curves than this.
        super().__init__(root, name="", version="", default_hp_metric=False, flush_secs=10)

    def go_on_from(self, step: int) -> None:
        """Let TensorBoard drop what a run that was cut off drew from ``step`` on: it is drawn again.

        To be called before the first value is written.
        """
        self._kwargs["purge_step"] = step

    @rank_zero_only
    def save(self) -> None:
        """Nothing: Lightning's writes an hparams.yaml, and the settings are in <command>.yaml."""
