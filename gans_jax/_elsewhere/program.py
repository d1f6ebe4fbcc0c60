"""From a run's options to what is known of its training call."""

import time
from typing import Any

import jax

from gans_jax._elsewhere.backend import Elsewhere
from gans_jax._elsewhere.collectives import copied_once, messages
from gans_jax._elsewhere.data import data_like
from gans_jax._elsewhere.report import Memory, Program
from gans_jax._elsewhere.target import Target
from shared.config.flags import refuse
from shared.config.limits import check_devices
from shared.config.run_options import TrainOptions
from shared.errors import UsageError
from shared.training import driver
from shared.training.session import Session


def lower(options: TrainOptions, target: Target) -> tuple[jax.stages.Lowered, int]:
    """The training call that ``train`` would run, and how many steps it has.

    Args:
        options: of ``train``.
        target: the devices.

    Raises:
        UsageError: the configuration fits neither its data nor the devices.
    """
    config = options.config
    if config.precision not in target.chip.peaks:
        raise refuse(
            "precision",
            config.precision,
            f"on {target.name} must be one of {', '.join(target.chip.peaks)}",
        )
    data = data_like(config, options.data_dir, options.cache_dir)
    driver.check_data(config, data.info)
    check_devices(config, target.number)
    backend = Elsewhere(config, data.info, target)
    session = Session(config, data, backend, options.data_on)
    steps = session.steps_per_call
    return backend.lower(session.prepare(range(steps)).inputs), steps


def analyse(options: TrainOptions, target: Target) -> Program:
    """What is known of the training call, compiled where that can be done.

    Args:
        options: of ``train``.
        target: the devices.

    Raises:
        UsageError: as `lower` does, or the program does not fit the device.
    """
    lowered, steps = lower(options, target)
    # XLA counts one round of any loop: rightly of steps, too little of slices.
    is_counted = options.config.accumulate == 1
    if not target.compiles:
        sent = messages(lowered.as_text(dialect="hlo"))
        return Program(steps, _costs(lowered)["flops"] if is_counted else None, sent)
    start = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        raise UsageError(f"--for {target.text}: {_reason(error)}") from error
    seconds = time.perf_counter() - start
    costs = _costs(compiled)
    sizes: Any = compiled.memory_analysis()
    text = compiled.as_text() or ""
    # Counted as if each step had it.
    once = copied_once(text)
    traffic = costs["bytes accessed"] - once + once / steps
    return Program(
        steps,
        costs["flops"] if is_counted else None,
        messages(text),
        seconds,
        traffic if is_counted else None,
        Memory(
            sizes.argument_size_in_bytes,
            sizes.output_size_in_bytes - sizes.alias_size_in_bytes,
            sizes.temp_size_in_bytes,
            sizes.generated_code_size_in_bytes,
        ),
    )


def _costs(program: Any) -> dict[str, float]:
    """The compiler's own figures, of one step."""
    return program.cost_analysis()


def _reason(error: jax.errors.JaxRuntimeError) -> str:
    """Why XLA does not compile a program, in a line."""
    words = str(error).partition("\n")[0]
    if not words.startswith("RESOURCE_EXHAUSTED"):
        return f"does not compile: {words}"
    return (
        f"does not fit: {words}; try a smaller --batch-size, --width or --image-size,"
        " or more of them"
    )
