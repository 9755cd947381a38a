"""Draw docs/outline.svg: the terminal outline of the bundled sample, from tracks that were really made.

    .venv/bin/python docs/make_picture.py

The sample is in samples/.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

import longshot
from longshot.terminal import show

HERE = Path(__file__).parent


def main() -> None:
    """Recap the sample and write what a terminal would show."""
    sample = HERE.parent / "samples" / "longshot-demo.mp4"
    console = Console(record=True, width=104, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print("$ longshot recap samples/longshot-demo.mp4\n", style="bold green")
    console.print(show(longshot.recap(sample), path=str(sample)))
    picture = console.export_svg(title="longshot recap", theme=MONOKAI)
    # rich asks a font server for its font; the reader's own monospaced font does as well.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    picture = re.sub(r'(textLength|clip-path)="file[^"]*"', "", picture)
    (HERE / "outline.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
