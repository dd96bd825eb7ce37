#!/bin/sh
# tokenize: ids as the reference libraries give them (tests/ref/tokenizer_vectors.py), training, streams, failures.
. "${0%/*}/lib.sh"
tokenize=$BIN/tokenize
vec=$ROOT/tests/ref/tokenizers

# --- ids
for t in gpt2.json llama3.json qwen.json o200k.json custom.json added.json identity.model mapped.model identity.bin; do
	want=$vec/${t%.*}.ids
	"$tokenize" -q -m "$vec/$t" --ids "$vec/texts.jsonl" >got.ids
	same "$t: ids" got.ids "$want"
done
for t in gpt2 llama3 qwen o200k custom added; do
	"$tokenize" -q -m "$vec/$t.json" --ids --parse-special "$vec/texts.jsonl" >got.ids
	same "$t.json: ids with special tokens" got.ids "$vec/$t.special.ids"
done
for p in cl100k o200k; do
	"$tokenize" -q -m "$vec/small.tiktoken" --pattern $p --ids "$vec/texts.jsonl" >got.ids
	same "rank file, $p" got.ids "$vec/small.$p.ids"
done
for t in gpt2.json llama3.json o200k.json custom.json identity.model identity.bin; do
	check "$t: every text decodes to itself" "$tokenize" -q -m "$vec/$t" --check "$vec/texts.jsonl"
done
mkdir two && "$tokenize" -q -t --vocab 300 --pattern gpt2 -o two.json "$vec/texts.jsonl"
sed -n 's/^      \("[^ ].*": [0-9]*\),*$/\1/p' two.json | paste -sd, | sed 's/^/{/;s/$/}/' >two/vocab.json
sed -n 's/^      \["\(.*\)", "\(.*\)"\],*$/\1 \2/p' two.json | sed 's/\\"/"/g;s/\\\\/\\/g' >two/merges.txt
"$tokenize" -q -m two --ids "$vec/texts.jsonl" >a.ids
"$tokenize" -q -m two.json --ids "$vec/texts.jsonl" >b.ids
same "vocab.json and merges.txt" a.ids b.ids
gzip -c "$vec/gpt2.json" >g.json.gz
"$tokenize" -q -m g.json.gz --ids "$vec/texts.jsonl" >a.ids
same "a gzip tokenizer" a.ids "$vec/gpt2.ids"

# --- training
awk -f "$ROOT/scripts/stories" -v n=200 -v seed=5 >docs.jsonl
awk -f "$ROOT/scripts/stories" -v n=60 -v seed=6 -v plain=1 >notes.txt
check "training" "$tokenize" -q -t --vocab 600 --special '<|endoftext|>' -o t.json docs.jsonl
"$tokenize" -q -t --vocab 600 --special '<|endoftext|>' -j 1 docs.jsonl >t1.json
same "training with one thread" t.json t1.json
cat docs.jsonl | "$tokenize" -q -t --vocab 600 --special '<|endoftext|>' >t2.json
same "training from a pipe" t.json t2.json
out=$("$tokenize" -t --vocab 5k -o few.json "$vec/texts.jsonl" 2>&1)
like "training says when no pair is left" "$out" 'no pair is left to merge: the vocabulary ends at [0-9]+ of 5000'

# --- streams
"$tokenize" -q -m t.json --eos docs.jsonl >a.tok
"$tokenize" -q -m t.json --eos -j 1 <docs.jsonl >b.tok
same "one thread and a pipe: the same stream" a.tok b.tok
"$tokenize" -q -d -m t.json a.tok | "$tokenize" -q -m t.json --eos >c.tok
"$tokenize" -q -m t.json --ids --eos docs.jsonl >a.ids
"$tokenize" -q -d -m t.json c.tok | "$tokenize" -q -m t.json --ids --eos >c.ids
same "decoded documents encode to the same ids" a.ids c.ids
"$tokenize" -q --from-ids -m t.json a.ids | "$tokenize" -q -d -m t.json --format lines >from.txt
"$tokenize" -q -d -m t.json --format lines a.tok >dec.txt
same "--from-ids and back" from.txt dec.txt
"$tokenize" -q -m t.json notes.txt | "$tokenize" -q -d -m t.json --format text >n.txt
same "text decodes to its bytes" n.txt notes.txt
printf 'a\377\300b \342\202 \n\000x' >bad.txt
"$tokenize" -q -m t.json bad.txt | "$tokenize" -q -d -m t.json --format text >n.txt
same "bytes that are not UTF-8 are kept" n.txt bad.txt
cat a.tok c.tok >two.tok
like "--show" "$("$tokenize" --show two.tok)" '"documents":400,.*"streams":2'
like "--show names the maker" "$("$tokenize" --show a.tok)" '"made_by":\[\{"tool":"tokenize".*"eos":true'
"$tokenize" -q -d -m t.json a.tok | head -n 1 >one
like "--source is kept" "$(cat one)" '"source":'
like "specials are left out" "$(grep -c endoftext one)" '^0$'
like "and there with --parse-special" "$("$tokenize" -q -d --parse-special -m t.json a.tok | head -n 1)" '<\|endoftext\|>'
is "--count" "$(printf 'abc\n' | "$tokenize" -q -m "$vec/gpt2.json" --count)" '{"documents":1,"bytes":4,"tokens":3}'
printf '{"text":"a","source":null}\n{"text":"b","source":7}\n{"text":"c","source":"x"}\n' >sources.jsonl
is "a source of null is none" "$("$tokenize" -q -m t.json sources.jsonl | "$tokenize" -q -d -m t.json)" \
	'{"text":"a"}
{"text":"b","source":"7"}
{"text":"c","source":"x"}'
is "--bos --eos" "$(printf 'a' | "$tokenize" -q -m "$vec/identity.model" --ids --bos --eos)" \
	"[1,$(printf 'a' | "$tokenize" -q -m "$vec/identity.model" --ids | tr -d '[]'),2]"
is "an empty input is an empty stream" "$("$tokenize" -q -m t.json </dev/null | "$tokenize" --show | grep -o '"documents":[0-9]*')" \
	'"documents":0'
is "--from-ids finds the vocabulary" \
	"$(echo '[3, 9]' | "$tokenize" -q --from-ids | "$tokenize" --show | grep -o '"vocab":[0-9][0-9]*')" '"vocab":10'

# a long word takes no quadratic time
awk 'BEGIN { for (i = 0; i < 20000; i++) printf "abcdefghijklmnopqrstuvwxyzetaoinsrhldu%c", 97 + i % 26 }' >long.txt
check "a word of 760 kB" timeout 20 "$tokenize" -q -m t.json --check long.txt

# --- failures
fails 2 "no tokenizer" 'which tokenizer' "$tokenize" docs.jsonl
fails 2 "--ids with -t" '--ids does not go with -t' "$tokenize" -t --ids
fails 2 "a vocabulary below the bytes" '--vocab wants' "$tokenize" -t --vocab 100 docs.jsonl
fails 2 "a malformed pattern" '--pattern: regular expression' "$tokenize" -t --pattern 'a(' docs.jsonl
fails 2 "also for a tokenizer" '--pattern: regular expression' "$tokenize" -m "$vec/small.tiktoken" --pattern 'a(' docs.jsonl
fails 2 "a pattern that PCRE2 reads differently" '&& in a class' "$tokenize" -t --pattern '[a&&b]' docs.jsonl
fails 1 "no such file" 'tokenize: none.json: ' "$tokenize" -m none.json docs.jsonl
fails 1 "not a tokenizer" 'docs.jsonl: ' "$tokenize" -m docs.jsonl docs.jsonl
fails 1 "a rank file without a pattern" 'small.tiktoken: .*--pattern' "$tokenize" -m "$vec/small.tiktoken" docs.jsonl
fails 1 "an unknown normalizer is named" '"Nmt" is not supported' \
	"$tokenize" -m "$(sed 's/"normalizer":null/"normalizer":{"type":"Nmt"}/' "$vec/gpt2.json" >n.json && echo n.json)" docs.jsonl
fails 1 "--eos without an end token" 'no end token' "$tokenize" -m few.json --eos docs.jsonl
printf '{"text":"a"}\n{"text":1}\n{"text":"b"}\n' >broken.jsonl
fails 1 "a bad record" 'broken.jsonl:2: ' "$tokenize" -m t.json -o x.tok broken.jsonl
check "no half-written output" test ! -e x.tok
like "--skip-bad counts it" "$("$tokenize" -m t.json --skip-bad -o x.tok broken.jsonl 2>&1)" '^tokenize: 2 documents, 1 unreadable skipped'
fails 1 "a stream of another tokenizer" 'a.tok: made with another tokenizer' "$tokenize" -d -m "$vec/gpt2.json" a.tok
head -c 2000 a.tok >cut.tok
fails 1 "a stream cut short" 'cut.tok: ' "$tokenize" -d -m t.json -o x.txt cut.tok
head -c 5 a.tok >cut.tok
fails 1 "also in its first bytes" 'cut.tok: byte 5: token stream is cut short' "$tokenize" -d -m t.json -o x.txt cut.tok
fails 1 "a stream where documents are wanted" 'a.tok: holds a token stream, not documents' "$tokenize" -m t.json -o x.tok a.tok
awk 'BEGIN { printf "{\"text\":\"a\"}\n{\"text\":\"b\",\"source\":\""; for (i = 0; i < 5000; i++) printf "s"; print "\"}" }' >long.jsonl
fails 1 "a source that is no name" 'tokenize: long.jsonl:2: field "source" is no name' "$tokenize" -m t.json -o x.tok long.jsonl
like "is a bad record" "$("$tokenize" -m t.json --skip-bad -o x.tok long.jsonl 2>&1)" '^tokenize: 1 documents, 1 unreadable skipped'
rm x.tok
echo '[1,2,x]' >bad.ids
fails 1 "a bad array of ids" 'bad.ids:1: column 6: not an id' "$tokenize" --from-ids bad.ids
echo '[1,2,300]' >big.ids
fails 1 "an id outside the vocabulary" 'big.ids:1: id 300 is not below' "$tokenize" --from-ids --vocab 300 big.ids
printf '{"text":"the girl"}\n{"text":"\\u65e5\\u672c"}\n' >lossy.jsonl
fails 1 "--check names the first document that does not come back" '1 of 2 documents do not decode to themselves, the first is .*:2' \
	"$tokenize" -q -m "$vec/mapped.model" --check -o numbers lossy.jsonl

if [ -n "$SHARED" ] && [ -d "$SHARED/data/tokenizers/vectors" ]; then
	d=$SHARED/data/tokenizers
	mkdir g && ln -s "$d/gpt2-encoder.json" g/encoder.json && ln -s "$d/gpt2-vocab.bpe" g/vocab.bpe
	for pair in "g gpt-2" "$d/llama3_2.tokenizer.json.gz llama-bpe"; do
		set -- $pair
		awk -v RS='\n__ggml_vocab_test__\n' '{
			gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); gsub(/\n/, "\\n"); gsub(/\t/, "\\t"); gsub(/\r/, "\\r")
			printf "{\"text\":\"%s\"}\n", $0
		}' "$d/vectors/llamacpp-$2.inp" >inp.jsonl
		"$tokenize" -q -m "$1" --ids inp.jsonl | tr -d '[]' | tr ',' ' ' >got
		sed 's/^ *//;s/ *$//' "$d/vectors/llamacpp-$2.out" >want
		same "vectors of another implementation: $2" got want
	done
else
	skip "vectors of another implementation" "no ../shared/data/tokenizers"
fi
done_testing
