"""Reading the stores that the finished stages of a plan left, each once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ratewise.data.manifest import Record
from ratewise.data.store import open_store
from ratewise.study.cache import Cache
from ratewise.study.outputs import QUALITY, STORE
from ratewise.study.plan import Plan, Stage
from ratewise.study.privileged import collected, frames_of
from ratewise.study.quality import Quality, read_quality


class StageStores:
    """Records of stores, and the quality of restored images."""

    def __init__(self, plan: Plan, cache: Cache) -> None:
        self._plan, self._cache = plan, cache
        self._records: dict[str, Sequence[Record]] = {}
        self._quality: dict[str, Sequence[Quality]] = {}
        self._collected: dict[str, list[int]] = {}

    def records(self, name: str) -> Sequence[Record]:
        """The records of the store of the stage with this fingerprint."""
        if name not in self._records:
            store = open_store(self._cache.folder(self._plan.stages[name]) / STORE)
            self._records[name] = store.records
        return self._records[name]

    def made_of(self, stage: Stage) -> Stage:
        """The stage whose files were collected: of a restored store, that of the compressed one."""
        return self._plan.stages[stage.inputs["compressed"]] if stage.kind == "restore" else stage

    def psnrs(self, stage: Stage, indices: Iterable[int]) -> list[float]:
        """PSNR of images of a stage's store against the originals, in dB; infinite if equal."""
        if stage.kind == "restore":
            return [self._quality_of(stage)[i].psnr_after for i in indices]
        records = self.records(stage.fingerprint)
        return [records[i].psnr for i in indices]

    def seen(self, stage: Stage, index: int) -> bool:
        """Whether an image of a stage's store was restored by a restorer trained on it."""
        return stage.kind == "restore" and self._quality_of(stage)[index].seen

    def collected(self, restorer: Stage) -> list[int]:
        """The images of its originals that were collected to train a restorer."""
        name = restorer.fingerprint
        if name not in self._collected:
            images = frames_of(self.records(restorer.inputs["originals"]))
            self._collected[name] = collected(restorer.params["images"], images)
        return self._collected[name]

    def _quality_of(self, stage: Stage) -> Sequence[Quality]:
        name = stage.fingerprint
        if name not in self._quality:
            self._quality[name] = read_quality(self._cache.folder(stage) / QUALITY)
        return self._quality[name]
