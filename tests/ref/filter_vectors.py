#!/usr/bin/env python3
"""Writes tests/unit/filter_vectors.h: what datatrove 0.10.1 and spaCy 3.8 make of texts made here.

For every text: its words (spaCy's English tokenizer), its number of sentences, and for each filter and each way of
splitting words the reason for which it is dropped, in the names of rules.c; for C4 also the text that is left.
Needs datatrove and spacy: python3 tests/ref/filter_vectors.py > tests/unit/filter_vectors.h
"""
import random
import datatrove.pipeline.filters.fineweb_quality_filter as fineweb
import datatrove.pipeline.filters.gopher_quality_filter as quality
import datatrove.pipeline.filters.gopher_repetition_filter as repetition
from datatrove.data import Document
from datatrove.pipeline.filters.c4_filters import C4QualityFilter
from datatrove.utils.text import split_into_sentences, split_into_words

NAMES = {
    "gopher_short_doc": "short_doc", "gopher_long_doc": "long_doc", "gopher_below_avg_threshold": "short_words",
    "gopher_above_avg_threshold": "long_words", "gopher_too_many_hashes": "hashes",
    "gopher_too_many_ellipsis": "ellipses", "gopher_too_many_bullets": "bullet_lines",
    "gopher_too_many_end_ellipsis": "ellipsis_lines", "gopher_below_alpha_threshold": "alpha_words",
    "gopher_enough_stop_words": "stop_words", "too_few_sentences": "sentences"}
NAMES.update({f"duplicated_{n}_n_grams": f"dup_{n}_gram" for n in range(5, 11)})

random.seed(7)
SYLLABLES = "ka lo mi ren tos vel un bar ic dra fen gul hem jor pik sta wel nor ost ilm".split()
LEXICON = ["".join(random.choices(SYLLABLES, k=random.randint(1, 4))) for _ in range(400)]
COMMON = "the be to of and that have with a in it is was he she for on as at by".split()
PIECES = [":)", "(:", "http://www.example.com/a?b=c", "me@example.com", "can't", "don’t", "U.S.", "e.g.", "10km", "5km²",
          "$5", "5US$", "3.14", "--", "—", "…", "...", "'s", "cannot", "Mr.", "20°C.", "C++", "(a)", "[1]", "100%", "foo.Bar",
          "well-made", "a--b", "1-2", "and/or", "日本語", "É.T.", "«x»", "192.168.1.1", "7p.m.", "y'all", "ol'", "o'clock",
          "naïve", "x=y", "🙂", "\u00a0", "\u2028", "\t", "  ", "\n\n", "\r\n", "I'd've", "rock'n'roll", "):", "-_-", "\\n"]


def sentence():
    words = [random.choice(COMMON if random.random() < .45 else LEXICON) for _ in range(random.randint(4, 16))]
    return " ".join(words).capitalize() + random.choice([".", ".", ".", "?", "!", '."', "...", ""])


def prose(sentences):
    return "".join(sentence() + random.choice([" ", " ", "\n", "\n\n"]) for _ in range(sentences))


def mutate(t):
    lines = t.split("\n")
    k = random.randint(0, 9)
    if k == 0: return "\n".join("- " + x for x in lines)
    if k == 1: return "\n".join(x + random.choice(["...", "", "…"]) for x in lines)
    if k == 2: return t.replace(" ", " # ", len(t) // 30)
    if k == 3: return "\n".join(lines + [random.choice(lines)] * random.randint(1, len(lines)))
    if k == 4: return t + " ".join([sentence()] * random.randint(2, 6))
    if k == 5: return "\n\n".join([t[:150]] * random.randint(2, 4) + [t])
    if k == 6: return "\n".join(x + random.choice(["", " [12]", "[edit].", " Enable JavaScript.", " We use cookies.", " {."]) for x in lines)
    if k == 7: return t.replace("e", "7", len(t) // 8)
    if k == 8: return "".join(x + random.choice(["\n", "\r\n", "\u2028", "\x0b", "\x85"]) for x in lines)
    return t.replace(" ", " lorem ipsum ", 1)


def pieces():
    return "".join(random.choice(PIECES + LEXICON[:9]) + random.choice(["", " ", "\n", ".", ",", "?)"]) for _ in range(random.randint(1, 12)))


def c_string(s):
    # Octal escapes: a hexadecimal one would swallow the digits behind it.
    out = "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else "\\%03o" % b for b in s.encode())
    return '"%s"' % out if len(out) < 4000 else None


def verdicts(text, space):
    split = (lambda t, language=None: t.split()) if space else split_into_words
    quality.split_into_words = repetition.split_into_words = fineweb.split_into_words = split
    out, left = [], ""
    for f in (quality.GopherQualityFilter(), repetition.GopherRepetitionFilter(), C4QualityFilter(), fineweb.FineWebQualityFilter()):
        d = Document(text=text, id="0")
        r = f.filter(d)
        out.append("" if r is True else NAMES.get(r[1], r[1]))
        if r is True and isinstance(f, C4QualityFilter):
            left = d.text
    return out, left


texts = [prose(random.randint(5, 22)) for _ in range(30)]
texts += [mutate(prose(random.randint(4, 18))) for _ in range(70)] + [pieces() for _ in range(100)]
print("/* Made by tests/ref/filter_vectors.py; do not edit. */")
print("static const struct {\n\tconst char *text, *words, *left, *punct[4], *space[4];\n\tsize_t sentences;\n} vectors[] = {")
for t in texts:
    p, left = verdicts(t, False)
    s, _ = verdicts(t, True)
    strings = [c_string(t), c_string("\x1f".join(split_into_words(t))), c_string(left)]
    if None in strings:
        continue
    print("\t{ %s,\n\t  %s,\n\t  %s,\n\t  { %s },\n\t  { %s },\n\t  %d },"
          % (*strings, ", ".join(map(c_string, p)), ", ".join(map(c_string, s)), len(split_into_sentences(t))))
print("};")
