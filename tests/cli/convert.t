#!/bin/sh
# convert: references, formats out and back, refusals.
. "${0%/*}/lib.sh"
C=$BIN/convert
REF=$ROOT/tests/ref

# ISA NAME MODEL REF: every tensor within 1e-5 (2e-5 for scalar sums)
verify() {
	check "$1 $2: logits, loss and gradients as in the reference" env QUERN_ISA="$1" "$C" --verify "$4" --grad \
		--tol 2e-5 "$3"
}
supported() {
	QUERN_ISA=$1 "$C" --show "$REF/llama-yarn.safetensors" >/dev/null 2>&1
}
for isa in scalar avx2 avx512; do
	supported $isa || {
		skip "$isa: references" "not supported here"
		continue
	}
	for ref in "$REF"/*.ref.safetensors; do
		name=$(basename "$ref" .ref.safetensors)
		verify $isa "$name" "$REF/$name.safetensors" "$ref"
	done
	for name in gpt2 llama qwen3 olmo2; do
		if [ -n "$SHARED" ]; then
			verify $isa "fixture $name" "$SHARED/fixtures/$name" "$SHARED/fixtures/$name/ref.safetensors"
		else
			skip "$isa fixture $name" "no ../shared"
		fi
	done
done
for isa in scalar avx2 avx512 avx512bf16 amx; do
	supported $isa || {
		skip "$isa: bf16 against the reference" "not supported here"
		continue
	}
	for name in llama-yarn gpt2-layer-scale; do
		check "$isa $name: bf16 stays within 4 %" env QUERN_ISA=$isa "$C" --verify "$REF/$name.ref.safetensors" \
			--grad --dtype bf16 --tol 0.04 "$REF/$name.safetensors"
	done
done

M=$REF/qwen3-untied-biases.safetensors
R=$REF/qwen3-untied-biases.ref.safetensors
line=$("$C" --verify "$R" "$M" | head -n 1)
like "a line of --verify is JSON" "$line" \
	'^\{"tensor": "(logits|loss)", "max_abs": [0-9.e-]+, "rel": [0-9.e-]+, "ok": true\}$'
is "--verify alone leaves the gradients out" "$("$C" --verify "$R" "$M" | wc -l)" 2
fails 1 "a reference of another model" "tensors differ by more than 0.0001" \
	"$C" --verify "$REF/llama-yarn.ref.safetensors" "$REF/mistral-window.safetensors"
"$C" --verify "$REF/mistral-window.ref.safetensors" --grad -o got.safetensors "$REF/llama-yarn.safetensors" \
	>lines 2>/dev/null
is "-o writes what was computed though it compares badly" "$("$C" --verify got.safetensors --grad --tol 0 \
	"$REF/llama-yarn.safetensors" | grep -c '"ok": true')" 23
"$C" -j 1 --verify "$R" --grad -o one.safetensors "$M" >/dev/null
"$C" -j 3 --verify "$R" --grad -o three.safetensors "$M" >/dev/null
same "1 and 3 threads compute the same bits" one.safetensors three.safetensors

check "a file becomes a directory" "$C" -o dir "$M"
is "what stands in it" "$(ls dir | tr '\n' ' ')" "config.json generation_config.json model.safetensors "
check "and a file again" "$C" -o back.safetensors dir
check "which computes the same" "$C" --verify "$R" --grad --tol 2e-5 back.safetensors
"$C" -o - back.safetensors | "$C" -o piped.safetensors -
same "a pipe carries the same bytes" back.safetensors piped.safetensors
check "bf16" "$C" --dtype bf16 -o half.safetensors "$M"
like "its type is shown" "$("$C" --show half.safetensors)" '^model.embed_tokens.weight +BF16 \[33, 16\]$'
check "f16" "$C" --dtype f16 -o f16 "$M"
check "a directory in f16 computes nearly the same" "$C" --verify "$R" --tol 0.01 f16
like "--show --json" "$("$C" --show --json dir)" '^\{"config":\{.*"parameters":[0-9]+,"tokenizer_vocab":null,"tensors":\['
"$C" --average -o mean.safetensors back.safetensors back.safetensors
same "the mean of a model with itself" mean.safetensors back.safetensors
fails 1 "the mean of different models" "has another config than" "$C" --average -o x "$M" "$REF/llama-yarn.safetensors"
"$C" -o back.safetensors.gz dir && gzip -dc back.safetensors.gz >plain
same "a name in .gz is compressed" plain back.safetensors
check "and can be read" "$C" -o again.safetensors back.safetensors.gz
same "as what it is" again.safetensors back.safetensors
"$BIN/train" -q -o tiny --arch llama:depth=1,dim=32,heads=1,vocab=40,context=16 --steps 0
check "llama2.c's too" "$C" -o packed.bin.gz tiny
"$C" -o packed.bin tiny
"$C" -o a.safetensors packed.bin && "$C" -o b.safetensors packed.bin.gz
same "is the same model" a.safetensors b.safetensors
"$C" --verify "$R" -o nan.safetensors "$M" >/dev/null
put_nan nan.safetensors $(($(wc -c <nan.safetensors) - 12)) # the last logit but one; at the end stands the loss
like "a difference that is no number is shown" "$("$C" --verify nan.safetensors "$M" 2>/dev/null | head -n 1)" \
	'^\{"tensor": "logits", "max_abs": null, "rel": null, "ok": false\}$'
fails 1 "a directory is not overwritten" "^convert: dir: is there already" "$C" -o dir "$M"
mkdir empty
check "an empty one is" "$C" -o empty/ "$M"

mkdir -p run/step-9 run/step-10 run/step-11
cp dir/* run/step-9
"$C" --dtype bf16 -o x.safetensors dir
"$C" -o run/step-10/new dir && mv run/step-10/new/* run/step-10 && rmdir run/step-10/new
sed 's/"head_dim": 6/"head_dim": 4/' run/step-9/config.json >run/step-9/c && mv run/step-9/c run/step-9/config.json
check "a run without latest: its newest complete checkpoint" "$C" --verify "$R" --tol 2e-5 run
ln -s step-9 run/latest
fails 1 "a run's latest" "^convert: run/latest.*is \[24,16\], the config wants \[16,16\]" "$C" --show run

# GGUF.
L=$REF/llama-llama3-one-kv
"$C" -o x.gguf "$L.safetensors"
check "GGUF computes the same" "$C" --verify "$L.ref.safetensors" --grad --tol 2e-5 x.gguf
"$C" -o - --to gguf "$L.safetensors" | "$C" -o z.gguf -
same "and goes through a pipe" x.gguf z.gguf
"$C" -o z.safetensors x.gguf
check "and back" "$C" --verify "$L.ref.safetensors" --tol 2e-5 z.safetensors
"$C" -j 1 --dtype q4_0 -o one.gguf "$L.safetensors" && "$C" -j 3 --dtype q4_0 -o three.gguf "$L.safetensors"
same "1 and 3 threads write the same bytes" one.gguf three.gguf
"$C" -o kept.gguf one.gguf
same "from one GGUF file to another all stays as it is" one.gguf kept.gguf
like "rows that are no blocks are F16" "$("$C" --show one.gguf)" '^model.layers.0.mlp.up_proj.weight +F16 '
"$C" --dtype f16 -o f16.gguf "$L.safetensors"
like "its type is shown" "$("$C" --show f16.gguf)" '^model.embed_tokens.weight +F16 +\[33, 16\]$'
"$C" -o x.gguf.gz "$L.safetensors" && gzip -dc x.gguf.gz >y.gguf
same "compressed" x.gguf y.gguf
fails 1 "what llama.cpp does not compute" "cannot be written: llama.cpp has no sliding windows" \
	"$C" -o y.gguf "$REF/qwen2-upper-window.safetensors"
fails 1 "nor this" "cannot be written: llama.cpp has no bias behind" "$C" -o y.gguf "$M"
head -c 3000 x.gguf >cut.gguf
fails 1 "GGUF cut short" "^convert: cut.gguf: .*cut short" "$C" --show cut.gguf
fails 2 "quantised weights elsewhere" "quantised weights go into GGUF files" "$C" --dtype q4_0 -o x.safetensors "$M"
fails 2 "--pure alone" "pure goes with a quantised --dtype" "$C" --pure -o x.gguf "$M"

# What is refused, and in which words.
head -c 20000 "$M" >cut.safetensors
fails 1 "a file cut short" "^convert: cut.safetensors: .*cut short" "$C" --show cut.safetensors
cp "$M" longer.safetensors && echo >>longer.safetensors
fails 1 "a file that goes on" "^convert: longer.safetensors: byte [0-9]+: 1 bytes behind" "$C" --show longer.safetensors
fails 1 "no config" "^convert: .*ref.safetensors: has no config in its metadata" "$C" --show "$R"
fails 1 "no such file" "^convert: nowhere: cannot open: " "$C" --show nowhere
mkdir none
fails 1 "an empty directory" "^convert: none: has no config.json" "$C" --show none
cp -r dir broken && echo '{"model_type": "perceiver"}' >broken/config.json
fails 1 "an unknown architecture" "broken/config.json: model_type: 'perceiver' is not known" "$C" --show broken
echo '{"model_type": "llama"' >broken/config.json
fails 1 "damaged JSON" "broken/config.json: byte [0-9]+: " "$C" --show broken
cp dir/config.json broken && rm broken/model.safetensors
fails 1 "no weights" "^convert: broken: has neither model.safetensors nor" "$C" --show broken
echo '{"weight_map": {"a": "../dir/model.safetensors"}}' >broken/model.safetensors.index.json
fails 1 "an index that reaches out" "index.json: byte [0-9]+: a shard must be a file name" "$C" --show broken
echo '{"weight_map": {"a": "part.safetensors"}}' >broken/model.safetensors.index.json
cp "$R" broken/part.safetensors
fails 1 "a tensor without place" "part.safetensors: tensor '.*' has no place in a qwen3" "$C" --show broken
fails 1 "no llama2.c for Qwen" "cannot be written: llama2.c has only the llama" "$C" -o x.bin "$M"
fails 1 "a folder that is not there" "^convert: no/such: cannot create: No such file" "$C" -o no/such "$M"
fails 2 "no output" "wants -o OUT" "$C" "$M"
fails 2 "a directory to stdout" "a directory cannot go to stdout" "$C" --to hf -o - "$M"
fails 2 "no model" "wants one model" "$C" -o x
fails 2 "--grad without --verify" "go with --verify" "$C" --grad -o x "$M"
fails 2 "two things to stdout" "^convert: -o - would mix with the comparison's lines" "$C" --verify "$REF/llama-yarn.ref.safetensors" -o - "$M"
fails 2 "two jobs" "exclude each other" "$C" --show --average "$M" "$M"
fails 2 "an unknown format" "^convert: --to is one of hf\|safetensors" "$C" --to onnx -o x "$M"
fails 1 "no room" "^convert: /dev/full: cannot write: " "$C" --to safetensors -o /dev/full "$M"

if [ -n "$SHARED" ]; then
	S=$SHARED/data/models/stories260K
	check "llama2.c legacy to a directory" "$C" --tokenizer "$S-tokenizer.bin" -o stories "$S.bin"
	check "version 1 back" "$C" --to llama2c-v1 -o v1.bin stories
	same "is the published file" v1.bin "$S-v1.bin"
	check "the legacy format too" "$C" -o v0.bin stories
	head -c 1040156 v0.bin >a && head -c 1040156 "$S.bin" >b
	same "up to the rotary tables, which another libm made" a b
	mkdir with && cp v0.bin tokenizer.bin with
	like "a tokenizer.bin beside it is written and found" "$("$C" --show with/v0.bin)" 'a tokenizer of 512 ids$'
	"$C" -o found with/v0.bin
	same "and is the same tokenizer" found/tokenizer.json stories/tokenizer.json
	rm tokenizer.bin
	"$C" --dtype f32 -o stories.gguf stories
	like "GGUF carries the tokenizer" "$("$C" --show stories.gguf)" 'a tokenizer of 512 ids$'
	rm -r found && "$C" -o found stories.gguf
	same "and it is the same one" found/tokenizer.json stories/tokenizer.json
	same "with the same weights" found/model.safetensors stories/model.safetensors
	"$BIN/generate" --greedy --max-tokens 30 -q -p "Once upon a time" -m stories >a
	"$BIN/generate" --greedy --max-tokens 30 -q -p "Once upon a time" -m stories.gguf >b
	same "which speaks alike" a b
	is "and reads alike" "$(echo 'Once upon a time' | "$BIN/tokenize" -q --ids -m stories.gguf --format lines)" \
		"$(echo 'Once upon a time' | "$BIN/tokenize" -q --ids -m stories --format lines)"
	"$C" -o stories-v1.safetensors "$S-v1.bin"
	"$C" -o stories-v0.safetensors "$S.bin"
	same "both versions are the same model" stories-v0.safetensors stories-v1.safetensors
	head -c 99999 "$S.bin" >cut.bin
	fails 1 "a llama2.c file cut short" "^convert: cut.bin: 99999 bytes, its header wants 1056540" "$C" --show cut.bin
	printf '24ka\002\000\000\000' | cat - "$S.bin" >v2.bin
	fails 1 "llama2.c int8" "^convert: v2.bin: byte 4: llama2.c version 2 is not read" "$C" --show v2.bin
else
	skip "llama2.c files" "no ../shared"
fi
done_testing
