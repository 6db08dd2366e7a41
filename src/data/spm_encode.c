/* Text to pieces as sentencepiece 0.1.97 does it, to the same ids and offsets: Normalizer::Normalize, unigram's EncodeOptimized and
 * PopulateSentencePieceText. Order and width of every sum are the library's, since ties decide. */
#include <string.h>

#include "data/spm_model.h"
#include "data/spm_write.h"
#include "util/alloc.h"

static const char META[] = "\xE2\x96\x81";      /* U+2581, which stands for a space */
enum { META_SIZE = 3, NONE = 0 };

/* ---- pieces at a place ---- */

/* The piece s[0..len) of hash h, NONE where that is no piece. */
static uint32_t find(const xr_spm *m, uint64_t h, const char *s, size_t len)
{
    uint32_t tag = xr_spm_tag(h), id;
    for (size_t at = xr_spm_slot_of(m, h); (id = m->slot[at].id) != NONE; at = (at + 1) & m->slot_mask) {
        const xr_spm_part *p = &m->part[id];
        if (m->slot[at].tag == tag && p->len == len && memcmp(m->text + p->text, s, len) == 0)
            return id;
    }
    return NONE;
}

/* Walks through the pieces that begin at s, from short to long. */
typedef struct walk {
    const char *s;
    size_t n, at;               /* bytes of text there, and of them those walked over */
    uint64_t hash;
    unsigned seen;
} walk;

static walk walk_from(const char *s, size_t n) { return (walk){s, n, 0, XR_SPM_HASH_START, XR_SEEN_MORE}; }

static int walk_goes_on(const walk *w) { return w->seen & XR_SEEN_MORE && w->at < w->n; }

/* One character further: the piece up to there. */
static uint32_t walk_on(const xr_spm *m, walk *w)
{
    size_t size = xr_spm_char(w->s + w->at, w->n - w->at);
    w->hash = xr_spm_hash(w->hash, w->s + w->at, size);
    w->at += size;
    w->seen = xr_spm_seen(m, w->hash);
    return w->seen & XR_SEEN_END ? find(m, w->hash, w->s, w->at) : NONE;
}

/* ---- normalising ---- */

/* Normalised text, and of each of its bytes, and of its end, where in the text it comes from. */
typedef struct normal {
    char *s; size_t s_cap;
    uint32_t *from; size_t from_cap;    // [n + 1]
    size_t n;
} normal;

/* The first `used` bytes of the text become s[0..n). */
typedef struct change { const char *s; size_t n, used; } change;

static size_t longest_user_defined(const xr_spm *m, const char *s, size_t n)
{
    size_t longest = 0;
    for (walk w = walk_from(s, n); walk_goes_on(&w);) {
        uint32_t id = walk_on(m, &w);
        if (id != NONE && m->part[id].type == XR_SPM_USER_DEFINED)
            longest = w.at;
    }
    return longest;
}

static size_t offset_of(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 0x200) >> 6); }

/* The longest rule that s begins with; *value is where its replacement begins. spm_check.c has checked that no offset leads out. */
static size_t longest_rule(const xr_spm *m, const char *s, size_t n, size_t *value)
{
    size_t longest = 0, node = m->n_rule ? offset_of(m->rule[0]) : 0;
    for (size_t i = 0; m->n_rule && i < n; i++) {
        uint32_t c = (unsigned char)s[i], unit = m->rule[node ^= c];
        if ((unit & 0x800000FF) != c)
            break;
        node ^= offset_of(unit);
        if (unit & 0x100) {
            longest = i + 1;
            *value = m->rule[node] & 0x7FFFFFFF;
        }
    }
    return longest;
}

static change next_change(const xr_spm *m, const char *s, size_t n)
{
    size_t value, used = m->n_user ? longest_user_defined(m, s, n) : 0;
    if (used)
        return (change){s, used, used};
    if ((used = longest_rule(m, s, n, &value)) > 0)
        return (change){m->rule_text + value, strlen(m->rule_text + value), used};
    used = xr_spm_char(s, n);
    return (change){s, used, used};
}

static xr_status put(normal *o, const char *s, size_t n, size_t from)
{
    XR_TRY(xr_grow(&o->s, &o->s_cap, o->n + n, 1));
    XR_TRY(xr_grow(&o->from, &o->from_cap, o->n + n + 1, sizeof *o->from));
    for (size_t i = 0; i < n; i++) {
        o->s[o->n] = s[i];
        o->from[o->n++] = (uint32_t)from;
    }
    return XR_OK;
}

static xr_status put_space(const xr_spm *m, normal *o, size_t from)
{
    return m->escape ? put(o, META, META_SIZE, from) : put(o, " ", 1, from);
}

/* after_space: spaces are dropped, since one is there or text only begins. */
static xr_status put_change(const xr_spm *m, normal *o, change c, size_t from, int *after_space)
{
    while (*after_space && c.n && *c.s == ' ')
        c.s++, c.n--;
    if (c.n == 0)
        return XR_OK;
    *after_space = m->squeeze && c.s[c.n - 1] == ' ';
    for (const char *space; m->escape && (space = memchr(c.s, ' ', c.n));) {
        size_t before = (size_t)(space - c.s);
        XR_TRY(put(o, c.s, before, from));
        XR_TRY(put_space(m, o, from));
        c.s += before + 1;
        c.n -= before + 1;
    }
    return put(o, c.s, c.n, from);
}

/* Takes spaces off the end; returns where in the text what is left ends. */
static size_t drop_end(const xr_spm *m, normal *o, size_t end)
{
    const char *space = m->escape ? META : " ";
    size_t n = strlen(space);
    while (o->n >= n && memcmp(o->s + o->n - n, space, n) == 0) {
        o->n -= n;
        end = o->from[o->n];
    }
    return end;
}

static xr_status put_text(const xr_spm *m, normal *o, const char *s, size_t len, size_t at)
{
    int after_space = m->squeeze;
    while (at < len) {
        change c = next_change(m, s + at, len - at);
        XR_TRY(put_change(m, o, c, at, &after_space));
        at += c.used;
    }
    return XR_OK;
}

static xr_status normalize(const xr_spm *m, normal *o, const char *s, size_t len)
{
    size_t at = 0;
    for (change c; m->squeeze && at < len; at += c.used) {
        c = next_change(m, s + at, len - at);
        if (c.n != 1 || *c.s != ' ')
            break;
    }
    XR_TRY(put(o, "", 0, at));
    if (at == len)
        return XR_OK;
    if (m->prefix && !m->suffix)
        XR_TRY(put_space(m, o, at));
    XR_TRY(put_text(m, o, s, len, at));
    at = m->squeeze ? drop_end(m, o, len) : len;
    if (m->prefix && m->suffix)
        XR_TRY(put_space(m, o, at));
    o->from[o->n] = (uint32_t)at;
    return XR_OK;
}

static void normal_free(normal *o)
{
    xr_free(o->s);
    xr_free(o->from);
}

xr_status xr_spm_normalize(const xr_spm *m, const char *text, size_t len, xr_str *out)
{
    normal o = {0};
    xr_status status = normalize(m, &o, text, len);
    if (status == XR_OK)
        status = xr_str_append(out, o.s ? o.s : "", o.n);
    normal_free(&o);
    return status;
}

/* ---- the best way through ---- */

/* The best way to a byte: its last piece, where that begins, and the sum of its scores. */
typedef struct node { float score; int32_t id; uint32_t from; } node;
enum { NOT_REACHED = -1 };

static void offer(node *to, double score, int32_t id, size_t from)
{
    if (to->id == NOT_REACHED || score > (double)to->score)
        *to = (node){(float)score, id, (uint32_t)from};
}

/* A user-defined piece is worth more than whatever its characters could be cut into. */
static double score_of(const xr_spm *m, uint32_t id, size_t len)
{
    const xr_spm_part *p = &m->part[id];
    return p->type == XR_SPM_USER_DEFINED ? (double)((float)len * m->max_score) - 0.1 : (double)p->score;
}

/* Offers every piece that begins at `from` to the byte behind it, and <unk> to the next character where that alone is no piece. */
static void offer_pieces(const xr_spm *m, const normal *o, node *best, size_t from)
{
    size_t first = xr_spm_char(o->s + from, o->n - from);
    float before = best[from].score;
    int alone = 0;
    for (walk w = walk_from(o->s + from, o->n - from); walk_goes_on(&w);) {
        uint32_t id = walk_on(m, &w);
        if (id == NONE || m->part[id].type == XR_SPM_UNUSED)
            continue;
        offer(&best[from + w.at], score_of(m, id, w.at) + (double)before, (int32_t)id, from);
        alone |= w.at == first;
    }
    if (!alone)
        offer(&best[from + first], (double)(m->unk_score + before), m->unk, from);
}

/* Neighbouring <unk> are one token. */
static void merge_unknown(const xr_spm *m, xr_tokens *out, size_t first)
{
    size_t n = first;
    for (size_t i = first; i < out->n; i++) {
        if (n > first && out->v[i].id == m->unk && out->v[n - 1].id == m->unk)
            out->v[n - 1].end = out->v[i].end;
        else
            out->v[n++] = out->v[i];
    }
    out->n = n;
}

static xr_status put_tokens(const xr_spm *m, const normal *o, const node *best, uint32_t base, xr_tokens *out)
{
    size_t n = 0, first = out->n;
    for (size_t at = o->n; at > 0; at = best[at].from)
        n++;
    XR_TRY(xr_grow(&out->v, &out->cap, first + n, sizeof *out->v));
    out->n += n;
    for (size_t at = o->n, i = out->n; at > 0; at = best[at].from)
        out->v[--i] = (xr_token){best[at].id, base + o->from[best[at].from], base + o->from[at]};
    merge_unknown(m, out, first);
    for (size_t i = first; i < out->n; i++)
        out->v[i].id = out->v[i].id == 0 ? (int32_t)XR_ID_UNK : out->v[i].id + 1;
    return XR_OK;
}

static xr_status best_way(const xr_spm *m, const normal *o, uint32_t base, xr_tokens *out)
{
    node *best = xr_alloc(o->n + 1, sizeof *best);
    if (!best)
        return xr_error_status();
    for (size_t i = 1; i <= o->n; i++)
        best[i].id = NOT_REACHED;
    for (size_t at = 0; at < o->n; at += xr_spm_char(o->s + at, o->n - at))
        offer_pieces(m, o, best, at);
    xr_status status = put_tokens(m, o, best, base, out);
    xr_free(best);
    return status;
}

xr_status xr_spm_encode(const xr_spm *m, const char *text, size_t len, uint32_t base, xr_tokens *out)
{
    normal o = {0};
    xr_status status = normalize(m, &o, text, len);
    if (status == XR_OK && o.n > 0)
        status = best_way(m, &o, base, out);
    normal_free(&o);
    return status;
}
