#!/bin/sh
# train going on: after kill -9, signals, ends of pipes; with other options and data; in a shell loop.
. "${0%/*}/lib.sh"
OMP_WAIT_POLICY=passive
export OMP_WAIT_POLICY

train=$BIN/train
awk 'BEGIN { srand(4); for (d = 0; d < 150; d++) { n = 2 + int(rand() * 60); x = int(rand() * 64); s = "["
	for (i = 0; i < n; i++) { s = s (i ? "," : "") (rand() < 0.1 ? int(rand() * 64) : x); x = (x * 7 + 3) % 64 }
	print s "]" } }' >ids.jsonl
"$BIN/tokenize" -q --from-ids --vocab 64 -o a.tok ids.jsonl
tail -n 60 ids.jsonl | "$BIN/tokenize" -q --from-ids --vocab 64 -o other.tok
head -n 60 ids.jsonl | "$BIN/tokenize" -q --from-ids --vocab 64 -o b.tok
small="--arch llama:depth=2,dim=32,heads=2 --context 32 --batch 4 --dtype f32 --warmup 3"
log() { sed -E 's/"tokens_per_s":[^,}]*,"seconds":[0-9.e-]*//' "$1/log.jsonl"; }
cut_back() { # RUN N: as if the run had ended after checkpoint N
	for s in "$1"/step-*; do [ "${s##*-}" -le "$2" ] || rm -r "$s"; done
	ln -sfn "step-$2" "$1/latest"
}

# --- one run and resumed runs
"$train" -q -o whole $small --steps 30 --save-every 7 --eval-data b.tok --eval-every 10 --optim muon --guard a.tok
cp -r whole part
cut_back part 14
out=$("$train" -o part --steps 30 --lr 6e-4 --eval-data b.tok --eval-every 10 a.tok 2>&1)
like "it goes on by itself and says so" "$out" "^train: part: goes on from step 14"
same "one run and a resumed one: same weights" whole/latest/model.safetensors part/latest/model.safetensors
same "and the same state" whole/latest/state.safetensors part/latest/state.safetensors
is "and the same log, no line twice" "$(log part)" "$(log whole)"
check "whose clock goes on" awk -F '"seconds":' '{ t = $2 + 0; if (t < last) exit 1; last = t }' part/log.jsonl
cp -r whole again
cut_back again 28
sed '$d' again/log.jsonl >l && printf '{"step":30,"tok' >>l && mv l again/log.jsonl
"$train" -q -o again --eval-data b.tok --eval-every 10 a.tok
is "a torn last line of the log is cut off" "$(log again)" "$(log whole)"
cp -r whole narrow
cut_back narrow 7
"$train" -q -o narrow --save-dtype bf16 --save-every 9 a.tok
cut_back narrow 18
"$train" -q -o narrow --save-dtype f32 a.tok
same "checkpoints in bf16 lose nothing" whole/latest/model.safetensors narrow/latest/model.safetensors

"$train" -q -o bf16 $small --steps 6 --save-every 3 --save-dtype bf16 a.tok
cp bf16/latest/model.safetensors bf16.model
cut_back bf16 3
"$train" -q -o bf16 a.tok
same "--save-dtype is remembered" bf16/latest/model.safetensors bf16.model

# --- narrow states of the optimiser
for t in bf16 8bit; do
	"$train" -q -o $t.whole $small --arch llama:depth=2,dim=64,heads=2 --steps 12 --save-every 5 --optim-state $t -j1 a.tok
	cp -r $t.whole $t.part
	cut_back $t.part 5
	"$train" -q -o $t.part -j2 a.tok
	same "--optim-state $t: one run and a resumed one" $t.whole/latest/model.safetensors $t.part/latest/model.safetensors
	same "--optim-state $t: their states" $t.whole/latest/state.safetensors $t.part/latest/state.safetensors
	fails 1 "--optim-state $t: another one" "--optim-state is \"f32\" here" "$train" -o $t.part --optim-state f32 a.tok
done
"$train" -q -o f32.whole $small --arch llama:depth=2,dim=64,heads=2 --steps 1 a.tok
size() { wc -c <"$1/latest/state.safetensors"; }
check "states of $(size f32.whole), $(size bf16.whole) and $(size 8bit.whole) bytes" \
	[ $(($(size bf16.whole) * 17)) -lt $(($(size f32.whole) * 10)) -a $(($(size 8bit.whole) * 3)) -lt $(size f32.whole) ]

# --- a complete run
before=$(ls -lR --time-style=full-iso whole 2>/dev/null || ls -lR whole)
out=$("$train" -o whole --steps 30 $small a.tok 2>&1)
is "a complete run exits 0" $? 0
like "and says so" "$out" "is complete at step 30"
is "and changes nothing" "$(ls -lR --time-style=full-iso whole 2>/dev/null || ls -lR whole)" "$before"

"$train" -q -o once $small a.tok
like "one pass is complete, data named or not" "$("$train" -o once </dev/null 2>&1) $("$train" -o once a.tok 2>&1)" \
	"^train: once: is complete at step [0-9]+ train: once: is complete"

# --- what may not change
fails 1 "another learning rate" "--lr is 0.001 here, but this run was started with 0.0006" "$train" -o part --lr 1e-3 a.tok
fails 1 "another optimiser" "--optim is \"adamw\" here" "$train" -o part --optim adamw a.tok
fails 1 "another seed" "--seed is 1 here" "$train" -o part --seed 1 a.tok
fails 1 "another batch" "--batch is 5 here" "$train" -o part --batch 5 a.tok
fails 1 "another total under cosine" "--steps: another total" "$train" -o part --steps 40 a.tok
fails 1 "other data" "b.tok: not the data" "$train" -o part b.tok
fails 1 "a pipe for files" "stdin: this run was started on files" sh -c "'$train' -o part --steps 30 --fresh=1 2>/dev/null; cp -r whole part2; rm -r part2/step-30 part2/step-28; '$train' -q -o part2 <a.tok"
fails 1 "another architecture" "--arch: this run was started from another model" "$train" -o part --arch llama:depth=3,dim=32,heads=2 a.tok
fails 1 "--init instead of --arch" "--init: this run was started from another model" "$train" -o part --init whole a.tok
fails 1 "--fresh" "has a checkpoint already" "$train" -o part --fresh a.tok
"$train" -q -o const $small --schedule constant --steps 8 a.tok
"$train" -q -o const --steps 12 a.tok
"$train" -q -o const12 $small --schedule constant --steps 12 a.tok
same "under a constant rate a run may be made longer" const/latest/model.safetensors const12/latest/model.safetensors

# --- pipes
cat a.tok | "$train" -q -o pipe $small --steps 20 --save-every 6 --order file
"$train" -q -o file $small --steps 20 --order file a.tok
same "pipe and file" file/latest/model.safetensors pipe/latest/model.safetensors
cut_back pipe 12
fails 1 "another pipe" "stdin: does not begin with the 48 rows" sh -c "cat other.tok a.tok | '$train' -q -o pipe"
cat a.tok | "$train" -q -o pipe
same "a piped run goes on: what was consumed is skipped" file/latest/model.safetensors pipe/latest/model.safetensors
out=$(cat b.tok | "$train" -q -o short $small --steps 100 --save-every 4 2>&1)
is "a pipe that ends too early" "$? $out" "1 train: stdin: ended after $(readlink short/latest | tr -dc 0-9) of 100 updates"
for part in 1 2 3; do
	tail -n $((part * 20)) ids.jsonl | "$BIN/tokenize" -q --from-ids --vocab 64 | "$train" -q -o loop $small --save-every 1000
done
is "a shell loop is a run: a checkpoint a pass" "$(ls -d loop/step-* | wc -l | tr -d ' ')" 3
is "one log" "$(sed -E 's/\{"step":([0-9]+),.*/\1/' loop/log.jsonl | awk '$1 != NR' | wc -l | tr -d ' ')" 0
last=$(readlink loop/latest)
: | "$BIN/tokenize" -q --from-ids --vocab 64 | "$train" -q -o loop --eval-data b.tok
is "an empty pass is one too" "$? $(readlink loop/latest)" "0 $last"
like "measured at its end" "$(tail -n 1 loop/log.jsonl)" eval_loss
cat b.tok | "$train" -q -o pass $small --epochs 1
like "--epochs 1: one pass is all" "$("$train" -o pass 2>&1 </dev/null)" "is complete"

# --- signals and the lock
mkfifo fifo
(cat a.tok && sleep 30) >fifo &
feeder=$!
"$train" -q -o sig $small --steps 1000 fifo &
pid=$!
i=0
while [ $i -lt 100 ] && ! [ -s sig/log.jsonl ]; do sleep 0.1; i=$((i + 1)); done
fails 1 "two trainers in one folder" "sig: another trainer is at work here" "$train" -o sig $small a.tok
kill -TERM $pid
wait $pid
is "SIGTERM while it waits for data: exit 128 + 15" $? 143
kill $feeder 2>/dev/null
check "after a checkpoint" test -s sig/latest/state.safetensors
is "of the last update" "$(readlink sig/latest)" "step-$(wc -l <sig/log.jsonl | tr -d ' ')"
"$train" -q -o int $small --steps 4000 --save-every 0 --schedule constant a.tok &
pid=$!
i=0
while [ $i -lt 100 ] && ! [ -s int/log.jsonl ]; do sleep 0.05; i=$((i + 1)); done
kill -HUP $pid
wait $pid
is "SIGHUP at work: exit 128 + 1" $? 129
n=$(readlink int/latest | tr -dc 0-9)
"$train" -q -o int --steps $((n + 5)) a.tok
"$train" -q -o int.whole $small --steps $((n + 5)) --save-every 0 --schedule constant a.tok
same "and goes on with the same bits" int/latest/model.safetensors int.whole/latest/model.safetensors

# --- checkpoints
"$train" -q -o keep $small --steps 10 --save-every 2 --keep 2 a.tok
is "--keep 2" "$(ls -d keep/step-* | tr '\n' ' ')" "keep/step-10 keep/step-8 "
mkdir keep/.step-12.1.tmp && : >keep/.step-12.1.tmp/model.safetensors && ln -s nowhere keep/.latest.1.tmp
rm keep/latest
"$train" -q -o keep a.tok
is "leavings of a killed run are removed, latest is set right" "$(ls -A keep | tr '\n' ' ')$(readlink keep/latest)" \
	".lock latest log.jsonl step-10 step-8 step-10"
out=$(STEPS=24 BIN=$BIN "$ROOT/scripts/kill-storm" 3 7 2>&1)
t_result $? "kill -9 three times: the same weights and log" "$out"

done_testing
