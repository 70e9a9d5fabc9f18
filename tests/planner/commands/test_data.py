"""`planner data`: what it prints, what it writes, one line for what it refuses."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
NAMES = ("n02869837", "n01749939", "n09999999")  # two of CMC's and one of nobody's


@pytest.fixture
def planner(run, monkeypatch):
    """`planner ARGS` as (exit code, stdout, stderr), with the command `data`."""
    import planner.cli

    if "data" not in planner.cli.COMMANDS:
        monkeypatch.setattr(planner.cli, "COMMANDS", (*planner.cli.COMMANDS, "data"))
    return run


@pytest.fixture
def photos(tmp_path):
    """Three classes of 5 training and 2 validation pictures of noise; one is there twice."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 2)):
        for name in NAMES:
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (24, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    twin = tmp_path / "photos" / "val" / NAMES[2] / "1.png"
    twin.write_bytes((tmp_path / "photos" / "train" / NAMES[0] / "3.png").read_bytes())
    return tmp_path / "photos"


def lines(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_source_is_described_in_words_and_in_json(planner, photos):
    code, out, err = planner("data", "info", "imagefolder:photos", "--side", "16")
    assert (code, err) == (0, "")
    found = lines(out)
    assert found[0] == "imagefolder:photos: 3 classes, decoded at 16 px"
    assert found[2:5] == [
        "train 15 5 5 5",
        "validation 6 2 2 2",
        "stored: width 40 to 40 px (median 40), height 24 to 24 px (median 24)",
    ]
    assert "equal images: 0 within train, 0 within validation, 1 between them; 1 of the 1 in different classes" in found
    shared = f"between: {photos}/train/{NAMES[0]}/3.png ({NAMES[0]}) = {photos}/val/{NAMES[2]}/1.png ({NAMES[2]})"
    assert shared in found and "near copies: none" in found
    code, out, err = planner("data", "info", "imagefolder:photos", "--side", "16", "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "") and answer["source"] == "imagefolder:photos"
    assert answer["duplicates"]["equal"]["between"] == 1 and f"fingerprint: {answer['fingerprint']}" in found


def test_classes_are_listed_up_to_a_bound(planner, photos, monkeypatch):
    from planner.commands import data

    (photos / "val" / NAMES[1] / "1.png").unlink()
    monkeypatch.setattr(data, "CLASSES_SHOWN", 2)
    (photos / "labels.csv").write_text("")
    found = lines(planner("data", "info", "imagefolder:photos", "--side", "16")[1])
    start = found.index("class train validation")
    assert found[start + 1 : start + 5] == [
        f"{NAMES[1]} 5 1",
        f"{NAMES[0]} 5 2",
        "and 1 more classes (--json names them all)",
        "note: 1 entry passed over: 1 .csv",
    ]
    answer = json.loads(planner("data", "info", "imagefolder:photos", "--side", "16", "--json")[1])
    assert answer["class_counts"][2] == {"name": NAMES[2], "train": 5, "validation": 2}
    assert answer["notes"] == ["1 entry passed over: 1 .csv"]


@pytest.mark.parametrize("name", [b"\x1b[31mred\a", b"caf\xe9", "\u202egnp".encode()])
def test_names_are_printed_so_that_no_terminal_obeys_them(planner, photos, name):
    for split in ("train", "val"):
        os.rename(photos / split / NAMES[2], os.fsencode(photos / split) + b"/" + name)
    with open(os.fsencode(photos / "train" / NAMES[1]) + b"/" + name + b".png", "wb") as file:
        file.write(b"no picture")
    source = "imagefolder:photos"
    code, out, _ = planner("data", "info", source, "--side", "16")
    assert code == 0 and all(line.isprintable() for line in out.splitlines())
    assert out.count("\\") >= 3  # a class, a duplicate's name, an unreadable picture
    answer = json.loads(planner("data", "info", source, "--side", "16", "--json")[1])
    assert os.fsencode(answer["classes"][0 if name < b"n" else 2]) == name
    code, out, err = planner("data", "make", "folder", "--from", "photos", "--out", "p.npz", "--skip-corrupt")
    assert code == 0 and all(line.isprintable() for line in out.splitlines()) and not err


def test_unreadable_files_are_listed_by_name_up_to_a_bound(planner, photos, monkeypatch):
    from planner.commands import data

    for number in (0, 2, 4):
        (photos / "train" / NAMES[1] / f"{number}.png").write_bytes(b"")
    monkeypatch.setattr(data, "UNREADABLE_SHOWN", 2)
    code, out, _ = planner("data", "info", "imagefolder:photos", "--side", "16")
    found = lines(out)
    start = found.index("3 images cannot be read; trainings refuse the source without --skip-corrupt:")
    assert code == 0
    assert found[start + 1] == f"{photos}/train/{NAMES[1]}/0.png (no bytes)"
    assert found[start + 3] == "and 1 more (--json names them all)"
    out = planner("data", "info", "imagefolder:photos", "--side", "16", "--json")[1]
    assert [Path(one["name"]).stem for one in json.loads(out)["unreadable"]] == ["0", "2", "4"]


def test_a_made_proxy_is_a_source_with_a_card(planner, photos):
    code, out, err = planner("data", "make", "folder", "--from", "photos", "--side", "16", "--out", "mine/p.npz")
    assert (code, err) == (0, "")
    assert "mine/p.npz: 15 training and 6 validation images of 3 classes at 16 px, 0.0 MB\n" in out
    assert "The card is mine/p.json. Next: planner data info npz:mine/p.npz" in out
    card = json.loads(Path("mine/p.json").read_text())
    assert card["command"] == "planner data make folder --from photos --side 16 --out mine/p.npz"
    assert (card["name"], card["from"], card["seed"]) == ("folder", "photos", 0)
    found = json.loads(planner("data", "info", "npz:mine/p.npz", "--side", "16", "--json")[1])
    assert found["train"]["images"] == 15 and found["classes"] == sorted(NAMES)
    assert found["duplicates"]["equal"]["between"] == 1


def made(planner, *options):
    code, out, err = planner("data", "make", *options, "--from", "photos", "--side", "16", "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_classes_are_a_number_or_those_of_a_file(planner, photos):
    assert len(made(planner, "imagenet100", "--classes", "2", "--seed", "3")["images"]["per_class"]) == 2
    # ImageNet's lists put words after the name, with a tab, a comma or a space.
    Path("list.txt").write_text(f"{NAMES[2]} tench, Tinca tinca\n\n{NAMES[0]}\tbonnet\n")
    assert list(made(planner, "imagenet100", "--classes", "list.txt")["images"]["per_class"]) == [NAMES[0], NAMES[2]]
    Path("list.csv").write_text(f"class,name\n{NAMES[1]},green mamba\n{NAMES[0]},bonnet\n")
    assert list(made(planner, "folder", "--classes", "list.csv")["images"]["per_class"]) == [NAMES[1], NAMES[0]]


def test_the_listed_classes_are_those_of_cmc(planner, photos):
    code, out, err = planner("data", "make", "imagenet100", "--from", "photos")
    assert (code, out) == (2, "")
    assert err.startswith("planner: photos/train lacks 98 of 100 classes, such as n01558993, ")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared lists are not here")
def test_the_shipped_list_is_the_shared_one():
    from planner.commands.data import _cmc

    shared = (SHARED / "lists" / "imagenet100_cmc.txt").read_text().splitlines()
    assert _cmc() == sorted(line.split("\t")[0] for line in shared)


def test_corrupt_pictures_stop_it_or_are_left_out(planner, photos):
    (photos / "val" / NAMES[0] / "1.png").write_text("no picture")
    options = ("data", "make", "folder", "--from", "photos", "--side", "16", "--out", "p.npz")
    code, out, err = planner(*options)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert f"p.npz: 1 of 21 images cannot be read: photos/val/{NAMES[0]}/1.png (not an image); replace or" in err
    assert not list(Path().glob("*p.npz*"))
    code, out, _ = planner(*options, "--skip-corrupt")
    assert code == 0 and f"1 images left out:\n  photos/val/{NAMES[0]}/1.png (not an image)\n" in out


def test_a_proxy_of_imagenet_says_what_scores(planner, photos, monkeypatch):
    from trainer import proxies

    monkeypatch.setitem(proxies.IMAGENET, "imagenet100-500", proxies.Proxy(3, False, 4, None))
    code, out, _ = planner("data", "make", "imagenet100-500", "--from", "photos", "--side", "16")
    assert code == 0 and "scores on a fifth of the 12 training images by default; with --holdout 0" in out
    assert "all of them train and the 6 validation images score." in out
    assert "--holdout" not in planner("data", "make", "folder", "--from", "photos", "--side", "16")[1]


@pytest.mark.parametrize("name", ["p.npz", "p.json"])
def test_a_proxy_is_written_through_a_link_but_its_card_replaces_one(planner, photos, name):
    Path("kept").write_text("kept")
    Path(name).symlink_to("kept")
    code, out, err = planner("data", "make", "folder", "--from", "photos", "--side", "16", "--out", "p.npz")
    assert code == 0, err
    assert Path("p.npz").is_symlink() is (name == "p.npz") and not Path("p.json").is_symlink()
    assert (Path("kept").read_bytes() == b"kept") is (name == "p.json")
    assert planner("data", "info", "npz:p.npz", "--side", "16")[0] == 0


@pytest.mark.parametrize(
    "line, words",
    [
        ("info", "Missing argument 'SOURCE'"),
        ("info nonsense", "data source 'nonsense' is unknown; known: fractal, "),
        ("info cifar10:nowhere", "nowhere: no such file or folder; check the path after cifar10:"),
        ("info imagefolder:photos --side 4", "4 is not in the range 8<=x<=4096"),
        ("make", "Missing argument"),
        ("make imagenet --from photos", "'imagenet' is not one of 'imagenet100', 'imagenet100-500', "),
        ("make folder", "Missing option '--from'"),
        ("make folder --from nowhere", "nowhere is not a folder; check the path"),
        ("make folder --from photos --out p.zip", "--out p.zip does not end in .npz"),
        ("make folder --from photos --classes random", "a folder has no usual number of classes; give --classes N"),
        ("make folder --from photos --classes 1", "--classes 1 is too few; give at least 2"),
        ("make folder --from photos --classes 9", "photos/train has 3 class folders, 9 are wanted"),
        ("make folder --from photos --classes none.txt", "none.txt: no list of classes there; give N, random or a"),
        ("make imagenet100 --from photos --classes random", "photos/train has 3 class folders, 100 are wanted"),
        ("make imagenet1000-100 --from photos", "photos/train has 3 class folders, 1000 are wanted"),
        ("make imagenet1000-100 --from photos --classes 3", "has 5 images, 150 are wanted; add some"),
    ],
)
def test_a_mistake_is_one_line(planner, photos, line, words):
    code, out, err = planner("data", *line.split())
    assert (code, out) == (2, ""), err
    assert words in err and err.startswith("planner: ") and err.count("\n") == 1
    assert [entry.name for entry in Path().iterdir()] == ["photos"]


@pytest.mark.parametrize("command", [(), ("make",), ("info",)])
def test_help_has_an_example(planner, command):
    code, out, _ = planner("data", *command, "--help")
    assert code == 0 and "Example: planner data" in out


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared images are not here")
def test_the_duplicates_of_real_images_are_those_found_by_eye(planner):
    source = f"npz:{SHARED / 'images' / 'imagenet20_128_webp80.npz'}"
    found = json.loads(planner("data", "info", source, "--json")[1])["duplicates"]
    kinds = ("within_train", "within_validation", "between")
    assert [found["equal"][kind] for kind in kinds] == [0, 1, 2]
    assert [found["near"][kind] for kind in kinds] == [5, 2, 1]


def test_a_study_leaves_out_what_cannot_be_read_only_where_it_is_told_to(run, tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(10):
            Image.new("RGB", (40, 40), (index, 90, 200)).save(tmp_path / "photos" / label / f"{index}.png")
    (tmp_path / "photos" / "dog" / "torn.png").write_bytes((tmp_path / "photos" / "dog" / "1.png").read_bytes()[:40])
    asked = ("sample", "--study", "s", "--trials", "2", "--data", "imagefolder:photos", "--resolution", "32")
    code, _, err = run(*asked)
    assert code == 2 and "1 of 21 images cannot be read: " in err and "torn.png" in err and "skip-corrupt" in err
    code, _, err = run(*asked, "--skip-corrupt")
    assert code == 0 and "1 images cannot be read and are left out: " in err and "torn.png" in err
    # It is one of the study's settings: neither leaving it out nor repeating it changes the study.
    assert run("sample", "--study", "s", "--trials", "1", "--skip-corrupt")[0] == 0
    assert run(*asked, "--skip-corrupt")[0] == 0
    code, _, err = run(*asked)
    assert code == 2 and "was made with --data imagefolder:photos,skip-corrupt, not imagefolder:photos" in err


def test_a_study_says_how_its_images_were_understood(run, photos):
    (photos / "val").rename(photos / "Test_Set")
    made = ("sample", "--study", "s", "--trials", "1", "--data", "imagefolder:photos", "--resolution", "32")
    assert "imagefolder:photos: read as splits: train trains, Test_Set validates\n" in run(*made)[2]


def test_a_study_of_pictures_that_were_not_turned_opens_and_says_why_it_cannot_go_on(run, photos, monkeypatch):
    from trainer import pictures

    exif = Image.Exif()
    exif[0x0112] = 6
    for file in photos.glob("*/*/1.png"):
        Image.open(file).save(file, exif=exif)
    made = ("sample", "--study", "s", "--trials", "1", "--data", "imagefolder:photos", "--resolution", "32")
    with monkeypatch.context() as before:
        before.setattr(pictures, "_upright", lambda picture: picture)
        before.setattr("trainer.image_cache.CACHE_VERSION", 1)
        assert run(*made)[0] == 0
    assert run("status", "--study", "s")[0] == 0
    code, _, err = run("train", "--study", "s")
    assert code == 2 and err.count("\n") == 1
    assert "not the images that study s was made with (older versions" in err and "did not turn pictures by EXIF" in err


def test_a_study_needs_a_source_that_its_settings_can_hold(run, photos):
    photos.rename(os.fsdecode(b"photos\xe9"))
    made = ("sample", "--study", "s", "--trials", "1", "--resolution", "32")
    code, _, err = run(*made, "--data", os.fsdecode(b"imagefolder:photos\xe9"))
    assert (
        code == 2 and err.count("\n") == 1 and r"photos\udce9: a path that is no UTF-8, as study.toml is; rename" in err
    )
    assert not Path("results/s").exists()


def test_a_study_takes_a_recipe_by_its_name(run, tmp_path):
    made = ("--data", "fractal:classes=2,train=10,validation=4", "--resolution", "32", "--trials", "1")
    assert run("sample", "--study", "t", "--recipe", "tinynet", *made)[0] == 0
    assert 'name = "tinynet"' in (tmp_path / "results" / "t" / "study.toml").read_text()
    code, _, err = run("sample", "--study", "t", "--recipe", "fast", *made)
    assert code == 2 and "study t was made with --recipe tinynet, not fast" in err
    code, _, err = run("sample", "--study", "u", "--recipe", "slow", *made)
    assert code == 2 and "recipe 'slow' is unknown; known recipes: fast, tinynet, resnet, adjust, amplify" in err
