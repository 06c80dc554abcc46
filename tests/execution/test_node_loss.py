"""A machine of a cluster that vanishes: two Ray nodes on this machine, one of which is killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ratewise.execution import Resources, map_items


@pytest.fixture
def nodes() -> Iterator[tuple[Any, Any]]:
    """A cluster of two nodes with a core each, and the one of them to kill."""
    ray = pytest.importorskip("ray", reason="Ray has no wheel for this Python")
    from ray.cluster_utils import Cluster

    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster, second
    ray.shutdown()
    cluster.shutdown()


def _note_node(folder: Path, x: int) -> int:
    import ray

    (folder / ray.get_runtime_context().get_node_id()).touch()
    time.sleep(0.05)
    return x


def test_its_images_are_done_by_the_others(nodes: tuple[Any, Any], tmp_path: Path) -> None:
    cluster, second = nodes
    resources = Resources(workers=2, engine="ray", address=cluster.address)
    outcomes = map_items(_note_node, range(100), resources, context=tmp_path)
    done = [next(outcomes)]
    while len(list(tmp_path.iterdir())) < 2:  # both are at work
        done.append(next(outcomes))
    assert len(done) < 60
    cluster.remove_node(second, allow_graceful=False)
    done += outcomes
    assert [one.value for one in done] == list(range(100))
