"""The twins read alike: files, names, parameters, defaults, annotations, docstrings."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest
import torch

import gans_jax
import gans_jax.layers
import gans_torch
from parity_tests.harness.surface import code, drift

TORCH, JAX = (Path(twin.__path__[0]) for twin in (gans_torch, gans_jax))

# What the twins may differ in, by module and member: a text of PyTorch's, and what
# stands for it in JAX. Whatever is not written here fails, as does what is not needed.
_STATE_IN = ("state: changed in place.", "state: not changed.")
_STATE_OUT = ("-> Metrics", "-> tuple[TrainState, Metrics]")
DIFFERENCES: dict[str, list[tuple[str, str]]] = {
    # Only JAX's arrays have to be renamed and transposed.
    "arrays": [
        (
            "here the arrays are merely collected.",
            "here the arrays' axes are permuted.",
        )
    ],
    # In JAX a network is a value, `Network`: what PyTorch changes, JAX returns.
    "arrays.network_statements": [("network: Module", "network: Network")],
    "arrays.network_to_arrays": [("network: Module", "network: Network")],
    "arrays.arrays_to_network": [
        ("network: Module", "network: Network"),
        ("-> None", "-> Network"),
        (
            "Set a network's parameters and buffers,",
            "The network with its parameters and buffers set,",
        ),
    ],
    "arrays.arrays_to_state": [("-> None", "-> TrainState")],
    "orthogonality.overlap": [("network: Module", "network: Network")],
    "standing.batch_statistics": [("generator: Module", "generator: Network")],
    "steps": [
        (
            "leads here.",
            "leads here. A `Network`, when\ncalled, returns its output and"
            " itself with new running statistics.",
        )
    ],
    "steps.TrainState.generator": [("Module", "Network")],
    "steps.TrainState.discriminator": [("Module", "Network")],
    "steps.TrainState.generator_ema": [("Module", "Network")],
    "steps.train_step": [
        _STATE_IN,
        _STATE_OUT,
        ("Metrics of the step;", "The new state, and metrics of the step;"),
    ],
    "steps.discriminator_step": [_STATE_IN, _STATE_OUT],
    "steps.penalty_step": [_STATE_IN, ("-> None", "-> TrainState")],
    "steps.path_step": [
        ("changed in place;", "not changed;"),
        ("-> None", "-> TrainState"),
    ],
    # The graph of G's forward pass is part of a tensor, but a value of its own in JAX.
    "steps.generator_step": [
        _STATE_IN,
        _STATE_OUT,
        ("fake: Images | None,", "fake: Images | None, pull_back: Any,"),
        (
            "training mode, with their graph; None: each slice\nmakes its own.",
            "training mode; None: each slice makes its own.\n"
            "pull_back: from a gradient of ``fake`` to that of G's parameters;"
            " Framework's\n``fake`` carries it as its graph.",
        ),
    ],
    "steps.discriminate": [
        ("discriminator: Module", "discriminator: Network"),
        ("-> Outputs", "-> tuple[Outputs, Network]"),
    ],
    # An optimiser of PyTorch owns its parameters; one of Optax is a pair of functions.
    "steps.TrainState.g_optimizer": [("torch.optim.Optimizer", "optax.OptState")],
    "steps.TrainState.d_optimizer": [("torch.optim.Optimizer", "optax.OptState")],
    "optim.build_optimizer": [
        (
            ", network: Module",
            ", beta2: float | Float[Array, ''] | None=None, lazy_factor: float=1.0",
        ),
        ("torch.optim.Optimizer", "optax.GradientTransformation"),
        (
            "network: whose parameters it changes.",
            "beta2: Adam's at this step; None: as configured.\n"
            "lazy_factor: what the betas are raised to, `lazy_factor`.",
        ),
    ],
    "optim.update": [
        (
            "network: Module, optimizer: torch.optim.Optimizer, lr: float | Float",
            "params: Any, gradient: Any, optimizer: optax.OptState, lr: Float",
        ),
        ("-> Float[Array, '']", "-> tuple[Any, optax.OptState, Float[Array, '']]"),
        (
            "network: changed in place; its gradients have been computed.\n"
            "optimizer: that of the network.",
            "params: of the network; not changed.\ngradient: by each of them.\n"
            "optimizer: that of the network; not changed.",
        ),
        ("The gradient's", "Parameters and optimiser, and the gradient's"),
    ],
    # PyTorch has a gradient with each parameter, JAX a tree of all.
    "distribution.average_gradients": [
        ("gradients: list[Array]", "gradients: Any"),
        ("-> list[Array]", "-> Any"),
        ("The same tensors, changed in place.", "As they came, averaged."),
    ],
    # The devices that there are.
    "backend.Backend": [
        ("a GPU where there is one", "an accelerator where there is one"),
        (
            "``cpu``, ``cuda`` or ``cuda:N``.",
            "``cpu``, ``cuda``,\n``cuda:N``, ``tpu`` or ``tpu:N``.",
        ),
    ],
    "backend.find_device": [("torch.device", "jax.Device")],
    "backend.Backend.train": [("a GPU has finished", "they have finished")],
    # PyTorch is deterministic as a whole, of JAX each function that is compiled.
    "classifier.Classifier": [
        (
            "or ``float64``.",
            "or ``float64``.\ncompiler_options: XLA's; None: the usual.",
        )
    ],
    "classifier.Classifier.__init__": [
        ("torch.device", "jax.Device"),
        ("='float32'", "='float32', compiler_options: dict[str, Any] | None=None"),
    ],
    # As torch.nn calls it.
    "equalized.EqualConv2d.__call__": [("input: ", "x: ")],
    "equalized.EqualLinear.__call__": [("input: ", "x: ")],
    # Images are NCHW, or NHWC.
    "models.mlp.MlpDiscriminator.__call__": [("[batch, 2, 1, 1]", "[batch, 1, 1, 2]")],
}
# What one twin alone has.
ALONE = {
    "formats.OPSET": "PyTorch writes ONNX",
    "formats.PLATFORMS": "JAX writes StableHLO",
    "layers": "most of PyTorch's are torch.nn's: their introductions differ",
    "layers.reparametrise": "annotated by JAX's own layers, by torch.nn.Module",
    "backend.Backend.steps_per_call": "JAX sets it by the device, on construction",
    "optim.FIELDS": "optax has names of its own for what an optimiser keeps",
    "distribution.AXIS": "JAX calls the devices by a name",
    "backend.Backend.state": "JAX keeps it as a list of arrays, and puts it together",
}


def _files(folder: Path) -> dict[str, Path]:
    """The public modules of a twin, by name."""
    return {
        ".".join(path.relative_to(folder).with_suffix("").parts): path
        for path in sorted(folder.rglob("*.py"))
        if not any(
            re.match(r"_(?!_init__)", part) for part in path.relative_to(folder).parts
        )
    }


def _name(module: str, member: str) -> str:
    return f"{module}.{member}" if member else module


def _from_torch_nn(path: Path) -> set[str]:
    """Names that a module takes from torch.nn, some of them with a faster `forward`."""
    return {
        alias.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ImportFrom) and node.module == "gans_torch._nn"
        for alias in node.names
    }


def _drifts() -> dict[str, tuple[str, str]]:
    others = _files(JAX)
    return {
        _name(module, member): texts
        for module, path in _files(TORCH).items()
        for member, texts in drift(path.read_text(), others[module].read_text()).items()
        if member.partition(".")[0] not in _from_torch_nn(path)
    }


def test_the_twins_have_the_same_files() -> None:
    # PyTorch compiles for no device that it does not find.
    assert _files(TORCH).keys() == _files(JAX).keys() - {"compile"}


def test_the_twins_have_the_same_surface() -> None:
    unexpected = []
    for name, (first, second) in _drifts().items():
        expected = first
        for old, new in DIFFERENCES.get(name, []):
            expected = expected.replace(old, new)
        if expected != second and name not in ALONE:
            unexpected.append(
                f"{name}\n--- gans_torch\n{first}\n--- gans_jax\n{second}"
            )
    assert not unexpected, "\n\n".join(unexpected)


def test_every_permitted_difference_is_there() -> None:
    drifts = _drifts()
    assert DIFFERENCES.keys() | ALONE.keys() <= drifts.keys()
    for name, pairs in DIFFERENCES.items():
        for old, new in pairs:
            assert old in drifts[name][0], f"{name}: {old!r} is gone"
            assert new in drifts[name][1], f"{name}: {new!r} is gone"


@pytest.mark.parametrize("name", sorted(_from_torch_nn(TORCH / "layers.py")))
def test_layers_of_torch_nn_have_the_same_parameters(name: str) -> None:
    """JAX has some of them, in the same order, with the same defaults."""

    def parameters(layer: type) -> dict[str, object]:
        return {
            key: parameter.default
            for key, parameter in inspect.signature(layer.__init__).parameters.items()
        }

    ours = parameters(getattr(gans_jax.layers, name))
    theirs = parameters(getattr(torch.nn, name))
    assert ours
    assert list(ours.items()) == [(key, theirs[key]) for key in theirs if key in ours]


@pytest.mark.parametrize("name", ["terms"])
def test_what_networks_minimise_is_written_in_the_same_lines(name: str) -> None:
    """The modules that are the same code, line for line, but for the words."""
    first, second = (code(_files(twin)[name].read_text()) for twin in (TORCH, JAX))
    assert first.splitlines() == second.splitlines()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("total + penalty_weight", "total - penalty_weight"),
        ("real_target * (~real)", "real_target * real"),
        ("    d_loss = ", "    x = 1\n    d_loss = "),
        ("jax.nn.sigmoid", "jax.nn.softplus"),
    ],
)
def test_a_line_that_differs_is_noticed(old: str, new: str) -> None:
    source = _files(JAX)["terms"].read_text()
    assert source.count(old) == 1
    assert code(source.replace(old, new)) != code(_files(TORCH)["terms"].read_text())


def _commands() -> list[str]:
    """Modules that are called from the command line."""
    return [
        name for name, path in _files(TORCH).items() if "\nPROG = " in path.read_text()
    ]


def _help(module: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as done:
        importlib.import_module(module).main(["--help"])
    assert done.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", _commands())
def test_help_texts_are_the_same(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    first = _help(f"gans_torch.{command}", capsys)
    second = _help(f"gans_jax.{command}", capsys)
    assert f"gans_torch.{command}" in first
    assert first.replace("gans_torch", "gans_jax") == second
    assert second.count("gans_jax") == 1


def test_there_are_commands_to_compare() -> None:
    assert {"train", "sample"} <= set(_commands())


# Two toy modules, to see that the detector itself notices.
TOY = '''"""Losses."""
import torch
from torch import Tensor

LIMIT = 3.0

class Pair(NamedTuple):
    """Two numbers."""

    first: Float[Tensor, ""]
    """The first."""
    second: int = 2

class Layer(nn.Module):
    """A layer.

    Args:
        size: its size.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Tensor:
        """Apply the layer, as PyTorch does."""
        return torch.relu(x)

def loss(logits: Float[Tensor, " batch"], target: float = 1.0) -> Float[Tensor, ""]:
    """The mean."""
    return (logits - target).mean()

def other(logits: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Another one."""
    return _private(logits)

def _private(x):
    return x.sum()
'''
TOY_TWIN = (
    TOY.replace("from torch import Tensor", "from jax import Array")
    .replace("import torch\n", "import jax\nimport jax.numpy as jnp\n")
    .replace("Tensor", "Array")
    .replace("nn.Module", "nnx.Module")
    .replace("        super().__init__()\n", "")
    .replace("forward", "__call__")
    .replace("batch channels height width", "batch height width channels")
    .replace("PyTorch", "JAX")
    .replace("torch.relu", "jax.nn.relu")
    .replace("_private", "_hidden")
)


def test_toy_twins_read_alike() -> None:
    assert TOY != TOY_TWIN
    assert drift(TOY, TOY_TWIN) == {}


@pytest.mark.parametrize(
    ("member", "old", "new"),
    [
        ("", '"""Losses."""', '"""Penalties."""'),
        ("LIMIT", "LIMIT = 3.0", "LIMIT = 4.0"),
        ("LIMIT", "LIMIT = 3.0\n", ""),
        ("Pair", "class Pair(NamedTuple)", "class Pair"),
        ("Pair", "Two numbers", "Three numbers"),
        ("Pair.first", "The first", "The last"),
        ("Pair.first", 'first: Float[Array, ""]', "first: float"),
        ("Pair.second", "second: int = 2", "second: int = 3"),
        ("Pair.third", "second: int = 2", "second: int = 2\n    third: int = 2"),
        ("Layer", "size: its size", "size: what size"),
        ("Layer.__init__", "self, size: int)", "self, size: int, rngs: nnx.Rngs)"),
        ("Layer.__init__", "size: int)", "size: int = 1)"),
        ("Layer.__call__", "Apply the", "Run the"),
        ("Layer.__call__", '"batch height width channels"', '"batch height width"'),
        ("Layer.__call__", "def __call__", "def call"),
        ("loss", "def loss", "def a_loss"),
        ("loss", "target: float = 1.0", "target: float = 0.0"),
        ("loss", "target: float = 1.0", "target: float"),
        ("loss", "target: float = 1.0", "*, target: float = 1.0"),
        ("loss", "target: float = 1.0", "aim: float = 1.0"),
        ("loss", 'logits: Float[Array, " batch"], t', 'logits: Float[Array, " n"], t'),
        ("loss", '-> Float[Array, ""]:\n    """The', '-> float:\n    """The'),
        ("loss", "The mean", "The sum"),
        ("order", "LIMIT = 3.0\n\nclass Pair", "class Pair"),
    ],
)  # fmt: skip
def test_drift_is_noticed(member: str, old: str, new: str) -> None:
    assert TOY_TWIN.count(old) == 1
    changed = TOY_TWIN.replace(old, new)
    if member == "order":
        changed += "\nLIMIT = 3.0\n"
    assert member in drift(TOY, changed)
    assert member in drift(changed, TOY)


def test_only_what_is_exported_counts() -> None:
    exported = '__all__ = ["loss"]\n' + TOY
    assert set(drift(exported, exported + "\ndef helper() -> None: ...\n")) == set()
    twin = exported.replace('["loss"]', '["loss", "other"]')
    assert {"__all__", "other"} <= set(drift(exported, twin))
