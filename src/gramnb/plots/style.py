"""What all figures share: the style sheet, the colours, how a figure is made."""

from collections.abc import Callable
from functools import wraps
from io import BytesIO
from pathlib import Path

from matplotlib import rc_context, rcParams, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from gramnb import runs
from gramnb.evaluation import CLASSES

SHEET = Path(__file__).parents[1] / "gramnb.mplstyle"
WIDTH = 7.0  # inches, the width of a page of the book
OTHERS, SADNESS = "#E69F00", "#0072B2"  # of Okabe and Ito's palette
INK, PAPER = "#333333", "#8A8A8A"  # text; what the paper published, and reference lines
CLASS_COLOURS = (OTHERS, SADNESS)
SQUARES = {c: {"color": colour, "marker": "s", "linestyle": ""}
           for c, colour in zip(CLASSES, CLASS_COLOURS, strict=True)}  # fmt: skip


class BookFigure(Figure):
    """A figure that a notebook shows without pyplot, in the book's look, with its alt text.

    It is shown as wide as a page, so that letters have one size in the whole book.
    """

    alt = ""

    def _repr_mimebundle_(self, **_) -> tuple[dict, dict]:  # goes before what pyplot registers
        return {"image/png": self.png()}, {"image/png": {"alt": self.alt}}

    def png(self) -> bytes:
        """Return the figure as a page shows it."""
        width, height = self.get_size_inches()
        page = Bbox.from_extents(0, 0, max(width, WIDTH), height)
        with style.context(SHEET, after_reset=True), BytesIO() as buffer:
            self.savefig(buffer, format="png", dpi=self.dpi, bbox_inches=page)
            return buffer.getvalue()


def book_style(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the book's style and leave no trace of it in matplotlib's settings."""

    @wraps(draw)
    def drawn(*args, **options) -> Figure:
        with style.context(SHEET, after_reset=True):
            figure = draw(*args, **options)
            figure.draw_without_rendering()  # ticks made later would miss the style
            figure.alt = " ".join([alt_text(draw), *_written(figure)])
        return figure

    return drawn


def new(height: float, rows: int = 1, columns: int = 1, width: float = WIDTH, **options):
    """Return a figure of so many inches and its axes, (rows, columns); options as subplots'."""
    figure = BookFigure(figsize=(width, height))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def nothing(what: str) -> Figure:
    """Return a figure that says that there is none of what it would show."""
    figure, ((ax,),) = new(0.4)
    ax.set_axis_off()
    ax.text(0, 0.5, what, va="center")
    return figure


def save_svg(figure: Figure, path: str | Path, maker: str) -> None:
    """Write a figure of the book, the same bytes every time, with the name of what made it."""
    with runs.atomic(runs.resolve(path)) as temporary:
        with rc_context({"svg.hashsalt": "gramnb"}):
            figure.savefig(temporary, metadata={"Date": None})
        drawn = temporary.read_text("utf-8")
        made = f"<!-- made by {maker} -->\n<svg"
        temporary.write_text(drawn.replace("<svg", made, 1), encoding="utf-8")


def look(n: int, **more) -> dict:
    """Return colour and marker of the n-th network, the colour resolved from the style's cycle."""
    cycle = rcParams["axes.prop_cycle"].by_key()["color"]
    return {"color": cycle[n % len(cycle)], "marker": "osD^v"[n % 5]} | more


def legend(figure: Figure, looks: dict[str, dict], columns: int | None = None, **place) -> None:
    """Set a legend of lines, {label: look}, outside the axes, below them unless told otherwise."""
    handles = [Line2D([], [], label=label, **each) for label, each in looks.items()]
    place = {"loc": "outside lower center"} | place
    figure.legend(handles=handles, ncols=columns or len(handles), **place)


def bare(axes: Axes) -> None:
    """Take grid, spines and tick marks away, for pictures and tables."""
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def alt_text(draw: Callable[..., Figure]) -> str:
    """Return what a plotting function's figures show: its docstring's first paragraph."""
    return " ".join(draw.__doc__.split("\n\n")[0].split())


def _written(figure: Figure) -> list[str]:
    """Return what is written in a figure: a sentence each for its panels, rows and legends."""
    rows = [tick.get_text() for ax in figure.axes for tick in ax.get_yticklabels()]
    legends = [*figure.legends, *filter(None, (ax.get_legend() for ax in figure.axes))]
    shown = {
        "Panels": [ax.get_title(place) for ax in figure.axes for place in ("left", "center")],
        "Rows": [text for text in rows if any(map(str.isalpha, text))],
        "Legend": [text.get_text() for each in legends for text in each.get_texts()],
    }
    sentences = []
    for name, texts in shown.items():
        if words := dict.fromkeys(" ".join(text.split()) for text in texts if text.strip()):
            sentences.append(f"{name}: {'; '.join(words)}.")
    return sentences
