"""One training loop, driven by an objective. It knows no model and no data set.

``ratewise.training.settings`` and ``ratewise.training.schedule`` import no torch, so that a study
is planned without it; the loop is :func:`ratewise.training.loop.fit`.
"""
