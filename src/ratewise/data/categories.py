"""Cityscapes' seven categories, for the classes of every street data set here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "flat": ("road", "sidewalk", "pavement", "marking"),
    "nature": ("vegetation", "terrain", "tree", "grass"),
    "object": ("pole", "traffic light", "traffic sign", "sign"),
    "sky": ("sky",),
    "construction": ("building", "wall", "fence"),
    "human": ("person", "rider", "pedestrian", "bicyclist"),
    "vehicle": ("car", "truck", "bus", "train", "motorcycle", "bicycle"),
}
"""The names of classes in each. CamVid's and the drawn streets' names are put where Cityscapes has
theirs; CamVid's bicyclist, who is drawn with the bicycle, counts as human."""


def categories_of(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The class ids of each category that the classes ``names`` have one of.

    Empty if one of them is in no category: the classes are then not a street's.

    >>> categories_of(["road", "sky", "pavement"])
    {'flat': (0, 2), 'sky': (1,)}
    """
    known = {name for members in CATEGORIES.values() for name in members}
    if not known.issuperset(names):
        return {}
    found = {
        category: tuple(i for i, name in enumerate(names) if name in members)
        for category, members in CATEGORIES.items()
    }
    return {category: ids for category, ids in found.items() if ids}
