import dataclasses
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.commands import command_line, help_text
from shared.commands import train as train_command
from shared.commands.options import TrainFlags
from shared.commands.process import run_command
from shared.config.arguments import in_flags
from shared.config.presets import PRESETS, SUMMARIES
from shared.config.run_options import TrainOptions, handed_on
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.errors import UsageError
from shared.run.run_dir import RunDir
from shared.training import driver
from shared.training.progress import Progress

PROG = "python -m gans_x.train"
DATA = DataInfo(channels=1, num_classes=10, count=1797, sha256="0" * 64)


def train(*arguments: str) -> command_line.TrainOptions:
    return command_line.parse_train(arguments, PROG)


def sample(*arguments: str) -> command_line.SampleOptions:
    return command_line.parse_sample(arguments, PROG)


def refusal(parse: Callable[..., object], *arguments: str) -> str:
    with pytest.raises(UsageError) as caught, in_flags():
        parse(*arguments)
    return str(caught.value)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of 500 steps of a configuration that is no preset."""
    config = TrainConfig(preset="gan", width=8, steps=500, adam_betas=(0.4, 0.9))
    return RunDir.create(tmp_path / "run", config, DATA).path


def test_what_was_asked_for_reaches_all_that_need_it() -> None:
    names = {x.name for x in dataclasses.fields(TrainOptions)} - {"config", "notes"}
    assert names <= {x.name for x in dataclasses.fields(TrainFlags)}
    options = train("--threads", "3", "--on-nan", "rollback", "--data-dir", "d")
    how = handed_on(options, driver.Options, threads=2, progress=Progress())
    assert (how.on_nan, how.data_dir, how.threads) == ("rollback", Path("d"), 2)
    assert how.on_record is None


def test_no_arguments_give_the_default_preset_and_places() -> None:
    assert train() == command_line.TrainOptions(
        config=PRESETS["quick"],
        data_dir=Path("data"),
        run_dir=None,
        resume=None,
        device="auto",
        data_on="auto",
        tensorboard=False,
        check_reference=False,
        cache_dir=None,
        allow_new_data=False,
        threads=None,
        devices=None,
        coordinator_address=None,
        num_processes=None,
        process_id=None,
        deterministic=False,
        on_nan="stop",
        plugin=None,
        no_compile_cache=False,
        trust_cache=False,
        step=None,
        keep=None,
        notes=(),
    )


def test_a_resumed_run_keeps_its_places() -> None:
    def resume(*flags: str) -> str:
        return train_command.resume_command(
            train(*flags), Path("a run"), "gans_torch.train"
        )

    plain = "python -m gans_torch.train --resume 'a run'"
    assert resume("--run-dir", "a run") == plain
    flags = "--data-dir d --device cpu --data-on host"
    assert resume("--seed", "5", *flags.split()) == f"{plain} {flags}"


def test_a_path_that_begins_as_a_flag_does_is_none_in_a_command() -> None:
    options = train("--data-dir", "./-d", "--cache-dir", "./-c", "--conditional")
    places = "--data-dir ./-d --cache-dir ./-c"
    command = train_command.resume_command(options, Path("-r"), "gans_torch.train")
    assert command == f"python -m gans_torch.train --resume ./-r {places}"
    command = train_command.next_command(options, DATA, Path("-r"), "gans_torch.train")
    assert command == f"python -m gans_torch.evaluate ./-r {places}"
    again = command_line.parse_evaluate(shlex.split(command)[3:], "gans_torch.evaluate")
    assert (again.run, again.data_dir) == (Path("-r"), Path("-d"))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_alone_is_its_configuration(name: str) -> None:
    assert train(name).config == PRESETS[name]


def test_none_means_the_arguments_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "gan", "--seed", "5"])
    expected = dataclasses.replace(PRESETS["gan"], seed=5)
    assert command_line.parse_train(None, PROG).config == expected


def test_flags_of_every_form_change_the_preset() -> None:
    options = train(
        *("gan", "--g-lr=1e-3", "--adam-betas", "0", "0.9", "--image_size", "16"),
        *("--objective", "minimax", "--conditional", "--dataset", "folder:a b"),
        *("--data-dir", "d", "--run-dir", "r", "--device", "cuda:1"),
        *("--data-on", "host"),
    )
    assert options == dataclasses.replace(
        train(),
        config=dataclasses.replace(
            PRESETS["gan"],
            g_lr=1e-3,
            adam_betas=(0.0, 0.9),
            image_size=16,
            objective="minimax",
            conditional=True,
            dataset="folder:a b",
        ),
        data_dir=Path("d"),
        run_dir=Path("r"),
        device="cuda:1",
        data_on="host",
    )


def test_every_field_but_the_preset_is_a_flag(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        train("gan-mnist", "--help")
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    words = text.replace(",", " ").split()
    for field in dataclasses.fields(TrainConfig):
        flag = f"--{field.name.replace('_', '-')}"
        assert (flag in words) == (field.name != "preset")
    for flag in ("--data-dir", "--run-dir", "--resume", "--device"):
        assert flag in words
    for name in PRESETS:
        assert f"- {name}: " in text
    text = " ".join(text.split())
    assert "Passes of D over the data" in text
    assert "(default: mnist)" in text


def test_each_flag_is_in_one_group_of_the_help() -> None:
    flags = [name for names in help_text.GROUPS.values() for name in names]
    known = [field.name.replace("_", "-") for field in dataclasses.fields(TrainFlags)]
    known.remove("preset")
    assert sorted(flags) == sorted(known)
    assert len(help_text.GROUPS["What matters first"]) == 10
    assert SUMMARIES.keys() == PRESETS.keys()


def test_the_help_is_in_groups_and_fits_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    with pytest.raises(SystemExit):
        train("--help")
    lines = capsys.readouterr().out.splitlines()
    assert os.environ["COLUMNS"] == "30"
    assert max(map(len, lines)) <= 88
    titles = [line[:-1] for line in lines if line.endswith(":") and line[0] != " "]
    assert titles[1:] == [*help_text.GROUPS, "Further"]
    further = lines[lines.index("Further:") + 1 :]
    assert [line.split()[0] for line in further] == ["-h,"]
    first = lines[lines.index("What matters first:") :]
    flags = [x.split()[0][2:] for x in first[: first.index("")] if x[2:4] == "--"]
    assert tuple(flags) == help_text.GROUPS["What matters first"]


@pytest.mark.parametrize(
    "parse",
    [
        command_line.parse_sample,
        command_line.parse_evaluate,
        command_line.parse_export,
        command_line.parse_compare,
        command_line.parse_data,
    ],
)
def test_the_help_of_the_other_commands_looks_alike(
    parse: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"], PROG)
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert max(map(len, lines)) <= 88
    _, *entries = [x for x in lines[lines.index("Options:") :] if x[2:3] != " "]
    assert entries[0].split()[0] in ("RUN", "DATASET")
    assert entries[-1].split()[0] == "-h,"
    assert "None" not in text


def test_a_file_changes_the_preset_and_flags_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"batch_size": 32, "epochs": 3.0, "width": 16, "preset": "lsgan"}')
    options = train("wgan-gp", "--config", str(file), "--width", "8")
    assert options.config == dataclasses.replace(
        PRESETS["wgan-gp"], batch_size=32, steps=None, epochs=3.0, width=8
    )
    assert train("--config", str(file)).config == dataclasses.replace(
        PRESETS["lsgan"], batch_size=32, steps=None, epochs=3.0, width=16
    )
    options = train("--config", str(file), "--steps", "9", "--resume", "auto")
    assert (options.config.steps, options.config.epochs) == (9, None)
    assert options.config.width == 16


@pytest.mark.parametrize(
    ("text", "flags", "expected"),
    [
        (
            '{"penalty": "wgan-gp", "width": 8}',
            ("--d-norm", "none"),
            {"penalty": "wgan-gp", "width": 8, "d_norm": "none"},
        ),
        ('{"steps": null}', ("--steps", "2"), {"steps": 2}),
        ('{"steps": null}', ("--epochs", "2"), {"steps": None, "epochs": 2.0}),
    ],
)
def test_a_file_may_need_the_flags_beside_it(
    tmp_path: Path, text: str, flags: tuple[str, ...], expected: dict[str, Any]
) -> None:
    file = tmp_path / "mine.json"
    file.write_text(text)
    found = train("dcgan", "--config", str(file), *flags).config
    assert found == dataclasses.replace(PRESETS["dcgan"], **expected)
    assert refusal(train, "dcgan", "--config", str(file), "--width", "8").startswith(
        f"--config {file}: "
    )


def test_a_runs_own_file_gives_its_configuration(run: Path) -> None:
    stored, _ = RunDir.open(run).config_file.read()
    assert train("--config", str(run / "config.json")).config == stored


def test_a_runs_own_file_also_says_what_is_off(tmp_path: Path) -> None:
    """It names no setting that is off, which the preset may have on."""
    start = PRESETS["stylegan2"]
    assert start.penalty_every > 1
    config = dataclasses.replace(start, penalty_every=1, path_length=0.0)
    path = RunDir.create(tmp_path / "run", config, DataInfo(1, 10, 9, "ab")).path
    assert "penalty_every" not in (path / "config.json").read_text()
    assert train("--config", str(path / "config.json")).config == config


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "cannot be read: no such file"),
        ("[", "unreadable:"),
        ('{"batchsize": 3}', "unknown batchsize; did you mean batch_size?"),
        ('{"batch_size": "a"}', "--batch-size 'a': must be a whole number"),
        ('{"preset": "dgan"}', "preset 'dgan': must be one of gan, dcgan,"),
        ('{"version": 9}', "configuration version 9:"),
    ],
)
def test_a_file_of_settings_is_refused_in_one_line(
    tmp_path: Path, text: str | None, expected: str
) -> None:
    file = tmp_path / "mine.json"
    if text is not None:
        file.write_text(text)
    message = refusal(train, "--config", str(file))
    assert_says(message, f"--config {file}: {expected}")


def test_a_resumed_run_takes_no_file_of_settings(run: Path) -> None:
    message = refusal(train, "--config", "x.json", "--resume", str(run))
    assert message == "--config x.json: a resumed run keeps its settings"


def test_the_last_of_repeated_flags_counts() -> None:
    assert train("--steps", "3", "--steps", "4").config.steps == 4


@pytest.mark.parametrize(
    ("arguments", "steps", "epochs"),
    [
        (["--epochs", "2.5"], None, 2.5),
        (["--steps", "7"], 7, None),
        (["gan-mnist", "--steps", "7"], 7, None),
        (["gan-mnist", "--epochs", "7"], None, 7),
    ],
)
def test_one_measure_of_length_replaces_the_other(
    arguments: list[str], steps: int | None, epochs: float | None
) -> None:
    config = train(*arguments).config
    assert (config.steps, config.epochs) == (steps, epochs)


REFUSED = {
    "dgan": "preset 'dgan': must be one of gan, dcgan, ; did you mean dcgan?",
    "": "preset '': must be one of",
    "styleGAN2": "preset 'styleGAN2': did you mean stylegan2?",
    "folder:photos": "preset 'folder:photos': a data set is --dataset folder:photos",
    ".": "preset '.': a data set is --dataset folder:.",
    "--stpes 3": "unrecognized option --stpes; did you mean --steps?",
    "--image_sze=3": "unrecognized option --image-sze; did you mean --image-size?",
    "-x": "unrecognized option -x",
    "--lr 1e-3": "unrecognized option --lr; G and D --g-lr and --d-lr",
    "--beta1=0.5": "unrecognized option --beta1; both --adam-betas 0.5 0.999",
    "--objective wgan": "wgan: must be one of minimax, the preset wgan comes first",
    "--penalty gp": "--penalty gp: must be one of did you mean wgan-gp?",
    "--d-norm spectral": "--d-norm spectral: must be --d-weight-norm spectral",
    "--num-samples 3": "unrecognized option --num-samples",
    "--preset gan": f"the name stands alone and comes first, as in {PROG} wgan-gp",
    "--preset=gan": "--preset: the name stands alone",
    "--steps 3 gan": f"argument 'gan'; the preset comes first: {PROG} gan ...",
    "--steps 3 cat": f"unexpected argument 'cat'; see {PROG} [PRESET] --help",
    "--conditional yes": "unexpected argument 'yes'",
    "--steps": "--steps: needs a value",
    "--width --steps 3": "--width: needs a value",
    "--steps abc": "--steps abc: must be a whole number",
    "--steps 3.5": "--steps 3.5: must be a whole number",
    "--steps None": "--steps None: must be a whole number",
    "--steps 0": "--steps 0: must be 1 or more",
    "--steps -3": "--steps -3: must be 1 or more",
    "--steps 600 --epochs 3": "--steps and --epochs: give one of them, not both",
    "--epochs nan": "--epochs nan: must be a finite number",
    "--g-lr -1": "--g-lr -1.0: must be more than 0",
    "--g-lr=": "--g-lr '': must be a number",
    "--g-lr -inf": "--g-lr -inf: must be a finite number",
    "--adam-betas 0.5": "--adam-betas: needs 2 values",
    "--adam-betas 0.5 x": "--adam-betas 0.5 x: must be a number and a number",
    "--adam-betas 0.5 1": "--adam-betas 0.5 1.0: both must be in [0, 1)",
    "--objective foo": "--objective foo: must be one of minimax, --plugin missing",
    "--on-nan=": "--on-nan '': must be one of stop, rollback",
    "--image-size 50": "--image-size 50: must be 4, 5, 6 or 7 times 2, 4, 8, ...",
    "--dataset mnits": "--dataset mnits: did you mean mnist?",
    "--dataset=": "--dataset : must be digits,",
    "--run-dir=": "--run-dir '': must be a path",
    "--resume nowhere": "--resume nowhere: no such folder",
    "--resume a --run-dir b": "--run-dir b: a resumed run stays in its own folder",
}


def assert_says(message: str, expected: str) -> None:
    """The message is one line with the words of ``expected``, in this order."""
    position = 0
    for words in expected.split(" "):
        found = message.find(words, position)
        assert found >= 0, (message, words)
        position = found + len(words)
    assert "\n" not in message


@pytest.mark.parametrize("arguments", REFUSED)
def test_a_mistake_is_named_in_one_line(arguments: str) -> None:
    words = arguments.split() or [""]
    assert_says(refusal(train, *words), REFUSED[arguments])


def test_resuming_starts_from_the_stored_configuration(run: Path) -> None:
    stored, _ = RunDir.open(run).config_file.read()
    options = train("--resume", str(run), "--device", "cpu")
    assert options == dataclasses.replace(
        train(), config=stored, resume=run, device="cpu"
    )
    assert train("gan", "--resume", str(run), "--width", "8") == dataclasses.replace(
        options, device="auto"
    )


def test_resuming_may_change_the_length_and_what_is_written(run: Path) -> None:
    stored, _ = RunDir.open(run).config_file.read()
    flags = ("--steps", "900", "--log-every", "3", "--save-every", "9")
    assert train("--resume", str(run), *flags).config == dataclasses.replace(
        stored, steps=900, log_every=3, save_every=9
    )
    assert train("--resume", str(run), "--epochs", "4").config == dataclasses.replace(
        stored, steps=None, epochs=4
    )


def test_a_run_in_place_of_a_preset_is_to_be_resumed(run: Path) -> None:
    message = refusal(train, str(run))
    assert message.endswith(f"; a run goes on by --resume {run}")


def test_a_run_stays_away_from_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, link = tmp_path / "photos", tmp_path / "link"
    photos.mkdir()
    link.symlink_to(photos)
    monkeypatch.chdir(photos)
    name = "runs/quick-folder-photos-001"
    for dataset in ("folder:.", f"folder:{link}"):
        message = refusal(train, "--dataset", dataset)
        assert message.startswith(f"--run-dir {name}: lies within --dataset {dataset},")
    train("--dataset", "folder:.", "--run-dir", "../photos-run")
    monkeypatch.chdir(tmp_path)
    train("--dataset", "folder:photos")
    message = refusal(train, "--dataset", "folder:photos", "--run-dir", "link/run")
    assert message.startswith("--run-dir link/run: lies within --dataset folder:photos")


def test_a_run_with_a_setting_that_does_nothing_goes_on(tmp_path: Path) -> None:
    """Its flag is refused where a run starts."""
    config = TrainConfig(path_length_every=8)
    path = RunDir.create(tmp_path / "run", config, DATA).path
    assert train("--resume", str(path), "--path-length-every", "8").config == config
    assert train("--config", str(path / "config.json")).config == config
    for start in ("stylegan2", "dcgan"):
        message = refusal(train, start, "--path-length-every", "8")
        assert message == "--path-length-every 8: needs a --path-length"
    flags = ("--path-length", "2", "--path-length-every", "8")
    assert train("stylegan2", *flags).config.path_length_every == 8


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--width 64", "--width 64: the run was started with 8; only --epochs,"),
        ("--adam-betas 0 0.9", "--adam-betas 0.0 0.9: was started with 0.4 0.9;"),
        ("--steps 0", "--steps 0: must be 1 or more"),
    ],
)
def test_resuming_refuses_other_changes(run: Path, flags: str, expected: str) -> None:
    assert_says(refusal(train, "--resume", str(run), *flags.split()), expected)


def test_resuming_refuses_another_preset(run: Path) -> None:
    message = refusal(train, "dcgan", "--resume", str(run))
    assert message == "preset 'dcgan': the run was started with 'gan'"


def test_resuming_refuses_to_stretch_a_schedule(tmp_path: Path) -> None:
    config = TrainConfig(lr_schedule="linear", steps=500)
    path = str(RunDir.create(tmp_path, config, DATA).path)
    assert train("--resume", path, "--steps", "500").config == config
    message = refusal(train, "--resume", path, "--steps", "900")
    assert_says(message, "--steps 900: --lr-schedule linear may not change")
    message = refusal(train, "--resume", path, "--epochs", "9")
    assert_says(message, "--epochs 9.0: --lr-schedule linear may not change")


def test_a_step_is_a_number_or_the_best() -> None:
    assert sample("a", "--step", "5").step == 5
    assert sample("a", "--step", "best").step == "best"
    assert command_line.parse_evaluate(["a", "--step=best"], PROG).step == "best"


def test_dashes_that_torchrun_would_take_away_mean_nothing() -> None:
    assert sample("--", "run", "--num", "3") == sample("run", "--num", "3")
    assert train("--", "wgan", "--steps", "3") == train("wgan", "--steps", "3")


def test_sample_has_defaults_for_all_but_the_run() -> None:
    assert sample("runs/a") == command_line.SampleOptions(run=Path("runs/a"))
    assert sample("a", "--num", "9") == command_line.SampleOptions(run=Path("a"), num=9)
    assert sample(
        *("--num", "6", "a.safetensors", "--labels", "3,7", "--seed", "2"),
        *("--separate", "--interpolate", "--columns", "3", "--step", "0"),
        *("--out", "o.png", "--device", "cpu"),
    ) == command_line.SampleOptions(
        run=Path("a.safetensors"),
        num=6,
        labels="3,7",
        seed=2,
        separate=True,
        interpolate=True,
        columns=3,
        step=0,
        out=Path("o.png"),
        device="cpu",
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", f"RUN: is missing; see {PROG} --help"),
        ("a b", "unexpected argument 'b'"),
        ("a --intrepolate", "--intrepolate; did you mean --interpolate?"),
        ("a --num 0", "--num 0: must be 1 or more"),
        ("a --seed -1", "--seed -1: must be 0 or more"),
        ("a --seed 9223372036854775808", "--seed 9223372036854775808: below 2**63"),
        ("a --columns 0", "--columns 0: must be 1 or more"),
        ("a --step -1", "--step -1: must be 0 or more"),
        ("a --step last", "--step last: must be a whole number, or best"),
        ("a --labels 3 7 --num 9", "argument '7'; commas join as in --labels 3,7"),
        ('a --labels 3 ""', "argument ''; commas join as in --labels 3"),
        ("a --labels 3 7", "argument '7'; commas join as in --labels 3,7"),
        ("a --num-samples 9", "option --num-samples; did you mean --num?"),
        ("a --lr 9", "unrecognized option --lr"),
        ("-x", "unrecognized option -x"),
        ("-n 4 a", "unrecognized option -n; did you mean --num?"),
        ("a -n 4", "unrecognized option -n; did you mean --num?"),
        ("--labels -1,3", "RUN: is missing"),
        ("--run a", "unrecognized option --run"),
        ("a --out -x.png", "--out: needs a value"),
        ("a --labels 3,,4", "--labels 3,,4: must be class ids from 0 up"),
        ("a --labels '3, '", "--labels '3, ': must be class ids from 0 up"),
        ("a --num 9 --interpolate", "--num 9: must be a multiple of --columns 8"),
    ],
)
def test_sample_refuses_mistakes_in_one_line(arguments: str, expected: str) -> None:
    assert_says(refusal(sample, *shlex.split(arguments)), expected)


@pytest.mark.parametrize(
    ("parse", "arguments"),
    [
        (command_line.parse_sample, ["-my_run"]),
        (command_line.parse_export, ["-my_run"]),
        (command_line.parse_data, ["-my_run"]),
        (command_line.parse_evaluate, ["-my_run"]),
        (command_line.parse_evaluate, ["--num", "9", "-my_run"]),
        (command_line.parse_compare, ["-my_run"]),
        (command_line.parse_compare, ["a", "-my_run"]),
    ],
)
def test_a_folder_that_begins_as_an_option_does(
    parse: Callable[..., object],
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = "unrecognized option -my-run"
    with pytest.raises(UsageError) as refused:
        parse(arguments, PROG)
    assert str(refused.value) == said
    (tmp_path / "-my_run").mkdir()
    with pytest.raises(UsageError) as refused:
        parse(arguments, PROG)
    assert str(refused.value) == f"{said}; did you mean ./-my_run?"


def test_a_command_ends_with_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped, run_command("prog"):
        raise UsageError("--x a\nb: wrong")
    assert stopped.value.code == 2
    assert capsys.readouterr() == ("", "prog: error: --x a b: wrong\n")


def test_ctrl_c_ends_a_command_without_a_traceback() -> None:
    with pytest.raises(SystemExit) as stopped, run_command("prog"):
        raise KeyboardInterrupt
    assert stopped.value.code == 130


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_goes_away_ends_a_command_quietly(lines: int) -> None:
    # A few lines fail when they are flushed, many when they are printed.
    script = f"""
import sys
from shared.commands.process import run_command
with run_command("prog"):
    sys.stdin.read()
    for _ in range({lines}):
        print("x")
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    process.stdin.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: out of memory\nSearch for `cudaErrorMemory'"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes."),
        RuntimeError("INTERNAL: cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY: out of"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasC"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError(
            "NCCL error: unhandled cuda error\nCuda failure 2 'out of memory'"
        ),
        RuntimeError("Last error:\nFailed to CUDA calloc async 608 bytes"),
    ],
)
def test_too_little_memory_is_one_line(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped, run_command("prog"):
        raise error
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("prog: error: out of memory: try a smaller --batch-size")


def test_a_library_without_room_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    said = "libtorch_cpu.so: failed to map segment from shared object"
    with pytest.raises(SystemExit) as stopped, run_command("prog"):
        raise ImportError(said)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"prog: error: {said}; is there too little memory, or a li")


@pytest.mark.parametrize(
    ("error", "amounts"),
    [
        (
            "CUDA out of memory. Tried to allocate 3.00 GiB. GPU 0 has a total capacity"
            " of 79.18 GiB of which 1.63 GiB is free. Process 5 has",
            "Tried to allocate 3.00 GiB. GPU 0 has a total capacity of 79.18 GiB of"
            " which 1.63 GiB is free",
        ),
        (
            "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 109.24GiB.",
            "Out of memory while trying to allocate 109.24GiB",
        ),
        (
            "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8192 bytes.",
            "Out of memory while trying to allocate 8192 bytes",
        ),
    ],
)
def test_how_much_memory_was_missing_is_said(
    error: str, amounts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit), run_command("prog"):
        raise RuntimeError(error)
    assert f": out of memory ({amounts}): try" in capsys.readouterr().err


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError), run_command("prog"):
        raise ZeroDivisionError


SCRIPT = """
import sys
from shared.commands import command_line, help_text
from shared.commands.process import run_command
with run_command("prog"):
    command_line.parse_train(None, "prog")
"""


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_mistakes_are_one_line_whatever_the_terminal(encoding: str) -> None:
    # Without UTF-8 the underlying parser draws its boxes differently.
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, "--steps", "abc"],
        env={"PYTHONIOENCODING": encoding, "COLUMNS": "20"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == "prog: error: --steps abc: must be a whole number\n"


def test_nothing_heavy_is_imported() -> None:
    script = "import shared.commands.command_line, sys; print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", script], text=True).split()
    heavy = {"torch", "torchvision", "jax", "flax", "optax", "matplotlib", "sklearn"}
    assert "tyro" in modules
    assert heavy.isdisjoint(modules)


def test_a_resumed_run_has_every_flag_that_it_does_not_know_itself() -> None:
    flags = "--data-dir d --cache-dir c --device cpu --data-on host --on-nan rollback"
    flags += " --trust-cache --deterministic --no-compile-cache --tensorboard"
    options = train(*flags.split())
    command = train_command.resume_command(options, Path("RUN"), "gans_torch.train")
    assert command == f"python -m gans_torch.train --resume RUN {flags}"
