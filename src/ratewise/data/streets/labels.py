"""The classes of a street scene: their ids, names, colours and groups."""

from __future__ import annotations

from ratewise.data.classes import Classes

(
    SKY,
    BUILDING,
    ROAD,
    MARKING,
    SIDEWALK,
    VEGETATION,
    GRASS,
    CAR,
    PEDESTRIAN,
    POLE,
    SIGN,
) = range(11)

CLASSES = Classes(
    names=(
        "sky",
        "building",
        "road",
        "marking",
        "sidewalk",
        "vegetation",
        "grass",
        "car",
        "pedestrian",
        "pole",
        "sign",
    ),
    colours=(
        (90, 150, 200),
        (110, 80, 80),
        (120, 70, 130),
        (245, 245, 245),
        (235, 80, 200),
        (50, 120, 40),
        (160, 220, 120),
        (20, 40, 160),
        (220, 30, 60),
        (255, 160, 40),
        (250, 230, 20),
    ),
    groups={"small objects": ("pedestrian", "pole", "sign")},
)
"""The classes of ``streets``; traffic lights count as signs, bollards and lamps as poles."""
