"""One architecture, one fidelity, one seed in; one observation out.

A training is a pure function of its `Training` and the images on one device: every random number comes from the
seed and the step's number, and nothing that was trained before it in the same process changes it. The images that
score are looked at after epochs for the record only; nothing in the training depends on what they say.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sampler import InputError
from trainer import pausing
from trainer.augment import Augmentation, seed_of
from trainer.batches import DeviceImages, steps_per_epoch
from trainer.channel_dropout import ChannelDropout
from trainer.channel_units import units_of
from trainer.checkpoint import identity_of, read_checkpoint, write_checkpoint
from trainer.declared.images import fit_colours
from trainer.device_errors import CrowdedError, first_line, is_out_of_memory
from trainer.devices import choose_kernels, half_type, is_not_repeatable
from trainer.distillation import Distillation
from trainer.image_data import kept_side
from trainer.images import ImageData
from trainer.inheritance.stages import zero_init
from trainer.micro_batches import accumulated, can_halve
from trainer.network import build
from trainer.observation import EpochRecord, Observation, Training
from trainer.optimization import averaged, label_loss, optimizer, schedule, set_drop_path, set_norm_momentum
from trainer.outcome import TrainingOutcome, device_name
from trainer.scoring import EVALUATION_BATCH, ClassificationScores, evaluate, evaluation_interval, precision, splits
from trainer.step_graphs import RecordedStep, recorder_for
from trainer.weights import save_network

# A kill loses at most this much of a training.
CHECKPOINT_SECONDS = 60.0
# At an epoch's end it is written earlier, if the last one took so small a part of the time since.
CHECKPOINTS_APART = 20

# Told every epoch so far; True stops the training there.
_OnEpoch = Callable[[tuple[EpochRecord, ...]], bool | None]
Weights = Mapping[str, torch.Tensor]


def train(
    training: Training,
    data: ImageData,
    device: str = "cpu",
    on_epoch: _OnEpoch | None = None,
    checkpoint: Path | None = None,
    weights: Weights | None = None,
    keep: Path | None = None,
    best: Path | None = None,
    alone: bool = True,
) -> Observation:
    """Trains one architecture on a proxy task.

    Args:
        training: Network to train, how, and with which seed.
        data: The decoded images of `training.data`.
        device: A torch device.
        on_epoch: Called after every epoch with what was seen in each so far; where it answers True, the
            training ends there, as `stopped`.
        checkpoint: File of the training's state, written every `CHECKPOINT_SECONDS`, and after epochs where writing
            takes little of the time, from which it goes on where it is the same training's: on a CPU, with as many
            threads, to the bit as if it had never been interrupted. Removing it, when the observation is safe, is the
            caller's. None for none.
        weights: A state dict to start from (an inherited network's); None for random weights.
        keep: Where the trained (averaged) network is written, for `trainer.weights.load_trained`; None for nowhere.
        best: Where, likewise, the network of the epoch of the highest accuracy is written (of several, of the first).
        alone: Whether no other training shares the device. Beside others a batch is never cut: it is not known whether
            this network or its neighbours take the memory.

    Returns:
        The observation. A loss that is not finite gives `diverged`, a device out of memory `out_of_memory`. A
        checkpoint that could not be used is named in its message.

    Raises:
        InputError: If there are fewer training images than one batch, the teacher cannot be used, or a deterministic
            training is asked for and the GPU has no kernel that gives the same numbers every time.
        OSError: If the checkpoint or the network cannot be written.
        PausedError: If `trainer.pausing` asks for it, with the checkpoint written.
        CrowdedError: If memory runs out and it is not alone; its checkpoint stays.
    """
    cpu_start = time.process_time() if device == "cpu" else None
    outcome = TrainingOutcome(time.perf_counter(), cpu_start, alone)
    try:
        run = _Run(training, data, torch.device(device), weights, outcome, best)
        run.resume(checkpoint, identity_of(training, data.fingerprint, device_name(device), weights))
        outcome.accuracy, outcome.loss = run.scores(on_epoch)
        if keep:
            save_network(keep, run.scored, training.architecture, len(data.classes))
    except _DivergedError as error:
        outcome.fail("diverged", error)
    except (RuntimeError, MemoryError) as error:
        if is_not_repeatable(error):
            network = training.architecture.base
            raise InputError(f"{network}: {first_line(error)}; make the study without --deterministic") from error
        if not is_out_of_memory(error):
            raise
        if not alone:
            raise CrowdedError(first_line(error)) from error
        outcome.fail("out_of_memory", error)
    return outcome.observation(training, data, device)


class _DivergedError(Exception):
    """The loss is not finite."""


class _Run:
    """The state of one training."""

    def __init__(
        self,
        training: Training,
        data: ImageData,
        device: torch.device,
        weights: Weights | None,
        outcome: TrainingOutcome,
        best: Path | None,
    ) -> None:
        self.training, self.device, self.outcome, self.best = training, device, outcome, best
        recipe, resolution, classes = training.recipe, training.architecture.resolution, len(data.classes)
        self.scored_classes = classes
        torch.manual_seed(training.seed)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            choose_kernels(recipe.deterministic)
        fit, score = splits(training, data)
        self.images = DeviceImages(fit, kept_side(data.side, resolution, recipe.margin), device)
        self.scoring = DeviceImages(score, resolution, device, recipe.crop_pct)
        self.steps = steps_per_epoch(len(self.images), recipe.batch_size)
        if self.steps < 1:
            raise InputError(
                f"{len(self.images)} training images make no batch of {recipe.batch_size}; "
                "raise the share of the data, give more images, or lower batch_size (in [recipe] of study.toml)"
            )
        total_steps = training.fidelity.epochs * self.steps
        self.model = prepared(training, classes, total_steps, weights).to(device)
        self.augment = Augmentation(recipe, resolution, classes, device)
        self.optimizer = optimizer(self.model, recipe)
        self.scaler = torch.amp.GradScaler(device.type, enabled=half_type(device) == torch.float16)
        self.scheduler = schedule(self.optimizer, recipe, total_steps)
        self.ema = averaged(self.model, recipe, total_steps)
        self.channel_dropout = self._channel_dropout(classes)
        self.recorded = self._recorded()
        self.label_loss = label_loss(recipe)
        self.distillation = Distillation(recipe, classes, device) if recipe.teacher else None
        self.epoch = self.step = 0
        self.total = torch.zeros((), device=device)  # of this epoch's losses
        self.evaluation_batch = EVALUATION_BATCH.get(device.type, EVALUATION_BATCH["cpu"])
        self.checkpoint: Path | None = None
        self.identity, self.saved, self.save_seconds = "", time.monotonic(), 0.0

    def _channel_dropout(self, classes: int) -> ChannelDropout | None:
        """Hooks, which the average and what is kept of the network do not have."""
        rate = self.training.recipe.channel_dropout
        if not rate:
            return None
        units = units_of(self.model, self.training.architecture, classes)
        return ChannelDropout(self.model, units, rate, self.training.recipe.channel_ramp)

    def _recorded(self) -> RecordedStep | None:
        """Steps as graphs, where the device has them and nothing but images, labels and rates changes between steps."""
        recorder = recorder_for(self.device)
        if recorder is None or self.channel_dropout or self.scaler.is_enabled():
            return None
        return RecordedStep(self._eager_step, self._work, self._reseed, self.model, self.optimizer, recorder)

    @property
    def scored(self) -> nn.Module:
        """The network that is scored: the average where there is one."""
        return self.ema.module if self.ema else self.model

    def scores(self, on_epoch: _OnEpoch | None) -> tuple[float | None, float | None]:
        """Trains; gives top-1 accuracy and cross-entropy on the scoring images, None if stopped before any scoring."""
        epochs = self.training.fidelity.epochs
        while self.epoch < epochs:
            self._train_epoch()
            self._tell_of_graphs()
            mean_loss = self.total.item() / self.steps
            if not math.isfinite(mean_loss):
                raise _DivergedError(f"the training loss is {mean_loss} after epoch {self.epoch + 1}")
            self._end_epoch(mean_loss)
            if on_epoch and on_epoch(tuple(self.outcome.history)) and self.epoch < epochs:
                self.outcome.status = "stopped"
                break
        last = next((record for record in reversed(self.outcome.history) if record.accuracy is not None), None)
        if last is None:
            return None, None
        return last.accuracy, last.loss

    def _tell_of_graphs(self) -> None:
        """Says once why steps are launched kernel by kernel, where they should not be."""
        note = f"no CUDA graph: {self.recorded.problem}" if self.recorded and self.recorded.problem else ""
        if note and note not in self.outcome.message:
            self.outcome.message = "; ".join(filter(None, (self.outcome.message, note)))

    def _train_epoch(self) -> None:
        self.model.train()
        if self.channel_dropout:
            self.channel_dropout.begin_epoch(self.epoch, self.training.fidelity.epochs)
        seed, batch_size = self.training.seed, self.training.recipe.batch_size
        order = torch.Generator().manual_seed(seed_of(seed, self.epoch))
        for images, labels in self.images.shuffled(batch_size, order, self.step):
            number = self.epoch * self.steps + self.step
            self.scheduler.step_update(number)
            images, labels = self.augment(images, labels, seed_of(seed, self.epoch, self.step, 0))
            whole = self.recorded is not None and self.outcome.micro_batches == 1
            step = self.recorded if whole and self.recorded else self._eager_step
            self.total += step(images, labels)  # summed on the device: no wait for it at every step
            if self.ema:
                self.ema.update(self.model, step=number)
            self.step += 1
            paused = pausing.asked()
            if self.checkpoint and (paused or time.monotonic() - self.saved >= CHECKPOINT_SECONDS):
                self._save()
            if paused:
                raise pausing.PausedError

    def _end_epoch(self, mean_loss: float) -> None:
        accuracy, loss, facts = None, None, {}
        done = self.epoch + 1
        last = done == self.training.fidelity.epochs
        if last or done % evaluation_interval(self.steps * self.training.recipe.batch_size, len(self.scoring)) == 0:
            scores = self._evaluate()
            accuracy, loss, facts = scores.accuracy, scores.loss, scores.facts
            if not math.isfinite(loss):
                if last:
                    raise _DivergedError(f"the loss on the scoring images is {loss}")
                accuracy, loss, facts = None, None, {}
        if self.best and accuracy is not None and accuracy > self._most_accurate():
            save_network(self.best, self.scored, self.training.architecture, self.scored_classes)
        self.outcome.history.append(EpochRecord(done, mean_loss, accuracy, loss, facts))
        self.epoch, self.step = done, 0
        self.total.zero_()
        apart = min(CHECKPOINT_SECONDS, CHECKPOINTS_APART * self.save_seconds)
        if self.checkpoint and time.monotonic() - self.saved >= apart:
            self._save()

    def _most_accurate(self) -> float:
        """The highest accuracy of the epochs before."""
        scored = (record.accuracy for record in self.outcome.history)
        return max((accuracy for accuracy in scored if accuracy is not None), default=-math.inf)

    def _eager_step(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One step; gives its loss."""
        loss = self._gradients(images, labels)
        self._update()
        return loss

    def _work(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The same, as it can be recorded: the batch as a whole, and no seed."""
        loss = accumulated(self._loss, self.optimizer, images, labels, parts=1)
        self._update()
        return loss

    def _update(self) -> None:
        """Moves the weights by their gradients."""
        if self.training.recipe.clip_grad:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.training.recipe.clip_grad)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _reseed(self) -> None:
        """Seeds dropout: the same numbers however often a batch is tried."""
        torch.manual_seed(seed_of(self.training.seed, self.epoch, self.step, 1))

    def _gradients(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Leaves the batch's gradients in the network; gives its mean loss.

        Where memory runs out though the device is its own, micro-batches are halved and their gradients added up,
        weighted by their images: the batch and the recipe stay as they are. Batch norm then sees the statistics of a
        micro-batch, which is why the observation says how many there were.
        """
        while True:
            parts = self.outcome.micro_batches
            self._reseed()
            try:
                return accumulated(self._loss, self.optimizer, images, labels, parts, self.scaler.scale)
            except (RuntimeError, MemoryError) as error:
                if not (self.outcome.alone and can_halve(error, len(images), parts)):
                    raise
            self._free()
            self.outcome.micro_batches *= 2

    def _loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with precision(self.device):
            logits = self.model(images)
            loss: torch.Tensor = self.label_loss(logits, labels)
            if self.distillation:
                share = self.training.recipe.distillation
                loss = (1 - share) * loss + share * self.distillation(logits, images)
            return loss

    def _evaluate(self) -> ClassificationScores:
        while True:
            try:
                return evaluate(self.scored, self.scoring, self.device, self.evaluation_batch)
            except (RuntimeError, MemoryError) as error:
                if not can_halve(error, self.evaluation_batch, parts=1):
                    raise
            self._free()
            self.evaluation_batch //= 2

    def _free(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _save(self) -> None:
        assert self.checkpoint
        began = time.monotonic()
        state = {
            "epoch": self.epoch,
            "step": self.step,
            "total": self.total,
            "parts": self.outcome.micro_batches,
            "seconds": self.outcome.seconds(),
            "cpu_seconds": self.outcome.cpu_seconds(),
            "history": [astuple(record) for record in self.outcome.history],
            "model": self.model.state_dict(),
            "ema": self.ema.module.state_dict() if self.ema else {},
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        write_checkpoint(self.checkpoint, self.identity, state)
        self.saved = time.monotonic()
        self.save_seconds = self.saved - began

    def resume(self, checkpoint: Path | None, identity: str) -> None:
        """Goes on from a checkpoint where it is this training's; else notes why not and begins."""
        self.checkpoint, self.identity = checkpoint, identity
        if checkpoint is None:
            return
        state, self.outcome.message = read_checkpoint(checkpoint, identity, self.device)
        if state is not None:
            self._restore(state)

    def _restore(self, state: dict[str, Any]) -> None:
        self.epoch, self.step = state["epoch"], state["step"]
        self.outcome.micro_batches = state["parts"]
        self.total = state["total"]
        self.outcome.start -= state["seconds"]
        before = state.get("cpu_seconds")  # which an older checkpoint lacks
        if before is None or self.outcome.cpu_start is None:
            self.outcome.cpu_start = None
        else:
            self.outcome.cpu_start -= before
        self.outcome.history += [EpochRecord(*record) for record in state["history"]]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state.get("scaler") or self.scaler.state_dict())  # an older checkpoint has none
        if self.ema:
            self.ema.module.load_state_dict(state["ema"])


def prepared(training: Training, classes: int, total_steps: int, weights: Weights | None) -> nn.Module:
    """The network with what the recipe sets in its modules, channels last.

    Raises:
        InputError: If the recipe asks for drop path and the family has no place for it.
    """
    recipe = training.recipe
    model = build(training.architecture, classes, recipe.dropout)
    fit_colours(model, training.architecture.base)
    if weights is not None:
        model.load_state_dict(weights)
    elif recipe.zero_init:
        zero_init(model, training.architecture)
    if recipe.drop_path and not set_drop_path(model, recipe.drop_path, recipe.edition):
        raise InputError(f"{training.architecture.base}: its blocks have no drop path; set recipe.drop_path to 0")
    set_norm_momentum(model, recipe, total_steps)
    for module in model.modules():
        if isinstance(module, nn.SiLU):
            module.inplace = False  # autograd keeps its input: in place, that is one more copy
    return model.to(memory_format=torch.channels_last)
