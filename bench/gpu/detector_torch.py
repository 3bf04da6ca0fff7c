#!/usr/bin/env python3
"""Measures PyTorch's training step of ps's detectors on a GPU: what psbench step is compared with.

usage: bench/gpu/detector_torch.py [--model yolov5n|pico...] [--size PIXELS] [--batch N] [--minutes M] [--device NAME]
The network is made from ps's own table (src/nn/detector_tables.cpp). A step is forward and backward from a given
gradient of the output: no loss, no assignment of boxes, no optimizer, and the pictures lie on the device already, all of
which PyTorch would spend more on than it is charged for here. Measured are eager (as it is, and channels_last),
torch.compile, and torch.compile with CUDA graphs, each in fp32, TF32, bf16 and fp16 (autocast); the median of blocks of
ten steps. What does not fit into --minutes is left out and named. After every measurement a line of JSON has all so far.
Without PyTorch or a device it says so and exits 0.
"""
import argparse
import ast
import json
import re
import sys
import time
from pathlib import Path

TABLES = Path(__file__).resolve().parents[2] / "src/nn/detector_tables.cpp"
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
WAYS = ("eager", "channels_last", "compiled", "graphs")


def table(model):
    """Rows as (from, number, module, arguments), and the two multiples."""
    text = TABLES.read_text(encoding="utf-8")
    constants = dict(re.findall(r'std::string_view (k\w+) = R"\((.*?)\)";', text, re.DOTALL))
    match = re.search(r'Builtin\{"%s", "([^"]*)", (k\w+)\}' % re.escape(model), text)
    if not match:
        raise SystemExit(f"detector_torch: there is no table {model} in {TABLES.name}")
    preamble, body = match[1].replace("\\n", "\n"), constants[match[2]]

    def multiple(name):
        found = re.search(rf"^{name}_multiple: ([\d.]+)", preamble, re.MULTILINE)
        return float(found[1]) if found else 1.0

    rows = []
    for line in re.findall(r"^  - (\[.*\])(?:\s*#.*)?$", body.partition("backbone:")[2], re.MULTILINE):
        quoted = re.sub(r"[A-Za-z_][\w.]*", lambda m: m[0] if m[0] in ("True", "False", "None") else repr(m[0]), line)
        rows.append(ast.literal_eval(quoted))
    return rows, multiple("depth"), multiple("width")


def modules(torch):
    nn = torch.nn

    class Conv(nn.Sequential):
        def __init__(self, inputs, outputs, kernel=1, stride=1, padding=None, groups=1):
            padding = kernel // 2 if padding is None else padding
            super().__init__(nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
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
            self.last = Conv(2 * half, outputs)

        def forward(self, x):
            return self.last(torch.cat([self.one(x), self.two(x)], 1))

    class SPPF(nn.Module):
        def __init__(self, inputs, outputs, kernel):
            super().__init__()
            self.first = Conv(inputs, inputs // 2)
            self.last = Conv(inputs // 2 * 4, outputs)
            self.pool = nn.MaxPool2d(kernel, 1, kernel // 2)

        def forward(self, x):
            parts = [self.first(x)]
            for _ in range(3):
                parts.append(self.pool(parts[-1]))
            return self.last(torch.cat(parts, 1))

    return Conv, C3, SPPF


def network(torch, model, classes):
    nn = torch.nn
    rows, depth, width = table(model)
    Conv, C3, SPPF = modules(torch)
    channels, layers, sources = [], [], []
    for index, (source, number, module, arguments) in enumerate(rows):
        source = [(index + s if s < 0 else s) for s in (source if isinstance(source, list) else [source])]
        inputs = [channels[s] if s >= 0 else 3 for s in source]
        number = max(round(number * depth), 1) if number > 1 else number
        outputs = inputs[0]
        if module in ("Conv", "C3", "SPPF"):
            outputs = -(-int(arguments[0] * width) // 8) * 8
        if module == "Conv":
            layer = Conv(inputs[0], outputs, *arguments[1:])
        elif module == "C3":
            layer = C3(inputs[0], outputs, number, *arguments[1:])
        elif module == "SPPF":
            layer = SPPF(inputs[0], outputs, *arguments[1:])
        elif module == "nn.Upsample":
            layer = nn.Upsample(scale_factor=arguments[1])
        elif module == "Concat":
            layer, outputs = None, sum(inputs)
        elif module == "Detect":
            layer = nn.ModuleList([nn.Conv2d(c, 3 * (5 + classes), 1) for c in inputs])
        else:
            raise SystemExit(f"detector_torch: {model} has a row of {module}, which is not written here")
        channels.append(outputs)
        layers.append(layer)
        sources.append(source)

    class Detector(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([layer or nn.Identity() for layer in layers])

        def forward(self, x):
            values = []
            for layer, source, row in zip(self.layers, sources, rows):
                inputs = [values[s] if s >= 0 else x for s in source]
                if row[2] == "Detect":
                    return [head(value) for head, value in zip(layer, inputs)]
                values.append(torch.cat(inputs, 1) if row[2] == "Concat" else layer(inputs[0]))

    return Detector()


class Case:
    """One way and precision, ready to run steps."""

    def __init__(self, torch, options, way, precision):
        self.torch = torch
        torch.manual_seed(1)
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        self.kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
        self.device = torch.device(options.device)
        model = network(torch, options.model, options.classes).to(self.device).train()
        images = torch.rand(options.batch, 3, options.size, options.size, device=self.device)
        if way != "eager":
            model = model.to(memory_format=torch.channels_last)
            images = images.to(memory_format=torch.channels_last)
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.count = sum(p.numel() for p in self.trained)
        self.images = images
        self.graphs = way == "graphs"
        self.model = model
        if way in ("compiled", "graphs"):
            self.model = torch.compile(model, mode="reduce-overhead" if self.graphs else None)
        self.slopes = None

    def step(self):
        torch = self.torch
        if self.graphs:
            torch.compiler.cudagraph_mark_step_begin()
        for parameter in self.trained:
            parameter.grad = None
        with torch.autocast(self.device.type, dtype=self.kind or torch.bfloat16, enabled=self.kind is not None):
            outputs = self.model(self.images)
        if self.slopes is None:
            self.slopes = [torch.randn_like(y) for y in outputs]
        torch.autograd.backward(outputs, self.slopes)

    def wait(self):
        if self.device.type == "cuda":
            self.torch.cuda.synchronize(self.device)

    def measure(self, seconds):
        for _ in range(10 if self.device.type == "cuda" else 1):
            self.step()
        self.wait()
        blocks = []
        begin = time.perf_counter()
        while len(blocks) < 3 or time.perf_counter() - begin < seconds:
            start = time.perf_counter()
            for _ in range(10):
                self.step()
            self.wait()
            blocks.append((time.perf_counter() - start) / 10)
        blocks.sort()
        return {"median_ms": 1e3 * blocks[len(blocks) // 2], "low_ms": 1e3 * blocks[len(blocks) // 10],
                "high_ms": 1e3 * blocks[-1 - len(blocks) // 10], "count": 10 * len(blocks)}


def run(torch, options):
    end = time.monotonic() + 60 * options.minutes
    result = {"torch": torch.__version__, "model": options.model, "size": options.size, "batch": options.batch,
              "steps": [], "left_out": []}
    for way in options.ways.split(","):
        for precision in options.precisions.split(","):
            name = f"{way} {precision}"
            # A compilation takes about a minute and cannot be interrupted.
            if time.monotonic() > end - (75 if way in ("compiled", "graphs") else options.seconds):
                result["left_out"].append(name)
                continue
            case = None  # its memory is free before the next one's is taken
            torch._dynamo.reset()
            if options.device.startswith("cuda"):
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            try:
                case = Case(torch, options, way, precision)
                found = case.measure(options.seconds)
                found |= {"way": way, "precision": precision}
                if options.device.startswith("cuda"):
                    found["device_mib"] = torch.cuda.max_memory_allocated() / 2**20
                result["parameters"] = case.count
                result["steps"].append(found)
                print(f"PyTorch {name:20} {found['median_ms']:9.3f} ms ({found['low_ms']:.3f} to {found['high_ms']:.3f})")
            except Exception as error:  # another way may work all the same
                told = str(error).strip().splitlines() or [""]
                print(f"PyTorch {name:20} failed: {type(error).__name__}: {told[0][:200]}")
                result["left_out"].append(f"{name} (failed)")
            print(json.dumps(result), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolov5n")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--seconds", type=float, default=2.0, help="to measure each case")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--precisions", default=",".join(PRECISIONS))
    options = parser.parse_args()
    try:
        import torch
    except ImportError as error:
        print(f"skipped: PyTorch is not installed ({error})")
        return 0
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("skipped: PyTorch finds no CUDA device")
        return 0
    run(torch, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
