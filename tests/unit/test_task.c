#include "eval/task.h"
#include "eval/template.h"
#include "tap.h"

#include "base/io.h"

#include <stdlib.h>
#include <unistd.h>

/* --- templates: expected values are Jinja's --- */

static const char record[] =
	"{\"text\":\"a b  c\",\"n\":3,\"l\":[\"x\",\"y\"],\"c\":{\"text\":[\"p\",\"q\"],\"label\":"
	"[\"A\",\"B\"]},\"k\":\"B\",\"u\":\"\\u00c9t\\u00e9 \"}";

static const struct {
	const char *template, *want;
} renders[] = {
	{ "plain", "plain" },
	{ "text", "a b  c" },
	{ "{{text.split(' ')[:-1]|join(' ')}}|", "a b |" },
	{ "{{' '+text.split(' ')[-1]}}", " c" },
	{ "{{c.label.index(k)}}", "1" },
	{ "{{n}}-{{n+1}}{{'}}'}}", "3-4}}" },
	{ "{{u.lower()}}{{u|upper}}{{u|trim}}", "\xc3\xa9t\xc3\xa9 \xc3\x89T\xc3\x89 \xc3\x89t\xc3\xa9" },
	{ "{{text|regex_replace('\\\\s+','_')}}", "a_b_c" },
	{ "{{text|regex_replace('(b)', '<\\\\1>')}}", "a <b>  c" },
	{ "{{'AB'[1]}}{{l|last}}{{l[0]~l[-1]}}", "Byxy" },
	{ "{{text.replace('b','\\n')}}", "a \n  c" },
	{ "{{text.split()|length}}", "3" },
	{ "{{['no','yes'][1]}}", "yes" },
	{ "{{ (text|trim).split('b')[0] }}", "a " },
	{ "{{text[2:4]}}{{text[-1:]}}", "b c" },
	{ "{{'x y'.capitalize()}}", "X y" },
	{ "{{c['text'][0]}} {{'12'|int + 1}}", "p 13" },
	{ "{{1~2}} {{'x'~1+2}} {{text[0]+'-'~n}}", "12 x3 a-3" },
	{ "{{(l+['z'])|join('')}}", "xyz" },
	{ "{ {x} }", "{ {x} }" },
};

static const char *const refused[] = { "{{", "{{text", "{{text.}}", "{{text|nothing}}", "{{text.nothing()}}",
	"{{text[}}", "{{'a}}", "{% if x %}", "{# note #}", "{{text text}}", "{{}}", "{{text.replace('a')}}" };
static const char *const fails[] = { "{{nothing}}", "{{c.nothing}}", "{{l[2]}}", "{{l|upper}}", "{{c}}",
	"{{l.index('z')}}", "{{n.split()}}", "{{text|regex_replace('(','')}}", "{{text.split('')}}",
	"{{text+1}}", "{{l~1}}", "{{n|length}}" };

static void templates(void)
{
	struct arena a = { 0 };
	struct err e;
	struct buf b = { 0 };
	const struct json *doc = json_parse(&a, record, strlen(record), 0, &e);
	for (size_t i = 0; i < sizeof renders / sizeof *renders; i++) {
		struct template *t = template_parse(renders[i].template, strlen(renders[i].template), &e);
		buf_reset(&b);
		ok(t && template_render(t, doc, &a, &b, &e) == 0, "%s", renders[i].template);
		ok_str(b.p ? b.p : "", renders[i].want, "its text");
		template_free(t);
	}
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		ok(!template_parse(refused[i], strlen(refused[i]), &e), "%s is refused: %s", refused[i],
			e.msg);
	for (size_t i = 0; i < sizeof fails / sizeof *fails; i++) {
		struct template *t = template_parse(fails[i], strlen(fails[i]), &e);
		buf_reset(&b);
		ok(t && template_render(t, doc, &a, &b, &e) < 0, "%s fails: %s", fails[i], e.msg);
		template_free(t);
	}
	struct template *t = template_parse("{{c.text}}", 10, &e);
	const struct json *v = template_value(t, doc, &a, &e);
	ok(json_is(v, JSON_ARRAY) && v->n == 2, "a template that is one expression has a value of any type");
	template_free(t);
	buf_release(&b);
	arena_release(&a);
}

/* --- Python's random numbers --- */

static void randoms(void)
{
	static const uint32_t small[] = { 14, 3, 0, 2, 1 },
			      large[] = { 6374, 3610, 957, 61, 742, 7462, 6610, 4769 },
			      again[] = { 989, 796, 451, 119, 7, 92, 932, 965, 961 };
	struct pyrandom r;
	uint32_t got[9];
	pyrandom_seed(&r, 1234);
	pyrandom_sample(&r, 20, 5, got);
	ok(memcmp(got, small, sizeof small) == 0, "Random(1234).sample(range(20), 5)");
	pyrandom_seed(&r, 1234);
	pyrandom_sample(&r, 7473, 8, got);
	ok(memcmp(got, large, sizeof large) == 0, "Random(1234).sample(range(7473), 8)");
	pyrandom_seed(&r, 1234);
	for (int i = 0; i < 3; i++)
		pyrandom_sample(&r, 1000, 3, got + 3 * i);
	ok(memcmp(got, again, sizeof again) == 0, "three samples of one generator");
	pyrandom_seed(&r, 0);
	ok_near(pyrandom_double(&r), 0.8444218515250481, 0, "Random(0).random()");
	pyrandom_seed(&r, (UINT64_C(1) << 40) + 7);
	ok_near(pyrandom_double(&r), 0.6137037779936511, 0, "Random(2**40 + 7).random()");
}

/* --- answers --- */

static const struct {
	const char *chain, *text, *want;
} answers[] = {
	{ "[]", " as it is ", " as it is " },
	{ "[{\"function\":\"regex\",\"regex_pattern\":\"#### (-?[0-9.,]+)\"},{\"function\":\"take_first\"}]",
		"x #### 12 y #### 13", "12" },
	{ "[{\"function\":\"regex\",\"group_select\":-1,\"regex_pattern\":\"(-?[$0-9.,]{2,})|(-?[0-9]+)\"}]",
		"cost 5 and $1,200. So 7 or 8", "8" },
	{ "[{\"function\":\"regex\",\"group_select\":-1,\"regex_pattern\":\"(-?[$0-9.,]{2,})|(-?[0-9]+)\"}]",
		"cost $1,200.", "$1,200." },
	{ "[{\"function\":\"regex\",\"regex_pattern\":\"[0-9]\"}]", "none", "[invalid]" },
	{ "[{\"function\":\"regex\",\"regex_pattern\":\"[0-9]\",\"fallback\":\"?\",\"group_select\":1}]",
		"only 1", "?" },
	{ "[{\"function\":\"remove_whitespace\"},{\"function\":\"uppercase\"}]", " \n ab\xc3\xa9 ",
		"AB\xc3\x89" },
};

static void answer_chains(void)
{
	struct arena a = { 0 };
	struct err e;
	struct buf b = { 0 }, spec = { 0 };
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		struct answer_chain c;
		buf_reset(&b);
		buf_reset(&spec);
		buf_addf(&spec, "{\"name\":\"x\",\"filter\":%s}", answers[i].chain);
		int rc = answer_chain_init(&c, json_parse(&a, spec.p, spec.n, 0, &e), &e);
		ok(rc == 0, "chain %zu", i);
		answer_chain_apply(&c, str_of(answers[i].text), &b);
		ok_str(b.p ? b.p : "", answers[i].want, "its answer");
		answer_chain_release(&c);
	}
	buf_release(&b);
	buf_release(&spec);
	arena_release(&a);
}

/* --- task files --- */

static char dir[] = "/tmp/quern-task.XXXXXX";

static char *put(const char *name, const char *text)
{
	struct err e;
	char *path = path_join(dir, name);
	struct writer *w = writer_open(path, &e);
	writer_add(w, text, strlen(text));
	writer_commit(w, 0, &e);
	return path;
}

static const char data[] = "{\"q\":\"1+1?\",\"a\":\"2\",\"c\":[\"1\",\"2\"]}\n\n{\"q\":\"2+2?\",\"a\":\"4\","
			   "\"c\":[\"4\",\"5\"]}\n"
			   "{\"q\":\"3+3?\",\"a\":\"6\",\"c\":[\"6\",\"7\"]}\n";

static void items(void)
{
	struct err e;
	struct arena a = { 0 };
	struct task_item it;
	struct task_overrides o = { UINT64_MAX, UINT64_MAX, 0, 0 };
	char *d = put("d.jsonl", data);
	char *p = put("t.json", "{\"task\":\"sums\",\"output_type\":\"multiple_choice\",\"data\":\"d.jsonl\","
				"\"description\":\"Add.\\n\","
				"\"doc_to_text\":\"Q: "
				"{{q}}\\nA:\",\"doc_to_choice\":\"c\",\"doc_to_target\":\"{{c.index(a)}}\","
				"\"num_fewshot\":1,\"fewshot_config\":{\"sampler\":\"first_n\"},\"metadata\":"
				"{\"version\":1}}");
	struct task *t = task_load(p, &o, &e);
	ok(t != NULL, "a multiple-choice task is read: %s", t ? "" : e.msg);
	ok(t && t->ndocs == 3 && t->nmetrics == 2, "records and default metrics");
	ok(t && task_item(t, 0, &a, &it, &e) == 0, "first item");
	ok_str(it.context.p, "Add.\nQ: 2+2?\nA: 4\n\nQ: 1+1?\nA:",
		"description, an example that is not the record, question");
	ok(it.nchoices == 2 && it.ngold == 1 && it.gold[0] == 1, "choices and the right one");
	ok(t && task_item(t, 1, &a, &it, &e) == 0, "second item");
	ok_str(it.context.p, "Add.\nQ: 1+1?\nA: 2\n\nQ: 2+2?\nA:", "now the first is the example");
	task_free(t);
	unlink(p);
	free(p);

	p = put("g.json", "{\"data\":\"d.jsonl\",\"doc_to_text\":\"{{q}}\",\"doc_to_target\":\"a\","
			  "\"generation_kwargs\":"
			  "{\"until\":[\"\\n\",\"Q:\"],\"max_gen_toks\":7,\"do_sample\":false},\"metric_"
			  "list\":[{\"metric\":"
			  "\"exact_match\",\"ignore_case\":true},{\"metric\":\"math\"}]}");
	o.limit = 2;
	t = task_load(p, &o, &e);
	ok(t && t->kind == TASK_GENERATE && t->ndocs == 2 && t->nstops == 2 && t->max_gen_toks == 7 &&
			t->sample.temp == 0,
		"a generation task, limited");
	ok_str(t ? t->name : "", "g", "named after its file");
	task_free(t);
	unlink(p);
	free(p);

	p = put("u.json",
		"{\"data\":\"d.jsonl\",\"doc_to_text\":\"{{q}}\",\"doc_to_target\":\"a\","
		"\"fewshot_delimiter\":\"\\n--\",\"generation_kwargs\":{\"temperature\":0.5,\"top_p\":0.9},"
		"\"metric_list\":[{\"metric\":\"exact_match\",\"aggregation\":\"mean\",\"higher_is_better\":"
		"true}]}");
	t = task_load(p, &o, &e);
	ok(t && t->nstops == 1 && str_is(t->stops[0], "\n--"), "without until: where an example would end");
	ok(t && t->sample.temp == 0.5 && t->sample.top_p == 0.9 && t->sample.repeat_penalty == 1,
		"sampling as asked for");
	task_free(t);
	unlink(p);
	free(p);

#define TASK "{\"data\":\"d.jsonl\",\"doc_to_text\":\"x\",\"doc_to_target\":\"y\","
	static const char *const bad[] = { "", "[]", TASK "\"generation_kwargs\":{\"num_beams\":4}}",
		TASK "\"generation_kwargs\":{\"length_penalty\":2}}",
		TASK "\"generation_kwargs\":{\"top_p\":2}}", TASK "\"fewshot_config\":{\"samples\":[]}}",
		TASK "\"metric_list\":[{\"metric\":\"exact_match\",\"aggregation\":\"median\"}]}",
		TASK "\"metric_list\":[{\"metric\":\"exact_match\",\"ignore_cases\":true}]}",
		TASK "\"filter_list\":[{\"filter\":[{\"function\":\"regex\",\"pattern\":\"x\"}]}]}",
		"{\"data\":\"d.jsonl\"}",
		"{\"data\":\"d.jsonl\",\"doc_to_text\":\"x\",\"doc_to_target\":\"y\",\"process_docs\":\"f\"}",
		"{\"data\":\"none.jsonl\",\"doc_to_text\":\"x\",\"doc_to_target\":\"y\"}",
		"{\"data\":\"d.jsonl\",\"doc_to_text\":\"{{x\",\"doc_to_target\":\"y\"}",
		"{\"data\":\"d.jsonl\",\"doc_to_text\":\"x\",\"doc_to_target\":\"y\",\"output_type\":"
		"\"guess\"}",
		"{\"data\":\"d.jsonl\",\"doc_to_text\":\"x\",\"doc_to_target\":\"y\",\"metric_list\":[{"
		"\"metric\":\"acc\"}]}",
		"{\"data\":\"d.jsonl\",\"doc_to_text\":\"x\",\"doc_to_target\":\"y\",\"num_fewshot\":3}" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		p = put("b.json", bad[i]);
		t = task_load(p, &o, &e);
		ok(!t, "refused: %s", e.msg);
		task_free(t);
		unlink(p);
		free(p);
	}
	unlink(d);
	free(d);
	arena_release(&a);
}

/* --- metrics --- */

static double one(const char *spec, const struct outcome *o)
{
	struct arena a = { 0 };
	struct err e;
	struct tally t = { 0 };
	struct metric *m = metric_new(json_parse(&a, spec, strlen(spec), 0, &e), o->kind, &e);
	double v = m ? metric_score(m, o, &t) : NAN, err;
	if (m && t.weight[0] != 1)
		v = metric_total(m, &t, 0, &err);
	metric_free(m);
	tally_release(&t);
	arena_release(&a);
	return v;
}

static void metrics(void)
{
	const double ll[] = { -3, -3.2, -4 };
	const unsigned char greedy[] = { 0, 1, 0 };
	const struct str choices[] = { STR("a"), STR("\xc3\xa9\xc3\xa9\xc3\xa9"), STR("bbbb") };
	const int64_t gold[] = { 1 };
	struct outcome c = { .kind = TASK_CHOICE,
		.n = 3,
		.ll = ll,
		.greedy = greedy,
		.choices = choices,
		.gold = gold,
		.ngold = 1 };
	ok_near(one("{\"metric\":\"acc\"}", &c), 0, 0, "acc: the likeliest");
	ok_near(one("{\"metric\":\"acc_norm\"}", &c), 0, 0, "acc_norm: by characters");
	ok_near(one("{\"metric\":\"acc_bytes\"}", &c), 1, 0, "acc_bytes: by bytes");
	ok_near(one("{\"metric\":\"exact_match\"}", &c), 1, 0, "exact_match of a choice: greedy");
	ok_near(one("{\"metric\":\"gold_bits_per_byte\"}", &c), 3.2 / 6 / log(2), 1e-12,
		"gold_bits_per_byte");
	struct outcome r = { .kind = TASK_ROLLING, .n = 1, .ll = ll, .text = STR(" two  words\n") };
	ok_near(one("{\"metric\":\"word_perplexity\"}", &r), exp(3.0 / 4), 1e-12,
		"word_perplexity: as re.split counts words");
	ok_near(one("{\"metric\":\"bits_per_byte\"}", &r), 3.0 / 12 / log(2), 1e-12, "bits_per_byte");
	const struct str targets[] = { STR("18") };
	struct outcome g = {
		.kind = TASK_GENERATE, .answer = STR("$1,8."), .targets = targets, .ntargets = 1
	};
	ok_near(one("{\"metric\":\"exact_match\"}", &g), 0, 0, "exact_match");
	ok_near(one("{\"metric\":\"exact_match\",\"regexes_to_ignore\":[\",\",\"\\\\$\",\"\\\\.$\"]}", &g), 1,
		0, "exact_match without what is ignored");
	ok_near(one("{\"metric\":\"exact_match\",\"ignore_punctuation\":true}", &g), 1, 0, "... punctuation");
	ok_near(one("{\"metric\":\"math\"}", &g), 0, 0, "a verifier is a metric");
	ok(isnan(one("{\"metric\":\"acc\"}", &g)), "a metric of another kind is refused");

	/* Expected: lm-eval's formulas in Python. */
	struct arena a = { 0 };
	struct err e;
	struct tally t = { 0 };
	const char *spec = "{\"metric\":\"perplexity\"}";
	struct metric *m = metric_new(json_parse(&a, spec, strlen(spec), 0, &e), TASK_LIKELIHOOD, &e);
	static const double lls[] = { -1.5, -2.25, -0.5, -3, -1 };
	for (int i = 0; i < 5; i++)
		metric_score(m,
			&(struct outcome){ .kind = TASK_LIKELIHOOD, .n = 1, .ll = &lls[i], .greedy = greedy },
			&t);
	double err, v = metric_total(m, &t, 3000, &err);
	ok_near(v, 5.206979827179849, 1e-14, "perplexity");
	ok_near(err, 2.3689781037109996, 1e-12, "its bootstrapped standard error");
	metric_free(m);
	tally_release(&t);
	arena_release(&a);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	templates();
	randoms();
	answer_chains();
	items();
	metrics();
	rmdir(dir);
	return tap_end();
}
