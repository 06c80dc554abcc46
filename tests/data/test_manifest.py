"""The manifest: what pandas and pyarrow read back is what was written."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest

from ratewise.data.manifest import Record, iterate_manifest, write_manifest
from ratewise.errors import InputError

RECORD = Record(
    key='é,"\n.png',
    path="a.jpg",
    mask=None,
    group="",
    width=3,
    height=2,
    bytes=7,
    bpp=1 / 3,
    psnr=math.inf,
    sha256="0" * 64,
    mask_sha256=None,
    codec="jpeg:quality=10",
    versions="{}",
    source="a.png",
    source_format="png",
    source_bytes=2**40,
)


def test_records_come_back_in_order_across_row_groups(tmp_path: Path) -> None:
    records = [RECORD, *(replace(RECORD, key=str(i), mask="m.png", label="é") for i in range(2500))]
    write_manifest(tmp_path / "m.parquet", records)
    assert list(iterate_manifest(tmp_path / "m.parquet")) == records
    table = pd.read_parquet(tmp_path / "m.parquet")
    assert table["key"].tolist() == [r.key for r in records]
    assert table["mask"].isna().tolist() == [True] + [False] * 2500
    assert table["label"].isna().tolist() == [True] + [False] * 2500
    absent = ["mask", "mask_sha256", "label"]
    row = table.iloc[0].drop(absent).to_dict()
    assert row == {k: v for k, v in asdict(RECORD).items() if v is not None}  # none of shards


def test_places_in_shards_come_back(tmp_path: Path) -> None:
    there = replace(RECORD, shard="shards/0.tar", offset=2**40, mask_offset=512, mask_bytes=9)
    records = [RECORD, there, replace(there, offset=0, mask_offset=None, mask_bytes=None)]
    write_manifest(tmp_path / "m.parquet", records, shards=True)
    assert list(iterate_manifest(tmp_path / "m.parquet")) == records
    table = pd.read_parquet(tmp_path / "m.parquet")
    assert table["offset"].isna().tolist() == [True, False, False]


def test_an_empty_manifest_is_a_manifest(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.parquet", [])
    assert list(iterate_manifest(tmp_path / "m.parquet")) == []
    assert len(pd.read_parquet(tmp_path / "m.parquet")) == 0


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x"])
def test_a_manifest_that_leads_out_of_its_store_is_refused(tmp_path: Path, path: str) -> None:
    write_manifest(tmp_path / "m.parquet", [replace(RECORD, path=path)])
    with pytest.raises(InputError, match="outside of the store"):
        list(iterate_manifest(tmp_path / "m.parquet"))


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(InputError, match=r"m\.parquet: the manifest is damaged"):
        list(iterate_manifest(tmp_path / "m.parquet"))


_SCRIPT = """
import sys
from pathlib import Path
from ratewise.data.manifest import Record, iterate_manifest, write_manifest
path = Path(sys.argv[1])
values = ("k", "p", None, "", 1, 1, 1, 1.0, 1.0, "", None, "", "", "", "", 1)
write_manifest(path, [Record(*values)])
list(iterate_manifest(path))
print("pandas" in sys.modules)
"""


def test_pandas_is_not_imported_for_a_manifest(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, tmp_path / "m.parquet"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "False"
