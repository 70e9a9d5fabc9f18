"""Checkpoints in the middle of a training: written whole or not at all, and read back only by the same training.

A file is the sha256 of a payload and the payload, which `torch.save` wrote and `weights_only=True` reads: torch
itself does not notice flipped bits.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch

from trainer.files import write_atomically
from trainer.observation import Training
from trainer.weights import network_file

_SCHEMA = "training-checkpoint/1"
DIGEST_BYTES = 32


def identity_of(training: Training, fingerprint: str, device: str, weights: Mapping[str, torch.Tensor] | None) -> str:
    """Everything a training's result depends on, as JSON.

    Where the images lie does not matter, only what they are (`fingerprint`).
    """
    asked = training.key()
    del asked["data"]["cache"], asked["data"]["source"], asked["parent"], asked["keep"]
    teacher, asked["recipe"]["teacher"] = asked["recipe"]["teacher"], ""
    facts = {
        **asked,
        "schema": _SCHEMA,
        "images": fingerprint,
        "device": device,
        "torch": torch.__version__,
        "timm": timm.__version__,
        "weights": "" if weights is None else weights_sha256(weights),
        "teacher": hashlib.sha256(network_file(Path(teacher)).read_bytes()).hexdigest() if teacher else "",
    }
    return json.dumps(facts, sort_keys=True)


def weights_sha256(weights: Mapping[str, torch.Tensor]) -> str:
    """sha256 over names and values, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_checkpoint(path: Path, identity: str, state: dict[str, Any]) -> None:
    """Replaces a checkpoint atomically.

    Raises:
        OSError: If it cannot be written; an older one is then untouched.
    """
    buffer = io.BytesIO()
    torch.save({"identity": identity, "state": state}, buffer)
    payload = buffer.getvalue()
    write_atomically(path, hashlib.sha256(payload).digest() + payload)


def read_checkpoint(path: Path, identity: str, device: torch.device) -> tuple[dict[str, Any] | None, str]:
    """The state that the same training wrote.

    Returns:
        The state, or None where there is none that can be used; and why not, in one line ("" where no file is).
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"checkpoint {path.name} ignored: {error.strerror or error}"
    digest, payload = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        return None, f"checkpoint {path.name} ignored: damaged"
    try:
        found = torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
        theirs, state = found["identity"], found["state"]
        differs = _differences(theirs, identity) if theirs != identity else ""
    except Exception as error:  # what torch raises of a file that it did not write is documented nowhere
        return None, f"checkpoint {path.name} ignored: not a checkpoint ({type(error).__name__})"
    if theirs != identity:
        return None, f"checkpoint {path.name} ignored: of another training ({differs})"
    return state, ""


def _differences(found: str, wanted: str) -> str:
    """Names of what differs between two identities."""
    ours, theirs = json.loads(wanted), json.loads(found)
    return ", ".join(sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)))
