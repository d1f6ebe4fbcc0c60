"""What the commands do, from Python."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from gans_torch import make_backend
from gans_torch._modes import usual_modes
from gans_torch.formats import convert
from gans_torch.trained import TrainedGenerator
from shared import plugins
from shared.config.arguments import AnyArray, from_python
from shared.config.choices import DataPlace, Features, OnNan
from shared.config.train_config import TrainConfig
from shared.data.image_data import ImageData
from shared.evaluation.evaluation import Evaluation
from shared.export.formats import Format
from shared.library import evaluating, exporting, fitting, generators
from shared.training.driver import TrainedRun


@from_python
def load_generator(
    run: str | Path | TrainedRun,
    step: int | Literal["best"] | None = None,
    device: str = "auto",
    *,
    standing_stats: int | None = None,
) -> TrainedGenerator:
    """A run's generator, in evaluation mode.

    Args:
        run: a run's folder, of either twin; one of its checkpoint files; what `fit`
            has returned; or a folder that `export` has written, by either twin.
        step: which checkpoint; ``best``: by the scores of ``evaluate_every``; None: the
            last.
        device: ``auto`` (the best there is) or the name of a device.
        standing_stats: batches of new samples whose statistics batch norm goes by, as
            in BigGAN; None: those of training.

    Raises:
        UsageError: there is no such run, checkpoint, device or batch norm, or a file is
            damaged.
    """
    state = generators.find_generator("gans_torch", run, step)
    with usual_modes():
        generator, _ = generators.load_standing(
            TrainedGenerator, state, device, standing_stats
        )
    return generator


@from_python
def export(
    run: str | Path | TrainedRun,
    out: str | Path | None = None,
    format: Format = "hub",
    *,
    step: int | Literal["best"] | None = None,
    truncation: float | None = None,
    standing_stats: int | None = None,
) -> Path:
    """Write a run's generator for others to load, as the command does.

    Args:
        run: as for `load_generator`, by which ``hub`` is read again.
        out: file to write, or of ``hub`` a new folder; None: a new one in the run's
            folder.
        format: ``hub``, the folder that the Hugging Face Hub expects; ``onnx`` or
            ``torch`` (PyTorch's ``torch.export``), which `gans_torch` writes; or
            ``stablehlo``, which `gans_jax` writes.
        step: which checkpoint, as for `load_generator`.
        truncation: of a file of StyleGAN2, the share of its way from the average that
            each style goes; None: all the way.
        standing_stats: as for `load_generator`.

    Returns:
        What was written.

    Raises:
        UsageError: there is no such run, checkpoint or format here, a package is
            missing, there are no styles to truncate, or the file or folder cannot be
            written.
    """
    with usual_modes():
        return exporting.export(
            "gans_torch",
            TrainedGenerator,
            convert,
            run,
            out,
            exporting.ExportOptions(
                format=format,
                step=step,
                truncation=truncation,
                standing_stats=standing_stats,
            ),
        )


@from_python
def load_plugin(path: str | Path) -> None:
    """Execute a plugin, as ``--plugin`` does: a file that defines ``register(twin)``.

    Args:
        path: the Python file. Loaded again after an edit, its names mean what is new,
            and no generator of a run with the file as it was is loaded any more.

    Raises:
        UsageError: it cannot be read, or raises an error, which is told with its line.
    """
    plugins.load(Path(path), "gans_torch", "path")


@from_python
def fit(
    config: TrainConfig,
    data: ImageData,
    run_dir: str | Path | None = None,
    *,
    resume: str | Path | TrainedRun | None = None,
    allow_new_data: bool = False,
    step: int | Literal["best"] | None = None,
    keep: int | Literal["all"] | None = None,
    device: str = "auto",
    data_on: DataPlace = "auto",
    data_dir: str | Path | None = None,
    threads: int | None = None,
    devices: int | None = None,
    deterministic: bool = False,
    on_nan: OnNan = "stop",
    tensorboard: bool = False,
    plugin: str | Path | None = None,
    on_record: Callable[[dict[str, Any]], object] | None = None,
    progress: bool = False,
) -> TrainedRun:
    """Train, quietly; the same numbers as the command's, from the same configuration.

    Ctrl-C raises a KeyboardInterrupt at once: what was saved by then can be resumed.

    Args:
        config: the run's configuration; its ``dataset`` becomes the data's name.
        data: from ``data.load``, ``data.from_folder`` or ``data.from_arrays``.
        run_dir: folder to write, as the command does; None: nothing is written.
        resume: a run to go on with, as long as ``config`` now says, in its own folder
            if it has one.
        allow_new_data: with ``resume``, go on with other images than the run was
            started with.
        step: which of its checkpoints, as for `load_generator`; what is newer is
            removed from the folder.
        keep: checkpoints that stay in the folder: the last so many, the best, and up
            to eight spread over the run; ``all``; None: 3, or what the run to resume
            was started with.
        device: ``auto`` (the best there is) or the name of a device.
        data_on: where the images are kept: ``auto``, ``device`` or ``host``.
        data_dir: folder that keeps the classifier of ``evaluate_every``; None: it is
            trained anew.
        threads: of the CPU that compute, for the whole process; None: as the run to
            resume was trained, or what the framework takes.
        devices: that share each batch, in JAX; in PyTorch torchrun says how many.
        deterministic: whether a GPU adds up in the same order each time.
        on_nan: when losses or weights are no longer finite: ``stop``, or ``rollback``:
            go on from the last checkpoint with other draws and half the learning rates.
        tensorboard: whether to write event files too.
        plugin: a file, as for `load_plugin`, that the run needs, whose digest it keeps.
        on_record: is given each logged step, in this thread: a dictionary of ``step``
            and metrics. What it raises ends the training.
        progress: whether to show on stderr what the command shows.

    Returns:
        The run: ``step``, final ``arrays``, ``records``, ``scores``, and ``path``.

    Raises:
        UsageError: the configuration does not fit the data, the device or the run to
            resume, or the folder cannot be used.
        TrainingError: the losses are no longer finite, or the folder can no longer be
            written.
    """
    with usual_modes():
        return fitting.fit(
            "gans_torch",
            make_backend,
            config,
            data,
            run_dir,
            fitting.FitOptions(
                resume=resume,
                allow_new_data=allow_new_data,
                step=step,
                keep=keep,
                device=device,
                data_on=data_on,
                data_dir=data_dir,
                threads=threads,
                devices=devices,
                deterministic=deterministic,
                on_nan=on_nan,
                tensorboard=tensorboard,
                plugin=plugin,
                on_record=on_record,
                progress=progress,
            ),
        )


@from_python
def evaluate(
    samples: str | Path | TrainedRun | AnyArray,
    reference: ImageData,
    *,
    features: Features = "classifier",
    num: int | None = None,
    draws: int = 5,
    seed: int = 0,
    step: int | Literal["best"] | None = None,
    against: ImageData | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
    standing_stats: int | None = None,
) -> Evaluation:
    """Scores of a run's samples, as the command gives them, or of any images.

    Args:
        samples: a run, as for `load_generator`; or images, uint8 [count, height, width,
            channels], 16 or more, from wherever, which are scored all in one draw.
        reference: what they are compared with. Of a run it must be its own data; of
            images any of their shape, which the scores' protocols then call training
            images.
        features: what images are compared by: ``classifier``, which is trained on the
            reference's labels; ``inception`` (PyTorch alone); or ``none``.
        num: of a run, samples in each draw, from 16 up; None: as many as is usual.
        draws: of a run, independent draws, over which intervals are made; of images,
            which are drawn once, nothing.
        seed: of a run's samples, from 0 up; of images nothing.
        step: of a run, which checkpoint; as for `load_generator`.
        against: images, 16 or more, whose features the samples' are compared with in
            the place of the reference's, such as ``data.load("mnist", split="test")``;
            the reference still teaches the classifier, and may have been copied.
        device: ``auto`` (the best there is) or the name of a device.
        data_dir: folder that keeps the classifier; None: it is trained anew.
        standing_stats: of a run, as for `load_generator`.

    Returns:
        The scores, each with its protocol and interval; their bare ``values``.

    Raises:
        UsageError: there is no such run or device, the data do not fit the run or the
            features, or a number is out of range.
    """
    with usual_modes():
        return evaluating.evaluate(
            "gans_torch",
            make_backend,
            samples,
            reference,
            evaluating.EvaluateOptions(
                features=features,
                num=num,
                draws=draws,
                seed=seed,
                step=step,
                against=against,
                device=device,
                data_dir=data_dir,
                standing_stats=standing_stats,
            ),
        )
