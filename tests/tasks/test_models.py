"""Model files of any task, told apart by their header, and measured on a store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from task_examples import CLASSES, LABELS, classifier_file, segmentation_file

from ratewise.errors import InputError
from ratewise.tasks.classification_predictor import LoadedClassifier
from ratewise.tasks.models import class_names, load_any
from ratewise.tasks.predictor import FORMAT, LoadedModel
from ratewise.training.weights import save_weights


def test_the_header_says_which_task(tmp_path: Path) -> None:
    segmenter = load_any(segmentation_file(tmp_path))
    assert isinstance(segmenter, LoadedModel)
    assert class_names(segmenter) == CLASSES.names
    classifier = load_any(classifier_file(tmp_path))
    assert isinstance(classifier, LoadedClassifier)
    assert class_names(classifier) == LABELS


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    with pytest.raises(InputError, match=r"other\.safetensors: no such weights file"):
        load_any(file)
    file.write_bytes(b"hello")
    with pytest.raises(InputError, match=r"other\.safetensors: not a readable safetensors file"):
        load_any(file)
    save_weights(file, {"a": torch.zeros(1)}, {"format": "ratewise restorer 1"})
    with pytest.raises(InputError, match=r"other\.safetensors: .* 'ratewise restorer 1'"):
        load_any(file)
    save_weights(file, {"a": torch.zeros(1)})
    with pytest.raises(InputError, match="does not say of which task"):
        load_any(file)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("{", r"not a readable safetensors file \(damaged header\)"),
        ("[1]", r"not a readable safetensors file \(damaged header\)"),
        ("[]", "does not say of which task"),
        (f'{{"format": "{FORMAT}"}}', "the header of the weights is damaged"),
    ],
)
def test_a_damaged_header_is_one_sentence(tmp_path: Path, header: str, said: str) -> None:
    file = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, file, {"ratewise": header})
    with pytest.raises(InputError, match=rf"other\.safetensors: .*{said}"):
        load_any(file)


def test_weights_that_do_not_fit_their_header_are_refused(tmp_path: Path) -> None:
    from ratewise.training.weights import load_weights

    file = segmentation_file(tmp_path)
    state, header = load_weights(file)
    state["mean"] = torch.from_numpy(np.zeros(2, np.float32))
    save_weights(file, state, header)
    with pytest.raises(InputError, match="other shapes for mean"):
        load_any(file)
