#!/usr/bin/env python3
"""A small random Llama with a byte-level BPE tokenizer, as Hugging Face libraries save them.

usage: make_model.py OUT TEXT...        (needs torch, transformers, tokenizers)

Weights are random but not small, so that logits differ clearly: what one library makes of this model another must
make too. train() teaches it a text for a minute, for tasks where random answers would show nothing.
"""
import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


def make_tokenizer(files, vocab=2000):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.train(files, trainers.BpeTrainer(vocab_size=vocab, special_tokens=["<|endoftext|>"], show_progress=False,
                                         initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return PreTrainedTokenizerFast(tokenizer_object=tok, bos_token="<|endoftext|>", eos_token="<|endoftext|>",
                                   pad_token="<|endoftext|>", clean_up_tokenization_spaces=False)


def make_model(out, files, context=1024, seed=1, hidden=64, layers=2, std=0.12):
    torch.manual_seed(seed)
    tok = make_tokenizer(files)
    cfg = LlamaConfig(vocab_size=len(tok), hidden_size=hidden, intermediate_size=3 * hidden, num_hidden_layers=layers,
                      num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=context,
                      tie_word_embeddings=False, initializer_range=std, bos_token_id=0, eos_token_id=0)
    model = LlamaForCausalLM(cfg).float().eval()
    model.save_pretrained(out)
    tok.save_pretrained(out)
    return model, tok


def train(model, tok, text, steps, rows=8, length=128, lr=2e-3):
    ids = torch.tensor(tok(text, add_special_tokens=False).input_ids)
    opt = torch.optim.AdamW(model.parameters(), lr=lr)
    gen = torch.Generator().manual_seed(1)
    model.train()
    for step in range(steps):
        for group in opt.param_groups:
            group["lr"] = lr * min(1, (step + 1) / 20) * (1 - step / steps)
        at = torch.randint(0, len(ids) - length - 1, (rows,), generator=gen)
        x = torch.stack([ids[i:i + length] for i in at])
        loss = model(x, labels=x).loss
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
        opt.step()
    model.eval()
    return loss.item()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    make_model(sys.argv[1], sys.argv[2:])
