"""Fractal images: the same seed gives the same pictures, and classes differ by their systems only."""

import numpy as np
import pytest

from trainer import fractal, fractal_systems
from trainer.fractal import fractal_images
from trainer.fractal_systems import draw_system


@pytest.fixture(scope="module")
def pictures():
    return fractal_images(classes=4, images=6, side=32, seed=3)


def attractor_cells(system, points=4000, grid=32):
    """Cells of the attractor's bounding square that a plain, one-point chaos game visits."""
    rng = np.random.default_rng(1)
    x = y = 0.0
    visited = []
    for which in rng.choice(len(system.chances), size=points, p=system.chances):
        a, b, c, d, e, f = system.maps[which].tolist()
        x, y = a * x + b * y + e, c * x + d * y + f
        visited.append((x, y))
    orbit = np.array(visited[20:])
    low, high = np.percentile(orbit, 1, axis=0), np.percentile(orbit, 99, axis=0)
    middle, half = (low + high) / 2, (high - low).max() / 2
    cells = np.floor(((orbit - middle) / half + 1) / 2 * grid).astype(int)
    inside = ((cells >= 0) & (cells < grid)).all(axis=1)
    return {tuple(cell) for cell in cells[inside].tolist()}


def test_the_same_seed_gives_the_same_bytes(pictures):
    assert pictures.tobytes() == fractal_images(classes=4, images=6, side=32, seed=3).tobytes()


def test_another_seed_gives_other_pictures_everywhere(pictures):
    other = fractal_images(classes=4, images=6, side=32, seed=4)
    assert (pictures != other).any(axis=(1, 2, 3)).all()


def test_pictures_are_rgb_bytes_ordered_by_class(pictures):
    assert (pictures.shape, pictures.dtype) == ((24, 32, 32, 3), np.uint8)
    alone = fractal_images(classes=2, images=6, side=32, seed=3)
    assert np.array_equal(pictures[:12], alone)


def test_no_two_pictures_are_equal(pictures):
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_more_images_per_class_keep_the_first_ones(pictures):
    fewer = fractal_images(classes=4, images=2, side=32, seed=3)
    assert np.array_equal(pictures.reshape(4, 6, 32, 32, 3)[:, :2].reshape(fewer.shape), fewer)


def test_the_size_of_the_groups_drawn_at_once_changes_nothing(pictures, monkeypatch):
    monkeypatch.setattr(fractal, "PIXELS_AT_ONCE", 2 * 32**2)
    assert np.array_equal(pictures, fractal_images(classes=4, images=6, side=32, seed=3))


def test_validation_pictures_are_no_train_pictures(pictures):
    validation = fractal_images(classes=4, images=6, side=32, seed=3, part="validation")
    assert not {picture.tobytes() for picture in pictures} & {picture.tobytes() for picture in validation}


@pytest.mark.parametrize("side", [8, 33, 96])
def test_any_side_can_be_drawn_and_is_not_blank(side):
    pictures = fractal_images(classes=2, images=2, side=side, seed=0)
    assert pictures.shape == (4, side, side, 3)
    assert (pictures.reshape(4, -1).std(axis=1) > 5).all()


def test_a_scene_looks_alike_at_two_sides():
    small = fractal_images(classes=3, images=8, side=32, seed=0).astype(float)
    large = fractal_images(classes=3, images=8, side=64, seed=0).astype(float)
    halved = large.reshape(24, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    agreement = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(small, halved, strict=True)]
    assert np.median(agreement) > 0.8


@pytest.mark.parametrize("label", range(6))
def test_an_attractor_fills_its_frame_neither_thinly_nor_wholly(label):
    share = len(attractor_cells(draw_system(0, label))) / 32**2
    # The plain game plays other points, so its share strays a little from the one filtered on.
    assert 0.12 < share < 0.75


@pytest.mark.parametrize("label", range(20))
def test_every_map_of_a_class_contracts(label):
    system = draw_system(7, label)
    largest = [np.linalg.svd(row[:4].reshape(2, 2))[1][0] for row in system.maps.astype(float)]
    assert 2 <= len(largest) <= 4
    assert max(largest) < 0.76
    assert system.chances.sum() == pytest.approx(1)


def test_classes_differ_in_shape():
    cells = [attractor_cells(draw_system(0, label)) for label in range(8)]
    overlaps = [len(a & b) / len(a | b) for i, a in enumerate(cells) for b in cells[:i]]
    assert max(overlaps) < 0.75


def test_colour_does_not_give_the_class_away():
    pictures = fractal_images(classes=4, images=40, side=16, seed=0)
    means = pictures.mean(axis=(1, 2)).reshape(4, 40, 3)
    between, within = means.mean(axis=1).std(axis=0), means.std(axis=1).mean(axis=0)
    # The means of 40 unrelated colours stray by 1 / sqrt(40) = 0.16 of one colour's spread.
    assert (between < 0.4 * within).all()


def test_classes_can_be_told_apart_where_there_is_no_clutter(monkeypatch):
    for name, plain in [
        ("JITTER", 0.02),
        ("ROTATION", 0.0),
        ("SHIFT", 0.0),
        ("SCALE", (1.0, 1.0)),
        ("TEXTURE", 0.0),
        ("PIXEL_NOISE", 0.0),
        ("OCCLUSION", 0.0),
        ("DISTRACTOR_OPACITY", (0.0, 0.0)),
        ("FIGURE_OPACITY", (1.0, 1.0)),
    ]:
        monkeypatch.setattr(fractal, name, plain)
    shapes = fractal_images(classes=6, images=24, side=32, seed=0).astype(float).mean(axis=3)
    shapes = np.maximum(shapes, shapes[:, :, ::-1]).reshape(6, 24, -1)  # either mirror image
    shapes -= shapes.min(axis=2, keepdims=True)
    shapes /= np.linalg.norm(shapes, axis=2, keepdims=True)
    centres = shapes[:, :12].mean(axis=1)
    nearest = np.einsum("cnp,kp->cnk", shapes[:, 12:], centres).argmax(axis=2)
    assert (nearest == np.arange(6)[:, None]).mean() > 0.9


def test_progress_counts_classes():
    calls = []
    fractal_images(classes=3, images=1, side=8, seed=0, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"classes": 0}, "classes=0 is too small for fractal images; give at least 1"),
        ({"images": 0}, "images=0 is too small"),
        ({"side": 7}, "side=7 is too small for fractal images; give at least 8"),
        ({"seed": -1}, "seed=-1 is too small"),
        (
            {"part": "test"},
            r"part 'test' of the fractal images is unknown; known parts: \['train', 'validation'\]",
        ),
    ],
)
def test_impossible_requests_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        fractal_images(**{"classes": 2, "images": 1, "side": 16, "seed": 0} | wrong)


@pytest.mark.parametrize("file, name", [(fractal, "JITTER"), (fractal_systems, "BURN_IN")])
def test_settings_follow_the_constants(monkeypatch, file, name):
    before = fractal.settings()
    monkeypatch.setattr(file, name, 0.123)
    after = fractal.settings()
    assert {name for name in before if before[name] != after[name]} == {name}
