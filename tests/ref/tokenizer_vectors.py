#!/usr/bin/env python3
"""Makes tests/ref/tokenizers/: small tokenizers of every kind that tokenize reads, texts, and the ids that the
reference libraries (tokenizers, tiktoken, sentencepiece) give for them. Run from the root of the project:

    awk -f scripts/stories -v n=300 -v seed=7 -v plain=1 | tests/ref/tokenizer_vectors.py
"""
import base64, io, json, struct, sys, tempfile
import sentencepiece as spm
import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = "tests/ref/tokenizers/"
GPT2 = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
CONTR = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTR + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = LLAMA3.replace("{1,3}", "")
CL100K = (r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"""
          r"""|\s+(?!\S)|\s""")
U, W = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{U}*{W}+{CONTR}?|[^\r\n\p{{L}}\p{{N}}]?{U}+{W}*{CONTR}?|\p{{N}}{{1,3}}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CUSTOM = r"[A-Z]?[a-z]+|\p{N}{1,2}|^\s+|\s+$|[^\s\w]+|\s"

TEXTS = [
    "", " ", "  ", "a", "Once upon a time, there was a girl.", "  two spaces  \n\n\n  and lines \n", "\t\tif (x)\n\t\t\treturn;\n",
    "don't DON'T I'll we've they're it'S 'ſ 's' x'ss", "1234567 12.5 ½ ①② ٣٤ Ⅷ", "naïve café NAÏVE Straße ǅ ʰello ªº",
    "e\u0301 \u212b \u1e9b\u0323 \u0344 \ufb01 \uac00\u11a8 \u1100\u1161\u11a8", "Привет, мир! Ёлка", "日本語のテキスト。中文，한국어", "สวัสดี हिन्दी नमस्ते",
    "🙂👩‍👩‍👧 ❤️ 🇩🇪", "a\u00a0b\u3000c\u2028d\u0085e\u200bf\ufeffg\u180eh\x1ci", "foo/bar//\n\n/baz \r\n\r\n x", "!!! ??? ...\n", "HTMLParser getURLs ABCdef ABCd aB Ab",
    "<|endoftext|> <s> </s> <unk> <0x41> [MASK]  [MASK]x", "▁ ▁▁ a▁b", "\x00\x01\x7f", "x" * 100, " " * 70 + "y", "ab" * 60, "é" * 60, "=-" * 40,
]


def ids(name, make):
    with open(OUT + name + ".ids", "w") as f:
        for t in TEXTS:
            f.write(json.dumps(make(t), separators=(",", ":")) + "\n")


def save(name, t):
    t.save(OUT + name + ".json", pretty=False)
    t = Tokenizer.from_file(OUT + name + ".json")
    t.encode_special_tokens = True
    ids(name, lambda s: t.encode(s, add_special_tokens=False).ids)
    t.encode_special_tokens = False
    ids(name + ".special", lambda s: t.encode(s, add_special_tokens=False).ids)


def byte_level(corpus, pattern, norm=None, ignore=False):
    t = Tokenizer(models.BPE(ignore_merges=ignore))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    if norm:
        t.normalizer = norm
    t.train_from_iterator(corpus + TEXTS * 2, trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return t


def main():
    corpus = sys.stdin.read().split("\n")
    with open(OUT + "texts.jsonl", "w") as f:
        for t in TEXTS:
            f.write(json.dumps({"text": t}) + "\n")
    save("gpt2", byte_level(corpus, GPT2))
    save("llama3", byte_level(corpus, LLAMA3, ignore=True))
    save("qwen", byte_level(corpus, QWEN, normalizers.NFC()))
    save("o200k", byte_level(corpus, O200K))
    save("custom", byte_level(corpus, CUSTOM))
    t = byte_level(corpus, LLAMA3)
    t.add_tokens([AddedToken("[MASK]", lstrip=True, rstrip=True, normalized=False), AddedToken("girl", single_word=True),
                  AddedToken("mir", normalized=True)])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "merged_with_next"),
                                               pre_tokenizers.Digits(individual_digits=True),
                                               pre_tokenizers.Split(" ", "contiguous", True),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.post_processor = processors.TemplateProcessing(single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)])
    save("added", t)

    model = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(corpus + [s for s in TEXTS if s and "\0" not in s]), model_writer=model,
                                   model_type="bpe", vocab_size=520, byte_fallback=True, character_coverage=0.99,
                                   normalization_rule_name="identity", remove_extra_whitespaces=False,
                                   minloglevel=2, num_threads=1)
    open(OUT + "identity.model", "wb").write(model.getvalue())
    sp = spm.SentencePieceProcessor(model_proto=model.getvalue())
    ids("identity", sp.encode)
    with open(OUT + "identity.bin", "wb") as f:  # as llama2.c's tokenizer.py writes it
        pieces = []
        for i in range(sp.vocab_size()):
            s = {1: "\n<s>\n", 2: "\n</s>\n"}.get(i, sp.id_to_piece(i)).replace("\u2581", " ").encode()
            pieces.append((s, sp.get_score(i)))
        f.write(struct.pack("I", max(len(s) for s, _ in pieces)))
        for s, score in pieces:
            f.write(struct.pack("fI", score, len(s)) + s)

    model = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as f:  # a map of its own: the usual ones have 240 KB
        for a, b in [("\u3000", " "), ("\t", " "), ("\n", " "), ("\ufb01", "fi"), ("e\u0301", "\u00e9"), ("\u200b", ""), ("\u2028", " ")]:
            f.write(" ".join("%X" % ord(c) for c in a) + "\t" + " ".join("%X" % ord(c) for c in b) + "\n")
        f.flush()
        train_mapped(model, corpus, f.name)
    m = model.getvalue()
    sp = spm.SentencePieceProcessor(model_proto=m)
    open(OUT + "mapped.model", "wb").write(m)
    ids("mapped", sp.encode)

    t = json.load(open(OUT + "llama3.json"))
    names = t["model"]["vocab"]
    back = {c: b for b, c in ((b, chr(c)) for b, c in byte_alphabet())}
    ranks = sorted((i - 1, bytes(back[c] for c in s)) for s, i in names.items() if s != "<|endoftext|>")
    with open(OUT + "small.tiktoken", "wb") as f:
        for r, s in ranks:
            f.write(base64.b64encode(s) + b" %d\n" % r)
    for name, pattern in [("cl100k", CL100K), ("o200k", O200K)]:
        tk = tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks={s: r for r, s in ranks}, special_tokens={})
        ids("small." + name, lambda s: tk.encode(s, disallowed_special=()))


def train_mapped(model, corpus, rules):
    spm.SentencePieceTrainer.train(sentence_iterator=iter(corpus), model_writer=model, model_type="bpe", vocab_size=120,
                                   normalization_rule_tsv=rules, user_defined_symbols=["girl", "[MASK]"],
                                   minloglevel=2, num_threads=1)


def byte_alphabet():
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    rest = [b for b in range(256) if b not in plain]
    return [(b, b) for b in plain] + [(b, 256 + i) for i, b in enumerate(rest)]


main()
