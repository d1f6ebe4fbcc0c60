"""Arrays in memory, and folders, as data sets."""

import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from shared.data import datasets
from shared.data.arrays import from_arrays
from shared.data.image_data import ImageData
from shared.drawing import images
from shared.errors import UsageError
from support import Twin

GREY = np.arange(6 * 64, dtype=np.uint8).reshape(6, 8, 8)


def test_both_twins_offer_the_same(twin: Twin) -> None:
    assert twin.library.data.from_arrays is from_arrays
    assert twin.library.data.from_folder is datasets.from_folder
    assert twin.library.data.load is datasets.load


def test_arrays_are_what_a_data_set_of_that_name_is(data_dir: Path) -> None:
    digits = datasets.load("digits", 16, data_dir)
    assert digits.name == "digits"
    same = from_arrays(digits.images, digits.labels, digits.class_names)
    assert same.info == digits.info
    assert same.class_names == digits.class_names
    assert same.name == "arrays"


def test_arrays_are_taken_as_they_are() -> None:
    data = from_arrays(GREY)
    assert data.info[:3] == (1, 0, 6)
    assert data.labels is None
    assert np.shares_memory(data.images, GREY)
    np.testing.assert_array_equal(data.images[..., 0], GREY)
    coloured = from_arrays(np.stack([GREY] * 3, axis=-1), [0, 1] * 3)
    assert coloured.info[:3] == (3, 2, 6)
    assert coloured.class_names == ("0", "1")
    named = from_arrays(GREY, [1, 0, 0, 1, 0, 2], ["cat", "dog", "owl"])
    assert named.class_names == ("cat", "dog", "owl")
    other_names: list[Any] = [np.array(["1", "2", "3"]), [1, 2, 3]]
    for names in other_names:
        assert from_arrays(GREY, [1, 0, 0, 1, 0, 2], names).class_names == (*"123",)
    assert named.labels is not None
    assert named.labels.dtype == np.int32
    assert from_arrays(memoryview(GREY)).info.sha256 == data.info.sha256
    assert from_arrays(GREY[::-1]).info.sha256 != data.info.sha256


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (GREY / 255.0,),
            "type float64 and shape [6, 8, 8]: must be uint8, 0 to 255; of these, x:"
            " numpy.rint(255 * numpy.asarray(x)).astype(numpy.uint8)",
        ),
        ((GREY / 127.5 - 1,), "numpy.rint(127.5 * numpy.asarray(x).clip(-1, 1) + 1"),
        ((GREY.astype(int),), "must be uint8, 0 to 255; of these, x: numpy.asarr"),
        (([GREY[0], GREY[1, :4]],), "images: cannot be made an array: setting an ar"),
        ((GREY, [[0], [1, 2]]), "labels: cannot be made an array: setting an array"),
        ((np.ma.masked_equal(GREY, 3),), "images: must have no masked values"),
        ((GREY, np.ma.masked_equal([0, 1] * 3, 1)), "labels: must have no masked val"),
        ((GREY[0],), "shape [8, 8]: must be [count, height, width] or"),
        ((np.zeros((6, 8, 8, 2), np.uint8),), "with 1 or 3 channels"),
        ((np.zeros((6, 3, 8, 8), np.uint8),), "with 1 or 3 channels"),
        ((GREY[:, :4],), "size 4x8: the shorter side must be 4, 5, 6 or 7 times 2, 4"),
        ((np.zeros((6, 9, 9), np.uint8),), "size 9: must be 4, 5, 6 or 7 times 2, 4"),
        ((np.zeros((6, 7, 7), np.uint8),), "; 8 is the smallest"),
        ((GREY[:1],), "shape [1, 8, 8]: must be two or more"),
        ((GREY, [0, 1]), "labels of type int64 and shape [2]: must be whole numbers"),
        ((GREY, np.zeros(6)), "labels of type float64 and shape [6]: must be whole"),
        ((GREY, [0, 1, 3, 0, 1, 3]), "labels 0, 1, 3: must be class ids from 0 up"),
        ((GREY, [-1, 0, 1, 0, 1, 0]), "labels -1, 0, 1: must be class ids from 0"),
        ((GREY, [5, 7] * 3), "more; of other numbers: _, labels = numpy.unique(labels"),
        ((GREY, [0, 1] * 3, ["one"]), "must be one for each of 2 classes"),
        ((GREY, [0, 1] * 3, ["one"] * 999), "'one...: must be one for each of 2 cl"),
        ((GREY, [0, 1] * 3, ["one", "one"]), "'one' must be of one class"),
        ((GREY, [0, 1] * 3, {"one", "two"}), "class_names of type set: must be a list"),
        ((GREY, [0, 1] * 3, {"one": 0, "two": 1}), "class_names of type dict: must"),
        ((GREY, [0, 1] * 3, "ab"), "class_names of type str: must be a list of texts"),
        ((GREY, [0, 1] * 3, None), "class_names of type NoneType: must be a list"),
        ((GREY, ["cat", "dog"] * 3), "of texts: class_names, labels = numpy.unique(l"),
        ((np.zeros((6, 3, 8, 8), np.uint8),), "numpy.asarray(x).transpose(0, 2, 3, 1"),
        ((GREY, [0, 1] * 3, ["one", "two\n"]), r"'two\n' must be one line of text"),
        ((GREY, [0, 1] * 3, ["one", " "]), "' ' must be one line of text"),
        ((GREY, (n % 2 for n in range(6))), "labels of type generator: must be an arr"),
        ((GREY, [None] * 6), "labels of type object and shape [6]: must be whole num"),
        ((iter(GREY),), "images of type iterator: must be an array, or a list"),
        ((None,), "images of type NoneType: must be an array, or a list"),
        (({"image": GREY},), "images of type dict: must be an array, or a list"),
        (("photos",), "images of type str: must be an array, or a list"),
        ((GREY, None, ["one"]), "class_names ('one',): there are no labels"),
        ((GREY, None, ["one"] * 999), "...: there are no labels"),
        ((np.zeros((6, 8, 9), np.uint8),), "; the nearest are 8 and 8x10"),
    ],
)
def test_other_arrays_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError) as error:
        from_arrays(*arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    "images",
    [GREY / 127.5, GREY.astype(int) - 1, GREY / 0.5, GREY / np.nan, GREY > 3],
)
def test_of_other_ranges_nobody_guesses_what_they_mean(images: Any) -> None:
    with pytest.raises(UsageError, match=r"must be uint8, 0 to 255$"):
        from_arrays(images)


def test_what_its_docstring_makes_of_floats_is_taken() -> None:
    (made,) = re.findall(r"``(numpy[^`]+)``", from_arrays.__doc__ or "")
    pixels = eval(made, {"numpy": np, "x": GREY / 127.5 - 1})
    assert from_arrays(pixels).info == from_arrays(GREY).info


def followed(images: Any) -> ImageData:
    """What `from_arrays` makes of images, if what it says of them is done."""
    while True:
        try:
            return from_arrays(images)
        except UsageError as error:
            _, made = str(error).split("; of these, x: ")
            images = eval(made, {"numpy": np, "x": images})


def test_what_it_makes_of_lists_is_taken() -> None:
    for values in (GREY / 255, GREY / 127.5 - 1):
        assert followed(values.tolist()).info == from_arrays(GREY).info


@pytest.mark.needs("torch")
def test_what_it_makes_of_tensors_is_taken() -> None:
    import torch

    pixels = np.stack([GREY] * 3, axis=1)
    for values in (pixels / 255, pixels / 127.5 - 1, pixels.astype(int)):
        made = followed(torch.from_numpy(values))
        assert made.info == from_arrays(pixels.transpose(0, 2, 3, 1)).info


@pytest.mark.parametrize("mode", ["P", "HSV", "CMYK", "LA"])
def test_pictures_whose_values_are_no_colours_are_refused(mode: str) -> None:
    grey: Any = [Image.fromarray(x) for x in GREY]
    assert from_arrays(grey).info == from_arrays(GREY).info
    pictures: Any = [picture.convert("RGB") for picture in grey]
    assert from_arrays(pictures).info.channels == 3
    with pytest.raises(UsageError, match=rf"^images of mode '{mode}': must be L or"):
        from_arrays(cast("Any", [picture.convert(mode) for picture in pictures]))


def test_a_data_set_is_shown_in_a_line() -> None:
    data = from_arrays(GREY, [0, 1] * 3)
    assert repr(data) == "ImageData(arrays, 6 of 8x8x1, 2 classes)"


def test_a_mask_over_nothing_hides_nothing() -> None:
    data = from_arrays(np.ma.array(GREY), np.ma.array([0, 1] * 3))
    assert data.info == from_arrays(GREY, [0, 1] * 3).info
    assert type(data.images) is np.ndarray


@pytest.mark.needs("torch")
def test_tensors_without_values_at_hand_are_refused() -> None:
    import torch

    pixels = torch.from_numpy(GREY)
    assert from_arrays(pixels).info == from_arrays(GREY).info
    for unfit, reason in (
        (pixels.float().requires_grad_(), "Can't call numpy() on Tensor that requires"),
        (pixels.bfloat16(), "Got unsupported ScalarType BFloat16"),
        (pixels.to_sparse(), "can't convert Sparse layout tensor"),
        (pixels.to("meta"), "can't convert meta device type tensor"),
    ):
        with pytest.raises(UsageError) as error:
            from_arrays(unfit)
        assert str(error.value).startswith(f"images: cannot be made an array: {reason}")


def test_a_folder_is_read_as_by_the_command(tmp_path: Path) -> None:
    for number in range(4):
        picture = np.full((8, 8, 1), 50 * number, np.uint8)
        (tmp_path / "faces").mkdir(exist_ok=True)
        images.save_png(tmp_path / "faces" / f"{number}.png", picture)
    data = datasets.from_folder(tmp_path / "faces", 8, tmp_path)
    assert data.name == f"folder:{tmp_path}/faces"
    assert data.info == datasets.load(data.name, 8, tmp_path).info
    with pytest.raises(UsageError, match=r"^path .*/nowhere: must be a folder of"):
        datasets.from_folder(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"^path '': no file or folder can have this"):
        datasets.from_folder("")
    rule = "must be without folder:"
    with pytest.raises(UsageError, match=f"^path folder:photos: {rule}$"):
        datasets.from_folder("folder:photos")


def test_what_is_said_of_a_folder_names_arguments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wide").mkdir()
    images.save_png(tmp_path / "wide" / "0.png", np.zeros((8, 32, 1), np.uint8))
    folder = tmp_path / "wide"
    readers: tuple[tuple[Any, Any], ...] = (
        (datasets.from_folder, folder),
        (datasets.load, f"folder:{folder}"),
    )
    for read, name in readers:
        data = read(name, 8, tmp_path)
        said = capsys.readouterr().err
        assert "(crop pad or stretch keeps all)" in said
        assert "--" not in said
        assert data.survey is not None
        assert data.survey.notes == said.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "nonesuch"}, "dataset nonesuch: must be digits, mnist"),
        ({"dataset": 3}, "dataset 3: must be a text"),
        ({"image_size": 15}, "image_size 15: must be 4, 5, 6 or 7 times 2, 4, 8, ...;"),
        ({"image_size": (16, 17)}, "image_size 16x17: the shorter side must be"),
        ({"image_size": (8, 8, 3)}, "image_size (8, 8, 3): must be a whole number or"),
        ({"channels": "red"}, "channels 'red': must be one of auto, grey, colour"),
        ({"crop": "corner"}, "crop 'corner': must be one of centre, pad, stretch"),
        ({"pixel_bits": 17}, "pixel_bits 17: must be from 1 to 16"),
        ({"pixel_bits": -3, "dataset": "folder:x"}, "pixel_bits -3: must be from 1"),
        ({"crop": "pad"}, "crop pad: is for images of folder:PATH"),
        ({"pixel_bits": 4}, "pixel_bits 4: is for images of folder:PATH"),
        ({"channels": "grey", "dataset": "ring"}, "channels grey: is for images of"),
        (
            {"image_size": 16, "dataset": "ring"},
            "image_size 16: is for images, which points of ring are not",
        ),
        ({"split": "half"}, "split 'half': must be one of train, test"),
        ({"trust_cache": "no"}, "trust_cache 'no': must be True or False"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_words_of_python(
    arguments: dict[str, Any], message: str
) -> None:
    words: dict[str, Any] = {"dataset": "digits"} | arguments
    with pytest.raises(UsageError) as error:
        datasets.load(**words)
    assert str(error.value).startswith(message)
