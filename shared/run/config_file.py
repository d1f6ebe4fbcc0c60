"""config.json of a run: with what, on what and by which twins it was trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from shared.config.choices import KEEP_RULE, Keep, is_keep
from shared.config.train_config import TrainConfig, config_from_json, config_to_json
from shared.config.values import Mismatch, conform
from shared.data.image_data import DataInfo
from shared.errors import UsageError
from shared.files.atomic import write_object
from shared.files.reading import read_object
from shared.plugins import Plugin
from shared.run.rollbacks import Rollback


class _EarlierData(TypedDict):
    """Other images that a run was trained on, before it went on with more."""

    until_step: int
    data: DataInfo


class _Fields(TypedDict):
    """What config.json holds besides the configuration."""

    data: DataInfo
    twins: NotRequired[list[str]]
    handovers: NotRequired[list[int]]
    """The steps from which on the others than the first trained."""
    plugin: NotRequired[Plugin]
    keep: NotRequired[int | str]
    threads: NotRequired[int | None]
    rollbacks: NotRequired[list[Rollback]]
    earlier_data: NotRequired[list[_EarlierData]]


RUN_FIELDS = frozenset(_Fields.__annotations__)
"""Of config.json, what is no setting."""


class ConfigFile:
    """A run's config.json, which each question reads anew.

    So a run's plugin can be asked for before its settings are read, which may need it.
    """

    def __init__(self, path: Path) -> None:
        """Name the file, which need not exist yet."""
        self.path = path

    def read(self) -> tuple[TrainConfig, DataInfo]:
        """What config.json says.

        Raises:
            UsageError: it is unreadable or of a newer version.
        """
        values = read_object(self.path)
        own = {name: x for name, x in values.items() if name not in RUN_FIELDS}
        try:
            config = config_from_json(own)
        except UsageError as error:
            raise UsageError(f"{self.path}: {error}") from error
        return config, self._fields(values)["data"]

    def write(
        self,
        config: TrainConfig,
        data: DataInfo,
        *,
        twin: str | None = None,
        plugin: Plugin | None = None,
        keep: Keep | None = None,
        threads: int | None = None,
        step: int = 0,
    ) -> None:
        """Write config.json.

        Args:
            config: the run's configuration.
            data: what it knows of its data.
            twin: package that trains from here on, such as ``gans_jax``.
            plugin: the user's file that it needs.
            keep: which checkpoints stay; None: as it was before.
            threads: of the CPU that compute from here on.
            step: where the run is; the data until here, if they were others, are kept.
                What was noted of later steps is dropped.

        Raises:
            UsageError: it cannot be written, or the one that is there is unreadable.
        """
        values = {**config_to_json(config), "data": data.to_json()}
        twins, handovers = self._twins_until(step)
        if twin is not None and twins[-1:] != [twin]:
            if twins:
                handovers.append(step)
            twins.append(twin)
        values["twins"] = twins
        if handovers:
            values["handovers"] = handovers
        if plugin is not None:
            values["plugin"] = plugin._asdict()
        if earlier := self._earlier_data(data, step):
            values["earlier_data"] = earlier
        if keep is None and self.path.exists():
            keep = self.keep()
        values["keep"] = keep or "all"
        if threads is not None:
            values["threads"] = threads
        write_object(self.path, values)

    def note_rollbacks(self, rollbacks: Sequence[Rollback]) -> None:
        """Write into config.json how the run has gone back, if it has.

        Raises:
            UsageError: it cannot be written, or the one that is there is unreadable.
        """
        values = read_object(self.path)
        values.pop("rollbacks", None)
        if rollbacks:
            values["rollbacks"] = [rollback._asdict() for rollback in rollbacks]
        write_object(self.path, values)

    def twins(self) -> list[str]:
        """Packages that trained, in turn; empty where nobody noted it.

        Raises:
            UsageError: as `read`.
        """
        return self._fields().get("twins", [])

    def handovers(self) -> list[tuple[int, str]]:
        """From which step on each twin but the first trained, where it is known.

        Raises:
            UsageError: as `read`.
        """
        fields = self._fields()
        # Of older runs the last handovers alone are known.
        steps = fields.get("handovers", [])
        later = fields.get("twins", [])[1:]
        known = later[len(later) - min(len(steps), len(later)) :]
        return list(zip(steps[-len(known) :] if known else [], known, strict=True))

    def threads(self) -> int | None:
        """Threads of the CPU that the run was last trained with; None: nobody noted it.

        Raises:
            UsageError: as `read`.
        """
        threads = self._fields().get("threads")
        if threads is None or threads > 0:
            return threads
        raise self._unreadable(Mismatch("threads", threads, "must be 1 or more"))

    def plugin(self) -> Plugin | None:
        """The user's file that the run needs; None: it needs none.

        Raises:
            UsageError: as `read`.
        """
        return self._fields().get("plugin")

    def keep(self) -> Keep:
        """Which checkpoints stay; all, where nobody noted it.

        Raises:
            UsageError: as `read`.
        """
        keep = self._fields().get("keep", "all")
        if is_keep(keep):
            return keep
        raise self._unreadable(Mismatch("keep", keep, KEEP_RULE))

    def rollbacks(self) -> list[Rollback]:
        """How the run has gone back; empty of most.

        Raises:
            UsageError: as `read`.
        """
        return self._fields().get("rollbacks", [])

    def earlier_data(self) -> list[DataInfo]:
        """What the run was trained on before it went on with other images.

        Raises:
            UsageError: as `read`.
        """
        return [earlier["data"] for earlier in self._earlier()]

    def data_since(self) -> int:
        """The step from which on the run has had the images that it has now.

        Raises:
            UsageError: as `read`.
        """
        return max((x["until_step"] for x in self._earlier()), default=0)

    def _twins_until(self, step: int) -> tuple[list[str], list[int]]:
        """The twins that trained up to a step, and their handovers."""
        if not self.path.exists():
            return [], []
        twins, known = self.twins(), [x for x, _ in self.handovers()]
        handovers = [x for x in known if x < step]
        return twins[: len(twins) - len(known) + len(handovers)], handovers

    def _earlier(self) -> list[_EarlierData]:
        return self._fields().get("earlier_data", [])

    def _earlier_data(self, data: DataInfo, step: int) -> list[dict[str, Any]]:
        """What config.json is to say of other data before these."""
        if not self.path.exists():
            return []
        _, stored = self.read()
        phases = [*self._earlier(), _EarlierData(until_step=step, data=stored)]
        begins = [0, *(phase["until_step"] for phase in phases)]
        seen = [
            (min(phase["until_step"], step), phase["data"])
            for begin, phase in zip(begins, phases, strict=False)
            if begin < step
        ]
        if seen and data.has_images_of(seen[-1][1]):
            del seen[-1]
        return [{"until_step": end, "data": before.to_json()} for end, before in seen]

    def _fields(self, values: dict[str, Any] | None = None) -> _Fields:
        """What config.json holds besides the configuration."""
        try:
            return conform(values or read_object(self.path), _Fields)
        except Mismatch as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Mismatch) -> UsageError:
        return UsageError(f"{self.path}: unreadable: {error}")
