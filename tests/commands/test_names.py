"""Names of folders may hold line breaks, and what moves a terminal's cursor."""

from pathlib import Path

import pytest

from support import TINY, Train, Twin, copy, stopped

NAME = "a\nb\x1b[31m"
SHOWN = "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[31m"


def test_a_run_is_named_in_one_line_when_it_is_done(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("dcgan", *TINY, "--run-dir", tmp_path / NAME)
    said = capsys.readouterr().err
    assert f"\ndone: {tmp_path}/{SHOWN}/report.html; next:\n" in said
    assert said.count(NAME) == 1  # in the command, quoted


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        (
            "sample",
            ("--num", "8"),
            f"drawn: .../{SHOWN}/drawn/000006-samples-seed0.png",
        ),
        ("export", (), f"exported: .../{SHOWN}/exported/000006"),
        (
            "evaluate",
            ("--features", "none"),
            f"written: .../{SHOWN}/evaluation-000006-none.json",
        ),
        ("compare", ("--out", NAME + ".png"), f"written: {SHOWN}.png and {SHOWN}.html"),
    ],
)
def test_what_is_made_of_a_run_is_named_in_one_line(
    twin: Twin,
    finished: Path,
    data_dir: Path,
    command: str,
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = copy(finished, tmp_path).rename(tmp_path / NAME)
    monkeypatch.chdir(tmp_path)
    if command == "evaluate":
        words += ("--data-dir", str(data_dir))
    twin.main(command)([str(run), *words])
    printed = capsys.readouterr()
    assert said in printed.err.replace(str(tmp_path), "...").splitlines()
    assert NAME not in printed.out + printed.err


@pytest.mark.parametrize(
    ("command", "words"),
    [("sample", (NAME,)), ("train", ("--dataset", f"folder:{NAME}"))],
)
def test_what_is_refused_is_named_in_one_line(
    twin: Twin,
    command: str,
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    stopped(2, lambda: twin.main(command)(list(words)))
    said = capsys.readouterr().err
    assert SHOWN.replace("a\N{REPLACEMENT CHARACTER}b", "a b") in said
    assert said.count("\n") == 1
    assert said[:-1].isprintable()
