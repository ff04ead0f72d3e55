"""`python -m app.probe [URL…]`: exits 0 when each URL answers 200; containers have no curl."""

import os
import sys
import urllib.request


def main(urls: list[str]) -> int:
    for url in urls or [f"http://127.0.0.1:{os.environ.get('PORT') or '8000'}/api/health/live"]:
        if not url.startswith("http://"):
            sys.stderr.write(f"{url}: not an http:// address\n")
            return 2
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  checked above
                answer.read()
        except OSError as error:
            sys.stderr.write(f"{url}: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
