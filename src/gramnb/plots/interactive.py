"""Figures that a reader can touch, by plotly, without a kernel.

Their page loads plotly's script from the book's own folder (`book/_ext`). Without it, as in
JupyterLab and on paper, a still figure stands in their place.
"""

from base64 import b64encode
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix, roc_curve

from gramnb.evaluation import CLASSES
from gramnb.plots.style import INK, PAPER, SADNESS, book_style, new


@dataclass(frozen=True, repr=False)
class Interactive:
    """A plotly figure, the still one in its place, and the name of its box on the page."""

    figure: object
    still: Figure
    name: str

    def __repr__(self) -> str:
        """Say what it shows, where nothing can be drawn."""
        return self.still.alt

    def _repr_html_(self) -> str:
        """Return the box with the still figure, which plotly replaces where it is loaded."""
        size = {"autosize": True, "margin": {"l": 8, "r": 8, "b": 8}}
        self.figure.update_layout(template="plotly_white", font={"color": INK, "size": 13}, **size)
        drawn = self.figure.to_json().replace("</", "<\\/")
        still = f"data:image/png;base64,{b64encode(self.still.png()).decode()}"
        return (
            f'<div class="interactive" id="{self.name}"><img alt="{escape(self.still.alt)}" '
            f'src="{still}"></div><script>if (window.Plotly) {{\n'
            f'const box = document.getElementById("{self.name}"), drawn = {drawn};\n'
            "box.replaceChildren();\n"
            "Plotly.newPlot(box, drawn.data, drawn.layout, "
            "{responsive: true, displayModeBar: false}); }</script>"
        )


def forest(table: pd.DataFrame, margin: float, still: Figure) -> Interactive:
    """Return differences as points with intervals; whoever points at one reads where it is from.

    table: by name, from top to bottom, in points: estimate, low, high; `kind`, which sets the
    colour; `source`, a sentence. margin: in points; what counts as no difference is shaded. still:
    the figure for paper.
    """
    from plotly import graph_objects as go

    drawn = go.Figure()
    drawn.add_vrect(-margin, margin, fillcolor=PAPER, opacity=0.15, line_width=0)
    drawn.add_vline(0, line={"color": PAPER, "dash": "dash", "width": 1})
    colours = (PAPER, SADNESS, "#009E73", "#CC79A7")
    for colour, (kind, rows) in zip(colours, table.groupby("kind", sort=False), strict=False):
        up, down = rows["high"] - rows["estimate"], rows["estimate"] - rows["low"]
        drawn.add_scatter(
            x=rows["estimate"].tolist(), y=rows.index.tolist(), name=kind, mode="markers",
            marker={"color": colour, "size": 9},
            error_x={"array": up.tolist(), "arrayminus": down.tolist(), "thickness": 2},
            customdata=rows[["low", "high", "source"]].round(2).values.tolist(),
            hovertemplate="<b>%{y}</b><br>%{x:+.1f} (%{customdata[0]:+.1f} to "
            "%{customdata[1]:+.1f}) points<br>%{customdata[2]}<extra></extra>",
        )  # fmt: skip
    drawn.update_yaxes(autorange="reversed", automargin=True, ticklabelstandoff=6)
    drawn.update_yaxes(categoryorder="array", categoryarray=table.index.tolist())
    drawn.update_xaxes(title="change of accuracy, points", title_font_size=13, zeroline=False)
    below = {"orientation": "h", "x": 0, "xref": "container", "y": 0, "yref": "container"}
    drawn.update_layout(margin={"t": 8}, height=170 + 30 * len(table), legend=below)
    return Interactive(drawn, still, "forest")


def threshold(answers: pd.DataFrame) -> Interactive:
    """Return a slider that moves the threshold over ROC curve, confusion matrix and emotions.

    answers: a row an image: y (1 = sadness), p (calibrated probability of sadness), emotion.
    """
    from plotly.subplots import make_subplots

    limits = np.round(np.arange(0.05, 0.96, 0.05), 2)
    states = [_state(answers, limit) for limit in limits]
    active = int(np.flatnonzero(limits == 0.5)[0])
    first, emotions = states[active], sorted(answers["emotion"].unique())
    titles = ["ROC curve", "Confusion matrix", "Called sadness, by emotion, %"]
    shape = {"rows": 2, "cols": 2, "specs": [[{}, {}], [{"colspan": 2}, None]]}
    drawn = make_subplots(**shape, subplot_titles=titles, vertical_spacing=0.22)
    false, true, _ = roc_curve(answers["y"], answers["p"])
    keep = np.linspace(0, len(false) - 1, min(len(false), 200)).astype(int)
    drawn.add_scatter(
        x=false[keep].round(4).tolist(), y=true[keep].round(4).tolist(), mode="lines",
        line={"color": INK}, hoverinfo="skip", row=1, col=1,
    )  # fmt: skip
    drawn.add_scatter(
        x=first["x"], y=first["y"], mode="markers", marker={"color": SADNESS, "size": 12},
        row=1, col=1,
    )  # fmt: skip
    names = {"x": [f"called<br>{name}" for name in CLASSES], "y": [*CLASSES]}
    drawn.add_heatmap(
        **names, z=first["z"], text=first["text"], texttemplate="%{text}", colorscale="Blues",
        zmin=0, zmax=1.6, showscale=False, hoverinfo="skip", row=1, col=2,
    )  # fmt: skip
    drawn.add_bar(x=emotions, y=first["called"], marker={"color": SADNESS}, row=2, col=1)
    drawn.update_yaxes(range=[0, 100], row=2, col=1)
    drawn.update_yaxes(autorange="reversed", row=1, col=2)
    steps = []
    for limit, s in zip(limits, states, strict=True):
        moved = {
            "x": [s["x"], names["x"], emotions],
            "y": [s["y"], names["y"], s["called"]],
            "z": [None, s["z"], None],
            "text": [None, s["text"], None],
        }
        arguments = [moved, {"title.text": s["title"]}, [1, 2, 3]]
        steps.append({"label": f"{limit:.2f}", "method": "update", "args": arguments})
    slider = {"steps": steps, "active": active, "pad": {"t": 36}}
    drawn.update_layout(
        sliders=[slider | {"currentvalue": {"prefix": "threshold "}}], height=660, margin={"t": 90},
        title={"text": first["title"], "x": 0, "y": 0.97}, showlegend=False,
    )  # fmt: skip
    return Interactive(drawn, _precision_recall(limits, states), "threshold")


def _state(answers: pd.DataFrame, limit: float) -> dict:
    """Return what stands in the figure at one threshold."""
    called = answers["p"] > limit
    counts = confusion_matrix(answers["y"], called)
    shares = counts / counts.sum(axis=1, keepdims=True)
    precision, recall = counts[1, 1] / max(called.sum(), 1), shares[1, 1]
    cells = [f"{n:,}<br>{share:.0%}" for n, share in zip(counts.flat, shares.flat, strict=True)]
    return {
        "x": [float(shares[0, 1].round(4))],
        "y": [float(recall.round(4))],
        "z": shares.round(4).tolist(),
        "text": [cells[:2], cells[2:]],
        "called": (100 * called.groupby(answers["emotion"]).mean()).round(1).tolist(),
        "precision": precision,
        "recall": recall,
        "title": f"Precision of sadness {precision:.0%}, recall {recall:.0%}",
    }


@book_style
def _precision_recall(limits: np.ndarray, states: list[dict]) -> Figure:
    """Precision and recall of sadness in percent against the threshold of the probability above
    which a picture is called sadness.
    """
    figure, ((ax,),) = new(2.8, width=4.8)
    for name, line in {"precision": "-", "recall": "--"}.items():
        ax.plot(limits, [100 * state[name] for state in states], line, label=name)
    ax.set(xlabel="threshold", ylabel="%", ylim=(0, 100))
    ax.legend()
    return figure
