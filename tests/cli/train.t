#!/bin/sh
# train: options, data, batches, checkpoints, full disks. Going on is in resume.t.
. "${0%/*}/lib.sh"
OMP_WAIT_POLICY=passive
export OMP_WAIT_POLICY

train=$BIN/train
# ids.jsonl: documents that follow a rule most of the time, so that there is something to learn.
awk 'BEGIN { srand(3); for (d = 0; d < 120; d++) { n = 2 + int(rand() * 60); x = int(rand() * 64); s = "["
	for (i = 0; i < n; i++) { s = s (i ? "," : "") (rand() < 0.1 ? int(rand() * 64) : x); x = (x * 7 + 3) % 64 }
	print s "]" } }' >ids.jsonl
"$BIN/tokenize" -q --from-ids --vocab 64 -o a.tok ids.jsonl
tail -n 40 ids.jsonl | "$BIN/tokenize" -q --from-ids --vocab 64 -o b.tok
small="--arch llama:depth=2,dim=32,heads=2 --context 32 --batch 4 --dtype f32"

# --- usage and bad input
fails 2 "no -o" "where to" "$train" a.tok
fails 2 "neither --init nor --arch" "new run wants --init MODEL or --arch" "$train" -o r a.tok
fails 2 "--init and --arch" "exclude each other" "$train" -o r --init x --arch llama:depth=2 a.tok
fails 2 "bad --betas" "--betas wants two numbers" "$train" -o r --betas 0.9 a.tok
fails 2 "bad --batch" "--batch wants" "$train" -o r --batch 0 a.tok
fails 2 "min-lr above lr" "--min-lr wants" "$train" -o r --lr 1 --min-lr 2 a.tok
fails 2 "batch-tokens off the grid" "multiple of the context, which is 32" "$train" -o r $small --batch-tokens 100 a.tok
fails 2 "context beyond the model" "more than the model's 16" "$train" -o r --arch llama:depth=2,context=16 --context 32 a.tok
fails 2 "a batch beyond all bounds" "--batch wants fewer rows" "$train" -o r --arch llama:depth=1 --context 1M --batch 10M a.tok
fails 2 "--init - without data" "--init - reads standard input" "$train" -o r --init -
fails 2 "an unknown optimiser" "--optim is one of adamw" "$train" -o r --optim sgd a.tok
fails 1 "an unknown preset" "no-such" "$train" -o r --arch no-such:depth=2 a.tok
fails 1 "no such data" "missing.tok: cannot open" "$train" -o r $small missing.tok
fails 1 "data that are no stream" "ids.jsonl" "$train" -o r $small ids.jsonl
fails 1 "the folder's parent is missing" "no/where: cannot create" "$train" -q -o no/where $small a.tok
head -c 2000 a.tok >cut.tok
fails 1 "a stream that is cut short" "cut.tok" "$train" -o r $small cut.tok
fails 1 "a stream that is cut short, by pipe" "stdin" sh -c "cat cut.tok | '$train' -q -o r3 $small --steps 50"
{ head -c 1500 a.tok && printf 'XXXX' && tail -c +1505 a.tok; } >bad.tok
fails 1 "a damaged stream" "bad.tok" "$train" -q -o r2 $small bad.tok
"$BIN/tokenize" -q --from-ids --vocab 300 -o wide.tok ids.jsonl
"$train" -q -o base $small --steps 0 a.tok
fails 1 "a vocabulary that does not fit" "wide.tok: vocabulary of 300 does not fit the model's 64" "$train" -o r --init base --context 32 wide.tok
is "nothing was made by any of these" "$(ls -d r no 2>&1 | grep -v cannot)" ""

# --- the first weights, other modes
is "--steps 0 writes a checkpoint" "$(ls base base/step-0 | tr '\n' ' ')" \
	"base: latest log.jsonl step-0  base/step-0: config.json generation_config.json model.safetensors state.safetensors "
is "latest is a link to it" "$(readlink base/latest)" step-0
plan=$("$train" --dry-run $small a.tok)
like "--dry-run counts parameters" "$plan" "^parameters +[0-9]+$"
like "--dry-run says what memory it takes" "$plan" "^memory +[0-9.]+ MB$"
like "--dry-run measures an update" "$plan" "^time/update .*measured"
probe=$("$train" --probe probe.safetensors --init base --context 32 --batch 4 --dtype f32 --order file a.tok 2>&1)
like "--probe" "$probe" "^train: 4 rows, [0-9]+ targets, loss [0-9.]+"
check "--probe writes" test -s probe.safetensors
like "--probe with less than a batch: all rows, whatever the total" \
	"$("$train" --probe all.safetensors --init base --context 32 --batch 1k --steps 9 a.tok 2>&1)" "^train: $(echo "$plan" | sed -n 's/^rows.epoch *//p') rows, "
printf '[1]\n[2]\n' | "$BIN/tokenize" -q --from-ids --vocab 64 -o lone.tok
fails 1 "--probe of nothing" "lone.tok: nothing to predict in its first batch" "$train" --probe none.safetensors --init base --context 32 lone.tok
fails 1 "--probe where nothing can be written" "no/p: cannot create" "$train" -q --probe no/p --init base --context 32 a.tok

# --- learning
"$train" -q -o learn --init base --context 32 --batch 4 --dtype f32 --lr 0.01 --warmup 5 --epochs 4 --eval-data b.tok --eval-every 20 a.tok
field() { sed -nE "s/.*\"$1\":([-0-9.e]+).*/\1/p" "$2"; }
first=$(field loss learn/log.jsonl | head -n 1)
last=$(field loss learn/log.jsonl | tail -n 1)
check "it learns: loss $first -> $last" awk "BEGIN { exit !($first > 4 && $last < 2.5) }"
is "a line an update" "$(field step learn/log.jsonl | awk '$1 != NR' | wc -l | tr -d ' ')" 0
is "held-out data were measured when due" "$(field eval_loss learn/log.jsonl | wc -l | tr -d ' ')" \
	"$(($(wc -l <learn/log.jsonl) / 20 + ($(wc -l <learn/log.jsonl) % 20 > 0)))"
like "all fields" "$(head -n 1 learn/log.jsonl)" \
	'^\{"step":1,"tokens":[0-9]+,"loss":[0-9.]+,"grad_norm":[0-9.]+,"lr":0.002,"tokens_per_s":[0-9]+,"seconds":[0-9.]+\}$'
is "the probe's loss is the first one of a run in the same order" \
	"$("$train" -q -o p --init base --context 32 --batch 4 --dtype f32 --order file --steps 1 a.tok; printf '%.6f' "$(field loss p/log.jsonl)")" \
	"$(echo "$probe" | sed -E 's/.*loss ([0-9.]+),.*/\1/')"

# --- same bytes
run() { out=$1; shift; "$train" -q -o "$out" $small --steps 12 --order file --warmup 3 "$@"; }
run one -j1 a.tok
run two -j2 a.tok
run three -j3 a.tok
run again --recompute a.tok
same "1 and 2 threads" one/latest/model.safetensors two/latest/model.safetensors
same "steps computed again" one/latest/model.safetensors again/latest/model.safetensors
same "1 and 3 threads" one/latest/model.safetensors three/latest/model.safetensors
same "the state of a run does not depend on threads or the clock" one/latest/state.safetensors two/latest/state.safetensors
run pipe <a.tok
same "pipe and file" one/latest/model.safetensors pipe/latest/model.safetensors
gzip -c a.tok >a.tok.gz
run gz a.tok.gz
same "compressed and plain" one/latest/model.safetensors gz/latest/model.safetensors
run shuffled --order shuffle a.tok
check "the shuffled order is another one" sh -c '! cmp -s one/latest/model.safetensors shuffled/latest/model.safetensors'
"$train" -q -o m1 $small --steps 4 --optim muon -j1 a.tok
"$train" -q -o m2 $small --steps 4 --optim muon -j2 a.tok
same "muon: 1 and 2 threads" m1/latest/model.safetensors m2/latest/model.safetensors
for p in bfd none; do
	run "$p.f" --packing $p --steps 8 a.tok
	cat a.tok | run "$p.p" --packing $p --steps 8
	same "--packing $p: pipe and file" $p.f/latest/model.safetensors $p.p/latest/model.safetensors
done

# --- accumulation: the loss and the gradient are those of the whole batch
run full --batch 8 a.tok
run pieces --batch 3 --batch-tokens 256 a.tok
paste -d ' ' full/log.jsonl pieces/log.jsonl >both
check "accumulated batches equal the full one" awk '{
	n = split($0, x, /"loss":|,"grad_norm":|,"lr"/); a = x[2] - x[5]; b = x[3] - x[6]
	if (a < 0) a = -a; if (b < 0) b = -b; if (a > 2e-5 || b > 2e-4) exit 1 }' both

# --- a full disk, at several places of a checkpoint
for blocks in 1 80 200 400; do
	rm -rf full.disk
	run full.disk --steps 6 --schedule constant a.tok
	cp full.disk/step-6/model.safetensors kept
	out=$( (trap '' XFSZ; ulimit -f $blocks; "$train" -q -o full.disk --steps 9 a.tok) 2>&1)
	rc=$?
	like "limit of $blocks blocks: a message (exit $rc)" "$rc $out" '^1 train: .*: cannot (write|sync|cut|rename): '
	same "limit of $blocks blocks: the last checkpoint is intact" full.disk/latest/model.safetensors kept
	is "limit of $blocks blocks: nothing half-written" "$(find full.disk -name '.*.tmp')" ""
done
check "with room again it goes on" "$train" -q -o full.disk --steps 9 a.tok
is "to the end" "$(readlink full.disk/latest)" step-9

done_testing
