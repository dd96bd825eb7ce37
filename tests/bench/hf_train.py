#!/usr/bin/env python3
"""hf_train.py VOCAB DOCS THREADS: learns byte-level BPE with Hugging Face tokenizers; the peer of tokenize -t."""
import json, os, sys
os.environ['RAYON_NUM_THREADS'] = sys.argv[3]
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
t = Tokenizer(models.BPE())
t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
t.train_from_iterator((json.loads(line)['text'] for line in open(sys.argv[2])), trainers.BpeTrainer(
    vocab_size=int(sys.argv[1]), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
print(t.get_vocab_size())
