"""Recorded steps: used where they do what the steps do, and only there. A pretended recorder, on the CPU."""

import pytest
import torch
from torch import nn

from trainer import step_graphs
from trainer.step_graphs import WARM_UP, RecordedStep, recorder_for


class Pretending:
    """Records by remembering the work: replays read what lies in the buffers, as a graph does."""

    def __init__(self):
        self.warmed = self.recorded = self.replayed = 0

    def warm(self, work):
        self.warmed += 1
        return work()

    def record(self, work):
        self.recorded += 1

        def replay():
            self.replayed += 1
            return work()

        return replay


class Case:
    """A small network with dropout and batch norm, its optimiser, and steps as the image trainer makes them."""

    def __init__(self, optimizer="adamw", recorder=None):
        torch.manual_seed(0)
        # No bias before the norm: its gradient is nothing but rounding, which Adam makes large.
        first, norm = nn.Linear(6, 16, bias=False), nn.BatchNorm1d(16)
        self.model = nn.Sequential(first, norm, nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 3))
        make = {
            "adamw": lambda all_: torch.optim.AdamW(all_, lr=0.01, fused=True),
            "sgd": lambda all_: torch.optim.SGD(all_, lr=0.01, momentum=0.9, nesterov=True, fused=True),
        }[optimizer]
        self.optimizer = make(self.model.parameters())
        self.number, self.recorder = 0, recorder or Pretending()
        self.recorded = RecordedStep(self.step, self.work, self.reseed, self.model, self.optimizer, self.recorder)

    def reseed(self):
        torch.manual_seed(1000 + self.number)

    def step(self, images, labels):
        self.reseed()
        return self.work(images, labels)

    def work(self, images, labels):
        self.optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def run(self, steps, by=None):
        """Losses of steps, each with other images and another rate."""
        losses = []
        for number in range(steps):
            self.number = number
            generator = torch.Generator().manual_seed(number)
            images = torch.randn(32, 6, generator=generator)
            labels = (images[:, 0] > 0).long() + (images[:, 1] > 0).long()
            for group in self.optimizer.param_groups:  # as timm's schedules do
                group["lr"] = 0.01 * (number + 1)
            losses.append((by or self.recorded)(images, labels).item())
        return losses

    def weights(self):
        return {name: value.clone() for name, value in self.model.state_dict().items()}


def same(ours, theirs):
    return all(torch.allclose(ours[name].float(), theirs[name].float(), rtol=1e-5, atol=1e-6) for name in theirs)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_replayed_steps_train_as_plain_ones(optimizer):
    plain, case = Case(optimizer), Case(optimizer)
    expected = plain.run(12, plain.step)
    assert case.run(12) == pytest.approx(expected, rel=1e-5)
    assert same(case.weights(), plain.weights()) and not case.recorded.problem
    recorder = case.recorder
    assert (recorder.warmed, recorder.recorded) == (WARM_UP + 1, 1) and recorder.replayed == 12 - WARM_UP


def test_each_replay_has_the_rate_that_the_schedule_set():
    case = Case()
    case.run(9)
    rates = [group["lr"] for group in case.optimizer.param_groups]
    assert all(torch.is_tensor(rate) and rate.item() == pytest.approx(0.09) for rate in rates)


class Forgetting(Pretending):
    """A recorder that keeps something of the moment it recorded in, as a graph would if it were not in memory."""

    def __init__(self, case, what):
        super().__init__()
        self.case, self.what = case, what

    def record(self, work):
        case, fixed = self.case(), self.what
        images, rates = case.recorded.images.clone(), [float(rate) for rate in case.recorded.rates]

        def replay():
            if fixed == "images":
                case.recorded.images.copy_(images)
            if fixed == "rates":
                for group, rate in zip(case.optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate
            if fixed == "seed":
                torch.manual_seed(5)
            if fixed == "nothing done":
                return torch.zeros(())
            return work()

        return replay


@pytest.mark.parametrize("what", ["images", "rates", "seed", "nothing done"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_recording_that_gives_other_numbers_is_not_used_and_leaves_no_trace(what, optimizer):
    plain = Case(optimizer)
    expected = plain.run(10, plain.step)
    cases = []
    case = Case(optimizer, Forgetting(lambda: cases[0], what))
    cases.append(case)
    assert case.run(10) == pytest.approx(expected, rel=1e-5)
    assert case.recorded.problem == "a recorded step gave other numbers" and case.recorded.replay is None
    assert same(case.weights(), plain.weights())


class Failing(Pretending):
    """A recorder on which something fails."""

    def __init__(self, when):
        super().__init__()
        self.when = when

    def record(self, work):
        if self.when == "recording":
            work()  # half done, too
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore lines")

        def replay():
            work()
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore lines")

        return replay


@pytest.mark.parametrize("when", ["recording", "replaying"])
def test_a_failure_falls_back_to_plain_steps_and_says_why(when):
    plain, case = Case(), Case(recorder=Failing(when))
    expected = plain.run(10, plain.step)
    assert case.run(10) == pytest.approx(expected, rel=1e-5)
    assert case.recorded.problem == "CUDA error: operation not permitted when stream is capturing"
    assert same(case.weights(), plain.weights())
    assert all(isinstance(group["lr"], float) for group in case.optimizer.param_groups)


def test_no_recorder_on_a_cpu_nor_where_the_switch_says_so(monkeypatch):
    assert recorder_for(torch.device("cpu")) is None
    monkeypatch.setattr(step_graphs, "CudaRecorder", lambda: "a recorder")
    assert recorder_for(torch.device("cuda:0")) == "a recorder"
    monkeypatch.setenv(step_graphs.GRAPHS_SWITCH, "0")
    assert recorder_for(torch.device("cuda:0")) is None
