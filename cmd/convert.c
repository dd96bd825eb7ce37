/*
 * convert: checkpoints from one format into another; shown, verified, averaged.
 */
#include "base/die.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/opt.h"
#include "model/load.h"
#include "model/model.h"
#include "model/refcheck.h"
#include "tensor/kern.h"
#include "tensor/quant.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum { TO_HF, TO_SAFETENSORS, TO_GGUF, TO_LLAMA2C, TO_LLAMA2C_V1 };

static const char *tokenizer, *reference;
static int to = -1, dtype_choice = -1, show, as_json, grad, average, pure;
static double tol = 1e-4;

static struct opt opts[] = {
	{ "to", 0, OPT_CHOICE, &to, "hf|safetensors|gguf|llama2c|llama2c-v1",
		"format to write (from the name: .safetensors, .gguf, .bin, else a directory)" },
	{ "dtype", 0, OPT_CHOICE, &dtype_choice, "f32|bf16|f16|q8_0|q4_0|q4_1|q5_0|q5_1|q4_k|q5_k|q6_k",
		"type to store (quantised: in GGUF), or with --verify to compute in" },
	{ "pure", 0, OPT_FLAG, &pure, NULL, "with a quantised --dtype: every matrix in it, no mixture" },
	{ "tokenizer", 0, OPT_STR, &tokenizer, "TOKENIZER", "the tokenizer that goes with it" },
	{ "average", 0, OPT_FLAG, &average, NULL, "write the mean of several models' weights" },
	{ "show", 0, OPT_FLAG, &show, NULL, "print config, tensors and parameter count" },
	{ "json", 0, OPT_FLAG, &as_json, NULL, "with --show: one JSON object" },
	{ "verify", 0, OPT_STR, &reference, "REF.safetensors", "compare logits and loss with a reference" },
	{ "grad", 0, OPT_FLAG, &grad, NULL, "with --verify: the gradients too" },
	{ "tol", 0, OPT_NUM, &tol, "X", "with --verify: largest relative difference" },
	OPT_COMMON,
	{ 0 },
};

static const struct command command = {
	.name = "convert",
	.usage = "[--to FORMAT] [--dtype TYPE] [--pure] [--tokenizer TOKENIZER] -o OUT MODEL\n"
		 "--average [--to FORMAT] [--dtype TYPE] [--pure] [--tokenizer TOKENIZER] -o OUT MODEL MODEL "
		 "...\n"
		 "--show [--json] MODEL\n"
		 "--verify REF.safetensors [--grad] [--tol X] [--dtype TYPE] [-o OUT.safetensors] MODEL",
	.about = "turn checkpoints into other formats, show and verify them",
	.opts = opts,
};

/* The choices of --dtype, in their order. The first PLAIN of them are numbers. */
#define PLAIN 3
static const enum dtype dtypes[PLAIN] = { DTYPE_F32, DTYPE_BF16, DTYPE_F16 };
static const enum quant quants[] = { QUANT_F32, QUANT_BF16, QUANT_F16, QUANT_Q8_0, QUANT_Q4_0, QUANT_Q4_1,
	QUANT_Q5_0, QUANT_Q5_1, QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K };

static enum dtype chosen_dtype(enum dtype fallback)
{
	return dtype_choice < 0 ? fallback : dtypes[dtype_choice];
}

/* What GGUF files get; -1: what the weights are stored in. */
static int chosen_quant(void)
{
	return dtype_choice < 0 ? -1 : (int)quants[dtype_choice];
}

/* whole: all weights in memory; else they may stay where they are stored. */
static struct model *load(const char *path, int whole)
{
	struct err e;
	struct model *m = (whole ? model_load : model_open)(path, &e);
	if (!m)
		die("%s", e.msg);
	if (!tokenizer)
		return m;
	tokenizer_free(m->tokenizer);
	m->tokenizer = model_tokenizer(tokenizer, NULL, &e);
	if (!m->tokenizer)
		die("%s", e.msg);
	if (tokenizer_vocab(m->tokenizer) > m->config.vocab)
		die("%s: has %u ids, the model's vocab_size is %zu", tokenizer,
			(unsigned)tokenizer_vocab(m->tokenizer), m->config.vocab);
	return m;
}

/* --- show --- */

static void add_shape(struct buf *b, const struct param *p)
{
	buf_addf(b, p->ndim == 2 ? "[%zu, %zu]" : "[%zu]", p->shape[0], p->shape[1]);
}

static void show_json(const struct model *m, struct buf *b)
{
	struct arena a = { 0 };
	struct buf config = { 0 };
	config_json(&m->config, m->config.file_dtype, &config);
	buf_adds(b, "{\"config\":");
	json_add_value(b, json_parse(&a, config.p, config.n, JSON_STRICT, NULL));
	buf_addf(b, ",\"parameters\":%zu,\"tokenizer_vocab\":", m->count);
	if (m->tokenizer)
		buf_addf(b, "%u", (unsigned)tokenizer_vocab(m->tokenizer));
	else
		buf_adds(b, "null");
	buf_adds(b, ",\"tensors\":[");
	for (size_t i = 0; i < m->nparams; i++) {
		buf_adds(b, i ? ",{\"name\":" : "{\"name\":");
		json_add_cstr(b, m->params[i].name);
		buf_addf(b, ",\"dtype\":\"%s\",\"shape\":", m->params[i].file_type);
		add_shape(b, &m->params[i]);
		buf_addc(b, '}');
	}
	buf_adds(b, "]}\n");
	buf_release(&config);
	arena_release(&a);
}

static void show_text(const struct model *m, struct buf *b)
{
	config_json(&m->config, m->config.file_dtype, b);
	for (size_t i = 0; i < m->nparams; i++) {
		buf_addf(b, "%-56s %-4s ", m->params[i].name, m->params[i].file_type);
		add_shape(b, &m->params[i]);
		buf_addc(b, '\n');
	}
	buf_addf(b, "%zu parameters in %zu tensors", m->count, m->nparams);
	if (m->tokenizer)
		buf_addf(b, ", a tokenizer of %u ids", (unsigned)tokenizer_vocab(m->tokenizer));
	buf_addc(b, '\n');
}

static void write_text(const struct buf *b)
{
	struct err e;
	struct writer *w = writer_open(common.output, &e);
	if (!w)
		die("%s", e.msg);
	writer_add(w, b->p, b->n);
	if (writer_commit(w, 0, &e) < 0)
		die("%s", e.msg);
}

static void run_show(const char *path)
{
	struct model *m = load(path, 0);
	struct buf b = { 0 };
	(as_json ? show_json : show_text)(m, &b);
	write_text(&b);
	buf_release(&b);
	model_free(m);
}

/* --- verify --- */

static int has_results(const struct safetensors *ref)
{
	for (size_t i = 0; i < safetensors_count(ref); i++)
		if (refcheck_is_result(safetensors_at(ref, i)->name, grad))
			return 1;
	return 0;
}

static void run_verify(const char *path)
{
	struct err e;
	struct buf lines = { 0 };
	struct refcheck v;
	struct safetensors *ref = safetensors_open(reference, &e);
	if (!ref)
		die("%s", e.msg);
	int compares = !common.output || has_results(ref);
	if (compares && common.output && strcmp(common.output, "-") == 0)
		die_usage("-o - would mix with the comparison's lines: name a file");
	struct model *m = load(path, 1);
	if (refcheck_run(&v, m, ref, reference, chosen_dtype(DTYPE_F32), grad, &e) < 0)
		die("%s", e.msg);
	if (common.output && refcheck_write(&v, m, ref, common.output, &e) < 0)
		die("%s", e.msg);
	/* A file without results asks for -o, not for a comparison. */
	int bad = compares ? refcheck_compare(&v, m, ref, reference, tol, &lines, &e) : 0;
	if (lines.n)
		fwrite(lines.p, 1, lines.n, stdout);
	if (bad < 0)
		die("%s", e.msg);
	if (bad) {
		fflush(stdout);
		die("%s: %d tensors differ by more than %g", reference, bad, tol);
	}
	buf_release(&lines);
	refcheck_release(&v);
	model_free(m);
	safetensors_close(ref);
}

/* --- convert --- */

static int format_of(const char *out)
{
	if (to >= 0)
		return to;
	if (strcmp(out, "-") == 0 || str_ends(out, ".safetensors") || str_ends(out, ".safetensors.gz"))
		return TO_SAFETENSORS;
	if (str_ends(out, ".gguf") || str_ends(out, ".gguf.gz"))
		return TO_GGUF;
	return str_ends(out, ".bin") || str_ends(out, ".bin.gz") ? TO_LLAMA2C : TO_HF;
}

/* llama2.c looks for a tokenizer.bin: it is put beside the model when the format can say the tokenizer. */
static void save_llama2c_tokenizer(const struct model *m, const char *out)
{
	struct buf b = { 0 };
	struct err e;
	const char *slash = strrchr(out, '/');
	if (!m->tokenizer || strcmp(out, "-") == 0)
		return;
	if (tokenizer_llama2c(m->tokenizer, m->config.vocab, &b, &e) < 0) {
		warn("%s: written without its tokenizer: %s", out, e.msg);
		return;
	}
	char *path = xasprintf("%.*stokenizer.bin", slash ? (int)(slash - out + 1) : 0, out);
	struct writer *w = writer_open(path, &e);
	if (w)
		writer_add(w, b.p, b.n);
	if (!w || writer_commit(w, 0, &e) < 0)
		die("%s", e.msg);
	buf_release(&b);
	free(path);
}

static void save(struct model *m, const char *out)
{
	enum dtype stored = m->config.file_dtype == DTYPE_F64 ? DTYPE_F32 : m->config.file_dtype;
	enum dtype t = dtype_choice >= PLAIN ? DTYPE_F32 : chosen_dtype(stored);
	struct err e;
	int rc = -1;
	switch (format_of(out)) {
	case TO_GGUF:
		rc = gguf_write(m, out, chosen_quant(), pure, &e);
		break;
	case TO_HF:
		rc = model_save_new_dir(m, out, t, &e);
		break;
	case TO_SAFETENSORS:
		rc = model_save_file(m, out, t, &e);
		break;
	case TO_LLAMA2C:
	case TO_LLAMA2C_V1:
		if (dtype_choice > 0)
			die_usage("llama2.c files are float32");
		model_want_weights(m);
		rc = llama2c_write(m, out, format_of(out) == TO_LLAMA2C_V1, &e);
		if (rc == 0)
			save_llama2c_tokenizer(m, out);
		break;
	}
	if (rc < 0)
		die("%s", e.msg);
}

/* The mean in double, weight by weight: the order of the models does not matter to more than its last bit. */
static void add_model(double *sum, const struct model *m)
{
#pragma omp parallel for
	for (size_t i = 0; i < m->count; i++)
		sum[i] += (double)m->weights[i];
}

static struct model *load_mean(char **paths, int n)
{
	struct model *first = load(paths[0], 1);
	double *sum = mem_alloc(mul_size(first->count, sizeof *sum));
	add_model(sum, first);
	for (int i = 1; i < n; i++) {
		struct model *m = load(paths[i], 1);
		if (config_hash(&m->config) != config_hash(&first->config))
			die("%s: has another config than %s", paths[i], paths[0]);
		add_model(sum, m);
		model_free(m);
	}
#pragma omp parallel for
	for (size_t i = 0; i < first->count; i++)
		first->weights[i] = (float)(sum[i] / n);
	mem_free(sum, first->count * sizeof *sum);
	return first;
}

static void check_usage(int n)
{
	if (show + average + (reference != NULL) > 1)
		die_usage("--show, --verify and --average exclude each other");
	if (average ? n < 2 : n != 1)
		die_usage(average ? "--average wants two models or more" : "wants one model");
	if ((grad || opt_find(opts, "tol")->given) && !reference)
		die_usage("--grad and --tol go with --verify");
	if (as_json && !show)
		die_usage("--json goes with --show");
	if (!show && !reference && !common.output)
		die_usage("wants -o OUT");
	if (!show && !reference && to == TO_HF && strcmp(common.output, "-") == 0)
		die_usage("a directory cannot go to stdout: --to safetensors can");
	if (reference && dtype_choice >= 2)
		die_usage("--verify computes in f32 or bf16");
	if (dtype_choice >= PLAIN && common.output && format_of(common.output) != TO_GGUF)
		die_usage("quantised weights go into GGUF files");
	if (pure && dtype_choice < PLAIN)
		die_usage("--pure goes with a quantised --dtype");
	if (!(tol >= 0))
		die_usage("--tol wants a number from 0 on");
}

int main(int argc, char **argv)
{
	int n;
	struct err e;
	char **operands = cmd_init(&command, argc, argv, &n);
	check_usage(n);
	if (kern_check(&e) < 0)
		die("%s", e.msg);
	if (reference)
		detail("%s", kern_describe());
	if (show) {
		run_show(operands[0]);
	} else if (reference) {
		run_verify(operands[0]);
	} else {
		struct model *m = average ? load_mean(operands, n) : load(operands[0], 0);
		save(m, common.output);
		model_free(m);
	}
	return cmd_end();
}
