"""What was derived of networks, kept in the user's cache: counting one again imports neither torch nor its file."""

from __future__ import annotations

import hashlib
import json
import logging
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sampler import InputError
from sampler.declared.description import NetworkDescription, Source
from trainer.engines.shipping import node_cache
from trainer.files import write_atomically
from trainer.image_cache import only_ours

# Raise it when the same network would be derived otherwise; what was kept before is then derived again.
DERIVATION = 3
_log = logging.getLogger(__name__)


def kept_description(source: Source) -> NetworkDescription | None:
    """What was derived of a function of a file; None where nothing is kept, or what is cannot be used."""
    file = _file(source)
    try:
        kept = json.loads(file.read_bytes())
        if not only_ours([file]):
            raise ValueError("others may write there")
        if kept["sha256"] != _digest(kept["description"]):
            raise ValueError("its checksum is another")
        description = NetworkDescription.from_json(kept["description"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, InputError) as error:
        _log.warning("%s: not used (%s); the network is traced again", file, error)
        return None
    return description if description.source == source else None


def keep_description(description: NetworkDescription) -> None:
    """Keeps what was derived; where that cannot be written, it is derived again the next time."""
    file, plain = _file(description.source), description.to_json()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = {"sha256": _digest(plain), "description": plain}
        write_atomically(file, json.dumps(kept, allow_nan=False), mode=0o600)
    except (OSError, ValueError) as error:
        _log.info("%s: cannot be written (%s)", file, error)


def _file(source: Source) -> Path:
    key = [DERIVATION, source.file, source.function, source.sha256, *map(_version, ("torch", "timm"))]
    return node_cache() / "networks" / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.json"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _digest(plain: object) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
