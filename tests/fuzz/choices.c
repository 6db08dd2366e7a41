/* Questions with choices. The first byte is the size of buffers. */
#include "data/choices.h"
#include "fuzz.h"

static void check_question(const xr_question *q, size_t line)
{
    if (q->n < 2 || q->n > XR_MAX_CHOICES || q->label < -1 || q->label >= (int)q->n || q->line <= line || !q->given[strspn(q->given, " \t\r\n")])
        abort();
    for (size_t k = 0; k < q->n; k++)
        if (!q->choice[k][strspn(q->choice[k], " \t\r\n")])
            abort();
}

/* A number that stands for all that came out. */
static uint64_t read_all(const char *path, size_t chunk)
{
    xr_question_reader r;
    xr_question q;
    uint64_t sum = 0;
    size_t line = 0;
    int rc;
    xr_stream_chunk(chunk);
    rc = xr_questions_open(&r, path);
    xr_stream_chunk(0);
    if (rc < 0) {
        xr_error_clear();
        return (uint64_t)-rc;
    }
    while ((rc = fuzz_got(xr_questions_next(&r, &q), &r.broken, &sum)) >= 0) {
        if (rc == 0)
            continue;
        check_question(&q, line);
        line = q.line;
        sum = sum * 31 + xr_xxh64(q.given, strlen(q.given)) + (uint64_t)(q.label + 1);
        for (size_t k = 0; k < q.n; k++)
            sum = sum * 31 + xr_xxh64(q.choice[k], strlen(q.choice[k]));
    }
    xr_questions_close(&r);
    xr_error_clear();
    return sum;
}

static void fuzz_one(const uint8_t *data, size_t n)
{
    if (n < 1)
        return;
    fuzz_both(read_all, data + 1, n - 1, 1 + data[0] % 40u);
}

static void fuzz_seeds(char **argv)
{
    static const char xcopa[] = "\3{\"premise\": \"a\", \"choice1\": \"b\", \"choice2\": \"c\", \"question\": \"cause\", \"label\": 1}\n\n"
                                "{\"context\": \"a\", \"question\": \"q\", \"answerA\": \"b\", \"answerB\": \"c\", \"correct\": \"B\"}\n[]";
    static const char swag[] = "\7{\"sent1\": \"a\", \"sent2\": \"b\", \"ending0\": \"c\", \"ending1\": \"d\", \"label\": \"0\"}\r\n"
                               "{\"ctx_a\": \"a\", \"ctx_b\": \"\", \"endings\": [\"x\", \"y\", 3], \"label\": -1}\nid,a\xFF";
    FUZZ_SEED(argv, "xcopa", xcopa);
    FUZZ_SEED(argv, "swag", swag);
}
