"""The kinds of stages, one file each, with one function ``run``; loaded when a stage needs it."""
