"""From facts and pictures to the one file: a template filled in, with its style and script inside."""

from functools import partial
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from rws.cycle.guidance import Guidance, guidance
from rws.data.object_sizes import SIZES
from rws.look.viz import ATTENTION_COLOURS, MISSING_COLOURS
from rws.report import charts
from rws.report import facts as read
from rws.report.again import RIVAL_SAID, Again, gain
from rws.report.encode import gradient
from rws.report.facts import Facts
from rws.report.mended import UNSURE_COLOURS
from rws.report.pictures import (
    BOTH_WRONG,
    DIFFERENCE,
    PLAIN_RIGHT,
    RWS_RIGHT,
    Pictures,
    last_slices,
)

_HERE = Path(__file__).parent
# Tables of more classes can be searched.
MANY = 12
# The longest bar stands for this difference at least, so that a small one does not look large.
LEAST_BAR = 5.0


def number(value: float | None, digits: int = 2) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def signed(value: float | None) -> str:
    """A difference with its sign; a true minus, so that columns align."""
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def _environment() -> Environment:
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {
        "number": number,
        "signed": signed,
        "duration": duration,
        "gain": lambda point: gain(point).replace("-", "−"),
    }
    return made


def _charts(facts: Facts) -> dict[str, Markup]:
    """The figures that the run has numbers for; matplotlib escapes the texts in them."""
    if facts.rounds:
        drawn = charts.svg(lambda: charts.rounds(facts.rounds), "mIoU of the label maps over the rounds")
        return {"miou": Markup(drawn)}
    curves, scored = read.courses(facts), read.weak_slices(facts)
    arms = partial(charts.miou, *curves, facts.trained)
    made = {"miou": charts.svg(arms, "mIoU over the images trained on")}
    if scored:
        stop = facts.config["cycles.limit"], facts.delta
        made["weak"] = charts.svg(lambda: charts.weak(scored, *stop), "Weak slices over the cycles")
    return {name: Markup(text) for name, text in made.items()}


def _passes_chart(again: Again | None) -> dict[str, Markup]:
    if again is None:
        return {}
    drawn = charts.svg(partial(charts.passes, again.curve, again.rival), "mIoU against forward passes")
    return {"passes": Markup(drawn)}


def _guidance_charts(facts: Facts) -> list[Markup]:
    if not _guidance(facts).rows:
        return []
    return [
        Markup(charts.svg(draw, "Missing weight of the stages")) for draw in charts.guidance(facts.cycles)
    ]


def _guidance(facts: Facts) -> Guidance:
    """Empty for a run of SC-CAM, and for one that scored nothing."""
    return guidance(facts.cycles, "fusion" if facts.config["fusion.enabled"] else "retraining")


def _numbers(facts: Facts) -> dict:
    """What differs between the two kinds of run."""
    if facts.rounds:
        return {"arms": [], "epochs": [], "weak": []}
    return {"arms": read.arms(facts), "epochs": read.epochs(facts), "weak": read.weak_slices(facts)}


def _pictures(pictures: Pictures, facts: Facts) -> dict:
    """The pictures with their switches and legends."""
    names = [name for _, name in pictures.networks]
    plain, rws = (names * 2)[:2] if names else ("", "")
    who = {
        RWS_RIGHT: f"{rws} right, {plain} wrong",
        PLAIN_RIGHT: f"{plain} right, {rws} wrong",
        BOTH_WRONG: "both wrong",
    }
    return {
        "samples": pictures.samples,
        "stages": pictures.stages,
        "networks": pictures.networks,
        "kinds": {layer.kind for sample in pictures.samples for layer in sample.layers},
        "slices_cycle": last_slices(facts)[0],
        "bars": {
            "attention": gradient(ATTENTION_COLOURS),
            "missing": gradient(MISSING_COLOURS),
            "unsure": gradient(UNSURE_COLOURS),
        },
        "difference": [(who[kind], "rgb({}, {}, {})".format(*rgb)) for kind, rgb in DIFFERENCE.items()],
    }


def page(facts: Facts, pictures: Pictures, note: str = "", again: Again | None = None) -> str:
    """The whole report as HTML; `note` says why there are no pictures, where there are none."""
    before, after, classes = read.classes(facts)
    template = _environment().from_string((_HERE / "page.html").read_text(encoding="utf-8"))
    text = template.render(
        facts=facts,
        style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        script=Markup((_HERE / "script.js").read_text(encoding="utf-8")),
        charts=_charts(facts) | _passes_chart(again),
        columns=(before, after),
        classes=classes,
        many=len(classes) > MANY,
        longest=max([LEAST_BAR, *(abs(c["gain"]) for c in classes if c["gain"] is not None)]),
        guidance=_guidance(facts),
        guidance_charts=_guidance_charts(facts),
        sizes=SIZES,
        settings=read.settings(facts),
        note=note,
        again=again,
        rival=RIVAL_SAID,
        **_numbers(facts),
        **_pictures(pictures, facts),
    )
    return text.encode(errors="backslashreplace").decode()  # file names may hold bytes that are no text
