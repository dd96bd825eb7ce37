#!/bin/sh
# The examples of the manual pages are run: every line "$ command" of a .Bd -literal block in an EXAMPLES section, in a
# folder that holds what the pages say (docs.jsonl, more.jsonl, notes.txt, tokenizer.json, corpus.tok, model/). A block
# is one script; "> " lines continue the line before. A block that starts with "# not run" is left out.
. "${0%/*}/lib.sh"

mkdir path
for p in "$BIN"/*; do
	[ -x "$p" ] && ln -s "$p" "path/quern-$(basename "$p")"
done
PATH=$PWD/path:$PATH
mkdir seed
(
	cd seed &&
		awk -f "$ROOT/scripts/stories" -v n=40 -v seed=1 >docs.jsonl &&
		awk -f "$ROOT/scripts/stories" -v n=20 -v seed=2 >more.jsonl &&
		awk -f "$ROOT/scripts/stories" -v n=5 -v seed=3 -v plain=1 >notes.txt &&
		quern-tokenize -q -t --vocab 512 --special '<|endoftext|>' -o tokenizer.json docs.jsonl &&
		quern-tokenize -q -m tokenizer.json --eos -o corpus.tok docs.jsonl &&
		quern-train -q -o run --arch llama:depth=2,dim=64,heads=2,context=64 --tokenizer tokenizer.json --steps 3 \
			--batch 2 --context 64 corpus.tok &&
		cp -r run/latest/ model && rm -f model/state.safetensors && rm -rf run
) >setup.log 2>&1
t_result $? "the folder for the examples is made" "$(tail -n 5 setup.log)"

for m in "$ROOT"/man/*.[1-9]; do
	awk -v out="$(basename "$m")" '
		/^\.Sh / { ex = /EXAMPLES|RECIPES|PIPELINES/ }
		/^\.Bd -literal/ && ex { block = 1; n++; file = out "." n ".sh"; skip = 0; next }
		/^\.Ed/ { block = 0 }
		block && /^# not run/ { skip = 1 }
		block && !skip && /^\$ / { print substr($0, 3) > file }
		block && !skip && /^> / { print substr($0, 3) > file }
	' "$m"
	for s in "$(basename "$m")".*.sh; do
		[ -f "$s" ] || continue
		# mdoc escapes
		sed 's/\\e/\\/g; s/\\&//g; s/\\-/-/g' "$s" >script.sh
		rm -rf work && cp -r seed work
		out=$(cd work && timeout 120 sh -eu ../script.sh 2>&1 </dev/null)
		t_result $? "$s runs" "$(cat script.sh)
$out"
	done
done
done_testing
