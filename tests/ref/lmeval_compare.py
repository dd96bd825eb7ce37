#!/usr/bin/env python3
"""The same model, task data and settings through lm-eval and through quern-eval: every figure side by side.

usage: lmeval_compare.py [--bin BIN] [--data EVAL_FOLDER] [--work FOLDER] [--quick] [--bos]
       (needs torch, transformers, lm_eval 0.4; EVAL_FOLDER holds lambada-test.jsonl, gsm8k-*.jsonl, wikitext2-valid.txt)

A small Llama learns the test data by heart for a few minutes, so that its answers are not all wrong. Tasks: multiple
choice (with examples drawn at random, a description), rolling perplexity of WikiText-2 pages as lm-eval's wikitext,
lambada_openai, gsm8k (five examples or none, strict and flexible extraction; without examples also without `until`).
With --bos the tokenizer puts a BOS in front; then the rolling perplexity is left out, because lm-eval scores that BOS
after another one, and quern-eval puts it once. Exit 1 where a figure differs in the
digits that lm-eval prints, or for figures of more than six digits by more than 1e-6: f32 gives no more, and lm-eval's
own change that much with its batch size.
"""
import argparse
import json
import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import make_model

HERE = os.path.dirname(os.path.abspath(__file__))
DETOKENIZE = [  # lm-eval's wikitext_detokenizer, as a chain of filters
    ("replace", "s '", "s'"), ("regex_replace", "/' [0-9]/", "/'[0-9]/"), ("replace", " @-@ ", "-"), ("replace", " @,@ ", ","),
    ("replace", " @.@ ", "."), ("replace", " : ", ": "), ("replace", " ; ", "; "), ("replace", " . ", ". "),
    ("replace", " ! ", "! "), ("replace", " ? ", "? "), ("replace", " , ", ", "),
    ("regex_replace", r"\(\s*([^\)]*?)\s*\)", r"(\1)"), ("regex_replace", r"\[\s*([^\]]*?)\s*\]", r"[\1]"),
    ("regex_replace", r"{\s*([^}]*?)\s*}", r"{\1}"), ("regex_replace", r"\"\s*([^\"]*?)\s*\"", r'"\1"'),
    ("regex_replace", r"'\s*([^']*?)\s*'", r"'\1'"), ("replace", "= = = =", "===="), ("replace", "= = =", "==="),
    ("replace", "= =", "=="), ("replace", " \u00b0 ", "\u00b0"), ("replace", " \n", "\n"), ("replace", "\n ", "\n"),
    ("replace", " N ", " 1 "), ("replace", " 's", "'s"),
]


def jinja_string(s):
    return "'" + s.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def write_jsonl(path, rows):
    with open(path, "w") as f:
        for r in rows:
            f.write(json.dumps(r, ensure_ascii=False) + "\n")


def read_jsonl(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


def make_data(data, work, limit):
    lambada = read_jsonl(f"{data}/lambada-test.jsonl")
    write_jsonl(f"{work}/lambada.jsonl", lambada[:limit["lambada"]])
    rnd = random.Random(5)
    last = [x["text"].split(" ")[-1] for x in lambada]
    choice = []
    for i, x in enumerate(lambada[:limit["choice"] + 40]):
        options = [last[i]] + rnd.sample(last, 3)
        order = rnd.sample(range(4), 4)
        choice.append({"passage": " ".join(x["text"].split(" ")[:-1])[-200:], "key": "ABCD"[order.index(0)],
                       "choices": {"text": [options[k] + (" \u2014 \u00e9t\u00e9" if k == 2 else "") for k in order],
                                   "label": list("ABCD")}})
    write_jsonl(f"{work}/choice.jsonl", choice[:limit["choice"]])
    write_jsonl(f"{work}/shots.jsonl", choice[limit["choice"]:])
    text = open(f"{data}/wikitext2-valid.txt", newline="").read()
    starts = [m.start() for m in re.finditer(r"(?m)^ = [^=\n]+ = \n", text)] + [len(text)]
    pages = [{"page": text[a:b]} for a, b in zip(starts, starts[1:])]
    write_jsonl(f"{work}/pages.jsonl", pages[:limit["pages"]])
    write_jsonl(f"{work}/gsm-train.jsonl", read_jsonl(f"{data}/gsm8k-train.jsonl"))
    gsm = read_jsonl(f"{data}/gsm8k-test.jsonl")[:limit["gsm"]]
    write_jsonl(f"{work}/gsm-test.jsonl", gsm)
    # The test data itself, learned by heart: that is how so small a model gives figures that mean something.
    return "\n\n".join([f"Question: {x['question']}\nAnswer: #### {x['answer'].split('#### ')[-1]}" for x in gsm] * 8 +
                       [x["text"] for x in lambada[:limit["lambada"]]] * 2 + [p["page"] for p in pages[:limit["pages"]]])


def tasks(work):
    detok = "{{page" + "".join(f"|{k}({jinja_string(a)}, {jinja_string(b)})" for k, a, b in DETOKENIZE) + "}}"
    metrics = lambda *names: [{"metric": n} for n in names]
    gsm8k = {
        "output_type": "generate_until", "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_target": "{{answer}}", "num_fewshot": 5,
        "generation_kwargs": {"until": ["Question:", "</s>", "<|im_end|>"], "do_sample": False, "temperature": 0.0,
                              "max_gen_toks": 48},
        "metric_list": [{"metric": "exact_match", "ignore_case": True, "ignore_punctuation": False,
                         "regexes_to_ignore": [",", "\\$", "(?s).*#### ", "\\.$"]}],
        "filter_list": [
            {"name": "strict-match", "filter": [
                {"function": "regex", "regex_pattern": "#### (\\-?[0-9\\.\\,]+)"}, {"function": "take_first"}]},
            {"name": "flexible-extract", "filter": [
                {"function": "regex", "group_select": -1, "regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)"},
                {"function": "take_first"}]}]}
    return {
        "q_choice": ("choice.jsonl", "shots.jsonl", {
            "output_type": "multiple_choice", "description": "Which word ends the passage {{key}}?\n\n",
            "doc_to_text": "Passage: {{passage}}\nWord:", "doc_to_choice": "{{choices.text}}",
            "doc_to_target": "{{choices.label.index(key)}}", "num_fewshot": 2,
            "metric_list": metrics("acc", "acc_norm", "acc_bytes", "exact_match")}),
        "q_wikitext": ("pages.jsonl", None, {
            "output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": detok,
            "metric_list": metrics("word_perplexity", "byte_perplexity", "bits_per_byte")}),
        "q_lambada": ("lambada.jsonl", None, {
            "output_type": "loglikelihood", "doc_to_text": "{{text.split(' ')[:-1]|join(' ')}}",
            "doc_to_target": "{{' '+text.split(' ')[-1]}}", "metric_list": metrics("perplexity", "acc")}),
        "q_gsm8k_0": ("gsm-test.jsonl", None, {**gsm8k, "num_fewshot": 0, "generation_kwargs": {"max_gen_toks": 48}}),
        "q_gsm8k": ("gsm-test.jsonl", "gsm-train.jsonl", gsm8k),
    }


UTILS = '''import re
def process_results(doc, results):
    (ll,) = results
    words, size = len(re.split(r"\\s+", doc["page"])), len(doc["page"].encode("utf-8"))
    return {"word_perplexity": (ll, words), "byte_perplexity": (ll, size), "bits_per_byte": (ll, size)}
'''


def write_tasks(work, specs):
    os.makedirs(f"{work}/yaml", exist_ok=True)
    open(f"{work}/yaml/page_utils.py", "w").write(UTILS)
    for name, (data, shots, spec) in specs.items():
        ours = dict(spec, task=name, data=data)
        theirs = dict(spec, task=name, dataset_path="json", test_split="test",
                      dataset_kwargs={"data_files": {"test": f"{work}/{data}"}})
        if shots:
            ours["fewshot_data"] = shots
            theirs["dataset_kwargs"]["data_files"]["train"] = f"{work}/{shots}"
            theirs["fewshot_split"] = "train"
        if spec["output_type"] == "loglikelihood_rolling":
            ours["count_text"] = "{{page}}"
        json.dump(ours, open(f"{work}/{name}.json", "w"), indent=1)
        text = json.dumps(theirs, indent=1)  # JSON is YAML
        if "count_text" in ours:
            text = text[:-2] + ',\n "process_results": !function page_utils.process_results\n}'
        open(f"{work}/yaml/{name}.yaml", "w").write(text)


def put_bos(path):
    tok = json.load(open(path))
    bos = {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}
    text = lambda name, at: {"Sequence": {"id": name, "type_id": at}}
    tok["post_processor"] = {
        "type": "TemplateProcessing", "special_tokens": {bos["id"]: bos},
        "single": [{"SpecialToken": {"id": bos["id"], "type_id": 0}}, text("A", 0)], "pair": [text("A", 0), text("B", 1)]}
    json.dump(tok, open(path, "w"))


def run_theirs(work, names, context):
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    lm = HFLM(pretrained=f"{work}/model", dtype="float32", device="cpu", batch_size=4, max_length=context)
    out = lm_eval.simple_evaluate(model=lm, tasks=list(names), log_samples=True,
                                  task_manager=TaskManager(include_path=f"{work}/yaml", include_defaults=False))
    return out["results"], out["samples"]


def run_ours(bin, work, name, context, extra=()):
    cmd = [f"{bin}/eval", "-q", "-m", f"{work}/model", "--task", f"{work}/{name}.json", "--dtype", "f32", "--context",
           str(context), *extra]
    return [json.loads(line) for line in subprocess.run(cmd, check=True, capture_output=True).stdout.decode().split("\n") if line]


def compare(name, theirs, ours):
    bad = 0
    for key, value in theirs.items():
        if not isinstance(value, float) and not isinstance(value, int) or "," not in key:
            continue
        metric, chain = key.split(",")
        mine = next(o for o in ours if o["filter"] == chain).get(metric)
        same = mine is not None and (f"{mine:.4f}" == f"{value:.4f}" or value > 100 and abs(mine / value - 1) < 1e-6)
        bad += not same
        print(f"{name:11} {chain:17} {metric:24} lm-eval {value:.10g}  quern {mine if mine is None else format(mine, '.10g')}"
              f"{'' if same else '   DIFFERS'}")
    return bad


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--bin", default=f"{HERE}/../../bin")
    ap.add_argument("--data", default=f"{HERE}/../../../shared/data/eval")
    ap.add_argument("--work", default="lmeval_compare")
    ap.add_argument("--quick", action="store_true")
    ap.add_argument("--bos", action="store_true")
    a = ap.parse_args()
    work = os.path.abspath(a.work)
    os.makedirs(work, exist_ok=True)
    limit = dict(choice=60, pages=4, lambada=60, gsm=16) if a.quick else dict(choice=300, pages=20, lambada=300, gsm=60)
    text = make_data(a.data, work, limit)
    specs = tasks(work)
    if a.bos:
        del specs["q_wikitext"]
    write_tasks(work, specs)
    if not os.path.exists(f"{work}/model/model.safetensors"):
        open(f"{work}/train.txt", "w").write(text)
        model, tok = make_model.make_model(f"{work}/model", [f"{work}/train.txt", f"{a.data}/wikitext2-valid.txt"],
                                           context=768, hidden=96, std=0.05)
        print("loss", make_model.train(model, tok, text, 150 if a.quick else 500, rows=12, length=96, lr=4e-3))
        model.save_pretrained(f"{work}/model")
    if a.bos:
        put_bos(f"{work}/model/tokenizer.json")
    context = 768
    theirs, samples = run_theirs(work, specs, context)
    bad = 0
    for name in specs:
        bad += compare(name, theirs[name], run_ours(a.bin, work, name, context))
    for name in ("q_gsm8k_0", "q_gsm8k"):
        items = [o for o in run_ours(a.bin, work, name, context, ["--per-item"])
                 if "item" in o and o["filter"] == "strict-match"]
        want = {s["doc_id"]: s["resps"][0][0] for s in samples[name]}
        same = sum(o["completion"] == want[o["item"]] for o in items)
        print(f"{name}: {same} of {len(items)} completions are the same text")
    sys.exit(bool(bad))


main()
