"""Choosing a data set by settings, as study files and the command line do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ratewise.data.dataset import Dataset
from ratewise.errors import InputError
from ratewise.validation import Settings, suggestion, validate

ROOT_VARIABLE = "RATEWISE_DATA"


class CamVidSettings(Settings):
    """CamVid in SegNet's layout."""

    name: Literal["camvid"]
    root: str | None = Field(None, description="Folder with train, trainannot, val, valannot.")


class CityscapesSettings(Settings):
    """Cityscapes as published."""

    name: Literal["cityscapes"]
    root: str | None = Field(None, description="Folder with leftImg8bit and gtFine.")
    unlabelled: int = Field(
        2000, ge=1, le=20_000, description="Images in split unlabelled at most."
    )


class InriaSettings(Settings):
    """INRIA Aerial Image Labeling as published: buildings in orthophotos of cities."""

    name: Literal["inria"]
    root: str | None = Field(None, description="Folder with train/images, train/gt, test/images.")
    test_city: Literal["austin", "chicago", "kitsap", "tyrol-w", "vienna"] = Field(
        "chicago", description="The labelled city that is split val; the others are train."
    )


class SemanticDroneSettings(Settings):
    """Semantic Drone Dataset (TU Graz) as published, or as mirrored with class ids."""

    name: Literal["semantic_drone"]
    root: str | None = Field(
        None,
        description="Folder with training_set, or with original_images and label_images_semantic.",
    )


class ImageFolderSettings(Settings):
    """Images in a folder per class, in a folder per split, without masks."""

    name: Literal["image_folder"]
    root: str = Field(description="Folder with train/CLASS/**, val/CLASS/**.")


class ImageNetSettings(Settings):
    """ImageNet (ILSVRC 2012) in folders of synsets, or as Kaggle gives it out."""

    name: Literal["imagenet"]
    root: str | None = Field(
        None,
        description="Folder with train/nXXXXXXXX and val/nXXXXXXXX, or with "
        "ILSVRC/Data/CLS-LOC and LOC_val_solution.csv.",
    )


class FolderSettings(Settings):
    """A folder of images, with masks and a class list if there are any."""

    name: Literal["folder"]
    root: str = Field(description="Folder that the other paths start from.")
    images: str | None = Field(
        None,
        description="Folder of the images, in the root; 'images' is taken if it is there, else "
        "the root itself.",
    )
    masks: str | None = Field(
        None, description="Folder of the masks, in the root; 'masks' is taken if it is there."
    )
    mask_ending: str = Field("", description="Stands before .png in a mask's name.")
    classes: str = Field("classes.yaml", description="The class list, in the root.")


class StreetsSettings(Settings):
    """Procedural street scenes; needs no files."""

    name: Literal["streets"]
    root: None = None
    train: int = Field(160, ge=0, le=1_000_000, description="Images in split train.")
    val: int = Field(40, ge=0, le=1_000_000, description="Images in split val.")
    width: int = Field(192, ge=32, le=8192, description="Pixels.")
    height: int = Field(128, ge=32, le=8192, description="Pixels.")
    seed: int = Field(0, ge=0, lt=2**32, description="Decides the scenes.")


class ScreensSettings(Settings):
    """Drawn screens of text, far from photographs; needs no files."""

    name: Literal["screens"]
    root: None = None
    train: int = Field(160, ge=0, le=1_000_000, description="Images in split train.")
    val: int = Field(40, ge=0, le=1_000_000, description="Images in split val.")
    width: int = Field(480, ge=32, le=8192, description="Pixels.")
    height: int = Field(320, ge=32, le=8192, description="Pixels.")
    seed: int = Field(0, ge=0, lt=2**32, description="Decides the screens.")


GENERATED = ("streets", "screens")
"""The data sets that are drawn on the spot: they have no root."""

_MODELS: dict[str, type[Settings]] = {
    "camvid": CamVidSettings,
    "cityscapes": CityscapesSettings,
    "inria": InriaSettings,
    "semantic_drone": SemanticDroneSettings,
    "imagenet": ImageNetSettings,
    "image_folder": ImageFolderSettings,
    "folder": FolderSettings,
    "streets": StreetsSettings,
    "screens": ScreensSettings,
}


def _explain_keys(value: Any) -> Any:
    """Name a wrong data set or key in one sentence, before pydantic tries the union."""
    if not isinstance(value, dict):
        return value
    name = value.get("name")
    if name is None:
        raise ValueError(f"'name' is missing (allowed: {', '.join(_MODELS)})")
    if not isinstance(name, str) or name not in _MODELS:
        close = suggestion(str(name), _MODELS)
        raise ValueError(f"unknown data set {name!r}{close} (allowed: {', '.join(_MODELS)})")
    fields = _MODELS[name].model_fields
    allowed = [key for key in fields if name not in GENERATED or key != "root"]
    for key in value:
        if key not in allowed and not (key == "root" and value[key] is None):
            raise ValueError(
                f"unknown key {key!r} of data set {name}{suggestion(str(key), allowed)} "
                f"(allowed: {', '.join(allowed)})"
            )
    return value


DatasetSettings = Annotated[
    Annotated[
        CamVidSettings
        | CityscapesSettings
        | InriaSettings
        | SemanticDroneSettings
        | ImageNetSettings
        | ImageFolderSettings
        | FolderSettings
        | StreetsSettings
        | ScreensSettings,
        Field(discriminator="name"),
    ],
    BeforeValidator(_explain_keys),
]
"""Settings of a data set, told apart by ``name``."""


class _Holder(Settings):
    data: DatasetSettings


def names() -> list[str]:
    """The data sets that can be opened."""
    return list(_MODELS)


def describe(name: str) -> tuple[str, dict[str, str]]:
    """What a data set is, and its options with their defaults and meaning."""
    model = _MODELS[name]
    options = {
        key: f"{field.description} (default {field.default})"
        if field.default not in (None, "") and not field.is_required()
        else str(field.description)
        for key, field in model.model_fields.items()
        if field.description
    }
    return (model.__doc__ or "").strip(), options


def dataset_settings(value: dict[str, Any]) -> DatasetSettings:
    """Settings from plain values; InputError names the wrong key or value."""
    return validate(_Holder, {"data": value}, "data set").data


def open_dataset(settings: DatasetSettings, base: Path) -> Dataset:
    """The data set that ``settings`` mean.

    A relative root starts from ``base`` and, where it is not there, from the folder that the
    environment variable RATEWISE_DATA names. Without a root, it is the data set's name. Raises
    :class:`InputError` that names a missing folder.
    """
    if isinstance(settings, StreetsSettings | ScreensSettings):
        from ratewise.data.drawn import Drawn

        return Drawn(**settings.model_dump(exclude={"root"}))
    root = _find_root(settings.root or settings.name, base)
    if isinstance(settings, CamVidSettings):
        from ratewise.data.camvid import CamVid

        return CamVid(root)
    if isinstance(settings, CityscapesSettings):
        from ratewise.data.cityscapes import Cityscapes

        return Cityscapes(root, unlabelled=settings.unlabelled)
    if isinstance(settings, InriaSettings):
        from ratewise.data.inria import Inria, find_root

        return Inria(find_root(root), test_city=settings.test_city)
    if isinstance(settings, SemanticDroneSettings):
        from ratewise.data.semantic_drone import SemanticDrone, find_layout

        return SemanticDrone(*find_layout(root))
    if isinstance(settings, ImageNetSettings):
        from ratewise.data.imagenet import open_imagenet

        return open_imagenet(root)
    if isinstance(settings, ImageFolderSettings):
        from ratewise.data.image_folder import open_image_folder

        return open_image_folder(root)
    return _open_folder(settings, root)


def _open_folder(settings: FolderSettings, root: Path) -> Dataset:
    from ratewise.data.folder import FolderDataset, read_class_list

    images, masks = settings.images, settings.masks
    if masks is None and (root / "masks").is_dir():
        masks = "masks"
    if images is None:
        # Beside masks, the folder of the images is missing; a folder of images is just that.
        images = "images" if masks is not None or (root / "images").is_dir() else "."
    listed = read_class_list(root / settings.classes) if masks is not None else None
    return FolderDataset(root, images, masks, settings.mask_ending, listed)


def _find_root(root: str, base: Path) -> Path:
    tried = [base / root]
    if os.environ.get(ROOT_VARIABLE):
        tried.append(Path(os.environ[ROOT_VARIABLE]) / root)
    for path in tried:
        if path.is_dir():
            return path
    also = f", nor is {tried[1]}" if len(tried) > 1 and tried[1] != tried[0] else ""
    hint = "" if len(tried) > 1 else f"; give its root or set {ROOT_VARIABLE}"
    raise InputError(f"{tried[0]}: no such folder{also}{hint}")
