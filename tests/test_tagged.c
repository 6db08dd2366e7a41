/* Sentences of tagged words: lines to words, words to pieces, long sentences to several examples, nothing lost. */
#include "tiny_dir.h"

#include <stdio.h>

#include "data/loader.h"
#include "data/tagged.h"
#include "util/alloc.h"
#include "util/log.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static xr_tokenizer *tok;
static char notes[4096];

static void keep_note(xr_level level, const char *message)
{
    size_t n = strlen(notes);
    (void)level;
    snprintf(notes + n, sizeof notes - n, "%s\n", message);
}

static xr_data_options training(void)
{
    return (xr_data_options){ .grow_labels = 1, .need_label = 1, .max_len = 128 };
}

/* Adds the text as a file. */
static xr_status add(xr_dataset *d, xr_labels *l, const char *text, const xr_data_options *o)
{
    notes[0] = '\0';
    write_scratch("words.tsv", text);
    return xr_dataset_add_tagged(d, in_scratch("words.tsv"), tok, l, o);
}

static void refuse(const char *text, const xr_data_options *o, const char *part)
{
    xr_dataset d = { 0 };
    xr_labels l = { 0 };
    assert_int_equal(add(&d, &l, text, o), XR_EDATA);
    expect_error(XR_EDATA, part);
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

/* The first of these words did not fit into the example before. */
static void check_full(const xr_dataset *d, size_t i, size_t max_len)
{
    const xr_words *w = &d->words;
    size_t k = w->example[i], end = k + 1 < w->example[i + 1] ? w->row[k + 1] : xr_dataset_len(d, i) - 1;
    for (size_t s = 0; s < w->n_sentences; s++)
        if (w->sentence[s] == k)
            return;
    assert_true(xr_dataset_len(d, i - 1) + end - w->row[k] > max_len);
}

/* The pieces of each word are those of the word alone, row says where they begin, and examples are as full as they can be. */
static void check_pieces(const xr_dataset *d, const char *const *word, size_t max_len)
{
    const xr_words *w = &d->words;
    size_t k = 0;
    for (size_t i = 0; i < d->n; i++) {
        const int32_t *id = d->ids + d->offset[i];
        size_t at = 1;
        assert_int_equal(id[0], XR_ID_BOS);
        assert_int_equal(k, w->example[i]);
        assert_true(max_len == 0 || xr_dataset_len(d, i) <= max_len);
        for (; k < w->example[i + 1]; k++) {
            xr_tokens t = { 0 };
            assert_int_equal(xr_tokenizer_encode(tok, word[k], strlen(word[k]), 0, &t), XR_OK);
            size_t n = max_len && t.n > max_len - 2 ? max_len - 2 : t.n;
            assert_int_equal(w->row[k], at);
            for (size_t p = 0; p < n; p++)
                assert_int_equal(id[at++], t.v[p].id);
            if (n == 0)
                assert_int_equal(id[at++], XR_ID_UNK);
            xr_tokens_free(&t);
        }
        assert_int_equal(id[at++], XR_ID_EOS);
        assert_int_equal(at, xr_dataset_len(d, i));
        check_full(d, i, max_len);
    }
    assert_int_equal(k, w->n);
}

static void words_and_tags(void **state)
{
    (void)state;
    static const char *const word[] = { "babo", "", "nulu ti", "x:y", "\xE2\x80\x8F", "\"", "sasa" };
    static const int32_t tag[] = { 0, 1, 1, 0, 2, 1, 1 };
    xr_dataset d = { 0 };
    xr_labels l = { 0 };
    xr_data_options o = training();
    assert_int_equal(add(&d, &l, "\xEF\xBB\xBF\n\nbabo\tB-PER\n\tO\nnulu ti\tO  \nx:y\tB-PER\r\n\r\n  \n\n\xE2\x80\x8F\tI-LOC\n\"\tO\n\nsasa\tO", &o), XR_OK);
    assert_int_equal(d.words.n_sentences, 3);
    assert_int_equal(d.n, 3);
    assert_int_equal(d.words.n, 7);
    assert_int_equal(d.words.sentence[0], 0);
    assert_int_equal(d.words.sentence[1], 4);
    assert_int_equal(d.words.sentence[2], 6);
    assert_int_equal(d.words.sentence[3], 7);
    assert_string_equal(l.name[2], "I-LOC");
    assert_memory_equal(d.words.tag, tag, sizeof tag);
    check_pieces(&d, word, 0);
    assert_int_equal(d.words.n_empty, 2);   /* the empty word and the direction mark */
    assert_non_null(strstr(notes, "1 entities begin with I-"));
    assert_int_equal(xr_labels_sort(&l, &d), XR_OK);
    assert_string_equal(l.name[1], "I-LOC");
    assert_int_equal(d.words.tag[4], 1);
    assert_int_equal(d.words.tag[1], 2);
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

static void language_prefix(void **state)
{
    (void)state;
    static const char *const word[] = { "babo", ":", "http://x", "en:nulu", "de:babo" }, *const plain[] = { "en:babo", "nulu" };
    xr_dataset d = { 0 };
    xr_labels l = { 0 };
    xr_data_options o = training();
    assert_int_equal(add(&d, &l, "en:babo\tO\nen::\tO\n\nen:http://x\tO\nen:en:nulu\tO\nde:babo\tO\n", &o), XR_OK);
    check_pieces(&d, word, 0);
    assert_non_null(strstr(notes, "the 'en:' before each word is left out"));
    xr_dataset_free(&d);
    assert_int_equal(add(&d, &l, "en:babo\tO\nnulu\tO\n", &o), XR_OK);      /* not all of the first sentence */
    check_pieces(&d, plain, 0);
    xr_dataset_free(&d);
    assert_int_equal(add(&d, &l, "be-x-old:babo\tO\nbe-x-old:nulu\tO\n", &o), XR_OK);
    assert_non_null(strstr(notes, "'be-x-old:'"));
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

/* A sentence longer than the model becomes several examples; a word longer than the model keeps its first pieces. */
static void long_sentences(void **state)
{
    (void)state;
    static const char *const word[] = { "babo", "nulu", "bababababababababababaxxxxxxxxxx", "ti", "", "sasa", "x" };
    for (size_t max_len = 3; max_len < 40; max_len++) {
        xr_dataset d = { 0 };
        assert_int_equal(xr_dataset_add_words(&d, tok, word, NULL, 7, max_len, 0), XR_OK);
        assert_int_equal(xr_dataset_add_words(&d, tok, word, NULL, 7, max_len, 0), XR_OK);
        assert_int_equal(d.words.n, 14);
        assert_int_equal(d.words.n_sentences, 2);
        assert_int_equal(d.words.sentence[1], 7);
        assert_int_equal(d.words.tag[13], -1);
        const char *const twice[] = { word[0], word[1], word[2], word[3], word[4], word[5], word[6],
                                      word[0], word[1], word[2], word[3], word[4], word[5], word[6] };
        check_pieces(&d, twice, max_len);
        assert_int_equal(d.n_truncated, d.n > 2 ? 2 : 0);
        assert_true(max_len > 8 || d.n > 2);
        xr_dataset_free(&d);
    }
    xr_dataset d = { 0 };
    assert_int_equal(xr_dataset_add_words(&d, tok, word, NULL, 7, 2, 0), XR_EUSAGE);
    expect_error(XR_EUSAGE, "max length 2");
    xr_dataset_free(&d);
}

static void refusals(void **state)
{
    (void)state;
    xr_data_options o = training(), test = { .max_len = 128 };
    refuse("babo\tO\nnulu\n", &o, "words.tsv:2: no tag behind 'nulu'; expected the word, a TAB or a blank");
    refuse("babo\n", &o, "words.tsv:1: no tag behind 'babo'; expected the word");
    refuse("{\n\"tokens\": [\"babo\"],\n\"tags\": [\"O\"]\n}\n", &o, "words.tsv:1: a JSON object over several lines; expected JSON lines");
    refuse("babo O\nnulu O\n\n \t\n\nnulu O\n", &o, "words.tsv:4: nothing but TABs; expected a word and its tag");     /* found by fuzzing */
    refuse("babo\tO\n\t\nnulu\tO\n", &o, "words.tsv:2: nothing but TABs; expected a word and its tag, or an empty line where a sentence ends");
    refuse("babo\tO\n\t\nnulu\tO\n", &test, "words.tsv:2: nothing but TABs");      /* would be a word, and its neighbours one sentence */
    refuse("babo\nnulu\n\t\nnulu\n", &test, "words.tsv:3: nothing but TABs");
    refuse("babo\tO\nnulu\tO\t\n", &o, "words.tsv:2: 3 columns; expected 2 as in line 1");
    refuse("# id = 7\nbabo O\n", &o, "words.tsv:2: 2 columns; expected 4 as in line 1, the word first and its tag last; complete the line, or take out lines "
           "that begin with # where these are comments");
    refuse("babo O\n\n# id = 7\nbabo O\n", &o, "words.tsv:3: 4 columns; expected 2 as in line 1, the word first and its tag last; complete the line, or take");
    refuse("1\tbabo\t_\t_\t_\t_\t_\t_\t_\t_\n", &o, "words.tsv:1: no tag behind 'babo'; expected a part of speech in the fourth column");
    refuse("babo\tO\n\nnulu\tNNP\tI-NP\tO\n", &o, "words.tsv:3: 4 columns; expected 2 as in line 1");
    refuse("EU NNP B-NP B-ORG\n. . O\n", &o, "words.tsv:2: 3 columns; expected 4 as in line 1");
    refuse("babo\tNOUN\nnulu\tB-PER\n", &o, "words.tsv:2: the tag 'B-PER' has a prefix, but 'NOUN' of line 1 has none");
    refuse("babo\tO\nnulu\tB-PER\n\nti\tX-PER\n", &o, "words.tsv:4: the tag 'X-PER' has no known prefix, but 'B-PER' of line 2 has one");
    refuse("1\tbabo\tO\t-\tA\n2\tnulu\tO\n", &o, "words.tsv:2: 3 columns; expected 5");
    refuse("1\tbabo\tO\t-\tA\nx\tnulu\tO\t-\tA\n", &o, "words.tsv:2: the first column 'x' is no number");
    refuse("{\"tokens\": [\"a\"], \"tags\": [\"O\", \"O\"]}\n", &o, "words.tsv:1: \"tokens\" has 1 words and \"tags\" 2");
    refuse("{\"tokens\": [\"a\"], \"ner_tags\": [3]}\n", &o, "words.tsv:1: the tag is the number 3; expected its name");
    refuse("{\"tokens\": [\"a\"], \"tags\": [null]}\n", &o, "words.tsv:1: \"tags\" holds something that is no string");
    refuse("{\"tokens\": [1], \"tags\": [\"O\"]}\n", &o, "words.tsv:1: \"tokens\" holds something that is no string");
    refuse("{\"tokens\": [\"a\"], \"tags\": [\"O\"]}\n\n{\"tags\": []}\n", &o, "words.tsv:3: no list \"tokens\"");
    refuse("{\"tokens\": [\"a\"], \"tags\": [\"O\"]}\n{\"tokens\": [\"a\"], \"tags\": [\"O\"", &o, "words.tsv:2: ");
    refuse("{\"tokens\": [\"a\"]}\n", &o, "words.tsv:1: no tag behind 'a'");
    refuse("babo\tB-PER\n", &test, "words.tsv:1: unknown tag 'B-PER'");
    refuse("babo\tO\nb\xFF" "b\tO\n", &o, "words.tsv:2: ");
    refuse("", &o, "words.tsv: no sentences");
    refuse("\n\n\n", &test, "words.tsv: no sentences");
    refuse("babo\n\nnulu\t\n\nsasa\tO\n", &test, "words.tsv:5: a tag, but line 1 has none");
    xr_dataset d = { 0 };
    xr_labels l = { 0 };
    assert_true(xr_dataset_add_tagged(&d, in_scratch("nowhere.tsv"), tok, &l, &o) < 0);
    expect_error(XR_ENOINPUT, "nowhere.tsv");
    xr_dataset_free(&d);
}

/* The allocations from the k-th on fail; -1: none. */
static xr_status add_learnt_failing(const char *text, xr_dataset *d, xr_labels *l, long k)
{
    xr_data_options o = { .max_len = 128, .n_learnt = 3 };
    static const char *const learnt[] = { "O", "I-PER", "B-LOC" };
    for (int i = 0; i < 3; i++)
        assert_int_equal(xr_labels_add(l, learnt[i]), i);
    write_scratch("words.tsv", text);
    xr_alloc_fail_after(k);
    xr_status status = xr_dataset_add_tagged(d, in_scratch("words.tsv"), tok, l, &o);
    xr_alloc_fail_after(-1);
    return status;
}

static xr_status add_learnt(const char *text, xr_dataset *d, xr_labels *l) { return add_learnt_failing(text, d, l, -1); }

/* Tags that a model has not learnt are labels behind its own, and no B- of theirs is put in the place of an I- of its own. */
static void not_learnt(void **state)
{
    (void)state;
    static const int32_t tag[] = { 1, 0, 3, 4, 4, 5 };
    uint64_t count[6] = { 0 };
    xr_dataset d = { 0 };
    xr_labels l = { 0 };
    xr_str list = { 0 };
    assert_int_equal(add_learnt("babo\tI-PER\nnulu\tO\nsasa\tI-DATE\n\nti\tB-PER\n\nti\tB-PER\nnulu\tI-LOC\n", &d, &l), XR_OK);
    assert_int_equal(d.words.n, COUNT(tag));
    assert_memory_equal(d.words.tag, tag, sizeof tag);
    assert_string_equal(l.name[3], "I-DATE");
    xr_words_count_tags(&d.words, 1, count);
    assert_int_equal(xr_labels_list_counted(&l, 3, count, &list), XR_OK);
    assert_string_equal(list.s, "I-DATE (1), B-PER (2), I-LOC (1)");
    xr_str_free(&list);
    xr_dataset_free(&d);
    xr_labels_free(&l);
    assert_int_equal(add_learnt("babo\tO\nnulu\tB-X\n\nti\tB-Y\nti\tB-X\n", &d, &l), XR_EDATA);
    expect_error(XR_EDATA, "words.tsv:2: unknown tags, and no other but O; with how many words have them: B-X (2), B-Y (1); "
                           "the known tags are: O, I-PER, B-LOC;");
    xr_dataset_free(&d);
    xr_labels_free(&l);
    assert_int_equal(add_learnt("babo\tO\n", &d, &l), XR_OK);
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

/* No empty line between words: told, since it may be a table of texts. */
static void one_sentence(void **state)
{
    (void)state;
    xr_str text = { 0 };
    xr_dataset d = { 0 };
    xr_labels l = { 0 };
    xr_data_options o = training();
    for (int i = 0; i < 70; i++)
        assert_int_equal(xr_str_puts(&text, i % 2 ? "babo\tO\n" : "babo nulu\tB-PER\n"), XR_OK);
    assert_int_equal(add(&d, &l, text.s, &o), XR_OK);
    assert_non_null(strstr(notes, "words.tsv: one sentence of 70 words"));
    xr_dataset_free(&d);
    assert_int_equal(xr_str_puts(&text, "\nbabo\tO\n"), XR_OK);
    assert_int_equal(add(&d, &l, text.s, &o), XR_OK);
    assert_null(strstr(notes, "one sentence"));
    xr_labels_free(&l);
    xr_dataset_free(&d);
    xr_str_free(&text);
}

/* A tag named "-", which means "no gold label" where texts are classified. */
static void dash(void **state)
{
    (void)state;
    static const int32_t tag[] = { 0, 1, 0, 1 };
    xr_dataset d = { 0 };
    xr_labels l = { 0 };
    xr_data_options o = training(), test = { .max_len = 128 };
    assert_int_equal(add(&d, &l, "babo\tDT\nnulu\t-\n", &o), XR_OK);
    assert_int_equal(add(&d, &l, "babo\tDT\nnulu\t-\n", &test), XR_OK);
    assert_memory_equal(d.words.tag, tag, sizeof tag);
    assert_int_equal(l.n, 2);
    xr_labels_free(&l);
    xr_dataset_free(&d);
    assert_int_equal(xr_labels_find(&l, "-"), -2);
}

static void skipping_and_limits(void **state)
{
    (void)state;
    static const char text[] = "babo\tB-PER\n\nnulu\tO\nba\tba\tba\nsasa\tO\n\nti\tNOUN\n\nsasa\tO\n";
    static const char *const word[] = { "babo", "sasa" };
    xr_dataset d = { 0 };
    xr_labels l = { 0 };
    xr_data_options o = training();
    o.skip_bad = 1, o.max_bad_fraction = 0.5;
    assert_int_equal(add(&d, &l, text, &o), XR_OK);
    assert_int_equal(d.n_bad, 2);
    check_pieces(&d, word, 0);
    assert_non_null(strstr(notes, "sentence skipped: "));
    assert_non_null(strstr(notes, "2 of 4 sentences skipped"));
    xr_dataset_free(&d);
    o.max_bad_fraction = 0.4;
    refuse(text, &o, "2 of 4 sentences are bad");
    xr_labels_free(&l);
    o.max_bad_fraction = 0.5;
    assert_int_equal(add(&d, &l, "babo\tB-PER\n\nnulu\tB-LOC\nsasa\n\nsasa\tO\n", &o), XR_OK);
    assert_int_equal(d.n_bad, 1);
    assert_int_equal(l.n, 2);                           /* no sentence has B-LOC */
    xr_dataset_free(&d);
    o.max_samples = 1;
    assert_int_equal(add(&d, &l, text, &o), XR_OK);
    assert_int_equal(d.words.n_sentences, 1);
    assert_int_equal(add(&d, &l, text, &o), XR_OK);     /* per file */
    assert_int_equal(d.words.n_sentences, 2);
    assert_int_equal(d.file[1], 1);
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

static void mapped_names(void **state)
{
    (void)state;
    xr_dataset d = { 0 };
    xr_labels l = { 0 };
    xr_data_options o = training();
    assert_int_equal(xr_labels_map(&l, "PERSON=B-PER,NONE=O"), XR_OK);
    assert_int_equal(add(&d, &l, "babo\tPERSON\nnulu\tNONE\nti\tB-PER\n", &o), XR_OK);
    assert_int_equal(l.n, 2);
    assert_int_equal(d.words.tag[2], d.words.tag[0]);
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

/* Words and tags of a text, as "word/tag word/tag | word/tag"; "-" is no tag. */
static void check_words(const char *text, xr_tagged_format format, const char *expected)
{
    xr_tagged_reader r;
    xr_str got = { 0 };
    write_scratch("words.tsv", text);
    assert_int_equal(xr_tagged_open(&r, in_scratch("words.tsv")), XR_OK);
    for (int k = 0, rc; (rc = xr_tagged_next(&r)) != 0; k++) {
        if (rc < 0)
            fail_msg("%s: %s", expected, xr_error_message());
        for (size_t i = 0; i < r.n; i++)
            assert_int_equal(xr_str_printf(&got, "%s%s/%s", i ? " " : k ? " | " : "", r.word[i].text, r.word[i].tag ? r.word[i].tag : "-"), XR_OK);
    }
    assert_string_equal(got.s, expected);
    assert_int_equal(r.format, format);
    xr_tagged_close(&r);
    xr_str_free(&got);
}

static void formats(void **state)
{
    (void)state;
    check_words("-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\nPeter NNP I-NP I-PER", XR_TAGGED_BLANK, "EU/I-ORG rejects/O | Peter/I-PER");
    check_words("-DOCSTART-\tO\n\nEU\tNNP\tI-NP\tI-ORG\n\n", XR_TAGGED_TAB, "EU/I-ORG");
    check_words("babo B-LOC\nnulu\tO\n# O\n\n# O\nti  \t O \n", XR_TAGGED_BLANK, "babo/B-LOC nulu/O #/O | #/O ti/O");
    check_words("EU NNP\tI-NP I-ORG\n. .\tO O", XR_TAGGED_BLANK, "EU/I-ORG ./O");
    check_words("#\tO\nnu lu\tO\nba O\n", XR_TAGGED_TAB, "#/O nu lu/O ba/O");
    check_words("# O\n# O\nba O\n", XR_TAGGED_BLANK, "#/O #/O ba/O");
    check_words("nu lu\n\nba\t\n", XR_TAGGED_BLANK, "nu/lu | ba/-");
    check_words("nulu\nb a\n\nba\n", XR_TAGGED_WORDS, "nulu/- b a/- | ba/-");
    check_words("# a = b\n\n# sent_id = 1\n# text = Ba #\n1\tBa\tB-PER\t-\tX\n2\t#\tO\tO\t-\n\n# x\n1\tti\tO\tO\t-\n", XR_TAGGED_IOB2, "Ba/B-PER #/O | ti/O");
    check_words("# newdoc id = x\n# text = Don't\n1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_\n"
                "1\tDo\tdo\tAUX\tVB\t_\t0\troot\t_\t_\n2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_\n"
                "2.1\tx\tx\tX\t_\t_\t_\t_\t_\t_\n", XR_TAGGED_CONLLU, "Do/AUX n't/PART");
    check_words("{\"tokens\": [\"Ba\", \"t i\"], \"ner_tags\": [\"B-PER\", \"O\"]}\n\n "
                "{\"id\": 7, \"tokens\": [\"x\"], \"tags\": [\"O\"]}\n{\"tokens\": [\"y\"]}",
                XR_TAGGED_JSONL, "Ba/B-PER t i/O | x/O | y/-");
    check_words("{ O\n} O\n", XR_TAGGED_BLANK, "{/O }/O");
}

/* The note of the start, and IOB1 that becomes IOB2. */
static void schemes(void **state)
{
    (void)state;
    xr_dataset d = { 0 };
    xr_labels l = { 0 };
    xr_data_options o = training();
    assert_int_equal(add(&d, &l, "a O\nb I-PER\nc I-PER\nd B-PER\ne I-LOC\nf O\n\ng I-LOC\n", &o), XR_OK);
    assert_non_null(strstr(notes, "columns between blanks; tags: IOB1 (3 entities begin with I-), made IOB2"));
    static const char *const iob2[] = { "O", "B-PER", "I-PER", "B-PER", "B-LOC", "O", "B-LOC" };
    for (size_t i = 0; i < d.words.n; i++)
        assert_string_equal(l.name[d.words.tag[i]], iob2[i]);
    xr_dataset_free(&d);
    xr_labels_free(&l);
    o.grow_labels = 0;      /* of a model that has B-PER, but not B-LOC */
    assert_true(xr_labels_add(&l, "O") >= 0 && xr_labels_add(&l, "I-PER") >= 0 && xr_labels_add(&l, "B-PER") >= 0 && xr_labels_add(&l, "I-LOC") >= 0);
    assert_int_equal(add(&d, &l, "a\tO\nb\tI-PER\nc\tI-LOC\n", &o), XR_OK);
    assert_string_equal(l.name[d.words.tag[1]], "B-PER");
    assert_string_equal(l.name[d.words.tag[2]], "I-LOC");
    xr_dataset_free(&d);
    xr_labels_free(&l);
    o.grow_labels = 1;
    assert_int_equal(add(&d, &l, "a\tO\nb\tU-PER\nc\tB-LOC\nd\tL-LOC\n", &o), XR_OK);
    assert_non_null(strstr(notes, "tags: BILOU"));
    xr_labels_free(&l);
    assert_int_equal(add(&d, &l, "1\tthe\tthe\tDET\t_\t_\t_\t_\t_\t_\n", &o), XR_OK);
    assert_non_null(strstr(notes, "CoNLL-U; plain tags, scored word by word"));
    xr_labels_free(&l);
    assert_int_equal(xr_labels_map(&l, "0=O,3=B-PER"), XR_OK);
    assert_int_equal(add(&d, &l, "{\"tokens\": [\"a\", \"b\"], \"ner_tags\": [0, 3]}\n", &o), XR_OK);
    assert_string_equal(l.name[1], "B-PER");
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

enum { MOST_WORDS = 40 };

/* Pieces on the nearer side of a word in example i; the sentence's own ends do not bound it. */
static size_t context(const xr_dataset *d, const size_t *at, size_t n, size_t begin, size_t size, size_t word)
{
    size_t end = begin + size, left = at[word] - begin, right = end - at[word + 1];
    (void)d;
    (void)n;
    return left < right ? left : right;
}

/* Windows of a long sentence: each word once and in order, its pieces where `row` says, and no other window with more context for it. */
static void windows(void **state)
{
    (void)state;
    const char *word[MOST_WORDS];
    int32_t tag[MOST_WORDS];
    for (size_t max_len = 6; max_len < 40; max_len += 3)
        for (size_t stride = 0; stride < 24; stride += 3) {
            xr_dataset d = { 0 };
            xr_tokens all = { 0 };
            size_t at[MOST_WORDS + 1];
            for (size_t i = 0; i < MOST_WORDS; i++) {
                static const char *const some[] = { "babo", "x", "nuluti", "sasasasa", "ti" };
                word[i] = some[(i * i + max_len) % 5];
                tag[i] = (int32_t)i;
                at[i] = all.n;
                assert_int_equal(xr_tokenizer_encode(tok, word[i], strlen(word[i]), 0, &all), XR_OK);
                assert_true(all.n - at[i] <= 4);
            }
            at[MOST_WORDS] = all.n;
            assert_int_equal(xr_dataset_add_words(&d, tok, word, tag, MOST_WORDS, max_len, stride), XR_OK);
            assert_int_equal(d.words.n, MOST_WORDS);
            size_t begin[MOST_WORDS];
            for (size_t i = 0; i < d.n; i++) {
                uint64_t first = d.words.example[i];
                assert_true(first < d.words.example[i + 1] && xr_dataset_len(&d, i) <= max_len);
                begin[i] = at[first] - (d.words.row[first] - 1);
                for (size_t t = 1; t + 1 < xr_dataset_len(&d, i); t++)
                    assert_int_equal(d.ids[d.offset[i] + t], all.v[begin[i] + t - 1].id);
            }
            for (size_t i = 0; i < d.n; i++)
                for (uint64_t w = d.words.example[i]; w < d.words.example[i + 1]; w++) {
                    assert_int_equal(d.words.tag[w], w);
                    assert_int_equal(begin[i] + d.words.row[w] - 1, at[w]);
                    assert_int_equal(d.words.len[w], at[w + 1] - at[w]);
                    size_t mine = context(&d, at, MOST_WORDS, begin[i], xr_dataset_len(&d, i) - 2, w);
                    for (size_t j = 0; j < d.n; j++)
                        if (begin[j] <= at[w] && at[w + 1] <= begin[j] + xr_dataset_len(&d, j) - 2)
                            assert_true(mine >= context(&d, at, MOST_WORDS, begin[j], xr_dataset_len(&d, j) - 2, w));
                }
            /* with half of the window shared, no word but those at the sentence's ends stands at a window's edge */
            for (size_t i = 1; i < d.n && stride >= 9 && max_len >= 21; i++)
                assert_true(d.words.row[d.words.example[i]] > 2);
            xr_tokens_free(&all);
            xr_dataset_free(&d);
        }
}

/* All pieces: more rows, B- becomes what `inside` says. */
static void all_pieces(void **state)
{
    (void)state;
    static const char *const word[] = { "sasasasa", "x", "bababababa" };
    static const int32_t tag[] = { 1, 0, -1 };
    xr_dataset d = { 0 };
    assert_int_equal(xr_dataset_add_words(&d, tok, word, tag, 3, 0, 0), XR_OK);
    const xr_words *w = &d.words;
    assert_int_equal(xr_words_rows(w, 0, 3), 3);
    d.words.all_pieces = 1;
    d.words.inside = xr_alloc(3, sizeof *d.words.inside);
    d.words.inside[1] = 2;
    assert_true(w->len[0] > 1 && w->len[2] > 1);
    assert_int_equal(xr_words_rows(w, 0, 3), w->len[0] + w->len[1] + w->len[2]);
    xr_loader_options lo = { .batch_size = 1, .micro_size = 1 };
    xr_loader *loader = xr_loader_new(&d, &lo);
    assert_int_equal(xr_loader_begin(loader, 0, 0), 1);
    const xr_batch *b = xr_loader_batch(loader, 0);
    assert_int_equal(b->n_mask, xr_words_rows(w, 0, 3));
    for (size_t i = 0; i < b->n_mask; i++) {
        assert_int_equal(b->mask_row[i], 1 + i);
        assert_int_equal(b->mask_target[i], i == 0 ? 1 : i < w->len[0] ? 2 : i < w->row[2] - 1 ? 0 : -1);
    }
    xr_loader_free(loader);
    xr_dataset_free(&d);
}

/* Batches have the rows of the words' first pieces, whatever the order and the cut. */
static void batches(void **state)
{
    (void)state;
    xr_dataset d = { 0 };
    xr_labels l = { 0 };
    xr_data_options o = training();
    xr_str text = { 0 };
    for (unsigned i = 0; i < 40; i++) {
        char sentence[256], *rest = sentence;
        snprintf(sentence, sizeof sentence, "%s", tiny_sentence(i));
        for (char *word; (word = strsep(&rest, " "));)
            assert_int_equal(xr_str_printf(&text, "%s\t%s\n", word, word[0] < 'm' ? "O" : "B-PER"), XR_OK);
        assert_int_equal(xr_str_putc(&text, '\n'), XR_OK);
    }
    o.max_len = 12;
    assert_int_equal(add(&d, &l, text.s, &o), XR_OK);
    assert_true(d.n > 40 && d.words.n_sentences == 40);
    xr_loader_options lo = { .batch_size = 16, .micro_size = 5, .shuffle = 1, .seed = 3 };
    xr_loader *loader = xr_loader_new(&d, &lo);
    size_t words = 0;
    for (size_t step = 0; step < xr_loader_steps(loader); step++) {
        int n_micro = xr_loader_begin(loader, 0, step);
        for (int k = 0; k < n_micro; k++) {
            const xr_batch *b = xr_loader_batch(loader, k);
            size_t n, at = 0;
            const uint32_t *example = xr_loader_examples(loader, k, &n);
            for (size_t s = 0; s < n; s++)
                for (uint64_t w = d.words.example[example[s]]; w < d.words.example[example[s] + 1]; w++, at++) {
                    assert_int_equal(b->mask_row[at], b->rows.offset[s] + d.words.row[w]);
                    assert_int_equal(b->mask_target[at], d.words.tag[w]);
                }
            assert_int_equal(at, b->n_mask);
            assert_null(b->label);
            words += at;
        }
    }
    assert_int_equal(words, d.words.n);
    xr_loader_free(loader);
    xr_str_free(&text);
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

static void out_of_memory(void **state)
{
    (void)state;
    xr_data_options o = training();
    long live = xr_alloc_live(), k = 0;
    o.max_len = 6;
    write_scratch("words.tsv", "en:babo\tB-PER\nen:nulu\tO\n\nen:x\tI-PER\nen:yyyyyyyyyyy\tO\nen:\tO\n");
    for (int rc = -1; rc < 0; k++) {
        xr_dataset d = { 0 };
        xr_labels l = { 0 };
        xr_alloc_fail_after(k);
        rc = xr_dataset_add_tagged(&d, in_scratch("words.tsv"), tok, &l, &o);
        if (rc >= 0)
            rc = xr_labels_sort(&l, &d);
        xr_alloc_fail_after(-1);
        if (rc < 0 && rc != XR_ESYSTEM)
            fail_msg("%s", xr_error_message());
        xr_error_clear();
        xr_dataset_free(&d);
        xr_labels_free(&l);
        assert_int_equal(xr_alloc_live(), live);
    }
    assert_true(k > 15);
}

/* The same of tags that a model has not learnt, of which one file has some, and the other no others. */
static void not_learnt_without_memory(void **state)
{
    (void)state;
    static const char *const text[] = { "babo\tI-PER\nnulu\tB-X\n", "babo\tO\nnulu\tB-X\n" };
    for (size_t i = 0; i < COUNT(text); i++) {
        long live = xr_alloc_live(), k = 0;
        for (int rc = XR_ESYSTEM; rc == XR_ESYSTEM; k++) {
            xr_dataset d = { 0 };
            xr_labels l = { 0 };
            rc = add_learnt_failing(text[i], &d, &l, k);
            assert_true(rc == XR_ESYSTEM || rc == (i == 0 ? XR_OK : XR_EDATA));
            xr_error_clear();
            xr_dataset_free(&d);
            xr_labels_free(&l);
            assert_int_equal(xr_alloc_live(), live);
        }
        assert_true(k > 15);
    }
}

/* Counts as the data's README and grep give them. */
static void real_files(void **state)
{
    (void)state;
    static const struct { const char *name; size_t sentences, words, o, b_per; } file[] = {
        { "dev-sw", 1000, 5609, 2412, 403 }, { "train-yo", 100, 564, 231, 50 }, { "dev-zh", 10000, 213682, 158532, 3845 },
    };
    const char *data = getenv("XLMR_DATA");
    if (!data || !xr_path_is_dir(data)) {
        print_message("skipped: no real data (set XLMR_DATA)\n");
        skip();
    }
    for (size_t k = 0; k < sizeof file / sizeof *file; k++) {
        char path[1024];
        xr_dataset d = { 0 };
        xr_labels l = { 0 };
        xr_data_options o = training();
        size_t count[16] = { 0 };
        o.max_len = 64;
        snprintf(path, sizeof path, "%s/ner/panx/%s.tsv.gz", data, file[k].name);
        if (xr_dataset_add_tagged(&d, path, tok, &l, &o) < 0)
            fail_msg("%s", xr_error_message());
        assert_int_equal(d.words.n_sentences, file[k].sentences);
        assert_int_equal(d.words.n, file[k].words);
        assert_int_equal(d.words.example[d.n], d.words.n);
        assert_int_equal(d.words.sentence[d.words.n_sentences], d.words.n);
        assert_int_equal(l.n, 7);
        for (size_t w = 0; w < d.words.n; w++)
            count[d.words.tag[w]]++;
        assert_int_equal(count[xr_labels_find(&l, "O")], file[k].o);
        assert_int_equal(count[xr_labels_find(&l, "B-PER")], file[k].b_per);
        xr_dataset_free(&d);
        xr_labels_free(&l);
    }
}

/* Files of shared data by format, with the counts of its README. */
static void all_real_files(void **state)
{
    (void)state;
    static const struct { const char *path; size_t sentences, words; const char *note; } file[] = {
        { "ner/masakhaner1/amh/dev.txt.gz", 250, 3749, "columns between blanks; tags: IOB2" },
        { "ner/masakhaner2/hau/dev.txt.gz", 816, 21537, "columns between blanks; tags: IOB2" },
        { "ner/uner/UNER_Serbian-SET/sr_set-ud-test.iob2.gz", 520, 11421, "Universal NER's iob2; tags: IOB2" },
        { "ner/uner/UNER_Tagalog-TRG/tl_trg-ud-test.iob2.gz", 128, 734, "Universal NER's iob2; tags: IOB2" },
        { "pos/UD_English-EWT/en_ewt-ud-dev.conllu.gz", 2001, 25147, "CoNLL-U; plain tags" },
        { "pos/UD_Turkish-IMST/tr_imst-ud-test.conllu.gz", 1100, 10032, "CoNLL-U; plain tags" },
        { "pos/UD_Yoruba-YTB/yo_ytb-ud-test.conllu.gz", 317, 8243, "CoNLL-U; plain tags" },
        { "ner/panx/dev-ar.tsv.gz", 10000, 64291, "columns between TABs; tags: IOB2" },
    };
    const char *data = getenv("XLMR_DATA");
    if (!data || !xr_path_is_dir(data)) {
        print_message("skipped: no real data (set XLMR_DATA)\n");
        skip();
    }
    for (size_t k = 0; k < COUNT(file); k++) {
        char path[1024];
        xr_dataset d = { 0 };
        xr_labels l = { 0 };
        xr_data_options o = training();
        notes[0] = '\0';
        snprintf(path, sizeof path, "%s/%s", data, file[k].path);
        if (xr_dataset_add_tagged(&d, path, tok, &l, &o) < 0)
            fail_msg("%s", xr_error_message());
        assert_int_equal(d.words.n_sentences, file[k].sentences);
        assert_int_equal(d.words.n, file[k].words);
        if (!strstr(notes, file[k].note))
            fail_msg("%s", notes);
        xr_dataset_free(&d);
        xr_labels_free(&l);
    }
}

static int set_up(void **state)
{
    if (make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    tok = xr_tokenizer_open(in_scratch("tok"));
    xr_log_set_sink(keep_note);
    return tok ? 0 : -1;
}

static int tear_down(void **state)
{
    xr_tokenizer_free(tok);
    return remove_scratch(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_tags), cmocka_unit_test(language_prefix), cmocka_unit_test(long_sentences),
        cmocka_unit_test(refusals), cmocka_unit_test(not_learnt), cmocka_unit_test(mapped_names),
        cmocka_unit_test(one_sentence), cmocka_unit_test(dash), cmocka_unit_test(skipping_and_limits),
        cmocka_unit_test(batches), cmocka_unit_test(out_of_memory), cmocka_unit_test(not_learnt_without_memory), cmocka_unit_test(real_files),
        cmocka_unit_test(formats), cmocka_unit_test(schemes), cmocka_unit_test(windows),
        cmocka_unit_test(all_pieces), cmocka_unit_test(all_real_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
