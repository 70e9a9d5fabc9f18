"""Folders of pictures: which of them are splits, which are classes, and what else lies there and is not read.

Folders are splits by their names (`train`, `Training`, `test_set`, `seg_val`), not by what they hold: of two
folders called Train and Test a network would otherwise learn which of them a picture lies in.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sampler.errors import printable
from trainer.image_data import DataError

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
)
# What systems leave beside pictures, in small letters; whatever begins with a dot is hidden as well.
HIDDEN = frozenset(
    {"__macosx", "@eadir", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "lost+found"}
)
# Words of a split's name: what it is for, and those that say nothing.
ROLES = {
    **dict.fromkeys(("train", "training", "trainset", "trn", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "valset", "validset", "dev", "devset", "eval"), "validation"),
    **dict.fromkeys(("test", "testing", "testset", "tst"), "test"),
}
FILLERS = frozenset({"set", "image", "images", "img", "imgs", "data", "dataset", "pictures", "photos", "split"})
# The kinds of `Folders.passed_over` that are no suffix.
HIDDEN_KIND, NO_SUFFIX, OUTSIDE = "hidden", "without a suffix", "outside class folders"

Listing = Mapping[str, list[Path]]  # class name -> its pictures


@dataclass(frozen=True)
class Folders:
    """What a folder holds.

    Attributes:
        places: The folder of train and that of validation, or one that is not divided.
        listings: The pictures of each.
        notes: Sentences on what was decided, and on what is not read.
    """

    places: tuple[Path, ...]
    listings: tuple[Listing, ...]
    notes: tuple[str, ...]


def read_folders(path: Path) -> Folders:
    """The pictures of train and of validation, or of one folder that is not divided.

    Args:
        path: Holds class folders, or splits that hold them.

    Raises:
        DataError: If it is unclear what they are, or they hold too little.
    """
    if not path.is_dir():
        raise DataError(f"{path} is not a folder; check the path")
    root = _inner(path, splits_too=False)
    splits, notes, over = _splits(root), [], Counter[str]()
    if root != path:
        notes.append(f"{root.relative_to(path)} is read, the only folder in it")
    if splits:
        notes += _said(root, splits)
        _count_loose(root, over)
    wanted = [splits[role] for role in ("train", "validation") if role in splits]
    places = tuple(_inner(root / name, splits_too=True) for name in wanted) or (root,)
    listings = tuple(class_files(place, over=over) for place in places)
    if len(listings) == 2:
        _refuse_other_classes(path, wanted, listings)
    elif not splits:
        notes += _doubts(root, sorted(listings[0]))
    return Folders(places, listings, tuple(map(printable, notes + passed_over(over))))


def passed_over(over: Counter[str]) -> list[str]:
    """A sentence on what was not read, or none."""
    if not over:
        return []
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(over.items(), key=lambda item: (-item[1], item[0])))
    return [f"{over.total()} {'entry' if over.total() == 1 else 'entries'} passed over: {kinds}"]


def class_folders(folder: Path) -> list[str]:
    """The names of the class folders in a folder, sorted.

    Raises:
        DataError: If it cannot be listed, or one of them is a link to nothing.
    """
    for entry in _entries(folder):
        if not _hidden(entry.name) and _suffix(entry) not in PICTURE_SUFFIXES and _dangles(entry):
            raise DataError(f"{entry.path} is a link to {os.readlink(entry.path)}, which is not there; remove it")
    return _folders_in(folder)


def class_files(
    folder: Path, classes: Iterable[str] | None = None, over: Counter[str] | None = None
) -> dict[str, list[Path]]:
    """The pictures of each class folder, both in order of name; sub-folders of a class count, links are followed.

    Args:
        folder: Holds the class folders.
        classes: Those wanted, all of them there; all by default.
        over: Names of what is passed over, by kind, to which more is added.

    Raises:
        DataError: If there are fewer than two, or one without pictures.
    """
    names = class_folders(folder) if classes is None else sorted(classes)
    if len(names) < 2:
        raise DataError(
            f"{folder} has {len(names)} class folders; give it one folder of pictures per class, at least 2"
        )
    over = Counter() if over is None else over
    _count_loose(folder, over)
    files = {}
    for name in names:
        inside = Counter[str]()
        files[name] = sorted(_pictures_in(folder / name, _identity(folder), inside))
        if not files[name]:
            held = "".join(f"; {sentence}" for sentence in passed_over(inside))
            raise DataError(
                f"{folder / name} has no images ({', '.join(sorted(PICTURE_SUFFIXES))}); add some or remove the folder"
                + held
            )
        over += inside
    return files


# --- splits ---


def split_role(name: str) -> tuple[str, tuple[str, ...]] | None:
    """What a name says a split is for (train, validation or test), and its other words; None for other names.

    >>> split_role("Test_Images"), split_role("seg-train2017"), split_role("bullet"), split_role("invalid")
    (('test', ()), ('train', ('seg',)), None, None)
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [word for word in re.findall(r"[^\W\d_]+", apart.lower()) if word not in FILLERS]
    roles = [ROLES[word] for word in words if word in ROLES]
    return (roles[0], tuple(word for word in words if word not in ROLES)) if len(roles) == 1 else None


def _paired(names: Iterable[str]) -> list[dict[str, list[str]]]:
    """Names that are splits of one thing, by role: `train` and `val`, or `seg_train` and `seg_test`.

    A name with further words (`bullet_train`) is a split only beside another one with the same words.
    """
    groups: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for name in sorted(names):
        if found := split_role(name):
            groups.setdefault(found[1], {}).setdefault(found[0], []).append(name)
    return [roles for words, roles in groups.items() if not words or len(roles) > 1]


def _splits(root: Path) -> dict[str, str]:
    """The folders of a root by role; empty where they are classes."""
    names = _folders_in(root)
    _refuse_folds(root, names)
    groups = _paired(names)
    found = sorted(name for roles in groups for same in roles.values() for name in same)
    if not found or (len(found) == 1 != len(names) and not _folders_in(root / found[0])):
        return {}  # a lone `train` beside `bus`, with pictures in it, is a class
    clear = len(groups) == 1 and all(len(same) == 1 for same in groups[0].values())
    roles = {role: same[0] for role, same in groups[0].items()}
    if not clear or "train" not in roles or len(roles) < 2:
        raise DataError(
            f"{root} has {found}, as splits are called; give it train and one of val, validation, or none of them; of "
            "one that is given alone, as imagefolder:PATH/train, a fixed fifth validates"
        )
    if "validation" not in roles and _folders_in(root / roles["test"]):
        roles["validation"] = roles.pop("test")
    return roles


def _refuse_folds(root: Path, names: Sequence[str]) -> None:
    if len(names) > 1 and all(re.fullmatch(r"(fold|split)[ _-]*\d+", name.lower()) for name in names):
        raise DataError(f"{root} has {names[:5]}, which are folds, not classes; sort them into train and val")


def _said(root: Path, splits: Mapping[str, str]) -> list[str]:
    """Sentences on which folders are read as which split, where their names are not those of the documentation."""
    notes = []
    train, held, test = (splits.get(role) for role in ("train", "validation", "test"))
    if held is None:
        notes.append(f"{test} has no class folders and is not read; a fixed fifth of {train} validates")
    elif train != "train" or held not in ("val", "validation"):
        notes.append(f"read as splits: {train} trains, {held} validates")
    others = sorted(set(_folders_in(root)) - {train, held, test if held is None else None})
    return notes + ([f"not read: {', '.join(others)}"] if others else [])


def _doubts(root: Path, classes: Sequence[str]) -> list[str]:
    """What speaks against classes being classes, as a sentence.

    Raises:
        DataError: If a class has splits inside.
    """
    inside = {name: _folders_in(root / name) for name in classes}
    for name, folders in inside.items():
        splits = [found for roles in _paired(folders) if len(roles) > 1 for same in roles.values() for found in same]
        if splits:
            raise DataError(f"{root / name} has {splits} inside; sort them as {splits[0]}/{name}, {splits[1]}/{name}")
    common = sorted(set.intersection(*(set(folders) for folders in inside.values())))
    if len(common) < 2:
        return []
    return [
        f"{' and '.join(classes[:2])} both hold folders called {' and '.join(common[:2])}, as splits do; they are read "
        "as classes: if they are none, call them train and val"
    ]


def _inner(folder: Path, splits_too: bool) -> Path:
    """The folder, or that which lies alone in it and holds folders, as archives unpack: photos/photos/CLASS."""
    seen = set()
    while (here := os.path.realpath(folder)) not in seen:
        seen.add(here)
        names = _folders_in(folder)
        if len(names) != 1 or not _folders_in(folder / names[0]) or (split_role(names[0]) and not splits_too):
            break
        folder = folder / names[0]
    return folder


def _refuse_other_classes(path: Path, names: Sequence[str], listings: Sequence[Listing]) -> None:
    if set(listings[0]) != set(listings[1]):
        raise DataError(
            f"{path}: classes {sorted(set(listings[0]) ^ set(listings[1]))[:5]} are in only one of {list(names)}; "
            "both need the same class folders"
        )


# --- what lies in a folder ---


def _pictures_in(folder: Path, around: tuple[int, int], over: Counter[str]) -> Iterator[Path]:
    """Pictures at any depth; a link to nothing is one, so that it is named as unreadable."""
    stack = [(folder, frozenset({around}))]
    while stack:
        place, outer = stack.pop()
        inner = outer | {_identity(place)}
        if len(inner) == len(outer):
            raise DataError(f"{place} leads back to a folder around it, by a link, without end; remove the link")
        for entry in _entries(place):
            if _hidden(entry.name):
                over[HIDDEN_KIND] += 1
            elif _is_folder(entry):
                stack.append((Path(entry.path), inner))
            elif _suffix(entry) in PICTURE_SUFFIXES or _dangles(entry):
                yield Path(entry.path)
            else:
                over[_suffix(entry) or NO_SUFFIX] += 1


def _count_loose(folder: Path, over: Counter[str]) -> None:
    """Counts what lies beside class folders."""
    for entry in _entries(folder):
        if _hidden(entry.name):
            over[HIDDEN_KIND] += 1
        elif not _is_folder(entry):
            over[OUTSIDE if _suffix(entry) in PICTURE_SUFFIXES else _suffix(entry) or NO_SUFFIX] += 1


def _folders_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in _entries(folder) if _is_folder(entry) and not _hidden(entry.name))


def _suffix(entry: os.DirEntry[str]) -> str:
    return os.path.splitext(entry.name)[1].lower()


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in HIDDEN


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or through a folder that may not be entered
        return False


def _dangles(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)


def _identity(folder: Path) -> tuple[int, int]:
    facts = folder.stat()
    return facts.st_dev, facts.st_ino


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{folder} cannot be listed ({error.strerror}); give the rights or remove it") from error
