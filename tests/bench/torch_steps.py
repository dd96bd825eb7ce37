#!/usr/bin/env python3
"""torch_steps.py: the peer of `train` in scripts/bench, on random tokens.

    torch_steps.py MODEL DTYPE eager|compiled [BATCH]

MODEL: 124m (GPT-2, 4 rows of 1024) or 12m (Llama, 8 rows of 512). Warms up (and compiles), prints "ready"; then, for every
line N on standard input, makes N updates and prints the median of their tokens per second. At the end of its input it
prints the peak of its resident memory in MiB. THREADS (2).

    torch_steps.py --first MODEL DTYPE eager|compiled [BATCH]     one update, then out
"""
import os, resource, statistics, sys, time
import torch
import torch_peer


def main():
    args = [a for a in sys.argv[1:] if a != '--first']
    first = len(args) < len(sys.argv) - 1
    name, dtype, mode = args[:3]
    torch.set_num_threads(int(os.environ.get('THREADS', '2')))
    torch.manual_seed(42)
    rows, context, vocab = (4, 1024, 50257) if name == '124m' else (8, 512, 4096)
    rows = int(args[3]) if len(args) > 3 else rows
    model = torch_peer.gpt2() if name == '124m' else torch_peer.llama()
    opt = torch_peer.optimizer(model, 6e-4)
    nll = torch_peer.loss_function(model, dtype, mode == 'compiled')

    def step():
        return torch_peer.update(model, opt, nll, torch.randint(vocab, (rows, context + 1)))

    step()
    if first:
        os._exit(0)
    step()  # the second is slower than those behind it
    print('ready', flush=True)
    for line in sys.stdin:
        rates = []
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            rates.append(rows * context / (time.perf_counter() - start))
        print(f'{statistics.median(rates):.2f}', flush=True)
    print(f'{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}', flush=True)
    os._exit(0)


if __name__ == '__main__':
    main()
