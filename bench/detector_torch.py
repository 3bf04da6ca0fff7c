#!/usr/bin/env python3
"""Measures PyTorch's training step of the detector pico on one thread: what psbench layers's images/s compare with.

usage: bench/detector_torch.py [--batch N] [--size PIXELS] [--seconds S] [--profile]
The network is that of ps::nn's table pico: Conv = convolution without bias, batch normalization, SiLU; forward, a
linear loss, backward, no optimizer. Prints images/s of CPU time and, on the last line, JSON. Without PyTorch it says
so and exits 0.
"""
import argparse
import json
import sys
import time


def network(torch, classes):
    nn = torch.nn

    class Conv(nn.Sequential):
        def __init__(self, inputs, outputs, kernel=1, stride=1):
            super().__init__(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
                             nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03), nn.SiLU(inplace=True))

    class Bottleneck(nn.Module):
        def __init__(self, channels, shortcut):
            super().__init__()
            self.inner = nn.Sequential(Conv(channels, channels), Conv(channels, channels, 3))
            self.shortcut = shortcut

        def forward(self, x):
            return x + self.inner(x) if self.shortcut else self.inner(x)

    class C3(nn.Module):
        def __init__(self, inputs, outputs, number, shortcut=True):
            super().__init__()
            half = outputs // 2
            self.one = nn.Sequential(Conv(inputs, half), *[Bottleneck(half, shortcut) for _ in range(number)])
            self.two = Conv(inputs, half)
            self.last = Conv(outputs, outputs)

        def forward(self, x):
            return self.last(torch.cat([self.one(x), self.two(x)], 1))

    class Pico(nn.Module):
        def __init__(self):
            super().__init__()
            self.to_p3 = nn.Sequential(Conv(3, 8, 3, 2), Conv(8, 16, 3, 2), C3(16, 16, 1), Conv(16, 32, 3, 2),
                                       C3(32, 32, 2))
            self.to_p4 = nn.Sequential(Conv(32, 64, 3, 2), C3(64, 64, 2), Conv(64, 32))
            self.up = nn.Upsample(scale_factor=2)
            self.head8 = C3(64, 32, 1, shortcut=False)
            self.down = Conv(32, 32, 3, 2)
            self.head16 = C3(64, 64, 1, shortcut=False)
            self.out8 = nn.Conv2d(32, 3 * (5 + classes), 1)
            self.out16 = nn.Conv2d(64, 3 * (5 + classes), 1)

        def forward(self, x):
            p3 = self.to_p3(x)
            lateral = self.to_p4(p3)
            head8 = self.head8(torch.cat([self.up(lateral), p3], 1))
            head16 = self.head16(torch.cat([self.down(head8), lateral], 1))
            return self.out8(head8), self.out16(head16)

    return Pico()


def step(model, images, slopes):
    for parameter in model.parameters():
        parameter.grad = None
    outputs = model(images)
    sum((y * s).sum() for y, s in zip(outputs, slopes)).backward()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=128, help="pixels a side, a multiple of 16")
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="CPU seconds to measure")
    parser.add_argument("--profile", action="store_true", help="print the operators that take longest")
    options = parser.parse_args()
    try:
        import torch
    except ImportError as error:
        print(f"skipped: PyTorch is not installed ({error})")
        return 0
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = network(torch, options.classes)
    images = torch.rand(options.batch, 3, options.size, options.size)
    slopes = [torch.randn_like(y) for y in model(images)]
    trained = sum(p.numel() for p in model.parameters())
    for _ in range(3):
        step(model, images, slopes)
    if options.profile:
        with torch.autograd.profiler.profile() as profile:
            step(model, images, slopes)
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=20))
    # The fastest step: other programs on the machine only ever slow one down.
    steps = []
    while sum(steps) < options.seconds:
        start = time.process_time()
        step(model, images, slopes)
        steps.append(time.process_time() - start)
    steps.sort()
    rates = [options.batch / steps[0], options.batch / steps[len(steps) // 2]]
    print(f"PyTorch {torch.__version__}, {trained} parameters, {options.size} pixels, batch {options.batch}: "
          f"{rates[1]:.1f} images/s (median of {len(steps)} steps; the fastest: {rates[0]:.1f})")
    print(json.dumps({"goodput": rates[1], "fastest": rates[0], "unit": "images/s", "parameters": trained}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
