"""Every page of the published book in a real browser, at the width of a desk and of a phone."""

import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

BOOK = ROOT / "runs" / "published" / "_build" / "html"
TOC = (ROOT / "_toc.yml").read_text(encoding="utf-8")
PAGES = re.findall(r"(?:file|root): (\S+)", TOC)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
WIDTHS = {"phone": 390, "desk": 1280}  # CSS pixels

# What a reader sees of a page. A wide box may scroll by itself; nothing else may pass the edge.
LOOK = """() => {
  const article = document.querySelector("article.bd-article"), edge = window.innerWidth + 1;
  const scrolls = e => e && e !== article &&
    (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const seen = [...article.querySelectorAll("table, pre, img, svg, math, code, p")]
    .filter(e => e.getClientRects().length);
  return {
    headings: [...article.querySelectorAll("h1, h2, h3, h4, h5, h6")].map(e => +e.tagName[1]),
    broken: [...document.images].filter(e => e.complete && !e.naturalWidth).map(e => e.src),
    alts: [...article.querySelectorAll("img")].map(e => e.alt),
    formulas: [...article.querySelectorAll(".math")].filter(e => !e.querySelector("math"))
      .map(e => e.textContent),
    shown: article.querySelectorAll(".cell_output img, figure, table.dataframe").length,
    made: article.querySelectorAll(".made-by").length,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    cut: seen.filter(e => e.getBoundingClientRect().right > edge && !scrolls(e))
      .map(e => e.tagName + ": " + (e.textContent || e.alt).trim().slice(0, 60)),
  };
}"""


@pytest.fixture(scope="module")
def book():
    """Build the published book if it is older than its sources; a warning is an error."""
    build = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "rules", "--nolock",
             "--configfile", "profiles/demo.yaml", "--", "published_book"]  # fmt: skip
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def test_the_book_is_built_without_a_warning(book):
    assert all((BOOK / f"{name}.html").stat().st_size for name in PAGES)


@pytest.fixture(scope="module")
def browser(book):
    """Debian's Chromium, by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not CHROMIUM:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def window(request, browser):
    """A window, as wide as a phone's if nothing is asked; its errors, its requests to elsewhere."""
    width = WIDTHS[getattr(request, "param", "phone")]
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.errors, page.elsewhere = [], []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda said: said.type == "error" and page.errors.append(said.text))
    page.on("request", lambda asked: re.match(r"(file|data|blob):", asked.url)
            or page.elsewhere.append(asked.url))  # fmt: skip
    yield page
    page.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(window, name):
    window.goto((BOOK / f"{name}.html").as_uri())
    for width in WIDTHS.values():
        window.set_viewport_size({"width": width, "height": 844})
        seen = window.evaluate(LOOK)
        assert not window.elsewhere and not window.errors
        assert not seen["broken"] and not seen["formulas"]
        assert seen["headings"][0] == 1 and seen["headings"].count(1) == 1
        steps = zip(seen["headings"], seen["headings"][1:], strict=False)
        assert all(after <= before + 1 for before, after in steps), seen["headings"]
        assert all(len(alt) > 40 and " " in alt for alt in seen["alts"]), seen["alts"]
        assert seen["made"] >= seen["shown"]
        assert not seen["cut"] and seen["overflow"] <= 0, width


def test_figures_are_on_white_in_the_dark(browser):
    page = browser.new_page(color_scheme="dark")
    page.goto((BOOK / "notebooks" / "04_evaluation.html").as_uri())
    style = page.locator(".cell_output img").first.evaluate(
        "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).filter]"
    )
    assert style == ["rgb(255, 255, 255)", "none"]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != style[0]
    page.close()


@pytest.mark.parametrize("window", WIDTHS, indirect=True)
def test_the_slider_moves_the_confusion_matrix(window):
    window.goto((BOOK / "book" / "threshold.html").as_uri())
    read = "[...document.querySelectorAll('#threshold .heatmap-label, #threshold .gtitle')]"
    window.wait_for_function(f"{read}.length == 5")
    before = window.evaluate(f"{read}.map(e => e.textContent)")
    rail = window.locator("#threshold .slider-rail-touch-rect")
    rail.scroll_into_view_if_needed()
    rail = rail.bounding_box()
    window.mouse.click(rail["x"] + 0.8 * rail["width"], rail["y"] + rail["height"] / 2)
    window.wait_for_function(f"{read}.map(e => e.textContent).join() != {','.join(before)!r}")
    after = window.evaluate(f"{read}.map(e => e.textContent)")
    assert len(after) == 5 and all(one != other for one, other in zip(before, after, strict=True))
    assert not window.elsewhere and not window.errors


def test_the_search_needs_no_server(window):
    window.goto((BOOK / "search.html").as_uri() + "?q=Gram")
    window.wait_for_selector("#search-results li a")
    assert not window.elsewhere
