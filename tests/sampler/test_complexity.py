"""Counting one architecture, many, and what could not be built."""

import numpy as np
import pytest

from sampler import RULES, Architecture, InputError, architecture_complexity, base, rule_named, scale
from sampler.architecture import Architectures, stack
from sampler.complexity import CHUNK, complexity, count

B0 = base("efficientnet_b0")
WIDTHS = (16, 24, 40, 80, 112, 192, 320)
DEPTHS = (1, 2, 2, 3, 3, 4, 1)
NAMES = ("macs", "params", "activations")


def numbers(counted, row=None):
    return tuple(getattr(counted, name) if row is None else getattr(counted, name)[row] for name in NAMES)


def by_hand(architecture, classes):
    """MACs, params and activations of an EfficientNet, convolution by convolution, in plain Python integers."""
    macs = params = activations = 0

    def conv(c_in, c_out, kernel, side, stride=1, groups=1, norm=True):
        nonlocal macs, params, activations
        out = (side + 2 * (kernel // 2) - kernel) // stride + 1
        weights = kernel * kernel * c_in * c_out // groups
        macs += weights * out * out
        params += weights + (2 * c_out if norm else c_out)  # a batch norm's two, or a bias
        activations += c_out * out * out
        return out

    def hidden(channels):
        exact = 6 * channels
        nearest = max(8, int(exact + 4) // 8 * 8)
        return nearest + 8 if nearest < 0.9 * exact else nearest

    side, c_in = conv(3, architecture.stem, 3, architecture.resolution, stride=2), architecture.stem
    table = zip((1, 6, 6, 6, 6, 6, 6), (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1), strict=True)
    for (expansion, kernel, stride), c_out, depth in zip(table, architecture.widths, architecture.depths, strict=True):
        for block in range(depth):
            c_mid = c_in if expansion == 1 else hidden(c_in)
            if expansion != 1:
                conv(c_in, c_mid, 1, side)
            side = conv(c_mid, c_mid, kernel, side, stride if block == 0 else 1, groups=c_mid)
            c_se = round(c_mid * 0.25 / expansion)
            conv(c_mid, c_se, 1, 1, norm=False)
            conv(c_se, c_mid, 1, 1, norm=False)
            conv(c_mid, c_out, 1, side)
            c_in = c_out
    conv(c_in, architecture.head, 1, side)
    conv(architecture.head, classes, 1, 1, norm=False)
    return macs, params, activations


def random_multipliers(n, seed):
    rng = np.random.default_rng(seed)
    return {"resolution": rng.integers(32, 700, n), "width": rng.uniform(0.2, 3, n), "depth": rng.uniform(0.2, 3, n)}


@pytest.mark.parametrize("classes", [1, 10, 1000])
@pytest.mark.parametrize("rule", RULES)
def test_counts_equal_a_sum_over_convolutions(rule, classes):
    drawn = random_multipliers(80, seed=classes)
    scaled = scale(B0, rule_named(rule), drawn["resolution"], drawn["depth"], drawn["width"])
    counted = count(scaled, classes)
    for row, architecture in enumerate(scaled):
        assert numbers(counted, row) == by_hand(architecture, classes), architecture
        assert numbers(architecture_complexity(architecture, classes)) == by_hand(architecture, classes)


def test_counts_of_arbitrary_widths_and_depths_equal_a_sum_over_convolutions():
    rng = np.random.default_rng(7)
    for _ in range(100):
        pixels, *channels = (int(one) for one in rng.integers(32, 300, 10))
        depths = tuple(int(one) for one in rng.integers(1, 9, 7))
        one = Architecture("efficientnet_b0", pixels, channels[0], tuple(channels[1:8]), depths, channels[8])
        assert numbers(architecture_complexity(one, 10)) == by_hand(one, 10), one


@pytest.mark.parametrize("side", [8_192, 16_384])
@pytest.mark.parametrize("depth", [1, 64, 4_096])
def test_huge_counts_are_exact_or_refused_but_never_wrap_around(side, depth):
    refused = 0
    for width in (3, 1_000, 16_384, 46_341, 131_072):
        one = Architecture("efficientnet_b0", side, width, (width,) * 7, (depth,) * 7, width)
        try:
            counted = architecture_complexity(one, classes=131_072)
        except InputError as error:
            assert "needs more than 2^62 MACs" in str(error)
            # The bound is coarse; what it refuses is within a factor of a thousand of 2^62 all the same.
            assert by_hand(one, 131_072)[0] > 2**52
            refused += 1
        else:
            assert numbers(counted) == by_hand(one, 131_072)
    assert refused >= (depth == 4_096)


def test_scalars_give_ints():
    for arguments in ({}, {"width": 1.1}, {"resolution": 240, "depth": 2}, {"widths": WIDTHS}, {"depths": [1] * 7}):
        assert [type(number) for number in numbers(complexity("efficientnet_b0", **arguments))] == [int] * 3
    assert [type(number) for number in numbers(architecture_complexity(B0.architecture()))] == [int] * 3


@pytest.mark.parametrize("name", ["resolution", "width", "depth"])
def test_any_argument_of_length_one_gives_arrays_of_one(name):
    counted = complexity("efficientnet_b0", **{name: [64]})
    assert [(array.dtype, array.shape) for array in numbers(counted)] == [(np.int64, (1,))] * 3


@pytest.mark.parametrize("rule", [None, *RULES])
def test_arrays_give_int64_arrays_equal_to_the_scalar_answers(rule):
    drawn = random_multipliers(100, seed=3)
    counted = complexity("efficientnet_b0", **drawn, rule=rule, classes=10)
    assert [(array.dtype, array.shape) for array in numbers(counted)] == [(np.int64, (100,))] * 3
    for row in range(100):
        alone = {name: values[row].item() for name, values in drawn.items()}
        assert numbers(complexity("efficientnet_b0", **alone, rule=rule, classes=10)) == numbers(counted, row)


def test_the_default_rule_is_the_base_networks_own():
    drawn = random_multipliers(50, seed=4)
    own, named = complexity("efficientnet_b0", **drawn), complexity("efficientnet_b0", **drawn, rule="efficientnet")
    other = complexity("efficientnet_b0", **drawn, rule="tinynet")
    assert own.macs.tolist() == named.macs.tolist() != other.macs.tolist()


def test_one_list_of_widths_or_depths_is_used_for_every_resolution():
    counted = complexity("efficientnet_b0", resolution=[192, 224, 300], widths=WIDTHS, depths=DEPTHS)
    assert counted.macs.tolist() == complexity("efficientnet_b0", resolution=[192, 224, 300]).macs.tolist()


def test_many_lists_of_widths_and_depths_are_counted_row_by_row():
    rng = np.random.default_rng(5)
    widths, depths = rng.integers(8, 400, (20, 7)), rng.integers(1, 6, (20, 7))
    pixels = rng.integers(32, 300, 20)
    both = complexity("efficientnet_b0", resolution=pixels, widths=widths, depths=depths)
    one_list = complexity("efficientnet_b0", widths=widths, depths=depths[0])
    for row in range(20):
        lists = {"widths": widths[row].tolist(), "depths": depths[row].tolist()}
        assert numbers(both, row) == numbers(complexity("efficientnet_b0", resolution=int(pixels[row]), **lists))
        lists["depths"] = depths[0].tolist()
        assert numbers(one_list, row) == numbers(complexity("efficientnet_b0", **lists))


def test_widths_replace_what_the_multiplier_gives_but_stem_and_head_follow_it():
    counted = complexity("efficientnet_b0", width=2.0, widths=WIDTHS)
    assert numbers(counted) == by_hand(Architecture("efficientnet_b0", 224, 64, WIDTHS, DEPTHS, 2560), 1000)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint64])
def test_narrow_integer_types_do_not_wrap_around(dtype):
    # Products of 16-bit widths once wrapped silently: 218829024 MACs for B0 given as uint16.
    widths = np.array([16, 24, 40, 80, 112, 120, 127], dtype=dtype)
    plain = complexity("efficientnet_b0", resolution=64, widths=widths.tolist(), depths=DEPTHS)
    typed = complexity(
        "efficientnet_b0", resolution=np.array(64, dtype=dtype), widths=widths, depths=np.array(DEPTHS, dtype=dtype)
    )
    assert numbers(plain) == numbers(typed)


@pytest.mark.parametrize("n", [1, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 3, 2 * CHUNK])
def test_results_do_not_depend_on_where_chunks_end(n):
    drawn = random_multipliers(2 * CHUNK, seed=6)
    whole = complexity("efficientnet_b0", **drawn)
    counted = complexity("efficientnet_b0", **{name: values[:n] for name, values in drawn.items()})
    scaled = scale(B0, rule_named("efficientnet"), *(drawn[name][:n] for name in ("resolution", "depth", "width")))
    for name in NAMES:
        assert getattr(counted, name).tolist() == getattr(whole, name)[:n].tolist()
        assert getattr(count(scaled), name).tolist() == getattr(whole, name)[:n].tolist()
    for row in {0, n // 2, max(0, min(n, CHUNK) - 1), min(n - 1, CHUNK), n - 1}:
        assert numbers(counted, row) == by_hand(scaled[row], 1000)


def test_lists_are_cut_into_chunks_with_their_rows():
    n = CHUNK + 3
    widths = np.random.default_rng(8).integers(8, 400, (n, 7))
    counted = complexity("efficientnet_b0", resolution=64, widths=widths)
    for row in (0, CHUNK - 1, CHUNK, n - 1):
        assert counted.macs[row] == complexity("efficientnet_b0", resolution=64, widths=widths[row].tolist()).macs


def test_the_order_of_rows_does_not_matter():
    drawn = random_multipliers(CHUNK + 3, seed=9)
    order = np.random.default_rng(10).permutation(CHUNK + 3)
    straight = complexity("efficientnet_b0", **drawn)
    shuffled = complexity("efficientnet_b0", **{name: values[order] for name, values in drawn.items()})
    for name in NAMES:
        assert getattr(shuffled, name).tolist() == getattr(straight, name)[order].tolist()


def test_no_rows_give_empty_arrays():
    counted = complexity("efficientnet_b0", width=[])
    assert [(array.dtype, array.shape) for array in numbers(counted)] == [(np.int64, (0,))] * 3


def test_each_class_costs_one_row_of_the_classifier():
    ten, eleven = (complexity("efficientnet_b0", classes=classes) for classes in (10, 11))
    assert (eleven.macs - ten.macs, eleven.params - ten.params) == (1280, 1281)
    assert eleven.activations - ten.activations == 1


@pytest.mark.parametrize("name", ["efficentnet_b0", "efficientnet-b0", "EfficientNet_B0", "efficientnetb0"])
def test_a_mistyped_base_network_is_refused_with_the_nearest(name):
    refusal = rf"base network '{name}' is unknown; nearest: .*efficientnet_b0.*\(`planner bases` lists all\)"
    with pytest.raises(InputError, match=refusal):
        complexity(name)


def test_a_base_network_like_no_other_is_refused_too():
    with pytest.raises(InputError, match=r"base network 'zzz' is unknown; nearest: \w+"):
        complexity("zzz")


def test_an_unknown_rule_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"scaling rule 'b0' is unknown; known rules: efficientnet, inverse, tinynet"):
        complexity("efficientnet_b0", rule="b0")


def with_first(value):
    return [value, *WIDTHS[1:]]


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"widths": WIDTHS[:6]}, "efficientnet_b0 has 7 stages, but widths gives 6"),
        ({"depths": [1] * 8}, "efficientnet_b0 has 7 stages, but depths gives 8"),
        ({"widths": 16}, "efficientnet_b0 has 7 stages, but widths gives 1"),
        ({"widths": with_first(0)}, "widths must be between 1 and 131072, got 0$"),
        ({"widths": with_first(-8)}, "widths must be between 1 and 131072, got -8$"),
        ({"widths": with_first(131_073)}, "widths must be between 1 and 131072, got 131073$"),
        ({"widths": with_first(16.0)}, r"widths must be whole numbers, got \[16.0, 24"),
        ({"widths": with_first(np.nan)}, r"widths must be whole numbers, got \[nan, 24"),
        ({"widths": with_first(10**30)}, f"widths must be between 1 and 131072, got {10**30}$"),
        ({"widths": [True] * 7}, "widths must be whole numbers"),
        ({"widths": [1] * 7}, "1 hidden channels leave squeeze-excite none at ratio 0.25; widen stem or stage"),
        ({"depths": [0] * 7}, "depths must be between 1 and 4096, got 0$"),
        ({"depths": [-1] * 7}, "depths must be between 1 and 4096, got -1$"),
        ({"depths": [4097] * 7}, "depths must be between 1 and 4096, got 4097$"),
        ({"depths": [1.5] * 7}, "depths must be whole numbers"),
        ({"resolution": 31}, "31 px is below efficientnet_b0's stride of 32; use at least that"),
        ({"resolution": [224, 31]}, "31 px is below efficientnet_b0's stride of 32; use at least that"),
        ({"resolution": 0}, "resolution must be between 1 and 16384, got 0$"),
        ({"resolution": -224}, "resolution must be between 1 and 16384, got -224$"),
        ({"resolution": 16_385}, "resolution must be between 1 and 16384, got 16385$"),
        ({"resolution": 10**30}, f"resolution must be between 1 and 16384, got {10**30}$"),
        ({"resolution": 224.0}, "resolution must be whole numbers, got 224.0$"),
        ({"resolution": np.nan}, "resolution must be whole numbers, got nan$"),
        ({"resolution": "224"}, "resolution must be whole numbers, got '224'$"),
        ({"resolution": True}, "resolution must be whole numbers, got True$"),
        ({"classes": 0}, "classes must be between 1 and 131072, got 0$"),
        ({"classes": -1}, "classes must be between 1 and 131072, got -1$"),
        ({"classes": 10**30}, f"classes must be between 1 and 131072, got {10**30}$"),
        ({"classes": np.nan}, "classes must be whole numbers, got nan$"),
        ({"classes": 1.5}, "classes must be whole numbers, got 1.5$"),
        ({"width": np.nan}, r"the width multiplier must lie in \(0, 1000\], got nan$"),
        ({"width": 0}, r"the width multiplier must lie in \(0, 1000\], got 0$"),
        ({"width": [1.0, -2.0]}, r"the width multiplier must lie in \(0, 1000\], got -2$"),
        ({"depth": np.inf}, r"the depth multiplier must lie in \(0, 1000\], got inf$"),
        ({"depth": 1e30}, r"the depth multiplier must lie in \(0, 1000\], got 1e\+30$"),
        ({"width": 1000}, "widths must be between 1 and 131072, got 192000$"),
        ({"resolution": [224, 225], "width": [1, 1, 1]}, "arguments of 2 and 3 rows; give one length, or one value"),
        ({"widths": [WIDTHS] * 2, "depth": [1, 1, 1]}, "arguments of 2 and 3 rows; give one length, or one value"),
    ],
)
def test_what_could_not_be_built_is_refused_in_words(arguments, refusal):
    with pytest.raises(InputError, match=refusal):
        complexity("efficientnet_b0", **arguments)


def test_a_bad_row_is_refused_beyond_the_first_chunk_too():
    pixels = np.full(CHUNK + 3, 224)
    pixels[-1] = 31
    with pytest.raises(InputError, match="31 px is below efficientnet_b0's stride of 32"):
        complexity("efficientnet_b0", resolution=pixels)


@pytest.mark.parametrize("name", ["stem", "head"])
def test_impossible_stems_and_heads_are_refused_by_name(name):
    fields = {"stem": 32, "head": 1280, name: 0}
    one = stack([B0.architecture()])
    wrong = Architectures(
        one.base, one.resolution, np.array([fields["stem"]]), one.widths, one.depths, np.array([fields["head"]])
    )
    with pytest.raises(InputError, match=f"{name} must be between 1 and 131072, got 0$"):
        count(wrong)
