"""Image data by Hugging Face's library `datasets`: of its hub, or a folder on disk in one of the forms it reads.

`hf:NAME_OR_PATH[,config=..][,revision=..][,image=..][,label=..][,train=..][,validation=..]`. The library keeps what
it downloads in its own cache; its rows are decoded once, as those of every source. Our repository has a folder
`datasets/` as well, which is no package: the library is found beside it, and told from it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from tqdm import tqdm

from trainer.image_data import DataError, Decoded, ImagePrep, Progress, one_line
from trainer.image_folders import split_role
from trainer.image_sources import Part, joined
from trainer.pictures import Picture, bytes_picture, decode_pictures, file_picture

OPTIONS = ("config", "revision", "image", "label", "train", "validation")
_INSTALL = "pip install 'scaling-planner[hf]'"
# Columns that are taken where several could be meant.
_USUAL = {"image": ("image", "img"), "label": ("label", "labels")}


@dataclass(frozen=True)
class HubSource:
    """What a source's text asks for.

    Attributes:
        name: Name of a data set of the hub, or path of a folder.
        options: Values of the `OPTIONS` that were given.
    """

    name: str
    options: Mapping[str, str]

    @property
    def here(self) -> Path | None:
        """The folder; None for a data set of the hub."""
        path = Path(self.name).expanduser().absolute()
        return path if path.exists() else None


@dataclass(frozen=True, eq=False)
class Splits:
    """The splits that are read, and how.

    Attributes:
        rows: Train and validation as the library has them, or one that is divided here; with image and label alone.
        names: Names of the splits.
        image: Column of the pictures.
        label: Column of the classes.
        notes: Sentences on what was decided.
    """

    rows: tuple[Any, ...]
    names: tuple[str, ...]
    image: str
    label: str
    notes: tuple[str, ...]


def hf_prep(text: str, side: int, skip: bool) -> ImagePrep:
    """The prep of a data set that the library reads; it is downloaded where it is not yet there.

    Args:
        text: Name or path, and options, without `hf:`.
        side: Side of the square pictures, in pixels.
        skip: Leave out pictures that cannot be read.

    Raises:
        DataError: If the library is missing, there is no such data set, or it is unclear which columns and splits are
            meant; when decoding, if a picture is unreadable.
    """
    source = hub_source(text)
    splits = _splits(source, _loaded(source))
    identity = {"kind": "hf", "name": str(source.here or source.name), **source.options}
    stamp = {name: _stamp(rows) for name, rows in zip(splits.names, splits.rows, strict=True)}
    return ImagePrep(identity, stamp, partial(_read, source, splits, side, skip), splits.notes)


def hub_source(text: str) -> HubSource:
    """What a text asks for.

    Raises:
        DataError: If an option is unknown or has no value.

    >>> hub_source("user/birds,label=kind,validation=test")
    HubSource(name='user/birds', options={'label': 'kind', 'validation': 'test'})
    """
    name, *parts = re.split(r",(?=\w+=)", text)
    options = {}
    for key, _, value in (part.partition("=") for part in parts):
        if key not in OPTIONS or not value.strip():
            raise DataError(f"hf option {key}={value!r} is unknown or empty; known options: {', '.join(OPTIONS)}")
        options[key] = value.strip()
    return HubSource(name, options)


# --- the library ---


def _library() -> Any:
    """Hugging Face's `datasets`.

    Raises:
        DataError: If it is not installed; a folder of that name where we are run is not it.
    """
    try:
        found = import_module("datasets")
    except Exception as error:  # it imports much
        raise DataError(f"data source hf: needs the library datasets ({one_line(error)}): {_INSTALL}") from error
    if not hasattr(found, "load_dataset"):
        raise DataError(f"data source hf: needs the library datasets: {_INSTALL}")
    if not hasattr(tqdm, "_lock"):  # its bars' own, for many processes, is complained of when ours ends at once
        tqdm.set_lock(RLock())
    return found


def _loaded(source: HubSource) -> dict[str, Any]:
    """The splits by their names, their rows memory-mapped."""
    library, here = _library(), source.here
    try:
        if here is not None and any((here / name).is_file() for name in ("dataset_dict.json", "state.json")):
            found = library.load_from_disk(str(here))
        else:
            wanted = {key: value for key, value in source.options.items() if key == "revision"}
            found = library.load_dataset(str(here or source.name), source.options.get("config"), **wanted)
    except Exception as error:  # the library's, those of the network, and those of every file format
        raise DataError(
            f"hf:{source.name} cannot be loaded ({one_line(error)}); check the name or path, or config=.. where the "
            "data set has several"
        ) from error
    return dict(found) if isinstance(found, dict) else {"all": found}


def _stamp(rows: Any) -> list[Any]:
    """Rows of a split, and the size and time of the files that hold them."""
    files = sorted(file["filename"] for file in rows.cache_files)
    return [len(rows), *([facts.st_size, facts.st_mtime_ns] for facts in map(os.stat, files))]


# --- splits and columns ---


def _splits(source: HubSource, found: Mapping[str, Any]) -> Splits:
    names = _split_names(source, found)
    features = found[names[0]].features
    image = _column(source, "image", features, _is_image)
    label = _column(source, "label", features, _is_class)
    if others := [name for name in names if not {image, label} <= found[name].features.keys()]:
        raise DataError(f"hf:{source.name}: split {others[0]} lacks {image} or {label}; name another: validation=..")
    held = f"{names[1]} validates" if len(names) > 1 else f"a fixed fifth of {names[0]} validates"
    notes = [f"{names[0]} trains, {held}; pictures are {image}, classes {label}"]
    if unread := [name for name in found if name not in names]:
        notes.append(f"not read: {', '.join(unread)}")
    rows = tuple(found[name].select_columns([image, label]) for name in names)
    return Splits(rows, names, image, label, tuple(notes))


def _split_names(source: HubSource, found: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of train and validation, or of one split that is divided."""
    there = ", ".join(found)
    roles: dict[str, list[str]] = {}
    for name in found:
        roles.setdefault((split_role(name) or ("",))[0], []).append(name)
    chosen = {"train": roles.get("train", []), "validation": roles.get("validation") or roles.get("test", [])}
    for role in chosen:
        if role in source.options:
            chosen[role] = [source.options[role]]
            if chosen[role][0] not in found:
                raise DataError(f"hf:{source.name} has no split {chosen[role][0]!r}; it has {there}: give {role}=..")
        elif len(chosen[role]) > 1:
            raise DataError(f"hf:{source.name} has the splits {there}; say which one is meant: {role}=..")
    names = [*chosen["train"], *chosen["validation"]] if chosen["train"] else list(found)
    if (not chosen["train"] and len(found) > 1) or len(set(names)) < len(names):
        raise DataError(f"hf:{source.name} has the splits {there}; say which: train=..,validation=..")
    return tuple(names)


def _column(source: HubSource, role: str, features: Mapping[str, Any], fits: Callable[[Any], bool]) -> str:
    """The column that is named, or the only one that fits, or the one that is called as usual."""
    columns = ", ".join(f"{name} ({_kind(feature)})" for name, feature in features.items())
    if role not in source.options:
        fitting = [column for column, feature in features.items() if fits(feature)]
        usual = [column for column in fitting if column in _USUAL[role]]
        if len(fitting) != 1 and len(usual) != 1:
            raise DataError(f"hf:{source.name} has the columns {columns}; say which is meant: {role}=..")
        return fitting[0] if len(fitting) == 1 else usual[0]
    name = source.options[role]
    kinds = {"image": "Image", "label": "ClassLabel, whole numbers or names"}
    if name not in features or not (fits(features[name]) or (role == "label" and _is_value(features[name]))):
        raise DataError(f"hf:{source.name}: {role}={name} is none of {kinds[role]}; the columns are {columns}")
    return name


def _kind(feature: Any) -> str:
    return str(getattr(feature, "dtype", "")) if _is_value(feature) else type(feature).__name__


def _is_image(feature: Any) -> bool:
    return type(feature).__name__ == "Image"


def _is_class(feature: Any) -> bool:
    return type(feature).__name__ == "ClassLabel"


def _is_value(feature: Any) -> bool:
    """Whether a column has whole numbers or texts, which may be classes where it is said."""
    return type(feature).__name__ == "Value" and bool(re.match(r"u?int|bool|(large_)?string", str(feature.dtype)))


# --- rows ---


def _read(source: HubSource, splits: Splits, side: int, skip: bool, progress: Progress) -> Decoded:
    given = [rows.select_columns([splits.label])[:][splits.label] for rows in splits.rows]
    feature = splits.rows[0].features[splits.label]
    known = range(len(feature.names)) if _is_class(feature) else sorted(set(given[0]) - {None})
    classes = tuple(feature.names) if _is_class(feature) else tuple(map(str, known))
    if len(classes) < 2:
        raise DataError(f"hf:{source.name}: {splits.label} has {len(classes)} classes; name another column: label=..")
    parts = []
    for name, rows, labels in zip(splits.names, splits.rows, given, strict=True):
        places = _places(source, name, known, labels)
        pictures = _pictures(name, rows, splits.image)
        parts.append(Part(pictures, places, decode_pictures(pictures, side, partial(progress, f"decoding {name}"))))
    _refuse_unseen(source, splits, classes, parts[0].labels)
    return joined(f"hf:{source.name}", parts, classes, skip)


def _places(source: HubSource, split: str, known: Sequence[Any], labels: Sequence[Any]) -> np.ndarray:
    """Positions of labels in the known ones, `(n,)` int64."""
    place = {label: number for number, label in enumerate(known)}
    wrong = [row for row, label in enumerate(labels) if label not in place]
    if wrong or not labels:
        what = f"{len(wrong)} of {len(labels)} rows have no known class (first: row {wrong[0]}, {labels[wrong[0]]})"
        raise DataError(
            f"hf:{source.name}: split {split}: {what if wrong else 'there are no rows'}; name another split: "
            "train=..,validation=.."
        )
    return np.array([place[label] for label in labels], np.int64)


def _refuse_unseen(source: HubSource, splits: Splits, classes: Sequence[str], labels: np.ndarray) -> None:
    lost = np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0)
    if len(lost):
        raise DataError(
            f"hf:{source.name}: class {classes[lost[0]]} has no picture in {splits.names[0]}; name another split: "
            "train=.."
        )


def _pictures(split: str, rows: Any, image: str) -> list[Picture]:
    encoded = rows.select_columns([image]).cast_column(image, _library().Image(decode=False))

    def picture(row: int) -> Picture:
        return Picture(f"{split} row {row}", lambda: _opened(f"{split} row {row}", encoded[row][image]))

    return [picture(row) for row in range(len(encoded))]


def _opened(name: str, found: Mapping[str, Any] | None) -> Any:
    """The picture of a row, of its bytes or of the file that it names."""
    if found is None:
        raise ValueError("no picture")
    held, path = found.get("bytes"), found.get("path")
    one = bytes_picture(name, lambda: held or b"") if held or not path else file_picture(Path(path))
    return one.open()
