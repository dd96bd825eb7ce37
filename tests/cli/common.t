#!/bin/sh
# What holds for every filter: the same bytes for 1 and 2 threads, from a pipe and a file, plain and gzip; bad usage is 2,
# bad data is 1 with one clear line and no output file; a full disk is noticed; a closed pipe ends quietly.
. "${0%/*}/lib.sh"

awk -f "$ROOT/scripts/stories" -v n=400 -v seed=11 -v junk=1 >docs.jsonl
gzip -nc docs.jsonl >docs.jsonl.gz
"$BIN/tokenize" -q -t --vocab 700 --special '<|endoftext|>' -o tokenizer.json docs.jsonl
"$BIN/tokenize" -q -m tokenizer.json --eos -o corpus.tok docs.jsonl
"$BIN/train" -q -o run --arch llama:depth=2,dim=64,heads=2,context=64 --tokenizer tokenizer.json --steps 4 --batch 4 \
	--context 64 corpus.tok
check "a model to work with" test -f run/latest/model.safetensors

# NAME, INPUT, then the command with @ for its input. Each is one filter reading one stream.
filters() {
	"$@" "dedup" docs.jsonl dedup @
	"$@" "dedup --near" docs.jsonl dedup --near @
	"$@" "dedup --near --annotate" docs.jsonl dedup --near --annotate @
	"$@" "filter" docs.jsonl filter --rules gopher,c4,fineweb @
	"$@" "filter --annotate" docs.jsonl filter --rules gopher --annotate --rule 'words > 10' @
	"$@" "tokenize" docs.jsonl tokenize -m tokenizer.json --eos @
	"$@" "tokenize --ids" docs.jsonl tokenize -m tokenizer.json --ids @
	"$@" "tokenize -t" docs.jsonl tokenize -t --vocab 600 @
	"$@" "tokenize -d" corpus.tok tokenize -d -m tokenizer.json @
	"$@" "mixsample, documents" docs.jsonl mixsample -n 300 --max-repeat 2 a=@
	"$@" "mixsample, tokens" corpus.tok mixsample -n 20k --max-repeat 2 a=@
	"$@" "eval --loss" docs.jsonl eval -m run --loss @
	"$@" "eval --loss of tokens" corpus.tok eval -m run --loss @
}

same_bytes() {
	t_name=$1 t_in=$2 t_cmd=$3
	shift 3
	t_k=$#
	while [ "$t_k" -gt 0 ]; do # replace @ by the input
		t_a=$1
		shift
		case $t_a in *@) t_a=${t_a%@}$t_in ;; esac
		set -- "$@" "$t_a"
		t_k=$((t_k - 1))
	done
	"$BIN/$t_cmd" -q -j 1 "$@" >one 2>err
	is "$t_name runs" "$? $(cat err)" "0 "
	check "$t_name gives something" test -s one
	"$BIN/$t_cmd" -q -j 2 "$@" >two 2>/dev/null
	same "$t_name: 2 threads give the bytes of 1" one two
	"$BIN/$t_cmd" -q -o file "$@" 2>/dev/null
	same "$t_name: -o FILE gives the bytes of stdout" one file
	rm -f file
	t_k=$#
	while [ "$t_k" -gt 0 ]; do
		t_a=$1
		shift
		case $t_a in *"$t_in") t_a=${t_a%"$t_in"}- ;; esac
		set -- "$@" "$t_a"
		t_k=$((t_k - 1))
	done
	cat "$t_in" | "$BIN/$t_cmd" -q "$@" >piped 2>/dev/null
	same "$t_name: a pipe gives the bytes of a file" one piped
	gzip -nc "$t_in" | "$BIN/$t_cmd" -q "$@" >gz 2>/dev/null
	same "$t_name: gzip input gives the same bytes" one gz
	"$BIN/$t_cmd" -q "$@" <"$t_in" >/dev/full 2>err
	is "$t_name: a full disk is exit 1 and one line" "$? $(wc -l <err)" "1 1"
	like "$t_name: and says so" "$(cat err)" 'stdout: cannot write: No space left'
}
filters same_bytes

closed_pipe() {
	t_name=$1 t_in=$2 t_cmd=$3
	shift 3
	# More output than a pipe holds, and nobody reads it.
	{ "$BIN/$t_cmd" -q "$@"; echo $? >rc; } 2>err <big.jsonl | head -c 1 >/dev/null
	is "$t_name: a closed pipe ends quietly" "$(cat rc) $(cat err)" "141 "
}
for i in 1 2 3 4 5 6 7 8; do cat docs.jsonl; done >big.jsonl
closed_pipe "filter" - filter --rule 'words > 0'
closed_pipe "tokenize --ids" - tokenize -m tokenizer.json --ids

# Bad data: the message names file and line; --skip-bad goes on.
{ head -n 3 docs.jsonl; echo '{"text": "broken'; tail -n 3 docs.jsonl; } >bad.jsonl
{ head -n 3 docs.jsonl; tail -n 3 docs.jsonl; } >good.jsonl
bad_data() {
	t_name=$1
	shift
	fails 1 "$t_name: a broken record" 'bad\.jsonl:4: ' "$BIN/$1" -o out "$@" bad.jsonl
}
for c in "dedup" "dedup --near" "filter --rules gopher" "tokenize -m tokenizer.json" "tokenize -t --vocab 400" "eval -m run --loss"; do
	# shellcheck disable=SC2086
	set -- $c
	name=$1
	shift
	fails 1 "$c: a broken record ends the run" 'bad\.jsonl:4: ' "$BIN/$name" "$@" -o out bad.jsonl
	check "$c: and leaves no output" test ! -e out
	"$BIN/$name" -q "$@" --skip-bad -o out bad.jsonl 2>err
	is "$c: --skip-bad goes on" $? 0
	"$BIN/$name" -q "$@" -o out2 good.jsonl 2>err
	same "$c: and gives what the good records give" out out2
	rm -f out out2
	fails 1 "$c: a missing file" 'no-such\.jsonl: cannot open: No such file' "$BIN/$name" "$@" -o out no-such.jsonl
	fails 1 "$c: a folder" '(is a directory|Is a directory)' "$BIN/$name" "$@" -o out.x "$PWD"
	fails 1 "$c: output into a folder that is not there" 'no/such/out: cannot create: No such file' "$BIN/$name" "$@" -o no/such/out good.jsonl
done
head -c 3000 docs.jsonl.gz >cut.jsonl.gz
fails 1 "a cut gzip file" 'cut\.jsonl\.gz: byte [0-9]+: gzip data ends early' "$BIN/dedup" -o out cut.jsonl.gz

# Ended by a signal: 128 + N, nothing left behind.
mkfifo fifo
"$BIN/dedup" -q -o out fifo 2>err &
pid=$!
{ head -n 50 docs.jsonl; sleep 0.3; kill -TERM $pid; sleep 0.3; } >fifo
wait $pid
is "SIGTERM is exit status 143" $? 143
is "and leaves nothing behind" "$(find . -name '.*.tmp' -o -name out)" ""

# Start-up: a filter is started often. Twenty starts of each in well under the time of one slow interpreter.
for p in "$BIN"/*; do
	check "$(basename "$p") starts" "$p" --version
done
done_testing
