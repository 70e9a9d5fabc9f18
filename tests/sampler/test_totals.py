"""Peak inference memory, compared with what is alive while timm's modules run, and with torch's allocator."""

import numpy as np
import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sampler import InputError, LayeredArchitecture, architecture_complexity, base, base_names, rule_named
from sampler.complexity import complexity, count
from sampler.scaling import scale_stages
from trainer.network import build

ONE_OF_EACH = ["efficientnet_b0", "mobilenetv3_large_100", "efficientnetv2_b0", "resnet18", "resnet50"]
ONE_OF_EACH += ["regnety_016", "ghostnet_100", "convnext_atto", "convnext_tiny"]
# With these, every kind of network of every family; by default they are run, the larger ones are slow.
FEW = {*ONE_OF_EACH, "efficientnet_lite0", "tinynet_e", "mobilenetv2_100", "mobilenetv3_small_100", "mnasnet_100"}
FEW |= {"semnasnet_100", "regnetx_002", "resnet20_cifar", "s_ghostnet", "vit_tiny_patch16"}
BYTES = {torch.float32: "float32", torch.float16: "float16"}


class Alive(TorchDispatchMode):
    """The largest sum of bytes of feature maps alive after any operation; vectors and weights are left out."""

    def __init__(self, image, weights):
        super().__init__()
        self.ignored = {StorageWeakRef(one.untyped_storage()).cdata for one in weights}
        self.alive, self.most = {}, 0
        self.add(image)

    def add(self, tensor):
        storage = StorageWeakRef(tensor.untyped_storage())
        feature_map = sum(side > 1 for side in tensor.shape) > 1
        if feature_map and storage.cdata not in self.ignored:
            self.alive[storage.cdata] = (storage, tensor.untyped_storage().nbytes())

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.add(leaf)
        self.alive = {key: pair for key, pair in self.alive.items() if not pair[0].expired()}
        self.most = max(self.most, sum(size for _, size in self.alive.values()))
        return result


def tensors(module):
    return [*module.parameters(), *module.buffers()]


def tracked(architecture, classes, dtype=torch.float32):
    """Bytes of weights and buffers, and the most of feature maps alive at once."""
    with torch.device("meta"):
        module = build(architecture, classes).eval().to(dtype)
    image = torch.zeros(1, 3, architecture.resolution, architecture.resolution, device="meta", dtype=dtype)
    with torch.no_grad(), Alive(image, tensors(module)) as mode:
        module(image)
    return sum(one.numel() * one.element_size() for one in tensors(module)) + mode.most


def check_random(name, n, seed):
    network = base(name)
    rng = np.random.default_rng(seed)
    shape = (n, len(network.stages))
    pixels = rng.integers(network.stride, 8 * network.stride, n)
    d, w = rng.uniform(0.35, 2, shape), rng.uniform(0.35, 2, shape)
    rule = rule_named(network.rule)
    drawn = scale_stages(network, rule, pixels - pixels % rule.step, d, w)
    counted = count(drawn, 37).memory
    for row, architecture in enumerate(drawn):
        assert counted[row] == tracked(architecture, 37), architecture


@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in base_names()]
)
def test_memory_is_what_is_alive_at_once_while_timms_module_runs(name):
    architecture = base(name).architecture()
    assert architecture_complexity(architecture).memory == tracked(architecture, 1000)
    check_random(name, 1, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", base_names())
def test_twenty_random_architectures_keep_alive_what_is_counted(name):
    check_random(name, 20, seed=1)


@pytest.mark.parametrize("padding", ["max", "local"])
@pytest.mark.parametrize("name", ["resnet18", "resnet20_cifar"])
def test_one_width_per_layer_keeps_alive_what_is_counted(name, padding):
    network, rng = base(name), np.random.default_rng(3)
    for _ in range(4):
        layers = rng.integers(4, 90, 2 * sum(network.depths)).tolist()
        one = LayeredArchitecture.of(network, layers, padding, resolution=int(rng.integers(network.stride, 100)))
        assert architecture_complexity(one, 37).memory == tracked(one, 37), one


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_half_precision_is_counted_as_torch_keeps_it(name):
    architecture = base(name).architecture()
    half = architecture_complexity(architecture, dtype="float16").memory
    assert half == tracked(architecture, 1000, torch.float16)
    assert half == architecture_complexity(architecture, dtype="bfloat16").memory


def allocated(module, image):
    """The most bytes that torch's CPU allocator has handed out at once, beyond those it had before."""
    with torch.inference_mode():
        module(image)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            module(image)
    events = profiler.profiler.kineto_results.events()
    changes = sorted((one.start_ns(), one.nbytes()) for one in events if one.name() == "[memory]")
    return int(np.cumsum([size for _, size in changes]).max())


# Not ResNets: oneDNN works in a reordered copy of a large 3x3 convolution's weights, 6 % of a ResNet-18's memory.
@pytest.mark.parametrize(
    "name", ["efficientnet_b0", "efficientnetv2_b0", "regnety_016", "ghostnet_100", "convnext_atto"]
)
def test_torchs_allocator_hands_out_as_much(name):
    network = base(name)
    module = build(network.architecture()).eval().to(memory_format=torch.channels_last)
    image = torch.zeros(1, 3, network.resolution, network.resolution).to(memory_format=torch.channels_last)
    held = sum(one.numel() * one.element_size() for one in [*tensors(module), image])
    torchs = held + allocated(module, image)
    assert abs(architecture_complexity(network.architecture()).memory / torchs - 1) < 1e-3


def test_arrays_give_what_single_architectures_give():
    pixels = np.array([160, 224, 225])
    several = complexity("resnet50", pixels, width=[0.5, 1.0, 1.5], dtype="float16").memory
    for row, (side, width) in enumerate(zip(pixels.tolist(), (0.5, 1.0, 1.5), strict=True)):
        assert several[row] == complexity("resnet50", side, width=width, dtype="float16").memory


def test_an_unknown_type_of_numbers_is_refused():
    with pytest.raises(InputError, match="dtype 'float8' is unknown; known: float32, float16, bfloat16"):
        complexity("efficientnet_b0", dtype="float8")
