"""The loss of the task on what arrives: the standard recipe, and fine-tuning of a trained model.

They differ in the model that they begin with (:attr:`Ingredients.start`).
"""

from __future__ import annotations

from ratewise.recipes.assembly import Assembly, Ingredients
from ratewise.recipes.learning import Learner, Learning
from ratewise.tasks.samples import collate


def build(ingredients: Ingredients) -> Assembly:
    """The recipe for ``ingredients``. Errors: :meth:`Learner.of`."""
    learner = Learner.of(ingredients)
    return Assembly(Learning(learner), learner.source, collate, learner.model)
