#!/bin/sh
# eval: losses of streams and documents, what a change costs, tasks, rewards, scoring again to the bit, refusals.
. "${0%/*}/lib.sh"

awk -f "$ROOT/scripts/stories" -v n=60 -v seed=1 >docs.jsonl
"$BIN/tokenize" -q -t --vocab 400 --special '<|endoftext|>' -o tokenizer.json docs.jsonl
"$BIN/tokenize" -q -m tokenizer.json --eos -o corpus.tok docs.jsonl
"$BIN/tokenize" -q -m tokenizer.json -o plain.tok docs.jsonl
check "a small model is trained" "$BIN/train" -q -o run --arch llama:depth=2,dim=32,heads=2,context=128 \
	--tokenizer tokenizer.json --steps 12 --batch 4 --context 64 --lr 0.01 corpus.tok
cp -r run/latest/ model && rm -f model/state.safetensors
ev() {
	"$BIN/eval" -q "$@"
}
num() { # KEY: its value in the last line of stdin
	tail -n 1 | sed -n "s/.*\"$1\":\([-+.e0-9]*\).*/\1/p"
}

# --- loss
ev -m model --loss docs.jsonl >a.json
like "the line of --loss" "$(cat a.json)" \
	'^\{"documents":60,"tokens":[0-9]+,"scored":[0-9]+,"bytes":[0-9]+,"nats":.*"loss":.*"perplexity":.*"bits_per_byte":.*"context":128,"stride":128,"dtype":"(f32|bf16)"\}$'
for opts in '-j 1' '-j 2'; do
	ev -m model --loss $opts <docs.jsonl >b.json
	same "documents from a pipe, $opts" a.json b.json
done
ev -m model --loss plain.tok >b.json
same "a token stream of the same documents" a.json b.json
ev -m model --loss <plain.tok >b.json
same "the stream from a pipe" a.json b.json
ev -m model --loss corpus.tok >c.json
is "the bytes of end-of-text tokens count for nothing" "$(num bytes <c.json)" "$(num bytes <a.json)"
is "but they are scored" "$(($(num scored <c.json) - $(num scored <a.json)))" 60
ev -m model --loss --per-item --context 32 docs.jsonl >d.jsonl
is "a line a document and the totals" "$(wc -l <d.jsonl)" 61
is "documents' nats sum to the total" "$(sed '$d' d.jsonl | sed 's/.*"nats":\([0-9.e+-]*\).*/\1/' | awk '{ s += $1 } END { printf "%.6f", s }')" \
	"$(num nats <d.jsonl | awk '{ printf "%.6f", $1 }')"
is "the same tokens are scored in shorter windows" "$(num scored <d.jsonl)" "$(num scored <a.json)"
s=$(ev -m model --loss --context 32 --stride 8 docs.jsonl | num scored)
is "and with a stride" "$s" "$(num scored <a.json)"
head -n 1 docs.jsonl >one.jsonl
ev -m model --loss one.jsonl >one.json
is "a document's number does not depend on the others" "$(num nats <one.json)" \
	"$(ev -m model --loss --per-item docs.jsonl | sed -n 's/.*"item":0,.*"nats":\([0-9.e+-]*\).*/\1/p')"
"$BIN/tokenize" -q -t --vocab 300 -o other.json docs.jsonl
"$BIN/tokenize" -q -m other.json -o other.tok docs.jsonl
fails 1 "a stream of another tokenizer is refused" "other.tok: made with another tokenizer" "$BIN/eval" -m model --loss other.tok
head -c 300 corpus.tok >cut.tok
fails 1 "a stream that was cut" "cut.tok: " "$BIN/eval" -q -m model --loss cut.tok -o x.json
is "no output is left" "$(ls x.json 2>&1 | grep -c 'x.json$')" 0

# --- against: what a change has cost
"$BIN/convert" -q --dtype bf16 -o half model
for t in f32 bf16; do
	ev -m model --against model --dtype $t docs.jsonl >a.json
	is "a model against itself, $t" "$(sed 's/.*\("kl":.*\),"perplexity":.*/\1/' a.json)" '"kl":0,"kl_stderr":0,"kl_median":0,"kl_p99":0,"kl_p999":0,"kl_max":0,"same_top":1,"same_top_stderr":0,"logprob_diff":0,"logprob_diff_stderr":0,"rms_dp":0,"rms_dp_stderr":0'
done
ev -m half --against model --dtype f32 --log against.log docs.jsonl >a.json
like "the line of --against" "$(cat a.json)" \
	'^\{"documents":60,"tokens":[0-9]+,"scored":[0-9]+,"kl":.*"perplexity_ratio_stderr":[-+.e0-9]+,"context":128,"stride":128,"dtype":"f32"\}$'
same "the log has the totals" a.json against.log
is "bf16 costs little, and something" "$(awk -v kl="$(num kl <a.json)" -v max="$(num kl_max <a.json)" -v top="$(num same_top <a.json)" \
	'BEGIN { print (kl > 1e-9 && kl < 1e-4 && max > kl && top > 0.9 && top <= 1) }')" 1
last=0
for t in bf16 q8_0 q4_0; do
	"$BIN/convert" -q --dtype $t -o $t.gguf model
	kl=$(ev -m $t.gguf --against model --dtype f32 docs.jsonl | num kl)
	is "$t costs more than what has more bits" "$(awk -v kl="$kl" -v last="$last" 'BEGIN { print (kl > 3 * last) }')" 1
	last=$kl
done
ev -m model --weights q4_0 --against model docs.jsonl >b.json
like "--weights changes the model and not the full one" "$(cat b.json)" '"kl":[-.e0-9]*[1-9],.*,"weights":"q4_0"\}$'
is "the full one's perplexity is that of --loss" "$(printf %.4f "$(num perplexity_full <b.json)")" \
	"$(printf %.4f "$(ev -m model --loss docs.jsonl | num perplexity)")"
for t in f32 bf16; do
	ev -m half --against model --dtype $t docs.jsonl >b.json
	is "the perplexities are those of --loss, $t" "$(printf '%.4f %.4f' "$(num perplexity <b.json)" "$(num perplexity_full <b.json)")" \
		"$(printf '%.4f %.4f' "$(ev -m half --loss --dtype $t docs.jsonl | num perplexity)" "$(ev -m model --loss --dtype $t docs.jsonl | num perplexity)")"
done
ev -m half --against model --per-item --context 32 --stride 8 -j 1 corpus.tok >a.jsonl
ev -m half --against model --per-item --context 32 --stride 8 -j 3 corpus.tok >b.jsonl
same "the same bytes with 1 and 3 threads" a.jsonl b.jsonl
is "a line a document and the totals of --against" "$(wc -l <a.jsonl)" 61
is "documents' divergences make the mean" "$(sed '$d' a.jsonl | sed 's/.*"scored":\([0-9]*\),"kl":\([-+.e0-9]*\),.*/\1 \2/' |
	awk '{ n += $1; s += $1 * $2 } END { printf "%d %.6e", n, s / n }')" "$(printf '%d %.6e' "$(num scored <a.jsonl)" "$(num kl <a.jsonl)")"
ev -m half --against model --context 32 --stride 8 <corpus.tok >c.json
is "a stream from a pipe" "$(cat c.json)" "$(tail -n 1 a.jsonl)"
head -n 1 docs.jsonl >one.jsonl
is "a document's divergence does not depend on the others" "$(ev -m half --against model one.jsonl | num kl)" \
	"$(ev -m half --against model --per-item docs.jsonl | sed -n 's/.*"item":0,.*"kl":\([-+.e0-9]*\),"kl_std.*/\1/p')"
"$BIN/train" -q -o short --arch gpt2:depth=1,dim=16,heads=2,context=40 --tokenizer tokenizer.json --steps 1 --batch 1 corpus.tok
like "of two contexts the smaller one, of two architectures" "$(ev -m model --against short one.jsonl)" '"kl":[0-9.]+,.*"context":40,'
like "the summary of --against" "$("$BIN/eval" -m half --against model -o x.json one.jsonl 2>&1)" \
	'^eval: [0-9]+ tokens, KL divergence [-.e0-9]+ \+- [-.e0-9]+ \(median .*, 99% .*, maximum .*\), same top token [.0-9]+ \+- [.0-9]+ %, RMS dp .*, perplexity [.0-9]+ against [.0-9]+$'
"$BIN/train" -q -o other --arch llama:depth=1,dim=16,heads=2,context=40 --tokenizer other.json --steps 1 --batch 1 other.tok
fails 1 "another vocabulary" "^eval: model: is not held against other: the models' vocabularies differ: 400 and 300 tokens$" \
	"$BIN/eval" -m model --against other docs.jsonl
"$BIN/tokenize" -q -t --vocab 300 -o other2.json one.jsonl
"$BIN/tokenize" -q -m other2.json -o other2.tok docs.jsonl
"$BIN/train" -q -o other2 --arch llama:depth=1,dim=16,heads=2,context=40 --tokenizer other2.json --steps 1 --batch 1 other2.tok
fails 1 "another tokenizer" "^eval: other2: is not held against other: the models' tokenizers differ$" \
	"$BIN/eval" -m other2 --against other docs.jsonl
fails 1 "a full model that is not there" "^eval: gone: cannot open" "$BIN/eval" -m model --against gone docs.jsonl
fails 2 "a loss is measured by itself" "exclude one another" "$BIN/eval" -m model --against model --loss docs.jsonl
fails 2 "no limit on --against" "^eval: --limit does not go with --against$" "$BIN/eval" -m model --against model --limit 3 docs.jsonl
fails 2 "nothing without a model" "-m MODEL is missing" "$BIN/eval" --against model docs.jsonl

# --- completions: the same bits, cached or not, for any number of threads
printf 'Once upon a time\nThe\nA\n' >p.txt
for t in f32 bf16; do
	"$BIN/generate" -q -m model --jsonl -n 3 --temp 0.7 --top-p 0.9 --repeat-penalty 1.1 --max-tokens 40 --dtype $t -j 1 p.txt >c.jsonl
	ev -m model --rescore --as logprobs --dtype $t -j 2 c.jsonl >d.jsonl
	same "rescored log-probabilities are the sampler's, $t" c.jsonl d.jsonl
done
for w in f32 bf16 q8_0 q4_0 q4_k q6_k; do
	"$BIN/generate" -q -m model --jsonl -n 2 --max-tokens 12 --weights $w p.txt >w.jsonl
	ev -m model --rescore --as logprobs --weights $w -j 2 w.jsonl >x.jsonl
	same "rescored log-probabilities are the sampler's with weights in $w" w.jsonl x.jsonl
done
"$BIN/generate" -q -m model --jsonl -n 3 --temp 0.7 --max-tokens 40 --kv-cache-dtype int8 -j 1 p.txt >k.jsonl
ev -m model --rescore --as logprobs --kv-cache-dtype int8 -j 2 k.jsonl >x.jsonl
same "rescored log-probabilities are the sampler's with keys and values in 8 bits" k.jsonl x.jsonl
ev -m model --rescore --as logprobs k.jsonl >x.jsonl
is "and others without the option" "$(cmp -s k.jsonl x.jsonl; echo $?)" 1
like "the field of --rescore" "$(ev -m model --rescore --temp 1 c.jsonl | head -n 1)" '"rescored":\[-'
printf '{"prompt_tokens":[1,2],"tokens":[]}\n' >empty.jsonl
like "nothing to score in a record" "$(ev -m model --rescore empty.jsonl)" '"rescored":\[\]'
printf '{"prompt_tokens":[1],"tokens":[2]}\n{"prompt_tokens":[1],"tokens":[100000]}\n' >bad.jsonl
fails 1 "ids outside of the vocabulary" "bad.jsonl:2: tokens is no list" "$BIN/eval" -m model --rescore bad.jsonl
is "--skip-bad goes on" "$("$BIN/eval" -q -m model --rescore --skip-bad bad.jsonl 2>/dev/null | wc -l)" 1

printf '%s\n' '{"completion":"so \\boxed{1/2}","answer":0.5,"x":[1, 2]}' '{"completion":"It is 7","answer":["8","9"]}' >v.jsonl
is "--verify math" "$(ev --verify math v.jsonl)" '{"completion":"so \\boxed{1/2}","answer":0.5,"x":[1, 2],"reward":1,"reward_parts":{"math":1}}
{"completion":"It is 7","answer":["8","9"],"reward":0,"reward_parts":{"math":0}}'
is "verifiers add up, fields have other names" \
	"$(echo '{"c":"a b","gold":"B"}' | ev --verify string:contains,nocase --verify 'regex:^a' --answer-field gold --field c)" \
	'{"c":"a b","gold":"B","reward":2,"reward_parts":{"string":1,"regex":1}}'
like "two verifiers of one name keep their parts" \
	"$(echo '{"completion":"a b"}' | ev --verify regex:a --verify regex:c)" '"reward":1,"reward_parts":{"regex":1,"regex_2":0}'
echo '{"completion":"1"}' >n.jsonl
"$BIN/eval" --verify math --log totals.jsonl -o w.jsonl v.jsonl 2>err
like "the totals of rewards" "$(cat err)" '^eval: [0-9]+ completions, mean reward [01]\.[0-9]{4}$'
like "and in the log" "$(cat totals.jsonl)" '^\{"completions":[0-9]+,"reward":[0-9.]+,"bad":0,"seconds":[0-9.]+\}$'
"$BIN/eval" -m model --rescore --log totals.jsonl -o w.jsonl c.jsonl 2>err
like "the totals of rescoring" "$(cat err)" '^eval: [0-9]+ completions, [0-9]+ tokens$'
like "and in the log" "$(tail -n 1 totals.jsonl)" '^\{"completions":[0-9]+,"tokens":[0-9]+,"bad":0,"seconds":[0-9.]+\}$'
fails 1 "a missing task is known before the work" '^eval: none.json: cannot open' "$BIN/eval" -m model --loss --task none.json docs.jsonl
"$BIN/convert" -q model -o one.safetensors
fails 2 "a temperature changes no loss" '^eval: --temp does not go with --loss$' "$BIN/eval" -m model --loss --temp 0.7 docs.jsonl
fails 2 "no limit on rewards" '^eval: --limit does not go with --verify$' "$BIN/eval" --verify math --limit 3 v.jsonl
fails 1 "stdin for model and data" '^eval: stdin: can be read only once' sh -c "\"$BIN/eval\" -m - --loss - <one.safetensors"
fails 1 "an answer is missing" "n.jsonl:1: answer is no text" "$BIN/eval" --verify math n.jsonl
fails 2 "an unknown verifier" "unknown verifier 'guess' \(known: math, string, regex\)" "$BIN/eval" --verify guess v.jsonl

# --- tasks
printf '%s\n' '{"q":"One and one","c":["two","a dog"],"a":"two"}' '{"q":"A dog","c":["two","a dog"],"a":"a dog"}' \
	'{"q":"Two","c":["two","a dog"],"a":"two"}' >q.jsonl
cat >choice.json <<'J'
{"output_type": "multiple_choice", "data": "q.jsonl", "doc_to_text": "Q: {{q}}\nA:", "doc_to_choice": "c",
 "doc_to_target": "{{c.index(a)}}", "num_fewshot": 1, "metric_list": [{"metric": "acc"}, {"metric": "gold_bits_per_byte"}]}
J
cat >gen.json <<'J'
{"data": "q.jsonl", "doc_to_text": "{{q}}", "doc_to_target": "a", "generation_kwargs": {"until": ["."], "max_gen_toks": 10},
 "filter_list": [{"name": "word", "filter": [{"function": "regex", "regex_pattern": "[a-z]+"}]}, {"name": "all", "filter": []}]}
J
ev -m model --task choice.json --task gen.json >t.jsonl
is "a line for each filter chain" "$(sed 's/.*"task":"\([a-z]*\)","filter":"\([a-z]*\)".*/\1.\2/' t.jsonl | tr '\n' ' ')" "choice.none gen.word gen.all "
like "scores and errors" "$(head -n 1 t.jsonl)" '"n":3,"acc":[0-9.]+,"acc_stderr":[0-9.]+,"gold_bits_per_byte":[0-9.]+,"num_fewshot":1,"context":128'
for opts in '-j 1 --batch 1' '-j 2 --batch 3'; do
	ev -m model --task choice.json --task gen.json $opts >u.jsonl
	same "the same bytes with $opts" t.jsonl u.jsonl
done
ev -m model --task gen.json --per-item --log log.jsonl >u.jsonl
is "totals go to the log" "$(cat log.jsonl)" "$(grep -v '"item":' u.jsonl)"
is "a line an item" "$(ev -m model --task gen.json --per-item --limit 2 | grep -c '"item":')" 4
fails 1 "a task file that is none" "gone.json: cannot open" "$BIN/eval" -m model --task gone.json
echo '{"output_type":"loglikelihood","data":"q.jsonl","doc_to_text":"{{w}}","doc_to_target":"a"}' >w.json
fails 1 "a field that is missing" "w: record 0: doc_to_text: the record has no field 'w'" "$BIN/eval" -m model --task w.json

: >empty
like "nothing to measure" "$(ev -m model --loss empty 2>&1 | tr '\n' ' ')" '^eval: nothing to score: 0 documents, 0 tokens .*"scored":0,.*"loss":null'
"$BIN/convert" -o nan.safetensors model
head=$("$BIN/convert" --show model | sed -n 's/^lm_head.weight.*\[\([0-9]*\), \([0-9]*\)\]/\1 * \2 * 4/p')
put_nan nan.safetensors $(($(wc -c <nan.safetensors) - $head - 4)) # the last weight of the last norm
fails 1 "the loss of weights that are no numbers" "nan.safetensors: the model's log-prob.* are not finite" \
	"$BIN/eval" -m nan.safetensors --loss -o x.json docs.jsonl
fails 1 "their divergence" "nan.safetensors: the model's log-prob.* are not finite" \
	"$BIN/eval" -m nan.safetensors --against model -o x.json docs.jsonl
fails 1 "or that of others from them" "nan.safetensors: the model's log-prob.* are not finite" \
	"$BIN/eval" -m model --against nan.safetensors -o x.json docs.jsonl
fails 1 "and their rescoring" "c.jsonl:1: the model's log-prob.* are not finite" "$BIN/eval" -m nan.safetensors --rescore -o x.json c.jsonl
fails 2 "-m - without files" "-m - reads standard input" "$BIN/eval" -m - --loss
fails 2 "nothing to do" "one of --loss" "$BIN/eval" -m model
fails 2 "two things at once" "exclude one another" "$BIN/eval" -m model --loss --rescore
fails 2 "no model" "-m MODEL is missing" "$BIN/eval" --loss docs.jsonl
done_testing
