#!/usr/bin/env python3
"""torch_curve.py: the loss curve of `train` against PyTorch's, from the same weights, on the same rows.

    torch_curve.py --train BIN/train --tok data.tok --ids data.jsonl (--arch SPEC | --init MODEL) [train options]

data.tok is data.jsonl (a JSON array of ids a line) through `tokenize --from-ids`. `train --steps 0` writes the first
weights, transformers loads them, both take the same updates in f32; the script prints the largest relative difference
of a loss and of a tensor, and fails above 1e-5 and 1e-4. It also compares transformers' logits of the last checkpoint.
Needs torch and transformers; `make check` does not run it.
"""
import argparse, json, math, os, subprocess, sys, tempfile
import torch
from transformers import AutoModelForCausalLM

MUON = (3.4445, -4.7750, 2.0315)


def newton_schulz(g):
    """Jordan et al. 2024, in f32."""
    a, b, c = MUON
    x = g.T if g.size(0) > g.size(1) else g
    x = x / max(x.norm().item(), 1e-7)
    for _ in range(5):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if g.size(0) > g.size(1) else x


class Muon:
    """The published algorithm for matrices of the blocks; AdamW, by PyTorch, for everything else."""

    def __init__(self, model, o):
        self.o, self.mats, rest = o, [], []
        for name, p in model.named_parameters():
            inside = p.ndim == 2 and (".layers." in name or ".h." in name)
            (self.mats if inside else rest).append(p)
        self.buf = [torch.zeros_like(p) for p in self.mats]
        self.rest = adamw(rest, o)

    @torch.no_grad()
    def step(self, lr):
        for p, m in zip(self.mats, self.buf):
            m.lerp_(p.grad, 1 - self.o.momentum)
            x = newton_schulz(p.grad.lerp(m, self.o.momentum))
            r, c = p.shape
            size = 0.2 * math.sqrt(max(r, c)) if self.o.muon_scale == "match-rms" else math.sqrt(max(1, r / c))
            p.mul_(1 - lr * self.o.weight_decay).sub_(lr * size * x)
        for g in self.rest.param_groups:
            g["lr"] = lr
        self.rest.step()


def adamw(params, o):
    b1, b2 = (float(x) for x in o.betas.split(","))
    return torch.optim.AdamW([
        {"params": [p for p in params if p.ndim >= 2], "weight_decay": o.weight_decay},
        {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0},
    ], lr=o.lr, betas=(b1, b2), eps=1e-8, foreach=False)


class AdamW:
    def __init__(self, model, o):
        self.opt = adamw(list(model.parameters()), o)

    def step(self, lr):
        for g in self.opt.param_groups:
            g["lr"] = lr
        self.opt.step()


def rows(docs, context):
    """Each row: the parts of documents in C + 1 consecutive tokens; the next row begins with this one's last."""
    flat = [(t, i == 0) for d in docs for i, t in enumerate(d)]
    at = 0
    while at + 1 < len(flat):
        span, part = flat[at:at + context + 1], []
        parts = [part]
        for i, (t, start) in enumerate(span):
            if start and i:
                part = []
                parts.append(part)
            part.append(t)
        yield [p for p in parts if len(p) > 1]
        at += context


def tensors(mine, theirs):
    """Pairs of final tensors. The bias of GPT-2's keys is left out: softmax does not change when all scores of a query
    move together, so its true gradient is 0, and Adam makes steps of any size out of the rounding noise."""
    for (name, a), b in zip(mine.named_parameters(), theirs.parameters()):
        if name.endswith("attn.c_attn.bias"):
            q, k, v = a.chunk(3)
            a, b = torch.cat([q, v]), torch.cat([b.chunk(3)[0], b.chunk(3)[2]])
        yield name, a, b


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    for name in ("train", "tok", "ids"):
        a.add_argument("--" + name, required=True)
    a.add_argument("--arch")
    a.add_argument("--init")
    a.add_argument("--steps", type=int, default=20)
    a.add_argument("--batch", type=int, default=4)
    a.add_argument("--context", type=int, default=64)
    a.add_argument("--lr", type=float, default=1e-3)
    a.add_argument("--warmup", type=int, default=5)
    a.add_argument("--weight-decay", type=float, default=0.1)
    a.add_argument("--betas", default="0.9,0.95")
    a.add_argument("--clip", type=float, default=1.0)
    a.add_argument("--optim", default="adamw")
    a.add_argument("--momentum", type=float, default=0.95)
    a.add_argument("--muon-scale", default="match-rms")
    a.add_argument("--zloss", type=float, default=0.0)
    o = a.parse_args()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as d:
        run(o, d)


def run(o, d):
    start = ["--init", o.init] if o.init else ["--arch", o.arch]
    common = [o.tok, "--context", str(o.context), "--batch", str(o.batch), "--dtype", "f32", "-q"]
    subprocess.run([o.train, "-o", d + "/first", "--steps", "0", *start, *common], check=True)
    subprocess.run([o.train, "-o", d + "/run", "--steps", str(o.steps), "--order", "file", "--init", d + "/first", *common,
                    "--lr", str(o.lr), "--warmup", str(o.warmup), "--weight-decay", str(o.weight_decay), "--betas", o.betas,
                    "--clip", str(o.clip), "--optim", o.optim, "--momentum", str(o.momentum), "--muon-scale", o.muon_scale,
                    "--zloss", str(o.zloss), "--schedule", "cosine"], check=True)
    ours = [json.loads(line) for line in open(d + "/run/log.jsonl")]
    model = AutoModelForCausalLM.from_pretrained(d + "/first/step-0", dtype=torch.float32, attn_implementation="eager")
    model.train()
    for m in model.modules():
        if isinstance(m, torch.nn.Dropout):
            m.p = 0.0
    opt = (Muon if o.optim == "muon" else AdamW)(model, o)
    source = rows([json.loads(line) for line in open(o.ids)], o.context)
    worst = worst_norm = 0.0
    for step in range(o.steps):
        parts = [p for _ in range(o.batch) for p in next(source)]
        n = sum(len(p) - 1 for p in parts)
        model.zero_grad()
        total = 0.0
        for p in parts:
            ids = torch.tensor([p])
            logits = model(ids[:, :-1]).logits[0]
            nll = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
            (nll / n + o.zloss * logits.logsumexp(-1).square().sum() / n).backward()
            total += nll.item()
        norm = math.sqrt(sum(p.grad.double().square().sum().item() for p in model.parameters()))
        for p in model.parameters():
            p.grad.mul_(min(1, o.clip / (norm + 1e-6)) if o.clip else 1)
        x = max(0, step - o.warmup) / (o.steps - o.warmup)
        lr = o.lr * (step + 1) / o.warmup if step < o.warmup else o.lr * 0.5 * (1 + math.cos(math.pi * x))
        assert abs(ours[step]["lr"] - lr) <= 1e-12 + 1e-9 * lr, (ours[step]["lr"], lr)
        opt.step(lr)
        worst = max(worst, abs(ours[step]["loss"] - total / n) / (total / n))
        worst_norm = max(worst_norm, abs(ours[step]["grad_norm"] - norm) / norm)
    mine = AutoModelForCausalLM.from_pretrained(d + "/run/latest", dtype=torch.float32)
    w, where = max((((a - b).norm() / b.norm()).item(), n) for n, a, b in tensors(mine, model) if b.norm() > 0)
    print(f"{o.init or o.arch} {o.optim}: loss {ours[0]['loss']:.4f} -> {ours[-1]['loss']:.4f}; largest relative difference"
          f" of a loss {worst:.2e}, of a gradient norm {worst_norm:.2e}, of a final tensor {w:.2e} ({where})")
    if worst > 1e-5 or w > 1e-4:
        sys.exit(1)


if __name__ == "__main__":
    main()
