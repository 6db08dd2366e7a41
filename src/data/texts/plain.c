/* Plain text: one paragraph a line, an empty line between documents (CC-100). A record is a line that is not empty.
 *
 * A minimal length of documents is known to be reached or missed only while the document passes: its paragraphs are held back
 * until then. */
#include <string.h>
#include "data/text.h"
#include "util/alloc.h"
#include "util/utf8.h"

typedef struct plain {
    xr_str fixed;           /* the last line, repaired */
    xr_str held;            /* lines of a document that may be too short */
    xr_text_body body;      /* `held`, being handed out */
    size_t characters;      /* of `held` */
    int long_enough;
    int inside;             /* a document has begun */
    int goes_on;            /* the last piece did not end its line */
} plain;

static int detect(const char *head, size_t n)
{
    (void)head, (void)n;
    return 1;
}

static xr_status open(xr_text_reader *r)
{
    r->state = xr_alloc(1, sizeof(plain));
    return r->state ? XR_OK : xr_error_status();
}

/* The document ends here, or the shard. */
static void end_document(xr_text_reader *r, plain *p)
{
    if (p->held.len)
        xr_text_note(r, XR_TEXT_SHORT);
    xr_str_clear(&p->held);
    p->characters = 0;
    p->long_enough = r->o->min_length == 0;
    p->inside = 0;
}

/* A line of a document of which it is not known yet whether it is long enough. Its body opens once it is. */
static xr_status hold(xr_text_reader *r, plain *p, const char *line, size_t len)
{
    p->characters += xr_utf8_count(line, len) + (p->held.len > 0);
    XR_TRY(xr_str_append(&p->held, line, len));
    XR_TRY(xr_str_putc(&p->held, '\n'));
    if (p->characters < r->o->min_length)
        return XR_OK;
    p->body = (xr_text_body){ p->held.s, p->held.s + p->held.len, NULL, r->line, 0, p->inside };
    p->long_enough = p->inside = 1;
    return XR_OK;
}

static int next(xr_text_reader *r, xr_paragraph *out)
{
    plain *p = r->state;
    const char *line;
    size_t len;
    int whole, rc;
    for (;;) {
        if (xr_text_body_next(&p->body, out))
            return 1;
        if (p->long_enough)
            xr_str_clear(&p->held);
        int begins = !p->goes_on;
        rc = xr_text_line(r, XR_PARAGRAPH_CAP, &line, &len, &whole);
        p->goes_on = rc > 0 && !whole;
        if (rc <= 0 || xr_text_is_blank(line, len)) {
            if (rc <= 0 || (whole && begins))   /* the white end of a long line is no empty line */
                end_document(r, p);
            if (rc <= 0)
                return rc;
            continue;
        }
        r->counts.records++;
        XR_TRY(xr_text_check(r, &p->fixed, &line, &len));
        if (!p->long_enough && r->o->min_length) {
            XR_TRY(hold(r, p, line, len));
            continue;
        }
        *out = (xr_paragraph){ line, len, !p->inside, NULL, r->line };
        p->inside = 1;
        return 1;
    }
}

static void close(xr_text_reader *r)
{
    plain *p = r->state;
    xr_str_free(&p->fixed);
    xr_str_free(&p->held);
    xr_free(p);
}

const xr_text xr_text_plain = { "plain", detect, open, next, close };
