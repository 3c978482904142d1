"""What happens around training, validation and prediction: one callback a file, each with one job."""

from callbacks.answer_evaluation import AnswerEvaluation
from callbacks.answer_progress import AnswerProgress
from callbacks.curve_steps import CurveSteps
from callbacks.finite_guard import FiniteGuard
from callbacks.prediction_writer import PredictionWriter
from callbacks.result_printer import ResultPrinter
from callbacks.run_checkpoint import RunCheckpoint
from callbacks.run_config import RunConfig
from callbacks.signal_exit import SignalExit
from callbacks.start_note import StartNote
from callbacks.throughput import Throughput

__all__ = [
    "AnswerEvaluation",
    "AnswerProgress",
    "CurveSteps",
    "FiniteGuard",
    "PredictionWriter",
    "ResultPrinter",
    "RunCheckpoint",
    "RunConfig",
    "SignalExit",
    "StartNote",
    "Throughput",
]
