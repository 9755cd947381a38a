"""`longshot search` from a cold shell: a new process for every query, on a library of 100,000 captions.

python benchmarks/cold_search.py
python benchmarks/cold_search.py --rows 1000000 --rounds 15

The captions and their vectors are those of benchmarks/library.py, in the column of the model that embeds the query
(`minilm`, of the extra `offline`). What is timed is all of the command, from the start of Python to its last line;
the files are in the system's memory, as they are for the second search of a day.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from library import WIDTH, Made, Puttings
from longshot.searching.fill import open_text_encoder
from longshot.tables import Index
from side_by_side import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="longshot-cold-") as folder:
        made = Made()
        how = fill(made, Path(folder), chosen.rows)
        queries = made.queries(chosen.rounds)
        told = {
            "rows": chosen.rows,
            "vectors": how,
            "python alone s": median([[sys.executable, "-c", "pass"]] * chosen.rounds),
            "search s": median([search(folder, query) for query in queries]),
            "search, words alone s": median([search(folder, query, "--by", "words") for query in queries]),
            "load": round(os.getloadavg()[0], 1),
        }
    print(json.dumps(told))


def fill(made: Made, folder: Path, rows: int) -> str:
    """Make the library; the name of the model whose vectors it has."""
    encoder, lacking = open_text_encoder()
    (folder / "tracks").mkdir()
    index = Index.open(folder, create=True)
    if encoder is None:
        print(lacking)
        index.put_all(Puttings(made, rows))
    else:
        column = index.add_column(encoder.source, "text", WIDTH)
        index.put_all(Puttings(made, rows, column, made.keep_vectors(rows, folder / "made-up")))
    index.finish()
    return "" if encoder is None else encoder.source.model


def search(folder: str, query: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "longshot", "search", query, "--library", folder, "--json", *more]


def median(commands: list[list[str]]) -> float:
    """Seconds of wall clock."""
    seconds = []
    for command in commands:
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return round(float(np.median(seconds)), 3)


if __name__ == "__main__":
    main()
