"""Rows whose model is a codec: masks that are read from its files (recipe ``bitstream``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

NOTE = (
    "Rows whose model is a codec are masks read from its files, without a picture or a model of "
    "the task; test bpp counts whole files, or only the parts that the masks need."
)
"""What a reader of a table with such rows has to know."""


def from_bitstreams(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which of the result rows, or rows of points, have the codec of the test images as model."""
    import pandas as pd

    if not {"model", "test_codec"} <= set(rows.columns):
        return pd.Series(False, index=rows.index, dtype=bool)
    models, specs = (rows[name].fillna("").astype(str) for name in ("model", "test_codec"))
    codecs = pd.Series([spec.partition(":")[0] for spec in specs], rows.index, dtype=object)
    return (models == codecs) & (models != "")


def without_bitstreams(results: pd.DataFrame) -> pd.DataFrame:
    """The other rows: those of models of the task, which can be compared with each other."""
    return results.loc[~from_bitstreams(results)]
