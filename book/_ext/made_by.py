"""What the build adds to the book's pages: alt texts, what made each thing, formulas, buttons.

- An image of a notebook takes its alt text from its output's metadata (`gramnb.plots`).
- Below a figure or table stands what made it: a notebook's cell, a command, or a file.
- A page that was executed ends with "This run"; the first page has the times of all.
- A page with an interactive figure loads plotly's script, which is copied beside the pages.
- Formulas become MathML, which browsers draw without a script.
- BOOK_REPOSITORY=https://host/owner/name adds buttons to launch, edit and report; without it the
  book has none. Launched are the notebooks of the branch `launch` (launch.py).
"""

import os
import re
import shutil
from base64 import b64decode
from hashlib import sha256
from html import escape
from importlib.util import find_spec
from pathlib import Path

import latex2mathml.converter
import nbformat
from docutils import nodes
from pydata_sphinx_theme.utils import get_theme_options_dict

from gramnb.runs import commit

MADE_BY = re.compile(r"<!-- (?:\w+: )?made by (\S+) -->")


def key(data: str, mime: str) -> str:
    """Return the name that MyST-NB gives to an image, and a like one of a table."""
    content = data.strip().encode() if mime == "text/html" else b64decode(data)
    return sha256(content).hexdigest()


def read_notebooks(app):
    """Note of every output what made it and what its alt text is: it may be glued elsewhere."""
    app.made, app.notebooks, app.interactive = {}, {}, set()
    for path in sorted(Path(app.srcdir).glob("[!_]*/*.ipynb")):
        name = str(path.relative_to(app.srcdir).with_suffix(""))
        app.notebooks[name] = notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                for mime, data in output.get("data", {}).items():
                    mime = mime.removeprefix("application/papermill.record/")  # of glue
                    if mime in ("image/png", "image/jpeg", "text/html"):
                        alt = output.metadata.get(mime, {}).get("alt")
                        place = (f"{name}.ipynb", f"cell {cell.execution_count}", alt)
                        app.made.setdefault(key(data, mime), place)


def line(app, file: str, more: str = "") -> nodes.raw:
    """Return the line that names what made a thing, linked where the repository is known.

    A script that has left the tree is named with a commit that has it: `script.py@commit`.
    """
    (file, _, commit), url = escape(file).partition("@"), app.config.html_context.get("repository")
    shown = f'<a href="{url}/blob/{commit or "main"}/{file}">{file}</a>' if url else file
    shown += commit and f" at commit {commit}"
    return raw(f'<p class="made-by">Made by {shown}{more and ", "}{more}</p>')


def raw(html: str) -> nodes.raw:
    """Return a piece of HTML as a node."""
    return nodes.raw("", html, format="html")


def add_to_page(app, document, docname):
    """Give alt texts to a page's images, and lines of what made them to its figures and tables."""
    made_by = ""
    for node in list(document.findall()):
        if isinstance(node, nodes.image):
            name = Path(node["uri"]).stem
            if name in app.made:
                file, cell, alt = app.made[name]
                node["alt"] = alt or node.get("alt", "")
                add_after(node, line(app, file, cell))
            elif isinstance(node.parent, nodes.figure):
                add_after(node.parent, line(app, *drawn_by(app, node["uri"])))
        elif isinstance(node, nodes.raw) and (found := MADE_BY.match(node.astext())):
            made_by = found[1]
        elif isinstance(node, nodes.raw) and node.astext().startswith("<!-- end"):
            made_by = ""
        elif isinstance(node, nodes.raw):
            name = key(node.astext(), "text/html")
            if name in app.made and "<table" in node.astext():
                node.children = [nodes.Text(set_type(node.astext()))]
                add_after(node, line(app, *app.made[name][:2]))
            elif name in app.made and 'class="interactive"' in node.astext():
                app.interactive.add(docname)
                add_after(node, line(app, *app.made[name][:2]))
        elif isinstance(node, nodes.table):
            fold(node)
            if made_by:
                add_after(node, line(app, made_by))
    if table := this_run(app, docname):
        document += raw(table)


def set_type(table: str) -> str:
    """Keep an interval and a mean with its SD in one line, and mark cells of words."""
    table = re.sub(r"(?<=\d) (±|to) (?=[-+.\d])", "\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}", table)
    return re.sub(r"<td>(?=[A-Za-z])", '<td class="text">', table)


def fold(table):
    """Name its column in every cell of a table of four columns or more, for narrow screens."""
    heads = [
        entry.astext() for head in table.findall(nodes.thead) for entry in head.findall(nodes.entry)
    ]
    if len(heads) < 4:
        return
    table["classes"].append("fold")
    for row in next(table.findall(nodes.tbody)).children:
        for name, entry in list(zip(heads, row.children, strict=True))[1:]:
            entry.insert(0, raw(f'<span class="column">{escape(name)}</span>'))


def drawn_by(app, uri: str) -> tuple[str, str]:
    """Return what a drawing says that made it, in a comment, and its file."""
    path = Path(app.srcdir) / uri
    if path.suffix != ".svg":
        return uri, ""
    found = MADE_BY.search(path.read_text(encoding="utf-8"))
    return (found[1], uri) if found else (uri, "drawn by hand")


def add_after(node, new):
    """Put a node after another; after the box it scrolls in, if there is one."""
    box = node.parent
    if isinstance(box, nodes.container) and "output" in box.get("classes", ()):
        node, box = box, box.parent
    box.insert(box.index(node) + 1, new)


def this_run(app, name: str) -> str:
    """Return how a page's notebook was executed, or, of the first page, how long each took."""
    if name == app.config.root_doc:
        rows = {file: seconds(notebook) for file, notebook in app.notebooks.items()}
    elif name in app.notebooks:
        rows = described(app.notebooks[name])
    else:
        return ""
    rows = {**rows, "built from commit": commit()}
    cells = "".join(f"<tr><th scope='row'>{escape(name)}</th><td>{escape(str(said))}</td></tr>"
                    for name, said in rows.items() if said)  # fmt: skip
    return (f"<details class='this-run'><summary>This run</summary><div class='scroll'>"
            f"<table class='table'><tbody>{cells}</tbody></table></div></details>")  # fmt: skip


def seconds(notebook) -> str:
    """Return how long a notebook took, as far as it says."""
    run = notebook.metadata.get("run") or {}
    taken = run.get("seconds") or notebook.metadata.get("papermill", {}).get("duration")
    return f"{taken:,.0f} s" if taken else ""


def described(notebook) -> dict[str, str]:
    """Return parameters, time, versions and machine of a notebook's run, as far as it says."""
    run = notebook.metadata.get("run") or {}
    given = notebook.metadata.get("papermill", {}).get("parameters") or {}
    versions = {"Python": run.get("python"), **run.get("packages", {})}
    return {
        "parameters given": ", ".join(f"{name} = {value}" for name, value in given.items()),
        "time": seconds(notebook),
        "machine": ", ".join(filter(None, [run.get("system"), run.get("cores") and
                                           f"{run['cores']} cores", *run.get("gpus", [])])),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "executed at commit": run.get("commit", ""),
    }  # fmt: skip


def formula(display: str):
    """Return the function that writes a formula's node as MathML."""
    tag = "div" if display == "block" else "span"

    def visit(translator, node):
        translator.body.append(translator.starttag(node, tag, "", CLASS="math notranslate"))
        translator.body.append(latex2mathml.converter.convert(node.astext(), display=display))
        if node.get("number"):
            translator.body.append(f'<span class="eqno">({node["number"]})</span>')
        translator.body.append(f"</{tag}>")
        raise nodes.SkipNode

    return visit, None


def let_code_wrap(app, document, docname):
    """Let a long name in the text go on in the next line after a dot, slash or underscore."""
    for node in list(document.findall(nodes.literal)):
        if re.search(r"[./_]\w", node.astext()):
            node.children = [raw(re.sub(r"([./_])(?=\w)", r"\1<wbr>", escape(node.astext())))]


def know_repository(app, config):
    """Add the buttons that need the repository's address, if the build was told it."""
    url = os.environ.get("BOOK_REPOSITORY", "").rstrip("/")
    config.html_context = {**config.html_context, "repository": url}
    buttons = ("use_repository_button", "use_issues_button", "use_edit_page_button")
    config.html_theme_options |= {"repository_url": url, **dict.fromkeys(buttons, bool(url))}
    if not url:
        config.html_theme_options["launch_buttons"] = {}


def launch_from_branch(app):
    """Launch from the branch whose notebooks install the package; edit and report on main."""
    get_theme_options_dict(app)["repository_branch"] = "launch"


def load_plotly(app, pagename, templatename, context, doctree):
    """Load plotly's script, from the book's own folder, on the pages that need it."""
    if pagename in app.interactive:
        app.add_js_file("plotly.min.js")


def copy_plotly(app, error):
    """Put plotly's script beside the pages; the package has it, and it is not in the repository."""
    if not error and app.interactive:
        script = Path(find_spec("plotly").origin).with_name("package_data") / "plotly.min.js"
        shutil.copyfile(script, Path(app.outdir) / "_static" / script.name)


def setup(app):
    """Connect all of it to Sphinx."""
    app.add_html_math_renderer("mathml", formula("inline"), formula("block"))
    app.connect("config-inited", know_repository)
    app.connect("builder-inited", read_notebooks)
    app.connect("builder-inited", launch_from_branch, priority=900)
    app.connect("doctree-resolved", add_to_page)  # what is glued stands there by then
    app.connect("doctree-resolved", let_code_wrap)
    app.connect("html-page-context", load_plotly)
    app.connect("build-finished", copy_plotly)
    return {"parallel_read_safe": False}
