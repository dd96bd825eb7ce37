#!/usr/bin/env python3
"""Reference distributions of transformers' logits processors, written as a C table for tests/unit/test_sample.c.

usage: sample.py > tests/unit/sample_vectors.h          (needs torch and transformers)
"""
import torch
from transformers import (LogitsProcessorList, MinPLogitsWarper, RepetitionPenaltyLogitsProcessor,
                          TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)

V = 24
CASES = [  # temp, top_k, top_p, min_p, repeat_penalty, repeat_last_n
    (1.0, 0, 1.0, 0.0, 1.0, 64),
    (0.7, 0, 1.0, 0.0, 1.0, 64),
    (1.0, 5, 1.0, 0.0, 1.0, 64),
    (1.0, 0, 0.8, 0.0, 1.0, 64),
    (1.3, 0, 0.35, 0.0, 1.0, 64),
    (1.0, 0, 1.0, 0.2, 1.0, 64),
    (0.9, 12, 0.9, 0.05, 1.0, 64),
    (1.0, 0, 1.0, 0.0, 1.4, 64),
    (0.6, 10, 0.95, 0.1, 1.2, 4),
    (2.0, 3, 0.5, 0.3, 0.8, 2),
]


def main():
    g = torch.Generator().manual_seed(7)
    print("/* Made by tests/ref/sample.py with transformers' logits processors. */")
    print(f"#define SAMPLE_V {V}\n#define SAMPLE_PAST 8")
    print("static const struct {\n\tstruct sample_params p;\n\tuint32_t past[SAMPLE_PAST];\n"
          "\tfloat logits[SAMPLE_V];\n\tdouble prob[SAMPLE_V];\n} sample_vectors[] = {")
    for temp, k, p, m, rp, last in CASES:
        logits = torch.randn(1, V, generator=g) * 2
        past = torch.randint(0, V, (1, 8), generator=g)
        chain = LogitsProcessorList()
        if rp != 1:
            chain.append(RepetitionPenaltyLogitsProcessor(rp))
        if temp != 1:
            chain.append(TemperatureLogitsWarper(temp))
        if k:
            chain.append(TopKLogitsWarper(k))
        if p < 1:
            chain.append(TopPLogitsWarper(p))
        if m:
            chain.append(MinPLogitsWarper(m))
        window = past[:, -last:] if last < 8 else past
        prob = torch.softmax(chain(window, logits.clone()).double(), -1)[0].tolist()
        print(f"\t{{ {{ {temp}, {k}, {p}, {m}, {rp}, {last} }},")
        for what, fmt in ((past[0].tolist(), "{}"), (logits[0].tolist(), "{!r}f"), (prob, "{!r}")):
            words, line = [fmt.format(x) for x in what], "\t\t{ "
            for i, w in enumerate(words):
                w += ", " if i + 1 < len(words) else " },"
                if len(line) + len(w) > 100:
                    print(line.rstrip())
                    line = "\t\t\t"
                line += w
            print(line)
        print("\t},")
    print("};")


main()
