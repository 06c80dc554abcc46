"""Data sets as their owners publish them, preparing images once, and compressed stores."""
