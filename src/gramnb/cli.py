"""The command line: `gramnb predict`, `gramnb fetch`, `gramnb audit-list`.

Everything else is papermill, make or snakemake. Results go to standard output, everything said
about them to standard error; the exit code is 0 if all went well, 1 if some files could not be
read, 2 if nothing could be done. Rooms are imported when they are needed, so `--help` is quick.
"""

import argparse
import json
import sys
from collections.abc import Sequence

import pandas as pd


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = parser().parse_args(arguments)
    try:
        return given.run(given)
    except (ValueError, FileNotFoundError, ModuleNotFoundError) as error:
        print(f"gramnb {given.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"gramnb {given.command}: interrupted; call again to go on", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of all three commands."""
    top = argparse.ArgumentParser(prog="gramnb", description="Does this image convey sadness?")
    commands = top.add_subparsers(dest="command", required=True)

    predict = commands.add_parser("predict", help="probability of sadness of images")
    predict.add_argument("paths", nargs="+", help="image files, or folders of them")
    predict.add_argument("--model", required=True, metavar="RUN", help="directory of a run")
    predict.add_argument("--format", choices=["table", "json", "csv"], default="table")
    predict.set_defaults(run=_predict)

    audit = commands.add_parser("audit-list", help="duplicates and contradictions in an image list")
    audit.add_argument("lists", nargs="+", metavar="LIST", help="file of lines 'URL label'")
    audit.add_argument("--format", choices=["table", "json"], default="table")
    audit.set_defaults(run=_audit_list)
    return top


def _predict(given: argparse.Namespace) -> int:
    from gramnb.predict import SadnessClassifier

    table = SadnessClassifier.load(given.model).predict(given.paths)
    if given.format == "json":
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        print(json.dumps(rows, indent=2))
    elif given.format == "csv":
        print(table.to_csv(index=False), end="")
    else:
        print(_aligned(table))
    bad = table[table["problem"] != ""]
    for row in bad.itertuples():
        print(f"{row.file}: {row.problem}", file=sys.stderr)
    return 1 if len(bad) else 0


def _aligned(table: pd.DataFrame) -> str:
    width = max(map(len, table["file"]))
    lines = [f"{'file':<{width}}  p(sadness)  conveys"]
    for row in table.itertuples():
        p = "         -" if row.problem else f"{row.p_sadness:10.3f}"
        lines.append(f"{row.file:<{width}}  {p}  {row.conveys or row.problem}")
    return "\n".join(lines)


def _audit_list(given: argparse.Namespace) -> int:
    from gramnb.data.sources import audit_list

    found = audit_list(given.lists)
    if given.format == "json":
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(f"{name:<20} {value:>10,}" for name, value in found.items()))
    return 0
