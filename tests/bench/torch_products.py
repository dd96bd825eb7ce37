#!/usr/bin/env python3
"""torch_products.py: the peer of bench_products: the bf16 products of a GPT-2 124M step by oneDNN, GFLOP/s of them all."""
import os, time
import torch

TOKENS, RUNS = 4096, 2
MAPS = [(768, 2304, 12), (768, 768, 12), (768, 3072, 12), (3072, 768, 12), (768, 50257, 1)]


base = torch.randn(1 << 20).bfloat16()


def random(rows, columns):
    """Numbers that repeat, as making so many of them takes longer than the products."""
    n = rows * columns
    return base.repeat(n // len(base) + 1)[:n].view(rows, columns)


def seconds(f):
    f()
    start = time.perf_counter()
    for _ in range(RUNS):
        f()
    return (time.perf_counter() - start) / RUNS


torch.set_num_threads(int(os.environ.get('THREADS', '2')))
flop = spent = 0.0
for n_in, n_out, times in MAPS:
    x, w, y = random(TOKENS, n_in), random(n_out, n_in), random(TOKENS, n_out)
    out, dx, dw = torch.empty_like(y), torch.empty_like(x), torch.empty_like(w)
    for f in (lambda: torch.mm(x, w.t(), out=out), lambda: torch.mm(y, w, out=dx), lambda: torch.mm(y.t(), x, out=dw)):
        spent += times * seconds(f)
        flop += times * 2.0 * TOKENS * n_in * n_out
print(f'{flop / spent / 1e9:.1f}')
