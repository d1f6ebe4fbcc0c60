"""The training call of a run, for devices that are not here."""

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import P, export
from jax.experimental import topologies
from jax.sharding import (
    AbstractMesh,
    Mesh,
    NamedSharding,
    Sharding,
    SingleDeviceSharding,
)
from numpy.typing import NDArray

from gans_jax import _convolutions, backend
from gans_jax._elsewhere.target import Target
from gans_jax.distribution import AXIS
from shared.backend import Arithmetic
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.errors import UsageError

# What libtpu would otherwise ask the cloud for, and wait for the answer; and that it is
# not the only one on this machine, as it opens no device.
_ALONE = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
}
# A chip of two cores that are one device, as on a machine that has them.
_OPTIONS = {"v4": {"chip_config_name": "megacore"}}


class Elsewhere(backend.Backend):
    """A backend that computes nothing: what it sends to its devices are shapes.

    Everything else, and so the training call, is `Backend`'s.

    Args:
        config: the run's configuration.
        data: channels and classes of its images.
        target: the devices.

    Raises:
        UsageError: they cannot be compiled for here, or the run does not fit them.
    """

    def __init__(self, config: TrainConfig, data: DataInfo, target: Target) -> None:
        self._target = target
        super().__init__(config, data, target.text, Arithmetic(devices=target.number))

    def lower(self, inputs: Any) -> jax.stages.Lowered:
        """The training call in the compiler's language.

        Args:
            inputs: of `prepare`.

        Raises:
            UsageError: JAX has no lowering of it.
        """
        arguments = (self._put(self._leaves, P()), *inputs)
        with self._settings():
            if self._target.compiles:
                return self._train_steps.lower(*arguments)
            # Whether it may leave this process: `lower` takes what no other machine
            # could be given.
            platform = self._target.chip.platform
            export.export(self._train_steps, platforms=[platform])(*arguments)
            traced = self._train_steps.trace(*arguments)
            return traced.lower(lowering_platforms=(platform,))

    def _find_devices(self, name: str, count: int) -> tuple[Any, Any]:
        chip = self._target.chip
        if not self._target.compiles:
            # What JAX calls a device of CUDA.
            platform = "gpu" if chip.platform == "cuda" else chip.platform
            return AbstractMesh((count,), (AXIS,)), _Device(self._target.name, platform)
        mesh = Mesh(np.array(_topology(self._target)), (AXIS,))
        return mesh, _Device(self._target.name, chip.platform)

    def _all_memory(self) -> int:
        return self._target.chip.memory

    _free_memory = _all_memory

    def _send_data(
        self, images: NDArray[Any], labels: NDArray[np.int32] | None
    ) -> None:
        self._images, self._labels = self._put((images, labels), P())

    def _put(self, tree: Any, spec: P) -> Any:
        sharding = self._sharding(spec)

        def shape(x: Any) -> jax.ShapeDtypeStruct:
            dtype = jax.dtypes.canonicalize_dtype(x.dtype)
            return jax.ShapeDtypeStruct(x.shape, dtype, sharding=sharding)

        return jax.tree.map(shape, tree)

    def _sharding(self, spec: P) -> Sharding | None:
        if not self._is_one:
            return NamedSharding(self._mesh, spec)
        # As of an array that was put on a device; of a platform alone there is none.
        is_chip = self._target.compiles
        return SingleDeviceSharding(self._mesh.devices[0]) if is_chip else None

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        with (
            jax.enable_x64(self.config.precision == "float64"),
            # What is computed nevertheless, as the networks' first weights.
            jax.default_device(jax.devices("cpu")[0]),
            jax.default_matmul_precision(self._matmul_precision),
            _convolutions.in_xlas_form(),
        ):
            yield


class _Device(NamedTuple):
    """What `Backend` asks of a device."""

    name: str
    platform: str

    def __str__(self) -> str:
        return self.name


def _topology(target: Target) -> list[Any]:
    """The chips, as JAX's devices, which can be compiled for and nothing else.

    Raises:
        UsageError: libtpu is missing, or knows no such topology.
    """
    for name, value in _ALONE.items():
        os.environ.setdefault(name, value)
    if importlib.util.find_spec("libtpu") is None:
        raise UsageError(
            f"--for {target.text}: compiling for it needs libtpu, which"
            ' pip install "gans-twins[tpu-compile]" brings; --for tpu does without, and'
            " lowers only"
        )
    layout = "x".join(map(str, target.shape))
    options = _OPTIONS.get(target.name, {})
    try:
        found = topologies.get_topology_desc(
            f"{target.name}:{layout}", platform="tpu", **options
        )
    except jax.errors.JaxRuntimeError as error:
        raise UsageError(
            f"--for {target.text}: libtpu has no such topology: {error}"
        ) from error
    return list(found.devices)
