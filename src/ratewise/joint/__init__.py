"""One network that codes an image and segments it, into one file (Chen et al., PRCV 2021)."""
