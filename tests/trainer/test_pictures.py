"""One picture: upright, with the brightness that was meant, and of no format that is a program."""

import io

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from trainer.image_data import Unread
from trainer.images import DataError, load_images
from trainer.pictures import bytes_picture, file_picture, square

SIDE = 16
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n(id) (w) file\nshowpage\n%%EOF\n"


def encoded(picture, kind, **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def decoded(content):
    """The pixels `(SIDE, SIDE, 3)` and the size before, or why there are none."""
    found = square(bytes_picture("it", lambda: content), SIDE)
    return found.reason if isinstance(found, Unread) else (np.asarray(found[0]), found[1])


def grey(values, kind):
    return encoded(Image.fromarray(values), kind)


# --- orientation ---

# Where an upright picture's top left corner is stored, (right, bottom), and whether width and height are swapped:
# EXIF 2.32, tag 274, "the 0th row is at the visual .., the 0th column at the visual ..".
STORED = {
    1: ((0, 0), False),
    2: ((1, 0), False),
    3: ((1, 1), False),
    4: ((0, 1), False),
    5: ((0, 0), True),
    6: ((0, 1), True),
    7: ((1, 1), True),
    8: ((1, 0), True),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_is_turned_as_its_camera_was_held(orientation, kind):
    (right, bottom), swapped = STORED[orientation]
    width, height = (32, 48) if swapped else (48, 32)
    pixels = np.zeros((height, width, 3), np.uint8)
    rows, columns = (slice(-16, None) if end else slice(16) for end in (bottom, right))
    pixels[rows, columns] = 255  # what shall be at the top left
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, size = decoded(encoded(Image.fromarray(pixels), kind, exif=exif))
    assert size == (48, 32)
    lit = np.argwhere(image[..., 0] > 128)
    assert len(lit) and (lit.max(0) <= 8).all()


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02"]
)
def test_a_damaged_note_inside_a_good_picture_is_nothing(exif):
    image, size = decoded(encoded(Image.new("RGB", (20, 30), (9, 90, 200)), "PNG", exif=exif))
    assert size == (20, 30) and (image == [9, 90, 200]).all()


# --- brightness ---


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_of_grey_keep_their_brightness(kind):
    image, _ = decoded(grey(np.full((9, 9), 77 * 256 + 3, np.uint16), kind))
    assert (image == 77).all()


@pytest.mark.parametrize(
    "dtype, kind, words",
    [
        (np.float32, "TIFF", "floating-point numbers, whose white is not known; save it with 8 or 16 bits"),
        (np.float32, "PPM", "floating-point numbers"),
        (np.int32, "TIFF", "signed or 32-bit integers, whose white is not known"),
        (np.int16, "TIFF", "signed or 32-bit integers"),
    ],
)
def test_numbers_without_a_known_white_are_refused_by_name(dtype, kind, words):
    assert words in decoded(grey(np.full((9, 9), 0.7 * 300, dtype), kind))


@pytest.mark.parametrize(
    "mode, colour, expected", [("1", 1, 255), ("LA", (77, 3), 77), ("L", 77, 77), ("RGBA", (77, 77, 77, 0), 77)]
)
def test_other_modes_are_rgb_as_convert_gives_them(mode, colour, expected):
    image, _ = decoded(encoded(Image.new(mode, (9, 9), colour), "PNG"))
    assert (image == expected).all()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_pictures_in_a_file_the_first_is_taken(kind):
    frames = [Image.new("RGB", (9, 9), (value, value, value)) for value in (40, 200, 90)]
    options = {"lossless": True} if kind == "WEBP" else {}
    image, _ = decoded(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert (image == 40).all()


# --- formats ---


@pytest.fixture
def interpreter(monkeypatch):
    """What Pillow would have Ghostscript run."""
    begun = []

    def run(*arguments, **_):
        begun.append(arguments)
        raise OSError("was run")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
    return begun


def test_pillow_would_run_the_interpreter(interpreter):
    Image.init()
    with Image.open(io.BytesIO(EPS)) as picture, pytest.raises(OSError, match="was run"):
        picture.load()
    assert interpreter


@pytest.mark.parametrize("how", ["file", "bytes", "folder", "npz"])
def test_a_program_that_is_called_a_picture_is_not_run(tmp_path, interpreter, how):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(4):
            Image.new("RGB", (20, 20)).save(tmp_path / name / f"{number}.jpg")
    bad = tmp_path / "cat" / "photo.jpg"
    bad.write_bytes(EPS)
    if how in ("file", "bytes"):
        picture = file_picture(bad) if how == "file" else bytes_picture("photo", lambda: EPS)
        assert square(picture, SIDE) == Unread(picture.name, "not an image")
    else:
        source = f"imagefolder:{tmp_path}" if how == "folder" else f"npz:{packed(tmp_path / 'p.npz')}"
        with pytest.raises(DataError, match=r"photo.jpg \(not an image\)|image 1 \(not an image\)"):
            load_images(source, SIDE)
    assert not interpreter


def packed(path):
    good = encoded(Image.new("RGB", (20, 20)), "PNG")
    blobs = [good, EPS, good, good]
    np.savez(
        path,
        jpeg=np.frombuffer(b"".join(blobs), np.uint8),
        offset=np.cumsum([0, *map(len, blobs)]),
        label=[0, 1, 1, 0],
        split=[0, 0, 0, 1],
        classes=np.array(["a", "b"]),
    )
    return path


@pytest.mark.parametrize("kind", ["ICO", "TGA", "PCX", "PDF", "JPEG2000", "SGI"])
def test_formats_that_are_not_meant_are_not_opened(kind):
    assert decoded(encoded(Image.new("RGB", (32, 32)), kind)) == "not an image"


def test_a_photograph_of_several_pictures_is_a_jpeg():
    """Phones write them (MPO)."""
    pixels = Image.new("RGB", (20, 20), (77, 77, 77))
    image, size = decoded(encoded(pixels, "MPO", save_all=True, append_images=[pixels]))
    assert size == (20, 20) and (image == 77).all()
