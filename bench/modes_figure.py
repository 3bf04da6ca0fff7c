#!/usr/bin/env python3
"""Draws docs/figures/modes.png: how each consistency mode learns, one small panel a mode, from one real run each.

Takes the last line of bench/tune_modes.py, whose learning rates it uses, from standard input or a file. Needs gnuplot.

examples:
  bench/tune_modes.py | tee modes.txt && bench/modes_figure.py modes.txt
"""
import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import tune_modes

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 4


def curve(arm: str, lr: float, options: argparse.Namespace, folder: Path) -> Path:
    mode, *flags = tune_modes.ARMS[arm]
    programs = options.build / "bin"
    command = [programs / "psrun", "-n", str(options.workers), "-s", "2", "--", programs / "classify", "train", "--out",
               folder, "--epochs", "1", "--lr", str(lr), f"--consistency.mode={mode}", *flags]
    subprocess.run(command, check=True, capture_output=True)
    points = folder / "curve.txt"
    with open(folder / "results.csv") as rows, open(points, "w") as out:
        for row in csv.DictReader(rows):
            out.write(f"{row['samples']} {row['train_loss']}\n")
    return points


def draw(curves: dict[str, Path], target: Path) -> None:
    rows = -(-len(curves) // COLUMNS)
    reference = next(iter(curves.values()))
    lines = [f"set terminal pngcairo size {COLUMNS * 260},{rows * 190} font 'sans,9'", f"set output '{target}'",
             f"set multiplot layout {rows},{COLUMNS}", "set yrange [0.2:1]", "set xrange [0:*]", "set format x '%.0s%c'",
             "set border 3", "set tics nomirror", "unset key", "set grid lc '#dddddd'"]
    for name, points in curves.items():
        lines += [f"set title '{name}' noenhanced",
                  f"plot '{reference}' with lines lc '#bbbbbb', '{points}' with lines lw 1.5 lc '#1f5fa8'"]
    subprocess.run(["gnuplot"], input="\n".join(lines), text=True, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tuned", nargs="?", type=argparse.FileType(), default=sys.stdin)
    parser.add_argument("--build", type=Path, default=ROOT / "build/release", metavar="FOLDER")
    options = parser.parse_args()
    tuned = json.loads(options.tuned.read().splitlines()[-1])
    options.workers = tuned["workers"]
    target = ROOT / "docs/figures/modes.png"
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        curves = {}
        for number, (arm, row) in enumerate(tuned["arms"].items()):
            print(f"{arm}, lr {row['lr']}", flush=True)
            curves[arm] = curve(arm, row["lr"], options, Path(folder) / str(number))
        draw(curves, target)
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
