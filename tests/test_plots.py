"""What the figures show: data where they belong, labels, units, colours that stay apart."""

import inspect

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from sklearn.metrics import confusion_matrix

from gramnb import evaluation, paper, plots
from gramnb.plots.style import CLASS_COLOURS, WIDTH

OTHERS = ("alt_text", "save_svg", "forest", "threshold")
FUNCTIONS = [each for name, each in vars(plots).items()
             if inspect.isfunction(each) and name not in OTHERS]  # fmt: skip
ANSWER = pd.DataFrame(
    {"estimate": [0.7, 0.3, -2.0], "low": [0.1, -0.9, -4.5], "high": [1.2, 1.6, 0.2],
     "kind": ["the paper", "ours", "ours"], "source": ["printed", "results/x", "results/y"]},
    index=["paper", "frozen", "elsewhere"],
)  # fmt: skip
STEPS = ["listed", "duplicate", "text", "undersampled", "kept"]
COUNTS = pd.DataFrame({"others": [60, 5, 10, 9, 36], "sadness": [40, 3, 4, 0, 33]}, index=STEPS)
ATTRITION = COUNTS.assign(total=COUNTS.sum(axis=1)).rename_axis("step")
MANIFEST = pd.DataFrame({
    "emotion": ["joy"] * 30 + ["fear"] * 20 + ["sadness"] * 50, "sadness": [0] * 50 + [1] * 50,
    "split": (["train"] * 8 + ["val", "test"]) * 10, "fold": np.arange(100) % 5,
    "dropped": ["text"] + [""] * 99,
})  # fmt: skip
IMAGES = list(np.random.default_rng(0).integers(0, 256, (5, 24, 32, 3), dtype=np.uint8))
ASKED = {"k = 0": np.array([[0.9, 0.2, 0.5, 0.4, 1], [0.7, 0, 0.5, 0.4, 1]]),
         "k = 4": np.array([[0.8, 0.3, 0.6, 0.5, 0.1], [1, 0.1, 0.2, 0.9, 0]])}  # fmt: skip
HISTORY = pd.DataFrame(
    {"epoch": np.arange(1, 7), "loss": 1 / np.arange(1, 7), "accuracy": 1 - 0.5 / np.arange(1, 7),
     "val_loss": [0.9, 0.7, 0.6, 0.5, 0.6, 0.7], "val_accuracy": [0.5, 0.6, 0.7, 0.8, 0.9, 0.8]}
)  # fmt: skip


@pytest.fixture(scope="module")
def predictions():
    random = np.random.default_rng(1)
    y = np.arange(80) % 2
    frames = [
        pd.DataFrame({"image_id": np.arange(80), "y": y, "variant": name, "k": k, "seed": seed,
                      "p_sadness": np.clip(0.35 + 0.3 * y + random.normal(0, 0.2, 80), 0, 1)})
        for k, name in ((0, "baseline"), (4, "k = 4"))
        for seed in range(3)
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def moved(scale):
    steps, networks = ["darker, light × 0.5", "mirrored"], ["k = 0", "k = 4", "difference"]
    index = pd.MultiIndex.from_product([steps, networks], names=["step", "network"])
    mean = scale * np.array([0.5, 1, 0.5, 0, -0.2, -0.2])
    return pd.DataFrame({"mean": mean, "low": mean - 0.1, "high": mean + 0.1}, index)


def sized(accuracy):
    return pd.DataFrame({"modules": [0, 1, 4], "accuracy": accuracy + np.arange(3), "sd": 0.5})


@pytest.fixture(scope="module")
def figures(predictions):
    gram = np.cov(np.random.default_rng(2).normal(size=(6, 50)))
    one = predictions[predictions["seed"] == 0]
    band = evaluation.roc_band(predictions[predictions["k"] == 4], points=21, resamples=20)
    points = {"paper, k = 4": paper.operating_points()["UnbiasedEmo"]}
    maps = [np.ones((5, 2, 2)), np.eye(4)[None] * np.arange(5)[:, None, None]]
    compared = evaluation.compare(predictions, "baseline", resamples=50)
    table3 = evaluation.table3(predictions, resamples=50)
    names = ["0.50 a.jpg", "$a^$.jpg", "c", "d", "e" * 99]
    curves = {v: evaluation.reliability(run) for v, run in one.groupby("variant")}
    grams, letters = [gram, 2 * gram, gram.T], list("abcde")
    given = {
        "funnel": (ATTRITION, paper.attrition()),
        "class_balance": (MANIFEST,),
        "text_threshold": ([0, 0.01, 0.3, np.nan], 0.05, [0, 0, 1, 1]),
        "image_grid": (IMAGES, letters, [0, 1, 0, 1, 1], 3),
        "augmentations": (IMAGES[0], IMAGES[1:4]),
        "artworks": (IMAGES, letters, ASKED["k = 4"]),
        "ensembles": (IMAGES, [*"abcd", "a long title, " * 4], ASKED),
        "effects": ({"two": moved(1), "three": moved(3)},),
        "explanations": (IMAGES, maps, ["top", "tap"], names),
        "gram_matrix": (gram,),
        "gram_comparison": (IMAGES[:3], grams, letters[:3]),
        "learning_curves": (HISTORY,),
        "confusion": (predictions,),
        "roc": ({"x": {"k = 4": band}, "y $_$": {"k = 4": band}}, {"x": points}),
        "table3_plot": (table3, paper.table3()),
        "differences": (compared, 1.0),
        "estimates": (ANSWER, 1.0),
        "by_size": ({"bank": sized(72), "plain head": sized(71)}, "modules"),
        "reliability": (curves,),
    }
    return {name: getattr(plots, name)(*arguments) for name, arguments in given.items()}


def boxes(texts, renderer):
    return [text.get_window_extent(renderer) for text in texts if text.get_text().strip()]


def texts(artists):
    return [artist.get_text() for artist in artists]


# All figures


def test_every_public_function_is_drawn_here_and_has_an_alt_text(figures):
    assert set(figures) == {each.__name__ for each in FUNCTIONS}
    for draw in FUNCTIONS:
        text = plots.alt_text(draw)
        assert text.endswith(".") and len(text) > 60 and "\n" not in text, draw.__name__


def test_figures_fit_the_page_and_can_be_read(figures):
    for name, figure in figures.items():
        assert figure.get_size_inches()[0] <= WIDTH, name
        renderer, (width, height) = FigureCanvasAgg(figure).get_renderer(), figure.bbox.size
        shown = [ax for ax in figure.axes if ax.axison]
        labels = [text for ax in shown for text in (ax.xaxis.label, ax.yaxis.label, *ax.texts)]
        labels += [text for ax in shown for text in (ax.title, ax._left_title)]
        labels += [text for legend in figure.legends for text in legend.get_texts()]
        assert all(text.get_fontsize() >= 8 for text in labels), name
        for box in boxes(labels, renderer):
            assert -2 <= box.x0 and box.x1 <= width + 2, name  # pixels
            assert -2 <= box.y0 and box.y1 <= height + 2, name
        for ax in figure.axes:
            low, high = sorted(ax.get_xlim())
            ticks = [t for t in ax.xaxis.get_major_ticks() if low <= t.get_loc() <= high]
            row = boxes([tick.label1 for tick in ticks if tick.label1.get_visible()], renderer)
            assert all(a.x1 <= b.x0 for a, b in zip(row, row[1:], strict=False)), name


def test_a_figure_shows_itself_and_leaves_settings_as_they_were(figures):
    (png,), (shown,) = (each.values() for each in figures["differences"]._repr_mimebundle_())
    assert png.startswith(b"\x89PNG")
    said = plots.alt_text(plots.differences)
    assert shown == {"alt": f"{said} Panels: Accuracy; AUC. Rows: k = 4."}
    before = dict(mpl.rcParams)
    plots.learning_curves(HISTORY)
    with pytest.raises(KeyError):
        plots.learning_curves(HISTORY.drop(columns="loss"))
    assert dict(mpl.rcParams) == before


# One by one


def dots(ax):
    (line,) = [line for line in ax.lines if line.get_marker() == "o"]
    return line.get_xdata(), line.get_ydata()


def test_bars_count_the_images(figures):
    ours, theirs = figures["funnel"].axes
    assert texts(ours.texts) == ["100", "−8", "−14", "−9", "69"]
    assert "−159,782" in texts(theirs.texts)
    emotions, splits = figures["class_balance"].axes  # of kept images only
    widths = [bar.get_width() for bar in emotions.patches]
    drawn = dict(zip(texts(emotions.get_yticklabels()), widths, strict=True))
    assert drawn == {"sadness": 50, "joy": 29, "fear": 20}
    assert sum(bar.get_height() for bar in splits.patches) == 99
    counted = ["without caption: 0 of 2 above", "with caption: 1 of 1 above"]
    assert texts(figures["text_threshold"].axes[0].get_legend().get_texts()) == counted


def test_points_stand_where_their_numbers_say(figures, predictions):
    loss, accuracy = figures["learning_curves"].axes  # the best epoch by validation accuracy
    assert (*dots(loss), *dots(accuracy)) == ([5], [0.6], [5], pytest.approx([90]))
    table = evaluation.compare(predictions, "baseline", resamples=50)
    points = 100 * table.loc[("k = 4", "accuracy"), "estimate"]
    assert dots(figures["differences"].axes[0])[0] == pytest.approx([points])
    band = evaluation.roc_band(predictions[predictions["k"] == 4], points=21, resamples=20)
    curve, point = figures["roc"].axes[0].lines[1:3]
    assert np.array_equal(curve.get_ydata(), band["tpr"])
    assert point.get_xydata()[0] == pytest.approx((0.1975, 0.8283))
    moves = [line.get_xdata() for line in figures["effects"].axes[1].lines[1:]]
    assert moves == [pytest.approx([1.5, 0]), pytest.approx([3, -0.6])]
    lines = [bars[0].get_ydata().tolist() for bars in figures["by_size"].axes[0].containers]
    assert lines == [[72, 73, 74], [71, 72, 73]]
    seeds = 100 * evaluation.seed_means(predictions).loc["k = 4", "recall_sadness"]
    said = figures["confusion"].axes[1].texts[3].get_text()
    assert said == f"{seeds.mean():.1f}\n± {seeds.std():.1f}"


def test_explanations_lay_each_map_over_all_of_the_picture():
    figure = plots.explanations(IMAGES[:1], [[-np.eye(2)], [np.eye(4)]], ["top", "tap"])
    picture, *panels, _ = figure.axes
    assert (picture.images[0].get_array() == IMAGES[0]).all()
    for ax, sign in zip(panels, (-1, 1), strict=True):
        grey, veil = ax.images
        assert veil.get_extent() == grey.get_extent() == [-0.5, 31.5, 23.5, -0.5]
        assert veil.get_clim() == (-1, 1) and veil.get_array()[0, 0] == sign
    colours = panels[0].images[1].cmap  # others' and sadness', and nothing between
    assert [to_hex(colours(end)).upper() for end in (0.0, 1.0)] == list(CLASS_COLOURS)
    assert colours(0.49)[3] < 0.05 and colours(0.0)[3] == 0.9


# Interactive figures


def test_the_forest_shows_each_interval_and_where_it_is_from(figures):
    forest = plots.forest(ANSWER, 1.0, figures["estimates"])
    html = forest._repr_html_()
    theirs, ours = forest.figure.to_plotly_json()["data"]
    assert (theirs["name"], ours["name"]) == ("the paper", "ours")
    assert list(ours["y"]) == ["frozen", "elsewhere"] and list(ours["x"]) == [0.3, -2.0]
    for sign, side, end in ((1, "array", "high"), (-1, "arrayminus", "low")):
        ends = np.add(ours["x"], sign * np.array(ours["error_x"][side]))
        np.testing.assert_allclose(ends, ANSWER[end].iloc[1:])
    assert [each[-1] for each in ours["customdata"]] == ["results/x", "results/y"]
    assert "<img alt=" in html and "<script src" not in html and html.count("</script>") == 1
    assert "percent interval" in repr(forest)


def test_each_step_of_the_slider_is_what_scikit_learn_counts():
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 300)
    emotion = np.where(y == 1, "sadness", random.choice(["fear", "happiness"], 300))
    answers = pd.DataFrame({"y": y, "p": random.beta(1 + y, 2 - y), "emotion": emotion})
    figure = plots.threshold(answers).figure
    (slider,) = figure.layout.sliders
    assert slider.steps[slider.active].label == "0.50"
    for step in slider.steps:
        moved, title, _ = step.args
        called = answers["p"] > float(step.label)
        table = confusion_matrix(y, called)
        assert moved["text"][1] == [[f"{n}<br>{n / row.sum():.0%}" for n in row] for row in table]
        assert moved["y"][0] == [pytest.approx(called[y == 1].mean(), abs=1e-4)]
        assert f"recall {called[y == 1].mean():.0%}" in title["title.text"]
        fear = 100 * called[answers["emotion"] == "fear"].mean()
        assert moved["y"][2][0] == pytest.approx(fear, abs=0.06)
