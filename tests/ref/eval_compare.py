#!/usr/bin/env python3
"""generate and eval against transformers, on small random models of four architectures.

usage: eval_compare.py [--bin BIN] [--work FOLDER]      (needs torch and transformers)

Greedy completions must be the same ids, log-probabilities (at several temperatures, with penalties and truncation on)
and the best of each step within 1e-4; eval --rescore must give the sampler's bits; the loss of documents of all lengths,
in windows and strides of all kinds, within 1e-6 of what transformers' logits sum to. Exit 1 where something differs.
"""
import argparse
import json
import os
import random
import subprocess
import sys

import torch
import transformers

HERE = os.path.dirname(os.path.abspath(__file__))
VOCAB, CONTEXT, NEW = 97, 96, 20


def make_models(work):
    common = dict(vocab_size=VOCAB, max_position_embeddings=CONTEXT, bos_token_id=1, eos_token_id=2)
    llama = dict(common, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=6,
                 num_key_value_heads=2)
    configs = {
        "llama": transformers.LlamaConfig(**llama),
        "gpt2": transformers.GPT2Config(vocab_size=VOCAB, n_embd=48, n_layer=2, n_head=4, n_positions=CONTEXT,
                                        bos_token_id=1, eos_token_id=2),
        "qwen3": transformers.Qwen3Config(**dict(llama, head_dim=16)),
        "olmo2": transformers.Olmo2Config(**dict(llama, pad_token_id=0)),
    }
    for name, config in configs.items():
        torch.manual_seed(3)
        model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
        for p in model.parameters():
            if p.ndim > 1:
                torch.nn.init.normal_(p, std=0.15)
        model.save_pretrained(f"{work}/{name}")
        yield name, model


def logp(model, ids, temp=1.0):
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([ids])).logits[0].double() / temp, -1)


class Check:
    def __init__(self, bin, work):
        self.bin, self.work, self.bad = bin, work, 0

    def run(self, tool, *args, text=None):
        cmd = [f"{self.bin}/{tool}", "-q", *args]
        return subprocess.run(cmd, input=text, check=True, capture_output=True, text=True).stdout

    def say(self, what, ok, detail=""):
        self.bad += not ok
        print(f"{'ok' if ok else 'DIFFERS':8}{what} {detail}")

    def greedy(self, name, model, prompts, text):
        out = [json.loads(x) for x in self.run("generate", "-m", f"{self.work}/{name}", "--jsonl", "--greedy", "--dtype", "f32",
                                               "--ignore-eos", "--max-tokens", str(NEW), "--top-logprobs", "4",
                                               text=text).splitlines()]
        same, worst = 0, 0
        for p, o in zip(prompts, out):
            want = model.generate(torch.tensor([p]), attention_mask=torch.ones(1, len(p), dtype=torch.long), do_sample=False,
                                  max_new_tokens=NEW, min_new_tokens=NEW, eos_token_id=None, pad_token_id=0)[0].tolist()
            same += want[len(p):] == o["tokens"]
            lp = logp(model, p + o["tokens"])
            for i, best in enumerate(o["top_logprobs"]):
                for (token, got), top in zip(best, lp[len(p) + i - 1].topk(4).values):
                    worst = max(worst, abs(got - top.item()), abs(got - lp[len(p) + i - 1][token].item()))
        self.say(f"{name}: greedy completions", same == len(prompts) == len(out), f"{same} of {len(prompts)}")
        self.say(f"{name}: the four best of each step", worst < 1e-4, f"{worst:.1e}")

    def sampled(self, name, model, text, temp):
        lines = self.run("generate", "-m", f"{self.work}/{name}", "--jsonl", "--temp", str(temp), "--dtype", "f32", "--ignore-eos",
                         "--max-tokens", "12", "-n", "8", "--top-p", "0.9", "--repeat-penalty", "1.2", text=text)
        out, worst = [json.loads(x) for x in lines.splitlines()], 0
        for o in out:
            n, lp = len(o["prompt_tokens"]), logp(model, o["prompt_tokens"] + o["tokens"], temp)
            for i, (token, got) in enumerate(zip(o["tokens"], o["logprobs"])):
                worst = max(worst, abs(got - lp[n + i - 1][token].item()))
        self.say(f"{name}: log-probabilities at temperature {temp}", worst < 1e-4, f"{worst:.1e}")
        again = self.run("eval", "-m", f"{self.work}/{name}", "--rescore", "--as", "logprobs", "--dtype", "f32", text=lines)
        self.say(f"{name}: their bits from --rescore", again == lines)

    def loss(self, name, model, docs, context, stride):
        out = [json.loads(x) for x in self.run("eval", "-m", f"{self.work}/{name}", "--loss", "--per-item", "--dtype", "f32",
                                               "--context", str(context), "--stride", str(stride),
                                               f"{self.work}/docs.tok").splitlines()]
        scored_all, nats_all, worst = 0, 0, 0
        for doc, item in zip(docs, out):
            scored, start, nats = 1, 0, 0
            while scored < len(doc):
                window = doc[start:start + context + 1]
                lp = logp(model, window[:-1])
                nats -= sum(lp[j - 1][window[j]].item() for j in range(scored - start, len(window)))
                scored, start = start + len(window), start + stride
            scored_all += max(len(doc) - 1, 0)
            nats_all += nats
            worst = max(worst, abs(nats - item["nats"]) / max(1, nats))
        ok = len(out) == len(docs) + 1 and out[-1]["scored"] == scored_all and worst < 1e-6
        self.say(f"{name}: loss, windows of {context}, stride {stride}", ok and abs(out[-1]["nats"] / nats_all - 1) < 1e-6,
                 f"{worst:.1e}")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--bin", default=f"{HERE}/../../bin")
    ap.add_argument("--work", default="eval_compare")
    a = ap.parse_args()
    os.makedirs(a.work, exist_ok=True)
    check, rnd = Check(a.bin, a.work), random.Random(1)
    ids = lambda n: [rnd.randrange(3, VOCAB) for _ in range(n)]
    prompts = [ids(rnd.randrange(1, 40)) for _ in range(12)]
    text = "".join(json.dumps({"prompt": p}) + "\n" for p in prompts)
    docs = [ids(n) for n in (0, 1, 2, 24, 25, 26, 55, CONTEXT - 1, CONTEXT, CONTEXT + 1, 3 * CONTEXT)]
    open(f"{a.work}/docs.jsonl", "w").write("".join(json.dumps(d) + "\n" for d in docs))
    check.run("tokenize", "--from-ids", "--vocab", str(VOCAB), f"{a.work}/docs.jsonl", "-o", f"{a.work}/docs.tok")
    for name, model in make_models(a.work):
        check.greedy(name, model, prompts, text)
        for temp in (0.5, 1.7):
            check.sampled(name, model, text, temp)
        for context, stride in ((CONTEXT, CONTEXT), (24, 24), (24, 5), (24, 1), (7, 3), (1, 1)):
            check.loss(name, model, docs, context, stride)
    sys.exit(check.bad > 0)


main()
