"""What the figures show: data where they belong, labels, units, colours that stay apart."""

import inspect

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb

from gramnb import evaluation, paper, plots
from gramnb.plots.style import CLASS_COLOURS, INK, PAPER

FUNCTIONS = [each for name, each in vars(plots).items()
             if inspect.isfunction(each) and name != "alt_text"]  # fmt: skip
STEPS = ["listed", "duplicate", "text", "undersampled", "kept"]


@pytest.fixture(scope="module")
def attrition():
    table = pd.DataFrame({"others": [60, 5, 10, 9, 36], "sadness": [40, 3, 4, 0, 33]}, index=STEPS)
    return table.assign(total=table.sum(axis=1)).rename_axis("step")


@pytest.fixture(scope="module")
def manifest():
    emotions = ["joy"] * 30 + ["fear"] * 20 + ["sadness"] * 50
    table = pd.DataFrame({"emotion": emotions, "sadness": [0] * 50 + [1] * 50, "fold": -1})
    table["split"] = np.tile(["train"] * 8 + ["val", "test"], 10)
    return table.assign(dropped=np.where(table.index == 0, "text", ""))


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (24, 32, 3), dtype=np.uint8) for _ in range(5)]


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


@pytest.fixture(scope="module")
def history():
    epochs = np.arange(1, 7)
    return pd.DataFrame(
        {"epoch": epochs, "loss": 1 / epochs, "accuracy": 1 - 0.5 / epochs,
         "val_loss": [0.9, 0.7, 0.6, 0.5, 0.6, 0.7], "val_accuracy": [0.5, 0.6, 0.7, 0.8, 0.9, 0.8]}
    )  # fmt: skip


def moved(scale):
    index = pd.MultiIndex.from_product(
        [["darker, light × 0.5", "mirrored"], ["k = 0", "k = 4", "difference"]],
        names=["step", "network"],
    )
    mean = scale * np.array([0.5, 1, 0.5, 0, -0.2, -0.2])
    table = {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "p10": mean - 1, "p90": mean + 2}
    return pd.DataFrame(table, index)


def sized(accuracy):
    table = {"modules": [0, 1, 4], "accuracy": accuracy + np.arange(3), "sd": 0.5}
    return pd.DataFrame(table)


@pytest.fixture(scope="module")
def figures(attrition, manifest, images, predictions, history):
    gram = np.cov(np.random.default_rng(2).normal(size=(6, 50)))
    one = predictions[predictions["seed"] == 0]
    band = evaluation.roc_band(predictions[predictions["k"] == 4], points=21, resamples=20)
    points = {"paper, k = 4": paper.operating_points()["UnbiasedEmo"]}
    asked = {"k = 0": np.array([[0.9, 0.2, 0.5, 0.4, 1], [0.7, 0, 0.5, 0.4, 1]]),
             "k = 4": np.array([[0.8, 0.3, 0.6, 0.5, 0.1], [1, 0.1, 0.2, 0.9, 0]])}  # fmt: skip
    return {
        "funnel": plots.funnel(attrition, paper.attrition()),
        "class_balance": plots.class_balance(manifest),
        "text_threshold": plots.text_threshold([0, 0.01, 0.3, np.nan], 0.05, [0, 0, 1, 1]),
        "image_grid": plots.image_grid(images, list("abcde"), [0, 1, 0, 1, 1], columns=3),
        "augmentations": plots.augmentations(images[0], images[1:4]),
        "artworks": plots.artworks(images, list("abcde"), [0.9, 0.2, 0.5, 0.51, 1], [0.1] * 5),
        "ensembles": plots.ensembles(images, [*"abcd", "a long title, " * 4], asked),
        "effects": plots.effects({"two": moved(1), "three": moved(3)}),
        "explanation": plots.explanation(images[0], [-np.eye(2), np.eye(4)], ["top", "tap"]),
        "explanations": plots.explanations(
            images,
            [np.ones((5, 2, 2)), np.eye(4)[None] * np.arange(5)[:, None, None]],
            ["top", "tap"],
            ["0.50 a.jpg", "$a^$.jpg", "c", "d", "e" * 99],
        ),
        "gram_matrix": plots.gram_matrix(gram),
        "gram_comparison": plots.gram_comparison(images[:3], [gram, 2 * gram, gram.T], list("abc")),
        "learning_curves": plots.learning_curves(history),
        "confusion": plots.confusion(predictions),
        "roc": plots.roc({"x": {"k = 4": band}, "y $_$": {"k = 4": band}}, {"x": points}),
        "table3_plot": plots.table3_plot(
            evaluation.table3(predictions, resamples=50), paper.table3()
        ),
        "differences": plots.differences(evaluation.compare(predictions, "baseline", resamples=50)),
        "by_size": plots.by_size({"bank": sized(72), "plain head": sized(71)}, "modules"),
        "reliability": plots.reliability(
            {v: evaluation.reliability(run) for v, run in one.groupby("variant")}
        ),
    }


def boxes(texts, renderer):
    return [text.get_window_extent(renderer) for text in texts if text.get_text().strip()]


# All figures


def test_every_public_function_is_drawn_here(figures):
    assert set(figures) == {each.__name__ for each in FUNCTIONS}


@pytest.mark.parametrize("draw", FUNCTIONS, ids=lambda each: each.__name__)
def test_every_figure_has_an_alt_text(draw):
    text = plots.alt_text(draw)
    assert text.endswith(".") and len(text) > 60 and "\n" not in text


def test_figures_fit_the_page_and_can_be_read(figures):
    for name, figure in figures.items():
        assert figure.get_size_inches()[0] <= plots.WIDTH, name
        renderer, (width, height) = FigureCanvasAgg(figure).get_renderer(), figure.bbox.size
        shown = [ax for ax in figure.axes if ax.axison]
        labels = [text for ax in shown for text in (ax.xaxis.label, ax.yaxis.label, *ax.texts)]
        titles = [text for ax in shown for text in (ax.title, ax._left_title)]
        legends = [text for legend in figure.legends for text in legend.get_texts()]
        assert all(text.get_fontsize() >= 8 for text in labels + titles + legends), name
        for box in boxes(labels + titles + legends, renderer):
            assert -2 <= box.x0 and box.x1 <= width + 2, name  # pixels
            assert -2 <= box.y0 and box.y1 <= height + 2, name


def test_tick_labels_do_not_overlap(figures):
    for name, figure in figures.items():
        renderer = FigureCanvasAgg(figure).get_renderer()
        for ax in figure.axes:
            low, high = sorted(ax.get_xlim())
            ticks = [t for t in ax.xaxis.get_major_ticks() if low <= t.get_loc() <= high]
            row = boxes([tick.label1 for tick in ticks if tick.label1.get_visible()], renderer)
            assert all(a.x1 <= b.x0 for a, b in zip(row, row[1:], strict=False)), name


def test_axes_carry_their_units(figures):
    for name in ("funnel", "text_threshold", "learning_curves", "table3_plot", "differences"):
        labels = {ax.get_xlabel() for ax in figures[name].axes} | {
            ax.get_ylabel() for ax in figures[name].axes
        }
        assert any("%" in label or "points" in label for label in labels), name


def test_a_figure_shows_itself_as_png(figures):
    assert figures["gram_matrix"]._repr_png_().startswith(b"\x89PNG")


def test_settings_are_left_as_they_were(history):
    before = dict(mpl.rcParams)
    plots.learning_curves(history)
    with pytest.raises(KeyError):
        plots.learning_curves(history.drop(columns="loss"))
    assert dict(mpl.rcParams) == before


def lab(colour):
    """Return CIELAB (D65) of linear RGB."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x = np.array(to_xyz) @ colour / [0.9505, 1, 1.089]
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def deuteranope(colour):
    """Return linear RGB as seen without green cones (Machado et al. 2009)."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881]]  # fmt: skip
    return np.clip(np.array(seen) @ linear, 0, 1)


def test_colours_stay_apart_without_green_cones():
    with mpl.style.context(plots.SHEET):
        variants = mpl.rcParams["axes.prop_cycle"].by_key()["color"][:3]
    assert np.linalg.norm(np.subtract(*(lab(deuteranope(c)) for c in CLASS_COLOURS))) > 80
    palette = [*variants, PAPER]
    for n, one in enumerate(palette):
        for other in palette[:n]:
            assert np.linalg.norm(lab(deuteranope(one)) - lab(deuteranope(other))) > 25
    red_green = [lab(deuteranope(c)) for c in ("#C44040", "#4C8C20")]
    assert np.linalg.norm(np.subtract(*red_green)) < 25  # the check can fail


# One by one


def test_funnel_bars_are_shares_of_what_was_listed(figures, attrition):
    ours, theirs = figures["funnel"].axes
    drawn = [(bar.get_y() + 0.36, bar.get_width()) for bar in ours.patches]
    for row, counts in enumerate(attrition["total"]):
        assert sum(w for y, w in drawn if round(y) == row) == pytest.approx(counts)
    assert [t.get_text() for t in ours.texts] == ["100", "−8", "−14", "−9", "69"]
    assert "−159,782" in [t.get_text() for t in theirs.texts]
    with pytest.raises(ValueError, match="not the sum"):
        plots.funnel(attrition.drop("text"))


def test_class_balance_counts_kept_images_only(figures):
    emotions, splits = figures["class_balance"].axes
    names = [t.get_text() for t in emotions.get_yticklabels()]
    widths = [bar.get_width() for bar in emotions.patches]
    assert dict(zip(names, widths, strict=True)) == {"sadness": 50, "joy": 29, "fear": 20}
    heights = [bar.get_height() for bar in splits.patches]
    assert sum(heights) == 99 and len(heights) == 6
    assert "50.6 %\nsadness" in [t.get_text() for t in splits.texts]  # 40 of 79


def test_class_balance_shows_folds_where_there_is_no_split(manifest):
    table = manifest.assign(split="", fold=np.arange(100) % 5)
    labels = [t.get_text() for t in plots.class_balance(table).axes[1].get_xticklabels()]
    assert labels == [f"fold {n}" for n in range(5)]


def test_text_threshold_counts_both_sides(figures):
    (ax,) = figures["text_threshold"].axes
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert legend == ["without caption: 0 of 2 above", "with caption: 1 of 1 above"]
    assert ax.lines[0].get_xdata()[0] == 5
    assert plots.text_threshold([0.1, 0.2], 0).axes  # no threshold: everything with text is above


def test_image_grid_frames_tell_the_class(figures, images):
    axes = figures["image_grid"].axes
    shown = [ax for ax in axes if ax.images]
    assert len(axes) == 6 and len(shown) == len(images)
    frames = [to_hex(ax.spines["left"].get_edgecolor()).upper() for ax in shown]
    assert frames == [CLASS_COLOURS[c] for c in (0, 1, 0, 1, 1)]
    assert [text.get_text() for text in plots.image_grid([]).axes[0].texts] == ["no images"]


def test_artworks_name_the_class_and_its_probability(figures):
    titles = [ax.get_title() for ax in figures["artworks"].axes if ax.images]
    assert titles[:3] == ["sadness 0.90 ± 0.10", "others 0.80 ± 0.10", "others 0.50 ± 0.10"]
    assert titles[3].startswith("sadness 0.51")


def test_ensembles_say_the_mean_and_show_every_run(figures):
    figure = figures["ensembles"]
    shown = [ax for ax in figure.axes if ax.images]
    titles = [ax.get_title() for ax in shown]
    assert titles[0] == "k = 0: sadness 0.80 ± 0.14\nk = 4: sadness 0.90 ± 0.14"
    assert titles[4] == "k = 0: sadness 1.00 ± 0.00\nk = 4: others 0.95 ± 0.07"
    frames = [to_hex(ax.spines["left"].get_edgecolor()).upper() for ax in shown]
    assert frames == [CLASS_COLOURS[c] for c in (1, 0, 0, 1, 0)]  # of k = 4
    strips = [ax for ax in figure.axes if ax.axison and not ax.images]
    assert [ax.get_xlabel() for ax in strips[:4]] == list("abcd")
    _, *lines = strips[1].lines
    drawn = [sorted(line.get_xdata()) for line in lines]
    assert drawn == [[0, 0.2], pytest.approx([0.1]), [0.1, 0.3], pytest.approx([0.2])]
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color()
    alone = plots.ensembles([np.zeros((9, 9, 3), np.uint8)], ["x"], {"k = 4": [[0.25]]})
    assert alone.axes[0].get_title() == "k = 4: others 0.75"


def test_effects_are_drawn_where_they_are(figures):
    left, right = figures["effects"].axes
    assert [t.get_text() for t in left.get_yticklabels()] == ["darker, light × 0.5", "mirrored"]
    assert left.get_xlim() == right.get_xlim()
    means = [line.get_xdata().tolist() for line in right.lines if line.get_marker() == "o"]
    assert means == [pytest.approx([1.5, 0]), pytest.approx([3, -0.6])]  # no difference
    pale, bars = right.collections[:2]
    assert bars.get_segments()[0][:, 0] == pytest.approx([1.4, 1.6])
    assert pale.get_segments()[0][:, 0] == pytest.approx([0.5, 3.5])
    assert right.get_title(loc="left") == "three"
    assert all("log-odds" in ax.get_xlabel() for ax in (left, right))


def test_augmentations_show_original_and_all_others(figures, images):
    shown = [ax.images[0].get_array() for ax in figures["augmentations"].axes if ax.images]
    assert len(shown) == 4
    assert sum((picture == images[0]).all() for picture in shown) == 1


def test_gram_matrices_share_a_scale_around_zero(figures):
    figure = figures["gram_comparison"]
    maps = [
        ax.images[0] for ax in figure.axes if ax.images and ax.images[0].get_cmap().name == "RdBu_r"
    ]
    limits = {heat.get_clim() for heat in maps}
    assert len(maps) == 3 and len(limits) == 1
    low, high = limits.pop()
    assert low == -high


def test_explanation_lays_each_map_over_all_of_the_picture(figures, images):
    picture, *panels, bar = figures["explanation"].axes
    assert (picture.images[0].get_array() == images[0]).all()
    assert [ax.get_title().split("\n") for ax in panels] == [["top", "± 1"], ["tap", "± 1"]]
    for ax, sign in zip(panels, (-1, 1), strict=True):
        grey, veil = ax.images
        assert veil.get_extent() == grey.get_extent() == [-0.5, 31.5, 23.5, -0.5]
        assert veil.get_clim() == (-1, 1) and veil.get_array()[0, 0] == sign
        assert veil.get_array()[0, 1] == 0
    assert [t.get_text() for t in bar.get_xticklabels()] == ["others", "0", "sadness"]
    assert "log-odds of sadness" in bar.get_xlabel()


def test_explanations_are_in_the_colours_of_what_places_speak_for(figures):
    veil = figures["explanation"].axes[1].images[1].cmap
    assert [to_hex(veil(end)).upper() for end in (0.0, 1.0)] == list(CLASS_COLOURS)
    assert veil(0.49)[3] < 0.05 and veil(0.51)[3] < 0.05 and veil(0.0)[3] == veil(1.0)[3] == 0.9


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_the_colour_bar_of_explanations_stands_close_below_them(images, count):
    pictures = [images[0]] * count
    figure = plots.explanations(pictures, [np.ones((count, 2, 2))], ["top"], ["a.jpg"] * count)
    figure.draw(FigureCanvasAgg(figure).get_renderer())
    *panels, bar = (ax.get_position() for ax in figure.axes)
    inches = figure.get_size_inches()[1] * (min(box.y0 for box in panels) - bar.y1)
    assert 0.1 < inches < 0.6


def test_explanations_of_one_kind_share_a_scale(figures, images):
    axes = figures["explanations"].axes
    shown = [ax for ax in axes if ax.images]
    assert len(shown) == 3 * len(images)
    taps = [ax.images[1].get_array().max() for ax in shown[2::3]]
    limit = np.percentile(np.eye(4)[None] * np.arange(5)[:, None, None], 99)
    assert taps == pytest.approx(np.arange(5) / limit)
    assert shown[2].get_title() == f"tap\n± {limit:.2g}" == shown[5].get_title()
    assert not shown[8].get_title()
    names = [ax.texts[0].get_text() for ax in shown[::3]]
    assert names == ["0.50 a.jpg", "$a^$.jpg", "c", "d", "e" * 54 + "…"]
    many = plots.explanations(images[:2], np.ones((4, 2, 3, 3)), list("abcd"))
    assert len([ax for ax in many.axes if ax.get_title()]) == 4  # one picture in a row


def test_learning_curves_mark_the_best_validation_accuracy(figures, history):
    loss, accuracy = figures["learning_curves"].axes
    (best,) = [line for line in accuracy.lines if line.get_marker() == "o"]
    assert best.get_xdata()[0] == 5 and best.get_ydata()[0] == pytest.approx(90)
    (there,) = [line for line in loss.lines if line.get_marker() == "o"]
    assert there.get_ydata()[0] == 0.6
    assert all(float(tick).is_integer() for tick in accuracy.get_xticks())
    many = pd.concat([history.assign(variant=v, seed=s) for v in "ab" for s in (0, 1)])
    figure = plots.learning_curves(many)
    assert len(figure.axes[0].lines) == 4 * 3
    assert len(figure.legends[0].get_texts()) == 3 + 2


def test_a_legend_of_long_names_stays_on_the_figure(history):
    names = [f"k = 4, {recipe}" for recipe in ("no RandAugment", "cosine schedule", "Adam")]
    figure = plots.learning_curves(pd.concat([history.assign(variant=v, seed=0) for v in names]))
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    box = figure.legends[0].get_window_extent(renderer)
    assert 0 <= box.x0 and box.x1 <= figure.bbox.width


def test_confusion_prints_shares_of_the_actual_class(figures, predictions):
    table = evaluation.confusion(predictions)
    ax = figures["confusion"].axes[1]
    cell = 100 * table.loc[("k = 4", "sadness"), ["sadness", "sd"]]
    assert ax.get_title(loc="left") == "k = 4"
    assert ax.texts[3].get_text() == f"{cell['sadness']:.1f}\n± {cell['sd']:.1f}"


def test_roc_shows_area_band_and_the_papers_point(figures, predictions):
    left, right = figures["roc"].axes
    band = evaluation.roc_band(predictions[predictions["k"] == 4], points=21, resamples=20)
    assert f"{band.attrs['auc']:.3f}" in left.get_legend().get_texts()[0].get_text()
    assert np.array_equal(left.lines[1].get_ydata(), band["tpr"])
    assert len(left.collections) == 1
    assert (left.lines[2].get_xdata()[0], left.lines[2].get_ydata()[0]) == (
        pytest.approx(0.1975), pytest.approx(0.8283))  # fmt: skip
    assert len(right.lines) == 2


def test_table3_plot_has_equally_long_scales(figures, predictions):
    ours, theirs = figures["table3_plot"].axes
    assert np.ptp(ours.get_ylim()) == pytest.approx(np.ptp(theirs.get_ylim()))
    points = [line for line in theirs.lines if line.get_marker() == "o"][0]
    assert points.get_ydata() == pytest.approx(paper.table3()["accuracy"])
    bars = theirs.collections[0].get_segments()[0][:, 1]
    assert np.ptp(bars) == pytest.approx(2 * 1.96 * 0.499, abs=0.01)
    assert [t.get_text() for t in theirs.get_xticklabels()] == ["0", "2", "3", "4", "5"]


def test_differences_are_drawn_in_percentage_points(figures, predictions):
    table = evaluation.compare(predictions, "baseline", resamples=50)
    accuracy, auc = figures["differences"].axes
    drawn = [line for line in accuracy.lines if line.get_marker() == "o"][0].get_xdata()
    assert drawn == pytest.approx(100 * table.loc[("k = 4", "accuracy"), ["estimate"]])
    assert auc.get_title(loc="left") == "AUC" and "points" in accuracy.get_xlabel()


def test_accuracy_is_drawn_by_size_in_percent(figures):
    (ax,) = figures["by_size"].axes
    assert ax.get_xlabel() == "modules"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "1", "4"]
    lines = {bars.get_label(): bars[0].get_ydata().tolist() for bars in ax.containers}
    assert lines == {"bank": [72, 73, 74], "plain head": [71, 72, 73]}


def test_reliability_names_its_networks(figures):
    above = figures["reliability"].axes[0]
    assert "k = 4" in [text.get_text() for text in above.get_legend().get_texts()]
    assert to_hex(above.lines[1].get_color()) == INK
