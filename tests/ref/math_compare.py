#!/usr/bin/env python3
"""eval --verify math against the test cases of math-verify.

usage: math_compare.py [--bin BIN] SOURCE       (needs pytest, sympy, math-verify; SOURCE: its source package, unpacked)

Prints every case that is decided otherwise than the tests expect, and how many agree. The tests cover more than what
quern-eval(1) promises: solving, matrix sums, several answers in prose.
"""
import argparse
import glob
import importlib
import json
import os
import subprocess
import sys
import types

HERE = os.path.dirname(os.path.abspath(__file__))


def cases(source):
    sys.path.insert(0, source)
    tests = types.ModuleType("tests")
    tests.__path__ = [f"{source}/tests"]
    sys.modules["tests"] = tests
    for path in sorted(glob.glob(f"{source}/tests/test_*.py")):
        module = importlib.import_module("tests." + os.path.basename(path)[:-3])
        for function in vars(module).values():
            for mark in getattr(function, "pytestmark", []):
                if mark.name != "parametrize" or not isinstance(mark.args[0], str):
                    continue
                names = [n.strip() for n in mark.args[0].split(",")]
                for row in mark.args[1]:
                    case = dict(zip(names, row)) if len(names) > 1 else {}
                    want = case.get("expected", case.get("result"))
                    if isinstance(case.get("gold"), str) and isinstance(case.get("pred"), str) and want is not None:
                        yield case["gold"], case["pred"], int(want)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--bin", default=f"{HERE}/../../bin")
    ap.add_argument("source")
    a = ap.parse_args()
    rows = list(cases(a.source))
    text = "".join(json.dumps({"completion": pred, "answer": gold}) + "\n" for gold, pred, _ in rows)
    out = subprocess.run([f"{a.bin}/eval", "-q", "--verify", "math"], input=text, check=True, capture_output=True, text=True)
    same = 0
    for (gold, pred, want), line in zip(rows, out.stdout.splitlines()):
        got = json.loads(line)["reward"]
        same += got == want
        if got != want:
            print(f"{got} instead of {want}: {gold[-100:]!r} {pred[-100:]!r}")
    print(f"{same} of {len(rows)} agree")


main()
