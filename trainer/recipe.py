"""Recipes by name: how a network is trained, from the papers; plain values, no torch.

A schedule is given in shares of the training, so that it means the same for 3 epochs and for 450. The papers'
batches of 1024 would leave a proxy a handful of steps; the recipes keep the papers' learning rates with the batch
they were given for, take smaller batches, and scale the rate: in proportion (Goyal et al. 2017), by the square root for
adaptive optimisers, as timm does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from sampler import InputError

Optimizer = Literal["adamw", "sgd", "momentum", "rmsproptf"]
Schedule = Literal["cosine", "step"]
Scaling = Literal["auto", "linear", "sqrt", "none"]
LARGEST_MAGNITUDE = 30
EDITION = 2  # of these rules; 1 is what studies have that were made before editions
# Of those of the optimisers above that adapt a step to each weight, timm scales this one's rate by a square root.
_ADAPTIVE = ("adamw",)

# TinyNet's 450 epochs of 1,281,167 images in batches of 1024.
TINYNET_EPOCHS = 450
TINYNET_STEPS = TINYNET_EPOCHS * 1251


@dataclass(frozen=True)
class Recipe:
    """Optimiser, schedule, augmentation and regularisation of a training.

    Attributes:
        name: The recipe's name.
        optimizer: timm's name of an optimiser; `sgd` is Nesterov's, `momentum` is without.
        learning_rate: Peak learning rate at a batch of `reference_batch`.
        reference_batch: The batch size that `learning_rate` is for.
        lr_scaling: How the rate goes with the batch: in proportion (`linear`), with its square root (`sqrt`), not at
            all (`none`), or as timm does (`auto`): `sqrt` for AdamW, `linear` for the others.
        momentum: Momentum of the optimisers that have one.
        weight_decay: Decoupled in AdamW, an L2 penalty in the others; norms and biases are left out.
        batch_size: Images per step.
        schedule: `cosine`, or `step`: times `decay_rate` after every `decay_every`.
        warmup: Share of all steps in which the learning rate rises linearly.
        final: Learning rate at the end of a cosine, as a share of the peak.
        decay_rate: Factor of one step of the `step` schedule.
        decay_every: Share of all steps between two of them.
        label_smoothing: Probability spread over the other classes.
        crop: Smallest share of an image's area that a random resized crop keeps.
        margin: Side at which images that are fitted are kept, over the network's, as far as the decoded images are that
            large: a crop of part of the area is then not blown up much.
        crop_pct: Share of an image's side, around its centre, that is scored, as timm's.
        flip: Probability of a horizontal flip.
        randaugment: Magnitude of two operations of RandAugment, of torchvision's 30, after crop and flip; 0 for none.
        randaugment_noise: Standard deviation of that magnitude, drawn for every operation.
        mixup: Alpha of mixup's Beta distribution; 0 for none.
        cutmix: Alpha of cutmix's Beta distribution; 0 for none. Beside mixup each batch has either, evenly.
        erasing: Probability that a rectangle of an image is erased.
        dropout: Dropout before the classifier.
        zero_init: Whether residual blocks begin as identities. Without it, deep networks hardly learn in a short
            training (measured: `results/studies/zero_init`), and depth looks worse than it is.
        drop_path: Drop path (stochastic depth), growing linearly over all blocks, as timm gives it to the family.
        channel_dropout: Probability that a channel of the last unit (`trainer.channel_units`) is discarded at the end,
            growing linearly with the unit and the epoch; 0 for none.
        channel_ramp: Whether it grows with the unit; without, every unit has the last one's.
        norm_momentum: Weight of a new batch in batch norm's statistics (1 - TensorFlow's momentum); at least
            10 / steps (but at most 0.1) is taken, so that the statistics of a short training are its own.
        ema: Share of all steps over which weights are averaged (the decay is 1 - 1 / (ema * steps)); 0 for none.
        teacher: File of a trained network (`trainer.weights`) to distil from, or a folder of `planner finish`; "" for
            none.
        distillation: Share of the loss that comes from the teacher.
        temperature: Temperature of the teacher's and the student's softmax in that share.
        clip_grad: Largest norm of all gradients together; longer ones are scaled down to it. 0 for none.
        deterministic: Whether a GPU may only take kernels that give the same numbers every time; slower.
        edition: Which rules hold. 1, in studies made before there was a second: `auto` scales every optimiser's rate in
            proportion; RandAugment comes before the crop, without noise; drop path grows over blocks with a shortcut.

    Raises:
        InputError: If values do not fit together.
    """

    name: str = "fast"
    optimizer: Optimizer = "adamw"
    learning_rate: float = 6e-3
    reference_batch: int = 64
    momentum: float = 0.9
    weight_decay: float = 0.02
    batch_size: int = 64
    schedule: Schedule = "cosine"
    warmup: float = 0.1
    final: float = 0.0
    decay_rate: float = 0.1
    decay_every: float = 1 / 3
    label_smoothing: float = 0.1
    crop: float = 0.5
    flip: float = 0.5
    randaugment: int = 0
    mixup: float = 0.0
    erasing: float = 0.0
    dropout: float = 0.0
    drop_path: float = 0.0
    zero_init: bool = True
    norm_momentum: float = 0.1
    ema: float = 0.02
    teacher: str = ""
    distillation: float = 0.5
    temperature: float = 4.0
    channel_dropout: float = 0.0
    channel_ramp: bool = True
    margin: float = 1.25
    crop_pct: float = 1.0
    lr_scaling: Scaling = "auto"
    randaugment_noise: float = 0.5
    cutmix: float = 0.0
    clip_grad: float = 0.0
    deterministic: bool = False
    edition: int = EDITION

    def __post_init__(self) -> None:
        words = (("optimizer", Optimizer), ("schedule", Schedule), ("lr_scaling", Scaling))
        for name, known in ((name, get_args(kind)) for name, kind in words):
            if getattr(self, name) not in known:
                raise InputError(f"{name} {getattr(self, name)!r} is unknown; known: {', '.join(known)}")
        if (self.mixup or self.cutmix) and self.batch_size % 2:
            mixing = "mixup" if self.mixup else "cutmix"
            raise InputError(f"{mixing} pairs images, so batch_size={self.batch_size} must be even")

    @property
    def scaled_learning_rate(self) -> float:
        """Peak learning rate at this batch size."""
        scaling, ratio = self.lr_scaling, self.batch_size / self.reference_batch
        if scaling == "auto":
            scaling = "sqrt" if self.edition > 1 and self.optimizer in _ADAPTIVE else "linear"
        if ratio == 1 or scaling == "none":
            return self.learning_rate
        if scaling == "sqrt":
            return self.learning_rate * math.sqrt(ratio)
        return self.learning_rate * self.batch_size / self.reference_batch  # in this order, as before

    def as_dict(self) -> dict[str, Any]:
        """Fields by their names; without those that older versions did not have, where they say what those did.

        What a training is known by (records, digests, settings in a storage) stays as it was written before there were
        such fields.
        """
        return {name: value for name, value in asdict(self).items() if name not in _LATER or value != _LATER[name]}

    @classmethod
    def recorded(cls, fields: Mapping[str, Any]) -> Recipe:
        """The recipe that `as_dict` made these fields of."""
        return cls(**{**_LATER, **fields})

    def seen_as(self, own: Recipe) -> Recipe:
        """This recipe with another one's values of `OF_STUDY`: accuracies of one study are of one kind."""
        return replace(self, **{name: getattr(own, name) for name in OF_STUDY})


# How images are kept and scored, and by which rules: alike in all trainings of a study.
OF_STUDY = ("margin", "crop_pct", "deterministic", "edition")
# Fields that older versions did not have, and what those did.
_LATER: dict[str, Any] = {
    "channel_ramp": True,
    "margin": 1.25,
    "crop_pct": 1.0,
    "lr_scaling": "auto",
    "randaugment_noise": 0.5,  # which edition 1 does not look at
    "cutmix": 0.0,
    "clip_grad": 0.0,
    "deterministic": False,
    "edition": 1,
}


RECIPES = {
    recipe.name: recipe
    for recipe in (
        # For short proxies, chosen by measurement.
        Recipe(),
        # TinyNet (arXiv 2010.14819), section 4.1, for EfficientNets: RMSProp 0.9/0.9, 0.048 x 0.97 every 2.4 of 450
        # epochs, 3 of warm-up, batch norm 0.99, EMA 0.9999 (a horizon of 10,000 steps). Label smoothing is
        # EfficientNet's, whose settings it follows; its colour jitter is left out.
        Recipe(
            name="tinynet",
            zero_init=False,
            optimizer="rmsproptf",
            learning_rate=0.048,
            reference_batch=1024,
            weight_decay=1e-5,
            schedule="step",
            warmup=3 / TINYNET_EPOCHS,
            decay_rate=0.97,
            decay_every=2.4 / TINYNET_EPOCHS,
            crop=0.08,
            dropout=0.2,
            norm_momentum=0.01,
            ema=10_000 / TINYNET_STEPS,
        ),
        # The same section, for ResNets: 0.4, a tenth of it every 30 of 90 epochs.
        Recipe(
            name="resnet",
            zero_init=False,
            optimizer="momentum",
            learning_rate=0.4,
            reference_batch=1024,
            weight_decay=1e-4,
            schedule="step",
            warmup=0.0,
            decay_rate=0.1,
            decay_every=30 / 90,
            label_smoothing=0.0,
            crop=0.08,
            ema=0.0,
        ),
        # Network Adjustment (arXiv 2004.02767) on CIFAR: 0.15 -> 0.001 by a cosine. A shift by four of 32 pixels is
        # the nearest to (28 / 32)^2 of the area.
        Recipe(
            name="adjust",
            zero_init=False,
            optimizer="momentum",
            learning_rate=0.15,
            reference_batch=128,
            weight_decay=3e-4,
            batch_size=128,
            warmup=0.0,
            final=1e-3 / 0.15,
            label_smoothing=0.0,
            crop=0.75,
            ema=0.0,
            channel_dropout=0.05,
        ),
        # Network Amplification (arXiv 2108.00177): fine-tuning of an inherited network, 20 epochs from 0.01 by a
        # cosine. Optimiser and batch are not said: plain momentum and 64 are our reading.
        Recipe(
            name="amplify",
            zero_init=False,
            optimizer="momentum",
            learning_rate=0.01,
            weight_decay=1e-5,
            warmup=0.0,
            ema=0.0,
        ),
        # For the one network that is kept, trained for long: the fast recipe with the usual regularisation of long
        # trainings (timm's), of half its strength, for its images are few. By custom, not by measurement.
        Recipe(
            name="long",
            learning_rate=4e-3,
            weight_decay=0.05,
            warmup=0.05,
            final=0.01,
            crop=0.25,
            randaugment=7,
            mixup=0.1,
            erasing=0.1,
            dropout=0.1,
            ema=0.01,
        ),
        # Network Adjustment on ImageNet, as its released code searches there: 0.2 at batches of 8 x 64, crops as
        # Inception's, and no ramp over the units. To which rate the cosine falls is not said.
        Recipe(
            name="adjust-imagenet",
            zero_init=False,
            optimizer="momentum",
            learning_rate=0.2,
            reference_batch=512,
            weight_decay=4e-5,
            warmup=0.0,
            label_smoothing=0.0,
            crop=0.08,
            ema=0.0,
            channel_dropout=0.05,
            channel_ramp=False,
        ),
    )
}


def recipe_named(name: str) -> Recipe:
    """A recipe by its name.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in RECIPES:
        raise InputError(f"recipe {name!r} is unknown; known recipes: {', '.join(RECIPES)}")
    return RECIPES[name]
