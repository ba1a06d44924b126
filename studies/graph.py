"""Draw which room of the package imports which, for book/one_image.md.

    python -m studies.graph     writes book/images/imports.svg

A room stands above what it imports. An import that another path already shows is left out.
"""

import ast
from graphlib import TopologicalSorter

from gramnb.runs import atomic, resolve

PACKAGE, OUT = "src/gramnb", "book/images/imports.svg"
STEP, ROW, WIDE, HIGH = 124, 62, 112, 26  # from box to box, and a box, in pixels


def imports() -> dict[str, set[str]]:
    """Return each room of the package, a module or a folder, and the rooms it imports."""
    found: dict[str, set[str]] = {}
    for file in sorted(resolve(PACKAGE).rglob("*.py")):
        room = file.relative_to(resolve(PACKAGE)).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("gramnb."):
                inner = node.module.split(".")[1:2] or [name.name for name in node.names]
                found.setdefault(room, set()).update(inner)
        found.setdefault(room, set())
    rooms = set(found) - {"__init__", "_keras"}
    return {room: found[room] & rooms - {room} for room in sorted(rooms)}


def svg(below: dict[str, set[str]]) -> str:
    """Return the drawing: rows of rooms, each row above all that its rooms import."""
    reached, floors = {}, []  # all that a room stands above; rows from the lowest
    for room in TopologicalSorter(below).static_order():
        reached[room] = below[room].union(*(reached[other] for other in below[room]))
    while len(placed := set().union(*floors)) < len(below):
        floors.append([room for room in below if room not in placed and below[room] <= placed])
    floors.reverse()
    width = STEP * max(map(len, floors))
    place = {room: (width / 2 + STEP * (n + 0.5 - len(row) / 2), ROW * (level + 0.5))
             for level, row in enumerate(floors) for n, room in enumerate(row)}  # fmt: skip
    lines, boxes = [], []
    for room, (x, y) in place.items():
        for other in sorted(below[room] - set().union(*(reached[each] for each in below[room]))):
            to, at = place[other]
            lines.append(f'<path d="M{x} {y} L{to} {at}" stroke="#9ab" fill="none"/>')
        box = f'x="{x - WIDE / 2}" y="{y - HIGH / 2}" width="{WIDE}" height="{HIGH}" rx="4"'
        boxes.append(f'<rect {box} fill="#eef3f8" stroke="#4a6a8a"/>')
        boxes.append(f'<text x="{x}" y="{y + 4}">{room}</text>')
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {ROW * len(floors)}" '
            'font-family="sans-serif" font-size="13" text-anchor="middle">',
            "<!-- made by studies/graph.py -->"]  # fmt: skip
    return "\n".join([*head, *lines, *boxes, "</svg>\n"])


if __name__ == "__main__":
    with atomic(resolve(OUT)) as temporary:
        temporary.write_text(svg(imports()), encoding="utf-8")
