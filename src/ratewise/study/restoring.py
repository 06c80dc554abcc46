"""The stages of a plan that train restorers and restore stores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from ratewise import codecs
from ratewise.study.channels import AUXILIARY, RESTORED, Channel, percent
from ratewise.study.graph import AUXILIARY_SET, PRIVILEGED, Contents, Graph
from ratewise.study.plan import VERSIONS, Stage, library_version
from ratewise.study.privileged import FIRST, SECOND, WHOLE, PrivilegedShare
from ratewise.study.restoration_settings import RestorationSettings, deciding
from ratewise.study.settings import StudySettings

_LIBRARIES = ("torch", "torchvision", "timm", "numpy")


class _Set(NamedTuple):
    """Originals for a restorer: their stage, which of them (its ``images``), and in words."""

    originals: Stage
    rule: dict[str, Any]
    words: str


class Restoring:
    """What the configurations of one study share of restoration."""

    def __init__(self, settings: StudySettings, graph: Graph, contents: Contents) -> None:
        self._settings, self._graph, self._contents = settings, graph, contents

    @property
    def without(self) -> tuple[str, ...]:
        """The groups of the training split that no model of the task is trained on."""
        restoration = self._settings.restoration
        return tuple(restoration.privileged.groups or ()) if restoration else ()

    def share_of(self, channel: Channel) -> PrivilegedShare | None:
        """P(p) of a channel with privileged images of the training split; None of another one."""
        restoration = self._settings.restoration
        share = channel.share
        if restoration is None:
            return None if share is None else PrivilegedShare(share)
        if share is None and channel.restores and channel.letter != AUXILIARY:
            share = restoration.privileged.fraction
        if share is None:
            return None
        margin = 0 if restoration.overlap == "allow" else restoration.margin
        return PrivilegedShare(share, restoration.seed, margin, self.without)

    def restored(self, split: str, channel: Channel, *, cross_fit: bool = False) -> Stage:
        """The stage that restores a split through ``channel``.

        With ``cross_fit`` the privileged images in it are restored by restorers that were
        trained on another part of them.
        """
        share = self.share_of(channel)
        sets = [
            self._set(channel, share, part)
            for part in ((WHOLE, FIRST, SECOND) if cross_fit else (WHOLE,))
        ]
        restorers = [self._restorer(channel, images) for images in sets]
        originals = self._graph.originals(split)
        codec = channel.codec or ""
        inputs = {
            "originals": originals.fingerprint,
            "compressed": self._graph.compressed(originals, codec).fingerprint,
            **{f"restorer {i}": stage.fingerprint for i, stage in enumerate(restorers)},
        }
        how = "cross-fitted on" if cross_fit else "trained on"
        return self._graph.add(
            Stage(
                "restore",
                f"restore {split}, {codec}, with {channel.restorer} {how} {sets[0].words}",
                {
                    "assignment": share.to_json() if share and cross_fit else None,
                    "precision": self._section.restorers[channel.restorer].training.precision,
                },
                inputs,
                VERSIONS["restore"],
            )
        )

    def _restorer(self, channel: Channel, images: _Set) -> Stage:
        restoration = self._section
        specs = self._specs(channel.codec or "", restoration)
        compressed = [self._graph.compressed(images.originals, spec) for spec in specs]
        trained_for = specs[0] if len(specs) == 1 else codecs.family(specs[0])
        return self._graph.add(
            Stage(
                "restorer",
                f"train restorer {channel.restorer} on {images.words}, {trained_for}",
                {
                    "restorer": deciding(
                        restoration.restorers[channel.restorer],
                        self._contents.feature_weights.get(channel.restorer),
                    ),
                    "images": images.rule,
                    "seed": restoration.seed,
                    "libraries": {name: library_version(name) for name in _LIBRARIES},
                },
                {
                    "originals": images.originals.fingerprint,
                    **{f"compressed {i}": s.fingerprint for i, s in enumerate(compressed)},
                },
                VERSIONS["restorer"],
            )
        )

    def _set(self, channel: Channel, share: PrivilegedShare | None, part: str) -> _Set:
        privileged, settings = self._section.privileged, self._settings
        everything = {"rule": "all"}
        if channel.letter == AUXILIARY:
            auxiliary = self._section.auxiliary
            assert auxiliary is not None  # StudySettings has checked it
            originals = self._graph.other_originals(
                AUXILIARY_SET, auxiliary.data.name, auxiliary.split, auxiliary.prepare
            )
            return _Set(originals, everything, f"auxiliary {auxiliary.data.name}")
        if share is not None:
            rule = {"rule": "share", **share.to_json(), "part": part}
            words = "" if part == WHOLE else f" ({part} half)"
            originals = self._graph.originals(settings.train_split)
            return _Set(originals, rule, f"{percent(share.share)} of {settings.train_split}{words}")
        if privileged.groups is not None:
            rule = {"rule": "groups", "groups": list(privileged.groups)}
            originals = self._graph.originals(settings.train_split)
            return _Set(originals, rule, ", ".join(privileged.groups))
        split = privileged.split or ""
        if privileged.data is None:
            return _Set(self._graph.originals(split), everything, split)
        originals = self._graph.other_originals(
            PRIVILEGED, privileged.data.name, split, settings.prepare
        )
        return _Set(originals, everything, f"{split} of {privileged.data.name}")

    def _specs(self, codec: str, restoration: RestorationSettings) -> list[str]:
        """The codecs that one restorer is trained for."""
        if not restoration.range:
            return [codec]
        family = codecs.family(codec)
        return [spec for spec in self._settings.codecs if codecs.family(spec) == family]

    @property
    def _section(self) -> RestorationSettings:
        section = self._settings.restoration
        assert section is not None  # StudySettings has checked it
        return section


def on_test(train: Channel, test: Channel) -> Channel:
    """The test channel with the training channel's privileged share, if R's restorer rests on it:
    a configuration collects one privileged set.
    """
    return replace(test, share=train.share) if test.letter == RESTORED else test
