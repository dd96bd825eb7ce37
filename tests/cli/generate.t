#!/bin/sh
# generate: prompts of every form, order, stop strings, fields, the same bytes whatever the batch, seeds, refusals.
. "${0%/*}/lib.sh"

awk -f "$ROOT/scripts/stories" -v n=60 -v seed=1 >docs.jsonl
"$BIN/tokenize" -q -t --vocab 400 --special '<|endoftext|>' -o tokenizer.json docs.jsonl
"$BIN/tokenize" -q -m tokenizer.json --eos -o corpus.tok docs.jsonl
check "a small model is trained" "$BIN/train" -q -o run --arch llama:depth=2,dim=32,heads=2,context=128 \
	--tokenizer tokenizer.json --steps 12 --batch 4 --context 64 --lr 0.01 corpus.tok
cp -r run/latest/ model && rm -f model/state.safetensors
gen() {
	"$BIN/generate" -q -m model "$@"
}
"$BIN/convert" -o model.safetensors run
gen -p Hi --max-tokens 5 --jsonl >hi.jsonl
"$BIN/convert" run --to safetensors -o - | "$BIN/generate" -q -m - -p Hi --max-tokens 5 --jsonl >h.jsonl
same "a model comes through a pipe, with its tokenizer" hi.jsonl h.jsonl
"$BIN/tokenize" -q -m tokenizer.json --ids docs.jsonl >want.ids
for t in run model model.safetensors; do
	"$BIN/tokenize" -q -m $t --ids docs.jsonl >got.ids
	same "the tokenizer of $t" got.ids want.ids
done

like "-v says which kernels compute, and why" \
	"$(QUERN_ISA=scalar "$BIN/generate" -v -m model -p Hi --max-tokens 1 2>&1 >/dev/null)" 'scalar kernels, as QUERN_ISA says'

gen -p 'Once upon a time' --greedy --max-tokens 20 >a.txt
check "a prompt is continued" test -s a.txt
is "one completion ends in one newline" "$(tail -c 1 a.txt | od -An -c | tr -d ' ')" '\n'
gen -p 'Once upon a time' --temp 0 --temperature 0 --max-tokens 20 >b.txt
same "greedy is temperature 0" a.txt b.txt

printf '%s\n' '{"id": 7, "prompt": "Once upon", "note": {"a":[1, 2]}}' '{"prompt":"The","completion":"old"}' >p.jsonl
gen --jsonl -n 3 --temp 1 --max-tokens 12 --seed 5 p.jsonl >c.jsonl
is "a line a completion" "$(wc -l <c.jsonl)" 6
like "fields of the prompt are untouched" "$(sed -n 3p c.jsonl)" '^\{"id": 7, "prompt": "Once upon", "note": \{"a":\[1, 2\]\},'
# Added fields are spaced as the record's own.
like "fields of a completion" "$(sed -n 1p c.jsonl | sed 's/": /":/g; s/, "/,"/g')" \
	'"completion":".*","prompt_tokens":\[[0-9,]+\],"tokens":\[[0-9,]+\],"logprobs":\[[-0-9.,e]+\],"temperature":1,"finish_reason":"(length|stop)","group":0,"seed":5'
is "groups are adjacent, in order" "$(sed 's/.*"group": *\([0-9]*\).*/\1/' c.jsonl | tr '\n' ' ')" "0 0 0 1 1 1 "
is "an existing field is replaced" "$(grep -c '"completion":"old"' c.jsonl)" 0
for opts in '--batch 1' '--batch 2 -j 1' '-j 2'; do
	gen --jsonl -n 3 --temp 1 --max-tokens 12 --seed 5 $opts <p.jsonl >d.jsonl
	same "the same bytes with $opts, from a pipe" c.jsonl d.jsonl
done
for b in 1 16; do
	gen -n 3 --temp 1 --max-tokens 12 --batch $b -o "b$b.gz" p.jsonl
done
same "compressed text with --batch 1 and 16" b1.gz b16.gz
seed=$(sed -n 5p c.jsonl | sed 's/.*"seed":\([0-9]*\).*/\1/')
want=$(sed -n 5p c.jsonl | sed 's/.*"tokens":\(\[[0-9,]*\]\),"logprobs.*/\1/')
got=$(gen --jsonl --temp 1 --max-tokens 12 --seed "$seed" -p The | sed 's/.*"tokens":\(\[[0-9,]*\]\),"logprobs.*/\1/')
is "a completion comes again from its own seed" "$got" "$want"
gen --jsonl -n 3 --temp 1 --max-tokens 12 --seed 6 p.jsonl >d.jsonl
check "another seed, other completions" sh -c '! cmp -s c.jsonl d.jsonl'

ids=$(gen --jsonl --greedy --max-tokens 1 -p 'Once upon a time' | sed 's/.*"prompt_tokens":\(\[[0-9,]*\]\).*/\1/')
printf '{"prompt":%s}\n' "$ids" | gen --greedy --max-tokens 20 >b.txt
same "a prompt may be a list of ids" a.txt b.txt
like "which stays one under another name" "$(echo '{"q":[5, 6]}' | gen --field q --jsonl --max-tokens 1)" \
	'^\{"q":\[5, 6\],"prompt":\[5, 6\],"completion":.*"prompt_tokens":\[5,6\]'
printf 'Once upon a time\nThe\n' | gen --greedy --max-tokens 20 >l.txt
is "plain text is a prompt a line" "$(head -n "$(wc -l <a.txt)" l.txt)" "$(cat a.txt)"
word=$(cut -c 2-400 a.txt | tr -d '\n' | cut -d ' ' -f 3)
gen -p 'Once upon a time' --greedy --max-tokens 20 --stop "$word" --jsonl >s.jsonl
like "a stop string ends a completion" "$(cat s.jsonl)" '"finish_reason":"stop"'
is "and is not shown" "$(sed 's/.*"completion":"\([^"]*\)".*/\1/' s.jsonl | grep -cF -- "$word")" 0
like "top log-probabilities" "$(gen -p The --greedy --max-tokens 1 --jsonl --top-logprobs 2)" \
	'"top_logprobs":\[\[\[[0-9]+,-[0-9.]+\],\[[0-9]+,-[0-9.]+\]\]\]'
like "the context ends a completion" "$(gen -p The --max-tokens 1000 --ignore-eos --jsonl --temp 1)" '"finish_reason":"length"'
gen -p The --max-tokens 5 --log log.jsonl -o o.txt
like "the summary in the log" "$(cat log.jsonl)" '"prompt_tokens":[0-9]+,"prompt_tokens_per_s":.*"tokens":5,"tokens_per_s":.*"pack_seconds":[0-9.e-]+,'
gen -p '' --greedy --max-tokens 3 >e.txt
is "an empty prompt begins with BOS or EOS" $? 0
printf 'a\n\n\nb\n' | gen --greedy --max-tokens 2 --jsonl >e.jsonl
is "empty lines are prompts, and lose none behind them" "$(sed 's/{"prompt":"\([^"]*\)".*"group":\([0-9]*\).*/\1\2/' e.jsonl | tr '\n' ' ')" "a0 1 2 b3 "
is "--max-tokens 0: empty completions" "$(printf 'a\nb\n' | gen -n 2 --max-tokens 0 --jsonl |
	sed 's/.*"completion":"","prompt_tokens":\[[0-9,]*\],"tokens":\[\],"logprobs":\[\],.*"finish_reason":"length","group":\([01]\).*/\1/' | tr '\n' ' ')" "0 0 1 1 "
is "... and no text" "$(gen -p x -n 2 --max-tokens 0)" ""

# --- many prompts: of all lengths, with beginnings in common, finished rows replaced; what is alone is the same
awk 'BEGIN { s = "Once there was a dog who lived in a small house by the river and liked to sing to the sun and the rain";
	for (i = 0; i < 30; i++) print (i % 3 == 0 ? substr(s, 1, 90) " " i : i % 3 == 1 ? substr(s, 1, i) : substr(s, 30, 3 * i)) }' >many.txt
gen --jsonl --temp 1 --max-tokens 20 --stop . --batch 1 many.txt >one.jsonl
for opts in '--batch 5' '--batch 16 -j 1' '--batch 64 -j 2'; do
	gen --jsonl --temp 1 --max-tokens 20 --stop . $opts many.txt >d.jsonl
	same "30 prompts with $opts" one.jsonl d.jsonl
done
"$BIN/eval" -q -m model --rescore --as logprobs one.jsonl >d.jsonl
same "and their log-probabilities" one.jsonl d.jsonl

# --- a tokenizer that writes a space before the first word: a completion goes on where its prompt ends
"$BIN/tokenize" -q -m "$ROOT/tests/ref/tokenizers/identity.model" --eos -o spm.tok docs.jsonl
check "a small model with a sentencepiece tokenizer" "$BIN/train" -q -o spm --arch llama:depth=1,dim=32,heads=2,context=128 \
	--tokenizer "$ROOT/tests/ref/tokenizers/identity.model" --steps 30 --batch 4 --context 64 --lr 0.02 spm.tok
"$BIN/generate" -q -m spm -p 'Once there was' -n 12 --temp 0.8 --max-tokens 12 --ignore-eos --jsonl >s.jsonl
sed 's/.*"prompt_tokens":\[\([0-9,]*\)\],"tokens":\[\([0-9,]*\)\].*/[\1,\2]/' s.jsonl | "$BIN/tokenize" -q --from-ids -m "$ROOT/tests/ref/tokenizers/identity.model" |
	"$BIN/tokenize" -q -d -m "$ROOT/tests/ref/tokenizers/identity.model" |
	sed "s/^{\"text\":\"\(.*\)\"}$/\1/; s/.ufffd/$(printf '\357\277\275')/g" >want.txt
sed 's/^{"prompt":"\(.*\)","completion":"\(.*\)","prompt_tokens.*/\1\2/' s.jsonl >got.txt
same "prompt and completion side by side are the text of all tokens" got.txt want.txt
check "some completion begins with a space" grep -q '"completion":" ' s.jsonl

fails 2 "no model" "generate: -m MODEL is missing" "$BIN/generate" -p x
fails 2 "prompt and files" "either -p or files" "$BIN/generate" -m model -p x p.jsonl
for t in -1 1e-45 1e7; do
	fails 2 "a temperature of $t" "temperature is 0, or from 1e-30 to 1e6, not" "$BIN/generate" -m model -p x --temp $t
done
fails 2 "-m - without a prompt" "-m - reads standard input" "$BIN/generate" -m -
fails 2 "too many samples" "-n is from 1 to 1000000" "$BIN/generate" -m model -p x -n 2000000
cp model.safetensors nan.safetensors
head=$("$BIN/convert" --show model | sed -n 's/^lm_head.weight.*\[\([0-9]*\), \([0-9]*\)\]/\1 * \2 * 4/p')
put_nan nan.safetensors $(($(wc -c <nan.safetensors) - $head - 4)) # the last weight of the last norm
fails 1 "weights that are no numbers" "logits are not finite" "$BIN/generate" -q -m nan.safetensors -p x --jsonl -o nan.jsonl
fails 2 "a top-p without sense" "top-p is above 0" "$BIN/generate" -m model -p x --top-p 0
fails 1 "no such model" "^generate: nothing" "$BIN/generate" -m nothing -p x
printf '{"prompt":"a"}\n{"text":"b"}\n' >bad.jsonl
fails 1 "a record without a prompt" "bad.jsonl:2: " "$BIN/generate" -q -m model --max-tokens 1 -o x.txt bad.jsonl
is "no output is left" "$(ls x.txt 2>&1 | grep -c 'x.txt$')" 0
is "--skip-bad goes on" "$("$BIN/generate" -q -m model --max-tokens 1 --skip-bad --jsonl bad.jsonl 2>/dev/null | wc -l)" 1
awk 'BEGIN { for (i = 0; i < 300; i++) printf "word "; print "" }' >long.txt
fails 1 "a prompt that fills the context" "long.txt:1: the prompt has [0-9]+ tokens, which leaves none of the context of 128" \
	"$BIN/generate" -m model long.txt
fails 1 "ids outside of the vocabulary" "neither a string nor a list" sh -c "echo '{\"prompt\":[99999]}' | '$BIN/generate' -m model"
done_testing
