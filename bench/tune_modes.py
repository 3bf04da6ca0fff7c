#!/usr/bin/env python3
"""Compares the consistency modes by what they learn from the same samples, each with a learning rate of its own.

Every arm gets the same budget: six learning rates, each tried once on a quarter of the training images with a seed that
is not reported; the best one is then trained on all of them with three other seeds. Prints a table as it goes, and
last one line of JSON. Speed is not measured here: scripts/compare-modes does that.

examples:
  bench/tune_modes.py                         4 workers, 2 servers, all arms
  bench/tune_modes.py --arms sync,async       two of them
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ARMS = {
    "sync": ["sync"],
    "sync, 1 backup": ["sync", "--consistency.backup_workers=1"],
    "async": ["async"],
    "async, staleness-aware": ["async", "--consistency.staleness_aware=true"],
    "async, DC constant": ["async", "--consistency.compensation=constant"],
    "async, DC adaptive": ["async", "--consistency.compensation=adaptive", "--consistency.lambda=2"],
    "async, staleness <= 4": ["async", "--consistency.max_staleness=4"],
    "async, softsync 2": ["async", "--consistency.pushes_per_update=2"],
    "ssp 2": ["ssp", "--consistency.staleness=2"],
    "local 8": ["local", "--consistency.steps=8"],
    "easgd 4": ["easgd", "--consistency.period=4"],
}
RATES = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4)
TUNING_SEED = 100
SEEDS = (1, 2, 3)
IMAGES = 60000


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--workers", type=int, default=4, metavar="N")
    parser.add_argument("-s", "--servers", type=int, default=2, metavar="N")
    parser.add_argument("--epochs", type=int, default=1, metavar="N", help="of the reported runs (default: 1)")
    parser.add_argument("--arms", default=";".join(ARMS), help="names of the table, with ; between (default: all)")
    parser.add_argument("--build", type=Path, default=Path(__file__).resolve().parent.parent / "build/release",
                        metavar="FOLDER", help="where psrun and classify were built (default: build/release)")
    options = parser.parse_args()
    options.arms = options.arms.split(";")
    if unknown := set(options.arms) - set(ARMS):
        parser.error(f"--arms: there is no {'; '.join(sorted(unknown))}; expected some of {'; '.join(ARMS)}")
    return options


def accuracy(options: argparse.Namespace, arm: str, lr: float, seed: int, epochs: int, limit: int) -> float:
    mode, *flags = ARMS[arm]
    programs = options.build / "bin"
    with tempfile.TemporaryDirectory() as folder:
        command: list[Any] = [programs / "psrun", "-n", str(options.workers), "-s", str(options.servers), "--",
                              programs / "classify", "train", "--out", folder, "--epochs", str(epochs), "--limit",
                              str(limit), "--lr", str(lr), f"--job.seed={seed}", f"--consistency.mode={mode}", *flags]
        run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        if "diverged" in run.stderr:
            return 0.1  # as good as guessing
        sys.exit(f"{run.stderr}tune_modes: {arm} failed with exit code {run.returncode}")
    return float(json.loads(run.stdout.splitlines()[-1])["accuracy"])


def main() -> None:
    options = parse()
    print(f"{'arm':26}{'lr':>8}{'mean':>9}{'least':>9}{'most':>9}", flush=True)
    rows = {}
    for arm in options.arms:
        trials = {lr: accuracy(options, arm, lr, TUNING_SEED, 1, IMAGES // 4) for lr in RATES}
        best = max(trials, key=lambda lr: trials[lr])
        runs = [accuracy(options, arm, best, seed, options.epochs, IMAGES) for seed in SEEDS]
        rows[arm] = {"lr": best, "mean": round(statistics.mean(runs), 4), "runs": runs, "trials": trials}
        print(f"{arm:26}{best:8g}{statistics.mean(runs):9.4f}{min(runs):9.4f}{max(runs):9.4f}", flush=True)
    print(json.dumps({"workers": options.workers, "servers": options.servers, "epochs": options.epochs, "arms": rows}))


if __name__ == "__main__":
    main()
