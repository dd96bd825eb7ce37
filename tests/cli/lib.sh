# Helpers of the command-line tests (TAP). A test is a POSIX shell script that starts with
#	. "${0%/*}/lib.sh"
# and ends with done_testing. It runs in a fresh folder of its own that is removed afterwards.
#
#	$BIN     folder of the programs          $ROOT    the project
#	$SHARED  measuring data, or empty        $PWD     the fresh folder

LC_ALL=C
export LC_ALL
# A command that ends with a message frees nothing: under the sanitizers, leaks are for the unit tests.
ASAN_OPTIONS=detect_leaks=0
export ASAN_OPTIONS
ROOT=$(cd "${0%/*}/../.." && pwd)
: "${BIN:=$ROOT/bin}"
BIN=$(cd "$BIN" && pwd) || exit 1
SHARED=$(cd "$ROOT/../shared" 2>/dev/null && pwd) || SHARED=
T_DIR=$(mktemp -d "${TMPDIR:-/tmp}/quern.XXXXXX") || exit 1
trap 'cd /; rm -rf "$T_DIR"' EXIT
trap 'exit 1' INT TERM
cd "$T_DIR" || exit 1
t_count=0
t_bad=0

t_result() { # STATUS DESCRIPTION [DETAIL]
	t_count=$((t_count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $t_count - $2"
	else
		t_bad=$((t_bad + 1))
		echo "not ok $t_count - $2"
		[ -z "${3-}" ] || printf '%s\n' "$3" | sed 's/^/# /'
	fi
}

# check DESC CMD...: the command exits 0
check() {
	t_desc=$1
	shift
	t_out=$("$@" 2>&1)
	t_rc=$?
	t_result $t_rc "$t_desc" "exit $t_rc: $t_out"
}

# is DESC GOT WANT: equal strings
is() {
	[ "$2" = "$3" ]
	t_result $? "$1" "got:  $2
want: $3"
}

# like DESC TEXT ERE: some line of the text matches
like() {
	printf '%s\n' "$2" | grep -qE -- "$3"
	t_result $? "$1" "no line matches /$3/ in: $2"
}

# same DESC FILE1 FILE2: equal bytes
same() {
	t_out=$(cmp "$2" "$3" 2>&1)
	t_result $? "$1" "$t_out"
}

# fails CODE DESC ERE CMD...: exit status CODE; stderr matches ERE (one line for code 1, first line for 2); no
# temporary file is left in the folder
fails() {
	t_code=$1 t_desc=$2 t_re=$3
	shift 3
	"$@" >t.stdout 2>t.stderr </dev/null
	t_rc=$?
	t_why=
	[ $t_rc = "$t_code" ] || t_why="exit $t_rc, wanted $t_code"
	t_lines=$(wc -l <t.stderr)
	[ "$t_code" != 1 ] || [ "$t_lines" = 1 ] || t_why="$t_why; $t_lines lines on stderr, wanted 1"
	head -n 1 t.stderr | grep -qE -- "$t_re" || t_why="$t_why; message does not match /$t_re/"
	t_left=$(find . -name '.*.tmp')
	[ -z "$t_left" ] || t_why="$t_why; left behind: $t_left"
	[ -z "$t_why" ]
	t_result $? "$t_desc" "$t_why
$(head -n 5 t.stderr)"
	rm -f t.stdout t.stderr
}

# put_nan FILE AT: the float at that byte is no number any more
put_nan() {
	printf '\000\000\300\177' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# skip DESC REASON: cannot run here; counted at the end of make check
skip() {
	t_count=$((t_count + 1))
	echo "ok $t_count # SKIP $1: $2"
}

done_testing() {
	echo "1..$t_count"
	[ $t_bad = 0 ]
	exit
}
