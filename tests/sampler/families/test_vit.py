"""Vision transformers: published numbers, heads and MLP of any size as torch counts them, the same as expressions."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from sampler import Architecture, InputError, architecture_complexity, base, base_names, rule_named
from sampler.complexity import blocks_of, count
from sampler.declared.expressions import Evaluation
from sampler.families import family_of, without_usual_knobs
from sampler.moves import from_rows
from sampler.scaling import scale
from sampler.totals import by_part, totals
from trainer.network import build

NAMES = [name for name in base_names() if name.startswith("vit_")]
CLASSES = 37


class Products(TorchDispatchMode):
    """Sums up what operations that multiply put out."""

    outputs = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in ("convolution", "addmm", "bmm", "mm"):
            self.outputs += result.numel()
        return result


def random_rows(name, n, seed):
    """`n` architectures, half of them with heads and MLPs of their own."""
    network, rng = base(name), np.random.default_rng(seed)
    patch, width = network.stem_stride, 64 * rng.integers(1, 13, n)
    rows = np.zeros((n, 7), dtype=np.int64)
    rows[:, 0], rows[:, 2], rows[:, 3] = patch * rng.integers(2, 30, n), width, rng.integers(1, 20, n)
    rows[:, 5], rows[:, 6] = 2 ** rng.integers(0, 6, n), rng.integers(1, 4_000, n)
    plain = from_rows(network, rows[: n // 2, :5])
    return plain, from_rows(network, rows[n // 2 :], {"heads": 1, "mlp": 1})


@pytest.mark.parametrize(
    ("name", "macs", "params"),
    [
        # By torch's counter on timm's models; the papers print 1.3, 4.6 and 17.6 G for the first three.
        ("vit_tiny_patch16", 1_253_683_200, 5_717_416),
        ("vit_small_patch16", 4_598_882_304, 22_050_664),
        ("vit_base_patch16", 17_563_828_224, 86_567_656),
        ("vit_base_patch32", 4_409_186_304, 88_224_232),
    ],
)
def test_the_published_networks_cost_exactly_this(name, macs, params):
    cost = architecture_complexity(base(name).architecture())
    assert (cost.macs, cost.params) == (macs, params)


@pytest.mark.parametrize("name", ["vit_tiny_patch16", "vit_small_patch32", "vit_small_patch8"])
def test_heads_and_mlps_of_any_size_are_counted_as_torch_counts_them(name):
    for architectures in random_rows(name, 4, seed=len(name)):
        ours = count(architectures, CLASSES)
        for row, architecture in enumerate(architectures):
            with torch.device("meta"):
                module = build(architecture, CLASSES).eval()
            image = torch.zeros(1, 3, architecture.resolution, architecture.resolution, device="meta")
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                module(image)
            with torch.no_grad(), Products() as products:
                module(image)
            assert ours.macs[row] == counter.get_total_flops() // 2, architecture
            assert ours.params[row] == sum(p.numel() for p in module.parameters()), architecture
            assert ours.activations[row] == products.outputs, architecture


@pytest.mark.parametrize("name", ["vit_tiny_patch16", "vit_base_patch32"])
def test_its_expressions_count_a_hundred_thousand_architectures_as_its_blocks_do(name):
    network = base(name)
    counts = family_of(network).counts(network, CLASSES)
    for architectures in random_rows(name, 100_000, seed=0):
        columns = {
            "resolution": architectures.resolution,
            "width_1": architectures.widths[:, 0],
            "depth_1": architectures.depths[:, 0],
            "classes": CLASSES,
            **{f"{knob}_1": values[:, 0] for knob, values in architectures.knobs.items()},
        }
        columns |= {
            knob: Evaluation([], columns)(how) for knob, how in counts["follows"].items() if knob not in columns
        }
        of = Evaluation(counts["cells"], columns)
        parts = by_part(blocks_of(network, architectures, CLASSES))
        assert [part["part"] for part in counts["parts"]] == list(parts)
        for part in counts["parts"]:
            for cost in ("macs", "params", "activations"):
                assert np.all(of(part[cost]) == getattr(parts[part["part"]], cost)), (part["part"], cost)
        _, alive = totals(blocks_of(network, architectures, CLASSES), size=4)
        assert (of(counts["alive"]) == alive).all()
        assert of(counts["int64s"]) == 0


def test_heads_that_do_not_divide_the_width_are_refused_with_a_way_out():
    one = base("vit_tiny_patch16").architecture().with_knobs({"heads": 5})
    with pytest.raises(InputError, match="width 192 of vit_tiny_patch16 does not divide into 5 heads; give") as error:
        architecture_complexity(one)
    assert "\n" not in str(error.value)


def test_knobs_are_usual_where_they_follow_the_width_and_not_where_they_are_the_bases():
    wide = Architecture("vit_tiny_patch16", 224, 0, (384,), (12,), 0)
    assert without_usual_knobs(wide.with_knobs({"heads": 6, "mlp": 1536})) == wide
    kept = without_usual_knobs(wide.with_knobs({"heads": 3, "mlp": 1536}))
    assert kept.knobs == {"heads": (3,)}
    assert architecture_complexity(kept).activations < architecture_complexity(wide).activations


def test_its_knobs_change_no_table():
    network = base("vit_small_patch16")
    assert family_of(network).with_knobs(network, {"heads": (3,), "mlp": (100,)}) is network
    with pytest.raises(InputError, match="has no knob patch"):
        family_of(network).with_knobs(network, {"patch": (8,)})


@pytest.mark.parametrize("name", NAMES)
def test_its_rule_gives_the_base_back_at_one_and_keeps_to_patches_and_heads(name):
    network, rule = base(name), rule_named(base(name).rule)
    assert scale(network, rule, 224)[0] == network.architecture()
    many = scale(network, rule, rule.pixels(224, np.linspace(0.2, 3, 50)), 1.0, np.linspace(0.2, 3, 50))
    assert not (many.resolution % network.stem_stride).any() and not (many.widths % 64).any()


def test_timm_builds_exactly_the_mlp_that_is_asked_for():
    for mlp in (1, 191, 193, 767, 1_000, 3_001):
        with torch.device("meta"):
            module = build(Architecture("vit_tiny_patch16", 32, 0, (192,), (1,), 0).with_knobs({"mlp": mlp}), 3)
        assert module.blocks[0].mlp.fc1.out_features == mlp
