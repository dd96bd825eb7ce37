#!/usr/bin/env python3
"""Writes the reference merges of tests/unit/test_bpetrain.c with Hugging Face's trainer (pip: tokenizers).

    python3 tests/ref/bpetrain_vectors.py > tests/unit/bpetrain_vectors.h
"""
import json

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

# Words with counts. Runs make tokens that two merges lead to; "Caf\u00e9" has bytes that do not print.
CASES = [
    ("plain", 280, 0, [], [("low", 5), ("lower", 2), ("newest", 6), ("widest", 3), (" low", 4)]),
    ("runs", 290, 0, [], [("-" * n, 1 + n % 3) for n in range(1, 24)] + [("=-" * n, 1) for n in range(1, 9)]),
    ("runs2", 400, 2, [], [("a" * n, 1 + n % 4) for n in range(1, 40)] + [("ab" * n, 2) for n in range(1, 12)]),
    ("specials", 300, 0, ["<|end|>", "the", "!", "\u0120a", "\u4e2d", "the"],
     [("the", 9), ("then", 4), (" a", 7), (" and", 3), ("!", 2), ("!!", 2), ("<|end|>", 3)]),
    ("bytes", 290, 3, ["<s>"], [("Caf\u00e9", 4), (" caf\u00e9s", 5), ("\u00e9t\u00e9", 3), ("\t\t\n", 6), ("na\u00efve", 2)]),
]


def c_str(s):
    return '"' + "".join(chr(b) if 35 < b < 127 and b not in b'"\\?' else "\\%03o" % b for b in s.encode()) + '"'


print("/* Written by tests/ref/bpetrain_vectors.py with Hugging Face's trainer. */")
for name, vocab, min_frequency, specials, words in CASES:
    tk = Tokenizer(models.BPE())
    tk.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex("\x01"), "removed"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    trainer = trainers.BpeTrainer(vocab_size=vocab, min_frequency=min_frequency, special_tokens=specials,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tk.train_from_iterator(["\x01".join([w] * n) for w, n in words], trainer)
    model = json.loads(tk.to_str())["model"]
    ids = model["vocab"]
    print("static const char *const %s_specials[] = { %s };" % (name, ", ".join(map(c_str, specials)) or "NULL"))
    print("static const struct counted %s_words[] = {" % name)
    for w, n in words:
        print("\t{ %s, %d }," % (c_str(w), n))
    print("};\nstatic const struct bpe_pair %s_merges[] = {" % name)
    for a, b in model["merges"]:
        print("\t{ %d, %d, %d }," % (ids[a], ids[b], ids[a + b]))
    print("};")
print("static const struct vector vectors[] = {")
for name, vocab, min_frequency, specials, words in CASES:
    print('\t{ "%s", %d, %d, %s_specials, %d, %s_words, %d, %s_merges, sizeof %s_merges / sizeof %s_merges[0] },'
          % (name, vocab, min_frequency, name, len(specials), name, len(words), name, name, name))
print("};")
