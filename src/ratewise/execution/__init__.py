"""Mapping a function over many items: here or over processes, with progress and failures."""

from ratewise.execution.mapping import Failure, Outcome, Resources, map_items
from ratewise.execution.progress import progress

__all__ = ["Failure", "Outcome", "Resources", "map_items", "progress"]
