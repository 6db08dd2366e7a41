/* Raw text for pretraining, paragraph by paragraph, from web-crawl shards: one format = one file in texts/.
 *
 * A shard is a stream of documents, a document a stream of paragraphs (one line each: what fairseq calls a sentence).
 * Nothing is held but the current record, so memory does not grow with the shard. Formats are told by content, never by
 * name. A record that cannot be used is an error with path and line, or skipped and counted by its reason. */
#ifndef XR_DATA_TEXT_H
#define XR_DATA_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"
#include "util/str.h"
#include "util/stream.h"

/* Why a record was not used, or how it was bent to be usable; counted in the manifest under these names. */
typedef enum xr_text_reason {
    XR_TEXT_OK,
    XR_TEXT_BAD_UTF8, XR_TEXT_NUL, XR_TEXT_BAD_JSON, XR_TEXT_NO_TEXT_FIELD, XR_TEXT_BAD_HEADER, XR_TEXT_BAD_LENGTH,
    XR_TEXT_DIGEST, XR_TEXT_TOO_LONG, XR_TEXT_TRUNCATED, XR_TEXT_DAMAGED,   /* bad records */
    XR_TEXT_NOT_CONVERSION, XR_TEXT_FILTERED, XR_TEXT_EMPTY, XR_TEXT_SHORT, XR_TEXT_DUPLICATE, XR_TEXT_NO_LANGUAGE, /* left out by rule */
    XR_TEXT_LF_HEADERS, XR_TEXT_REPLACED,                                   /* used, with a note */
    XR_TEXT_N_REASONS
} xr_text_reason;
const char *xr_text_reason_name(xr_text_reason r);      /* "bad_utf8": key in manifests and summaries */
int xr_text_reason_is_bad(xr_text_reason r);            /* counts towards --max-bad-fraction */

/* One paragraph. Strings are borrowed until the next call; what the record does not say is NULL or NaN. */
typedef struct xr_paragraph {
    const char *text; size_t len;           /* valid UTF-8 without line ends and NUL; never empty */
    int begins_document;                    /* 1: the first paragraph of a document */
    const char *language;                   /* of the record: "en"; NULL = the record does not say */
    size_t line;                            /* for messages: line of the (decompressed) shard */
} xr_paragraph;

typedef struct xr_text_options {
    const char *format;                     /* NULL = by content: plain, ccnet, wet, jsonl */
    const char *text_field;                 /* JSON lines: name of the text; NULL = raw_content, text, content: the first that is there */
    double min_language_score;              /* cc_net; 0 = all */
    double max_perplexity;                  /* cc_net; 0 = all */
    const char *buckets;                    /* cc_net: "head,middle"; NULL = all */
    size_t min_length;                      /* characters of a document (cc_net's own filter is 300); 0 = all */
    int verify_digest;                      /* WET: check WARC-Block-Digest */
    int replace_bad_utf8;                   /* 1: U+FFFD instead of a bad record */
    int skip_bad;                           /* --on-bad-record skip */
    double max_bad_fraction;                /* with skip_bad: more than this share of the shard's records is an error at its end */
    int allow_truncated;                    /* a cut shard is used up to the cut without failing */
} xr_text_options;

/* Counts of one shard; valid at any time. */
typedef struct xr_text_counts {
    uint64_t records, documents, paragraphs, bytes;     /* bytes: of text handed out */
    uint64_t reason[XR_TEXT_N_REASONS];
} xr_text_counts;

typedef struct xr_text_reader xr_text_reader;
struct xr_text_reader {
    const struct xr_text *format;
    xr_stream *stream;
    const xr_text_options *o;               /* borrowed */
    xr_text_counts counts;
    void *state;                            /* the format's own */
    xr_text_reason bad;                     /* set by a format with its error: only this record cannot be used */
    int shown;                              /* bad records shown */
    int cut;                                /* the shard ends inside a record */
    int ended;
    size_t taken;                           /* bytes of the line lent out, to be skipped */
    int no_lf;                              /* it had no line end: the last of the shard */
    size_t line;                            /* of the record being read, for messages */
};

/* A format: one file in texts/, registered by being there. */
typedef struct xr_text {
    const char *name;                                           /* value of --text-format: plain, ccnet, wet, jsonl */
    int (*detect)(const char *head, size_t n);                  /* first bytes of the decompressed shard; 0 = not mine, higher wins */
    xr_status (*open)(xr_text_reader *r);
    int (*next)(xr_text_reader *r, xr_paragraph *out);          /* 1 paragraph, 0 end, < 0 error */
    void (*close)(xr_text_reader *r);
} xr_text;
extern const xr_text *const xr_texts[];     /* generated from texts/, NULL-terminated */

xr_status xr_text_open(xr_text_reader *r, const char *path, const xr_text_options *o);
/* 1 = a paragraph, 0 = end, < 0 = error. With skip_bad, bad records are counted and passed over (the first five of a shard are
 * shown); XR_EDATA at the end of a shard with more than max_bad_fraction bad records, or that was cut (unless allow_truncated). */
int xr_text_next(xr_text_reader *r, xr_paragraph *out);
void xr_text_close(xr_text_reader *r);

/* For the formats. */
/* Longer paragraphs come in pieces, cut behind white space or between two characters. Tokenizing takes time that grows with the square of a run of
 * unknown characters (docs/decisions.md), so that the cap bounds it. */
#define XR_PARAGRAPH_CAP ((size_t)1 << 16)

/* Only this record cannot be used: leaves its reason and the message, which begins with path and line. */
xr_status xr_text_bad(xr_text_reader *r, xr_text_reason reason, const char *format, ...) __attribute__((format(printf, 3, 4)));
void xr_text_note(xr_text_reader *r, xr_text_reason reason);    /* counts it */
/* Next line without its LF or CRLF, or the next piece of at most `cap` bytes of a longer one (*whole = 0 unless it ends the line).
 * Sets r->line. 1, 0 = end, < 0. Borrowed until the next call. */
int xr_text_line(xr_text_reader *r, size_t cap, const char **line, size_t *len, int *whole);
/* The text is UTF-8 without NUL, or repaired into *copy where the options say so (*text then points there); else a bad record. */
xr_status xr_text_check(xr_text_reader *r, xr_str *copy, const char **text, size_t *len);
int xr_text_is_blank(const char *s, size_t len);                /* white space only */
int xr_text_is_missing(const char *s);                          /* NULL, or white space only */

/* A document that is in memory, handed out paragraph by paragraph. */
typedef struct xr_text_body {
    const char *at, *end;
    const char *language;
    size_t line;            /* of `at` */
    int by_line;            /* its lines are lines of the shard */
    int begun;
} xr_text_body;
/* Begins a document, or leaves it out and counts why: EMPTY, SHORT. Returns 1 or 0. */
int xr_text_body_open(xr_text_reader *r, xr_text_body *b, const char *text, size_t len);
int xr_text_body_next(xr_text_body *b, xr_paragraph *out);      /* 1 or 0 */

#endif
