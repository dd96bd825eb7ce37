#!/bin/sh
# dedup: what is kept and what is marked, the same bytes however the input comes, bad input, full disks, closed pipes.
. "${0%/*}/lib.sh"
d=$BIN/dedup

cat >small.jsonl <<'EOF'
{"id":"a","text":"one two three four five six seven eight nine ten eleven twelve"}
{"text": "caf\u00e9",   "id" : 7, "z":[1, 2]}
{"id":"b","text":"one two three four five six seven eight nine ten eleven twelve","x":1}

{"id":"c","text":"One, two three four -- five six seven eight nine ten eleven twelve!"}
{"text":"café"}
{"id":"d","text":"one two three four five six seven eight nine ten eleven thirteen"}
{"id":"e","text":"..."}
{"id":"f","text":"!!"}
{"id":"g","text":"..."}
{"id":"h","text":"Two words"}
{"id":"i","text":"two words."}
EOF
is "exact copies go, the first of each stays, bytes untouched" "$("$d" -q small.jsonl)" "$(sed '3d;4d;6d;10d' small.jsonl)"
is "near copies go too" "$("$d" -q --near small.jsonl)" "$(sed -n '1p;2p;8p;9p;11p' small.jsonl)"
is "documents without words are only compared exactly" "$("$d" -q --near small.jsonl | grep -c '"[.!]*"}')" 2
is "annotate: exact" "$("$d" -q --annotate small.jsonl | grep dup_)" \
	'{"id":"b","text":"one two three four five six seven eight nine ten eleven twelve","x":1,"dup_of":"a","dup_kind":"exact","dup_sim":1}
{"text":"café","dup_of":7,"dup_kind":"exact","dup_sim":1}
{"id":"g","text":"...","dup_of":"e","dup_kind":"exact","dup_sim":1}'
is "annotate: near, with the similarity" "$("$d" -q --near --annotate small.jsonl | grep near)" \
	'{"id":"c","text":"One, two three four -- five six seven eight nine ten eleven twelve!","dup_of":"a","dup_kind":"near","dup_sim":1}
{"id":"d","text":"one two three four five six seven eight nine ten eleven thirteen","dup_of":"a","dup_kind":"near","dup_sim":0.7778}
{"id":"i","text":"two words.","dup_of":"h","dup_kind":"near","dup_sim":1}'
is "a higher threshold keeps more" "$("$d" -q --near -t 0.8 small.jsonl | grep -c thirteen)" 1
"$d" -q --near --annotate small.jsonl >once.jsonl
"$d" -q --near --annotate once.jsonl >twice.jsonl
same "annotating again changes nothing" once.jsonl twice.jsonl
"$d" -q --near -t 1 --annotate once.jsonl | grep thirteen >fresh
is "old marks are removed" "$(cat fresh)" "$(grep thirteen small.jsonl)"
is "record numbers where there is no id" \
	"$(printf '{"text":"x"}\n{"text":"y"}\n{"text":"y"}\n' | "$d" -q --annotate | tail -n 1)" \
	'{"text":"y","dup_of":1,"dup_kind":"exact","dup_sim":1}'
is "another field" "$(printf '{"c":"x"}\n{"c":"x"}\n' | "$d" -q --field c)" '{"c":"x"}'
is "lines" "$(printf 'b\na\nb\r\n\n\na' | "$d" -q --format lines)" "$(printf 'b\na\n\n')"
is "lines that are marked become records, all of them" "$(printf 'a\n\na\n' | "$d" -q --annotate --format lines)" \
	'{"text": "a"}
{"text": ""}
{"text": "a", "dup_of": 0, "dup_kind": "exact", "dup_sim": 1}'
printf 'some text\n' >a.txt
cp a.txt b.txt
is "plain text files" "$("$d" -q a.txt b.txt)" '{"text": "some text\n"}'
like "the summary" "$("$d" --near small.jsonl 2>&1 >/dev/null)" \
	'^dedup: 11 documents, 5 kept, 3 exact and 3 near duplicates dropped; '
check "a log" "$d" -q --log log.jsonl -o /dev/null small.jsonl
like "has the counts" "$(cat log.jsonl)" '^\{"documents":11,"exact":3,"near":0,"bad":0,'

# --- the same bytes ---------------------------------------------------------------------------------------------------

# Documents of random words, every third one a changed copy of an earlier one.
awk 'BEGIN {
	srand(1)
	for (i = 0; i < 3000; i++) {
		if (i % 3 == 2) {
			n = split(doc[int(rand() * i)], w, " ")
			for (k = 0; k < i % 7; k++) w[1 + int(rand() * n)] = "new" i
		} else {
			n = 20 + int(rand() * 300)
			for (k = 1; k <= n; k++) w[k] = "w" int(rand() * 3000)
		}
		t = ""
		for (k = 1; k <= n; k++) t = t w[k] " "
		doc[i] = t
		printf "{\"id\": %d, \"text\": \"%s\"}\n", i, t
	}
}' >docs.jsonl
"$d" -q --near -j 1 docs.jsonl >want
lines=$(wc -l <want)
[ "$lines" -gt 1900 ] && [ "$lines" -lt 2300 ]
t_result $? "near duplicates of generated documents" "$lines lines"
for j in 2 3 8; do
	"$d" -q --near -j $j docs.jsonl >got
	same "the same with $j threads" got want
done
cat docs.jsonl | "$d" -q --near >got
same "from a pipe" got want
"$d" -q --near /dev/stdin <docs.jsonl >got
same "from a file that is /dev/stdin" got want
gzip -c docs.jsonl >docs.gz
"$d" -q --near --format jsonl docs.gz >got
same "from gzip" got want
"$d" -q --near <docs.gz >got
same "from gzip on stdin" got want
"$d" -q --near -o got.gz docs.jsonl
gzip -dc got.gz >got
same "to gzip" got want
split -l 700 docs.jsonl part.
for p in part.*; do mv "$p" "$p.jsonl"; done
"$d" -q --near part.*.jsonl >got
same "in several files" got want
"$d" -q --near -o got docs.jsonl
same "to a file" got want
sed 's/$/\r/' docs.jsonl | "$d" -q --near | tr -d '\r' >got
same "with carriage returns" got want
{ printf '\357\273\277'; cat docs.jsonl; } | "$d" -q --near >got
same "behind a byte order mark" got want
"$d" -q --near --annotate docs.jsonl >marked
grep -v dup_of marked >got
same "annotate keeps what would be kept" got want
sed 's/, "dup_of".*}/}/' marked >got
same "and adds nothing else" got docs.jsonl
"$d" -q --near --bands 300 docs.jsonl >all
"$d" -q --near --bands 300 --seed 7 docs.jsonl >got
same "another seed finds the same, where all is found" got all
"$d" -q --near --bands 300 --format jsonl all >got
same "and nothing is left to drop" got all
for p in fineweb olmo3; do
	n=$("$d" -q --preset $p docs.jsonl | wc -l)
	[ "$n" -ge "$lines" ] && [ "$n" -lt 2700 ]
	t_result $? "preset $p" "$n lines"
done

# --- failures ---------------------------------------------------------------------------------------------------------

printf '{"text":"a"}\n{"text":1}\n{"text":"b"}\nnot json\n{"text":"a"}\n' >bad.jsonl
fails 1 "a bad record" '^dedup: bad\.jsonl:2: field "text" is not a string$' "$d" -o out bad.jsonl
check "leaves no output" test ! -e out
is "or is skipped when asked" "$("$d" -q --skip-bad bad.jsonl)" "$(sed -n '1p;3p' bad.jsonl)"
like "and counted" "$("$d" --skip-bad bad.jsonl 2>&1 >/dev/null)" ' 1 exact and 0 near duplicates dropped, 2 unreadable skipped; '
like "and named" "$("$d" -v --skip-bad bad.jsonl 2>&1 >/dev/null)" '^dedup: bad\.jsonl:4: byte 0: not an object'
printf '{"text":"a"}\n{"text":"\377"}\n' >utf8.jsonl
fails 1 "bad UTF-8" '^dedup: utf8\.jsonl:2: byte 9: string is not valid UTF-8$' "$d" utf8.jsonl
fails 1 "a missing file" '^dedup: nope: cannot open: ' "$d" docs.jsonl nope
fails 1 "a directory" '^dedup: \.: is a directory' "$d" .
head -c 5000 docs.gz >cut.gz
fails 1 "a cut gzip file" '^dedup: cut\.gz: byte 5000: gzip data ends early$' "$d" --format jsonl -o out cut.gz
check "leaves no output either" test ! -e out
fails 1 "no folder for temporary files" '^dedup: /no/such: cannot create a temporary file: ' "$d" --near --temp /no/such docs.jsonl
fails 1 "an output that cannot be made" '^dedup: no/such/out: cannot create: ' "$d" -o no/such/out docs.jsonl
fails 2 "options of --near alone" '^dedup: --threshold goes with --near$' "$d" --threshold 0.5
fails 2 "a threshold above 1" '^dedup: --threshold wants' "$d" --near --threshold 1.5
fails 2 "no threshold" '^dedup: --threshold wants' "$d" --near --threshold nan
fails 2 "no bands" '^dedup: --bands wants' "$d" --near --bands 0
fails 2 "too long an n-gram" '^dedup: --ngram wants' "$d" --near --ngram 100
fails 2 "the longest one" '^dedup: --ngram wants a count' "$d" --near --ngram 18446744073709551615
fails 2 "no such preset" '^dedup: --preset is one of fineweb\|olmo3' "$d" --preset c4
done_testing
