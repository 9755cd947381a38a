"""CIDEr, BLEU and ROUGE-L of many captions: Longshot against pycocoevalcap with its Java tokenizer, in one run.

python benchmarks/caption_metrics.py --rows 20000 --references 20

The captions are made up: words of a Zipf vocabulary, those of one row from a few that the row is about, with marks,
numbers, contractions and quotes as in real ones. Each side runs in its own process and reads the same file; time and
memory are those of the whole process with its children, reading and start included.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from itertools import accumulate
from pathlib import Path

from side_by_side import compare, machine, table

READ = """
import json, sys
data = json.load(open({path!r}))
predictions, references = data["predictions"], data["references"]
"""
SAY = """
print(", ".join(f"{name} {value:.6f}" for name, value in sorted(found.items())))
"""
OURS = """
from longshot.metrics.captions import score
found = score(predictions, references)
"""
THEIRS = """
import contextlib, io, os
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
os.environ["LC_ALL"] = "C.UTF-8"
reader = PTBTokenizer()
right = reader.tokenize({i: [{"caption": text} for text in texts] for i, texts in enumerate(references)})
said = reader.tokenize({i: [{"caption": text}] for i, text in enumerate(predictions)})
blue, _ = Bleu(4).compute_score(right, said, verbose=0)
found = {f"BLEU-{n + 1}": value for n, value in enumerate(blue)}
found["ROUGE-L"] = Rouge().compute_score(right, said)[0]
found["CIDEr"] = Cider().compute_score(right, said)[0]
"""
ENDS = [""] * 12 + [".", ".", ",", "!", "'s", '"', ")", "-like", "n't", "..."]


def captions(rows: int, references: int) -> dict[str, object]:
    chance = random.Random(0)
    vocabulary = ["".join(chance.choices("etaoinshrdlucmfw", k=chance.randint(2, 9))) for _ in range(20_000)]
    weights = list(accumulate(1 / (rank + 1) for rank in range(len(vocabulary))))

    def caption(about: list[str]) -> str:
        words = chance.choices(vocabulary, cum_weights=weights, k=chance.randint(3, 8))
        words += chance.choices(about, k=chance.randint(2, 6))
        chance.shuffle(words)
        if chance.random() < 0.05:
            words.append(chance.choice(["2", "3.5", "10:30", "1/2", "U.S.", "etc.", "(red)", "AT&T", "café"]))
        place = chance.randrange(len(words))
        words[place] += chance.choice(ENDS)
        return " ".join(words)

    found: dict[str, list[object]] = {"predictions": [], "references": []}
    for _ in range(rows):
        about = chance.choices(vocabulary, cum_weights=weights, k=8)
        found["references"].append([caption(about) for _ in range(references)])
        found["predictions"].append(caption(about))
    return dict(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--references", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "captions.json"
        path.write_text(json.dumps(captions(chosen.rows, chosen.references)))
        read = READ.format(path=str(path))
        rivals = {
            "longshot": [sys.executable, "-c", read + OURS + SAY],
            "pycocoevalcap": [sys.executable, "-W", "ignore", "-c", read + THEIRS + SAY],
        }
        print(machine())
        print(f"\n{chosen.rows} predictions, {chosen.references} references each\n")
        print(table(compare(rivals, rounds=chosen.rounds), base="pycocoevalcap"))


if __name__ == "__main__":
    main()
