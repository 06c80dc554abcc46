"""What a study rests on: its data sets and files of weights, found, checked, fingerprinted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ratewise.data.dataset import Dataset, check_splits
from ratewise.data.datasets import open_dataset
from ratewise.errors import InputError
from ratewise.files import fingerprint
from ratewise.study.analysis.files import PerceptionFiles, perception_files
from ratewise.study.digests import Digests, open_digests, split_contents
from ratewise.study.graph import AUXILIARY_SET, PRIVILEGED, Contents
from ratewise.study.settings import Study


@dataclass(frozen=True)
class Inputs:
    """The data set of a study, its other data sets by the fingerprints of the splits that are
    used of them, and the contents of everything."""

    dataset: Dataset
    others: Mapping[str, Dataset]
    contents: Contents


@dataclass(frozen=True)
class _Other:
    """A split of another data set; ``key`` is where the study file names it."""

    name: str
    key: str
    dataset: Dataset
    split: str


def find_inputs(study: Study, cache: Path, *, quiet: bool) -> Inputs:
    """Open and check the data and weights of a study; what was checked is noted in ``cache``.

    Raises :class:`InputError` for a missing folder or file, an unknown split or group, a split
    without images, a mask of another size than its image or a class id out of range.
    """
    settings = study.settings
    dataset = open_dataset(settings.data, study.base)
    splits = {"train_split": settings.train_split, "test_split": settings.test_split}
    labelled = list(splits.values())
    restoration = settings.restoration
    privileged = restoration.privileged if restoration else None
    if privileged is not None and privileged.data is None and privileged.split is not None:
        splits["restoration.privileged.split"] = privileged.split
    for key, split in splits.items():
        _check_split(key, dataset, split)
    _check_groups(dataset, settings.train_split, privileged.groups if privileged else None)
    others = _others(study)
    weights = _weights(study)
    features = _feature_weights(study)
    analysis = settings.analysis
    perception = perception_files(analysis.perception if analysis else None, study.base)
    with open_digests(cache / "digests.sqlite") as digests:
        contents = split_contents(dataset, splits.values(), digests, quiet=quiet)
        contents_of_others = {other.name: _content(other, digests, quiet) for other in others}
        digest = digests.of(weights) if weights else None
        of_features = {name: digests.of(path) for name, path in features.items()}
        of_indices = _index_digests(perception, digests)
        backbone = digests.of(perception.backbone) if perception.backbone else None
    _check_labelled(dataset, labelled, settings.task.kind)
    if settings.prepare.tile is None:  # tiles have names of their own
        _check_subsets(dataset, settings.test_split, settings.subsets)
    checked = cache / "checked"
    for split, content in contents.items():
        _check_images(dataset, split, content, checked, quiet=quiet)
    for other in others:
        content = contents_of_others[other.name]
        _check_images(other.dataset, other.split, content, checked, quiet=quiet)
    return Inputs(
        dataset,
        {contents_of_others[other.name]: other.dataset for other in others},
        Contents(contents, digest, of_features, contents_of_others, of_indices, backbone),
    )


def _others(study: Study) -> list[_Other]:
    restoration = study.settings.restoration
    if restoration is None:
        return []
    found = []
    privileged, auxiliary = restoration.privileged, restoration.auxiliary
    if privileged.data is not None and privileged.split is not None:
        named = (PRIVILEGED, "restoration.privileged", privileged.data, privileged.split)
        found.append(named)
    if auxiliary is not None:
        found.append((AUXILIARY_SET, "restoration.auxiliary", auxiliary.data, auxiliary.split))
    others = [
        _Other(name, key, open_dataset(data, study.base), split) for name, key, data, split in found
    ]
    for other in others:
        _check_split(f"{other.key}.split", other.dataset, other.split)
        if not other.dataset.items(other.split):
            raise InputError(
                f"{other.key}: {other.dataset.name}: split {other.split!r} has no images"
            )
    return others


def _content(other: _Other, digests: Digests, quiet: bool) -> str:
    return split_contents(other.dataset, [other.split], digests, quiet=quiet)[other.split]


def _check_split(key: str, dataset: Dataset, split: str) -> None:
    if split not in dataset.splits:
        raise InputError(
            f"{key}: {dataset.name} has no split {split!r} (allowed: {', '.join(dataset.splits)})"
        )


def _check_groups(dataset: Dataset, split: str, groups: list[str] | None) -> None:
    """The privileged groups must be there, and leave something to train the task on."""
    known = list(dict.fromkeys(item.group for item in dataset.items(split)))
    for group in groups or []:
        if group not in known:
            raise InputError(
                f"restoration.privileged.groups: {dataset.name} has no group {group!r} in split "
                f"{split!r} (allowed: {_listed(known)})"
            )
    if groups and set(known) <= set(groups):
        raise InputError(
            f"restoration.privileged.groups: they are all of split {split!r}, and leave no image "
            "to train the task on"
        )


def _weights(study: Study) -> Path | None:
    task = study.settings.task
    named = task.weights_file
    return None if named is None else _existing(f"task.{task.weights_key}", study.base / named)


def _feature_weights(study: Study) -> dict[str, Path]:
    """The files of the networks whose features restorers' losses compare."""
    restoration = study.settings.restoration
    return {
        name: _existing(
            f"restoration.restorers.{name}.features.weights", study.base / settings.features.weights
        )
        for name, settings in (restoration.restorers if restoration else {}).items()
        if settings.losses.features and settings.features.weights
    }


def _index_digests(files: PerceptionFiles, digests: Digests) -> dict[str, str]:
    """Of each perceptual index that is there, that of its parameters' files."""
    return {
        name: fingerprint({path.name: digests.of(path) for path in paths})
        for name, paths in files.indices.items()
    }


def _existing(key: str, path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{key}: {path}: no such file")
    return path


def _check_labelled(dataset: Dataset, splits: Iterable[str], task: str) -> None:
    """Every image must have the target that the task needs."""
    target = {"segmentation": "mask", "classification": "label"}[task]
    for split in splits:
        items = dataset.items(split)
        bare = next((item.key for item in items if getattr(item, target) is None), None)
        if bare is not None:
            raise InputError(
                f"{dataset.name}: {bare} in split {split!r} has no {target}, which {task} needs"
            )


def _check_subsets(dataset: Dataset, split: str, subsets: Mapping[str, str]) -> None:
    """Each must have a test image."""
    keys = [item.key for item in dataset.items(split)]
    for name, pattern in subsets.items():
        if not any(fnmatchcase(key, pattern) for key in keys):
            raise InputError(
                f"subsets.{name} = {pattern!r}: no image of split {split!r} has such a key "
                f"(one has {keys[0]!r})"
            )


def _check_images(dataset: Dataset, split: str, content: str, folder: Path, *, quiet: bool) -> None:
    """Check every image and mask of a split once; what was checked is remembered by content."""
    marker = folder / content
    if dataset.root is None or marker.is_file():  # what is generated is right by construction
        return
    check_splits(dataset, [split], quiet=quiet)
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _listed(names: list[str], most: int = 12) -> str:
    return ", ".join([*names[:most], *(["..."] if len(names) > most else [])])
