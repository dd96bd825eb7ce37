#!/bin/sh
# What all commands have from the base library, shown by dedup: outputs that appear complete or not at all, full disks,
# closed pipes, signals, standard descriptors that are closed, gzip.
. "${0%/*}/lib.sh"
d=$BIN/dedup

awk 'BEGIN { for (i = 0; i < 20000; i++) printf "{\"id\": %d, \"text\": \"document number %d of many\"}\n", i, i }' >docs.jsonl
left() { find . -name '.*.tmp'; }

# --- full disks -------------------------------------------------------------------------------------------------------

fails 1 "a full disk under -o" '^dedup: /dev/full: cannot write: No space left on device$' "$d" -q -o /dev/full docs.jsonl
"$d" -q docs.jsonl >/dev/full 2>err
is "a full disk under stdout" "$? $(cat err)" '1 dedup: stdout: cannot write: No space left on device'
"$d" -h >/dev/full 2>err
is "and for --help" "$? $(cat err)" '1 dedup: stdout: cannot write: No space left on device'
# A limit on the size of files stands for a disk that fills in the middle.
printf old >out
(ulimit -f 200 && exec "$d" -q -o out docs.jsonl) 2>err
is "a disk that fills in the middle" "$? $(cat err)" '1 dedup: out: cannot write: File too large'
is "leaves the old file and nothing else" "$(cat out)$(left)" old
(ulimit -f 200 && exec "$d" -q --near --temp . -o out docs.jsonl) 2>err
like "a full disk under the temporary file" "$? $(cat err)" '^1 dedup: (\.: cannot write a temporary file|out: cannot write): File too large$'
fails 1 "a log in a folder that is not there" '^dedup: no/log: cannot open: No such file' "$d" -q -o out2 --log no/log docs.jsonl
check "is known before the work" test ! -e out2
fails 1 "a log that is a folder" '^dedup: \.: cannot open: Is a directory' "$d" -q --log . docs.jsonl
fails 1 "a log that cannot be written" '^dedup: /dev/full: cannot write: No space left on device$' "$d" -q --log /dev/full docs.jsonl

# --- closed pipes and descriptors -------------------------------------------------------------------------------------

out=$({ "$d" -q docs.jsonl 2>err; echo $? >rc; } | head -n 1)
is "a closed pipe ends it quietly" "$(cat rc)$(cat err) $out" "141 $(head -n 1 docs.jsonl)"
"$d" -q --near docs.jsonl >&- 2>err
is "a closed stdout fails, and does not become another file" "$? $(cat err)" \
	'1 dedup: stdout: cannot write: Bad file descriptor'
"$d" -q <&- 2>err
is "a closed stdin fails" "$? $(cat err)" '1 dedup: stdin: cannot read: Bad file descriptor'
"$d" -q docs.jsonl >got 2>&-
same "a closed stderr does not matter" got docs.jsonl

# --- signals ----------------------------------------------------------------------------------------------------------

# A run that waits for more input, its output begun, gets a signal; then its input ends.
signalled() { # SIGNAL IGNORED
	rm -f out fifo
	mkfifo fifo
	(
		[ -z "$2" ] || trap '' "$2"
		exec "$d" -q -o out fifo 2>err
	) &
	exec 3>fifo
	cat docs.jsonl >&3
	n=0
	while [ -z "$(left)" ] && [ $n -lt 100 ]; do
		sleep 0.05
		n=$((n + 1))
	done
	kill -"$1" $!
	[ -n "$2" ] || sleep 0.2
	exec 3>&-
	wait $!
	rc=$?
}
for s in TERM:143 HUP:129 XCPU:152; do
	signalled ${s%:*} ''
	is "SIG${s%:*}: exit status, no output, nothing left" "$rc $(ls out 2>/dev/null)$(left)$(cat err)" "${s#*:} "
done
# A shell has its background jobs ignore these two.
for s in INT:130 QUIT:131; do
	{ cat docs.jsonl; sleep 1; } | timeout --preserve-status -s "${s%:*}" 0.5 "$d" -q -o out 2>err
	is "SIG${s%:*}: the same" "$? $(ls out 2>/dev/null)$(left)$(cat err)" "${s#*:} "
done
signalled HUP HUP
is "a signal that was ignored stays ignored" "$rc" 0
same "and the work is done" out docs.jsonl

# --- outputs ----------------------------------------------------------------------------------------------------------

mkdir sub
"$d" -q -o sub/out.jsonl docs.jsonl
is "an output in a folder, alone" "$(ls -A sub)" out.jsonl
umask 027
"$d" -q -o new docs.jsonl
is "has the mode that umask gives" "$(ls -l new | cut -c 1-10)" -rw-r-----
"$d" -q -o docs2.jsonl docs.jsonl && "$d" -q -o docs2.jsonl docs2.jsonl
same "an output may be the input" docs2.jsonl docs.jsonl
"$d" -q -o a.gz docs.jsonl && sleep 1 && "$d" -q -o b.gz docs.jsonl
same "compressed output has no time in it" a.gz b.gz
"$d" -q -o /dev/stdout docs.jsonl >got
same "-o /dev/stdout is stdout, also where that is a file" got docs.jsonl
{ echo first; "$d" -q -o /dev/fd/3 docs.jsonl 3>&1; } >got
is "and /dev/fd/3 descriptor 3" "$(head -n 1 got) $(wc -l <got)" "first 20001"
ln -s target.jsonl link.jsonl && echo old >target.jsonl && "$d" -q -o link.jsonl docs.jsonl
same "a link is followed" target.jsonl docs.jsonl
check "and stays a link" test -h link.jsonl
fails 1 "two outputs of one name" '^filter: same: is an output of this command already$' \
	"$BIN/filter" -q --rule 'chars > 3' -o same --rejects same docs.jsonl
fails 2 "an output without a name" '^dedup: -o wants a name' "$d" -q -o '' docs.jsonl
cat a.gz b.gz >two.jsonl.gz
"$d" -q two.jsonl.gz >got
same "several gzip members are one input" got docs.jsonl
"$d" -q --format jsonl a.gz /dev/null - <docs.jsonl >got
same "- is stdin among files" got docs.jsonl
fails 1 "stdin is read once" '^dedup: stdin: can be read only once$' "$d" -q -o out2 - docs.jsonl -
is "an empty input gives an empty output" "$("$d" -q </dev/null)" ""
done_testing
