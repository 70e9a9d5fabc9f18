"""Functions of a user's own files and modules: `FILE.py:NAME`, `package.module:NAME`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from sampler import InputError

_folders: list[str] = []  # those of users' files, on the path after all others


def named_object(name: str, option: str, wanted: str, beside: Mapping[str, str] = {}) -> Any:  # noqa: B006 never changed
    """What a user's file or module has by a name.

    Args:
        name: `FILE.py:NAME` or `package.module:NAME`.
        option: Option that was given it, as "--trainer"; errors begin with it.
        wanted: Advice where it is not there or cannot be called; `{where}` in it is the file or module.
        beside: Texts beside the file, for `module_of_file`.

    Returns:
        Something that can be called.

    Raises:
        InputError: If the file or module cannot be imported, or has no such function; one line.
    """
    where, _, attribute = name.rpartition(":")
    asked = f"{option} {name}"
    module = module_of_file(Path(where), asked, beside) if where.endswith(".py") else _imported(where, asked)
    found = getattr(module, attribute, None)
    if not callable(found):
        problem = f"{attribute} is no function" if hasattr(module, attribute) else f"{where} has no {attribute!r}"
        raise InputError(f"{asked}: {problem}; {wanted.format(where=where)}")
    return found


def module_of_file(path: Path, asked: str, beside: Mapping[str, str] = {}) -> ModuleType:  # noqa: B006 never changed
    """The module that a file is, imported once while it stays as it is; files beside it can be imported by it.

    Args:
        path: The file.
        asked: Beginning of errors: "--trainer FILE.py:NAME".
        beside: Texts of the files that it imports from its folder, by their paths from there: it is imported anew where
            one of them has changed, or where others of their names were imported from another user's folder.

    Raises:
        InputError: If it cannot be read or imported; one line.
    """
    path, content = read_file(path, asked)
    texts = "".join(f"\0{name}\0{beside[name]}" for name in sorted(beside))
    title = f"_user_{hashlib.sha256(str(path).encode() + content + texts.encode()).hexdigest()[:16]}"
    if title in sys.modules:
        return sys.modules[title]
    prefer_folder(str(path.parent), beside)
    spec = importlib.util.spec_from_file_location(title, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[title] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file does when it is imported
        del sys.modules[title]
        raise _unusable(asked, error) from error
    return module


def prefer_folder(folder: str, beside: Iterable[str]) -> None:
    """Has the files of a folder found before those of other users' folders, and imported anew.

    Args:
        folder: The folder.
        beside: Paths from there of the files that shall be imported.
    """
    if folder not in sys.path:
        _folders.append(folder)
    if folder in _folders:  # behind all that is installed, so that it hides nothing
        _folders.sort(key=lambda one: one != folder)
        sys.path[:] = [one for one in sys.path if one not in _folders] + _folders
    own = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in beside}
    for name in own & sys.modules.keys():
        file = getattr(sys.modules[name], "__file__", None) or ""
        if any(Path(one) in Path(file).parents for one in (folder, *_folders)):
            del sys.modules[name]


def read_file(path: Path, asked: str) -> tuple[Path, bytes]:
    """The whole path of a Python file, and its bytes.

    Raises:
        InputError: If it cannot be read; one line.
    """
    try:
        path = path.expanduser().resolve()
        return path, path.read_bytes()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{asked}: {path}: {reason}; give the path of a Python file") from error


def file_of_module(module: str, asked: str) -> Path | None:
    """The file of a module, which is not imported (packages that it lies in are); None where it has none.

    Raises:
        InputError: If there is no such module; one line.
    """
    _see_folder()
    try:
        found = importlib.util.find_spec(module)
    except Exception as error:  # a package that it lies in fails
        raise _unusable(asked, error) from error
    if found is None:
        raise InputError(f"{asked}: there is no module {module}; give FILE.py:NAME or package.module:NAME")
    return Path(found.origin) if found.origin and found.origin.endswith(".py") else None


def _imported(module: str, asked: str) -> ModuleType:
    _see_folder()
    try:
        return importlib.import_module(module)
    except Exception as error:  # whatever the user's module does when it is imported
        raise _unusable(asked, error) from error


def _see_folder() -> None:
    """Has modules of the folder where it is run found, as `python -m` does."""
    if (here := str(Path.cwd())) not in sys.path and "" not in sys.path:
        sys.path.append(here)


def _unusable(asked: str, error: Exception) -> InputError:
    return InputError(f"{asked}: cannot be imported ({type(error).__name__}: {error}); mend it")
