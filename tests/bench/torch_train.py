#!/usr/bin/env python3
"""torch_train.py: the peer of `train` in scripts/ten-minutes: the same Llama, batch, schedule and time in PyTorch.

    torch_train.py --train ids.jsonl --eval ids.jsonl --eval-bytes N [--minutes 10] [--dtype bf16|f32] [--compile]

ids.jsonl: a JSON array of ids a line (quern-tokenize --ids --eos). Prints one JSON line: steps, tokens per second of the
training loop, held-out nats per token and bits per byte in windows of --context without overlap, each window alone.
"""
import argparse, json, math, time
import torch
import torch_peer


def read(path):
    return [torch.tensor(json.loads(line)) for line in open(path)]


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--train', required=True)
    p.add_argument('--eval', required=True)
    p.add_argument('--eval-bytes', type=int, required=True)
    p.add_argument('--minutes', type=float, default=10)
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--vocab', type=int, default=4096)
    p.add_argument('--layers', type=int, default=6)
    p.add_argument('--dim', type=int, default=384)
    p.add_argument('--heads', type=int, default=6)
    p.add_argument('--mlp', type=int, default=1024)
    p.add_argument('--context', type=int, default=512)
    p.add_argument('--batch', type=int, default=8)
    p.add_argument('--lr', type=float, default=1e-3)
    p.add_argument('--min-lr', type=float, default=1e-4)
    p.add_argument('--warmup', type=int, default=20)
    p.add_argument('--dtype', choices=['bf16', 'f32'], default='bf16')
    p.add_argument('--compile', action='store_true')
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(42)
    model = torch_peer.llama(a.vocab, a.layers, a.dim, a.heads, a.mlp, a.context)
    count = sum(x.numel() for x in model.parameters())
    flat = torch.cat(read(a.train))
    rows = (len(flat) - 1) // a.context
    opt = torch_peer.optimizer(model, a.lr)
    nll = torch_peer.loss_function(model, a.dtype, a.compile)
    if a.compile:  # the clock starts behind compilation
        x = flat[:a.batch * (a.context + 1)].reshape(a.batch, -1)
        nll(x[:, :-1], x[:, 1:]).backward()
        opt.zero_grad(set_to_none=True)
    order = torch.randperm(rows)
    at = step = 0
    total = a.minutes * 60
    start = time.time()
    while time.time() - start < total:
        if at + a.batch > rows:
            order, at = torch.randperm(rows), 0
        idx = order[at:at + a.batch]
        at += a.batch
        x = torch.stack([flat[i * a.context:i * a.context + a.context + 1] for i in idx])
        used = (time.time() - start) / total
        lr = a.lr * (step + 1) / a.warmup if step < a.warmup else \
            a.min_lr + (a.lr - a.min_lr) * 0.5 * (1 + math.cos(math.pi * min(1, used)))
        for g in opt.param_groups:
            g['lr'] = lr
        loss = torch_peer.update(model, opt, nll, x)
        step += 1
    spent = time.time() - start
    score = torch_peer.loss_function(model, a.dtype, False)
    nats, n = 0.0, 0
    with torch.no_grad():
        for doc in read(a.eval):
            # Windows of `context` predictions; the next one begins with the last token of the one before.
            for i in range(0, len(doc) - 1, a.context):
                w = doc[i:i + a.context + 1][None]
                nats += score(w[:, :-1], w[:, 1:], 'sum').item()
                n += w.shape[1] - 1
    print(json.dumps({'peer': f'torch {torch.__version__} {a.dtype} {"compiled" if a.compile else "eager"}',
                      'parameters': count, 'steps': step, 'loss': loss,
                      'tokens_per_s': step * a.batch * a.context / spent, 'nats_per_token': nats / n,
                      'bits_per_byte': nats / math.log(2) / a.eval_bytes}))


if __name__ == '__main__':
    main()
