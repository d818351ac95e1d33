"""What benchmarks print, kept beside the results, so that figures which documents word by hand can be held to it.

Run: `python -m experiments.printed NAME [WORDS]` in place of `python -m experiments.benchmarks.NAME [WORDS]`: it does
the same, and keeps what is printed in `experiments/results/printed`, below the command, version, day and machine.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.benchmarks._table import command, provenance

FOLDER = Path(__file__).parent / "results" / "printed"


def kept(folder: Path = FOLDER) -> dict[str, str]:
    """What was printed, by command."""
    found = {}
    for path in sorted(folder.glob("*.txt")):
        head, _, text = path.read_text(encoding="utf-8").partition("\n")
        found[json.loads(head)["command"]] = text
    return found


def keep(name: str, words: Sequence[str], folder: Path = FOLDER) -> int:
    """Run a benchmark, pass on and keep what it prints; its exit status, and nothing is kept unless it is 0."""
    run = [sys.executable, "-m", f"experiments.benchmarks.{name}", *words]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        lines = []
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode == 0:
        told = command(name, words)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{re.sub(r'[^a-z0-9]+', '_', told.split('benchmarks.')[1].lower())}.txt"
        file.write_text("".join([json.dumps(provenance(told)), "\n", *lines]), encoding="utf-8")
    return process.returncode


def main() -> None:
    """Run the benchmark that is named."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(f"python -m experiments.printed NAME [WORDS]\n\n{__doc__}")
    sys.exit(keep(sys.argv[1], sys.argv[2:]))


if __name__ == "__main__":
    main()
