#!/bin/sh
# The house itself: layers, manual pages, -h against SYNOPSIS and OPTIONS, completions, common behaviour of all commands.
. "${0%/*}/lib.sh"

check "includes go downwards, intrinsics stay in kern_*, names are unique" "$ROOT/scripts/check-includes"

# Option names of -h: "  -x, --name" and "      --name" lines.
help_options() {
	"$1" --help | sed -nE 's/^  (-., |    )--([a-z0-9-]+)( .*)?$/\2/p' | sort
}
# Option names of the manual's OPTIONS: .It lines with Fl -name.
man_options() {
	grep '^\.It ' "$1" | grep -oE 'Fl -[a-z0-9-]+' | sed 's/^Fl -//' | sort -u
}
# The SYNOPSIS as plain words, as mandoc renders it, without the name.
have_mandoc=$(command -v mandoc)

for p in "$ROOT"/cmd/*.c; do
	name=$(basename "$p" .c)
	bin=$BIN/$name
	man=$ROOT/man/$name.1
	check "$name has a manual page" test -f "$man"
	help=$("$bin" --help)
	is "$name: exit status of --help" $? 0
	like "$name: -h starts with its usage" "$help" "^usage: $name "
	like "$name: -V" "$("$bin" -V)" "^$name \(quern\) [0-9]"
	is "$name: options of -h and of the manual are the same" "$(help_options "$bin")" "$(man_options "$man")"
	fails 2 "$name: an unknown option is a usage error" "^$name: unknown option --no-such-thing" "$bin" --no-such-thing
	fails 2 "$name: a missing value is a usage error" "^$name: --seed wants a value" "$bin" --seed
	fails 2 "$name: a malformed count is a usage error" "^$name: --seed wants a count" "$bin" --seed banana
	if [ -n "$have_mandoc" ]; then
		# Word for word, line breaks aside.
		synopsis=$(mandoc -T ascii -O width=200 "$man" | sed 's/.\x08//g' | awk '/^SYNOPSIS/{p=1;next} /^[A-Z]/{p=0} p' |
			tr -s ' \n' ' ')
		usage=$("$bin" --help | awk '/^usage:|^       /{sub(/^usage:/, ""); print; next} {exit}' | tr -s ' \n' ' ')
		is "$name: -h shows the SYNOPSIS" "$usage" "$synopsis"
	else
		skip "$name: SYNOPSIS against -h" "mandoc is not installed"
	fi
done

if [ -n "$have_mandoc" ]; then
	for m in "$ROOT"/man/*.[1-9]; do
		is "mandoc -Tlint $(basename "$m")" "$(mandoc -Tlint "$m" 2>&1)" ""
	done
else
	skip "mandoc -Tlint" "mandoc is not installed"
fi

# What `make format` would change. Other versions of the formatter disagree in details.
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
	is "the layout is the formatter's" \
		"$(cd "$ROOT" && find cmd lib tests -name '*.[ch]' ! -name '*_vectors.h' -exec clang-format --dry-run {} + 2>&1 |
			sed -n 's/: warning: .*//p' | head -n 5)" ""
else
	skip "make format" "clang-format 14 is not installed"
fi

check "bash completion is made" sh -c "'$ROOT/scripts/completions' bash '$BIN'/* >comp.bash && bash -n comp.bash"
like "bash completion knows an option" "$(cat comp.bash)" 'tokenize\) words=.*--vocab'
check "zsh completion is made" sh -c "'$ROOT/scripts/completions' zsh '$BIN'/* >comp.zsh"
like "zsh completion knows an option" "$(cat comp.zsh)" "'--vocab'"
done_testing
