"""The exceptions that ratewise raises. Each message is one sentence that a user can act on."""

from __future__ import annotations


class RatewiseError(Exception):
    """Base of everything that ratewise raises on purpose."""


class RatewiseWarning(UserWarning):
    """Something that a user should know of, though work goes on."""


class InputError(RatewiseError, ValueError):
    """Something the user gave is wrong: the message names it and says what is allowed.

    The command line prints the message and exits with code 2, before any work is done.
    """


class ImageError(InputError):
    """A file is not an image that ratewise can take without changing its meaning."""


class CodecError(RatewiseError):
    """An image cannot be encoded, or bytes cannot be decoded, by a codec."""


class PlaceError(RatewiseError):
    """A disk or an address cannot be written now; trying again later may do."""


class TrainingError(RatewiseError):
    """Training cannot go on (a loss is not finite, a checkpoint does not fit)."""


class StageError(RatewiseError):
    """A stage of a study failed; what was finished before it is kept."""


def first_line(error: Exception) -> str:
    """The first line of another library's message, or the name of its kind where there is none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
