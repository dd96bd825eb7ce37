#!/usr/bin/env python3
"""hf_tokenize.py TOKENIZER DOCS THREADS: encodes every document with Hugging Face tokenizers; the peer of tokenize."""
import json, os, sys
os.environ['RAYON_NUM_THREADS'] = sys.argv[3]
from tokenizers import Tokenizer
t = Tokenizer.from_file(sys.argv[1])
texts = [json.loads(line)['text'] for line in open(sys.argv[2])]
print(sum(len(e.ids) for e in t.encode_batch_fast(texts)))
