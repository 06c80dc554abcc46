"""What ``ratewise store info`` says of a store, line by line."""

from __future__ import annotations

from typing import Any

_BARS = 12


def fact_lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and text of each fact of :func:`ratewise.data.contents.store_info`."""
    psnr = facts["mean_psnr"]
    lossless = f" ({facts['lossless']} lossless)" if facts["lossless"] else ""
    versions = ", ".join(f"{name} {value}" for name, value in facts["versions"].items())
    control = facts["rate_control"]
    fitted = []
    if control:
        kind, _, said = control_line(control).partition(": ")
        fitted = [
            (kind, said),
            ("points", _histogram(facts["operating_points"])),
        ]
    labelled = []
    if facts["labels"] is not None:
        number = len(facts["labels"])
        classes = f"{number} class{'' if number == 1 else 'es'}"
        labelled = [("labels", f"{facts['labelled']} images have one, of {classes}")]
    return [
        ("codec", f"{facts['codec']} ({versions})" if versions else facts["codec"]),
        *fitted,
        ("images", f"{facts['images']} ({facts['masks']} with masks, {facts['failed']} failed)"),
        *labelled,
        ("sizes", ", ".join(f"{size} ({n})" for size, n in list(facts["sizes"].items())[:5])),
        ("groups", str(len(facts["groups"]))),
        ("bytes", f"{facts['bytes']:,} (sources {facts['source_bytes']:,})"),
        ("rate", f"{facts['bpp']:.4f} bpp"),
        ("PSNR", ("-" if psnr is None else f"{psnr:.2f} dB") + lossless),
        ("classes", ", ".join(facts["classes"]) if facts["classes"] else "-"),
    ]


def control_line(control: dict[str, Any]) -> str:
    """How a store's rates were chosen, what for, and what came of it."""
    if control["budget"] is None:
        return _agreement_line(control)
    share = control["used"] / control["budget"]
    line = f"budget: {control['used']:,} of {control['budget']:,} bytes ({share:.2%}), "
    if control.get("model"):
        mean = control.get("divergence")
        line += f"least divergence of {_model(control)} over {control['points']}"
        line += "" if mean is None else f", {mean:.4g} nats in the mean"
    else:
        line += f"best {control['objective']} over {control['points']}"
    return line if control["binding"] else line + "; not binding: every image is at its best"


def _agreement_line(control: dict[str, Any]) -> str:
    agreement = control["agreement"]
    counted = "images" if agreement["of"] == "images" else "pixels in the mean"
    line = (
        f"agreement: {_model(control)} agrees on {agreement['reached']:.2%} of {counted} "
        f"(asked: {agreement['asked']:.6g} of "
        f"{'images' if agreement['of'] == 'images' else 'each image'}), "
        f"smallest files over {control['points']}"
    )
    short = agreement["short"]
    if not short:
        return line
    return f"{line}; {short} image{'' if short == 1 else 's'} short of it"


def _model(control: dict[str, Any]) -> str:
    from ratewise.data.rate_control import short_digest

    return f"model {short_digest(control['model'])}"


def _histogram(points: dict[str, int]) -> str:
    """Images per operating point, in at most :data:`_BARS` steps of neighbouring points."""
    from ratewise.codecs import kind

    name = next(iter(points), "").partition(":")[0]
    point = kind(name).range() if name else None
    if point is None:
        return "-"
    found = [(_value(spec, point.name), images) for spec, images in points.items()]
    per_bar = -(-len(found) // _BARS)
    bars = [found[start : start + per_bar] for start in range(0, len(found), per_bar)]
    spans = (
        (bar[0][0] if len(bar) == 1 else f"{bar[0][0]}-{bar[-1][0]}", sum(n for _, n in bar))
        for bar in bars
    )
    return f"{point.name} " + ", ".join(f"{span} ({images})" for span, images in spans)


def _value(spec: str, option: str) -> str:
    """``37`` of ``bpg:qp=37,chroma=444`` and ``qp``."""
    pairs = (part.partition("=") for part in spec.partition(":")[2].split(","))
    return next((value for key, _, value in pairs if key == option), "?")
