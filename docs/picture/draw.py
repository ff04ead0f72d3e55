#!/usr/bin/env python3
"""Draws what a terminal showed as an SVG: `draw.py [--width COLUMNS] < recorded.txt > deploy.svg`.

The text is that of a real run, colours included (`--color always`). Whatever names the machine that it was recorded on is
an error, because the picture is for everybody.
"""

import argparse
import getpass
import html
import os
import re
import socket
import sys

FONT, LINE, CHARACTER, EDGE, BAR = 13, 20, 7.83, 20, 34
BACKGROUND, TEXT, FAINT = "#11151c", "#d5dbe5", "#7d8796"
COLOURS = {"31": "#ff6b6b", "32": "#5dd39e", "33": "#f2c14e", "36": "#5ec8e5"}
STYLE = re.compile(r"\x1b\[([0-9;]*)m")
OTHER_SEQUENCE = re.compile(r"\x1b(?!\[[0-9;]*m)")
ADDRESS = re.compile(r"\b(?!127\.0\.0\.1\b)(?:\d{1,3}\.){3}\d{1,3}\b")


def refuse_what_names_the_machine(text: str) -> None:
    """Ends the program at a home folder, an absolute path, a user, a host or an address."""
    words = {getpass.getuser(), socket.gethostname(), os.path.expanduser("~")}
    found = [word for word in words if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)]
    found += re.findall(r"(?<![\w/.:}])/(?:home|root|tmp|work|Users|var|mnt)\b[^\s]*", text)
    found += ADDRESS.findall(text)
    if found:
        sys.exit(f"the recording names the machine that it was made on: {', '.join(sorted(set(found)))}")
    if OTHER_SEQUENCE.search(text):
        sys.exit("the recording moves the cursor: record it without a terminal, with --color always")


def spans(line: str) -> list[tuple[str, str]]:
    """The line in pieces, each with its SVG attributes."""
    pieces, colour, bold, position = [], TEXT, False, 0
    for match in [*STYLE.finditer(line), None]:
        text = line[position : match.start() if match else len(line)]
        if text:
            pieces.append((text, f'fill="{colour}"' + (' font-weight="bold"' if bold else "")))
        if match:
            position = match.end()
            for code in match.group(1).split(";"):
                if code in ("", "0"):
                    colour, bold = TEXT, False
                elif code == "1":
                    bold = True
                elif code == "2":
                    colour = FAINT
                else:
                    colour = COLOURS.get(code, colour)
    return pieces


def cut(pieces: list[tuple[str, str]], width: int) -> list[tuple[str, str]]:
    """At most `width` characters of them; an ellipsis says that there was more."""
    kept, room = [], width
    for text, attributes in pieces:
        if len(text) > room:
            return [*kept, (text[: room - 1] + "…", attributes)]
        kept.append((text, attributes))
        room -= len(text)
    return kept


def draw(text: str, width: int) -> str:
    lines = text.rstrip("\n").split("\n")
    across, down = width * CHARACTER + 2 * EDGE, len(lines) * LINE + BAR + EDGE
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across:.0f} {down}" width="{across:.0f}" role="img" '
        'aria-label="Two deploys in a terminal: the first after an edit, the second with nothing to do">',
        f'<rect width="100%" height="100%" rx="10" fill="{BACKGROUND}"/>',
    ]
    for number, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        svg.append(f'<circle cx="{EDGE + number * 18}" cy="18" r="5.5" fill="{colour}"/>')
    svg.append(
        f'<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" '
        f'font-size="{FONT}">'
    )
    for number, line in enumerate(lines):
        column, parts = 0, []
        for piece, attributes in cut(spans(line), width):
            # Each piece has its own place and length: no font then shifts the columns.
            x, length = EDGE + column * CHARACTER, len(piece) * CHARACTER
            # Plain spaces would be drawn as one.
            shown = html.escape(piece, quote=False).replace(" ", "\u00a0")
            parts.append(f'<tspan x="{x:.1f}" textLength="{length:.1f}" {attributes}>{shown}</tspan>')
            column += len(piece)
        svg.append(f'<text y="{BAR + (number + 1) * LINE - 6}">{"".join(parts)}</text>')
    return "\n".join([*svg, "</g>", "</svg>", ""])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    arguments.add_argument("--width", type=int, default=122)
    width = arguments.parse_args().width
    text = sys.stdin.read()
    refuse_what_names_the_machine(text)
    sys.stdout.write(draw(text, width))


if __name__ == "__main__":
    main()
