"""The PyTorch side of `shared.backend.Backend`: device, precision, steps, arrays."""

import contextlib
import copy
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gans_torch import (
    _processes,
    augmentation,
    distribution,
    models,
    optim,
    standing,
    steps,
)
from gans_torch import arrays as state_arrays
from gans_torch._graphs import CudaRecorder, StepGraphs, StepInputs
from gans_torch._modes import allow_tf32, check_bfloat16
from gans_torch.classifier import Classifier
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
from shared.randomness.draws import Draws
from shared.sizes import ImageSize
from shared.statements import Stated
from shared.training import heartbeats
from shared.training.drawing_together import DrawsTogether
from shared.training.processes import Processes

_NetworkT = TypeVar("_NetworkT", bound=torch.nn.Module)
_ValueT = TypeVar("_ValueT")

_HOST = torch.device("cpu")


class _Inputs(NamedTuple):
    """What a call of `Backend.train` consumes."""

    images: Tensor
    """Those that ``draws.indices`` number: all, or the batches of this call."""
    labels: Tensor | None
    draws: Any
    """As `Draws`, with tensors."""


class Backend(DrawsTogether):
    """Networks, optimisers and arithmetic of one run, on this process's devices.

    Args:
        config: the run's configuration.
        data: channels and classes of its images.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.
        arithmetic: threads, and whether a GPU is deterministic; None: the usual.

    Raises:
        UsageError: there is no such device, or it lacks the precision.
    """

    steps_per_call = 1

    def __init__(
        self,
        config: TrainConfig,
        data: DataInfo,
        device: str,
        arithmetic: Arithmetic | None = None,
    ) -> None:
        self._processes = _processes.meet((arithmetic or Arithmetic()).devices)
        rank, devices, _ = self._processes
        threads, deterministic, _ = self.agree(arithmetic or Arithmetic())
        self.config = config
        self.devices = devices
        share = config.batch_size // devices
        self.batch_slice = slice(rank * share, (rank + 1) * share)
        self.device = find_device(_own(device, self._processes))
        if devices > 1 and self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # what NCCL takes for its own
        check_memory(config, self._all_memory(), f"the device {self.device}")
        _set_matmul_precision(config, self.device)
        _set_determinism(deterministic, self.device)
        if threads is not None:
            torch.set_num_threads(threads)
        self.threads = torch.get_num_threads()
        self._dtype: torch.dtype = getattr(torch, config.dtype)
        # The data: either on the host, or as tensors on the device.
        self._data: ImageData | None = None
        self._images: Tensor | None = None
        self._labels: Tensor | None = None
        generator = self._prepare(models.build_generator(config, data))
        discriminator = self._prepare(models.build_discriminator(config, data))
        self.state = steps.TrainState(
            generator=generator,
            discriminator=discriminator,
            g_optimizer=optim.build_optimizer(config, generator),
            d_optimizer=optim.build_optimizer(config, discriminator),
            generator_ema=copy.deepcopy(generator) if config.has_ema else None,
            memory={
                name: torch.as_tensor(number, device=self.device)
                for name, number in initial_memory(config).items()
            },
        )
        # A recorded Adam reads its rate in float32, which float64 is not for.
        is_recorded = config.precision != "float64" and devices == 1
        self._graphs: StepGraphs | None = None
        if self.device.type == "cuda" and is_recorded:
            self._graphs = StepGraphs(self._step, CudaRecorder(self.device))

    def statements(self) -> dict[str, Stated]:
        """What is stated of the arrays of both networks, by their names on file."""
        return state_arrays.network_statements(
            self.state.generator, "generator"
        ) | state_arrays.network_statements(self.state.discriminator, "discriminator")

    def load(self, arrays: Arrays) -> None:
        """Set the state; optimiser arrays left out start at zero, an EMA at G."""
        state_arrays.arrays_to_state(self.config, self.state, arrays)
        if self._graphs is not None:
            self._graphs.clear()

    def arrays(self) -> Arrays:
        """A copy of the state, the inverse of `load`."""
        return state_arrays.state_to_arrays(self.config, self.state)

    def agree(self, value: _ValueT) -> _ValueT:
        """What the first of the run's processes says; all have to ask."""
        if self._processes.count == 1:
            return value
        values = [value]
        with heartbeats.waiting():
            torch.distributed.broadcast_object_list(values, src=0, device=_HOST)
        return values[0]

    def highest(self, number: int) -> int:
        """The highest number that a process of the run says; all have to ask."""
        if self._processes.count == 1:
            return number
        highest = torch.tensor(number)
        with heartbeats.waiting():
            torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX)
        return int(highest)

    def random_state(self) -> bytes:
        """State of PyTorch's own random numbers, of which a step takes none."""
        states = [torch.get_rng_state()]
        if self.device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self.device))
        return torch.cat(states).numpy().tobytes()

    def load_data(self, data: ImageData, place: DataPlace = "auto") -> None:
        """Keep the images as bytes; they are normalised on the device."""
        place_name = f"the device {self.device}"
        check_batch(self.config, self._all_memory(), place_name, self.devices)
        on_host = stays_on_host(data, place, self._free_memory())
        self._data = data if on_host else None
        if on_host:
            return
        with warnings.catch_warnings():
            # A map of a file is read-only; and nobody writes to it.
            warnings.simplefilter("ignore", UserWarning)
            self._images = torch.from_numpy(data.images).to(self.device)
        self._labels = self._long(data.labels)

    def prepare(self, draws: Draws) -> _Inputs:
        """What `train` needs for these steps; depends on no state."""
        images, labels = self._images, self._labels
        if self._data is not None:
            data, draws = gather(self._data, draws)
            images, labels = self._tensor(data.images), self._tensor(data.labels)
        assert images is not None, "load_data comes first"
        # What has no axis but the steps is for the host alone, unless it is recorded.
        tensors: list[Any] = [
            self._tensor(x) if x is not None and x.ndim > 1 else x for x in draws
        ]
        prepared = Draws(*tensors)
        if self._graphs is not None:
            scalars: dict[str, Any] = {
                name: self._tensor(getattr(draws, name)) for name in Scalars._fields
            }
            prepared = prepared._replace(**scalars)
        return _Inputs(images, labels, prepared)

    def train(self, inputs: _Inputs) -> Callable[[], Arrays]:
        """Run the steps that were prepared; returns before a GPU has finished."""
        inputs = self._send(inputs)
        history = [self._train_step(inputs, t) for t in range(len(inputs.draws.g_lr))]
        names = list(history[0])
        metrics = torch.stack(
            [torch.stack([m[name] for m in history]) for name in names]
        )
        # Under way at once: later, it would queue behind the next call's steps.
        on_host = metrics.to("cpu", non_blocking=True)
        done = self._mark()

        def read() -> Arrays:
            if done is not None:
                with heartbeats.waiting():
                    done.synchronize()
            return dict(zip(names, on_host.numpy(), strict=True))

        return read

    def sample(
        self,
        z: NDArray[np.float32],
        labels: NDArray[np.int32] | None,
        training: bool = False,
    ) -> NDArray[np.float32]:
        """Images from G's average or G; changes no state."""
        generator = self._drawing
        if training:  # a copy, whose running statistics may move
            generator = copy.deepcopy(generator)
        else:
            generator.eval()
        with torch.no_grad(), self._precision():
            images = generator(self._float(z), self._long(labels))
        generator.train()
        return images.permute(0, 2, 3, 1).float().cpu().numpy()

    def batch_statistics(
        self, z: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> Arrays:
        """What each batch norm of G's average or G sees of these samples."""
        with self._precision():
            return standing.batch_statistics(
                self._drawing, self._float(z), self._long(labels)
            )

    def _draw_part(
        self, batches: Sequence[Latents], training: bool
    ) -> list[NDArray[np.float32]]:
        """Draw each ``count``-th batch; the first process gets all of them."""
        rank, count, _ = self._processes
        own = [self.sample(*batch, training) for batch in batches[rank::count]]
        if count == 1:
            return own
        parts: list[Any] | None = None if rank else [None] * count
        with heartbeats.waiting():
            torch.distributed.gather_object(own, parts)
        drawn: list[Any] = [None] * len(batches)
        for first, part in enumerate(parts or []):
            drawn[first::count] = part
        return drawn

    def discriminate(
        self, images: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> NDArray[np.float32]:
        """D's outputs before any sigmoid, in evaluation mode."""
        discriminator = self.state.discriminator.eval()
        with torch.no_grad(), self._precision():
            outputs = discriminator(_to_nchw(self._float(images)), self._long(labels))
        discriminator.train()
        return outputs.logits.float().cpu().numpy()

    def classifier(self, data: DataInfo, image_size: ImageSize) -> Classifier:
        """A classifier of such images, on this device; its weights are to be loaded."""
        return Classifier(data.channels, data.num_classes, image_size, self.device)

    def inception(self) -> FeatureNetwork:
        """Inception v3, whose features are those of the standard FID.

        Raises:
            UsageError: it cannot be had, as in JAX, where no library has it.
        """
        # Imported when it is asked for: its library is optional.
        from gans_torch._inception import Inception

        return Inception(self.device)

    @property
    def _drawing(self) -> torch.nn.Module:
        average = self.state.generator_ema
        return self.state.generator if average is None else average

    def _train_step(self, inputs: _Inputs, t: int) -> steps.Metrics:
        draws = inputs.draws
        noise, records = draws.instance_noise, draws.augmentation
        n_critic = self.config.n_critic
        step_inputs = StepInputs(
            [self._batch(inputs, t, k) for k in range(len(draws.z[t]))],
            None if noise is None else _to_nchw(noise[t, n_critic]),
            None if records is None else records[t, n_critic],
            self._scalars(draws, t),
        )
        step = self._step if self._graphs is None else self._graphs
        return step(self._phases(draws, t), step_inputs)

    def _phases(self, draws: Any, t: int) -> Phases:
        """Which of a step's updates are made, for the host to decide."""

        def comes(field: NDArray[np.bool_] | None) -> bool:
            return field is not None and bool(field[t])

        return Phases(
            update_d=bool(draws.update_d[t]),
            update_d_by_penalty=comes(draws.update_d_by_penalty),
            update_g_by_paths=comes(draws.update_g_by_paths),
        )

    def _step(self, phases: Phases, inputs: StepInputs) -> steps.Metrics:
        batches, noise, records, scalars = inputs
        count, local = self._processes.count, self.config.local_batch_norm > 0
        with self._precision(), distribution.together(count, local):
            return steps.train_step(
                self.config,
                self.state,
                batches,
                noise,
                records,
                phases=phases,
                scalars=scalars,
            )

    def _scalars(self, draws: Any, t: int) -> Scalars:
        """Of a step: what its schedule says or, without one, the configuration."""
        drawn = {
            name: numbers[t]
            for name in Scalars._fields
            if (numbers := getattr(draws, name)) is not None
        }
        return constants(self.config)._replace(**drawn)

    def _batch(self, inputs: _Inputs, t: int, k: int) -> steps.Batch:
        """Number ``k`` of a step; one of G's own has nothing that D's updates need."""
        images, labels, draws = inputs
        indices = draws.indices[t, k]
        real = images[indices].to(self._dtype)
        if images.dtype == torch.uint8:
            real = real / 127.5 - 1.0
        real = _to_nchw(real)

        def at(field: Tensor | None) -> Any:
            if field is None or k == field.shape[1]:
                return None
            entry = field[t, k]
            return _to_nchw(entry) if entry.ndim >= 4 else entry

        mirrored = at(draws.mirrored)
        if mirrored is not None:
            real = augmentation.mirror(real, mirrored)
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
            directions=(
                None if draws.directions is None else _to_nchw(draws.directions[t, 0])
            ),
        )

    def _tensor(self, array: NDArray[Any] | None) -> Tensor | None:
        """On the host, but so that a GPU can fetch it without anybody waiting."""
        if array is None:
            return None
        tensor = torch.from_numpy(array)
        if tensor.dtype == torch.int32:
            tensor = tensor.long()
        elif tensor.is_floating_point():
            tensor = tensor.to(self._dtype)
        if self.device.type != "cuda":
            return tensor
        with torch.cuda.device(self.device):
            return tensor.pin_memory()

    def _send(self, inputs: _Inputs) -> _Inputs:
        def send(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            return x.to(self.device, non_blocking=True)

        images, labels, draws = inputs
        return _Inputs(send(images), send(labels), Draws(*map(send, draws)))

    def _mark(self) -> torch.cuda.Event | None:
        """Happens when the device has done what it was given so far; None: it has."""
        if self.device.type != "cuda":
            return None
        # A thread that waits for it sleeps, instead of spinning.
        event = torch.cuda.Event(blocking=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def _free_memory(self) -> int:
        """Bytes that are free on the device; 0: its memory is the host's."""
        if self.device.type != "cuda":
            return 0
        return torch.cuda.mem_get_info(self.device)[0]

    def _all_memory(self) -> int | None:
        """Bytes that the device has in all; None: its memory is the host's."""
        if self.device.type != "cuda":
            return None
        return torch.cuda.mem_get_info(self.device)[1]

    def _prepare(self, network: _NetworkT) -> _NetworkT:
        # channels_last is what both cuDNN and oneDNN compute in.
        network.to(self.device, self._dtype).to(memory_format=torch.channels_last)
        return network.train()

    def _precision(self) -> contextlib.AbstractContextManager[object]:
        if self.config.precision == "bfloat16":
            # Weights that were cast before an update must not serve after it.
            return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)
        return contextlib.nullcontext()

    def _float(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(array).to(self.device, self._dtype, non_blocking=True)

    def _long(self, array: NDArray[np.int32] | None) -> Tensor | None:
        if array is None:
            return None
        return torch.from_numpy(array).to(self.device, torch.int64, non_blocking=True)


def _to_nchw(images: Tensor) -> Tensor:
    return images.movedim(-1, -3)


def find_device(name: str) -> torch.device:
    """The device of that name; of ``auto``, the best there is.

    Raises:
        UsageError: there is none.
    """
    there = ["cpu"]
    if torch.cuda.is_available():
        there += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name == "auto":
        return torch.device("cuda" if len(there) > 1 else "cpu")
    if name not in there:
        raise UsageError(
            f"--device {name}: no such device; PyTorch sees {', '.join(there)}"
        )
    return torch.device(name)


def _own(device: str, processes: Processes) -> str:
    """The device of this process, of those that all have been given the name of."""
    if processes.count == 1 or device == "cpu":
        return device
    if device not in ("auto", "cuda"):
        raise UsageError(
            f"--device {device}: each process has a device of its own; use cuda or cpu"
        )
    if device == "auto" and not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{processes.local_rank}"


def _set_matmul_precision(config: TrainConfig, device: torch.device) -> None:
    check_precision(config, device.type)
    if device.type == "cuda":
        allow_tf32(config.precision == "tf32")
    elif config.precision == "bfloat16":
        check_bfloat16()


def _set_determinism(deterministic: bool, device: torch.device) -> None:
    """Have a GPU add up in one order; a CPU does, with as many threads."""
    if device.type != "cuda":
        return
    if deterministic:  # cuBLAS reads it when it is first used
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
