"""What stands on a screen: lines of prose, of a program, of a terminal, and rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

Kind = Literal["plain", "keyword", "name", "text", "number", "quiet"]
"""What a piece of a line is; a theme has a colour for each."""

T = TypeVar("T")

_TEXT = """
a about above after again air all along also always an and another are as at away back be because
been before began below between blue both bridge but by called came can city close cold could day
deep did different do does door down each early earth end enough even every eye face far field
first follow for form found four from garden gave glass good great green ground had half hand hard
have he head her here high hill him his house how if in into is it its just keep kind know land
large last late learn left letter light like line little long look made make many may mean might
moon morning most mountain move much must name near never new next night no north not now of off
often old on once one only open or other our out over own page paper part place plain point river
road room round run same sea second see seen set she ship short should show side small snow so some
soon still stone story street such summer sun table than that the their them then there these they
thing this those though through time to together too town tree turn two under until up upon us very
voice walk wall was watch water way we well went were west what when where which while white who
why will wind winter with without wood word work world would year you young your
"""
_OF_PROGRAMS = """
args batch bias buffer cache channel chunk codec config count cursor data depth digest entry error
event field file filter frame group handle header height image index input item kernel key label
layer length level line list map mask model name node offset options output packet parent path
pixel point queue rate reader record result root row sample scale score session shape size source
split state step store stream table target task text token total tree update value weight width
window worker writer
"""
_DONE = """
apply build check close compute copy decode drop encode fetch find flush join load make map measure
merge open pack parse pick plan pull push read render reset resize run save scan send sort split
start stop store take test trace update wait write
"""
_COMMON, _NAMES, _VERBS = (tuple(text.split()) for text in (_TEXT, _OF_PROGRAMS, _DONE))
_TOOLS = ("git", "ls", "make", "cat", "grep", "python", "ssh", "tail", "cargo", "find", "docker")


@dataclass(frozen=True)
class Line:
    """A line of pieces: their kinds and texts, and how far it is indented, in spaces."""

    pieces: tuple[tuple[Kind, str], ...]
    indent: int = 0


class Writer:
    """Makes text of chance; equal generators write equal text."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def one(self, among: Sequence[T]) -> T:
        """Any of ``among``."""
        return among[int(self._rng.integers(len(among)))]

    def between(self, low: int, high: int) -> int:
        """A whole number of ``low`` to ``high``."""
        return int(self._rng.integers(low, high + 1))

    def sentence(self) -> str:
        """A sentence of common words."""
        words = [self.one(_COMMON) for _ in range(self.between(4, 15))]
        if len(words) > 8:
            words[len(words) // 2] += ","
        return " ".join(words).capitalize() + self.one("...?!")

    def title(self, most: int = 4) -> str:
        """A few words."""
        return " ".join(self.one(_COMMON) for _ in range(self.between(1, most))).capitalize()

    def name(self) -> str:
        """An identifier."""
        return "_".join(self.one(_NAMES) for _ in range(self.between(1, 2)))

    def file(self) -> str:
        """A file's name."""
        return f"{self.name()}.{self.one(('py', 'rs', 'c', 'txt', 'yaml', 'md'))}"

    def number(self) -> str:
        """A number as tables have them."""
        whole = self.between(0, 10 ** self.between(1, 5))
        return f"{whole}.{self.between(0, 99):02d}" if self.between(0, 2) else f"{whole:,}"

    def program(self, count: int) -> list[Line]:
        """So many lines that look like a program's."""
        lines: list[Line] = []
        depth = 0
        while len(lines) < count:
            made = self._statement()
            lines.append(Line(made, 4 * depth))
            if made and made[-1][1].endswith(":"):
                depth = min(depth + 1, 4)
            elif self.between(0, 3) == 0:
                depth = max(0, depth - self.between(1, 2))
                lines += [Line(())] if depth == 0 else []
        return lines[:count]

    def terminal(self, count: int) -> list[Line]:
        """So many lines of commands and what they print."""
        lines: list[Line] = []
        while len(lines) < count:
            command = f"{self.one(_TOOLS)} {self.one(_VERBS)} {self.file()}"
            lines.append(Line((("keyword", "user@host "), ("name", "~ $ "), ("plain", command))))
            for _ in range(self.between(0, 6)):
                pieces: tuple[tuple[Kind, str], ...] = (
                    ("quiet", f"{self.between(0, 23):02d}:{self.between(0, 59):02d} "),
                    ("number", f"{self.number():>9} "),
                    ("plain", f"{self.name()} {self.one(_VERBS)} {self.one(_COMMON)}"),
                )
                lines.append(Line(pieces))
        return lines[:count]

    def _statement(self) -> tuple[tuple[Kind, str], ...]:
        name, verb = self.name(), self.one(_VERBS)
        forms: tuple[tuple[tuple[Kind, str], ...], ...] = (
            (("keyword", "def "), ("name", f"{verb}_{name}"), ("plain", f"({self.name()}):")),
            (("keyword", "for "), ("plain", name), ("keyword", " in "), ("plain", self._call(":"))),
            (
                ("keyword", "if "),
                ("plain", f"{name} > "),
                ("number", self.number()),
                ("plain", ":"),
            ),
            (("plain", f"{name} = {self._call()}"),),
            (("plain", f"{name} += "), ("number", self.number())),
            (("plain", f"{name} = "), ("text", f'"{self.title()}"')),
            (("keyword", "return "), ("plain", self._call())),
            (("quiet", f"# {self.sentence().lower()}"),),
            (("name", f"{verb}("), ("text", f"'{self.file()}'"), ("plain", f", {name})")),
        )
        return self.one(forms)

    def _call(self, end: str = "") -> str:
        return f"{self.name()}.{self.one(_VERBS)}({self.name()}){end}"
