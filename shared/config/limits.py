"""What is out of bounds, refused in a line before data are read or a device is asked.

The memory and the time that a configuration takes at least: every estimate is far below
what is really taken, so that nothing is refused that works. And other bounds that need
no data: numbers of threads and of devices, TF32, labels to train by, truncation.
"""

import math
import os

from shared import sizes
from shared.config.choices import POINTS, SLOTS
from shared.config.flags import flag, refuse, spelled
from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES, PENALTIES
from shared.errors import UsageError

# Of latents that are cut off nearer to 0, almost all would be drawn in vain.
LEAST_TRUNCATION = 0.05

# More than any device has: what takes more is refused before the device is looked at.
_MOST_BYTES = 2**42
_ANYWHERE = (_MOST_BYTES, "no device")
# No framework makes an update of D in less.
_UPDATE_SECONDS = 1e-5
_STEP_SECONDS = 3600.0
_MOST_THREADS = 1024


def check_limits(config: TrainConfig, device: str) -> None:
    """Refuse a run that no memory could hold, or one of whose steps would take hours.

    Takes no time, and so comes before anything is read, imported or fetched.

    Args:
        config: the run's configuration.
        device: its name; of ``auto`` only the device itself can tell its memory.

    Raises:
        UsageError: it is too large.
    """
    seconds = config.n_critic * _UPDATE_SECONDS
    if seconds > _STEP_SECONDS:
        raise refuse(
            "n_critic",
            config.n_critic,
            f"a single step would take {seconds / 3600:.3g} hours at least, at"
            f" {1 / _UPDATE_SECONDS:.0e} updates of D in a second",
        )
    draws = "the random numbers of one step take"
    _check(config, _draws(config), _host_memory(), draws, "this machine")
    memory, place = (None, "this machine") if device == "cpu" else _ANYWHERE
    check_memory(config, memory, place)
    check_batch(config, memory, place)


def check_threads(threads: int | None) -> None:
    """Refuse a number of threads that no library starts.

    Raises:
        UsageError: it is out of range.
    """
    if threads is not None and not 1 <= threads <= _MOST_THREADS:
        raise refuse("threads", threads, f"must be from 1 to {_MOST_THREADS}")


def check_labels(config: TrainConfig, num_classes: int, data: str) -> None:
    """Refuse to train by class on data without classes.

    Args:
        config: the run's configuration.
        num_classes: of the data.
        data: what an error calls them.

    Raises:
        UsageError: there are fewer classes than two.
    """
    if config.conditional and num_classes < 2:
        raise UsageError(
            f"--conditional: needs labels of two classes or more, which {data} does not"
            " have"
        )


def check_device_count(devices: int | None) -> None:
    """Refuse a number of devices that is none.

    Raises:
        UsageError: it is not positive.
    """
    if devices is not None and devices < 1:
        raise refuse("devices", devices, "must be 1 or more")


def check_devices(config: TrainConfig, devices: int) -> None:
    """Refuse batches that so many devices cannot share alike.

    Args:
        config: the run's configuration.
        devices: that share each batch.

    Raises:
        UsageError: they do not divide the batch, or its norms are of other devices.
    """
    check_device_count(devices)
    if config.local_batch_norm not in (0, devices):
        raise refuse(
            "local_batch_norm",
            config.local_batch_norm,
            f"norms are those of so many devices, and --devices {devices} compute",
        )
    size, slices = config.batch_size, config.accumulate
    unit = devices * slices
    if size % unit:
        below = size - size % unit
        near = f"the nearest are {below} and {below + unit}"
        if not below:
            near = f"the nearest is {unit}"
        times = f" times --accumulate {slices}" if slices > 1 else ""
        raise refuse(
            "batch_size",
            size,
            f"must be a multiple of the {devices} devices{times}; {near}",
        )


def check_precision(config: TrainConfig, device: str) -> None:
    """Refuse a precision that a device does not have.

    Args:
        config: the run's configuration.
        device: its kind, as the framework calls it.

    Raises:
        UsageError: it has no TF32.
    """
    if config.precision == "tf32" and device in ("cpu", "tpu"):
        rule = f"needs an NVIDIA GPU, the device is {device}; use float32"
        raise refuse("precision", config.precision, rule)


def check_memory(config: TrainConfig, memory: int | None, place: str) -> None:
    """Refuse networks that no memory of a device could hold.

    Args:
        config: the run's configuration.
        memory: bytes that the device has in all; None: it has the host's.
        place: what an error calls it.

    Raises:
        UsageError: they take more than there is.
    """
    networks = "networks and optimisers take"
    _check(config, _networks(config), memory or _host_memory(), networks, place)


def check_batch(
    config: TrainConfig, memory: int | None, place: str, devices: int = 1
) -> None:
    """Refuse to train on batches that no memory of a device could hold.

    Drawing needs none of them, so that it may work where training does not.

    Args:
        config: the run's configuration.
        memory: bytes that the device has in all; None: it has the host's.
        place: what an error calls it.
        devices: that share each batch.

    Raises:
        UsageError: they take more than there is.
    """
    maps = "D's feature maps of one batch take"
    at_once = _maps(config) // (devices * config.accumulate)
    _check(config, at_once, memory or _host_memory(), maps, place)


def truncation_rule(config: TrainConfig, truncation: float | None) -> str | None:
    """What a truncation must be; None where it is that.

    Latents that are cut off near 0 would almost all be drawn in vain. Styles may go all
    the way to their average.

    Args:
        config: of the run that draws.
        truncation: what was asked for; None: nothing.
    """
    has_styles = ARCHITECTURES[config.architecture].has_styles
    least = 0.0 if has_styles else LEAST_TRUNCATION
    if truncation is None or least <= truncation < math.inf:
        return None
    return f"must be {least} or more, and finite"


def check_drawn(num: int, config: TrainConfig, argument: str = "--num") -> None:
    """Refuse to draw more samples at once than memory could hold.

    Args:
        num: how many.
        config: of the run that draws them.
        argument: what says how many.

    Raises:
        UsageError: they take more than there is.
    """
    # Of an image a byte for each pixel, as it may be grey; of a point two floats.
    is_point = config.dataset in POINTS
    drawn = 8 if is_point else sizes.pixels(config.image_size)
    taken = num * (4 * config.z_dim + drawn)
    if taken > _host_memory():
        raise UsageError(
            f"{argument} {num}: so many samples take {_shown(taken)} at least, and this"
            f" machine has {_shown(_host_memory())}"
        )


def _check(config: TrainConfig, taken: int, memory: int, what: str, place: str) -> None:
    if taken <= memory:
        return
    # Named first is what is furthest from the usual.
    usual = TrainConfig()
    field, *names = sorted(
        ("width", "image_size", "z_dim", "batch_size", "n_critic"),
        key=lambda name: _number(usual, name) / _number(config, name),
    )
    others = [f"{flag(name)} {spelled(name, getattr(config, name))}" for name in names]
    has = "has more than" if place == "no device" else "has"
    raise refuse(
        field,
        getattr(config, field),
        f"with {', '.join(others)} {what} {_shown(taken)} at least, and {place} {has}"
        f" {_shown(memory)}",
    )


def _number(config: TrainConfig, name: str) -> float:
    """A setting's value; of the image size, the edge of a square of as many pixels."""
    value = getattr(config, name)
    return math.sqrt(sizes.pixels(value)) if name == "image_size" else value


def _networks(config: TrainConfig) -> int:
    """Bytes of weights, and of what the optimisers keep of them."""
    weights = ARCHITECTURES[config.architecture].least_weights
    if weights is None:
        return 0
    number = weights(config.width, config.image_size, config.z_dim)
    number += config.width * config.minibatch_discrimination
    kept = 1 + len(SLOTS[config.optimizer])  # and each weight itself
    return number * kept * (8 if config.dtype == "float64" else 4)


def _maps(config: TrainConfig) -> int:
    """Bytes of D's feature maps, which the backward pass needs."""
    features = ARCHITECTURES[config.architecture].least_features
    if features is None:
        return 0
    # Two bytes each, as in bfloat16.
    return 2 * config.batch_size * features(config.width, config.image_size)


def _draws(config: TrainConfig) -> int:
    """Bytes of the random numbers of a step."""
    pixels = sizes.pixels(config.image_size)
    each = config.z_dim
    each += ARCHITECTURES[config.architecture].noise_numbers(config.image_size)
    if "penalty_noise" in PENALTIES[config.penalty].inputs:
        each += pixels
    if config.instance_noise:
        each += 2 * pixels
    return 4 * config.n_critic * config.batch_size * each


def _host_memory() -> int:
    """Bytes of memory and swap; where nobody can tell, more than any host has."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return _MOST_BYTES
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123
            swap = next(line for line in file if line.startswith("SwapTotal:"))
        return memory + 1024 * int(swap.split()[1])
    except (OSError, StopIteration, ValueError):
        return memory


def _shown(number: int) -> str:
    """Bytes, as people write them: 23.4 GiB."""
    units = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    power = min(int(math.log2(max(number, 1)) // 10), len(units) - 1)
    return f"{number / 1024**power:.3g} {units[power]}"
