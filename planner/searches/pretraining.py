"""What a search starts from: a network trained for so long, or with weights that are there."""

from __future__ import annotations

from pathlib import Path

from planner.errors import PlannerError
from planner.study.asks import network_path
from planner.study.ledger import Ledger
from planner.study.ranges import MOST_EPOCHS
from sampler import Architecture, base
from trainer.checkpoint import weights_sha256
from trainer.inheritance.stages import inheritable
from trainer.mending import told
from trainer.pretrained import pretrained_network
from trainer.weights import save_network


def pretraining(text: str, start: Architecture, ledger: Ledger) -> int | str:
    """What `--pretrain` says: a number of epochs, or the name of a network that is then among the study's.

    Args:
        text: Epochs, or the path of a file of weights.
        start: The network that it is for.
        ledger: The study's ledger.

    Raises:
        PlannerError: If it is neither, or the weights do not fit the network.
    """
    if text.isdecimal():
        if not 1 <= int(text) <= MOST_EPOCHS:
            raise PlannerError(f"--pretrain {text}: a number of epochs from 1 to {MOST_EPOCHS} is wanted, or a file")
        return int(text)
    path = Path(text).expanduser()
    if not path.exists():
        raise PlannerError(f"--pretrain {text}: neither a number of epochs nor a file; nothing is downloaded")
    known = base(start.base)
    if not inheritable(known):
        raise PlannerError(
            f"--pretrain {text}: networks of family {known.family!r} inherit no weights; give a number of epochs"
        )
    classes, seed = ledger.settings.data.classes, ledger.settings.seed
    network = pretrained_network(path, start, classes, seed)
    name = f"pretrained-{weights_sha256(network.state_dict())[:12]}"  # the same weights have always the same name
    try:
        kept = network_path(ledger.folder, name)
        kept.parent.mkdir(exist_ok=True)
        save_network(kept, network, start, classes)
    except OSError as error:
        raise PlannerError(told(error)) from error
    return name
