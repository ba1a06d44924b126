"""Which data sets a run is also asked: a parameter's text, read into names, layouts and folders."""

from gramnb.data.sources import PUBLISHED, SOURCES
from gramnb.runs import resolve


def transfer_sets(text: str) -> dict[str, tuple[str, str]]:
    """Return name -> (source, root) of the transfer sets that a parameter names.

    A set is a folder, or `name:source:folder`; several stand between commas. A folder alone is
    named after itself. One named as a published set has that layout, another holds class folders.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: two sets of one name.
    """
    entries: list[str] = []
    for piece in filter(None, text.split(",")):
        if entries and not resolve(_parts(entries[-1])[2]).is_dir():
            entries[-1] += f",{piece}"  # the comma is part of a folder's name
        else:
            entries.append(piece)
    sets: dict[str, tuple[str, str]] = {}
    for name, source, root in map(_parts, entries):
        if not resolve(root).is_dir():
            raise FileNotFoundError(
                f"{root}: no such folder of a transfer set; give folders, or name:source:folder, "
                f"between commas (sources: {', '.join(SOURCES)})"
            )
        if name in sets:
            raise ValueError(f"two transfer sets are named {name}; write name:source:folder")
        sets[name] = (source, root)
    return sets


def _parts(entry: str) -> tuple[str, str, str]:
    match entry.strip().split(":", 2):
        case [name, source, root] if source in SOURCES:
            return name, source, root
    folder = resolve(entry.strip())
    name = (folder.parent if folder.name == "images" else folder).name
    return name, name.lower() if name.lower() in PUBLISHED else "folder", entry.strip()
