"""`planner data`: builds proxies (`make`) and describes image sources (`info`)."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from planner.commands.groups import Suggesting
from planner.commands.options import PIXEL_RANGE, SEED, as_json, echo_json, echo_table
from planner.errors import PlannerError
from sampler.errors import printable

# Folders of pictures that are taken as they are; the other names are trainer.proxies.IMAGENET.
_FOLDER = "folder"
_NAMES = ("imagenet100", "imagenet100-500", "imagenet1000-100", _FOLDER)
# Holds a training at 128 px with its margin of 1.25, as PyTorch's own 256 px hold one at 224 with 1.14.
PROXY_SIDE = 160
INFO_SIDE = 64
UNREADABLE_SHOWN = 20
CLASSES_SHOWN = 20
# Characters of a class's name in the table.
NAME_SHOWN = 40


@click.group(
    name="data",
    cls=Suggesting,
    epilog="Example: planner data info imagefolder:photos",
    short_help="Build proxies and describe image sources.",
)
def command() -> None:
    """Builds proxies and describes image sources.

    A source is fractal, npz:PATH, imagefolder:PATH, cifar10:PATH, cifar100:PATH or hf:NAME
    (a data set of Hugging Face, or a folder that its library reads).
    """


# --- make ---


@command.command(
    name="make",
    epilog="Example: planner data make imagenet100-500 --from ILSVRC --classes random --seed 1",
    short_help="Pack pictures into one archive.",
)
@click.argument("name", type=click.Choice(_NAMES))
@click.option("--from", "folder", metavar="DIR", required=True, help="DIR/train/CLASS/* and DIR/val/CLASS/*.")
@click.option(
    "--classes",
    metavar="N|random|FILE",
    help="How many, drawn by --seed; random for the usual number; or a file that names one class per line.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Draws classes and pictures.")
@click.option("--side", type=PIXEL_RANGE, default=PROXY_SIDE, show_default=True, help="Pixels.")
@click.option("--out", metavar="PATH", help="The archive; NAME.npz by default. Its card is beside it, as .json.")
@click.option("--skip-corrupt", is_flag=True, help="Leave out pictures that cannot be read.")
@as_json
def _make(
    name: str,
    folder: str,
    classes: str | None,
    seed: int,
    side: int,
    out: str | None,
    skip_corrupt: bool,
    json_: bool,
) -> None:
    """Packs pictures into one archive, for `--data npz:PATH`, with a card of what is in it.

    \b
    imagenet100       the 100 classes of CMC, all their pictures
    imagenet100-500   the same classes, 500 training pictures of each
    imagenet1000-100  1000 classes, 100 training pictures of each; 50 of each
                      validate, also taken from the training pictures
    folder            any DIR/train/CLASS/* and DIR/val/CLASS/*, or DIR/CLASS/*,
                      of which a fixed fifth validates

    The same pictures, options and versions give the same bytes.
    """  # noqa: D301 - \b is click's mark for lines not to be joined
    from planner.commands.progress import decoding
    from trainer.proxies import IMAGENET, pack, select_folder, select_imagenet

    root, path = Path(folder).expanduser(), Path(out or f"{name}.npz").expanduser()
    if path.suffix != ".npz":
        raise PlannerError(f"--out {path} does not end in .npz; its card would end in .json")
    wanted = _classes(name, classes)
    if name == _FOLDER:
        selection = select_folder(root, wanted, seed)
    else:
        selection = select_imagenet(root, IMAGENET[name], wanted or IMAGENET[name].classes, seed)
    about = {"name": name, "from": folder, "seed": seed, "command": _command_line()}
    card = pack(selection, path, side, about, skip_corrupt=skip_corrupt, progress=decoding)
    if json_:
        echo_json(card)
        return
    images = card["images"]
    _say(
        f"{path}: {images['train']} training and {images['validation']} validation images of "
        f"{len(images['per_class'])} classes at {side} px, {card['bytes'] / 1e6:.1f} MB"
    )
    _show_notes(card["notes"])
    _show_unreadable(card["unreadable"], "left out")
    if name in IMAGENET:
        _say(
            f"A study scores on a fifth of the {images['train']} training images by default; with --holdout 0, as the "
            f"papers do, all of them train and the {images['validation']} validation images score."
        )
    _say(f"The card is {path.with_suffix('.json')}. Next: planner data info npz:{path}")


def _classes(name: str, text: str | None) -> Sequence[str] | int | None:
    """What --classes says: names, how many, or None for the proxy's own choice."""
    from trainer.proxies import IMAGENET

    if text is None:
        return _cmc() if name in IMAGENET and IMAGENET[name].listed else None
    if text == "random":
        if name == _FOLDER:
            raise PlannerError("--classes random: a folder has no usual number of classes; give --classes N")
        return IMAGENET[name].classes
    if text.isdecimal():
        if int(text) < 2:
            raise PlannerError(f"--classes {text} is too few; give at least 2")
        return int(text)
    return _listed(name, Path(text).expanduser())


def _cmc() -> list[str]:
    from planner.text.shipped import shipped

    lines = shipped("datasets", "imagenet100_cmc", "classes.csv").read_text(encoding="utf-8").splitlines()
    return [line.split(",")[0] for line in lines[1:]]


def _listed(name: str, path: Path) -> list[str]:
    """The classes that a file names, one per line up to a tab or comma (in ImageNet's lists also a space)."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlannerError(f"--classes {path}: no list of classes there; give N, random or a text file") from error
    end = r"[\t,]" if name == _FOLDER else r"[\s,]"
    found = [re.split(end, line.strip())[0] for line in text.splitlines() if line.strip()]
    found = found[1:] if found[:1] == ["class"] else found
    if len(set(found)) < 2:
        raise PlannerError(f"--classes {path} names {len(set(found))} classes; name at least 2, one per line")
    return found


def _command_line() -> str:
    import shlex

    return shlex.join(["planner", *sys.argv[1:]])


# --- info ---


@command.command(
    name="info",
    epilog="Example: planner data info cifar10:cifar-10-binary.tar.gz --side 32",
    short_help="Describe an image source.",
)
@click.argument("source")
@click.option(
    "--side",
    type=PIXEL_RANGE,
    default=INFO_SIDE,
    show_default=True,
    help="Pixels to decode and compare at.",
)
@as_json
def info(source: str, side: int, json_: bool) -> None:
    """Describes a source: classes, counts, sizes, colours, checksum, duplicates, and what is not or cannot be read.

    Equal images have the same pixels at --side. Near copies are the same picture resized or saved again; cropped,
    shifted or mirrored ones are not found. The fingerprint is the one a study with this --side records.
    """
    from planner.commands.progress import decoding
    from trainer.describe import describe
    from trainer.images import decode_source, skipping

    found = {"source": source, "side": side, **describe(decode_source(skipping(source), side, decoding), decoding)}
    if json_:
        echo_json(found)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    width, height = found["stored_px"]["width"], found["stored_px"]["height"]
    _say(f"{found['source']}: {len(found['classes'])} classes, decoded at {found['side']} px")
    rows = []
    for split in ("train", "validation"):
        counts = found[split]["per_class"]
        rows.append([split, f"{found[split]['images']:,}", *(f"{counts[key]:g}" for key in ("min", "median", "max"))])
    echo_table(["", "images", "per class: min", "median", "max"], rows)
    click.echo(
        f"stored: width {width['min']} to {width['max']} px (median {width['median']:g}), "
        f"height {height['min']} to {height['max']} px (median {height['median']:g})"
    )
    _show_classes(found["class_counts"])
    _show_notes(found["notes"])
    for name in ("mean", "std"):
        click.echo(f"{name} of red, green, blue: " + ", ".join(f"{value:.4f}" for value in found[name]))
    click.echo(f"fingerprint: {found['fingerprint']}")
    _show_duplicates("equal images", found["duplicates"]["equal"])
    _show_duplicates("near copies", found["duplicates"]["near"])
    _show_unreadable(found["unreadable"], "cannot be read; trainings refuse the source without --skip-corrupt")


def _say(text: str) -> None:
    """Prints a line; names of files and classes may hold anything."""
    click.echo(printable(text))


def _show_classes(counts: Sequence[dict[str, Any]]) -> None:
    rows = []
    for one in counts[:CLASSES_SHOWN]:
        name = printable(one["name"])
        name = name if len(name) <= NAME_SHOWN else f"{name[:NAME_SHOWN]}.."
        rows.append([name, f"{one['train']:,}", f"{one['validation']:,}"])
    echo_table(["class", "train", "validation"], rows)
    if len(counts) > CLASSES_SHOWN:
        click.echo(f"and {len(counts) - CLASSES_SHOWN} more classes (--json names them all)")


def _show_notes(notes: Sequence[str]) -> None:
    for note in notes:
        _say(f"note: {note}")


def _show_duplicates(what: str, pairs: dict[str, Any] | None) -> None:
    if pairs is None:
        click.echo(f"{what}: not sought among so many images")
        return
    count = sum(pairs[kind] for kind in ("within_train", "within_validation", "between"))
    if not count:
        click.echo(f"{what}: none")
        return
    click.echo(
        f"{what}: {pairs['within_train']} within train, {pairs['within_validation']} within validation, "
        f"{pairs['between']} between them; {pairs['of_different_classes']} of the {count} in different classes"
    )
    for pair in pairs["pairs"]:
        names = " = ".join(f"{name} ({label})" for name, label in zip(pair["names"], pair["classes"], strict=True))
        _say(f"  {pair['where'].replace('_', ' ')}: {names}")
    if count > len(pairs["pairs"]):
        click.echo(f"  and {count - len(pairs['pairs'])} more")


def _show_unreadable(unreadable: Sequence[dict[str, str]], what: str) -> None:
    if not unreadable:
        return
    click.echo(f"{len(unreadable)} images {what}:")
    for one in unreadable[:UNREADABLE_SHOWN]:
        _say(f"  {one['name']} ({one['reason']})")
    if len(unreadable) > UNREADABLE_SHOWN:
        click.echo(f"  and {len(unreadable) - UNREADABLE_SHOWN} more (--json names them all)")
