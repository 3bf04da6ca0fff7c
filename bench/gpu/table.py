"""The table of scripts/gpu run: a step's time beside its floor and PyTorch's on the same model. Not a program."""

GOAL_TORCH = 1.10  # at most so many times PyTorch's best
GOAL_PUSH = 0.03   # at most so much more than a step that sends nothing
COMPILED = ("compiled", "graphs")


def milliseconds(spread):
    return f"{spread['median_ms']:.3f} ({spread['low_ms']:.3f}-{spread['high_ms']:.3f})" if spread else "-"


def fastest(steps, ways):
    found = [step for step in steps if step["way"] in ways]
    return min(found, key=lambda step: step["median_ms"], default=None)


def with_way(step):
    return f"{step['median_ms']:.3f} {step['way']}" if step else "-"


def rows_of(bench, torch):
    """Lines of one model: `bench` is psbench step's JSON, `torch` detector_torch.py's or None."""
    for step in bench["steps"]:
        same = [s for s in (torch or {}).get("steps", []) if s["precision"] == step["precision"]]
        eager = fastest(same, ("eager", "channels_last"))
        compiled = fastest(same, COMPILED)
        best = fastest(same, ("eager", "channels_last", *COMPILED))
        local, pushed = step["local"]["median_ms"], step["pushed"]["median_ms"]
        ratio = local / best["median_ms"] if best else None
        more = pushed / local - 1
        yield [f"{bench['model']} {bench['size']} x{bench['batch']}", step["precision"], milliseconds(step["local"]),
               f"{step['floor_ms']:.3f}", f"{local / step['floor_ms']:.2f}", with_way(eager), with_way(compiled),
               f"{ratio:.2f} {'met' if ratio <= GOAL_TORCH else 'MISSED'}" if ratio else "-",
               milliseconds(step["pushed"]), f"{100 * more:+.1f}% {'met' if more <= GOAL_PUSH else 'MISSED'}",
               f"{step['device_mib']:.0f}"]


HEADER = ["model", "precision", "step, ms (10-90 %)", "floor, ms", "x floor", "PyTorch eager", "PyTorch compiled",
          f"x PyTorch's best (<= {GOAL_TORCH:.2f})", "with push_pull, ms", f"more (<= {100 * GOAL_PUSH:.0f} %)", "MiB"]


def limits_line(bench):
    limits = bench["limits"]
    products = ", ".join(f"{name} {rate:.0f}" for name, rate in limits["products_tflops"].items())
    return (f"ceilings: memory {max(limits['copy_gb_per_s'], limits['map_gb_per_s']):.0f} GB/s, pinned up "
            f"{limits['up_gb_per_s']:.1f} and down {limits['down_gb_per_s']:.1f} GB/s; products in TFLOP/s: {products}")


def transfers_line(bench):
    found = bench["transfers"]
    return (f"{bench['model']}, copies alone, part of every step of ours: pictures up {found['images_up_ms']:.3f} ms, weights up "
            f"{found['weights_up_ms']:.3f}, gradients down {found['gradients_down_ms']:.3f}")


def markdown(benches, torches, checks):
    """`benches`: psbench step's JSON, one a model; `torches`: model -> JSON; `checks`: name -> outcome."""
    lines = [f"{name}: {outcome}" for name, outcome in checks.items()]
    if benches:
        lines += [f"on {benches[0]['device']}", limits_line(benches[0])]
        lines += [transfers_line(bench) for bench in benches]
    for model, torch in torches.items():
        left = f"; left out: {', '.join(torch['left_out'])}" if torch["left_out"] else ""
        lines.append(f"PyTorch {torch['torch']} on {model}: no loss, pictures on the device already{left}")
    lines = [f"- {line}" for line in lines] + [""]
    rows = [row for bench in benches for row in rows_of(bench, torches.get(bench["model"]))]
    if rows:
        lines += ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
