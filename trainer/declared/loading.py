"""Declared networks made known: from a decorated function, `FILE.py:NAME`, an installed package, or by content."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from sampler import BaseNetwork, InputError, base
from sampler.checks import shown
from sampler.declared.description import NetworkDescription, Source
from sampler.declared.family import declared_family, know_declared
from sampler.declared.spec import NetworkSpec
from sampler.deferred import DeferredModule
from sampler.families.registry import forget_base, joined_bases, known_bases, unregister_family
from trainer.declared.declaring import Declaration, declaration_of
from trainer.declared.kept import keep_description, kept_description
from trainer.declared.own_files import digest_of_files, own_files, root_of
from trainer.declared.tables import (
    TABLE_SUFFIX,
    know_stage_table,
    load_table,
    read_toml,
    stage_table,
    table_text,
)
from trainer.declared.torch_family import DeclaredTorchFamily
from trainer.families.registry import register_torch_family, unregister_torch_family
from trainer.image_data import Progress
from trainer.user_code import file_of_module, named_object, prefer_folder, read_file

_GROUP = "scaling_planner.networks"  # of the entry points by which installed packages offer networks
_derive = DeferredModule("trainer.declared.derive")


@dataclass(frozen=True)
class ShippedNetwork:
    """All that another process needs to count and build a declared network; without files, so that any machine can.

    Attributes:
        file: Name of its file, without folders; "" where no other process can have it.
        function: Name of its function.
        content: Text of its file; "" where there is none.
        description: Description of the network, as JSON.
        beside: Names, from the folder of all, and texts of the files: its own first, then those that it imports.
    """

    file: str
    function: str
    content: str
    description: str
    beside: tuple[tuple[str, str], ...] = ()

    @property
    def is_table(self) -> bool:
        """Whether it is a table of known blocks instead, whose description is that table."""
        return self.file.endswith(TABLE_SUFFIX)


@dataclass(frozen=True)
class _Origin:
    """Where a known network is from.

    Attributes:
        place: Place that a changed network is at again: its file and function, or its module and name.
        spec: Gives what was declared.
        files: Texts of its files.
    """

    place: tuple[str, str]
    spec: Callable[[], NetworkSpec]
    files: tuple[tuple[str, str], ...]


_origins: dict[str, _Origin] = {}
_families: dict[str, DeclaredTorchFamily] = {}


def silent(what: str, done: int, total: int) -> None:
    """Tells nobody how far it is."""


def load_network(given: Any, tell: Progress = silent) -> BaseNetwork:
    """The base network that is meant, known by its name from now on. A declared one is derived, once per file.

    Args:
        given: Name of a base network; `FILE.toml`, a table of known blocks; `FILE.py:NAME` or `package.module:NAME`, a
            function that `planner.network` decorates; that function; what it declares; or a base network, which is
            given back.
        tell: Called with (what, done, total) while a network is derived.

    Raises:
        InputError: If there is no such network, it cannot be counted, or its name is another network's; one line.
    """
    if isinstance(given, BaseNetwork):
        return given
    if isinstance(given, NetworkSpec):
        return _of_declaration(Declaration(given), tell)
    if not isinstance(given, str):
        return _of_declaration(declaration_of(given), tell)
    if given.endswith(TABLE_SUFFIX) and given not in known_bases():
        return load_table(given)
    if ":" in given and given not in known_bases():
        return _named(given, tell)
    if given not in known_bases() and (value := offered_network(given)):
        return _named(value, tell)
    return base(given)


def offered_network(name: str) -> str:
    """The function that an installed package offers by a name, as `package.module:NAME`; "" where none does.

    Raises:
        InputError: If several do.
    """
    found = sorted({point.value for point in entry_points(group=_GROUP, name=name)})
    if len(found) > 1:
        raise InputError(f"network {name!r} is given by {' and '.join(found)}; uninstall all but one")
    return found[0] if found else ""


def _named(name: str, tell: Progress) -> BaseNetwork:
    path, root = _place(name)
    if path is None:
        return _of_declaration(_declared(name, {}), tell)
    files, function = own_files(path, root), name.rpartition(":")[2]
    source = Source(path.name, function, digest_of_files(files))
    place = str(path), function
    if (known := _known_as(place, source)) is not None:
        return known
    imported = functools.cache(lambda: _checked(_declared(name, files).spec, source, name))
    description = kept_description(source) or _derived(imported(), tell)
    return _know(description, _Origin(place, imported, tuple(files.items())))


def files_named(given: str) -> dict[str, str]:
    """Texts of the files of a network that is named as `FILE.toml`, `FILE.py:NAME` or `package.module:NAME`.

    A network's own file is the first.

    Raises:
        InputError: If the file cannot be read, or there is no such module.
    """
    if given.endswith(TABLE_SUFFIX):
        return {Path(given).name: read_toml(Path(given))}
    path, root = _place(given)
    return {} if path is None else own_files(path, root)


def _place(name: str) -> tuple[Path | None, Path]:
    """The file of a name and the folder that its imports begin at; None where the module has no file."""
    where, asked = name.rpartition(":")[0], f"--base {name}"
    path = read_file(Path(where), asked)[0] if where.endswith(".py") else file_of_module(where, asked)
    if path is None:
        return None, Path()
    return path, path.parent if where.endswith(".py") else root_of(path, where)


def _declared(name: str, files: dict[str, str]) -> Declaration:
    """What the function of a name declares; its file is imported."""
    first = next(iter(files), "")
    beside = {file: text for file, text in files.items() if file != first}
    wanted = "name a function that @planner.network decorates, such as {where}:net"
    try:
        return declaration_of(named_object(name, "--base", wanted, beside))
    except InputError as error:
        raise InputError(str(error) if str(error).startswith("--base") else f"--base {name}: {error}") from error


def _checked(spec: NetworkSpec, source: Source, name: str) -> NetworkSpec:
    if spec.source.sha256 not in ("", source.sha256):
        raise InputError(f"network {name}: the file changed after it was read; start again")
    return replace(spec, source=source)


def _of_declaration(declaration: Declaration, tell: Progress) -> BaseNetwork:
    spec = declaration.spec
    place = getattr(spec.factory, "__module__", ""), spec.source.function
    before = _origins.get(spec.name)
    if before is not None and before.place == place and before.spec() == spec:
        return base(spec.name)
    kept = kept_description(spec.source) if declaration.files else None
    description = kept if kept is not None and _is_of(kept, spec) else _derived(spec, tell)
    return _know(description, _Origin(place, lambda: spec, tuple(declaration.files.items())))


def _is_of(description: NetworkDescription, spec: NetworkSpec) -> bool:
    """Whether a description is of what was declared, and not of what the same file declared under other conditions."""
    names = ("name", "resolution", "widths", "depths", "channels", "knobs")
    return all(getattr(description, name) == getattr(spec, name) for name in names)


def _derived(spec: NetworkSpec, tell: Progress) -> NetworkDescription:
    if spec.name in known_bases() and spec.name not in _origins:
        raise InputError(
            f"network {spec.name!r}: a base network has that name already; give yours another, as "
            "planner.network(.., name=..)"
        )
    found: NetworkDescription = replace(_derive.derive(spec, tell), source=spec.source)
    # As it is read again: lists, where there were tuples.
    description = NetworkDescription.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    if spec.source.sha256:
        keep_description(description)
    return description


def _known_as(place: tuple[str, str], source: Source) -> BaseNetwork | None:
    for name, origin in _origins.items():
        if origin.place == place and declared_family(name).description.source == source:
            return base(name)
    return None


def _know(description: NetworkDescription, origin: _Origin, anew: bool = False) -> BaseNetwork:
    before = _origins.get(description.name)
    again = anew or (before is not None and before.place == origin.place)
    network = know_declared(
        description, lambda sizes, classes: _derive.traced(origin.spec(), sizes, classes), anew=again
    )
    if description.family in _families:
        _families[description.family].spec = origin.spec
    else:
        family = _families[description.family] = DeclaredTorchFamily(origin.spec)
        register_torch_family(description.family, family)
    _origins[description.name] = origin
    return network


def forget_network(name: str) -> None:
    """Makes a declared network, or a table's, unknown again; one that is not known is fine."""
    if name in joined_bases():
        forget_base(name)
    if name in _origins:
        del _origins[name]
        family = declared_family(name).name
        unregister_family(family)
        unregister_torch_family(family)
        del _families[family]


def declared_names() -> list[str]:
    """Names of the declared networks that this process knows."""
    return list(_origins)


def shipped_network(name: str) -> ShippedNetwork | None:
    """What to send of a declared network to another process; None for all others.

    Args:
        name: Name of the base network.
    """
    if (table := stage_table(name)) is not None:
        file, text = table_text(name) or (f"{name}{TABLE_SUFFIX}", "")
        plain = json.dumps(table, sort_keys=True, allow_nan=False)
        return ShippedNetwork(file, "", text, plain, ((file, text),) if text else ())
    if name not in _origins:
        return None
    description, files = declared_family(name).description, _origins[name].files
    content = files[0][1] if files else ""
    plain = json.dumps(description.to_json(), sort_keys=True, allow_nan=False)
    return ShippedNetwork(description.source.file, description.source.function, content, plain, files)


def know_shipped(shipped: ShippedNetwork) -> None:
    """Makes a network that was sent known, in the place of another of its name. Its file is imported when it is built.

    Raises:
        InputError: If it is none, or its name is that of a network that was not sent.
    """
    try:
        if shipped.is_table:
            file = (shipped.file, shipped.content) if shipped.content else None
            know_stage_table(json.loads(shipped.description), file, anew=True)
            return
        description = NetworkDescription.from_json(json.loads(shipped.description))
    except (TypeError, ValueError) as error:
        raise InputError(f"network {shown(shipped.file)} did not arrive whole ({error}); send it again") from error
    if (origin := _origins.get(description.name)) is not None:
        known = declared_family(description.name).description
        if known == description and (origin.files or not shipped.beside):
            return
    imported = functools.cache(lambda: _imported_from(shipped, description))
    _know(description, _Origin(("", shipped.function), imported, shipped.beside), anew=True)


def _imported_from(shipped: ShippedNetwork, description: NetworkDescription) -> NetworkSpec:
    if not shipped.beside:
        raise InputError(
            f"{description.name} was declared in a program or notebook, which no other process can import; train it "
            "with --engine inline, or put its function into a file of its own"
        )
    folder = Path(tempfile.mkdtemp(prefix="planner-network-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, text in shipped.beside:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    files = dict(shipped.beside)
    first = next(iter(files))
    if "/" in first:  # a module of a package, which its imports name
        prefer_folder(str(folder), files)
        where = first.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    else:
        where = str(folder / first)
    return _checked(_declared(f"{where}:{shipped.function}", files).spec, description.source, description.name)
