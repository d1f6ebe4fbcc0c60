"""A run's training call for accelerators that are not here: lowered, and compiled."""

import importlib
import importlib.util
import itertools
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.flops import step_flops
from gans_jax._elsewhere.arguments import parse_compile
from gans_jax._elsewhere.data import data_like
from gans_jax._elsewhere.report import Program
from gans_jax._elsewhere.target import parse_target
from shared.config.presets import PRESETS
from shared.data import datasets
from shared.errors import UsageError
from support import stopped

pytestmark = pytest.mark.needs("jax")

_SMALL = ("--width", "4", "--z-dim", "8", "--batch-size", "8")
_IMAGES = ("--image-size", "16", *_SMALL)


def _program() -> Any:
    return importlib.import_module("gans_jax._elsewhere.program")


def _analyse(*words: str) -> Program:
    return _program().analyse(*parse_compile(words, "gans_jax.compile"))


def _main(*words: str) -> None:
    importlib.import_module("gans_jax.compile").main(words)


def _gradients(*words: str) -> Counter[int]:
    """Bytes of each message of gradients that a step has to send."""
    options, _ = parse_compile(words, "gans_jax.compile")
    config = options.config
    info = data_like(config, options.data_dir, None).info
    state = importlib.import_module("gans_jax").make_backend(config, info, "cpu").state
    leaves = importlib.import_module("jax").tree.leaves
    d, g = (
        4 * sum(x.size for x in leaves(network.params))
        for network in (state.discriminator, state.generator)
    )
    return Counter([d] * config.n_critic + [g])


@pytest.mark.parametrize(
    "words",
    [
        ("ring", *_SMALL),
        ("dcgan", *_IMAGES),
        ("wgan-gp", *_IMAGES, "--n-critic", "2"),
        ("cgan", *_IMAGES, "--precision", "bfloat16"),
    ],
    ids=lambda words: words[0],
)
def test_a_step_sends_each_updates_gradients_once(words: tuple[str, ...]) -> None:
    for target in ("tpu:2x2", "cuda:4"):
        program = _analyse(*words, "--for", target)
        sent = Counter(x.size for x in program.sent)
        gradients = _gradients(*words, "--for", target)
        assert gradients == {size: sent[size] for size in gradients}
        # The rest are means over the batch.
        assert (sent - gradients).total() > 0
        assert sum(x.size for x in program.sent) < 1.1 * sum(gradients.elements())


def test_each_slice_sends_its_means_and_the_last_gradients() -> None:
    words = ("ring", *_SMALL, "--for", "tpu:2x2")
    whole, sliced = _analyse(*words), _analyse(*words, "--accumulate", "2")
    assert (sliced.operations, sliced.traffic) == (None, None)
    gradients = _gradients(*words)
    means = Counter(x.size for x in whole.sent) - gradients
    means_of_slices = Counter(x.size for x in sliced.sent) - gradients
    assert means_of_slices == Counter({size: 2 * n for size, n in means.items()})
    assert means.total() > 0


def test_one_device_sends_nothing_and_computes_what_a_step_needs() -> None:
    words = ("dcgan", *_IMAGES)
    program = _analyse(*words, "--for", "tpu")
    assert program.sent == []
    assert (program.steps, program.seconds, program.memory) == (10, None, None)
    options, _ = parse_compile([*words, "--for", "tpu"], "x")
    needed = options.config.batch_size * step_flops(options.config, channels=1)
    # XLA leaves out products with padding, and counts norms and optimisers.
    assert program.operations is not None
    assert 0.75 * needed < program.operations < 1.1 * needed


def test_it_is_the_training_call_of_a_run() -> None:
    backend = importlib.import_module("gans_jax.backend")
    forms = importlib.import_module("gans_jax._convolutions")
    session = importlib.import_module("shared.training.session")
    program = _program()
    options, target = parse_compile(["cgan", *_IMAGES, "--for", "cuda"], "x")
    data = data_like(options.config, options.data_dir, None)
    here = backend.Backend(options.config, data.info, "cpu")
    there = program.Elsewhere(options.config, data.info, target)
    traced = []
    for each in (here, there):
        run = session.Session(options.config, data, each, "device")
        inputs = run.prepare(range(2)).inputs
        with each._settings(), forms.in_xlas_form():
            traced.append(each._train_steps.trace(each._leaves, *inputs).jaxpr)
    first, second = map(str, traced)
    assert first == second


def test_data_are_sent_as_rows() -> None:
    # A TPU would copy images in each call, to fill a pixel's channels up to 128.
    options, target = parse_compile(["dcgan-cifar10", *_IMAGES, "--for", "tpu"], "x")
    lowered, _ = _program().lower(options, target)
    assert "tensor<50000x768xui8>" in lowered.as_text()


def test_accelerators_convolve_in_xlas_form() -> None:
    options, target = parse_compile(["dcgan", *_IMAGES, "--for", "tpu"], "x")
    lowered, _ = _program().lower(options, target)
    text = lowered.as_text(dialect="hlo")
    assert text.count(" convolution(") > 20
    # The loop over steps; the forms of a CPU would have more, and products.
    assert text.count(" while(") == 1
    assert " dot(" not in text


@pytest.mark.parametrize(
    "words",
    [
        ("wgan-gp",),
        ("biggan",),
        ("sagan",),
        ("r3gan", "--conditional"),
        ("stylegan2", "--conditional"),
    ],
)
def test_convolutions_are_in_bfloat16_and_of_a_form_with_fast_kernels(
    words: tuple[str, ...],
) -> None:
    words = (*words, *_IMAGES, "--precision", "bfloat16", "--for", "cuda")
    options, target = parse_compile(words, "x")
    lowered, _ = _program().lower(options, target)
    lines = lowered.as_text(dialect="hlo").splitlines()
    convolutions = [line for line in lines if " convolution(" in line]
    assert len(convolutions) > 50
    assert all("= bf16[" in line for line in convolutions)
    # An image with zeros in between, under a window as large as itself: XLA's gradient
    # of a transposed convolution's kernel, which took half of DCGAN's step on an H100.
    windows = [re.search(r"window=\{size=(\d+)x(\d+)", line) for line in convolutions]
    sizes = {
        max(map(int, window.groups()))
        for window, line in zip(windows, convolutions, strict=True)
        if window and "lhs_dilate" in line
    }
    assert max(sizes, default=0) <= 4


def test_a_factor_behind_a_convolution_stays_float64() -> None:
    jax = importlib.import_module("jax")
    forms = importlib.import_module("gans_jax._convolutions")

    def loss(x: Any, kernel: Any) -> Any:
        y = forms.conv(x, 0.1 * kernel, stride=2, padding=1)
        return forms.conv_transpose(y, 0.1 * kernel, stride=2, padding=1).sum()

    with jax.enable_x64(True), forms.in_xlas_form():
        shapes = ((2, 8, 8, 3), (4, 4, 3, 5))
        arrays = [jax.ShapeDtypeStruct(shape, "float64") for shape in shapes]
        lowered = jax.jit(jax.grad(loss, (0, 1))).lower(*arrays)
    text = lowered.as_text(dialect="hlo")
    # A GPU would have it rounded to float32, were the two not kept apart.
    assert text.count(" opt-barrier(") == text.count(" convolution(") == 5


@pytest.mark.parametrize("dataset", ["digits", "ring"])
def test_data_are_of_the_shape_that_a_run_loads(dataset: str, tmp_path: Path) -> None:
    preset = {"digits": "dcgan"}.get(dataset, dataset)
    config = PRESETS[preset]
    like, real = data_like(config, tmp_path, None), datasets.load_for(config, tmp_path)
    assert like.images.shape == real.images.shape
    assert like.images.dtype == real.images.dtype
    assert (like.labels is None) == (real.labels is None)
    assert like.info._replace(sha256="") == real.info._replace(sha256="")


def test_channels_are_those_that_a_run_reads(tmp_path: Path) -> None:
    options, _ = parse_compile(
        ["dcgan-cifar10", "--channels", "grey", "--for", "tpu"], "x"
    )
    assert data_like(options.config, tmp_path, None).info.channels == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--for: say once for which accelerators, as in --for v5e:2x2"),
        (("--for", "tpu", "--for=cuda"), "--for: say once"),
        (("--for",), "--for : must be one of"),
        (
            ("--for", "v5e:2x2", "--devices", "4"),
            "--devices 4: --for says",
        ),
        (("--for", "tpu", "--device", "cpu"), "--device cpu: --for says"),
        (("--for", "tpu", "--steps", "x"), "--steps x: must be a whole number"),
        (("dgan", "--for", "tpu"), "preset 'dgan': must be one of"),
    ],
)
def test_a_mistake_is_one_line(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(2, lambda: _main(*words))
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert line.startswith(f"gans_jax.compile: error: {said}")
    assert output.out == ""


def test_what_does_not_fit_is_refused_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words, said in (
        (("--precision", "float64"), "--precision float64: on v5e must be one of"),
        (("--batch-size", "6"), "--batch-size 6: must be a multiple of the 4 devices"),
        (("--width", "65536"), "--width 65536: with "),
    ):
        stopped(2, lambda words=words: _main(*words, "--for", "tpu:2x2"))
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"gans_jax.compile: error: {said}")


def test_help_and_mistakes_import_no_framework() -> None:
    for words in (["--help"], ["--for", "v5e:2"]):
        code = (
            "import sys; from gans_jax import compile\n"
            f"try: compile.main({words})\n"
            "finally: print({'jax', 'flax', 'torch'} & set(sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert done.stdout.endswith("set()\n"), done.stderr
    assert "--for TARGET" not in done.stdout


def _hide_libtpu(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda x: None if x == "libtpu" else find(x)
    )


def test_a_missing_libtpu_is_one_line_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _hide_libtpu(monkeypatch)
    with pytest.raises(UsageError, match=r'needs libtpu.+"gans-twins\[tpu-compile\]"'):
        _analyse("ring", *_SMALL, "--for", "v5e:2x2")


class _Refused:
    """A training call that XLA does not compile."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def compile(self) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "RESOURCE_EXHAUSTED: E1000: Ran out of memory on HBM (66.00G).\nSee",
            r"--for v5e: does not fit: .+\(66.00G\).; try a smaller --batch-size",
        ),
        ("INTERNAL: no\nmore", "--for v5e: does not compile: INTERNAL: no$"),
    ],
)
def test_what_xla_does_not_compile_is_refused(
    words: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = _program()
    error = importlib.import_module("jax").errors.JaxRuntimeError(words)
    monkeypatch.setattr(program, "lower", lambda *_: (_Refused(error), 10))
    with pytest.raises(UsageError, match=said):
        _analyse("ring", "--for", "v5e")


def test_a_topology_that_libtpu_does_not_know_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = importlib.import_module("gans_jax._elsewhere.backend")
    error = importlib.import_module("jax").errors.JaxRuntimeError("not divisible")

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    monkeypatch.setattr(backend.topologies, "get_topology_desc", refuse)
    with pytest.raises(UsageError, match="--for v5e:3x3: libtpu has no such topology"):
        backend._topology(parse_target("v5e:3x3"))


@pytest.fixture
def libtpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler for TPUs, which ends a process at a flag that is XLA's for CPUs."""
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("libtpu is missing: the extra tpu-compile brings it")
    monkeypatch.delenv("XLA_FLAGS", raising=False)


_needs_libtpu = pytest.mark.usefixtures("libtpu")


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "gans_jax.compile", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@_needs_libtpu
@pytest.mark.parametrize("target", ["v5e", "v5e:2x2", "v5e:16x16", "v4:1x1x2"])
def test_a_program_compiles_and_sends_what_it_must(target: str) -> None:
    words = ("ring", "--width", "16", "--for", target)
    program = _analyse(*words)
    assert program.seconds is not None
    assert program.memory is not None
    assert program.traffic is not None
    assert 0 < sum(program.memory) < 2**30
    lowered = _analyse(*words[:-1], "cuda:" + str(parse_target(target).number))
    assert program.operations == pytest.approx(lowered.operations, rel=0.1)
    if parse_target(target).number == 1:
        assert program.sent == []
        return
    # The compiler joins messages; the gradients stay.
    gradients = sum(_gradients(*words).elements())
    assert gradients <= sum(x.size for x in program.sent) < 1.1 * gradients
    assert len(program.sent) <= len(lowered.sent)


@_needs_libtpu
def test_the_command_says_what_it_has_compiled() -> None:
    said = _command("ring", *_SMALL, "--for", "v6e:2x2").stdout
    assert said.startswith("ring                 for 4 x v6e: batch 8, 2 on each")
    assert "\ncompiles             in " in said


_every_preset = pytest.mark.parametrize(
    ("preset", "precision", "target"),
    list(itertools.product(PRESETS, ("bfloat16", "float32"), ("v5e", "v5e:2x2"))),
)
_R3GANS = ("r3gan-stacked-mnist", "r3gan-cifar10")
# What is more than the memory of one chip; R3GAN's in float32 than that of four.
_DO_NOT_FIT = {
    *itertools.product((*_R3GANS, "stylegan2-256"), ("bfloat16", "float32"), ("v5e",)),
    *itertools.product(_R3GANS, ("float32",), ("v5e:2x2",)),
}


def _words(preset: str, precision: str, target: str, folder: Path) -> list[str]:
    """A preset, with a batch that four chips can share, and with images to read."""
    words = [preset, "--precision", precision, "--for", target]
    config = PRESETS[preset]
    if config.batch_size % 4:
        words += ["--batch-size", str(config.batch_size // 4 * 4 + 4)]
    if config.dataset.startswith("folder:"):
        for grey in range(config.batch_size):
            Image.new("RGB", (8, 8), (grey, 0, 0)).save(folder / f"{grey}.png")
        words += ["--dataset", f"folder:{folder}"]
    return words


@_every_preset
def test_every_preset_gets_as_far_as_the_compiler(
    preset: str,
    precision: str,
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _hide_libtpu(monkeypatch)
    with pytest.raises(UsageError, match=f"^--for {target}: compiling .+ needs libtpu"):
        _analyse(*_words(preset, precision, target, tmp_path))


@_needs_libtpu
@pytest.mark.long
@_every_preset
def test_every_preset_compiles_or_does_not_fit(
    preset: str, precision: str, target: str, tmp_path: Path
) -> None:
    done = _command(*_words(preset, precision, target, tmp_path))
    if (preset, precision, target) in _DO_NOT_FIT:
        assert done.returncode == 2
        assert f": error: --for {target}: does not fit: " in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert "\ncompiles             in " in done.stdout
