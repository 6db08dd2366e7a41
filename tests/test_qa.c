/* Questions: SQuAD's files read strictly, windows as the tokenizers library cuts them, answers covered by the fewest pieces, answers chosen as transformers'
 * run_qa chooses them (tests/golden/qa.h), and on the real files every answer within reach. */
#include "tiny_dir.h"

#include <math.h>
#include <stdlib.h>

#include "data/loader.h"
#include "data/qa_windows.h"
#include "golden/qa.h"
#include "train/qa_answers.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/log.h"
#include "util/utf8.h"

static xr_tokenizer *tok;
static char notes[8192];

static void keep_note(xr_level level, const char *message)
{
    size_t n = strlen(notes);
    (void)level;
    snprintf(notes + n, sizeof notes - n, "%s\n", message);
}

static const xr_squad_options strict = { .need_label = 1, .need_place = 1, .unique_ids = 1 };

/* A file with one paragraph. */
static xr_status read_paragraph(xr_questions *q, const char *context, const char *qas, const xr_squad_options *o)
{
    xr_str s = { 0 };
    assert_int_equal(xr_str_printf(&s, "{\"data\": [{\"paragraphs\": [{\"context\": \"%s\", \"qas\": [%s]}]}], \"version\": \"1.1\"}", context, qas), XR_OK);
    write_scratch("qa.json", s.s);
    xr_str_free(&s);
    notes[0] = '\0';
    return xr_questions_read(q, in_scratch("qa.json"), o);
}

static void refuse(const char *context, const char *qas, const char *part)
{
    xr_questions q = { 0 };
    if (read_paragraph(&q, context, qas, &strict) == XR_OK)
        fail_msg("accepted: %s", qas);
    expect_error(XR_EDATA, part);
    xr_questions_free(&q);
}

static void refuse_file(const char *text, const char *part)
{
    xr_questions q = { 0 };
    write_scratch("qa.json", text);
    assert_int_equal(xr_questions_read(&q, in_scratch("qa.json"), &strict), XR_EDATA);
    expect_error(XR_EDATA, part);
    xr_questions_free(&q);
}

#define ASK(id, rest) "{\"id\": \"" id "\", \"question\": \"who?\"" rest "}"
#define ANSWER(at, text) "{\"text\": \"" text "\", \"answer_start\": " #at "}"

/* ---- reading ---- */

static void offsets_count_code_points(void **state)
{
    (void)state;
    xr_questions q = { 0 };
    const char *qas = ASK("a", ", \"answers\": [" ANSWER(4, "\xE6\xBC\xA2") ", " ANSWER(7, "end") "]");
    assert_int_equal(read_paragraph(&q, "\\ud800\\udf48 \xC3\xA9 \xE6\xBC\xA2\xE5\xAD\x97 end", qas, &strict), XR_OK);
    assert_int_equal(q.n, 1);
    assert_int_equal(q.v[0].n_answers, 2);
    assert_string_equal(q.answer[0].text, "\xE6\xBC\xA2");
    assert_int_equal(q.answer[0].begin, 8);
    assert_int_equal(q.answer[0].end, 11);
    assert_int_equal(q.answer[1].begin, 15);
    assert_string_equal(q.passage[q.v[0].passage].text + q.answer[1].begin, "end");
    xr_questions_free(&q);
}

static void labels(void **state)
{
    (void)state;
    const xr_squad_options loose = { .unique_ids = 1 };
    xr_questions q = { 0 };
    const char *qas = ASK("1", ", \"answers\": [" ANSWER(0, "a") "], \"is_impossible\": false") ", " ASK("2", ", \"answers\": [], \"is_impossible\": true, "
                      "\"plausible_answers\": [" ANSWER(0, "a") "]") ", " ASK("3", "") ", " ASK("4", ", \"answers\": [" ANSWER(0, "") "]") ", {\"id\": 5, "
                      "\"question\": \"x\", \"answers\": []}";
    assert_int_equal(read_paragraph(&q, "a b", qas, &loose), XR_OK);
    assert_int_equal(q.n, 5);
    assert_int_equal(q.n_impossible, 1);
    assert_int_equal(q.n_unlabelled, 3);
    assert_true(q.v[1].impossible && !q.v[0].impossible && !q.v[3].impossible && q.v[3].n_answers == 0);
    assert_string_equal(q.v[4].id, "5");
    assert_int_equal(q.n_passages, 1);
    xr_questions_free(&q);
    assert_int_equal(read_paragraph(&q, "a b", qas, &strict), XR_EDATA);
    expect_error(XR_EDATA, "data[0].paragraphs[0].qas[2], id 3: there is no answer");
    xr_questions_free(&q);
}

static void refusals(void **state)
{
    (void)state;
    refuse("a b c", ASK("x", ", \"answers\": [" ANSWER(-1, "b") "]"), "qas[0], id x: answer_start is -1; expected where 'b' begins");
    refuse("a b c", ASK("x", ", \"answers\": [" ANSWER(9, "b") "]"),
           "answer_start is 9, beyond the context of 5 code points; expected where 'b' begins (it stands at 2)");
    refuse("a b c", ASK("x", ", \"answers\": [" ANSWER(1, "b") "]"), "at answer_start 1 the context has ' b c'; expected the answer 'b' (it stands at 2)");
    refuse("a b c", ASK("x", ", \"answers\": [" ANSWER(4, "c d") "]"), "the context has 'c'; expected the answer 'c d' (it stands nowhere in the context)");
    refuse("\xC3\xA9 \xC3\xA9 c", ASK("x", ", \"answers\": [" ANSWER(6, "c") "]"), "(it stands at this byte: the offsets count bytes)");
    refuse("\\ud800\\udf48 a b", ASK("x", ", \"answers\": [" ANSWER(5, "b") "]"), "(it stands at this UTF-16 unit: the offsets count these)");
    refuse("a", ASK("x", ", \"answers\": [" ANSWER(0, "a") "], \"is_impossible\": true"), "is_impossible is true, but there are answers");
    refuse("a", ASK("x", ", \"answers\": [" ANSWER(0, "a") "]") ", " ASK("x", ", \"answers\": [" ANSWER(0, "a") "]"),
           "qas[1], id x: another question of the file");
    refuse("a", ASK("x", ", \"answers\": {}"), "\"answers\" is no list");
    refuse("a", ASK("x", ", \"answers\": {\"text\": [\"a\"], \"answer_start\": []}"), "\"answers\" is no list");
    refuse("a", ASK("x", ", \"answers\": [{\"text\": \"a\", \"answer_start\": \"0\"}]"), "an answer is not {");
    refuse("a", ASK("x", ", \"answers\": [" ANSWER(0, "a") ", " ANSWER(0, "") "]"), "an answer is not {");
    refuse("a", ASK("x", ", \"is_impossible\": 1"), "neither true nor false");
    refuse("a", "{\"question\": \"who?\"}", "qas[0]: the question has no \"id\"");
    refuse("a", "{\"id\": \"x\", \"question\": \" \\n\"}", "\"question\" is missing or empty");
    refuse("a", "{\"id\": \"x\", \"question\": \"\\u00a0\\u3000\"}", "\"question\" is missing or empty");
    refuse(" \\u3000\\n", ASK("x", ""), "data[0].paragraphs[0]: \"context\" is empty");
    refuse("a", "", "there are no questions");
    refuse_file("[]", "there is no list \"data\"");
    refuse_file("{\"data\": {}}", "there is no list \"data\"");
    refuse_file("{\"data\": [1]}", "data[0]: \"paragraphs\" is missing");
    refuse_file("{\"data\": [{\"paragraphs\": [{\"qas\": []}]}]}", "\"context\" is missing");
    refuse_file("{\"data\": [{\"paragraphs\": [{\"context\": \"a\"}]}]}", "\"qas\" is missing");
    refuse_file("{\"data\": []", "qa.json: not valid JSON");
    refuse_file("", "qa.json: is empty; expected one JSON document");
    refuse_file("za?\tkiru\n", "qa.json: is no JSON; expected one JSON document");
    refuse_file("\xEF\xBB\xBF{\"question\": \"a\"}\r\n{\"question\": \"b\"}\r\n", "qa.json:1: \"context\" is missing");
}

#define FLAT(id, context, question, texts, starts) "{\"id\": \"" id "\", \"context\": \"" context "\", \"question\": \"" question "\", " \
    "\"answers\": {\"text\": [" texts "], \"answer_start\": [" starts "]}}"

/* As datasets' to_json writes SQuAD; in a document, run_qa.py takes them too. */
static void records_of_their_own(void **state)
{
    (void)state;
    static const char *const record[] = {
        FLAT("1", "\xC3\xA9 b", "who?", "\"\xC3\xA9\", \"b\"", "0, 2"), FLAT("2", "\xC3\xA9 b", "what?", "", ""), FLAT("3", "c", "where?", "\"c\"", "0"),
        "{\"id\": 4, \"context\": \"c\", \"question\": \"when?\"}" };
    static const char *const layout[][3] = { { "", "\r\n", "\n" }, { "\n", "\n\n", "" }, { "{\"data\": [", ",", "]}" } };
    for (size_t k = 0; k < 3; k++) {
        xr_str s = { 0 };
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(xr_str_printf(&s, "%s%s", i ? layout[k][1] : layout[k][0], record[i]), XR_OK);
        assert_int_equal(xr_str_puts(&s, layout[k][2]), XR_OK);
        write_scratch("qa.json", s.s);
        xr_str_free(&s);
        xr_questions q = { 0 };
        assert_int_equal(xr_questions_read(&q, in_scratch("qa.json"), &(xr_squad_options){ .unique_ids = 1 }), XR_OK);
        assert_true(q.n == 4 && q.n_passages == 2 && q.n_answers == 3 && q.n_impossible == 1 && q.n_unlabelled == 1);
        assert_true(q.v[1].impossible && q.v[1].passage == 0 && q.v[2].passage == 1);
        assert_true(q.answer[1].begin == 3 && q.answer[1].end == 4);
        assert_string_equal(q.v[3].id, "4");
        xr_questions_free(&q);
        assert_int_equal(xr_questions_read(&q, in_scratch("qa.json"), &strict), XR_EDATA);
        expect_error(XR_EDATA, ((const char *const[]){ "qa.json:4, id 4: there is no answer", "qa.json:8, id 4: there is no answer",
                                                       "qa.json: data[3], id 4: there is no answer" })[k]);
        xr_questions_free(&q);
    }
    write_scratch("qa.json", record[0]);
    xr_questions q = { 0 };
    assert_int_equal(xr_questions_read(&q, in_scratch("qa.json"), &strict), XR_OK);
    assert_int_equal(q.n, 1);
    xr_questions_free(&q);
    refuse_file(FLAT("1", " ", "who?", "\"a\"", "0"), "qa.json:1: \"context\" is empty");
    refuse_file(FLAT("1", "a", "who?", "\"b\"", "0") "\n{", "qa.json:1, id 1: at answer_start 0 the context has 'a'");
    refuse_file(FLAT("1", "a", "who?", "\"a\"", "0") "\n{", "qa.json:2: not valid JSON");
}

static void bad_questions_are_left_out(void **state)
{
    (void)state;
    xr_squad_options o = strict;
    xr_questions q = { 0 };
    const char *qas = ASK("1", ", \"answers\": [" ANSWER(0, "a") "]") ", " ASK("2", ", \"answers\": [" ANSWER(0, "a") ", " ANSWER(1, "b") "]") ", "
                      ASK("3", ", \"answers\": [" ANSWER(2, "b") "]");
    o.skip_bad = 1;
    o.max_bad_fraction = 0.4;
    assert_int_equal(read_paragraph(&q, "a b", qas, &o), XR_OK);
    assert_int_equal(q.n, 2);
    assert_int_equal(q.n_answers, 2);
    assert_int_equal(q.n_bad, 1);
    assert_non_null(strstr(notes, "question left out"));
    assert_string_equal(q.v[1].id, "3");
    assert_int_equal(q.answer[q.v[1].answer].begin, 2);
    xr_questions_free(&q);
    o.max_bad_fraction = 0.3;
    assert_int_equal(read_paragraph(&q, "a b", qas, &o), XR_EDATA);
    expect_error(XR_EDATA, "1 of 3 questions are bad");
    xr_questions_free(&q);
    /* For scoring the text is enough. */
    assert_int_equal(read_paragraph(&q, "a b", qas, &(xr_squad_options){ .max_questions = 2 }), XR_OK);
    assert_int_equal(q.n, 2);
    assert_int_equal(q.n_unplaced, 1);
    assert_true(q.answer[2].begin == q.answer[2].end);
    xr_questions_free(&q);
}

/* ---- windows ---- */

static size_t pieces_of(const char *text)
{
    xr_tokens t = { 0 };
    assert_int_equal(xr_tokenizer_encode(tok, text, strlen(text), 0, &t), XR_OK);
    size_t n = t.n;
    xr_tokens_free(&t);
    return n;
}

/* A text of exactly n pieces: the beginning of some sentences. */
static const char *text_of(size_t n)
{
    static char text[2][512];
    static int turn;
    char *s = text[turn++ % 2];
    for (unsigned from = 0; from < 40; from++) {
        s[0] = '\0';
        for (unsigned i = from; strlen(s) < 4 * n; i++)
            snprintf(s + strlen(s), 512 - strlen(s), "%s ", tiny_sentence(i));
        for (size_t len = strlen(s); len > 0; len--) {
            s[len] = '\0';
            if (pieces_of(s) == n)
                return s;
        }
    }
    fail_msg("no text of %zu pieces", n);
    return "";
}

static void one_window_case(size_t k)
{
    xr_data_options o = { .max_len = (size_t)qa_windows[k].max_len, .doc_stride = (size_t)qa_windows[k].stride, .max_query = (size_t)qa_windows[k].n_query };
    xr_dataset d = { 0 };
    const char *question = text_of(o.max_query), *context = text_of((size_t)qa_windows[k].n_context);
    if (xr_dataset_ask(&d, tok, "x", question, context, &o) < 0)
        fail_msg("%s", xr_error_message());
    assert_int_equal(d.n, qa_windows[k].n);
    for (size_t i = 0; i < d.n; i++) {
        const xr_window *w = &d.windows.window[i];
        const int32_t *id = d.ids + d.offset[i];
        size_t n = (size_t)qa_window[(size_t)qa_windows[k].first + i].n, len = xr_dataset_len(&d, i);
        assert_int_equal(w->piece, qa_window[(size_t)qa_windows[k].first + i].piece);
        assert_int_equal(w->n, n);
        assert_int_equal(w->row, o.max_query + 3);
        assert_int_equal(len, o.max_query + n + 4);
        assert_true(id[0] == XR_ID_BOS && id[w->row - 2] == XR_ID_EOS && id[w->row - 1] == XR_ID_EOS && id[len - 1] == XR_ID_EOS);
        for (size_t p = 0; p < n; p++)
            assert_int_equal(id[w->row + p], d.windows.piece[w->piece + p].id);
        assert_true(w->start == -1 && w->end == -1);
    }
    xr_dataset_free(&d);
}

static void windows_as_tokenizers_cuts_them(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof qa_windows / sizeof *qa_windows; k++)
        one_window_case(k);
}

static void questions_are_stripped_and_cut(void **state)
{
    (void)state;
    xr_data_options o = { .max_len = 30, .doc_stride = 4, .max_query = 5 };
    xr_dataset d = { 0 };
    assert_int_equal(xr_dataset_ask(&d, tok, "x", " \xE3\x80\x80\t babo kade titi moru gafi", "babo", &o), XR_OK);
    xr_tokens t = { 0 };
    assert_int_equal(xr_tokenizer_encode(tok, "babo kade titi moru gafi", 24, 0, &t), XR_OK);
    assert_true(t.n > 5);
    assert_int_equal(d.windows.window[0].row, 8);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(d.ids[1 + i], t.v[i].id);
    xr_tokens_free(&t);
    o.max_len = 13;
    assert_int_equal(xr_dataset_ask(&d, tok, "x", "babo", "babo", &o), XR_EUSAGE);
    expect_error(XR_EUSAGE, "--max-seq-length 13: 4 specials, --max-query-length 5 and --doc-stride 4");
    xr_dataset_free(&d);
}

/* Reference: every run of pieces in order of length, the first whose union holds all bytes but white space. */
static int cover_naive(const char *text, const xr_token *p, size_t n, size_t begin, size_t end, size_t *first, size_t *last)
{
    size_t size;
    for (size_t len = 1; len <= n; len++)
        for (size_t a = 0; a + len <= n; a++) {
            int all = 1;
            for (size_t at = begin; at < end; at += size)
                if (!xr_utf8_is_space(xr_utf8_decode(text + at, end - at, &size)))
                    all &= at >= p[a].begin && at + size <= p[a + len - 1].end;
            if (all) {
                *first = a;
                *last = a + len - 1;
                return 1;
            }
        }
    return 0;
}

static void fewest_pieces(void **state)
{
    (void)state;
    const char *text = " babo  kade titi\xE3\x80\x80moru,\xEF\xB7\xBA gafi ";
    size_t len = strlen(text), size, checked = 0;
    xr_tokens t = { 0 };
    assert_int_equal(xr_tokenizer_encode(tok, text, len, 0, &t), XR_OK);
    for (size_t begin = 0; begin < len; begin += size) {
        xr_utf8_decode(text + begin, len - begin, &size);
        for (size_t end = begin + size, step; end <= len; end += step) {
            size_t a = 0, b = 0, first, last;
            int space = 1;
            for (size_t at = begin, s; at < end; at += s)
                space &= xr_utf8_is_space(xr_utf8_decode(text + at, end - at, &s));
            int found = xr_windows_cover(text, t.v, t.n, begin, end, &first, &last);
            assert_int_equal(found, !space);
            if (found) {
                assert_true(cover_naive(text, t.v, t.n, begin, end, &a, &b));
                assert_int_equal(last - first, b - a);
                assert_int_equal(first, a);
                checked++;
            }
            step = 1;
            if (end < len)
                xr_utf8_decode(text + end, len - end, &step);
        }
    }
    assert_true(checked > 300);
    xr_tokens_free(&t);
}

/* Within a word zero-width characters and marks of direction are blanks to the tokenizer; transformers' offsets leave them out of the piece behind. */
static void cut_without_unseen_blanks(void **state)
{
    (void)state;
    static const char text[] = "babo\xE2\x80\x8Ekade titi\xE2\x80\x8C\xE2\x80\x8Cmoru (\xE2\x80\x8Bgafi\xE2\x80\x8F, nulu\xEF\xBB\xBFsasa";
    static const char *const word[] = { "babo", "kade", "titi", "moru", "gafi", "nulu", "sasa" };
    xr_data_options o = { .max_len = 60, .doc_stride = 4, .max_query = 5 };
    xr_dataset d = { 0 };
    assert_int_equal(xr_dataset_ask(&d, tok, "x", "babo", text, &o), XR_OK);
    const xr_windows *w = &d.windows;
    for (size_t k = 0; k < sizeof word / sizeof *word; k++) {
        size_t at = (size_t)(strstr(text, word[k]) - text), first, last, begin, end;
        assert_true(xr_windows_cover(text, w->piece, (size_t)w->passage[1], at, at + 4, &first, &last));
        xr_windows_cut(w, 0, first, last, &begin, &end);
        assert_int_equal(begin, at);
        assert_int_equal(end, at + 4);
    }
    xr_dataset_free(&d);
}

static void labels_of_windows(void **state)
{
    (void)state;
    xr_data_options o = { .max_len = 20, .doc_stride = 4, .max_query = 5, .need_label = 1, .need_place = 1 };
    xr_dataset d = { 0 };
    const char *json = "{\"data\": [{\"paragraphs\": [{\"context\": \"babo kade titi moru gafi nulu sasa toki dedo pimi rugo lafe mibo\", \"qas\": ["
                       ASK("1", ", \"answers\": [" ANSWER(20, "gafi nulu") "]") ", " ASK("2", ", \"answers\": [], \"is_impossible\": true") ", "
                       ASK("3", ", \"answers\": ["
                       ANSWER(0, "babo kade titi moru gafi nulu sasa toki dedo pimi rugo lafe mibo") "]") "]}]}]}";
    write_scratch("qa.json", json);
    if (xr_dataset_add_squad(&d, in_scratch("qa.json"), tok, &o) < 0)
        fail_msg("%s", xr_error_message());
    const xr_windows *w = &d.windows;
    assert_int_equal(w->questions.n, 3);
    assert_int_equal(w->n_outside, 1);
    size_t holds = 0;
    for (uint64_t k = w->first[0]; k < w->first[1]; k++) {
        const xr_window *v = &w->window[k];
        size_t begin, end;
        if (v->start == 0)
            continue;
        xr_windows_cut(w, 0, v->piece + (uint32_t)v->start - v->row, v->piece + (uint32_t)v->end - v->row, &begin, &end);
        assert_int_equal(begin, 20);
        assert_int_equal(end, 29);
        holds++;
    }
    assert_true(holds >= 1 && w->first[1] > 1);
    for (uint64_t k = w->first[1]; k < w->first[3]; k++)
        assert_true(w->window[k].start == 0 && w->window[k].end == 0);
    assert_int_equal(d.n_truncated, 3);

    /* The loader hands them on. */
    xr_loader_options lo = { .batch_size = d.n };
    xr_loader *l = xr_loader_new(&d, &lo);
    assert_non_null(l);
    assert_int_equal(xr_loader_begin(l, 0, 0), 1);
    const xr_batch *b = xr_loader_batch(l, 0);
    size_t n;
    const uint32_t *example = xr_loader_examples(l, 0, &n);
    assert_non_null(b->span);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(b->span[2 * i], w->window[example[i]].start);
        assert_int_equal(b->span[2 * i + 1], w->window[example[i]].end);
    }
    xr_loader_free(l);
    xr_dataset_free(&d);
}

/* ---- answers ---- */

/* The case as a data set of one question. */
static void make_case(size_t k, xr_dataset *d, uint64_t *offset, xr_window *window, xr_token *piece, xr_squad_question *q, xr_passage *p)
{
    size_t at = 0;
    memset(d, 0, sizeof *d);
    *p = (xr_passage){ (char *)(uintptr_t)qa_cases[k].text, strlen(qa_cases[k].text) };
    *q = (xr_squad_question){ (char *)(uintptr_t)"x\"1", (char *)(uintptr_t)"who?", 0, 0, 0, 0 };
    for (int i = 0; i < qa_cases[k].n_pieces; i++)
        piece[i] = (xr_token){ 5, qa_piece[qa_cases[k].piece + i].begin, qa_piece[qa_cases[k].piece + i].end };
    for (int i = 0; i < qa_cases[k].n_windows; i++) {
        unsigned row = qa_case_window[qa_cases[k].window + i].row, n = qa_case_window[qa_cases[k].window + i].n;
        window[i] = (xr_window){ 0, row, qa_case_window[qa_cases[k].window + i].piece, n, -1, -1 };
        offset[i] = at;
        at += row + n + 1;
    }
    d->n = (size_t)qa_cases[k].n_windows;
    offset[d->n] = at;
    d->offset = offset;
    d->windows.questions.v = q;
    d->windows.questions.n = 1;
    d->windows.questions.passage = p;
    d->windows.questions.n_passages = 1;
    d->windows.window = window;
    d->windows.piece = piece;
}

static void check_case(size_t k, const xr_dataset *d)
{
    const xr_answer_options o = { (size_t)qa_cases[k].n_best, (size_t)qa_cases[k].max_tokens, qa_cases[k].none, qa_cases[k].threshold };
    xr_answers a = { 0 };
    assert_int_equal(xr_answers_find(&a, d, qa_logit + qa_cases[k].logit, 0, &o), XR_OK);
    assert_int_equal(a.n, qa_cases[k].n_answers);
    for (size_t i = 0; i < a.n; i++) {
        size_t g = (size_t)qa_cases[k].answer + i, n = a.v[i].end - a.v[i].begin;
        assert_int_equal(n, strlen(qa_answer[g].text));
        assert_memory_equal(qa_cases[k].text + a.v[i].begin, qa_answer[g].text, n);
        assert_true(a.v[i].start_logit == qa_answer[g].start && a.v[i].end_logit == qa_answer[g].end);
        assert_true(fabs(a.v[i].probability - qa_answer[g].probability) < 1e-6);
    }
    const xr_answer *chosen = &a.v[a.chosen];
    assert_int_equal(chosen->end - chosen->begin, strlen(qa_cases[k].chosen));
    assert_memory_equal(qa_cases[k].text + chosen->begin, qa_cases[k].chosen, strlen(qa_cases[k].chosen));
    assert_true(!qa_cases[k].none || fabs(a.null_odds - qa_cases[k].odds) < 1e-5);
    xr_answers_free(&a);
}

/* What a Python program would find in the files. */
static void check_files(size_t k, const xr_dataset *d)
{
    const xr_answer_options o = { (size_t)qa_cases[k].n_best, (size_t)qa_cases[k].max_tokens, qa_cases[k].none, qa_cases[k].threshold };
    xr_qa_predictions p;
    assert_int_equal(xr_qa_predict(&p, d, qa_logit + qa_cases[k].logit, &o), XR_OK);
    assert_string_equal(p.text[0], qa_cases[k].chosen);
    assert_int_equal(xr_qa_predictions_write(&p, in_scratch("answers"), o.may_be_none), XR_OK);
    json_t *best = xr_json_file(in_scratch("answers/predictions.json"), 1 << 20), *all = xr_json_file(in_scratch("answers/nbest_predictions.json"), 1 << 20);
    assert_string_equal(json_string_value(json_object_get(best, "x\"1")), qa_cases[k].chosen);
    json_t *list = json_object_get(all, "x\"1");
    assert_int_equal(json_array_size(list), qa_cases[k].n_answers);
    json_t *one = json_array_get(list, 0);
    assert_int_equal(json_object_size(one), 4);
    assert_string_equal(json_string_value(json_object_get(one, "text")), qa_answer[qa_cases[k].answer].text);
    assert_true((float)json_number_value(json_object_get(one, "start_logit")) == qa_answer[qa_cases[k].answer].start);
    assert_int_equal(xr_path_exists(in_scratch("answers/null_odds.json")), o.may_be_none);
    json_decref(best);
    json_decref(all);
    xr_qa_predictions_free(&p);
    assert_int_equal(xr_remove_tree(in_scratch("answers")), XR_OK);
}

static void answers_as_run_qa_chooses_them(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof qa_cases / sizeof *qa_cases; k++) {
        uint64_t offset[32], first[2] = { 0, (uint64_t)qa_cases[k].n_windows }, passage[2] = { 0, (uint64_t)qa_cases[k].n_pieces };
        xr_window window[32];
        xr_token piece[64];
        xr_squad_question q;
        xr_passage p;
        xr_dataset d;
        make_case(k, &d, offset, window, piece, &q, &p);
        d.windows.first = first;
        d.windows.passage = passage;
        check_case(k, &d);
        check_files(k, &d);
    }
}

static void a_passage_without_pieces_has_no_answer(void **state)
{
    (void)state;
    const float logits[14] = { 0 };
    const xr_answer_options o = { 20, 30, 0, 0.0 };
    xr_data_options how = { .max_len = 30, .doc_stride = 4, .max_query = 3 };
    xr_dataset d = { 0 };
    xr_answers a = { 0 };
    assert_int_equal(xr_dataset_ask(&d, tok, "x", "babo kade titi", " \xE2\x80\x8B ", &how), XR_OK);
    assert_int_equal(d.n, 1);
    assert_true(d.n_tokens <= 7);
    assert_int_equal(xr_answers_find(&a, &d, logits, 0, &o), XR_OK);
    assert_true(a.n == 1 && a.chosen == 0 && a.v[0].begin == a.v[0].end);
    xr_answers_free(&a);
    xr_dataset_free(&d);
}

/* ---- memory ---- */

static xr_status whole_way(void)
{
    xr_data_options o = { .max_len = 20, .doc_stride = 4, .max_query = 5, .need_label = 1, .need_place = 1 };
    const xr_answer_options how = { 20, 30, 1, 0.0 };
    xr_dataset d = { 0 };
    xr_qa_predictions p = { 0 };
    float *z = NULL;
    xr_status status = xr_dataset_add_squad(&d, in_scratch("qa.json"), tok, &o);
    if (status == XR_OK && !(z = xr_alloc(2 * (size_t)d.n_tokens, sizeof *z)))
        status = xr_error_status();
    if (status == XR_OK)
        status = xr_qa_predict(&p, &d, z, &how);
    xr_qa_predictions_free(&p);
    xr_free(z);
    xr_dataset_free(&d);
    return status;
}

static void without_memory(void)
{
    long live = xr_alloc_live(), k = 0;
    for (;; k++) {
        xr_alloc_fail_after(k);
        xr_status status = whole_way();
        xr_alloc_fail_after(-1);
        assert_int_equal(xr_alloc_live(), live);
        if (status == XR_OK)
            break;
        expect_error(XR_ESYSTEM, "");
    }
    assert_true(k > 15);
}

static void memory_runs_out(void **state)
{
    (void)state;
    xr_questions q = { 0 };
    assert_int_equal(read_paragraph(&q, "babo kade titi moru gafi nulu sasa toki", ASK("1", ", \"answers\": [" ANSWER(20, "gafi") "]"), &strict), XR_OK);
    xr_questions_free(&q);
    without_memory();
    write_scratch("qa.json", FLAT("1", "babo kade titi moru gafi nulu sasa toki", "who?", "\"gafi\", \"nulu\"", "20, 25"));
    without_memory();
}

/* ---- real files ---- */

static xr_tokenizer *real_tokenizer(const char *data)
{
    char *path = xr_path_join(data, "spm/sentencepiece.bpe.rebuilt.model");
    xr_tokenizer *t = xr_path_exists(path) ? xr_tokenizer_open(path) : NULL;
    xr_free(path);
    return t;
}

/* Every answer lies in a window and is covered by the fewest pieces. */
static void check_real(const xr_dataset *d, const char *name)
{
    const xr_windows *w = &d->windows;
    size_t labelled = 0;
    for (size_t i = 0; i < w->questions.n; i++) {
        const xr_squad_question *q = &w->questions.v[i];
        const xr_gold_answer *g = &w->questions.answer[q->answer];
        const xr_token *piece = w->piece + w->passage[q->passage];
        size_t n = (size_t)(w->passage[q->passage + 1] - w->passage[q->passage]), a, b, holds = 0;
        if (!q->n_answers)
            continue;
        assert_true(xr_windows_cover(w->questions.passage[q->passage].text, piece, n, g->begin, g->end, &a, &b));
        /* covers, and either end could not be left out */
        const char *text = w->questions.passage[q->passage].text;
        size_t begin = g->begin, end = g->end, size;
        while (xr_utf8_is_space(xr_utf8_decode(text + begin, end - begin, &size)))
            begin += size;
        assert_true(piece[a].begin <= begin && piece[a].end > begin);
        assert_true(piece[b].end >= end || xr_utf8_is_space(xr_utf8_decode(text + piece[b].end, end - piece[b].end, &size)));
        assert_true(piece[b].begin < end && piece[b].end > piece[b].begin);
        for (uint64_t k = w->first[i]; k < w->first[i + 1]; k++)
            holds += w->window[k].start > 0 && w->window[k].piece + (uint32_t)w->window[k].start - w->window[k].row == a &&
                     w->window[k].piece + (uint32_t)w->window[k].end - w->window[k].row == b;
        if (!holds)
            fail_msg("%s: question %s: no window holds the answer", name, q->id);
        labelled++;
    }
    assert_true(labelled > 0);
}

static void answers_of_real_files(void **state)
{
    (void)state;
    static const char *const files[] = { "xquad/xquad.zh.json.gz", "xquad/xquad.th.json.gz", "xquad/xquad.ar.json.gz",
                                         "mlqa/dev-context-de-question-de.json.gz", "tydiqa-goldp/tydiqa.goldp.ko.train.json.gz",
                                         "squad/dev-v2.0.slice.json.gz", "cmrc2018/cmrc2018_dev.json.gz" };
    const char *data = getenv("XLMR_DATA");
    xr_tokenizer *real = data ? real_tokenizer(data) : NULL;
    if (!real)
        skip();
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
        xr_data_options o = { .max_len = 384, .doc_stride = 128, .max_query = 64, .max_samples = 150, .need_label = 1, .need_place = 1,
                              .skip_bad = 1, .max_bad_fraction = 0.2 };
        char *path = xr_asprintf("%s/qa/%s", data, files[k]);
        xr_dataset d = { 0 };
        if (xr_dataset_add_squad(&d, path, real, &o) < 0)
            fail_msg("%s", xr_error_message());
        assert_int_equal(d.windows.questions.n, 150);
        check_real(&d, files[k]);
        xr_dataset_free(&d);
        xr_free(path);
    }
    xr_tokenizer_free(real);
}

/* TyDi's dev files have empty answers, its train files ids that repeat; CMRC has offsets of -1. */
static void oddities_of_real_files(void **state)
{
    (void)state;
    const char *data = getenv("XLMR_DATA");
    char *dev = data ? xr_asprintf("%s/qa/tydiqa-goldp/tydiqa.goldp.en.dev.json.gz", data) : NULL;
    if (!dev || !xr_path_exists(dev)) {
        xr_free(dev);
        skip();
    }
    char *train = xr_asprintf("%s/qa/tydiqa-goldp/tydiqa.goldp.sw.train.json.gz", data), *cmrc = xr_asprintf("%s/qa/cmrc2018/cmrc2018_dev.json.gz", data);
    xr_questions q = { 0 };
    assert_int_equal(xr_questions_read(&q, dev, &(xr_squad_options){ .unique_ids = 1 }), XR_OK);
    assert_true(q.n == 440 && q.n_unlabelled == 440);
    xr_questions_free(&q);
    assert_int_equal(xr_questions_read(&q, dev, &strict), XR_EDATA);
    expect_error(XR_EDATA, "there is no answer");
    xr_questions_free(&q);
    assert_int_equal(xr_questions_read(&q, train, &(xr_squad_options){ .need_label = 1, .need_place = 1 }), XR_OK);
    assert_true(q.n == 2755 && q.n_answers == 2755);
    xr_questions_free(&q);
    assert_int_equal(xr_questions_read(&q, cmrc, &strict), XR_EDATA);
    expect_error(XR_EDATA, "answer_start is -1");
    xr_questions_free(&q);
    assert_int_equal(xr_questions_read(&q, cmrc, &(xr_squad_options){ .unique_ids = 1 }), XR_OK);
    assert_true(q.n == 3219 && q.n_unplaced == 200);
    xr_questions_free(&q);
    xr_free(dev);
    xr_free(train);
    xr_free(cmrc);
}

static int make_all(void **state)
{
    if (make_scratch(state) < 0)
        return -1;
    xr_log_set_sink(keep_note);
    train_tiny_tokenizer();
    tok = xr_tokenizer_open(in_scratch("tok"));
    return tok ? 0 : -1;
}

static int free_all(void **state)
{
    xr_tokenizer_free(tok);
    return remove_scratch(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_count_code_points), cmocka_unit_test(labels), cmocka_unit_test(refusals), cmocka_unit_test(records_of_their_own),
        cmocka_unit_test(bad_questions_are_left_out),
        cmocka_unit_test(windows_as_tokenizers_cuts_them), cmocka_unit_test(questions_are_stripped_and_cut), cmocka_unit_test(fewest_pieces),
        cmocka_unit_test(cut_without_unseen_blanks),
        cmocka_unit_test(labels_of_windows), cmocka_unit_test(answers_as_run_qa_chooses_them), cmocka_unit_test(a_passage_without_pieces_has_no_answer),
        cmocka_unit_test(memory_runs_out), cmocka_unit_test(answers_of_real_files), cmocka_unit_test(oddities_of_real_files),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
