"""What a declared network really costs at some sizes, asked of torch: no code in common with `trainer.declared`."""

import random
import weakref
from contextlib import nullcontext

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry


def built(spec, sizes):
    """The module at these sizes: on the meta device, or where its function needs real numbers, on the CPU first."""
    for place in (torch.device("meta"), nullcontext()):
        try:
            with place:
                module = spec.factory(**sizes)
            return module.eval(), sum(one.numel() for one in module.parameters())
        except RuntimeError as error:
            if "meta" not in str(error):
                raise
            last = error
    raise last


def run(spec, module, resolution):
    """Keeps the input alive as long as the module runs."""
    with torch.device("meta"):
        given = torch.zeros(1, spec.channels, resolution, resolution) if spec.input is None else spec.input(resolution)
        given = given if isinstance(given, (tuple, dict)) else (given,)
        return given, (lambda: module(**given) if isinstance(given, dict) else module(*given))


class Alive(TorchDispatchMode):
    """Bytes of feature maps that are alive after any operation at most, and outputs of what multiplies.

    A feature map is alive while any tensor refers to its storage. What is made as a vector (one side above 1 at most)
    is none, whatever it is looked at as later: a token's queries, keys and values are one, in heads or not.
    """

    def __init__(self, weights, inputs):
        super().__init__()
        self.weights = {self.key(one) for one in weights}
        self.tensors, self.sizes, self.most, self.outputs = {}, {}, 0, 0
        for one in inputs:
            self.see(one)

    @staticmethod
    def key(tensor):
        return tensor.untyped_storage()._cdata

    def see(self, tensor):
        key = self.key(tensor)
        fresh = not any(one() is not None for one in self.tensors.get(key, ()))
        if fresh:  # an address may be taken again
            self.tensors[key], self.sizes[key] = [], 0
        if key not in self.weights:
            self.tensors[key].append(weakref.ref(tensor))
            if fresh and sum(side > 1 for side in tensor.shape) > 1:
                size = tensor.element_size()  # masks of booleans are numbers of the network's type, as all others
                self.sizes[key] = tensor.untyped_storage().nbytes() // size * max(size, 4)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        leaves = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        if func.overloadpacket in flop_registry:
            self.outputs += leaves[0].numel()
        for leaf in leaves:
            self.see(leaf)
        del leaves
        alive = sum(size for key, size in self.sizes.items() if any(one() is not None for one in self.tensors[key]))
        self.most = max(self.most, alive)
        return result


def truth(spec, sizes):
    """MACs, params, activations, bytes of memory in float32."""
    module, params = built(spec, sizes)
    if any(one.device.type != "meta" for one in module.parameters()):
        module = module.to("meta")
    given, forward = run(spec, module, sizes["resolution"])
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        forward()
    buffers = [*module.parameters(), *module.buffers()]
    inputs = list(given.values()) if isinstance(given, dict) else list(given)
    with torch.no_grad(), Alive(buffers, inputs) as alive:
        forward()
    held = sum(one.numel() * max(one.element_size(), 4) for one in module.buffers())
    return flops.get_total_flops() // 2, params, alive.outputs, 4 * params + held + alive.most


def drawn(description, n, seed=0, ties=0.25):
    """`n` configurations on the grid that a description says is legal, some of equal widths, beyond the base, too."""
    rng = random.Random(seed)
    for _ in range(n):
        most = max(description.resolution * 2, description.least + 3 * description.step)
        resolution = rng.randrange(description.least, most + 1, description.step)
        widths = [
            divisor * rng.randint(max(1, width // divisor // 4), 3 * width // divisor)
            for width, divisor in zip(description.widths, description.divisors, strict=True)
        ]
        if rng.random() < ties:
            common = max(description.divisors)
            same = -(-rng.choice(widths) // common) * common
            widths = [same if rng.random() < 0.7 else width for width in widths]
        depths = [rng.randint(1, max(4, 2 * depth)) for depth in description.depths]
        knobs = {
            name: tuple(rng.choice(knob.values or knob.base) for _ in knob.base)
            for name, knob in description.knobs.items()
            if knob.follows is None
        }
        yield (
            dict(resolution=resolution, widths=tuple(widths), depths=tuple(depths)),
            knobs,
            rng.choice((2, 10, 37, 1000)),
        )
