#!/usr/bin/env python3
"""GGUF files of quern and of llama.cpp, each read by the other.

usage: gguf_compare.py BIN LLAMA.CPP TEXT...      (needs torch, transformers, llama-cpp-python, gguf)

BIN holds quern's programs, LLAMA.CPP the sources that llama-cpp-python was built from. For small random models of every
architecture it prints the relative difference of logits from transformers': of quern and llama.cpp on quern's file, of
quern on the file of llama.cpp's converter; how many tensors of these files differ; how many differ when both quantise;
and for tokenizers trained on the texts in how many of their lines the ids differ.
"""
import ctypes
import json
import os
import subprocess
import sys
import tempfile

import llama_cpp as lc
import numpy as np
import torch
from gguf import GGUFReader
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

BASE = dict(vocab_size=96, hidden_size=256, num_hidden_layers=9, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=512, max_position_embeddings=128)
FTYPES = {"q8_0": 7, "q4_0": 2, "q4_k": 15, "q5_k": 17, "q6_k": 18, "q5_0": 8}


def rope(kind, theta=10000.0, **keys):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **keys))


LLAMA3 = rope("llama3", 500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
YARN = rope("yarn", factor=4.0, original_max_position_embeddings=32)
CASES = {"gpt2": dict(model_type="gpt2", vocab_size=96, n_embd=256, n_layer=3, n_head=4, n_positions=128, n_ctx=128),
         "llama": dict(BASE, model_type="llama"),
         "llama-biases": dict(BASE, model_type="llama", attention_bias=True, mlp_bias=True, head_dim=48),
         "llama-llama3": dict(BASE, model_type="llama", tie_word_embeddings=True, **LLAMA3),
         "llama-linear": dict(BASE, model_type="llama", **rope("linear", factor=3.0)),
         "llama-yarn": dict(BASE, model_type="llama", **YARN),
         "mistral": dict(BASE, model_type="mistral", sliding_window=None),
         "qwen2": dict(BASE, model_type="qwen2"),
         "qwen3": dict(BASE, model_type="qwen3", head_dim=32, tie_word_embeddings=True, **YARN),
         "olmo2": dict(BASE, model_type="olmo2")}


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def make(keys, folder):
    keys = dict(keys)
    torch.manual_seed(1)
    config = AutoConfig.for_model(keys.pop("model_type"), bos_token_id=1, eos_token_id=2, **keys)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p) * 0.08 + (1.0 if p.ndim == 1 else 0.0))
    model.save_pretrained(folder)
    return model


def quern_logits(bin, path, ids):
    with tempfile.TemporaryDirectory() as t:
        save_file({"input_ids": torch.tensor(ids)}, t + "/ids.safetensors")
        run(bin + "/convert", "--verify", t + "/ids.safetensors", "-o", t + "/out.safetensors", path)
        return load_file(t + "/out.safetensors")["logits"].numpy()


def llama_logits(path, ids):
    model = lc.llama_model_load_from_file(path.encode(), lc.llama_model_default_params())
    p = lc.llama_context_default_params()
    p.n_ctx = p.n_batch = p.n_ubatch = 256
    p.type_k = p.type_v = p.flash_attn_type = 0  # keys and values in f32
    context = lc.llama_init_from_model(model, p)
    vocab, rows = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(model)), []
    for row in ids:
        batch = lc.llama_batch_init(len(row), 0, 1)
        batch.n_tokens = len(row)
        for i, token in enumerate(row):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = int(token), i, 1, 1
            batch.seq_id[i][0] = 0
        lc.llama_memory_clear(lc.llama_get_memory(context), True)
        assert lc.llama_decode(context, batch) == 0
        rows.append([np.ctypeslib.as_array(lc.llama_get_logits_ith(context, i), (vocab,)).copy()
                     for i in range(len(row))])
    return np.array(rows)


def rel(a, b):
    return f"{np.linalg.norm(a - b) / np.linalg.norm(b):.1e}"


def differing(a, b):
    x, y = ({t.name: (t.tensor_type, t.data.tobytes()) for t in GGUFReader(f).tensors} for f in (a, b))
    return f"{sum(x.get(n) != y.get(n) for n in x.keys() | y.keys())} of {len(x)}"


def compare_model(bin, name, keys, folder):
    ids = np.random.default_rng(3).integers(0, 96, (2, 60))
    model, hf, ours, theirs = make(keys, folder + "/hf"), folder + "/hf", folder + "/ours.gguf", folder + "/theirs.gguf"
    with torch.no_grad():
        want = model(torch.tensor(ids)).logits.numpy()
    run(bin + "/convert", "--dtype", "f32", "-o", ours, hf)
    print(f"{name}: quern {rel(quern_logits(bin, ours, ids), want)}, llama.cpp {rel(llama_logits(ours, ids), want)}",
          flush=True)
    for kind, ftype in FTYPES.items():
        for pure in (False, True):
            p = lc.llama_model_quantize_default_params()
            p.ftype, p.pure = ftype, pure
            lc.llama_model_quantize(ours.encode(), theirs.encode(), ctypes.byref(p))
            run(bin + "/convert", *["--pure"] * pure, "--dtype", kind, "-o", folder + "/q.gguf", hf)
            print(f"  {kind}{' --pure' * pure}: tensors that differ: {differing(folder + '/q.gguf', theirs)}")


def compare_converter(bin, source, files, folder):
    """The converter wants a tokenizer: a model of GPT-2's kind that quern makes and transformers reads."""
    hf, theirs, ours = folder + "/hf", folder + "/theirs.gguf", folder + "/ours.gguf"
    run(bin + "/tokenize", "-q", "-t", "--vocab", "2000", "--special", "<|endoftext|>", "-o", folder + "/t.json",
        *files)
    run(bin + "/train", "-q", "-o", folder + "/run", "--steps", "0", "--tokenizer", folder + "/t.json",
        "--arch", "llama:depth=2,dim=64,heads=2")
    run(bin + "/convert", "-o", hf, folder + "/run")
    patch = ("import sys, conversion.base as b; b.TextModel.get_vocab_base_pre = lambda *a: 'gpt-2'; "
             "sys.argv[0] = 'convert_hf_to_gguf.py'; import convert_hf_to_gguf as c; c.main()")
    env = dict(os.environ, PYTHONPATH=f"{source}:{source}/gguf-py")
    subprocess.run([sys.executable, "-c", patch, hf, "--outfile", theirs, "--outtype", "f32"], env=env, check=True,
                   capture_output=True)
    run(bin + "/convert", "--dtype", "f32", "-o", ours, hf)
    ids = np.random.default_rng(3).integers(0, 2000, (2, 60))
    print(f"their converter's file: quern {rel(quern_logits(bin, theirs, ids), quern_logits(bin, hf, ids))}, "
          f"tensors that differ: {differing(ours, theirs)}")


def compare_tokenizers(bin, files, folder):
    lines = [line.rstrip("\n") for f in files for line in open(f, encoding="utf-8", errors="ignore")][:3000]
    for pattern in ("gpt2", "gpt4", "llama3", "qwen", "o200k"):
        tok, out = f"{folder}/{pattern}.json", f"{folder}/{pattern}.gguf"
        run(bin + "/tokenize", "-q", "-t", "--vocab", "3000", "--pattern", pattern, "-o", tok, *files)
        run(bin + "/train", "-q", "-o", f"{folder}/{pattern}", "--steps", "0", "--tokenizer", tok,
            "--arch", "llama:depth=1,dim=32,heads=1")
        run(bin + "/convert", "-o", out, f"{folder}/{pattern}")
        text = "".join(json.dumps({"text": line}) + "\n" for line in lines)
        want = [json.loads(x) for x in run(bin + "/tokenize", "-q", "--ids", "-m", tok, text=text).splitlines()]
        ours = [json.loads(x) for x in run(bin + "/tokenize", "-q", "--ids", "-m", out, text=text).splitlines()]
        vocab = lc.llama_model_get_vocab(lc.llama_model_load_from_file(out.encode(), lc.llama_model_default_params()))
        room, bad = (lc.llama_token * 100000)(), 0
        for line, ids in zip(lines, want):
            b = line.encode()
            bad += list(room[:lc.llama_tokenize(vocab, b, len(b), room, len(room), False, False)]) != ids
        print(f"{pattern}: lines that llama.cpp tokenizes differently: {bad} of {len(lines)}; quern from GGUF: "
              f"{sum(x != y for x, y in zip(want, ours))}")


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    bin, source, files = sys.argv[1], sys.argv[2], sys.argv[3:]
    quiet = lc.llama_log_callback(lambda level, text, data: None)  # kept as long as it may be called
    lc.llama_log_set(quiet, ctypes.c_void_p(0))
    for name, keys in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            compare_model(bin, name, keys, folder)
    with tempfile.TemporaryDirectory() as folder:
        compare_converter(bin, source, files, folder)
    with tempfile.TemporaryDirectory() as folder:
        compare_tokenizers(bin, files, folder)


main()
