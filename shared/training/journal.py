"""What a run says of itself while it goes on: its lines, its warnings, its events."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.config.train_config import TrainConfig
from shared.diagnosis.symptoms import DIVERGED
from shared.diagnosis.watch import Diagnosis, Watch
from shared.run.run_dir import RunDir


class Journal:
    """Writes a run's records, and warns when they show that something goes wrong.

    Args:
        run: a run's folder; what it holds already is taken into account.
        config: the run's configuration.
        tensorboard: whether to write event files too.
        say: is told the warnings.
    """

    def __init__(
        self,
        run: RunDir,
        config: TrainConfig,
        *,
        tensorboard: bool,
        say: Callable[[str], None],
    ) -> None:
        self._run = run
        self._config = config
        self._tensorboard = tensorboard
        self._say = say
        self._events = None
        self.reopen()

    def reopen(self) -> None:
        """Take into account what the run's folder holds now, and nothing else."""
        run = self._run
        _, data = run.config_file.read()
        self._watch = Watch(self._config, data)
        self._watch.replay(
            run.read_metrics(), run.read_sample_metrics(), run.read_scores()
        )
        if self._tensorboard:
            # Imported here, because it is optional.
            from shared.training.event_files import EventFiles

            self._events = EventFiles(run)

    def log(self, record: Mapping[str, Any]) -> None:
        """Take in the metrics of a step."""
        self._take(self._run.append_metrics, record)

    def log_samples(self, record: Mapping[str, Any]) -> None:
        """Take in what there is to say of a grid of samples, which is on the disk."""
        self._take(self._run.append_sample_metrics, record)
        if self._events is not None:
            self._events.add_image(
                record["step"], self._run.sample_path(record["step"])
            )

    def log_scores(self, record: Mapping[str, Any]) -> None:
        """Take in the scores of an evaluation."""
        self._take(self._run.append_scores, record)

    def log_divergence(self, step: int) -> None:
        """Take in that training ends here; the error that ends it says so."""
        record = {"step": step, DIVERGED: 1}
        self._run.append_metrics(record)
        if self._events is not None:
            self._events.add_scalars(record)

    def conclude(self) -> None:
        """Warn of what the end of the run shows."""
        self._warn(self._watch.conclude())

    def _take(
        self, append: Callable[[Mapping[str, Any]], None], record: Mapping[str, Any]
    ) -> None:
        append(record)
        self._warn(self._watch.see(record))
        if self._events is not None:
            self._events.add_scalars(record)

    def _warn(self, diagnoses: Sequence[Diagnosis]) -> None:
        for diagnosis in diagnoses:
            self._say(f"warning at step {diagnosis.first}: {diagnosis}")
