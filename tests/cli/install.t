#!/bin/sh
# make install: what lies where, and that it works from there; completions; the demo keeps its hands off other folders.
. "${0%/*}/lib.sh"

: "${B:=$ROOT/build}"
to=$PWD/root
install() {
	MAKEFLAGS='' make -s -C "$ROOT" install B="$B" BIN="$BIN" "$@"
}
check "make install" install DESTDIR="$to" PREFIX=/usr
names='convert dedup eval filter generate mixsample tokenize train'
is "plain names in libexec/quern" "$(ls "$to/usr/libexec/quern" | tr '\n' ' ')" "$names "
for c in $names; do
	is "quern-$c" "$("$to/usr/bin/quern-$c" -V)" "$("$BIN/$c" -V)"
	check "its page" test -s "$to/usr/share/man/man1/quern-$c.1"
	check "its completion" test -s "$to/usr/share/bash-completion/completions/quern-$c"
done
is "formats and pipelines" "$(cd "$to/usr/share/man" && ls man5 man7 | tr '\n' ' ')" \
	"man5: quern-checkpoint.5 quern-jsonl.5 quern-task.5 quern-tok.5  man7: quern.7 "
# Every page that a page points to is there.
for m in "$to"/usr/share/man/man*/*; do
	sed -nE 's/^\.Xr (quern[a-z-]*) ([1-9]).*/man\2\/\1.\2/p' "$m" | sort -u | while read -r x; do
		[ -f "$to/usr/share/man/$x" ] || echo "$(basename "$m"): $x"
	done
done >lost
is "pages point to pages that are there" "$(cat lost)" ""
is "nothing is left outside of the prefix" "$(ls "$to")" usr
# The library, from outside of the tree.
cat >uses.c <<'END'
#include "text/utf8.h"
#include "tensor/kern.h"
#include <stdio.h>
int main(void)
{
	printf("%s\n", kern_table[0]->name);
	return 0;
}
END
if nm "$B/libquern.a" 2>/dev/null | grep -q __asan; then
	skip "a program against the installed library" "it was built with sanitizers"
else
	check "a program is built against the installed library" ${CC:-cc} -fopenmp -I"$to/usr/include/quern" -o uses uses.c \
		-L"$to/usr/lib" -lquern -lpcre2-8 -lutf8proc -lxxhash -lz -lpthread -lm
	is "and runs" "$(./uses)" scalar
fi
check "again, over itself" install DESTDIR="$to" PREFIX=/usr
check "a prefix with a space" install DESTDIR= PREFIX="$PWD/my home"
is "works" "$("my home/bin/quern-dedup" -V)" "$("$BIN/dedup" -V)"

if command -v bash >/dev/null; then
	touch 'a file.jsonl'
	complete() { # WORD...: what the last one may become
		bash -c '. "$0/usr/share/bash-completion/completions/quern"
			COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
			_quern "$1"
			printf "%s\n" "${COMPREPLY[@]}"' "$to" "$@"
	}
	is "options complete" "$(complete quern-train --sched)" --schedule
	is "their words" "$(complete quern-train --optim mu)" muon
	is "files, also with a space" "$(complete quern-dedup 'a f')" 'a file.jsonl'
else
	skip "bash completion" "bash is not installed"
fi

mkdir mine && echo precious >mine/file
fails 1 "the demo does not take a folder that is somebody's" '^demo: .*/mine: is there already' \
	env DEMO_DIR="$PWD/mine" "$ROOT/scripts/demo"
is "and leaves it alone" "$(cat mine/file)" precious
done_testing
