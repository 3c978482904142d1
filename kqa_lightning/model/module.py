"""KQAModule: QLoRA fine-tuning and answering as a LightningModule."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from peft import PeftModel
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric
from transformers import PreTrainedModel

from kqa_lightning.data.answer_rules import AnswerRule
from kqa_lightning.data.datamodule import data_of
from kqa_lightning.errors import KQAError
from kqa_lightning.model.adapter_card import adapter_card
from kqa_lightning.model.adapter_state import IDENTITY_KEY, AdapterIdentity, check_adapter_tensors, check_identity
from kqa_lightning.model.answerer import Answerer
from kqa_lightning.model.answers import AnsweredQuestion, Candidate
from kqa_lightning.model.attention import Attention, refuse_half_precision
from kqa_lightning.model.base import LoRA, Precision, Quantization, attach_lora, load_base_model
from kqa_lightning.model.decoding import DecodingMethod, NotFiniteError
from kqa_lightning.model.fused import fuse
from kqa_lightning.model.loss import token_losses
from kqa_lightning.model.normalisation import LossNormalisation, StepMean
from kqa_lightning.model.optimization import OptimizerName, impose, make_optimizer, make_schedule, without_paging
from kqa_lightning.model.settings import check_ranges, choose_rules, make_decoding

if TYPE_CHECKING:
    from kqa_lightning.data.packing import PackedBatch
    from kqa_lightning.model.groups import TokenBudget

__all__ = ["AnsweredQuestion", "Candidate", "KQAModule", "LoRA"]

DEFAULT_LORA = LoRA()
_SHOWN = 5  # ids in a message
# The adapters stay in fp32 and the base in its own type: a trainer precision that casts the module is refused.
# Each with the type that it may not meet: autocast knows no arithmetic of the two halves.
_TRAINER_PRECISIONS = {"32-true": None, "bf16-mixed": "fp16", "16-mixed": "bf16"}


class KQAModule(LightningModule):
    """A frozen 4-bit base model with LoRA adapters, trained on answers alone.

    Args:
        base_model: Hub id or folder of the base model.
        lora: Shape of the adapters.
        quantization: nf4 keeps the base's linear layers in 4 bits, none keeps them whole.
        precision: Type of the base's other weights and of all arithmetic; the adapters are fp32 always.
        attn_implementation: Attention; null takes the fastest that is right for the architecture: packed_sdpa, which
            computes articles without a mask, or sdpa; and for the soft cap of Gemma2 blockwise on a CPU and eager on
            a GPU, where flex_attention is another choice.
        gradient_checkpointing: Compute each layer again in the backward pass: less memory, a third more time.
        optimizer: bitsandbytes' paged AdamW or torch's AdamW.
        learning_rate: Peak learning rate; on resume the one given here wins over the checkpoint's.
        weight_decay: Decoupled weight decay of the adapters; wins on resume like the learning rate.
        warmup_ratio: Share of all optimizer steps over which the learning rate rises to its peak, from 0 to 1.
        loss_normalisation: What an optimizer step takes the mean over, all its batches and processes together: token
            for all answer tokens, example for all answers, each by the mean of its tokens.
        max_new_tokens: Most tokens an answer may have.
        num_candidates: Answers to each question, best first: beams, of which 1 is greedy decoding, or draws, of which
            equal ones are given once. All are in predictions.jsonl, the first is what counts elsewhere.
        decoding: beam search, which ranks by mean log-probability, or sampling.
        temperature: Sampling divides logits by it.
        top_p: Sampling draws from the fewest tokens whose probabilities come to this.
        sampling_seed: Seed of the draws; what is drawn for a question depends on it and the prompt, not on the rest.
        answer_rules: What of a generated text is the answer: first_line, stop_strings, strip, compose (Hangul);
            null for all of them. The whole text is kept as raw in predictions.jsonl.
        copy_answers: Give answers that stand in the article, and no others.
    """

    def __init__(
        self,
        base_model: str,
        lora: LoRA = DEFAULT_LORA,
        quantization: Quantization = "nf4",
        precision: Precision = "bf16",
        attn_implementation: Attention | None = None,
        gradient_checkpointing: bool = False,
        optimizer: OptimizerName = "paged_adamw_32bit",
        learning_rate: float = 2e-4,
        weight_decay: float = 0.0,
        warmup_ratio: float = 0.03,
        loss_normalisation: LossNormalisation = "token",
        max_new_tokens: int = 64,
        num_candidates: int = 1,
        decoding: DecodingMethod = "beam",
        temperature: float = 1.0,
        top_p: float = 1.0,
        sampling_seed: int = 0,
        answer_rules: list[AnswerRule] | None = None,
        copy_answers: bool = False,
    ) -> None:
        super().__init__()
        check_ranges(lora, learning_rate=learning_rate, weight_decay=weight_decay, warmup_ratio=warmup_ratio)
        self.base_model = base_model
        self.lora = lora
        self.quantization = quantization
        self.precision = precision
        self.attn_implementation = attn_implementation
        self.gradient_checkpointing = gradient_checkpointing
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_ratio = warmup_ratio
        self.max_new_tokens = max_new_tokens
        self.num_candidates = num_candidates
        self.decoding = decoding
        self.temperature = temperature
        self.top_p = top_p
        self.sampling_seed = sampling_seed
        self.answer_rules = choose_rules(answer_rules)
        self.copy_answers = copy_answers
        how = make_decoding(max_new_tokens, num_candidates, decoding, temperature, top_p, sampling_seed)
        self._answerer = Answerer(how, self.answer_rules, copy_answers)
        self.strict_loading = False  # a checkpoint holds adapters alone; on_load_checkpoint asserts that it holds all
        self._step_mean = StepMean(loss_normalisation)
        self._validation_loss = MeanMetric()  # unlike Lightning's own mean exact over several processes
        self.model: PeftModel | None = None

    # --- weights -----------------------------------------------------------------------------------------------

    def configure_model(self) -> None:
        """Load the base and attach the adapters, once.

        Raises:
            KQAError: a base model that cannot be loaded, or a trainer precision that would cast the adapters, or
                that the architecture cannot compute in.
        """
        if self.model is not None:
            return
        trainer = self._attached()
        if trainer is not None and trainer.precision not in _TRAINER_PRECISIONS:
            raise KQAError(
                f"--trainer.precision {trainer.precision} would cast the adapters, which stay fp32;"
                " leave it at 32-true and set --model.precision"
            )
        if trainer is not None and self.precision == _TRAINER_PRECISIONS[trainer.precision]:
            raise KQAError(
                f"--trainer.precision {trainer.precision} does not go with --model.precision {self.precision}; leave it"
                f" at 32-true, or set --model.precision {'bf16' if self.precision == 'fp16' else 'fp16'}"
            )
        base = self.load_base("cpu" if trainer is None else trainer.strategy.root_device)
        if trainer is not None and trainer.precision == "16-mixed":
            refuse_half_precision(base.config, f"--trainer.precision {trainer.precision}", "bf16-mixed or 32-true")
        self.model = attach_lora(base, self.lora, gradient_checkpointing=self.gradient_checkpointing)

    def load_base(self, device: torch.device | str) -> PreTrainedModel:
        """The base model alone, without adapters.

        Raises:
            KQAError: as `configure_model`.
        """
        return load_base_model(
            self.base_model,
            quantization=self.quantization,
            precision=self.precision,
            attn_implementation=self.attn_implementation,
            device=device,
        )

    def export_adapter(self, folder: str | Path) -> None:
        """Write the adapters in PEFT format: ``peft.PeftModel.from_pretrained(base, folder)`` gives the same answers.

        ``adapter_config.json`` names the base model as it was given.
        """
        model = self._adapted()
        config = model.peft_config["default"]
        config.base_model_name_or_path = self.base_model
        # "auto" would ask the hub whether the vocabulary was resized.
        model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
        # In the place of PEFT's, which is a form to fill in, with the base's place on this machine.
        card = adapter_card(self.base_model, self.quantization, self.precision)
        (Path(folder) / "README.md").write_text(card, encoding="utf-8")

    # --- loss --------------------------------------------------------------------------------------------------

    def training_step(self, batch: "PackedBatch", batch_idx: int) -> Tensor:
        """The loss of the batch's answers, summed: `on_before_optimizer_step` makes a mean of the whole step."""
        losses = token_losses(self._adapted(), batch) if batch.articles else self._no_losses()
        total = self._step_mean.add(losses, batch)
        return total * self.trainer.accumulate_grad_batches  # by which Lightning divides it

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Turn the gradients of a sum into those of the mean, before they are clipped; log ``train/loss``."""
        loss = self._step_mean.finish(self._adapter_tensors().values(), self.trainer)
        self.log("train/loss", loss, prog_bar=True)

    def validation_step(self, batch: "PackedBatch", batch_idx: int) -> None:
        """Log ``val/loss``, the mean over all supervised tokens of the validation data."""
        losses = token_losses(self._adapted(), batch) if batch.articles else self._no_losses()
        self._validation_loss.update(losses.detach())
        if len(losses) or self.trainer.world_size > 1:  # of several processes each takes part in the mean
            self.log("val/loss", self._validation_loss, on_epoch=True, prog_bar=True)

    def test_step(self, batch: "PackedBatch", batch_idx: int) -> None:
        """Nothing: a test is scored on generated answers, by the callback that collects them."""

    # --- answers -----------------------------------------------------------------------------------------------

    def predict_step(self, batch: "PackedBatch", batch_idx: int) -> list[AnsweredQuestion]:
        """Answer the questions of a batch; one that was answered in an earlier run comes empty."""
        return self.answer(batch) if batch.articles else []

    def answer(self, batch: "PackedBatch") -> list[AnsweredQuestion]:
        """Answer every question of ``batch``, article by article in the batch's order; modes are left as they were.

        Raises:
            KQAError: what `Answerer` cannot answer; or scores that are not finite, with the ids of the questions.
        """
        data = data_of(self.trainer)
        try:
            return self._answerer.answer(self._adapted(), data.encoder, list(batch.articles))
        except NotFiniteError as error:
            stage = self.trainer.state.stage
            table = data.tables.get(stage.dataloader_prefix or "") if stage is not None else None
            ids = [f"row {row}" for row in error.questions] if table is None else table.select(error.questions)["id"][:]
            raise KQAError(
                f"the model gives no finite scores to answer {', '.join(map(str, ids[:_SHOWN]))}"
                f"{', …' if len(ids) > _SHOWN else ''} with; pass another --model.precision than {self.precision}, or"
                " other weights: --ckpt_path, --model.base_model"
            ) from error

    @property
    def answer_budget(self) -> "TokenBudget":
        """Most tokens that are computed at once to answer; fewer once that was too much for a GPU's memory."""
        return self._answerer.budget

    # --- optimization and checkpoints ----------------------------------------------------------------------------

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW on the adapters, its learning rate rising and falling linearly, step by step.

        Raises:
            KQAError: the run has no last step to fall to.
        """
        total_steps = self.trainer.estimated_stepping_batches
        if total_steps == float("inf"):
            raise KQAError(
                "the learning rate falls to 0 at the last step: give --trainer.max_epochs or --trainer.max_steps"
            )
        trainable = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = make_optimizer(self.optimizer, trainable, self.learning_rate, self.weight_decay)
        schedule = make_schedule(optimizer, int(total_steps), self.warmup_ratio)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Let this run's learning rate and weight decay win over its checkpoint's; compute in fewer passes."""
        self._step_mean.begin()
        fuse(self._adapted())
        optimizer, schedule = self.optimizers(use_pl_optimizer=False), self.lr_schedulers()
        assert isinstance(optimizer, Optimizer)
        assert isinstance(schedule, LambdaLR)
        impose(optimizer, schedule, self.learning_rate, self.weight_decay)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep of the weights the adapters alone, and say which base they belong to."""
        adapters = self._adapter_tensors()
        checkpoint["state_dict"] = {name: checkpoint["state_dict"][name] for name in adapters}
        identity = AdapterIdentity.of(self._adapted(), self.base_model).as_dict()
        checkpoint[IDENTITY_KEY] = {**identity, "optimizer": self.optimizer}
        if "optimizer_states" in checkpoint:
            checkpoint["optimizer_states"] = without_paging(checkpoint["optimizer_states"])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse adapters of another base or shape, and an incomplete set of them.

        Raises:
            KQAError: with the values of the checkpoint and of this run.
        """
        trainer = self._attached()
        name = f"checkpoint {trainer.ckpt_path}" if trainer is not None and trainer.ckpt_path else "the checkpoint"
        here = AdapterIdentity.of(self._adapted(), self.base_model)
        stored = check_identity(checkpoint.get(IDENTITY_KEY), here, name)
        check_adapter_tensors(checkpoint["state_dict"], self._adapter_tensors(), name)
        if stored["base_model"] != self.base_model:
            rank_zero_warn(f"{name} was trained on {stored['base_model']}; its adapters are used on {self.base_model}")
        if trainer is not None and trainer.state.fn == TrainerFn.FITTING and stored["optimizer"] != self.optimizer:
            raise KQAError(
                f"{name} holds the state of optimizer {stored['optimizer']}, this run has {self.optimizer}:"
                f" go on with --model.optimizer {stored['optimizer']}"
            )

    # --- parts -------------------------------------------------------------------------------------------------

    def _adapted(self) -> PeftModel:
        if self.model is None:
            raise RuntimeError("no weights are loaded yet: call configure_model() first, as the trainer does")
        return self.model

    def _attached(self) -> Trainer | None:
        try:
            return self.trainer
        except RuntimeError:
            return None

    def _no_losses(self) -> Tensor:
        """The losses of a batch that holds nothing, [0]: they depend on the adapters, whose gradients are then zero.

        A process that has no batch left waits with such gradients for those of the others.
        """
        return torch.cat([tensor.flatten()[:0] for tensor in self._adapter_tensors().values()])

    def _adapter_tensors(self) -> dict[str, Tensor]:
        """The trainable tensors by their name in the state dict."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}
