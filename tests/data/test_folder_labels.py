"""Classes: of subfolders, of a file of labels; what is strange is said."""

import json
from pathlib import Path

import pytest
from PIL import Image

from shared.data import datasets
from shared.data.image_data import DataInfo, ImageData
from shared.errors import UsageError


def save(folder: Path, *names: str) -> None:
    """Images, each of a value of its own."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        value = 40 + sum(path.as_posix().encode()) % 200
        Image.new("L", (8, 8), value).save(path)


def load(folder: Path, tmp_path: Path) -> tuple[ImageData, list[str]]:
    data = datasets.load(f"folder:{folder}", 8, tmp_path / "data")
    assert data.survey is not None
    return data, data.survey.notes


_ROW = '{"file_name": "a.png", "label": 1}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    return path


def test_names_that_begin_with_their_ids_are_told_once() -> None:
    names = ("0 - zero", "one", "1 - two")
    info = DataInfo(1, 3, 3, "", class_names=names)
    assert info.named_classes() == ["0 - zero", "1 one", "2 1 - two"]


def test_a_subfolder_without_images_is_named_and_has_no_id(
    folder: Path, tmp_path: Path
) -> None:
    save(folder, "0/a.png", "1/b.png", "3/c.png")
    (folder / "2").mkdir()
    data, notes = load(folder, tmp_path)
    assert data.class_names == ("0", "1", "3")
    assert data.info.class_names == ("0", "1", "3")
    assert data.info.named_classes() == ["0 0", "1 1", "2 3"]
    assert "1 of 4 subfolders hold no image, and are no class: 2" in notes
    assert any(note.endswith("3 has id 2") for note in notes)


def test_numbers_are_ordered_as_text_and_that_is_said(
    folder: Path, tmp_path: Path
) -> None:
    save(folder, *(f"{number}/a.png" for number in range(11)))
    data, notes = load(folder, tmp_path)
    assert data.class_names[:3] == ("0", "1", "10")
    assert any("in the order of the names as text: 10 has id 2, " in x for x in notes)


def test_names_that_are_the_ids_are_not_stored(folder: Path, tmp_path: Path) -> None:
    save(folder, "0/a.png", "1/b.png")
    data, notes = load(folder, tmp_path)
    assert data.class_names == ("0", "1")
    assert data.info.class_names == ()
    assert "class_names" not in data.info.to_json()
    assert not [note for note in notes if "ids" in note]


def test_a_class_of_unreadable_files_is_said_to_be_none(
    folder: Path, tmp_path: Path
) -> None:
    save(folder, "a/1.png", "c/3.png")
    (folder / "b").mkdir()
    (folder / "b" / "2.png").write_bytes(b"x")
    data, notes = load(folder, tmp_path)
    assert data.class_names == ("a", "c")
    assert "no class, as no image of it can be read: b" in notes


@pytest.mark.parametrize(
    ("files", "within"),
    [
        (("train/cat/a.png", "train/dog/a.png", "val/cat/a.png"), "train"),
        (("Training/a.png", "Test/b.png"), "Training"),
        (("test/a.png", "val/b.png"), "test"),
        (("animals/cat/a.png", "animals/dog/a.png"), "animals"),
        (("train/a.png",), "train"),
        (("cat/a.png",), None),
        (("train/a.png", "bus/b.png"), None),
    ],
)
def test_what_looks_like_a_data_set_within_is_named_with_the_flag(
    files: tuple[str, ...], within: str | None, folder: Path, tmp_path: Path
) -> None:
    save(folder, *files)
    data, notes = load(folder, tmp_path)
    assert data.survey is not None
    flags = data.survey.flags
    if within is None:
        assert "dataset" not in flags
        return
    assert flags["dataset"] == f"folder:{folder}/{within}"
    assert any(f"(dataset folder:{folder}/{within} reads" in note for note in notes)
    datasets.load(flags["dataset"], 8, tmp_path / "data")


def test_labels_of_a_stylegan_file(folder: Path, tmp_path: Path) -> None:
    save(folder, "a.png", "00000/b.png", "00000/c.png", "unlabelled.png")
    rows = [["a.png", 4], ["00000/b.png", 0], ["00000\\c.png", 4], ["gone.png", 1]]
    (folder / "dataset.json").write_text(json.dumps({"labels": rows}))
    data, notes = load(folder, tmp_path)
    assert data.class_names == ("0", "4")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 1]
    assert "1 of 4 images have no label in dataset.json, and are left out:" in notes[1]
    assert notes[1].endswith(": unlabelled.png")
    assert notes[2].endswith("1 file that is no image here: gone.png")
    assert notes[3].endswith("in the order of the names as numbers: 4 has id 1")


def test_names_that_look_alike_are_told_apart(folder: Path, tmp_path: Path) -> None:
    save(folder, "a\u200b/a.png", "a\u200c/b.png", "b\u200b/c.png", "c/d.png")
    save(folder, "\u00e9/e.png", "e\u0301/f.png")
    data, _ = load(folder, tmp_path)
    assert data.class_names == (
        *("a\\u200b", "a\\u200c", "b\ufffd", "c", "e\\u0301", "\\xe9"),
    )


@pytest.mark.parametrize("composed", ["on disk", "in the file"])
@pytest.mark.parametrize("table", ["metadata.csv", "dataset.json"])
def test_letters_are_the_same_however_they_are_written(
    composed: str, table: str, folder: Path, tmp_path: Path
) -> None:
    on_disk, in_table = "caf\u00e9.png", "cafe\u0301.png"
    if composed == "in the file":
        on_disk, in_table = in_table, on_disk
    save(folder, on_disk, "b.png")
    content = f"file_name,label\n{in_table},1\nb.png,0\n"
    if table == "dataset.json":
        content = json.dumps({"labels": [[in_table, 1], ["b.png", 0]]})
    (folder / table).write_text(content, "utf-8")
    data, notes = load(folder, tmp_path)
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1]
    assert notes[:-1] == [f"the labels are those of {table}"]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["cat", "dog", "cat"], ("cat", "dog")),
        (["10", "9", "10"], ("9", "10")),
        (['"a, b"', "c", "c"], ("a, b", "c")),
        (["01", "1", "2"], ("01", "1", "2")),
        (["cat,", "dog, ,", "cat"], ("cat", "dog")),
        (["dog", "dog ", '" dog  "'], ("dog",)),
        (["1", "1 ", "0  "], ("0", "1")),
    ],
)
def test_labels_of_a_table(
    labels: list[str], names: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    save(folder, "a.png", "b.png", "x/c.png")
    files = ("a.png", "./b.png", "x/c.png")
    lines = [f"{a}, 7, {b}" for a, b in zip(files, labels, strict=True)]
    text = "\n".join(["\ufefffile_name, width, label", *lines])
    (folder / "metadata.csv").write_text(text, "utf-8")
    data, _ = load(folder, tmp_path)
    assert data.class_names == names
    assert data.labels is not None
    expected = [names.index(label.strip('", ')) for label in labels]
    assert data.labels.tolist() == expected


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["cat", "dog", "cat"], ("cat", "dog")),
        ([10, 9, 10], ("9", "10")),
        (["10", 9, "10"], ("9", "10")),
        (["01", 1, "2"], ("01", "1", "2")),
        (["a b", "a b ", "c"], ("a b", "c")),
        (["a, b", "\u2028", "a, b"], ("a, b", "\ufffd")),
    ],
)
def test_labels_of_objects(
    labels: list[str | int], names: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    save(folder, "a.png", "b.png", "x/c.png")
    rows = [
        json.dumps({"file_name": file, "label": label}, ensure_ascii=False)
        for file, label in zip(("a.png", "./b.png", "x/c.png"), labels, strict=True)
    ]
    (folder / "metadata.jsonl").write_text("\r\n\r\n".join(["", *rows]), "utf-8")
    data, notes = load(folder, tmp_path)
    assert data.class_names == names
    assert data.labels is not None
    shown = [str(x).replace("\u2028", "\ufffd").strip() for x in labels]
    expected = [names.index(x) for x in shown]
    assert data.labels.tolist() == expected
    assert "the labels are those of metadata.jsonl" in notes


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset.json", '{"labels": null}'),
        ("metadata.jsonl", '{"file_name": "x/a.png"}\n{"file_name": "b.png"}'),
        ("metadata.jsonl", ""),
        ("metadata.csv", "file_name,text\na.png,a cat"),
    ],
)
def test_a_file_without_labels_leaves_them_to_the_folders(
    name: str, content: str, folder: Path, tmp_path: Path
) -> None:
    save(folder, "x/a.png", "y/b.png")
    (folder / name).write_text(content)
    data, notes = load(folder, tmp_path)
    assert data.class_names == ("x", "y")
    assert f"{name} holds no labels" in notes


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("dataset.json", "{", "dataset.json: Expecting property name"),
        ("dataset.json", "[]", 'must hold {"labels": [[FILE, CLASS], ...]}'),
        ("dataset.json", '{"labels": [["a.png", 1.5]]}', "a whole number from 0 up"),
        ("dataset.json", '{"labels": [["a.png", [0, 1]]]}', "a whole number from 0"),
        ("dataset.json", '{"labels": [["a.png", -1]]}', "a whole number from 0 up"),
        ("dataset.json", '{"labels": [["a.png", true]]}', "a whole number from 0 up"),
        ("dataset.json", '{"labels": [["z.png", 1]]}', "names none of its images"),
        (
            "dataset.json",
            '{"labels": [["a.png", 1], ["e.png", 0], ["./a.png", 2]]}',
            "'./a.png' is 2 here, and 1 before",
        ),
        ("dataset.json", "[" * 100_000, "dataset.json: "),
        ("metadata.csv", "name,label\na.png,1", "must have the columns file_name and"),
        ("metadata.csv", "file_name,label\na.png", "line 2: has no file_name, or no"),
        ("metadata.csv", "file_name,label\na.png,", "line 2: has no file_name, or no"),
        (
            "metadata.csv",
            "file_name,label, label\na.png,1,2",
            "has the column label",
        ),
        (
            "metadata.csv",
            "file_name,file_name\na.png,1",
            "column file_name twice",
        ),
        (
            "metadata.csv",
            "file_name,label\na.png,new york, usa",
            "line 2: has more fields than the header; quote what holds a comma",
        ),
        (
            "metadata.csv",
            "file_name,label\na.png,cat\nb.png,cat\na.png,dog",
            "line 4: 'a.png' is 'dog' here, and 'cat' before",
        ),
        ("metadata.jsonl", '{"label": 1}', "line 1: has no file_name, or no label"),
        *(
            ("metadata.jsonl", f"{_ROW}\n{line}", rule)
            for line, rule in {
                '{"file_name": "a.png"}': "line 2: has no file_name, or no label",
                '{"file_name": "a.png", "label": -1}': "line 2: has no file_name, or",
                '{"file_name": "a.png", "label": true}': "line 2: has no file_name, or",
                '{"file_name": "a.png", "label": 2}': "line 2: 'a.png' is '2' here, an",
                "{": "line 2: no JSON: Expecting property name",
                "[]": "line 2: must be an object with file_name, label",
            }.items()
        ),
    ],
)
def test_a_file_of_labels_that_is_none_is_refused(
    name: str, content: str, rule: str, folder: Path, tmp_path: Path
) -> None:
    save(folder, "a.png")
    (folder / name).write_text(content)
    with pytest.raises(UsageError) as caught:
        load(folder, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"dataset folder:{folder}: {name}: ")
    assert rule in message
    assert "\n" not in message


def test_two_files_of_labels_are_refused(folder: Path, tmp_path: Path) -> None:
    save(folder, "a.png")
    (folder / "metadata.jsonl").write_text("")
    (folder / "metadata.csv").write_text("")
    with pytest.raises(UsageError, match=r"both metadata.csv and metadata.jsonl; keep"):
        load(folder, tmp_path)
    (folder / "dataset.json").write_text("{}")
    with pytest.raises(UsageError, match=r"holds both dataset.json and metadata.csv; "):
        load(folder, tmp_path)


def test_changed_labels_are_read_anew(folder: Path, tmp_path: Path) -> None:
    save(folder, "a.png", "b.png")
    for labels in ([0, 1], [1, 0]):
        rows = [[f"{name}.png", x] for name, x in zip("ab", labels, strict=True)]
        (folder / "dataset.json").write_text(json.dumps({"labels": rows}))
        data, _ = load(folder, tmp_path)
        assert data.labels is not None
        assert data.labels.tolist() == labels
