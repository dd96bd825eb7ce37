#!/bin/sh
# filter: rule sets, conditions, marks, rejects, the classifier, and what it refuses.
. "${0%/*}/lib.sh"

f=$BIN/filter
long='The cat and the dog sat with the old man that day, and they have to be fed.'
{
	printf '{"id": 1, "text": "%s %s %s %s", "lang": "en",  "n": 5}\n' "$long" "$long $long" "Some more of it," "And more."
	printf '{"id": 2, "text": "short"}\n'
	printf '{"id": 3, "text": "# # # # a # b", "n": 2, "lang": null, "drop_reason": "old"}\n'
	printf '{"id": 4, "text": "One line of words here.\\nno mark\\nTwo lines of words here.\\nIt is three now.\\nAnd now four lines.\\nFive it is now.", "n": 9}\n'
} >in.jsonl
ids() { sed 's/^{"id": \([0-9]*\).*/\1/' | tr '\n' ' '; }

is 'a condition keeps' "$("$f" -q --rule 'n >= 5' in.jsonl | ids)" '1 4 '
is 'a null field is not true' "$("$f" -q --rule '!(lang == "en")' in.jsonl | ids)" '2 3 4 '
is 'statistics' "$("$f" -q --rule 'words == 1 && chars == 5' in.jsonl | ids)" '2 '
is 'what is kept keeps its bytes' "$("$f" -q --rule 'has(n)' --rule 'n == 5' in.jsonl)" "$(head -n 1 in.jsonl)"
is 'every condition must hold' "$("$f" -q --rule 'n > 1' --rule 'n < 9' --rule 'n != 2' in.jsonl | ids)" '1 '
is 'C4 rewrites' "$("$f" -q --rules c4 in.jsonl)" \
	'{"id": 4, "text": "One line of words here.\nTwo lines of words here.\nIt is three now.\nAnd now four lines.\nFive it is now.", "n": 9}'
is 'a step behind C4 sees what it left' "$("$f" -q --rules c4 --rule 'lines == 5' in.jsonl | ids)" '4 '
is 'a step before does not' "$("$f" -q --rule 'lines == 6' --rules c4 in.jsonl | ids)" '4 '
is 'limits' "$("$f" -q --rules c4 --limit c4/sentences=4 --limit c4/line_end_mark=off --limit c4/line_min_words=off in.jsonl |
	ids)" '1 4 '
printf '{"text": "Lorem ipsum in JavaScript.\\nA policy with { of privacy.\\nUse cookies { they said."}\n' >c4.jsonl
is 'without its own rule a line still meets the others' "$("$f" -q --rules c4 --limit c4/sentences=off --limit c4/lorem_ipsum=off \
	--limit c4/curly_bracket=off c4.jsonl)" '{"text": "A policy with { of privacy."}'
is 'words of white space' "$("$f" -q --words space --rule 'words == 7' in.jsonl | ids)" '3 '
is 'lines and text as formats' "$(printf 'a b\nc\n' | "$f" -q --format lines --rule 'words == 1')" c

"$f" --rules gopher-quality --rule 'n > 7' -j1 in.jsonl 2>err >out
like 'counts' "$(cat err)" '4 documents, 0 kept, 4 dropped'
like 'by reason' "$(cat err)" '3 +75\.0 % +gopher-quality/short_doc$'
like 'conditions too' "$(cat err)" '1 +25\.0 % +n > 7$'
"$f" --rule 'nn > 7' in.jsonl 2>err >out
like 'a field that is nowhere is told' "$(cat err)" "no document has the field 'nn'"

"$f" -q --annotate --rules gopher-quality --rule 'n == 5' in.jsonl >out
is '--annotate drops nothing' "$(ids <out)" '1 2 3 4 '
like '--annotate adds statistics' "$(sed -n 1p out)" '"n": 5, *"plain_words": *[0-9]+'
like '--annotate says why' "$(sed -n 2p out)" '"drop_reason": *"gopher-quality/short_doc", *"drop_value": *1}'
is 'a stale reason goes' "$("$f" -q --annotate --rule 'n == 2' in.jsonl | grep -c '"old"')" 0
is 'nothing is rewritten' "$("$f" -q --annotate --rules c4 in.jsonl | grep -c 'no mark')" 1
like 'all statistics without rules' "$("$f" -q --annotate in.jsonl | head -n 1)" '"dup_10_gram".*"c4_curly_bracket"'
like '--prefix' "$("$f" -q --annotate --prefix x_ --rule 'words > 1' in.jsonl | sed -n 2p)" '"x_words": *1, *"x_drop_reason"'
"$f" -q --rule 'n == 5' --rejects no.jsonl in.jsonl >yes.jsonl
is '--rejects' "$(ids <yes.jsonl)/$(ids <no.jsonl)" '1 /2 3 4 '
like 'rejects say why' "$(head -n 1 no.jsonl)" '"drop_reason": *"n == 5"'

awk 'BEGIN { for (i = 0; i < 3000; i++) { k = i % 2 ? "alpha" : "omega"
	printf "{\"text\":\"%s word%d beta%d %s gamma and the rest of it.\",\"label\":\"%s\"}\n", k, i % 7, i % 11, k, k } }' >many.jsonl
"$f" -q -j1 -t --label label -o c1.qlc many.jsonl
"$f" -q -t --label label --log log.jsonl -o c2.qlc many.jsonl
like 'a log of learning' "$(cat log.jsonl)" '^\{"documents":3000,"bad":0,"bytes":[0-9]+,"labels":2,"features":[0-9]+,"rows":[0-9]+,"loss":[0-9.e-]+,"accuracy":[0-9.]+,"seconds":'
"$f" -q -j3 -t --label label <many.jsonl >c2.qlc
same 'threads and pipes learn the same bytes' c1.qlc c2.qlc
is 'it learns' "$("$f" -q -m c1.qlc --keep 'label == .label && score > 0.9 && score_alpha + score("omega") > 0.99' many.jsonl |
	wc -l | tr -d ' ')" 3000
"$f" -q -j1 -m c1.qlc --annotate --rules gopher,c4,fineweb --rule 'score_omega > 0.5' many.jsonl >o1
"$f" -q -j2 -m c1.qlc --annotate --rules gopher,c4,fineweb --rule 'score_omega > 0.5' <many.jsonl >o2
same 'threads and pipes mark the same bytes' o1 o2
like 'marks have scores' "$(head -n 1 o1)" '"label":"omega",.*"score":[.0-9]*,.*"score_alpha":'
"$f" -q -j1 --rule 'contains(text, "word3")' -o k1.jsonl many.jsonl
gzip -c many.jsonl | "$f" -q -j2 --rule 'contains(text, "word3")' -o k2.jsonl.gz
gzip -dc k2.jsonl.gz >k2.jsonl
same 'compressed or not' k1.jsonl k2.jsonl

fails 2 'nothing to do' 'filter: nothing to do' "$f" in.jsonl
fails 2 'no such set' "filter: --rules: no rule set 'gophr' \\(there are gopher-quality" "$f" --rules c4,gophr in.jsonl
fails 2 'no such rule' "filter: --limit: no rule 'c4/x'" "$f" --rules c4 --limit c4/x=3 in.jsonl
fails 2 'a wrong condition' "filter: --rule: expected a value before the end" "$f" --rule 'words >' in.jsonl
"$f" --rule 'words > "a"' in.jsonl 2>err
is 'with a caret' "$(sed -n '2,3p' err)" '  words > "a"
        ^'
fails 2 'a condition of --keep' "filter: --keep: no function 'f'" "$f" --keep 'f(1)' in.jsonl
fails 2 'no label' 'filter: -t needs --label' "$f" -t in.jsonl
fails 2 'training has no rules' '^filter: --rules does not go with -t$' "$f" -t --label l --rules c4 in.jsonl
fails 2 'filtering learns nothing' '^filter: --epochs does not go with filtering$' "$f" --rules c4 --epochs 3 in.jsonl
fails 2 'odd n-grams' 'filter: --ngram wants 1 to 8' "$f" -t --label l --ngram 9 -o x.qlc in.jsonl
fails 1 'no such file' 'filter: nofile.jsonl: cannot open' "$f" --rule 'true' -o out.jsonl nofile.jsonl
fails 1 'no such classifier' 'filter: no.qlc: cannot open' "$f" -m no.qlc --keep 'score > .5' in.jsonl
fails 1 'no classifier' 'filter: in.jsonl: byte 0: not a classifier' "$f" -m in.jsonl --keep 'score > .5' in.jsonl
head -c 1000 c1.qlc >cut.qlc
fails 1 'a classifier cut short' 'filter: cut.qlc: byte [0-9]+: damaged or cut short' "$f" -m cut.qlc --keep 'score > .5' in.jsonl
fails 2 'a label that it has not' "filter: --keep: the classifier has no label 'x' \\(it has alpha, omega\\)" \
	"$f" -m c1.qlc --keep 'score_x > .5' in.jsonl
fails 1 'a document without label' "filter: in.jsonl:2: no field 'lang'" "$f" -t --label lang -o x.qlc in.jsonl
fails 1 'one label alone' 'filter: all documents have one label' "$f" -t --label lang --skip-bad -q -o x.qlc in.jsonl
printf '{"text": "fine"}\nnot json\n{"text": "fine too"}\n' >bad.jsonl
fails 1 'a bad record' 'filter: bad.jsonl:2: ' "$f" --rule 'true' -o out.jsonl bad.jsonl
is 'no output is left' "$(ls out.jsonl 2>/dev/null)" ''
is '--skip-bad goes on' "$("$f" -q --skip-bad --rule true bad.jsonl | wc -l | tr -d ' ')" 2
"$f" --skip-bad --rule true bad.jsonl 2>err >out
like 'and counts' "$(cat err)" '3 documents, 2 kept, 0 dropped, 1 unreadable skipped'
if [ -w /dev/full ]; then
	fails 1 'a full disk' 'filter: .*cannot write' "$f" -q --rule true -o /dev/full many.jsonl
	cat many.jsonl many.jsonl many.jsonl many.jsonl many.jsonl many.jsonl >more.jsonl
	fails 1 'a full disk with rejects' 'filter: .*cannot write' \
		"$f" -q --rule 'contains(text, "alpha")' --rejects lost.jsonl -o /dev/full more.jsonl
	is 'leaves neither' "$(ls lost.jsonl 2>/dev/null)" ''
else
	skip 'a full disk' 'no /dev/full'
fi
done_testing
