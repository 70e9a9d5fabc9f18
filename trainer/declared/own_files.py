"""The files that a user's network is made of: its own, and those beside it that it imports."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from sampler import InputError

_OURS = ("planner", "sampler", "trainer")


def own_files(path: Path, root: Path) -> dict[str, str]:
    """Texts of a file and of all that it imports from its own folder or package, by their paths from there.

    They are found by reading, so that nothing is imported: what is imported by a computed name is not seen.

    Args:
        path: A Python file.
        root: Folder that its imports begin at: its own, or that of the package it is in.

    Returns:
        The file itself first, then the others in the order of their paths.

    Raises:
        InputError: If one cannot be read, or is no UTF-8.
    """
    package = path.relative_to(root).parts[0]
    found: dict[Path, str] = {}
    waiting = [path, *_module_files(root, ".".join(path.relative_to(root).parts[:-1]))]
    while waiting:
        file = waiting.pop()
        if file in found or not _is_own(file.relative_to(root).parts, package, root):
            continue
        found[file] = _text(file)
        waiting += _imported_files(found[file], file, root)
    others = sorted(file.relative_to(root).as_posix() for file in found if file != path)
    return {name: found[root / name] for name in (path.relative_to(root).as_posix(), *others)}


def _is_own(parts: tuple[str, ...], package: str, root: Path) -> bool:
    """Whether a file below a root is the user's: of the same package, or beside a file that is in none."""
    if parts[0] == package:
        return True
    installed = root.name in ("site-packages", "dist-packages") or not package.endswith(".py")
    return not installed and Path(parts[0]).stem not in _OURS


def root_of(path: Path, module: str) -> Path:
    """The folder that the imports of a module begin at.

    Example:
        >>> root_of(Path("/site/nets/small/unet.py"), "nets.small.unet").as_posix()
        '/site'
    """
    return path.parents[module.count(".") + (path.name == "__init__.py")]


def digest_of_files(files: Mapping[str, str]) -> str:
    """sha256 of files: of the bytes of a single one, of all names and digests of several.

    Example:
        >>> digest_of_files({"net.py": ""})[:8]
        'e3b0c442'
    """
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    if len(digests) == 1:
        return next(iter(digests.values()))
    return hashlib.sha256("".join(f"{name} {digests[name]}\n" for name in sorted(digests)).encode()).hexdigest()


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8"
        raise InputError(f"{file}: {reason}; give a Python file that can be read") from error


def _imported_files(text: str, file: Path, root: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return  # whoever imports it says where
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module_files(root, alias.name)
        elif isinstance(node, ast.ImportFrom):
            start = file.parents[node.level - 1] if node.level else root
            yield from _module_files(start, node.module or "")
            for alias in node.names:
                yield from _module_files(start, f"{node.module}.{alias.name}" if node.module else alias.name)


def _module_files(start: Path, dotted: str) -> Iterator[Path]:
    """The files of a module under a folder, those of the packages that it lies in included."""
    place = start
    for part in filter(None, dotted.split(".")):
        place = place / part
        for file in (place.with_name(f"{part}.py"), place / "__init__.py"):
            if file.is_file():
                yield file
