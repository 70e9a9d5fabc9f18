"""Tables of known blocks: counted as torch counts what is built of them, or refused in one line."""

import json
import pickle
import re
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from sampler import InputError, architecture_complexity, base, base_names, rule_named
from sampler.families.registry import check_base, forget_base, joined_bases
from sampler.families.variants import variant_text
from sampler.scaling import scale_stages
from trainer.declared.loading import know_shipped, load_network, shipped_network
from trainer.declared.table_forms import TABLE_FORMS
from trainer.declared.tables import know_stage_table, know_table_text, load_table, stage_table, table_text
from trainer.families.conformance import check_torch_family
from trainer.inherit import refusal
from trainer.network import build

DOCS = Path(__file__).parents[3] / "docs/tables.md"
EXAMPLES = dict(re.findall(r"```toml\n# (\w+\.toml).*\n([^`]*)```", DOCS.read_text()))
LIKE = {
    "mobilenetv2.toml": """
        like = "mobilenetv2_100"
        activation = "hardswish"
        padding = "same"
        widths = [16, 24, 40, 72, 104, 176, 320]
        stages.3 = {kernel = 5, se_ratio = 0.25, expansion = [4, 3]}
        """,
    "resnet.toml": """
        like = "resnet50"
        activation = "silu"
        widths = [128, 256, 512]
        stages = [{}, {depth = 2}, {stride = 1}]
        stem = {channels = 48, kernel = 5}
        """,
    "regnet.toml": """
        like = "regnety_004"
        activation = "mish"
        group_widths = [8, 8, 16, 16]
        widths = [48, 104, 208, 320]
        strides = [1, 2, 2, 2]
        """,
    "convnext.toml": """
        like = "convnext_pico"
        activation = "silu"
        kernels = [5, 5, 7, 9]
        stages.2 = {stride = 1}
        stem = {channels = 48, stride = 2}
        """,
    "gelu.toml": """
        like = "efficientnet_b0"
        activation = "gelu"
        resolution = 96
        stem = {stride = 1}
        squeeze_excite = {of = "hidden", gate = "hardsigmoid"}
        strides = [1, 2, 2, 2, 1, 1, 1]
        """,
    "cifar.toml": """
        like = "resnet20_cifar"
        activation = "elu"
        depths = [2, 2, 1]
        """,
    "ghost.toml": """
        like = "ghostnet_100"
        depths = [1, 3, 2, 2, 2, 3]
        """,
}


@pytest.fixture(autouse=True)
def forgotten():
    """Every table is unknown again afterwards."""
    before = set(joined_bases())
    yield
    for name in set(joined_bases()) - before:
        forget_base(name)


class Alive(TorchDispatchMode):
    """The largest sum of bytes of feature maps alive after any operation; vectors and weights are left out."""

    def __init__(self, image, weights):
        super().__init__()
        self.ignored = {StorageWeakRef(one.untyped_storage()).cdata for one in weights}
        self.alive, self.most = {}, 0
        self.note(image)

    def note(self, tensor):
        storage = StorageWeakRef(tensor.untyped_storage())
        if tensor.dim() == 4 and sum(side > 1 for side in tensor.shape) > 1 and storage.cdata not in self.ignored:
            self.alive[storage.cdata] = (storage, tensor.untyped_storage().nbytes())

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.note(leaf)
        self.alive = {key: pair for key, pair in self.alive.items() if not pair[0].expired()}
        self.most = max(self.most, sum(size for _, size in self.alive.values()))
        return result


def seen(architecture, classes):
    """MACs, params, activations and peak bytes of the module that is built."""
    with torch.device("meta"):
        module = build(architecture, classes).eval()
        image = torch.zeros(1, 3, architecture.resolution, architecture.resolution)
    tensors, outputs = [*module.parameters(), *module.buffers()], []
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(lambda _, __, output: outputs.append(output.numel()))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(image)
    activations = sum(outputs)
    with torch.no_grad(), Alive(image, tensors) as alive:
        module(image)
    weights = sum(one.numel() * one.element_size() for one in tensors)
    params = sum(one.numel() for one in module.parameters())
    return counter.get_total_flops() // 2, params, activations, weights + alive.most


def check_counts(network, n, seed=0):
    rng, shape = np.random.default_rng(seed), (n, len(network.stages))
    pixels = rng.integers(3 * network.stride, 6 * network.stride, n)
    d, w = rng.uniform(0.5, 2, shape), rng.uniform(0.5, 2, shape)
    drawn = scale_stages(network, rule_named(network.rule), pixels, d, w)
    for one in [network.architecture(), *drawn]:
        cost = architecture_complexity(one, 37)
        assert (cost.macs, cost.params, cost.activations, cost.memory) == seen(one, 37), one


@pytest.mark.parametrize("name", ["mbconv.toml", "convnext.toml", "residual.toml", "regnet.toml"])
def test_a_table_costs_exactly_what_torch_builds_of_it(name):
    check_counts(know_table_text(EXAMPLES[name], name), 1)


@pytest.mark.slow
@pytest.mark.parametrize("text", [*EXAMPLES.items(), *LIKE.items()], ids=lambda pair: pair[0])
def test_forty_architectures_of_a_table_cost_exactly_what_torch_builds(text):
    check_counts(know_table_text(text[1], text[0]), 40, seed=1)


def test_the_page_has_a_full_example_of_every_family():
    assert {Path(name).stem for name in EXAMPLES} == {*TABLE_FORMS, "narrow"}
    full = [text for name, text in EXAMPLES.items() if name != "narrow.toml"]
    assert not any("like" in text for text in full)
    assert {know_table_text(text, f"t{i}.toml").family for i, text in enumerate(full)} == set(TABLE_FORMS)


@pytest.mark.parametrize(
    "name",
    [
        "resnet.toml",
        *(pytest.param(f"{one}.toml", marks=pytest.mark.slow) for one in ("mobilenetv2", "regnet", "convnext")),
    ],
)
def test_a_table_keeps_all_that_is_promised_of_families(name):
    network = know_table_text(LIKE[name], f"{name[:-5]}_table.toml")
    check_torch_family(network.family, networks=[network], architectures=1)


def test_all_that_a_known_network_is_can_be_said_in_a_table(tmp_path):
    for name in base_names():
        network = base(name)
        if network.family not in TABLE_FORMS or network.family == "ghost":  # which says a ratio that no block has
            continue
        path = tmp_path / "mine.toml"
        path.write_text(written(network))
        assert load_table(path) == replace(network, name="mine"), name


def written(network):
    """A network as a table that says everything."""
    variants = TABLE_FORMS[network.family].variants
    said = json.loads(network.variant) if network.variant not in variants else None
    assert said is None
    variant = variants[network.variant]
    lines = [f'family = "{network.family}"', f"resolution = {network.resolution}", f'rule = "{network.rule}"']
    lines += [f'activation = "{variant.activation}"', f"norm_epsilon = {variant.norm_epsilon}"]
    stem, head = [f"channels = {network.stem}"], []
    stride = network.stem_stride
    if network.family == "mbconv":
        lines += [f'padding = "{variant.padding or "symmetric"}"', f"relu_stages = {variant.relu_stages}"]
        lines += [f"no_skip = {[index + 1 for index in variant.no_skip]}"]
        lines += [f"skip_convolutions = {str(variant.skip_convolutions).lower()}"]
        inside = variant.squeeze_activation or "the block's"
        lines += [f'squeeze_excite = {{of = "{variant.squeeze_of}", divisor = {variant.squeeze_divisor}, ']
        lines[-1] += f'gate = "{variant.squeeze_gate}", activation = "{inside}"}}'
        head = [f"channels = {network.head}", f"pooled = {str(variant.pooled_head).lower()}"]
    elif network.family == "residual":
        lines += [f'shortcut = "{variant.shortcut}"']
        stem += [f"kernel = {variant.stem_kernel}", f"pool = {str(variant.stem_pool).lower()}"]
        stride //= 2 if variant.stem_pool else 1
    elif network.family == "convnext":
        lines += [f'pointwise = "{"convolution" if variant.conv_mlp else "linear"}"']
    lines += ["[stem]", *stem, f"stride = {stride}", *(["[head]", *head] if head else [])]
    for stage in network.stages:
        lines += ["[[stages]]", f'block = "{stage.block}"', f"kernel = {stage.kernel}", f"stride = {stage.stride}"]
        lines += [f"expansion = {list(stage.expansions) or stage.expansion}"]
        lines += [f"se_ratio = {list(stage.se_ratios) or stage.se_ratio}"]
        lines += [f"width = {stage.width}", f"depth = {stage.depth}", f"group_width = {stage.group_width}"]
    return "\n".join(lines)


def test_a_file_is_named_by_its_stem_and_known_from_then_on(tmp_path):
    path = tmp_path / "narrow.toml"
    path.write_text(EXAMPLES["narrow.toml"])
    network = load_network(str(path))
    assert network.name == "narrow" and base("narrow") is network and load_network(str(path)) == network
    assert network.widths == (16, 24, 32, 48, 72, 120, 240) and network.stages[2].kernel == 5
    path.write_text(EXAMPLES["narrow.toml"].replace("160", "192"))
    assert load_network(str(path)).resolution == 192  # as in a notebook: the file was edited
    other = tmp_path / "other.toml"
    other.write_text('like = "resnet18"\nname = "narrow"')
    with pytest.raises(InputError, match=r"other.toml: .*narrow is known already, with another table"):
        load_network(str(other))


def test_a_table_travels_as_plain_data():
    network = know_table_text(LIKE["mobilenetv2.toml"], "far.toml")
    facts = json.loads(json.dumps(stage_table("far")))
    shipped = pickle.loads(pickle.dumps(shipped_network("far")))
    forget_base("far")
    assert stage_table("far") is None and table_text("far") is None and stage_table("resnet18") is None
    assert know_stage_table(facts) == network
    forget_base("far")
    know_shipped(shipped)
    assert base("far") == network and table_text("far") == ("far.toml", LIKE["mobilenetv2.toml"])


GOOD = 'like = "mobilenetv2_100"\n'
REGNET = 'like = "regnety_004"\n'
MISTAKES = {
    "": "family is missing; known: mbconv, residual, regnet, convnext, ghost",
    "resolution =": r"not TOML \(Invalid value \(at (line 1|end)",
    'like = "mobilenetv9"': "like: base network 'mobilenetv9' is unknown; nearest: mobilenetv2_100",
    'family = "vgg"': "family 'vgg' is unknown",
    GOOD + 'family = "regnet"': "mobilenetv2_100 is of family 'mbconv', not 'regnet'",
    GOOD + "resolutoin = 3": "resolutoin is unknown; did you mean resolution",
    GOOD + "resolution = 16": "16 px is below its stride of 32",
    GOOD + 'resolution = "large"': "resolution is 'large'; a whole number is wanted",
    GOOD + "resolution = true": "resolution is True; a whole number is wanted",
    GOOD + 'rule = "wide"': "scaling rule 'wide' is unknown",
    GOOD + 'name = "my net"': "name 'my net' cannot be one",
    GOOD + 'name = "efficientnet_b0"': "efficientnet_b0 is known already, with another table",
    GOOD + 'activation = "swish2"': "activation 'swish2' is unknown; known: 'ReLU'",
    GOOD + 'norm = "group"': "norm 'group' is unknown; known: 'batch'",
    GOOD + "norm_epsilon = 0": "norm_epsilon is 0.0; a number between",
    GOOD + 'padding = "valid"': "padding 'valid' is unknown; known: 'symmetric', 'same'",
    GOOD + "no_skip = [9]": "relu_stages or no_skip name a stage beyond its 7",
    GOOD + "widths = [16, 24]": r"widths is \[16, 24\]; a list of one per stage \(7\) is wanted",
    GOOD + "widths = 16": r"widths is 16; a list of one per stage \(7\) is wanted",
    GOOD + "widths = [16, 24, 32, 64, 96, 160, 321]": "width of stage 7 is 321, of which its scaling rule .* makes 320",
    GOOD + "[stages.9]\nwidth = 8": "stages.9: there are stages 1 to 7",
    GOOD + "[stages.2]\nstride = 0": "stage 2: stride is 0; 1 or 2 is wanted",
    GOOD + "[stages.2]\nkernel = 4": "stage 2: kernel is 4; an odd number is wanted",
    GOOD + "[stages.2]\nwidth = -8": "stage 2: width is -8",
    GOOD + "[stages.2]\ndepth = 0": "stage 2: depth is 0",
    GOOD + "[stages.2]\nexpansion = -1": "stage 2: expansion is -1; more than 0",
    GOOD + "[stages.2]\nexpansion = []": "stage 2: expansion is \\[\\]; a number, or a list",
    GOOD + "[stages.1]\nexpansion = 6": "stage 1: expansion is 6; a block 'ds' has 1",
    GOOD + "[stages.2]\nse_ratio = 0.001": "hidden channels leave squeeze-excite none",
    GOOD + "[stages.2]\nse_ratio = nan": "stage 2: se_ratio is nan; 0 ",
    GOOD + '[stages.2]\nblock = "vgg"': "block 'vgg' is unknown; known: 'cn', 'ds', 'er', 'mb'",
    GOOD + "[stages.2]\nwidht = 8": "stage 2: widht is unknown; did you mean width",
    GOOD + "[stages.2]\ngroup_width = 8": "stage 2: group_width is 8; a block 'mb' has none",
    GOOD + "strides = [2, 2, 2, 2, 2, 2, 2]": "the strides of its stages multiply to 128; at most 16",
    GOOD + "stem = 16": "stem is unknown",
    GOOD + "stem = {channels = 0}": "stem has 0 channels",
    GOOD + "stem = {stride = 4}": "stride of the stem is 4; 1 or 2 is wanted",
    GOOD + "head = {channels = 0}": "head has 0 channels",
    GOOD + "squeeze_excite = {divisor = 3}": "squeeze_divisor is 3; 1 or 8 is wanted",
    'family = "mbconv"\nresolution = 64': "stages are missing",
    'family = "mbconv"\n[[stages]]\nblock = "ds"': "stage 1: width is missing",
    'family = "mbconv"\n[[stages]]\nblock = "mb"\nwidth = 8\ndepth = 1': "stage 1: expansion is missing",
    'family = "mbconv"\n[[stages]]\nblock = "ds"\nwidth = 8\ndepth = 1': "resolution is missing",
    REGNET + "widths = [48, 104, 208, 444]": "width 444 of stage 4 of .* is not a multiple",
    REGNET + "group_widths = [0, 8, 8, 8]": "stage 1: group_width is 0; channels of a group are wanted",
    REGNET + "se_ratios = [0.25, 0.25, 0.25, 0]": "its stages differ in se_ratio",
    REGNET + "stages = [{}, {}]": "has 2 stages; 4 are wanted",
    REGNET + "head = {channels = 8}": "head.channels: family 'regnet' has no convolution before",
    REGNET + 'activation = "gelu"': "activation 'gelu' is unknown",
    REGNET + 'padding = "same"': "padding is unknown",
    'like = "resnet50"\n[stages.1]\nblock = "basic"\nexpansion = 1': "its stages differ in block or expansion",
    'like = "resnet50"\n[stages.1]\nkernel = 5': "kernel is 5; a block 'bottleneck' has 3",
    'like = "resnet50"\nshortcut = "padded"': "only blocks 'basic' have padded shortcuts",
    'like = "resnet50"\nexpansions = [0.3, 0.3, 0.3, 0.3]': "expansion 0.3 is not in 64ths",
    'like = "convnext_tiny"\n[stages.1]\nexpansion = 3': "expansion is 3; a block 'convnext' has 4",
    'like = "convnext_tiny"\n[stages.1]\nexpansion = [4, 4]': "one expansion and one se_ratio for the whole stage",
    'like = "convnext_tiny"\n[stages.1]\nse_ratio = 0.25': "a block 'convnext' has no squeeze-excite",
    'like = "ghostnet_100"\n[stages.2]\nexpansion = [1, 2, 3]': "stage 2: 2 expansions or se_ratios are wanted",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_in_one_line_that_names_the_file_and_leaves_nothing(text, tmp_path):
    path, before = tmp_path / "mistaken.toml", base_names()
    path.write_text(text)
    with pytest.raises(InputError, match=MISTAKES[text]) as error:
        load_table(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert base_names() == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not text"),
        (lambda path: path.write_bytes(b"#" * 1_000_001), "larger than 1,000,000 bytes"),
        (lambda path: path.write_text('{"like": "resnet18"}'), "not TOML"),
        (lambda path: path.write_text("import torch\n"), "not TOML"),
    ],
)
def test_what_is_no_table_is_told_in_one_line(make, message, tmp_path):
    path = tmp_path / "none.toml"
    make(path)
    with pytest.raises(InputError, match=message) as error:
        load_network(str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_deeper_network_inherits_only_where_a_further_block_changes_nothing():
    for activation, message in (("relu6", None), ("silu", "its blocks end with SiLU, .* keep its depth")):
        network = know_table_text(f'like = "resnet18"\nactivation = "{activation}"', f"{activation}.toml")
        small = replace(network.architecture(), resolution=64, stem=8, widths=(8, 8, 16, 16))
        wide, deep = replace(small, widths=(8, 8, 16, 24)), replace(small, depths=(2, 2, 2, 3))
        assert refusal(small, wide, 0) is None
        assert re.search(message or "None", str(refusal(small, deep, 0)))


@contextmanager
def refused(message):
    with pytest.raises(InputError, match=message) as error:
        yield
    assert "\n" not in str(error.value)


def test_a_variant_of_a_formula_file_is_checked_as_a_table_is():
    plain = base("mobilenetv2_100")
    for text, message in {
        '{"activation":"Foo"}': "activation 'Foo' is unknown",
        '{"activaton":"ReLU"}': "activaton is unknown",
        '{"norm_epsilon":"x"}': "norm_epsilon is 'x'; a number is wanted",
        '{"no_skip":[0.5]}': "no_skip is .* whole numbers is wanted",
        "[]": "variant '\\[\\]' is unknown",
        "relu7": "variant 'relu7' is unknown",
    }.items():
        with refused(message):
            check_base(replace(plain, name="x", variant=text))


def test_a_variant_that_has_a_name_is_called_by_it():
    variants = TABLE_FORMS["mbconv"].variants
    assert all(variant_text(variants, variant) == name for name, variant in variants.items())
