/* Questions in SQuAD's layout. The first byte chooses what a bad question is and whether it is left out, the second the size of buffers. */
#include "data/squad.h"
#include "fuzz.h"

static xr_squad_options options;

/* An answer that has a place is what the passage has there. */
static void check_answer(const xr_passage *p, const xr_gold_answer *a)
{
    if (a->begin > a->end || a->end > p->len)
        abort();
    if (a->end > a->begin && (a->end - a->begin != strlen(a->text) || memcmp(p->text + a->begin, a->text, a->end - a->begin) != 0))
        abort();
}

/* Counts are those of what is listed. */
static void check(const xr_questions *q)
{
    size_t impossible = 0, unlabelled = 0, unplaced = 0;
    for (size_t i = 0; i < q->n; i++) {
        const xr_squad_question *x = &q->v[i];
        if (x->passage >= q->n_passages || x->answer + x->n_answers > q->n_answers)
            abort();
        impossible += x->impossible != 0;
        unlabelled += !x->impossible && x->n_answers == 0;
        for (size_t k = x->answer; k < x->answer + x->n_answers; k++) {
            check_answer(&q->passage[x->passage], &q->answer[k]);
            unplaced += q->answer[k].begin == q->answer[k].end;
        }
    }
    if (impossible != q->n_impossible || unlabelled != q->n_unlabelled || unplaced != q->n_unplaced)
        abort();
}

/* A number that stands for all that came out. */
static uint64_t read_all(const char *path, size_t chunk)
{
    xr_questions q = { 0 };
    uint64_t sum = 0;
    xr_stream_chunk(chunk);
    xr_status status = xr_questions_read(&q, path, &options);
    xr_stream_chunk(0);
    if (status == XR_OK)
        check(&q);
    for (size_t i = 0; i < q.n && status == XR_OK; i++)
        sum = sum * 31 + xr_xxh64(q.v[i].id, strlen(q.v[i].id)) + xr_xxh64(q.v[i].text, strlen(q.v[i].text)) + q.v[i].n_answers;
    xr_questions_free(&q);
    xr_error_clear();
    return sum * 31 + (uint64_t)-status;
}

static void fuzz_one(const uint8_t *data, size_t n)
{
    if (n < 2)
        return;
    options = (xr_squad_options){ .need_label = data[0] & 1, .need_place = data[0] >> 1 & 1, .unique_ids = data[0] >> 2 & 1, .skip_bad = data[0] >> 3 & 1,
                                  .max_questions = data[0] & 16 ? 2 : 0, .max_bad_fraction = 1 };
    fuzz_both(read_all, data + 2, n - 2, 1 + data[1] % 40u);
}

static void fuzz_seeds(char **argv)
{
    static const char one[] = "\0\3{\"version\": \"1.1\", \"data\": [{\"title\": \"t\", \"paragraphs\": [{\"context\": \"\xC3\xA9t\xC3\xA9 in Rome\","
        "\"qas\": [{\"id\": \"a\", \"question\": \"where?\", \"answers\": [{\"text\": \"Rome\", \"answer_start\": 7},"
        "{\"text\": \"in\", \"answer_start\": 4}]}, {\"id\": \"b\", \"question\": \"when?\", \"answers\": []}]}]}]}";
    static const char two[] = "\x0f\5{\"data\": [{\"paragraphs\": [{\"context\": \"a b\", \"qas\": ["
        "{\"id\": \"x\", \"question\": \"q\", \"is_impossible\": true, \"answers\": []},"
        "{\"id\": \"x\", \"question\": \"q\", \"answers\": [{\"text\": \"b\", \"answer_start\": 1}]},"
        "{\"id\": \"y\", \"question\": \"\", \"answers\": [{\"text\": \"\", \"answer_start\": 0}]}, {\"id\": 3}]},"
        "{\"context\": \"\", \"qas\": []}]}, {}]}";
    static const char lines[] = "\7\3{\"id\": \"x\", \"context\": \"a b\", \"question\": \"q\", "
        "\"answers\": {\"text\": [\"a\", \"b\"], \"answer_start\": [0, 2]}}\r\n\n"
        "{\"id\": 2, \"context\": \"a b\", \"question\": \"q\", \"answers\": {\"text\": [], \"answer_start\": []}}\n{}";
    FUZZ_SEED(argv, "one", one);
    FUZZ_SEED(argv, "lines", lines);
    FUZZ_SEED(argv, "two", two);
}
