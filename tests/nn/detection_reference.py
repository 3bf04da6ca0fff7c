#!/usr/bin/env python3
"""Prints the numbers of detection_reference_test.cpp: both detection losses in float64, their gradients by autograd.

Needs python3-torch. Written from the formulas, whole matrices at a time, not from the C++ code.
"""
import math

import torch

torch.set_default_dtype(torch.float64)
HEIGHT, WIDTH, CLASSES = 160, 192, 3
STRIDES = (8, 16)
BATCH = 3
# image, category, x, y, width, height. The two first collide; one box is inside another, one holds no cell's center,
# one reaches beyond the longest distance, one lies over a corner of cells.
TARGETS = [
    (0, 1, .31, .42, .22, .27), (0, 2, .33, .43, .25, .24), (0, 0, .30, .41, .08, .09), (0, 1, .7112, .203, .004, .004),
    (1, 0, .52, .51, .93, .94), (1, 2, .98, .02, .03, .30), (1, 2, .253, .747, .17, .05), (1, 1, .256, .752, .16, .06),
    (1, 0, .262, .741, .19, .055), (2, 0, .5, .5, .40, .41), (2, 1, .52, .49, .39, .38), (2, 2, .49, .52, .37, .42),
]
ANCHORS = [[(10, 13), (16, 30), (33, 23)], [(30, 61), (62, 45), (59, 119)]]


def f32(x):
    return float(torch.tensor(x, dtype=torch.float32))


TARGETS = [(i, c, *(f32(v) for v in box)) for i, c, *box in TARGETS]


def wave(level, shape):
    n, k, y, x = torch.meshgrid(*(torch.arange(s) for s in shape), indexing="ij")
    return n, k, y, x, torch.sin(1.1 * k + .7 * y + 1.9 * x + .5 * n + .3 * level + .013 * x * y)


def logits(level, channels, anchor_free):
    n, k, y, x, noise = wave(level, (BATCH, channels, HEIGHT // STRIDES[level], WIDTH // STRIDES[level]))
    values = 1.5 * noise
    if anchor_free:
        side, step = k // 16, k % 16
        middle = 1 + (3 * side + 5 * y + 7 * x + n + level) % 7 / 2
        # Boxes as large as the second image's first, from cells in its corner.
        middle = middle + torch.where((n == 1) & (level == 0), 2 + 8 * (side // 2), 0)
        values = torch.where(k < 64, -.4 * (step - middle) ** 2 + .3 * noise, values)
    return values.float().double().requires_grad_()


def ciou(a, b):
    """Boxes [..., 4], center and size."""
    lo = torch.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    hi = torch.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    inter = (hi - lo).clamp(0).prod(-1)
    iou = inter / (a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - inter + 1e-7)
    span = (torch.maximum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
            - torch.minimum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2))
    rho = ((a[..., :2] - b[..., :2]) ** 2).sum(-1) / ((span ** 2).sum(-1) + 1e-7)
    v = 4 / math.pi ** 2 * (torch.atan(b[..., 2] / b[..., 3]) - torch.atan(a[..., 2] / a[..., 3])) ** 2
    alpha = (v / (v - iou + 1 + 1e-7)).detach()
    return iou - (rho + v * alpha)


def bce(x, t, weight=1.0, gamma=0.0):
    soft = torch.nn.functional.softplus
    loss = weight * t * soft(-x) + (1 - t) * soft(x)
    if gamma > 0:
        s = torch.sigmoid(x)
        loss = loss * (t * .25 + (1 - t) * .75) * (1 - (t * s + (1 - t) * (1 - s))) ** gamma
    return loss


def report(name, total, outputs, **parts):
    total.backward()
    print(name, " ".join(f"{k} {float(v):.9g}" for k, v in parts.items()), f"total {float(total):.9g}")
    flat = torch.cat([o.grad.reshape(BATCH, -1) for o in outputs], 1).reshape(-1)
    i = torch.arange(flat.numel())
    print("  gradient: magnitudes", " ".join(f"{float(o.grad.abs().sum()):.9g}" for o in outputs),
          f"projection {float((flat * torch.sin(.37 * i)).sum()):.9g}")


def anchors(smoothing, gamma, category_weight, objectness_weight):
    outputs = [logits(level, 3 * (5 + CLASSES), False) for level in range(2)]
    box_loss = category_loss = objectness_loss = 0
    count = 0
    for level, output in enumerate(outputs):
        h, w = output.shape[2:]
        cells = output.view(BATCH, 3, 5 + CLASSES, h, w).permute(0, 1, 3, 4, 2)
        sizes = torch.tensor(ANCHORS[level], dtype=torch.float64) / STRIDES[level]
        found = []  # in the order offset, anchor, target
        for dx, dy in ((0, 0), (.5, 0), (0, .5), (-.5, 0), (0, -.5)):
            for a in range(3):
                for image, category, x, y, bw, bh in TARGETS:
                    x, y, bw, bh = x * w, y * h, bw * w, bh * h
                    ratios = (bw / sizes[a, 0], sizes[a, 0] / bw, bh / sizes[a, 1], sizes[a, 1] / bh)
                    if max(ratios) >= 4:
                        continue
                    if dx > 0 and not (x % 1 < .5 and x > 1) or dy > 0 and not (y % 1 < .5 and y > 1):
                        continue
                    if dx < 0 and not ((w - x) % 1 < .5 and w - x > 1) or dy < 0 and not ((h - y) % 1 < .5 and h - y > 1):
                        continue
                    i, j = min(max(int(x - dx), 0), w - 1), min(max(int(y - dy), 0), h - 1)
                    found.append((image, a, j, i, category, x - i, y - j, bw, bh))
        n, a, j, i, category = torch.tensor([f[:5] for f in found]).T
        true = torch.tensor([f[5:] for f in found], dtype=torch.float64)
        said = cells[n, a, j, i]
        s = said[:, :4].sigmoid()
        overlap = ciou(torch.cat((2 * s[:, :2] - .5, (2 * s[:, 2:]) ** 2 * sizes[a]), 1), true)
        wanted = torch.zeros(BATCH, 3, h, w)
        for k in range(len(found)):
            wanted[n[k], a[k], j[k], i[k]] = overlap[k].detach().clamp(0)
        classes = torch.full((len(found), CLASSES), smoothing / 2)
        classes[torch.arange(len(found)), category] = 1 - smoothing / 2
        box_loss = box_loss + (1 - overlap).mean()
        category_loss = category_loss + bce(said[:, 5:], classes, category_weight, gamma).mean()
        objectness_loss = objectness_loss + (4, 1)[level] * bce(cells[..., 4], wanted, objectness_weight, gamma).mean()
        count += len(found)
        if level == 0:
            print("  collisions:", len(found) - len({f[:4] for f in found}))
    total = BATCH * (.05 * box_loss + .7 * objectness_loss + .3 * category_loss)
    report("anchors", total, outputs, box=box_loss, objectness=objectness_loss, category=category_loss, positives=count)


def anchor_free():
    outputs = [logits(level, 64 + CLASSES, True) for level in range(2)]
    centers = torch.cat([torch.stack(torch.meshgrid(torch.arange(HEIGHT // s) + .5, torch.arange(WIDTH // s) + .5,
                                                    indexing="ij")[::-1], -1).reshape(-1, 2) for s in STRIDES])
    strides = torch.cat([torch.full((HEIGHT // s * WIDTH // s, 1), float(s)) for s in STRIDES])
    flat = torch.cat([o.flatten(2) for o in outputs], 2).permute(0, 2, 1)  # [batch, cells, channels]
    bins = flat[..., :64].reshape(BATCH, -1, 4, 16)
    sides = bins.softmax(-1) @ torch.arange(16.)
    said = torch.cat((centers + (sides[..., 2:] - sides[..., :2]) / 2, sides[..., 2:] + sides[..., :2]), -1)
    scores = flat[..., 64:]
    size = torch.tensor((WIDTH, HEIGHT), dtype=torch.float64)
    cells = centers.shape[0]
    wanted = torch.zeros(BATCH, cells, CLASSES)
    owner = torch.full((BATCH, cells), -1)
    true = torch.tensor([t[2:] for t in TARGETS]) * torch.cat((size, size))
    conflicts = strangers = 0
    with torch.no_grad():
        for image in range(BATCH):
            mine = [k for k, t in enumerate(TARGETS) if t[0] == image]
            if not mine:
                continue
            boxes = true[mine]
            lo, hi = boxes[:, None, :2] - boxes[:, None, 2:] / 2, boxes[:, None, :2] + boxes[:, None, 2:] / 2
            inside = torch.cat((centers * strides - lo, hi - centers * strides), -1).amin(-1) > 1e-9
            overlap = ciou(boxes[:, None], said[image] * strides).clamp(0) * inside
            category = torch.tensor([TARGETS[k][1] for k in mine])
            metric = scores[image].sigmoid()[:, category].T ** .5 * overlap ** 6
            top = torch.zeros_like(inside)
            for g in range(len(mine)):
                top[g, metric[g].topk(10).indices] = True
            top &= inside & (metric > 0)
            taken = top.sum(0)
            conflicts += int((taken > 1).sum())
            best = torch.zeros_like(top)
            best[overlap.argmax(0), torch.arange(cells)] = True
            strangers += int((best & ~top & (taken > 1)).sum())
            top = torch.where(taken > 1, best, top)
            for g in range(len(mine)):
                share = metric[g] * top[g] * (overlap[g] * top[g]).max() / ((metric[g] * top[g]).max() + 1e-9)
                wanted[image, :, category[g]] += share
                owner[image][top[g]] = mine[g]
    total_score = max(float(wanted.sum()), 1.0)
    n, cell = (owner >= 0).nonzero().T
    box = true[owner[n, cell]] / strides[cell]
    weight = wanted[n, cell].sum(-1)
    box_loss = ((1 - ciou(said[n, cell], box)) * weight).sum() / total_score
    distance = torch.cat((centers[cell] - box[:, :2] + box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2 - centers[cell]), 1)
    print("  distances over the longest:", int((distance > 14.99).sum()), "conflicts:", conflicts, "to a third:", strangers,
          "score sum:", total_score)
    distance = distance.clamp(0, 14.99)
    left = distance.long()
    log_p = bins[n, cell].log_softmax(-1)
    near = log_p.gather(-1, left[..., None])[..., 0] * (left + 1 - distance)
    far = log_p.gather(-1, left[..., None] + 1)[..., 0] * (distance - left)
    dfl_loss = (-(near + far).mean(-1) * weight).sum() / total_score
    category_loss = bce(scores, wanted).sum() / total_score
    total = BATCH * (7.5 * box_loss + .5 * category_loss + 1.5 * dfl_loss)
    report("anchor-free", total, outputs, box=box_loss, category=category_loss, dfl=dfl_loss, positives=len(n))


anchors(0.0, 0.0, 1.0, 1.0)
anchors(0.1, 1.5, 2.0, 0.6)
anchor_free()
