import warnings

import pytest
import torch
from bitsandbytes.optim import PagedAdamW32bit
from torch.nn import Parameter

from kqa_lightning.model.optimization import impose, make_optimizer, make_schedule, without_paging


def step(parameter: Parameter, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LambdaLR) -> None:
    parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    schedule.step()


def test_the_learning_rate_rises_and_falls_to_zero() -> None:
    parameter = Parameter(torch.zeros(3))
    optimizer = make_optimizer("adamw", [parameter], 0.1, 0.0)
    schedule = make_schedule(optimizer, 10, 0.2)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        step(parameter, optimizer, schedule)
    assert rates == pytest.approx([0.0, 0.05, 0.1, 0.0875, 0.075, 0.0625, 0.05, 0.0375, 0.025, 0.0125])
    assert optimizer.param_groups[0]["lr"] == 0


def test_paged_adamw_is_adamw_and_says_nothing_on_a_cpu() -> None:
    start = torch.randn(50, generator=torch.Generator().manual_seed(0))
    results = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in ("paged_adamw_32bit", "adamw"):
            parameter = Parameter(start.clone())
            optimizer = make_optimizer(name, [parameter], 0.05, 0.1)  # type: ignore[arg-type]
            assert isinstance(optimizer, PagedAdamW32bit) == (name == "paged_adamw_32bit")
            for i in range(5):
                parameter.grad = torch.sin(start * (i + 1))
                optimizer.step()
            results.append(parameter.detach())
    assert [str(w.message) for w in caught if "aged" in str(w.message)] == []
    assert torch.allclose(results[0], results[1], rtol=1e-5, atol=1e-6)
    assert not torch.equal(results[0], start)


def test_new_settings_win_over_restored_ones() -> None:
    first = Parameter(torch.zeros(3))
    optimizer = make_optimizer("adamw", [first], 0.5, 0.0)
    schedule = make_schedule(optimizer, 10, 0.2)
    for _ in range(4):
        step(first, optimizer, schedule)
    second = Parameter(torch.zeros(3))
    resumed = make_optimizer("adamw", [second], 0.1, 0.3)
    schedule_resumed = make_schedule(resumed, 10, 0.2)
    resumed.load_state_dict(optimizer.state_dict())
    schedule_resumed.load_state_dict(schedule.state_dict())
    assert resumed.param_groups[0]["lr"] == pytest.approx(0.5 * 0.75)
    impose(resumed, schedule_resumed, 0.1, 0.3)
    assert resumed.param_groups[0]["lr"] == pytest.approx(0.1 * 0.75)
    assert resumed.param_groups[0]["weight_decay"] == 0.3
    step(second, resumed, schedule_resumed)
    assert resumed.param_groups[0]["lr"] == pytest.approx(0.1 * 0.625)


def test_imposing_the_same_settings_changes_nothing() -> None:
    parameter = Parameter(torch.zeros(3))
    optimizer = make_optimizer("adamw", [parameter], 3e-4, 0.01)
    schedule = make_schedule(optimizer, 17, 0.2)
    for _ in range(17):
        step(parameter, optimizer, schedule)
        before = dict(optimizer.param_groups[0])
        impose(optimizer, schedule, 3e-4, 0.01)
        after = dict(optimizer.param_groups[0])
        assert {k: v for k, v in before.items() if k != "params"} == {k: v for k, v in after.items() if k != "params"}


def test_saved_states_carry_no_pages() -> None:
    paged = torch.arange(4.0)
    paged.is_paged, paged.page_deviceid = True, 0  # type: ignore[attr-defined]
    plain = torch.ones(2)
    states = [{"state": {0: {"step": 3, "wrapped": {"state1": paged, "state2": plain}}}, "param_groups": [{"lr": 1}]}]
    found = without_paging(states)
    wrapped = found[0]["state"][0]["wrapped"]
    assert torch.equal(wrapped["state1"], paged)
    assert not hasattr(wrapped["state1"], "is_paged")
    assert wrapped["state2"] is plain
    assert found[0]["param_groups"] == [{"lr": 1}]
    assert found[0]["state"][0]["step"] == 3
    assert hasattr(paged, "is_paged"), "the optimizer's own state stays paged"
