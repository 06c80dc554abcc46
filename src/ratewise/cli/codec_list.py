"""``ratewise codec list``: the codecs, their operating points and options."""

from __future__ import annotations

from typing import Any

from ratewise.cli.support import JsonOption, friendly_errors, print_json


def list_codecs(as_json: JsonOption = False) -> None:
    """List the codecs, their operating points and options.

    Example: ratewise codec list
    """
    with friendly_errors():
        from ratewise.codecs import names

        codecs = [_describe(name) for name in names()]
        if as_json:
            print_json(codecs)
            return
        for codec in codecs:
            _print_description(codec)


def _describe(name: str) -> dict[str, Any]:
    from ratewise import codecs
    from ratewise.errors import InputError

    try:
        kind = codecs.kind(name)
    except InputError as error:  # a plugin that cannot be loaded
        return {"codec": name, "available": False, "reason": str(error)}
    point = kind.range()
    reason = kind.unavailable()
    return {
        "codec": name,
        "available": reason is None,
        "reason": reason,
        "operating_point": vars(point) if point else None,
        "options": [vars(option) for option in kind.options()],
        "versions": dict(kind.libraries()),
    }


def _print_description(codec: dict[str, Any]) -> None:
    versions = ", ".join(f"{key} {value}" for key, value in codec.get("versions", {}).items())
    print(codec["codec"] + (f"  ({versions})" if versions else ""))
    if not codec["available"]:
        print(f"  not available: {codec['reason']}")
    point = codec.get("operating_point")
    for option in codec.get("options", []):
        line = f"  {option['name']}={option['default']}  {option['allowed']}"
        if point and option["name"] == point["name"]:
            better = "larger" if point["higher_is_better"] else "smaller"
            line += f"; the operating point, {better} is better and costs more bytes"
        print(line)
