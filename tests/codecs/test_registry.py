"""The registry: light, and open to other packages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest

from ratewise.codecs import codec, decode, identify, names, registry
from ratewise.codecs.png import PngCodec
from ratewise.errors import CodecError, InputError


class PluginCodec(PngCodec):
    """A codec of another package: PNG behind a magic of its own."""

    codec_name = "other"

    @classmethod
    def recognises(cls, data: bytes) -> bool:
        return data.startswith(b"OTHER")


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    points = [
        EntryPoint("broken", "no_such_package.codec:Codec", registry.GROUP),
        EntryPoint("other", f"{__name__}:PluginCodec", registry.GROUP),
    ]
    monkeypatch.setitem(sys.modules, __name__, sys.modules[PluginCodec.__module__])
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints(points))
    registry._plugins.cache_clear()
    yield
    registry._plugins.cache_clear()


def test_other_packages_join_through_an_entry_point(plugins: None) -> None:
    assert names()[-2:] == ["broken", "other"]
    assert codec("other:level=3").spec == "other:level=3"
    with pytest.warns(UserWarning, match="'broken'"):
        assert identify(b"OTHER...").name == "other"


def test_a_broken_plugin_is_named_and_stops_nothing_else(plugins: None) -> None:
    with pytest.raises(InputError, match=r"codec 'broken' \(no_such_package.codec:Codec\) cannot"):
        codec("broken")
    with pytest.warns(UserWarning, match="'broken'"), pytest.raises(CodecError):
        decode(b"garbage")
    image = np.zeros((2, 2, 3), np.uint8)
    assert np.array_equal(decode(codec("png").encode(image)), image)


def test_a_plugin_cannot_take_a_builtin_name(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("jpeg", f"{__name__}:PluginCodec", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints([point]))
    registry._plugins.cache_clear()
    with pytest.warns(UserWarning, match="the name is taken"):
        assert names().count("jpeg") == 1
    assert codec("jpeg").spec == "jpeg:quality=75"
    registry._plugins.cache_clear()


def test_importing_and_using_codecs_is_light() -> None:
    program = (
        "import sys, ratewise.codecs as c; c.decode(c.codec('jpeg').encode("
        "__import__('numpy').zeros((2, 2, 3), 'uint8')));"
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_options_are_text_that_parses_to_the_default() -> None:
    available = [name for name in names() if registry.kind(name).unavailable() is None]
    assert {"png", "jpeg", "jpeg2000", "webp", "avif", "bpg"} <= set(available)
    for name in available:
        options: Mapping[str, str] = {o.name: o.default for o in registry.kind(name).options()}
        options = {key: value for key, value in options.items() if value}
        assert registry.kind(name).from_options(options) == codec(name)
