/* A checked sentencepiece file becomes a table of pieces. */
#include <float.h>
#include <string.h>

#include "data/spm_model.h"
#include "data/spm_write.h"
#include "util/alloc.h"

/* Fields of ModelProto, TrainerSpec and NormalizerSpec (sentencepiece_model.proto). */
enum { FIELD_PIECE = 1, FIELD_TRAINER = 2, FIELD_NORMALIZER = 3 };
enum { FIELD_SUFFIX = 24 };
enum { FIELD_CHARSMAP = 2, FIELD_PREFIX = 3, FIELD_SQUEEZE = 4, FIELD_ESCAPE = 5 };

enum { SEEN_PER_PIECE = 16 };       /* entries of the filter; XLM-R's pieces have 2.4 different beginnings each */

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ---- pieces ---- */

static xr_status add_piece(xr_spm *m, size_t *cap, size_t *text, const xr_spm_entry *e)
{
    XR_TRY(xr_grow(&m->part, cap, m->n + 1, sizeof *m->part));
    memcpy(m->text + *text, e->text, e->len);
    if (e->type == XR_SPM_UNKNOWN)
        m->unk = (int32_t)m->n;
    m->n_user += e->type == XR_SPM_USER_DEFINED;
    m->part[m->n++] = (xr_spm_part){(uint32_t)*text, e->score, (uint16_t)e->len, (uint8_t)e->type};
    *text += e->len + 1;
    return XR_OK;
}

static void find_scores(xr_spm *m)
{
    float worst = FLT_MAX;
    m->max_score = FLT_MIN;         /* as in the library: the least positive number, not the most negative one */
    for (size_t i = 0; i < m->n; i++) {
        float score = m->part[i].score;
        if (m->part[i].type != XR_SPM_NORMAL)
            continue;
        worst = score < worst ? score : worst;
        m->max_score = score > m->max_score ? score : m->max_score;
    }
    m->unk_score = worst - 10.0f;
}

/* ---- the table ---- */

static int is_text(int type) { return type == XR_SPM_NORMAL || type == XR_SPM_USER_DEFINED || type == XR_SPM_UNUSED; }

static void mark(xr_spm *m, uint64_t h, unsigned bits)
{
    size_t at = xr_spm_seen_of(m, h);
    m->seen[at / 4] |= (uint8_t)(bits << 2 * (at % 4));
}

static void insert(xr_spm *m, size_t id)
{
    const xr_spm_part *p = &m->part[id];
    const char *s = m->text + p->text;
    uint64_t h = XR_SPM_HASH_START;
    for (size_t at = 0, n; at < p->len; at += n) {
        n = xr_spm_char(s + at, p->len - at);
        h = xr_spm_hash(h, s + at, n);
        mark(m, h, at + n < p->len ? XR_SEEN_MORE : XR_SEEN_END);
    }
    size_t at = xr_spm_slot_of(m, h);
    while (m->slot[at].id)
        at = (at + 1) & m->slot_mask;
    m->slot[at] = (xr_spm_slot){(uint32_t)id, xr_spm_tag(h)};
}

static xr_status make_table(xr_spm *m)
{
    size_t size = 64;
    while (size < 2 * m->n)
        size *= 2;
    m->slot_mask = size - 1;
    m->seen_mask = size / 2 * SEEN_PER_PIECE - 1;
    m->slot = xr_alloc(size, sizeof *m->slot);
    m->seen = xr_alloc((m->seen_mask + 1) / 4, 1);
    if (!m->slot || !m->seen)
        return xr_error_status();
    for (size_t id = 0; id < m->n; id++)
        if (is_text(m->part[id].type))
            insert(m, id);
    return XR_OK;
}

/* ---- settings ---- */

static xr_status read_charsmap(xr_spm *m, xr_wire s)
{
    xr_free(m->rule);
    xr_free(m->rule_text);
    m->rule = NULL, m->rule_text = NULL, m->n_rule = 0;
    if (s.p == s.end)
        return XR_OK;
    size_t table = load32(s.p), texts = (size_t)(s.end - s.p) - 4 - table;
    m->rule = xr_alloc(table / 4, sizeof *m->rule);
    m->rule_text = xr_alloc(texts, 1);
    if (!m->rule || !m->rule_text)
        return xr_error_status();
    m->n_rule = table / 4;
    for (size_t i = 0; i < m->n_rule; i++)
        m->rule[i] = load32(s.p + 4 + 4 * i);
    memcpy(m->rule_text, s.p + 4 + table, texts);
    return XR_OK;
}

static xr_status read_normalizer(xr_spm *m, xr_wire s)
{
    while (s.p < s.end) {
        xr_wire_field f = xr_wire_take(&s);
        uint8_t on = f.value != 0;
        switch (f.number) {
        case FIELD_CHARSMAP: XR_TRY(read_charsmap(m, f.bytes)); break;
        case FIELD_PREFIX: m->prefix = on; break;
        case FIELD_SQUEEZE: m->squeeze = on; break;
        case FIELD_ESCAPE: m->escape = on; break;
        default: break;
        }
    }
    return XR_OK;
}

static void read_trainer(xr_spm *m, xr_wire s)
{
    while (s.p < s.end) {
        xr_wire_field f = xr_wire_take(&s);
        if (f.number == FIELD_SUFFIX)
            m->suffix = f.value != 0;
    }
}

/* ---- the whole ---- */

static xr_status read_fields(xr_spm *m, xr_wire s)
{
    size_t cap = 0, text = 0;
    while (s.p < s.end) {
        xr_wire_field f = xr_wire_take(&s);
        if (f.number == FIELD_PIECE) {
            xr_spm_entry e = xr_spm_read_entry(&f);
            XR_TRY(add_piece(m, &cap, &text, &e));
        } else if (f.number == FIELD_TRAINER) {
            read_trainer(m, f.bytes);
        } else if (f.number == FIELD_NORMALIZER) {
            XR_TRY(read_normalizer(m, f.bytes));
        }
    }
    return XR_OK;
}

static xr_status load(xr_spm *m, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    m->prefix = m->squeeze = m->escape = 1;
    m->text = xr_alloc(len, 1);             /* a piece and its NUL take less than its field in the file */
    if (!m->text)
        return xr_error_status();
    XR_TRY(read_fields(m, (xr_wire){p, p + len}));
    find_scores(m);
    return make_table(m);
}

xr_spm *xr_spm_load(const void *bytes, size_t len)
{
    xr_spm *m = xr_alloc(1, sizeof *m);
    if (m && load(m, bytes, len) < 0) {
        xr_spm_free(m);
        m = NULL;
    }
    return m;
}

void xr_spm_free(xr_spm *m)
{
    if (!m)
        return;
    xr_free(m->part);
    xr_free(m->text);
    xr_free(m->slot);
    xr_free(m->seen);
    xr_free(m->rule);
    xr_free(m->rule_text);
    xr_free(m);
}

int xr_spm_size(const xr_spm *m) { return (int)m->n; }
const char *xr_spm_piece(const xr_spm *m, int id) { return m->text + m->part[id].text; }
