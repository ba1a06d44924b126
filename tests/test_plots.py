"""What the figures show: data where they belong, labels, units, colours that stay apart."""

import inspect

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from gramnb import evaluation, paper, plots
from gramnb.plots.style import CLASS_COLOURS, INK

FUNCTIONS = [each for name, each in vars(plots).items()
             if inspect.isfunction(each) and name != "alt_text"]  # fmt: skip
STEPS = ["listed", "duplicate", "text", "undersampled", "kept"]
COUNTS = pd.DataFrame({"others": [60, 5, 10, 9, 36], "sadness": [40, 3, 4, 0, 33]}, index=STEPS)
ATTRITION = COUNTS.assign(total=COUNTS.sum(axis=1)).rename_axis("step")
MANIFEST = pd.DataFrame(
    {
        "emotion": ["joy"] * 30 + ["fear"] * 20 + ["sadness"] * 50,
        "sadness": [0] * 50 + [1] * 50,
        "split": (["train"] * 8 + ["val", "test"]) * 10,
        "fold": np.arange(100) % 5,
        "dropped": ["text"] + [""] * 99,
    }
)
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
    return {
        "funnel": plots.funnel(ATTRITION, paper.attrition()),
        "class_balance": plots.class_balance(MANIFEST),
        "text_threshold": plots.text_threshold([0, 0.01, 0.3, np.nan], 0.05, [0, 0, 1, 1]),
        "image_grid": plots.image_grid(IMAGES, list("abcde"), [0, 1, 0, 1, 1], columns=3),
        "augmentations": plots.augmentations(IMAGES[0], IMAGES[1:4]),
        "artworks": plots.artworks(
            IMAGES, list("abcde"), [[1, 0.2, 0.6, 0.5, 1], [0.8, 0.2, 0.4, 0.52, 1]]
        ),
        "ensembles": plots.ensembles(IMAGES, [*"abcd", "a long title, " * 4], ASKED),
        "effects": plots.effects({"two": moved(1), "three": moved(3)}),
        "explanations": plots.explanations(IMAGES, maps, ["top", "tap"], names),
        "gram_matrix": plots.gram_matrix(gram),
        "gram_comparison": plots.gram_comparison(IMAGES[:3], [gram, 2 * gram, gram.T], list("abc")),
        "learning_curves": plots.learning_curves(HISTORY),
        "confusion": plots.confusion(predictions),
        "roc": plots.roc({"x": {"k = 4": band}, "y $_$": {"k = 4": band}}, {"x": points}),
        "table3_plot": plots.table3_plot(table3, paper.table3()),
        "differences": plots.differences(compared),
        "by_size": plots.by_size({"bank": sized(72), "plain head": sized(71)}, "modules"),
        "reliability": plots.reliability(curves),
    }


def boxes(texts, renderer):
    return [text.get_window_extent(renderer) for text in texts if text.get_text().strip()]


def texts(artists):
    return [artist.get_text() for artist in artists]


def frames(axes):
    return [to_hex(ax.spines["left"].get_edgecolor()).upper() for ax in axes]


# All figures


def test_every_public_function_is_drawn_here_and_has_an_alt_text(figures):
    assert set(figures) == {each.__name__ for each in FUNCTIONS}
    for draw in FUNCTIONS:
        text = plots.alt_text(draw)
        assert text.endswith(".") and len(text) > 60 and "\n" not in text, draw.__name__


def test_figures_fit_the_page_and_can_be_read(figures):
    for name, figure in figures.items():
        assert figure.get_size_inches()[0] <= plots.WIDTH, name
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
    png, shown = figures["differences"]._repr_png_()
    assert png.startswith(b"\x89PNG")
    said = plots.alt_text(plots.differences)
    assert shown == {"alt": f"{said} Panels: Accuracy; AUC. Rows: k = 4."}
    before = dict(mpl.rcParams)
    plots.learning_curves(HISTORY)
    with pytest.raises(KeyError):
        plots.learning_curves(HISTORY.drop(columns="loss"))
    assert dict(mpl.rcParams) == before


# One by one


def test_funnel_bars_are_shares_of_what_was_listed(figures):
    ours, theirs = figures["funnel"].axes
    drawn = [(bar.get_y() + 0.36, bar.get_width()) for bar in ours.patches]
    for row, counts in enumerate(ATTRITION["total"]):
        assert sum(w for y, w in drawn if round(y) == row) == pytest.approx(counts)
    assert texts(ours.texts) == ["100", "−8", "−14", "−9", "69"]
    assert "−159,782" in texts(theirs.texts)
    with pytest.raises(ValueError, match="not the sum"):
        plots.funnel(ATTRITION.drop("text"), paper.attrition())


def test_class_balance_counts_kept_images_only(figures):
    emotions, splits = figures["class_balance"].axes
    widths = [bar.get_width() for bar in emotions.patches]
    drawn = dict(zip(texts(emotions.get_yticklabels()), widths, strict=True))
    assert drawn == {"sadness": 50, "joy": 29, "fear": 20}
    heights = [bar.get_height() for bar in splits.patches]
    assert sum(heights) == 99 and len(heights) == 6
    assert "50.6 %\nsadness" in texts(splits.texts)  # 40 of 79
    folds = plots.class_balance(MANIFEST.assign(split="")).axes[1]
    assert texts(folds.get_xticklabels()) == [f"fold {n}" for n in range(5)]


def test_text_threshold_counts_both_sides(figures):
    (ax,) = figures["text_threshold"].axes
    counted = ["without caption: 0 of 2 above", "with caption: 1 of 1 above"]
    assert texts(ax.get_legend().get_texts()) == counted
    assert ax.lines[0].get_xdata()[0] == 5
    assert plots.text_threshold([0.1, 0.2], 0).axes  # no threshold: everything with text is above


def test_image_grid_frames_tell_the_class(figures):
    axes = figures["image_grid"].axes
    shown = [ax for ax in axes if ax.images]
    assert len(axes) == 6 and len(shown) == len(IMAGES)
    assert frames(shown) == [CLASS_COLOURS[c] for c in (0, 1, 0, 1, 1)]
    assert texts(plots.image_grid([]).axes[0].texts) == ["no images"]


def test_artworks_name_the_class_and_its_probability(figures):
    titles = [ax.get_title() for ax in figures["artworks"].axes if ax.images]
    assert titles[:3] == ["sadness 0.90 ± 0.14", "others 0.80 ± 0.00", "others 0.50 ± 0.14"]
    assert titles[3].startswith("sadness 0.51")
    alone = plots.artworks(IMAGES[:1], ["x"], [0.25]).axes[0]
    assert (alone.get_title(), alone.get_xlabel()) == ("others 0.75", "x")


def test_ensembles_say_the_mean_and_show_every_run(figures):
    axes = figures["ensembles"].axes
    shown = [ax for ax in axes if ax.images]
    titles = [ax.get_title() for ax in shown]
    assert titles[0] == "k = 0: sadness 0.80 ± 0.14\nk = 4: sadness 0.90 ± 0.14"
    assert titles[4] == "k = 0: sadness 1.00 ± 0.00\nk = 4: others 0.95 ± 0.07"
    assert frames(shown) == [CLASS_COLOURS[c] for c in (1, 0, 0, 1, 0)]  # of k = 4
    strips = [ax for ax in axes if ax.axison and not ax.images]
    assert [ax.get_xlabel() for ax in strips[:4]] == list("abcd")
    _, *lines = strips[1].lines
    drawn = [sorted(line.get_xdata()) for line in lines]
    assert drawn == [[0, 0.2], pytest.approx([0.1]), [0.1, 0.3], pytest.approx([0.2])]
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color()


def test_effects_are_drawn_where_they_are(figures):
    left, right = figures["effects"].axes
    assert texts(left.get_yticklabels()) == ["darker, light × 0.5", "mirrored"]
    means = [line.get_xdata().tolist() for line in right.lines[1:]]
    assert means == [pytest.approx([1.5, 0]), pytest.approx([3, -0.6])]  # no difference
    assert right.collections[0].get_segments()[0][:, 0] == pytest.approx([1.4, 1.6])
    assert right.get_title(loc="left") == "three" and "log-odds" in right.get_xlabel()


def test_gram_matrices_share_a_scale_around_zero(figures):
    shown = [ax.images[0] for ax in figures["gram_comparison"].axes if ax.images]
    maps = [image for image in shown if image.get_cmap().name == "RdBu_r"]
    ((low, high),) = {heat.get_clim() for heat in maps}
    assert len(maps) == 3 and low == -high


def test_explanations_lay_each_map_over_all_of_the_picture():
    figure = plots.explanations(IMAGES[:1], [[-np.eye(2)], [np.eye(4)]], ["top", "tap"])
    picture, *panels, bar = figure.axes
    assert (picture.images[0].get_array() == IMAGES[0]).all()
    assert [ax.get_title().split("\n") for ax in panels] == [["top", "± 1"], ["tap", "± 1"]]
    for ax, sign in zip(panels, (-1, 1), strict=True):
        grey, veil = ax.images
        assert veil.get_extent() == grey.get_extent() == [-0.5, 31.5, 23.5, -0.5]
        assert veil.get_clim() == (-1, 1) and veil.get_array()[0, 0] == sign
        assert veil.get_array()[0, 1] == 0
    assert texts(bar.get_xticklabels()) == ["others", "0", "sadness"]
    colours = panels[0].images[1].cmap
    assert [to_hex(colours(end)).upper() for end in (0.0, 1.0)] == list(CLASS_COLOURS)
    assert colours(0.49)[3] < 0.05 and colours(0.51)[3] < 0.05 and colours(0.0)[3] == 0.9


@pytest.mark.parametrize("count", [1, 5, 12])
def test_the_colour_bar_of_explanations_stands_close_below_them(count):
    names = ["a.jpg"] * count
    figure = plots.explanations(IMAGES[:1] * count, [np.ones((count, 2, 2))], ["top"], names)
    figure.draw(FigureCanvasAgg(figure).get_renderer())
    *panels, bar = (ax.get_position() for ax in figure.axes)
    inches = figure.get_size_inches()[1] * (min(box.y0 for box in panels) - bar.y1)
    assert 0.1 < inches < 0.6


def test_explanations_of_one_kind_share_a_scale(figures):
    shown = [ax for ax in figures["explanations"].axes if ax.images]
    assert len(shown) == 3 * len(IMAGES)
    taps = [ax.images[1].get_array().max() for ax in shown[2::3]]
    limit = np.percentile(np.eye(4)[None] * np.arange(5)[:, None, None], 99)
    assert taps == pytest.approx(np.arange(5) / limit)
    assert shown[2].get_title() == f"tap\n± {limit:.2g}" == shown[5].get_title()
    assert not shown[8].get_title()
    names = [ax.texts[0].get_text() for ax in shown[::3]]
    assert names == ["0.50 a.jpg", "$a^$.jpg", "c", "d", "e" * 54 + "…"]
    many = plots.explanations(IMAGES[:2], np.ones((4, 2, 3, 3)), list("abcd"))
    assert len([ax for ax in many.axes if ax.get_title()]) == 4  # one picture in a row


def test_learning_curves_mark_the_best_validation_accuracy(figures):
    loss, accuracy = figures["learning_curves"].axes
    (best,) = [line for line in accuracy.lines if line.get_marker() == "o"]
    assert best.get_xdata()[0] == 5 and best.get_ydata()[0] == pytest.approx(90)
    (there,) = [line for line in loss.lines if line.get_marker() == "o"]
    assert there.get_ydata()[0] == 0.6
    assert all(float(tick).is_integer() for tick in accuracy.get_xticks())


def test_confusion_prints_shares_of_the_actual_class(figures, predictions):
    seeds = 100 * evaluation.seed_means(predictions).loc["k = 4", "recall_sadness"]
    ax = figures["confusion"].axes[1]
    assert ax.get_title(loc="left") == "k = 4"
    assert ax.texts[3].get_text() == f"{seeds.mean():.1f}\n± {seeds.std():.1f}"
    assert ax.texts[2].get_text() == f"{100 - seeds.mean():.1f}\n± {seeds.std():.1f}"
    assert texts(ax.get_yticklabels()) == ["others\n(40)", "sadness\n(40)"]


def test_roc_shows_area_band_and_the_papers_point(figures, predictions):
    left, right = figures["roc"].axes
    band = evaluation.roc_band(predictions[predictions["k"] == 4], points=21, resamples=20)
    assert f"{band.attrs['auc']:.3f}" in left.get_legend().get_texts()[0].get_text()
    assert np.array_equal(left.lines[1].get_ydata(), band["tpr"]) and len(left.collections) == 1
    point = (left.lines[2].get_xdata()[0], left.lines[2].get_ydata()[0])
    assert point == pytest.approx((0.1975, 0.8283)) and len(right.lines) == 2


def test_table3_plot_has_equally_long_scales(figures):
    ours, theirs = figures["table3_plot"].axes
    assert np.ptp(ours.get_ylim()) == pytest.approx(np.ptp(theirs.get_ylim()))
    points = [line for line in theirs.lines if line.get_marker() == "o"][0]
    assert points.get_ydata() == pytest.approx(paper.table3()["accuracy"])
    bars = theirs.collections[1].get_segments()[0][:, 1]
    assert np.ptp(bars) == pytest.approx(2 * 1.96 * 0.499, abs=0.01)
    assert texts(theirs.get_xticklabels()) == ["0", "2", "3", "4", "5"]


def test_differences_are_drawn_in_percentage_points(figures, predictions):
    table = evaluation.compare(predictions, "baseline", resamples=50)
    accuracy, auc = figures["differences"].axes
    drawn = [line for line in accuracy.lines if line.get_marker() == "o"][0].get_xdata()
    assert drawn == pytest.approx(100 * table.loc[("k = 4", "accuracy"), ["estimate"]])
    assert auc.get_title(loc="left") == "AUC" and "points" in accuracy.get_xlabel()
    assert not accuracy.patches
    (shaded,) = plots.differences(table, margin=1.5).axes[0].patches
    assert (shaded.get_x(), shaded.get_width()) == (-1.5, 3)


def test_accuracy_is_drawn_by_size_in_percent(figures):
    (ax,) = figures["by_size"].axes
    assert ax.get_xlabel() == "modules" and texts(ax.get_xticklabels()) == ["0", "1", "4"]
    lines = {bars.get_label(): bars[0].get_ydata().tolist() for bars in ax.containers}
    assert lines == {"bank": [72, 73, 74], "plain head": [71, 72, 73]}


def test_reliability_names_its_networks(figures):
    above = figures["reliability"].axes[0]
    assert "k = 4" in texts(above.get_legend().get_texts())
    assert to_hex(above.lines[1].get_color()) == INK
