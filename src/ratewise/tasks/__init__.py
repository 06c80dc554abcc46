"""What a model does: segmentation, with its model, loss, metrics and augmentation.

``ratewise.tasks.segmentation_settings`` imports no torch, so that a study is planned without it.
"""
