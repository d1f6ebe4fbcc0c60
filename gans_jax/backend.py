"""The JAX side of `shared.backend.Backend`: device, precision, steps, arrays."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, P
from jax.sharding import Mesh, NamedSharding
from numpy.typing import NDArray

from gans_jax import (
    _processes,
    augmentation,
    distribution,
    models,
    optim,
    standing,
    steps,
)
from gans_jax import arrays as state_arrays
from gans_jax._network import Network
from gans_jax.classifier import Classifier
from gans_jax.distribution import AXIS
from shared.backend import Arithmetic, FeatureNetwork, Latents
from shared.config.choices import DataPlace
from shared.config.limits import check_batch, check_memory, check_precision
from shared.config.memory import initial_memory
from shared.config.schedules import Phases, Scalars, constants
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo, ImageData
from shared.data.placement import gather, stays_on_host
from shared.errors import UsageError
from shared.files.arrays import Arrays
from shared.randomness.draws import BATCH_AXES, Draws
from shared.sizes import ImageSize
from shared.statements import Stated
from shared.training import heartbeats
from shared.training.drawing_together import DrawsTogether
from shared.training.processes import processes
from shared.training.threads import processors

_ValueT = TypeVar("_ValueT")
_Leaves = list[Array]

_DRAWS_SPECS: Any = Draws._make(
    P(*[None] * BATCH_AXES[name], AXIS) if name in BATCH_AXES else P()
    for name in Draws._fields
)

# How many threads XLA has been started with, in this process.
_started: list[int] = []


class _Inputs(NamedTuple):
    """What a call of `Backend.train` consumes."""

    images: Array
    """Those that ``draws.indices`` number: all, or the batches of this call."""
    labels: Array | None
    draws: Any
    """As `Draws`, with arrays of the device."""


class Backend(DrawsTogether):
    """Networks, optimisers and arithmetic of one run, on this process's devices.

    Args:
        config: the run's configuration.
        data: channels and classes of its images.
        device: ``auto`` (an accelerator where there is one), ``cpu``, ``cuda``,
            ``cuda:N``, ``tpu`` or ``tpu:N``.
        arithmetic: threads, and whether a GPU is deterministic; None: the usual.

    Raises:
        UsageError: there is no such device, or it lacks the precision.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: DataInfo,
        device: str,
        arithmetic: Arithmetic | None = None,
    ) -> None:
        threads, deterministic, devices = arithmetic or Arithmetic()
        self._own_devices = devices = 1 if devices is None else devices
        self.threads = _start_threads(threads)
        self._processes = _processes.meet(devices)
        rank, count, _ = self._processes
        self.config = config
        self.devices = devices * count
        share = config.batch_size // count
        self.batch_slice = slice(rank * share, (rank + 1) * share)
        self._mesh, self.device = self._find_devices(device, devices)
        if count > 1:
            _processes.connect(self._mesh)
        check_memory(config, self._all_memory(), f"the device {self.device}")
        self._compiler_options = _compiler_options(deterministic, self.device.platform)
        self.steps_per_call = 1 if self.device.platform == "cpu" else 10
        self._matmul_precision = _find_matmul_precision(config, self.device.platform)
        self._dtype = jnp.dtype(config.dtype)
        # The data: either on the host, or as arrays on the device.
        self._data: ImageData | None = None
        self._images: Array | None = None
        self._labels: Array | None = None
        self._image_shape: tuple[int, ...] = ()
        with self._settings():
            generator = self._prepare(models.build_generator(config, data))
            discriminator = self._prepare(models.build_discriminator(config, data))
            optimizer = optim.build_optimizer(config)
            state = steps.TrainState(
                generator=generator,
                discriminator=discriminator,
                g_optimizer=optimizer.init(generator.params),
                d_optimizer=optimizer.init(discriminator.params),
                generator_ema=generator if config.has_ema else None,
                memory=_initial_memory(config),
            )
            # The state lives as a flat list, because passing a tree of modules to a
            # compiled function costs more Python than the call itself.
            self._leaves, self._tree = jax.tree.flatten(state)

    @property
    def state(self) -> steps.TrainState:
        """The training state, put together."""
        leaves = self._leaves
        if not self._is_one:  # all devices have the same
            leaves = [x.addressable_data(0) for x in leaves]
        return jax.tree.unflatten(self._tree, leaves)

    def statements(self) -> dict[str, Stated]:
        """What is stated of the arrays of both networks, by their names on file."""
        return state_arrays.network_statements(
            self.state.generator, "generator"
        ) | state_arrays.network_statements(self.state.discriminator, "discriminator")

    def load(self, arrays: Arrays) -> None:
        """Set the state; optimiser arrays left out start at zero, an EMA at G."""
        with self._settings():
            state = state_arrays.arrays_to_state(self.config, self.state, arrays)
            leaves = jax.tree.leaves(state)
            self._leaves = leaves if self._is_one else self._put(leaves, P())

    def arrays(self) -> Arrays:
        """A copy of the state, the inverse of `load`."""
        return state_arrays.state_to_arrays(self.config, self.state)

    def agree(self, value: _ValueT) -> _ValueT:
        """What the first of the run's processes says; all have to ask."""
        if self._processes.count == 1:
            return value
        return _processes.said_by_first(value)

    def highest(self, number: int) -> int:
        """The highest number that a process of the run says; all have to ask."""
        if self._processes.count == 1:
            return number
        return int(_processes.highest(np.asarray(number, np.int32)))

    def random_state(self) -> bytes:
        """State of JAX's own random numbers, of which a step takes none."""
        return b""  # there are none: a key is an argument

    def load_data(self, data: ImageData, place: DataPlace = "auto") -> None:
        """Keep the images as bytes; they are normalised on the device."""
        place_name = f"the device {self.device}"
        check_batch(self.config, self._all_memory(), place_name, self.devices)
        on_host = stays_on_host(data, place, self._free_memory())
        on_host = bool(self.highest(int(on_host)))  # their programs differ
        self._data = data if on_host else None
        self._image_shape = data.images.shape[1:]
        if on_host:
            return
        # An image as a row: where the last axis is its few channels, a TPU would make a
        # copy in each call, in which that axis is filled up to 128.
        rows = data.images.reshape(len(data.images), -1)
        with self._settings():
            self._send_data(rows, data.labels)

    def prepare(self, draws: Draws) -> _Inputs:
        """What `train` needs for these steps; depends on no state."""
        images, labels = self._images, self._labels
        if self._data is not None:
            data, draws = gather(self._data, draws, self._own_devices)
            images, labels = data.images, data.labels
        assert images is not None, "load_data comes first"
        with self._settings():
            if self._is_one:
                return _Inputs(*self._put((images, labels, draws), P()))
            images, labels = self._put((images, labels), self._data_spec)
            sent = map(self._put, draws, _DRAWS_SPECS)
            return _Inputs(images, labels, Draws(*sent))

    def train(self, inputs: _Inputs) -> Callable[[], Arrays]:
        """Run the steps that were prepared; returns before they have finished."""
        with self._settings(), heartbeats.waiting():
            self._leaves, metrics = self._train_steps(self._leaves, *inputs)
        return functools.partial(_read, metrics)

    def sample(
        self,
        z: NDArray[np.float32],
        labels: NDArray[np.int32] | None,
        training: bool = False,
    ) -> NDArray[np.float32]:
        """Images from G's average or G; changes no state."""
        with self._settings():
            draw = self._evaluate_in_training if training else self._evaluate
            images = draw(self._drawing, jnp.asarray(z, self._dtype), labels)
        return np.asarray(images, np.float32)

    def batch_statistics(
        self, z: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> Arrays:
        """What each batch norm of G's average or G sees of these samples."""
        ids = None if labels is None else jnp.asarray(labels)
        with self._settings():
            latents = jnp.asarray(z, self._dtype)
            return standing.batch_statistics(self._drawing, latents, ids)

    def _draw_part(
        self, batches: Sequence[Latents], training: bool
    ) -> list[NDArray[np.float32]]:
        """Draw so many batches at a time as there are devices."""
        # The last batch may be of another length. What is left is the first device's.
        size, count = len(batches[0][0]), self._mesh.size
        alike = sum(len(z) == size for z, _ in batches)
        whole = 0 if self._is_one else alike // count * count
        drawn: list[NDArray[np.float32]] = []
        for i in range(0, whole, count):
            drawn += self._sample_on_all(batches[i : i + count], training)
        left = () if self._processes.follows else batches[whole:]
        return [*drawn, *(self.sample(*batch, training) for batch in left)]

    def _sample_on_all(
        self, batches: Sequence[Latents], training: bool
    ) -> list[NDArray[np.float32]]:
        """A batch on each device; all of them to each process."""
        start = self._processes.rank * self._own_devices
        own = batches[start : start + self._own_devices]
        z = np.concatenate([z for z, _ in own])
        given = [labels for _, labels in own if labels is not None]
        labels = np.concatenate(given) if given else None
        with self._settings():
            generator = _drawing_of(jax.tree.unflatten(self._tree, self._leaves))
            draw = self._evaluate_on_all
            if training:
                draw = self._evaluate_in_training_on_all
            sent = self._put((jnp.asarray(z, self._dtype), labels), P(AXIS))
            images = draw(generator, *sent)
        with heartbeats.waiting():
            return np.split(np.asarray(images, np.float32), len(batches))

    def discriminate(
        self, images: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> NDArray[np.float32]:
        """D's outputs before any sigmoid, in evaluation mode."""
        with self._settings():
            outputs = self._evaluate(
                self.state.discriminator, jnp.asarray(images, self._dtype), labels
            )
        return np.asarray(outputs.logits, np.float32)

    def classifier(self, data: DataInfo, image_size: ImageSize) -> Classifier:
        """A classifier of such images, on this device; its weights are to be loaded."""
        return Classifier(
            data.channels,
            data.num_classes,
            image_size,
            self.device,
            compiler_options=self._compiler_options,
        )

    def inception(self) -> FeatureNetwork:
        """Inception v3, whose features are those of the standard FID.

        Raises:
            UsageError: it cannot be had, as in JAX, where no library has it.
        """
        raise UsageError(
            "--features inception: PyTorch has the network; gans_torch.evaluate takes"
            " the same runs and images"
        )

    @property
    def _drawing(self) -> Network:
        return _drawing_of(self.state)

    @functools.cached_property
    def _evaluate(self) -> Any:
        return jax.jit(lambda network, x, labels: network.evaluate(x, labels))

    @functools.cached_property
    def _evaluate_in_training(self) -> Any:
        return jax.jit(lambda network, x, labels: network(x, labels)[0])

    @functools.cached_property
    def _evaluate_on_all(self) -> Any:
        return self._on_all(self._evaluate)

    @functools.cached_property
    def _evaluate_in_training_on_all(self) -> Any:
        return self._on_all(self._evaluate_in_training)

    def _on_all(self, draw: Any) -> Any:
        """The same on all devices, each with its batch; all have all images."""

        def draw_and_gather(network: Network, z: Array, labels: Array | None) -> Array:
            return jax.lax.all_gather(draw(network, z, labels), AXIS, tiled=True)

        return jax.jit(
            jax.shard_map(
                draw_and_gather,
                mesh=self._mesh,
                in_specs=(P(), P(AXIS), P(AXIS)),
                out_specs=P(),
                check_vma=False,
            )
        )

    @functools.cached_property
    def _train_steps(self) -> Any:
        def train_steps(
            leaves: _Leaves, images: Array, labels: Array | None, draws: Draws
        ) -> tuple[_Leaves, dict[str, Array]]:
            def one_step(
                leaves: _Leaves, draws: Draws
            ) -> tuple[_Leaves, steps.Metrics]:
                state = jax.tree.unflatten(self._tree, leaves)
                state, metrics = self._train_step(state, images, labels, draws)
                return jax.tree.leaves(state), metrics

            count, local = self._mesh.size, self.config.local_batch_norm > 0
            with distribution.together(count, local):
                return jax.lax.scan(one_step, leaves, draws)

        return jax.jit(
            train_steps if self._is_one else self._over_devices(train_steps),
            donate_argnums=0,
            compiler_options=self._compiler_options,
        )

    def _over_devices(self, train_steps: Callable[..., Any]) -> Callable[..., Any]:
        """The same on all devices, each with its slice of every batch."""
        # Unchecked, a sum's derivative is a sum, as `distribution` has it.
        return jax.shard_map(
            train_steps,
            mesh=self._mesh,
            in_specs=(P(), self._data_spec, self._data_spec, _DRAWS_SPECS),
            out_specs=P(),
            check_vma=False,
        )

    @property
    def _data_spec(self) -> P:
        """All data are on each device; or each call's, where the host keeps them."""
        return P() if self._data is None else P(AXIS)

    @property
    def _is_one(self) -> bool:
        return self._mesh.size == 1

    def _train_step(
        self, state: steps.TrainState, images: Array, labels: Array | None, draws: Draws
    ) -> tuple[steps.TrainState, steps.Metrics]:
        n_critic = self.config.n_critic
        noise, records = draws.instance_noise, draws.augmentation
        return steps.train_step(
            self.config,
            state,
            [self._batch(images, labels, draws, k) for k in range(len(draws.z))],
            None if noise is None else self._float(noise[n_critic]),
            None if records is None else self._float(records[n_critic]),
            phases=Phases(
                update_d=jnp.asarray(draws.update_d),
                update_d_by_penalty=draws.update_d_by_penalty,
                update_g_by_paths=draws.update_g_by_paths,
            ),
            scalars=self._scalars(draws),
        )

    def _scalars(self, draws: Draws) -> Scalars:
        """Of a step: what its schedule says or, without one, the configuration."""
        drawn = {
            name: self._float(number)
            for name in Scalars._fields
            if (number := getattr(draws, name)) is not None
        }
        return constants(self.config)._replace(**drawn)

    def _batch(
        self, images: Array, labels: Array | None, draws: Draws, k: int
    ) -> steps.Batch:
        """Number ``k`` of a step; one of G's own has nothing that D's updates need."""
        indices = draws.indices[k]
        real = images[indices].reshape(-1, *self._image_shape).astype(self._dtype)
        if images.dtype == jnp.uint8:
            real = real / 127.5 - 1.0

        def at(field: Any) -> Any:
            if field is None or k == len(field):
                return None
            is_float = jnp.issubdtype(field.dtype, jnp.floating)
            return self._float(field[k]) if is_float else field[k]

        mirrored = at(draws.mirrored)
        if mirrored is not None:
            real = augmentation.mirror(real, mirrored)
        to = draws.directions
        return steps.Batch(
            real=real,
            labels=None if labels is None else labels[indices],
            z=at(draws.z),
            alpha=at(draws.alpha),
            penalty_noise=at(draws.penalty_noise),
            flips=at(draws.flips),
            instance_noise=at(draws.instance_noise),
            augmentation=at(draws.augmentation),
            noise_maps=at(draws.noise_maps),
            other_z=at(draws.other_z),
            mixed=at(draws.mixed),
            directions=None if to is None else self._float(to[0]),
        )

    def _prepare(self, module: Any) -> Network:
        network = Network.of(module, self.config.precision == "bfloat16")
        return network.astype(self._dtype)

    def _float(self, array: Any) -> Array:
        return jnp.asarray(array).astype(self._dtype)

    # From here on: all that needs the devices to be here, for `_elsewhere` to replace.

    def _find_devices(self, name: str, count: int) -> tuple[Mesh, jax.Device]:
        """All devices of the run, and the first of this process."""
        mesh = _find_mesh(name, count)
        return mesh, mesh.local_devices[0]

    def _send_data(
        self, images: NDArray[Any], labels: NDArray[np.int32] | None
    ) -> None:
        """Have all images on each device."""
        self._images = jnp.asarray(images)
        if labels is not None:
            self._labels = jnp.asarray(labels)
        if not self._is_one:
            self._images = self._put(self._images, P())
            self._labels = self._put(self._labels, P())

    def _put(self, tree: Any, spec: P) -> Any:
        if self._is_one:
            return jax.device_put(tree)
        sharding = NamedSharding(self._mesh, spec)
        if self._processes.count == 1:
            return jax.device_put(tree, sharding)

        def put(x: Any) -> Array:  # each process has its part of what is shared
            return jax.make_array_from_process_local_data(sharding, np.asarray(x))

        return jax.tree.map(put, tree)

    def _free_memory(self) -> int:
        """Bytes that are free on the device; 0: its memory is the host's."""
        memory = self.device.memory_stats() or {}
        return memory.get("bytes_limit", 0) - memory.get("bytes_in_use", 0)

    def _all_memory(self) -> int | None:
        """Bytes that the device has in all; None: its memory is the host's."""
        return (self.device.memory_stats() or {}).get("bytes_limit")

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        """This run's device and precision, for the calls made inside."""
        with (
            jax.enable_x64(self.config.precision == "float64"),
            jax.default_device(self.device),
            jax.default_matmul_precision(self._matmul_precision),
        ):
            yield


def _read(metrics: dict[str, Array]) -> Arrays:
    with heartbeats.waiting():
        return jax.device_get(metrics)


def _initial_memory(config: TrainConfig) -> dict[str, Array]:
    """As a run starts; whole numbers in 32 bits, whatever the precision."""
    return {
        name: jnp.asarray(x, jnp.int32 if x.dtype.kind == "i" else x.dtype)
        for name, x in initial_memory(config).items()
    }


def _drawing_of(state: steps.TrainState) -> Network:
    """What draws: G's average or, where there is none, G."""
    average = state.generator_ema
    return state.generator if average is None else average


def find_device(name: str) -> jax.Device:
    """The device of that name; of ``auto``, the best there is.

    Raises:
        UsageError: there is none.
    """
    if name == "auto":
        return jax.local_devices()[0]
    platform, _, index = name.partition(":")
    there = {
        f"{kind}:{number}": device
        for kind in ("cpu", "cuda", "tpu")
        for number, device in enumerate(_devices(kind))
    }
    found = there.get(f"{platform}:{index or 0}")
    if found is None:
        names = sorted({key.partition(":")[0] for key in there} | set(there))
        raise UsageError(
            f"--device {name}: no such device; JAX sees {', '.join(names)}"
        )
    return found


def _find_mesh(name: str, count: int) -> Mesh:
    """The device of that name, and those that follow it: so many of each process."""
    together = processes().count > 1
    if ":" in name and together:
        raise UsageError(
            f"--device {name}: each process has its own devices; use cuda, tpu or cpu"
        )
    first = find_device(name)
    there = _devices(first.platform)
    if count > 1 and ":" in name:
        raise UsageError(
            f"--device {name}: is a single one, --devices asks for {count}"
        )
    if count > len(there):
        hint = ""
        if first.platform == "cpu":
            hint = f"; the environment's JAX_NUM_CPU_DEVICES={count} makes as many"
        raise UsageError(
            f"--devices {count}: JAX sees {len(there)} {first.platform} devices{hint}"
        )
    found = [first] if ":" in name else there[:count]
    if together:  # the processes in the order of their ranks
        ranks = range(jax.process_count(first.platform))
        every = [jax.local_devices(rank, first.platform)[:count] for rank in ranks]
        found = [device for own in every for device in own]
    return Mesh(np.array(found), (AXIS,))


def _devices(platform: str) -> list[jax.Device]:
    """Those of this process."""
    try:
        return jax.local_devices(backend=platform)
    except RuntimeError:  # JAX's way of saying that there is no such platform
        return []


def _start_threads(threads: int | None) -> int:
    """Have XLA compute on so many threads of the CPU, and return how many it has.

    It reads the number once in a process, when its devices are first asked for.
    """
    if threads is not None and not _started:
        os.environ["NPROC"] = str(threads)
    if not _started:
        _started.append(int(os.environ.get("NPROC") or processors()))
    return _started[0]


def _compiler_options(deterministic: bool, platform: str) -> dict[str, Any]:
    """Have a GPU add up in one order; a CPU does, with as many threads."""
    if not deterministic or platform == "cpu":
        return {}
    return {"xla_gpu_deterministic_ops": True}


def _find_matmul_precision(config: TrainConfig, platform: str) -> str:
    check_precision(config, platform)
    return "tensorfloat32" if config.precision == "tf32" else "highest"
