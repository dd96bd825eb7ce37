#!/bin/sh
# mixsample: shares, passes, prefixes, documents and token streams, pipes and files, refusals.
. "${0%/*}/lib.sh"
mix=$BIN/mixsample
tok=$BIN/tokenize

docs() { # NAME COUNT
	awk -v s="$1" -v n="$2" 'BEGIN { for (i = 0; i < n; i++) printf "{\"id\": \"%s%d\",\t\"text\": \"t%d\", \"x\":[1,  2]}\n", s, i, i }'
}
docs a 60 >a.jsonl
docs b 25 >b.jsonl
docs c 7 >c.jsonl
gzip -c b.jsonl >b.gz.jsonl.gz

# --- documents

check "without options everything comes once" sh -c "'$mix' a=a.jsonl b=b.jsonl -o all.jsonl"
same "each document, its bytes untouched" "$(sort all.jsonl >s1 && echo s1)" "$(cat a.jsonl b.jsonl | sort >s2 && echo s2)"
check "the order is another one" sh -c '! cmp -s all.jsonl s2'
"$mix" -q -w a=0.5,b=0.5 -n 60 a=a.jsonl b=b.jsonl >m1.jsonl
is "half of 60 documents are a" "$(grep -c '"a' m1.jsonl)" 30
is "25 of b's 30 are its first pass" "$(grep '"b' m1.jsonl | head -n 25 | sort -u | wc -l | tr -d ' ')" 25
is "every prefix has its share" "$(head -n 20 m1.jsonl | grep -c '"a')" 10
"$mix" -q -w a=0.5,b=0.5 -n 60 -j 1 a=a.jsonl b=b.gz.jsonl.gz >m2.jsonl
same "gzip and one thread: same bytes" m1.jsonl m2.jsonl
"$mix" -q -w a=0.5,b=0.5 -n 60 -j 3 a=a.jsonl b=- <b.jsonl >m2.jsonl
same "standard input: same bytes" m1.jsonl m2.jsonl
mkfifo pipe
cat b.jsonl >pipe &
"$mix" -q -w a=0.5,b=0.5 -n 60 a=a.jsonl b=pipe >m2.jsonl
same "a named pipe: same bytes" m1.jsonl m2.jsonl
"$mix" -q -w b=0.5 -w a=0.5 -n 60 a=a.jsonl b=b.jsonl >m2.jsonl
same "weights in another order: same bytes" m1.jsonl m2.jsonl
"$mix" -q -w a=0.5,b=0.5 -n 60 --seed 1 a=a.jsonl b=b.jsonl >m2.jsonl
check "another seed: other bytes" sh -c '! cmp -s m1.jsonl m2.jsonl'
head -n 30 a.jsonl >a1.jsonl
tail -n 30 a.jsonl >a2.jsonl
"$mix" -q -w a=0.5,b=0.5 -n 60 a=a1.jsonl b=b.jsonl a=a2.jsonl >m2.jsonl
same "files of one name are one source" m1.jsonl m2.jsonl
"$mix" -q -w a=0.5,b=0.5 -n 13 a=a.jsonl b=b.jsonl >p1
"$mix" -q -w a=0.5,b=0.5 --skip 13 -n 47 a=a.jsonl b=b.jsonl >p2
cat p1 p2 >p
same "--skip goes on where -n ended" p m1.jsonl
"$mix" -q -w a=9,b=0 -n 60 a=a.jsonl b=/no/such/file >m2.jsonl
is "a weight of 0 leaves a source out" "$(sort -u m2.jsonl | wc -l | tr -d ' ')" 60

table=$("$mix" -w a=0.5,c=0.5 -n 1000 --max-repeat 3 --log log.jsonl a=a.jsonl c=c.jsonl 2>&1 >m3.jsonl)
is "--max-repeat: c three times" "$(grep -c '"c' m3.jsonl)" 21
is "and a as often: the shares hold" "$(grep -c '"a' m3.jsonl)" 22
like "the table says so" "$table" '^mixsample: c was used 3 times, as --max-repeat allows: 43 of 1000 documents'
like "the table compares" "$table" '^mixsample: c +0\.5000 +0\.4884 +500 +21 +3\.00$'
like "so does the log" "$(cat log.jsonl)" '"limited_by":"c".*"source":"c","share_asked":0.5,.*"passes":3}'
is "each document of c three times" "$(grep '"c' m3.jsonl | sort | uniq -c | awk '{print $1}' | sort -u)" 3
"$mix" -q --temperature 1000000 -n 60 a=a.jsonl c=c.jsonl >m4.jsonl
is "a high temperature levels the shares" "$(grep -c '"c' m4.jsonl)" 30
"$mix" -q --temperature 1e-9 -n 60 a=a.jsonl c=c.jsonl >m4.jsonl
is "a low one leaves the largest" "$(grep -c '"c' m4.jsonl)" 0
printf 'one\ntwo\n' >n1.txt
printf 'thr\303\251e' >n2.txt
is "plain text files are documents" "$("$mix" -q t=n1.txt t=n2.txt | sort)" '{"text": "one\ntwo\n"}
{"text": "thrée"}'
is "lines are documents" "$("$mix" -q --format lines t=n1.txt | sort)" 'one
two'
printf '{"text":"x"}\nbroken\n{"text":"y"}\n' >bad.jsonl
fails 1 "a bad record ends the run" "^mixsample: bad.jsonl:2: " "$mix" -o out.jsonl t=bad.jsonl
check "and leaves no output" test ! -e out.jsonl
is "--skip-bad leaves it out" "$("$mix" -q --skip-bad t=bad.jsonl | wc -l | tr -d ' ')" 2
like "and counts it" "$("$mix" --skip-bad t=bad.jsonl 2>&1)" '1 unreadable records skipped'
check "--skip past the end gives nothing, and says so" sh -c "'$mix' --skip 1000 a=a.jsonl 2>err >nothing && test ! -s nothing && grep -q 'leaves nothing' err"

# --- refusals

: >empty.jsonl
fails 2 "no sources" "^mixsample: no sources" "$mix"
fails 2 "an operand without a name" "^mixsample: a.jsonl: a source is given as NAME=FILE" "$mix" a.jsonl
fails 2 "a weight for nobody" "^mixsample: --weights: there is no source z" "$mix" -w a=1,z=1 a=a.jsonl
fails 2 "a source without weight" "^mixsample: --weights names no weight for b" "$mix" -w a=1 a=a.jsonl b=b.jsonl
fails 2 "a negative weight" "^mixsample: --weights wants" "$mix" -w a=-1 a=a.jsonl
fails 2 "a weight that is no number" "^mixsample: --weights wants" "$mix" -w a=much a=a.jsonl
fails 2 "a weight twice" "^mixsample: --weights: a is given twice" "$mix" -w a=1,a=2 a=a.jsonl
fails 2 "no weight at all" "^mixsample: --weights: all are 0" "$mix" -w a=0 a=a.jsonl
fails 2 "stdin twice" "^mixsample: standard input can be read once" "$mix" a=- b=-
fails 2 "temperature 0" "^mixsample: --temperature" "$mix" --temperature 0 a=a.jsonl
fails 2 "no repeats" "^mixsample: --max-repeat" "$mix" --max-repeat 0 a=a.jsonl
fails 1 "an empty source" "^mixsample: e: this source has no documents" "$mix" -o out a=a.jsonl e=empty.jsonl
fails 1 "a missing file" "^mixsample: gone.jsonl: cannot open" "$mix" -o out a=gone.jsonl
check "no output after a refusal" test ! -e out
if [ -c /dev/full ]; then
	fails 1 "a full disk" "^mixsample: /dev/full: cannot write: No space left" "$mix" -q -n 100k -o /dev/full a=a.jsonl
else
	skip "a full disk" "no /dev/full"
fi
is "a closed pipe ends quietly" "$({ "$mix" -q -n 1M a=a.jsonl; echo $? >status; } 2>&1 | head -n 1 | wc -l | tr -d ' ')$(cat status)" 1141

# --- token streams

ids() { # FIRST COUNT LENGTH: documents of ids
	awk -v a="$1" -v n="$2" -v m="$3" 'BEGIN { for (i = 0; i < n; i++) { printf "["; for (k = 0; k < (i * 7) % m; k++) printf "%s%d", k ? "," : "", (a + i) % 1000; print "]" } }'
}
ids 0 200 90 | "$tok" -q --from-ids --vocab 1000 -o a.tok
ids 500 50 40 | "$tok" -q --from-ids --vocab 1000 -o b.tok
gzip -c b.tok >b.tok.gz
table=$("$mix" -w a=1,b=1 -n 20k a=a.tok b=b.tok 2>&1 >m1.tok)
like "half of 20k tokens are a, to a document" "$table" '^mixsample: a +0\.5000 +0\.(49|50)[0-9]+ +10000 +(99|100)[0-9][0-9] '
"$mix" -q -w a=1,b=1 -n 20k -j 1 a=a.tok b=b.tok.gz >m2.tok
same "gzip: same bytes" m1.tok m2.tok
"$mix" -q -w a=1,b=1 -n 20k a=- b=b.tok <a.tok >m2.tok
same "standard input: same bytes" m1.tok m2.tok
"$mix" -q a=a.tok b=b.tok >all.tok
"$mix" -q -w a=1,b=1 -n 5k a=a.tok b=b.tok >p1
"$mix" -q -w a=1,b=1 --skip 5k -n 15k a=a.tok b=b.tok >p2
cat p1 p2 >p
if command -v python3 >/dev/null; then
	ids_of() { python3 "$ROOT/tests/ref/read_tok.py" "$1" | sed 's/, "source".*//'; }
	sources_of() { python3 "$ROOT/tests/ref/read_tok.py" "$1" | sed 's/.*"source": "\([^"]*\)".*/\1/' | sort | uniq -c | tr -s ' \n' ' '; }
	cat a.tok b.tok >joined.tok
	is "everything once" "$(ids_of all.tok | sort | cksum)" "$(ids_of joined.tok | sort | cksum)"
	is "--skip goes on where -n ended" "$(ids_of p | cksum)" "$(ids_of m1.tok | cksum)"
	is "documents carry the source's name" "$(sources_of all.tok)" " 200 a 50 b "
	"$mix" -q --keep-source x=all.tok y=a.tok >kept.tok
	is "--keep-source leaves them theirs" "$(sources_of kept.tok)" " 200 a 50 b 200 y "
	"$mix" -q x=all.tok x=joined.tok | cat >two.tok
	is "files and streams of one name are one source" "$(sources_of two.tok)" " 500 x "
else
	skip "documents of token streams" "no python3"
fi
ids 0 9 9 | "$tok" -q --from-ids --vocab 1001 -o other.tok
fails 1 "streams of two tokenizers" "^mixsample: other.tok: made with another tokenizer" "$mix" -o out a=a.tok b=other.tok
fails 1 "and inside one source" "^mixsample: other.tok: made with another tokenizer" "$mix" -o out a=a.tok a=other.tok
fails 1 "streams and documents" "^mixsample: a.jsonl: token streams and documents cannot be mixed" "$mix" -o out a=a.tok b=a.jsonl
head -c 3000 a.tok >cut.tok
fails 1 "a stream that is cut short" "^mixsample: cut.tok: byte 3000: token stream is cut short" "$mix" -o out a=cut.tok
head -c 5 a.tok >cut5.tok
fails 1 "also in its first bytes" "^mixsample: cut5.tok: byte 5: token stream is cut short" "$mix" -o out a=cut5.tok
check "and one in a pipe" sh -c "! '$mix' -o out a=- <cut.tok 2>err && grep -q 'stdin: byte 3000: token stream is cut short' err"
check "no output after a refusal" test ! -e out
done_testing
