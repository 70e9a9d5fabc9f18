"""The trainings that a study has by default: of networks that classify images, by `trainer.proxy`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import trainer
from sampler import Architectures, InputError
from trainer import pausing
from trainer.declared.loading import know_shipped
from trainer.engines.placement import training_bytes
from trainer.image_data import ImageData, fitted_labels
from trainer.images import load_images
from trainer.observation import DataSpec, Observation, Training
from trainer.protocol import Conditions


class ImagesTask:
    """A `TrainingTask` of images; one data set in memory at a time."""

    def __init__(self) -> None:
        self.labels, self.validation = np.zeros(0, np.int64), 0  # of the training images; and how many others
        self._spec: DataSpec | None = None
        self._images: ImageData | None = None

    def prepare(self, data: DataSpec, fingerprint: str, study: str) -> None:
        """Decodes the images once, before the workers map them, and refuses others than the study was made with.

        Raises:
            InputError: If the images are not the same.
        """
        found = load_images(data.source, data.side, cache=Path(data.cache) if data.cache else None)
        if found.fingerprint != fingerprint:
            raise InputError(
                f"{data.source}: not the images that study {study} was made with (older versions read "
                "hidden files and did not turn pictures by EXIF); put them back, or make another --study"
            )
        self.labels, self.validation = found.train.labels, len(found.validation)

    def bytes_needed(self, architectures: Architectures, classes: int, training: Training) -> int:
        """What the largest of them needs, each with its images at its own resolution."""
        data = training.data
        fitted = len(fitted_labels(self.labels, data.holdout, training.fidelity.data_share))
        held = len(self.labels) - len(fitted_labels(self.labels, data.holdout, 1))
        scoring = held if data.holdout else self.validation
        return int(training_bytes(architectures, classes, training.recipe, fitted, scoring, data.side).max())

    def observe(self, training: Training, conditions: Conditions) -> Observation:
        """Does one training, or measures something, as `TrainingTask` says."""
        if training.measure is not None and training.measure.what == "zen":
            return observe_images(training, None, conditions)
        spec = training.data
        if self._images is None or spec != self._spec:
            self._spec = self._images = None
            pausing.alive()
            self._images = load_images(spec.source, spec.side, cache=Path(spec.cache) if spec.cache else None)
            self._spec = spec
        pausing.alive()
        return observe_images(training, self._images, conditions)


def observe_images(training: Training, images: ImageData | None, conditions: Conditions) -> Observation:
    """Does one training on images that are there, as `ImagesTask.observe` does; None for what needs none."""
    import torch

    if training.network is not None:
        know_shipped(training.network)
    if training.measure is not None:
        needed = images if training.measure.what == "utilization" else None
        return trainer.measured(training, needed, conditions.device, conditions.threads, conditions.alone)
    assert images is not None
    torch.set_num_threads(conditions.threads)
    weights = trainer.inherited_weights(training, len(images.classes)) if training.parent else None
    keep = Path(training.keep) if training.keep else None
    where = conditions.device, conditions.on_epoch, conditions.checkpoint
    return trainer.train(training, images, *where, weights, keep, alone=conditions.alone)
