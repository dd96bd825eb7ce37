#!/usr/bin/env python3
"""Reads token streams as tok(5) describes them, written from that page alone: a line of JSON a document.

    python3 read_tok.py FILE     ids, source, and the indexes that the loss leaves out; exit 1 for a bad stream
"""
import json
import struct
import sys
import zlib


class Bad(Exception):
    pass


def need(ok, at, what):
    if not ok:
        raise Bad("byte %d: %s" % (at, what))


def pad(n):
    return (n + 7) // 8 * 8


def piece(data, at, size, fields):
    """The fixed part of a piece: its fields, after its size and checksum are seen to be right."""
    need(at + size <= len(data), len(data), "cut short")
    raw = data[at:at + size]
    need(zlib.crc32(raw[:-4]) == struct.unpack_from("<I", raw, size - 4)[0], at, "checksum")
    return struct.unpack(fields, raw)


def payload(data, at, size, crc):
    need(at + size <= len(data), len(data), "cut short")
    raw = data[at:at + size]
    need(zlib.crc32(raw) == crc, at, "checksum")
    return raw


def read(data):
    """Yields [ids, source, left out]."""
    at, before = 0, None
    need(data, 0, "empty")
    while at < len(data):
        magic, version, width, vocab, zero, lo, hi, zero2, _ = piece(data, at, 48, "<12sHHIIQQII")
        need(magic == b"\x89quern.tok\r\n" and version == 1 and width in (2, 4), at, "header")
        need(zero == zero2 == 0 and 0 < vocab <= (65536 if width == 2 else 2**32), at, "header")
        need(before in (None, (vocab, lo, hi)), at, "another tokenizer")
        before = vocab, lo, hi
        at += 48
        tokens = docs = masked = blocks = 0
        doc = None  # the document that goes on
        while data[at:at + 4] == b"TBLK":
            _, T, D, N, flags, crc, first, first_doc, zero, _ = piece(data, at, 48, "<4sIIIIIQQII")
            need(max(T, D, N) <= 1048576 and flags < 4 and T + D > 0 and zero == 0, at, "block")
            need((first, first_doc) == (tokens, docs), at, "a block is missing")
            sizes = [pad(T * width), D * 8, pad((T + 7) // 8) if flags & 1 else 0, pad(N)]
            body = payload(data, at + 48, sum(sizes), crc)
            ids = struct.unpack_from("<%d%s" % (T, "H" if width == 2 else "I"), body)
            table = [struct.unpack_from("<II", body, sizes[0] + 8 * i) for i in range(D)]
            mask = body[sizes[0] + sizes[1]:] if flags & 1 else bytes(T // 8 + 1)
            names = body[sum(sizes[:3]):sum(sizes[:3]) + N]
            need(all(i < vocab for i in ids), at, "id")
            starts = [s for s, _ in table]
            need(starts == sorted(starts) and all(s <= T for s in starts), at, "documents")
            need((not starts or starts[0] > 0) == (doc is not None), at, "continuation")
            for start, end, name in zip([0] + starts, starts + [T], [None] + [n for _, n in table]):
                if name is not None:
                    if doc is not None:
                        yield doc
                    doc = [[], names[name - 1:names.index(0, name - 1)].decode() if name else "", []]
                elif doc is None:
                    continue
                doc[2] += [len(doc[0]) + i - start for i in range(start, end) if mask[i // 8] >> i % 8 & 1]
                doc[0] += ids[start:end]
            masked += sum(mask[i // 8] >> i % 8 & 1 for i in range(T))
            tokens, docs, blocks = tokens + T, docs + D, blocks + 1
            at += 48 + sum(sizes)
            if not flags & 2:
                yield doc
                doc = None
        need(at + 4 <= len(data), len(data), "cut short")
        tag, P, *counts, _, _, crc, _ = piece(data, at, 64, "<4sIQQQQQQII")
        need(tag == b"TEND" and doc is None and counts == [tokens, docs, masked, blocks], at, "end mark")
        need(isinstance(json.loads(payload(data, at + 64, pad(P), crc)[:P]), dict), at, "provenance")
        at += 64 + pad(P)


if __name__ == "__main__":
    try:
        with open(sys.argv[1], "rb") as f:
            for ids, source, out in read(f.read()):
                print(json.dumps({"ids": ids, "source": source, "out": out}, ensure_ascii=False))
    except Bad as e:
        sys.exit("%s: %s" % (sys.argv[1], e))
