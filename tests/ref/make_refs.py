#!/usr/bin/env python3
"""Makes the reference checkpoints of tests/cli/convert.t with Hugging Face transformers, computed in float64.

    python3 make_refs.py [folder]          (needs torch, transformers 5, safetensors)

NAME.safetensors is a checkpoint in one file, its config in the metadata; NAME.ref.safetensors holds input_ids, logits,
loss (mean over the B*(T-1) next tokens) and grad.TENSOR. All weights are random, norms and biases too: a reference
whose biases are zero would not notice that they are left out.
"""
import json
import os
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

SMALL = dict(vocab_size=33, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=22,
             max_position_embeddings=128)


def rope(kind, theta=10000.0, **keys):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **keys))


CASES = {
    "gpt2-layer-scale": dict(model_type="gpt2", vocab_size=31, n_embd=18, n_layer=3, n_head=3, n_positions=40,
                             n_inner=26, scale_attn_by_inverse_layer_idx=True),
    "llama-biases-linear": dict(SMALL, model_type="llama", num_key_value_heads=2, head_dim=6, attention_bias=True,
                                mlp_bias=True, tie_word_embeddings=True, **rope("linear", factor=3.0)),
    "llama-llama3-one-kv": dict(SMALL, model_type="llama", num_key_value_heads=1, head_dim=8, tie_word_embeddings=True,
                                **rope("llama3", 500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                       original_max_position_embeddings=24)),
    "llama-yarn": dict(SMALL, model_type="llama", num_key_value_heads=2, head_dim=10,
                       **rope("yarn", factor=4.0, original_max_position_embeddings=32)),
    "llama-yarn-mscale": dict(SMALL, model_type="llama", num_key_value_heads=2, head_dim=8, tie_word_embeddings=True,
                              **rope("yarn", 1000.0, factor=6.0, original_max_position_embeddings=20, beta_fast=8.0,
                                     beta_slow=2.0, mscale=0.8, mscale_all_dim=0.3, truncate=False)),
    "mistral-window": dict(SMALL, model_type="mistral", num_key_value_heads=2, head_dim=6, sliding_window=7),
    "qwen2-upper-window": dict(SMALL, model_type="qwen2", num_key_value_heads=2, use_sliding_window=True,
                               sliding_window=5, max_window_layers=1, **rope("default", 1000000.0)),
    "qwen3-untied-biases": dict(SMALL, model_type="qwen3", num_key_value_heads=2, head_dim=6, attention_bias=True,
                                **rope("default", 1000000.0)),
    "olmo2-grouped": dict(SMALL, model_type="olmo2", num_key_value_heads=2, attention_bias=True,
                          tie_word_embeddings=True, pad_token_id=3, **rope("default", 500000.0)),
}


def make(name, keys, folder, seed):
    torch.manual_seed(seed)
    keys = dict(keys)
    eps = "layer_norm_epsilon" if keys["model_type"] == "gpt2" else "rms_norm_eps"
    ids = dict(bos_token_id=1, eos_token_id=2)
    config = AutoConfig.for_model(keys.pop("model_type"), **{**ids, **keys, eps: 1e-3})
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p) * 0.25 + (1.0 if p.ndim == 1 else 0.0))
    tied = config.tie_word_embeddings
    weights = {n: p for n, p in model.state_dict().items() if not (tied and n == "lm_head.weight")}
    save_file({n: p.contiguous().clone() for n, p in weights.items()}, os.path.join(folder, name + ".safetensors"),
              metadata={"format": "pt", "config": json.dumps(config.to_dict(), default=str)})
    model = model.double()
    ids = torch.randint(0, config.vocab_size, (2, 36))
    logits = model(ids).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, config.vocab_size), ids[:, 1:].reshape(-1))
    loss.backward()
    out = {"input_ids": ids, "logits": logits.detach().float(), "loss": loss.detach().float().reshape(1)}
    for n, p in model.named_parameters():
        out["grad." + n] = p.grad.float()
    save_file({n: p.contiguous() for n, p in out.items()}, os.path.join(folder, name + ".ref.safetensors"))
    for suffix in (".safetensors", ".ref.safetensors"):
        os.chmod(os.path.join(folder, name + suffix), 0o644)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    for seed, (name, keys) in enumerate(CASES.items()):
        make(name, keys, folder, seed)


main()
