"""Which settings must be the same for folds to be joined."""

import pytest

from kqa_lightning.loops.plan import decides_answers


@pytest.mark.parametrize(
    "setting",
    [
        *("trainer.plugins", "trainer.overfit_batches", "trainer.callbacks", "checkpoint.every_n_train_steps"),
        *("data.prompt.init_args.wording", "data.max_length", "seed_everything", "crossfit.folds"),
        "a.setting.of.a.later.version",
    ],
)
def test_what_is_not_known_to_be_harmless_decides(setting: str) -> None:
    assert decides_answers(setting)


@pytest.mark.parametrize(
    "setting",
    ["trainer.default_root_dir", "trainer.logger.init_args.name", "data.num_workers", "crossfit.final_model", "config"],
)
def test_where_and_how_it_is_watched_does_not(setting: str) -> None:
    assert not decides_answers(setting)
