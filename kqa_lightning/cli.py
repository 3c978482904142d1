"""The command line's LightningCLI: which classes, which defaults, which links."""

import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

import callbacks  # also makes their names known to `class_path`
from kqa_lightning import __version__
from kqa_lightning.__main__ import TRAINER_COMMANDS
from kqa_lightning.arguments import KQAArgumentParser
from kqa_lightning.checkpoints import CheckpointFiles
from kqa_lightning.companions import companion, expect_companions, hear_companions
from kqa_lightning.config_files import ConfigFile
from kqa_lightning.curves import Curves
from kqa_lightning.data.datamodule import KQADataModule
from kqa_lightning.errors import KQAError
from kqa_lightning.loops.crossfit import Crossfit, Run
from kqa_lightning.loops.plan import decides_answers
from kqa_lightning.messages import is_another, rank
from kqa_lightning.model.module import KQAModule
from kqa_lightning.processes import in_all_processes, launcher_of_others, lost_connection
from kqa_lightning.run_folder import LAST
from kqa_lightning.trainer import KQATrainer

STOPPED = "stopped"
TRAINER_DEFAULTS = {
    "default_root_dir": "runs",
    "max_epochs": 1,
    "devices": 1,
    "log_every_n_steps": 1,
    # A validation before training would move the random generators, and says nothing of the training.
    "num_sanity_val_steps": 0,
    "enable_checkpointing": False,  # RunCheckpoint does it
    "enable_model_summary": False,
    "use_distributed_sampler": False,  # the data module's batch sampler knows its place
}


class KQACLI(LightningCLI):
    """One group of settings for each part, the same ones for every command, so that one YAML serves all."""

    module_class = KQAModule

    def __init__(self, args: list[str], run: bool = True) -> None:
        self._commands = [command for command in TRAINER_COMMANDS if command in args[:1]]
        super().__init__(
            self.module_class,
            KQADataModule,
            trainer_class=KQATrainer,
            trainer_defaults=dict(TRAINER_DEFAULTS),
            save_config_callback=callbacks.RunConfig,
            seed_everything_default=0,
            parser_class=KQAArgumentParser,
            parser_kwargs={"allow_abbrev": False},
            args=args,
            run=run,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # theirs is static: it knows no arguments
        """The command that is asked for, with those of its arguments that are no options.

        A parser of each of the others, which nobody would use, takes longer to make than all the rest of the parsing.
        """
        return {command: {"model", "datamodule"} for command in self._commands}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """A parser whose --config finds the bundled configurations by name."""
        parser = self.parser_class(dump_header=[f"kqa_lightning {__version__}"], **kwargs)
        parser.add_argument("-c", "--config", action=ConfigFile, help="A YAML file, or the name of a bundled one.")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Groups beside trainer, model and data, and what follows from another setting."""
        parser.add_lightning_class_args(callbacks.RunCheckpoint, "checkpoint")
        parser.add_lightning_class_args(callbacks.AnswerEvaluation, "answer_evaluation")
        parser.add_lightning_class_args(callbacks.FiniteGuard, "finite_guard")
        parser.add_lightning_class_args(callbacks.PredictionWriter, "prediction_writer")
        parser.add_class_arguments(Crossfit, "crossfit")
        parser.link_arguments("model.base_model", "data.base_model")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse, and keep the checkpoint's path from LightningCLI, which would take settings from the file."""
        assert isinstance(args, list)
        self.config = parser.parse_args(args)
        config = self.config.get(str(self.config.get("subcommand")), self.config)
        self.ckpt_path = config.pop("ckpt_path")
        seed = config.seed_everything
        if not isinstance(seed, bool) and not 0 <= seed < 2**32:
            raise KQAError(f"--seed_everything {seed}: it is to be from 0 to {2**32 - 1}")

    def before_instantiate_classes(self) -> None:
        """Name the file that the settings are saved in after the command."""
        self.save_config_kwargs = {"config_filename": f"{self.subcommand}.yaml"}

    def instantiate_trainer(self, **kwargs: object) -> Trainer:
        """The trainer, with curves in its root dir where it trains."""
        given = self._get(self.config_init, "trainer")
        logger = given["logger"]
        if self.subcommand not in ("fit", "test", "crossfit"):
            logger = False
        elif logger in (None, True):
            logger = Curves(given["default_root_dir"])
        steps = [callbacks.CurveSteps()] if logger else []
        monitors = [LearningRateMonitor("step"), callbacks.Throughput()] if logger else []
        plugins = given["plugins"] or []
        # New ones for every trainer: they keep what they have said. They come after those that answer and write.
        self.trainer_defaults["callbacks"] = [
            *([callbacks.AnswerProgress()] if _wants_progress(given) else []),
            *(callbacks.StartNote(), callbacks.ResultPrinter(), callbacks.SignalExit()),
        ]
        trainer = super().instantiate_trainer(
            logger=logger,
            callbacks=[*steps, *_as_list(given["callbacks"]), *monitors],
            plugins=[*_as_list(plugins), CheckpointFiles()],
            **kwargs,
        )
        assert isinstance(trainer, KQATrainer)
        self.expect_others(trainer)
        return trainer

    def expect_others(self, trainer: KQATrainer) -> None:
        """Make ready for the other processes of a command, which this one is about to start."""
        if (launcher := launcher_of_others(trainer)) is not None:
            expect_companions(launcher)

    def after_instantiate_classes(self) -> None:
        """Give the command its checkpoint's path."""
        self.config_init[self.subcommand]["ckpt_path"] = self.ckpt_path

    def crossfit(self, ckpt_path: str | None, **_: object) -> None:
        """Run the folds, each with classes of its own; the settings are those of the command line."""
        if ckpt_path not in (None, LAST):
            raise KQAError(f"--ckpt_path {ckpt_path}: crossfit goes on from last, or begins")
        given, loop = self.config["crossfit"], self._get(self.config_init, "crossfit")
        settings = {name: value for name, value in vars(given.as_flat()).items() if decides_answers(name)}
        run = self._run()
        if run.trainer.world_size > 1:  # they decide what a step learns from; a single one is not spoken of
            settings["processes"] = run.trainer.world_size
        folds = loop.begin(run, settings, go_on=ckpt_path == LAST)
        try:
            for callback in run.trainer.callbacks:
                if isinstance(callback, callbacks.RunConfig):
                    callback.save(run.trainer)
            in_all_processes(run.trainer, lambda: loop.run(folds, self._run_in, given.seed_everything))
        finally:
            folds.folder.let_go()

    def _run_in(self, root: Path) -> Run:
        """A trainer, a module and a data module of their own, over a folder."""
        settings = self.config["crossfit"]
        settings.trainer.default_root_dir = str(root)
        settings.prediction_writer.path = None
        self.instantiate_classes()
        return self._run()

    def _run(self) -> Run:
        assert isinstance(self.trainer, KQATrainer)
        return Run(self.trainer, self.model, self.datamodule)


def run(args: list[str]) -> int:
    """Run a command and return its exit status; see `kqa_lightning.__main__.main`."""
    return run_cli(lambda: KQACLI(args))


def run_cli(work: Callable[[], object]) -> int:
    """Do the work of a command; return its exit status, with one line on stderr for what went wrong."""
    first = companion()
    if first is None:
        status, text = outcome(work)
        if is_another():  # started by torchrun or SLURM; the first says that they stop, and each what is wrong with it
            text = "" if text == STOPPED else text.replace("error: ", f"error: process {rank()}: ", 1)
        if text:
            print(text, file=sys.stderr, flush=True)
        return status
    try:
        status, text = outcome(work)
    except Exception:  # a fault of ours: the first process prints it, or it would say that this one was killed
        status, text = 1, traceback.format_exc()
    first.end(status, text)
    return status


def outcome(work: Callable[[], object]) -> tuple[int, str]:
    """The exit status of the work, and what is to be said where it is not 0."""
    try:
        _quieten()
        work()
    except KQAError as error:
        return _refused(str(error))
    except MisconfigurationException as error:  # Lightning's, which names no flag
        return _refused(f"--trainer: {error}")
    except OSError as error:  # of a file that the user named, or of a disk that is full
        return _refused(f"{error.filename or 'a file'}: {error.strerror or error}")
    except SIGTERMException:
        return 143, STOPPED
    except KeyboardInterrupt:
        return 130, STOPPED
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # which Lightning turns into SystemExit(1)
            return 130, STOPPED
        return int(end.code or 0), ""
    except RuntimeError as error:
        if not lost_connection(error):
            raise
        hear_companions()
        return 1, "error: another process of the run has ended, or its machine cannot be reached any more"
    return 0, ""


def _refused(message: str) -> tuple[int, str]:
    return 2, f"error: {' '.join(message.split())}"


def _quieten() -> None:
    """Silence notes of the libraries on what is as it should be."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if is_another():  # the first says the same
        logging.getLogger("kqa_lightning").setLevel(logging.ERROR)
    for message in (".*does not have many workers.*", ".*isinstance.treespec, LeafSpec.*"):
        warnings.filterwarnings("ignore", message=message)


def _wants_progress(trainer: Mapping[str, Any]) -> bool:
    """Whether a progress bar is to be added, by the trainer's settings."""
    of_their_own = any(isinstance(callback, ProgressBar) for callback in _as_list(trainer["callbacks"]))
    return trainer["enable_progress_bar"] is not False and not of_their_own


def _as_list(value: object) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]
