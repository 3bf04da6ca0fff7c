#!/usr/bin/env python3
"""Compares 100 updates of every rule that PyTorch has too with PyTorch's, on the same gradients.

usage: bench/optimizers_torch.py [--program build/release/bin/optimizer_steps] [--size N] [--steps N] [--seed N]
Prints the largest relative difference of a weight for each rule, to PyTorch in float32 and, for scale, in float64;
exits 1 if one to float32 is above 1e-5. Without PyTorch it says so and exits 0.
"""
import argparse
import subprocess
import sys
from pathlib import Path

LIMIT = 1e-5
# ps's rule and fields, PyTorch's class and arguments. Rates are such that weights of 0.5 to 1.5 stay away from 0, where
# a relative difference would mean nothing.
RULES = [
    ("sgd lr=0.002", "SGD", dict(lr=0.002)),
    ("sgd lr=0.002 weight_decay=0.01", "SGD", dict(lr=0.002, weight_decay=0.01)),
    ("sgd lr=0.0005 momentum=0.9", "SGD", dict(lr=0.0005, momentum=0.9)),
    ("sgd lr=0.0005 momentum=0.9 nesterov=1 weight_decay=0.01", "SGD",
     dict(lr=0.0005, momentum=0.9, nesterov=True, weight_decay=0.01)),
    ("adam", "Adam", {}),
    ("adam lr=0.002 weight_decay=0.01", "Adam", dict(lr=0.002, weight_decay=0.01)),
    ("adamw", "AdamW", {}),
    ("adagrad", "Adagrad", {}),
    ("adagrad weight_decay=0.01", "Adagrad", dict(weight_decay=0.01)),
    ("rmsprop lr=0.001", "RMSprop", dict(lr=0.001)),
    ("rmsprop lr=0.0002 momentum=0.9 weight_decay=0.01", "RMSprop", dict(lr=0.0002, momentum=0.9, weight_decay=0.01)),
]


def by_torch(torch, name, arguments, weights, gradients, dtype):
    parameter = torch.nn.Parameter(weights.to(dtype, copy=True))
    optimizer = getattr(torch.optim, name)([parameter], **arguments)
    for gradient in gradients:
        parameter.grad = gradient.to(dtype)
        optimizer.step()
    return parameter.detach().double()


def by_ps(torch, program, rule, weights, gradients):
    recorded = torch.cat([weights.reshape(1, -1), gradients]).numpy().tobytes()
    command = [str(program), str(len(weights)), *rule.split()]
    result = subprocess.run(command, input=recorded, stdout=subprocess.PIPE, check=True)
    return torch.frombuffer(bytearray(result.stdout), dtype=torch.float32).double()


def difference(ours, theirs):
    return ((ours - theirs).abs() / theirs.abs()).max().item()


def main():
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=root / "build/release/bin/optimizer_steps")
    parser.add_argument("--size", type=int, default=10000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        import torch
    except ImportError as error:
        print(f"skipped: PyTorch is not installed ({error})")
        return 0
    if not options.program.is_file():
        sys.exit(f"{options.program} is not there: build the target optimizer_steps or give --program")

    random = torch.Generator().manual_seed(options.seed)
    weights = 0.5 + torch.rand(options.size, generator=random)
    gradients = torch.randn(options.steps, options.size, generator=random)
    print(f"torch {torch.__version__}, {options.size} weights, {options.steps} steps, seed {options.seed}")
    print(f"{'to float32':>10}  {'to float64':>10}  rule")
    worst = 0.0
    for rule, name, arguments in RULES:
        ours = by_ps(torch, options.program, rule, weights, gradients)
        single, double = (difference(ours, by_torch(torch, name, arguments, weights, gradients, dtype))
                          for dtype in (torch.float32, torch.float64))
        worst = max(worst, single if single == single else float("inf"))
        print(f"{single:10.1e}  {double:10.1e}  {rule}")
    if worst > LIMIT:
        print(f"failed: more than {LIMIT:.0e} from PyTorch")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
