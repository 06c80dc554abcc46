"""The parts of a report about what was measured beside the result rows: images, features,
information, time."""
