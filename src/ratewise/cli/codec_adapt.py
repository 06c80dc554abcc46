"""``ratewise codec adapt``, and ``codec forgetting``, which compares ways to do so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratewise.cli.support import JsonOption, QuietOption, friendly_errors, print_json

if TYPE_CHECKING:
    from ratewise.neural.adaptation.settings import AdaptationSettings
    from ratewise.neural.weights import PackedModel

Images = Annotated[
    Path, typer.Argument(metavar="IMAGES", help="A folder of images of the new domain.")
]


def adapt(
    images: Images,
    codec: Annotated[
        str, typer.Option("--codec", "-c", help="The source, or several: msh:quality=1,3,5.")
    ] = "msh:quality=3",
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A folder for the adaptations and their logs.")
    ] = Path("adaptations"),
    name: Annotated[
        str | None,
        typer.Option("--name", help="What they are called.", show_default="the folder's name"),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", "-m", help="cawf, low_rank or finetune.")
    ] = "cawf",
    size: Annotated[
        float | None,
        typer.Option(
            "--size", "-s", help="At most this share of the source's parameters is added."
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--images", "-n", min=2, help="Take so many of the images.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another setting: --set steps=3000 (repeatable)."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Adapt a learned codec to your images; leaves a small file for each source.

    The source stays as it is, and so do the files that it wrote. Use the result as
    msh:quality=3,adaptations=DIR. Interrupted and run again, it goes on.

    Example: ratewise codec adapt frames --codec msh:quality=3 --out adaptations --name frames
    """
    with friendly_errors():
        from ratewise.data.photographs import open_photographs, some_of
        from ratewise.errors import InputError
        from ratewise.neural.adaptation.settings import AUTO, NONE, AdaptationSettings
        from ratewise.neural.training.settings import ImagesSettings
        from ratewise.settings_files import overridden, parse_overrides
        from ratewise.validation import validate

        values: dict[str, Any] = {"method": method}
        values |= {} if size is None else {"size": size}
        given = overridden(values, parse_overrides(overrides or []))
        settings = validate(AdaptationSettings, given, "codec adapt")
        called = name or images.resolve().name
        if not called.replace("-", "").replace("_", "").isalnum():
            raise InputError(f"--name {called!r}: must be letters, digits, - and _")
        if called in (AUTO, NONE):
            raise InputError(f"--name {called}: means something else in adaptation={called}")
        sources = _sources(codec)
        photographs = open_photographs([ImagesSettings(root=str(images))], Path())
        if count is not None:
            photographs = some_of(photographs, count, settings.seed)

        from ratewise.neural.adaptation.adaptation import load_adaptation
        from ratewise.neural.adaptation.run import adapt as train
        from ratewise.neural.weights import load

        wanted = [
            (f"{called}-{suffix}", load(weights), out / f"{called}-{suffix}.safetensors")
            for suffix, weights in sources.items()
        ]
        for _, source, path in wanted:
            _check_free(path, source, settings, len(photographs))
        made = []
        for title, source, path in wanted:
            adaptation = train(
                source,
                photographs,
                settings,
                out / "training" / title,
                name=called,
                quiet=quiet,
            )
            if path.exists() and load_adaptation(path).fingerprint != adaptation.fingerprint:
                raise InputError(_taken(path))
            adaptation.save(path)
            made.append({"adaptation": str(path), **_facts(adaptation.about, path)})
            if not as_json:
                print(_line(made[-1]))
        if as_json:
            print_json(made)


def _check_free(path: Path, source: PackedModel, settings: AdaptationSettings, images: int) -> None:
    """Raise :class:`InputError` if another adaptation has the place of the one to be made."""
    from ratewise.errors import InputError
    from ratewise.neural.adaptation.adaptation import load_adaptation

    if not path.exists():
        return
    there = load_adaptation(path)
    now = (source.fingerprint, settings.deciding(), images)
    if (there.source, there.about.get("settings"), there.about.get("images")) != now:
        raise InputError(_taken(path))


def _taken(path: Path) -> str:
    return (
        f"{path}: is another adaptation, without which the files that it coded cannot be read: "
        "give another --name or --out, or move it"
    )


def forgetting(
    settings: Annotated[
        Path, typer.Argument(metavar="SETTINGS", help="A settings file (YAML) of what to compare.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Tables, report, adaptations.", show_default="runs/NAME"),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option("--target", help="Only this one, so that processes may share (repeatable)."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Replace a value: --set seed=1 (repeatable)."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Compare ways to adapt a codec: what each gains, and what it forgets.

    Leaves points.csv, bdrate.csv, forgetting.csv, adaptations.csv, report.html and pictures.
    Interrupted and run again, it goes on.

    Example: ratewise codec forgetting configs/adaptation/msh-small.yaml --out runs/adaptation
    """
    with friendly_errors():
        from ratewise.settings_files import parse_overrides, read_settings
        from ratewise.study.adaptation.settings import ForgettingSettings

        chosen = read_settings(
            settings, ForgettingSettings, "settings file", parse_overrides(overrides or [])
        )
        folder = out or Path("runs") / chosen.name

        from ratewise.report.adaptation_pictures import write_pictures
        from ratewise.report.adaptation_report import write_adaptation_report
        from ratewise.study.adaptation.run import run_forgetting

        found = run_forgetting(
            chosen,
            folder,
            base=settings.resolve().parent,
            only=targets or (),
            quiet=quiet,
            said=None if quiet else print,
            drawn=lambda sheets: write_pictures(folder / "pictures", sheets),
        )
        write_adaptation_report(folder / "report.html", found)
        print(f"report: {folder / 'report.html'}")


def _sources(spec: str) -> dict[str, Path]:
    """The packed weights of a spec or sweep, by what tells their adaptations apart."""
    from ratewise import codecs
    from ratewise.errors import InputError
    from ratewise.neural.codec import MshCodec

    found: dict[str, Path] = {}
    for one in codecs.expand(spec):
        codec = codecs.codec(one)
        if not isinstance(codec, MshCodec):
            raise InputError(f"--codec {one}: only msh can be adapted")
        if codec.adaptations:
            raise InputError(f"--codec {one}: name the source without adaptations")
        found[codec.path.stem if codec.weights else f"q{codec.quality}"] = codec.path
    return found


def _facts(about: Any, path: Path) -> dict[str, Any]:
    before, after = about["before"], about["after"]
    return {
        "bytes": path.stat().st_size,
        "parameters": about["parameters"],
        "images": about["images"],
        "held_out": about["held_out"],
        "steps": about["steps"],
        "loss_before": before["holdout_loss"],
        "loss_after": after["holdout_loss"],
        "bpp_before": before["holdout_bpp"],
        "bpp_after": after["holdout_bpp"],
        "helped": about["helped"],
    }


def _line(facts: dict[str, Any]) -> str:
    change = facts["loss_after"] / facts["loss_before"] - 1
    verdict = "" if facts["helped"] else "; it did not help: keep to the source"
    return (
        f"{facts['adaptation']}: {facts['bytes']:,} bytes; lambda D + R of {facts['held_out']} "
        f"images held out {facts['loss_before']:.4f} to {facts['loss_after']:.4f} "
        f"({100 * change:+.1f} %){verdict}"
    )
