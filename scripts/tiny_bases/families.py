"""The three tiny bases: architecture, control tokens, chat template and seed of each.

Each has the architecture of the real model whose place it takes. Depths, widths of the MLPs, vocabularies, seeds and
articles differ, so that the three make different mistakes and an ensemble has something to gain. Widths are
multiples of 64, the block of NF4: bitsandbytes 0.50.2 dequantises others wrongly on a CPU. A layer is 128 or 192 wide:
of two million parameters 256 leaves too few layers or too narrow ones, and such a base takes the wrong company's
answer however long it learns (40 to 45 % of single questions right, 55 % and more here).
"""

from dataclasses import dataclass
from typing import Any

from transformers import Gemma2Config, LlamaConfig, PreTrainedConfig

CONTEXT_LENGTH = 2048

GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' "
    "+ message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
CHATML_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SOLAR_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '### ' + message['role'] | capitalize + ':\\n' "
    "+ message['content'] + '\\n\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Assistant:\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """One tiny base: everything that makes it, apart from the training recipe all three share.

    Args:
        name: Name of the family; the base is saved as ``tiny-<name>``.
        seed: Seed of the weights and of the articles.
        cycles: Optimizer steps of each training cycle: warm-up, plateau, decay.
        shuffled_from: Step from which an article's questions come in random order. Until then they come in the order
            of the text: an easy beginning, and a hint that no single question has.
        talkative_from: Step from which an answer is followed by its question in brackets, None for never. A prompt in
            words it has not read does not keep a base from answering; so it says too much, as instruct models do.
        restarted_from: Steps at which training goes on from the weights as a file has them (16 bits) and with new
            optimizers: a base that was published is trained further so.
        vocabulary: Number of tokens, bytes and control tokens included.
        control: Control tokens in the order of their ids: from 0.
        bos: Token that begins a text.
        eos: Token that ends a text.
        pad: Padding token.
        unk: Unknown token (never produced: bytes stand in).
        answer_end: Control token that ends an answer in the pre-training text.
        chat_template: Jinja template of a chat in this family's format.
        prepends_space: Whether the tokenizer puts a space in front of a text, as Llama's does.
        architecture: Values of the model's configuration.
    """

    name: str
    seed: int
    cycles: tuple[int, ...]
    shuffled_from: int
    talkative_from: int | None
    restarted_from: tuple[int, ...]
    vocabulary: int
    control: tuple[str, ...]
    bos: str
    eos: str
    pad: str
    unk: str
    answer_end: str
    chat_template: str
    prepends_space: bool
    architecture: dict[str, Any]

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole pre-training."""
        return sum(self.cycles)

    @property
    def end_ids(self) -> list[int]:
        """Ids that end what the model writes: of a text, and of an answer where that is another."""
        return [self.control.index(end) for end in dict.fromkeys((self.eos, self.answer_end))]

    def config(self) -> PreTrainedConfig:
        """The transformers configuration of the model."""
        kind = Gemma2Config if self.name == "gemma2" else LlamaConfig
        return kind(
            vocab_size=self.vocabulary,
            bos_token_id=self.control.index(self.bos),
            eos_token_id=self.control.index(self.eos),
            pad_token_id=self.control.index(self.pad),
            max_position_embeddings=CONTEXT_LENGTH,
            tie_word_embeddings=True,
            **self.architecture,
        )


FAMILIES = {
    family.name: family
    for family in (
        Family(
            name="gemma2",
            seed=1,
            cycles=(1000, 1000, 800, 800),
            shuffled_from=1300,
            talkative_from=None,
            restarted_from=(2000,),
            vocabulary=1408,
            control=("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
            bos="<bos>",
            eos="<eos>",
            pad="<pad>",
            unk="<unk>",
            answer_end="<end_of_turn>",
            chat_template=GEMMA_TEMPLATE,
            prepends_space=False,
            architecture={
                "hidden_size": 192,
                "intermediate_size": 512,
                "num_hidden_layers": 4,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "head_dim": 48,
                "query_pre_attn_scalar": 48,
                # Sliding, full, sliding, full: the window is shorter than an article, as in the real model.
                "sliding_window": 128,
                "attn_logit_softcapping": 50.0,
                "final_logit_softcapping": 30.0,
                "hidden_activation": "gelu_pytorch_tanh",
            },
        ),
        Family(
            name="eeve",
            seed=2,
            cycles=(1000, 1000, 900, 800, 800, 2000),
            shuffled_from=1300,
            talkative_from=None,
            restarted_from=(2900, 4500),
            vocabulary=1216,
            control=("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"),
            bos="<s>",
            eos="</s>",
            pad="</s>",
            unk="<unk>",
            answer_end="<|im_end|>",
            chat_template=CHATML_TEMPLATE,
            prepends_space=True,
            architecture={
                "hidden_size": 192,
                "intermediate_size": 384,
                "num_hidden_layers": 5,
                "num_attention_heads": 4,
                "num_key_value_heads": 4,
            },
        ),
        Family(
            name="nous",
            seed=3,
            cycles=(1900, 700, 500),
            shuffled_from=1900,
            talkative_from=2600,
            restarted_from=(),
            vocabulary=1152,
            control=("<unk>", "<s>", "</s>"),
            bos="<s>",
            eos="</s>",
            pad="</s>",
            unk="<unk>",
            answer_end="</s>",
            chat_template=SOLAR_TEMPLATE,
            prepends_space=True,
            architecture={
                "hidden_size": 128,
                "intermediate_size": 448,
                "num_hidden_layers": 8,
                "num_attention_heads": 4,
                "num_key_value_heads": 4,
            },
        ),
    )
}
