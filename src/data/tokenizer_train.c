/* Training a tokenizer: lines from the input files, all of them or a random sample, to sentencepiece's trainer. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "data/spm.h"
#include "data/spm_check.h"
#include "data/text.h"
#include "data/tokenizer.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/rng.h"
#include "util/stream.h"
#include "util/utf8.h"

/* The trainer's time grows faster than the length of a text without spaces, and it leaves out what is longer than
 * 4192 bytes without a word: longer lines are cut here instead. */
#define LINE_CAP ((size_t)4096)

typedef struct text { char *s; size_t len; } text;

typedef struct corpus {
    const xr_tokenizer_training *how;
    xr_text_reader reader;  /* of input[i_input - 1]; no stream: none is open */
    int i_input;
    int by_line;            /* plain text, every line of it as it is */
    const char *rest;       // [len] of the current line
    size_t len;
    long n_texts, n_reserved;
    text *sample;           // [n_sample] only with max_sentences
    size_t n_sample, cap_sample, i_sample;
} corpus;

/* ---- input ---- */

/* Whether the library's normaliser leaves something of the text. It ends the program when nothing at all is left to
 * train on. Conservative: what prints in ASCII, or any character behind Latin-1's controls that is no space and no
 * format character. */
static int has_text(const char *s, size_t len)
{
    size_t size;
    for (size_t i = 0; i < len; i += size) {
        uint32_t c = xr_utf8_decode(s + i, len - i, &size);
        int blank = c <= 0x20 || (c >= 0x7F && c < 0xC0) || xr_utf8_is_space(c) || (c >= 0x2000 && c < 0x2070) ||
                    c == 0x2581 || (c >= 0xF000 && c <= 0xFFFF);
        if (!blank)
            return 1;
    }
    return 0;
}

/* Lines of plain text are taken from below its reader, which would leave out those with NUL and cut long ones elsewhere: the same text is to give the
 * model that it always gave. Options about bad records are the reader's matter. */
static xr_status open_next(corpus *c)
{
    static const xr_text_options by_content;
    const xr_text_options *o = c->how->text ? c->how->text : &by_content;
    XR_TRY(xr_text_open(&c->reader, c->how->input[c->i_input++], o));
    c->by_line = strcmp(c->reader.format->name, "plain") == 0 && !o->skip_bad && !o->allow_truncated;
    return XR_OK;
}

static int next_plain_line(corpus *c)
{
    xr_stream *s = c->reader.stream;
    char *line;
    int got = xr_stream_line(s, &line, &c->len);
    if (got <= 0)
        return got;
    c->rest = line;
    size_t good = xr_utf8_check(line, c->len);
    if (good < c->len)
        return xr_fail(XR_EDATA, "%s:%zu: byte %zu of the line (0x%02X) is not UTF-8; convert the file (iconv) or "
                       "mend it",
                       xr_stream_path(s), xr_stream_line_number(s), good, (unsigned char)line[good]);
    return 1;
}

static int next_paragraph(corpus *c)
{
    xr_paragraph p;
    int got = xr_text_next(&c->reader, &p);
    if (got > 0) {
        c->rest = p.text;
        c->len = p.len;
    }
    return got;
}

/* The next line of the files: 1, 0 at the end, < 0 on error. */
static int next_line(corpus *c)
{
    for (;;) {
        if (!c->reader.stream) {
            if (c->i_input == c->how->n_input)
                return 0;
            XR_TRY(open_next(c));
        }
        int got = c->by_line ? next_plain_line(c) : next_paragraph(c);
        if (got != 0)
            return got;
        xr_text_close(&c->reader);
    }
}

/* Where to cut a line that is too long: behind the last space that fits, otherwise between two characters. */
static size_t cut(const char *s, size_t len)
{
    size_t at = LINE_CAP;
    if (len <= LINE_CAP)
        return len;
    while (at > 0 && s[at - 1] != ' ')
        at--;
    if (at > 0)
        return at;
    for (at = LINE_CAP; ((unsigned char)s[at] & 0xC0) == 0x80;)
        at--;
    return at;
}

/* The next text to train on, at most LINE_CAP long. Empty ones and those with the library's own mark are left out. */
static int next_text(void *context, const char **line, size_t *len)
{
    corpus *c = context;
    for (;;) {
        if (c->len == 0) {
            int got = next_line(c);
            if (got <= 0)
                return got;
        }
        *line = c->rest;
        *len = cut(c->rest, c->len);
        c->rest += *len;
        c->len -= *len;
        int reserved = memmem(*line, *len, "\xE2\x96\x81", 3) != NULL;
        c->n_reserved += reserved;
        if (reserved || !has_text(*line, *len))
            continue;
        c->n_texts++;
        return 1;
    }
}

static int next_sample(void *context, const char **line, size_t *len)
{
    corpus *c = context;
    if (c->i_sample == c->n_sample)
        return 0;
    *line = c->sample[c->i_sample].s;
    *len = c->sample[c->i_sample++].len;
    return 1;
}

/* Reservoir sampling (Vitter 1985, algorithm R) with the choice for line i a function of (seed, i) alone. */
static xr_status take_sample(corpus *c)
{
    xr_philox_key key = xr_rng_key(c->how->seed, XR_RNG_SHUFFLE);
    const char *line;
    size_t len;
    int got;
    while ((got = next_text(c, &line, &len)) > 0) {
        size_t i = (size_t)c->n_texts - 1, at = c->n_sample;
        if (c->n_texts > c->how->max_sentences) {
            at = (size_t)xr_rng_below(key, 0, (uint32_t)i, (uint32_t)(i >> 32), 0, i + 1);
            if (at >= c->n_sample)
                continue;
        } else {
            XR_TRY(xr_grow(&c->sample, &c->cap_sample, at + 1, sizeof *c->sample));
            c->sample[c->n_sample++] = (text){0};
        }
        xr_free(c->sample[at].s);
        c->sample[at] = (text){xr_strndup(line, len), len};
        if (!c->sample[at].s)
            return xr_error_status();
    }
    return got;
}

static void corpus_free(corpus *c)
{
    xr_text_close(&c->reader);
    for (size_t i = 0; i < c->n_sample; i++)
        xr_free(c->sample[i].s);
    xr_free(c->sample);
}

/* ---- training ---- */

/* The trainer adds up floats per thread, so its result depends on how many it is told to use: it is always told the
 * same number (tokenizer.cc), and a smaller number of processors is had by binding them. */
static int bind_processors(int n, cpu_set_t *before)
{
    cpu_set_t some;
    if (n <= 0 || sched_getaffinity(0, sizeof *before, before) != 0 || CPU_COUNT(before) <= n)
        return 0;
    CPU_ZERO(&some);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && n > 0; cpu++)
        if (CPU_ISSET(cpu, before)) {
            CPU_SET(cpu, &some);
            n--;
        }
    return sched_setaffinity(0, sizeof some, &some) == 0;
}

/* The library ends the program when it gets no text at all, so the first one is taken here and handed on. */
typedef struct primed { xr_spm_lines from; const char *line; size_t len; } primed;

static int next_primed(void *context, const char **line, size_t *len)
{
    primed *p = context;
    if (!p->line)
        return p->from.next(p->from.context, line, len);
    *line = p->line;
    *len = p->len;
    p->line = NULL;
    return 1;
}

static xr_status train(corpus *c, xr_spm_model *model)
{
    const xr_tokenizer_training *how = c->how;
    double coverage = how->character_coverage > 0 ? how->character_coverage : 0.999995;
    primed first = {.from = {next_text, c}};
    cpu_set_t before;
    if (how->max_sentences > 0) {
        XR_TRY(take_sample(c));
        first.from.next = next_sample;
    }
    int got = first.from.next(c, &first.line, &first.len);
    if (got <= 0)
        return got < 0 ? got : xr_fail(XR_EDATA, "%s: no line with text in the input; expected plain text, "
                                       "a sentence or paragraph a line", how->input[0]);
    int bound = bind_processors(how->threads, &before);
    xr_status status = xr_spm_train(how->vocab_size - 2, coverage, (xr_spm_lines){next_primed, &first}, model);
    if (bound)
        sched_setaffinity(0, sizeof before, &before);
    return status;
}

static xr_status check_settings(const xr_tokenizer_training *how)
{
    if (how->vocab_size < 8 || how->vocab_size > (int)XR_SPM_PIECES_CAP)
        return xr_fail(XR_EUSAGE, "vocabulary size %d; expected 8 to %zu", how->vocab_size, XR_SPM_PIECES_CAP);
    if (how->character_coverage != 0 && !(how->character_coverage >= 0.98 && how->character_coverage <= 1))
        return xr_fail(XR_EUSAGE, "character coverage %g; expected a share from 0.98 to 1, such as 0.999995",
                       how->character_coverage);
    if (how->n_input < 1)
        return xr_fail(XR_EUSAGE, "no training text; name at least one file");
    return XR_OK;
}

/* Training may take hours; whether its result can be written is asked before. */
static xr_status check_output(const char *output)
{
    const char *slash = strrchr(output, '/');
    char *dir = slash ? xr_strndup(output, (size_t)(slash - output) + 1) : xr_strdup(".");
    xr_status status = XR_OK;
    if (!dir)
        return xr_error_status();
    if (xr_path_is_dir(output))
        status = xr_fail(XR_ECANTCREAT, "%s: is a directory; name the file to write", output);
    else if (access(dir, W_OK | X_OK) != 0)
        status = xr_fail(XR_ECANTCREAT, "%s: its directory cannot be written to: %s; create it or choose another",
                         output, strerror(errno));
    xr_free(dir);
    return status;
}

xr_status xr_tokenizer_train(const xr_tokenizer_training *how, const char *output)
{
    corpus c = {.how = how};
    xr_spm_model model = {0};
    XR_TRY(check_settings(how));
    XR_TRY(check_output(output));
    xr_status status = train(&c, &model);
    if (status == XR_OK && c.n_reserved)
        xr_warn("%ld lines hold U+2581, sentencepiece's mark of a space; they were left out of the training",
                c.n_reserved);
    if (status == XR_OK)
        status = xr_spm_check(output, model.bytes, model.len);
    if (status == XR_OK)
        status = xr_file_write(output, model.bytes, model.len);
    xr_free(model.bytes);
    corpus_free(&c);
    return status;
}
