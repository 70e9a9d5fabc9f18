"""Networks of `tests/networks` as a stranger declares them: derived, counted by us, held against torch."""

import importlib.util
from pathlib import Path

from sampler.architecture import Architecture, stack
from sampler.complexity import count
from sampler.declared.expressions import Evaluation
from sampler.declared.family import know_declared
from sampler.declared.spec import followers
from sampler.errors import InputError
from trainer.declared.declaring import declaration_of, declares
from trainer.declared.derive import traced

FOLDER = Path(__file__).parents[1] / "networks"
# The ten of the issue, and those that nobody named.
NAMED = ("gpt", "timm_vit", "timm_swin", "unet", "yolo", "dscnn", "tcn", "mixer", "timm_convnextv2", "timm_densenet")
OTHERS = tuple(sorted({file.stem for file in FOLDER.glob("*.py")} - {*NAMED, "conftest"}))
COUNTS = ("macs", "params", "activations", "memory")


def spec_of(file):
    """What a file declares."""
    found = importlib.util.spec_from_file_location(f"network_{Path(file).stem}", file)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return next(declaration_of(one).spec for one in vars(module).values() if declares(one))


def knobs_of(spec, sizes, given):
    """Every knob as a function takes it: those given, and those that follow."""
    of = Evaluation(
        [],
        {f"{kind}_{i + 1}": value for kind in ("width", "depth") for i, value in enumerate(sizes[f"{kind}s"])}
        | {"resolution": sizes["resolution"]},
    )
    columns = {column: int(of(how)) for column, how in followers(spec.knobs, len(spec.widths)).items()}
    values = {}
    for name, knob in spec.knobs.items():
        mine = given.get(name, tuple(columns[f"{name}_{i + 1}"] for i in range(len(knob.base))))
        values[name] = mine if len(mine) > 1 else mine[0]
    return values


def counted(spec, description, draws):
    """Four counts as we give them, of configurations as `oracle.drawn` makes them; None of one that we refuse."""
    network = know_declared(description, lambda sizes, classes: traced(spec, sizes, classes), anew=True)
    for sizes, knobs, classes in draws:
        one = Architecture(network.name, sizes["resolution"], 0, sizes["widths"], sizes["depths"], 0)
        try:
            found = count(stack([one.with_knobs(knobs) if knobs else one]), classes)
        except InputError:
            yield None
        else:
            yield tuple(int(getattr(found, name)[0]) for name in COUNTS)


def wrong(spec, description, truth, draws):
    """Where our counts are not torch's: a line each. What torch cannot build is left out, a third at most."""
    lines, refused = [], 0
    for (sizes, knobs, classes), ours in zip(draws, counted(spec, description, draws), strict=True):
        where = f"at {sizes} {knobs} classes={classes}"
        try:
            theirs = truth(spec, {**sizes, "classes": classes, **knobs_of(spec, sizes, knobs)})
        except (RuntimeError, ValueError, AssertionError):  # such as more levels than an image can be halved
            refused += 1
            continue
        lines += [f"refused by us alone {where}"] if ours is None else []
        lines += [
            f"{name}: ours {mine}, torch's {real} {where}"
            for name, mine, real in zip(COUNTS, ours or theirs, theirs, strict=True)
            if mine != real
        ]
    return lines if 3 * refused <= len(draws) else [f"{refused} of {len(draws)} cannot be built"]
