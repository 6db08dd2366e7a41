/* Names of languages as XLM-R writes them: two letters where ISO 639-1 has them, else what the source says. */
#ifndef XR_DATA_LANGUAGE_H
#define XR_DATA_LANGUAGE_H

#include <stddef.h>

enum { XR_LANGUAGE_MAX = 32 };
#define XR_LANGUAGE_UNKNOWN "und"

/* As a record or a person writes it: "eng" and "EN" are en, "fra_Latn" is fr, "zho_Hant" is zh-hant, "eng,fra" is its first. Returns 1, or 0 when it
 * is no name of a language. */
int xr_language_parse(const char *name, char out[XR_LANGUAGE_MAX]);
/* From the name of a file, without folders and endings: en.txt.gz, en_head_0000.json.gz, cc_en_head-0091.jsonl.gz, uzn_latn.txt (uz),
 * cmn_hant.txt and zh-Hant.txt.xz (zh-hant), hi_rom.txt (hi_rom). A name of three letters that is not known here is taken as it is when the
 * file has no other: ckb.txt. Returns 1 or 0. */
int xr_language_of_file(const char *path, char out[XR_LANGUAGE_MAX]);
/* The same for files of labelled examples, whose names hold more words, so that fewer places count: at the end (train-de.tsv, xnli.dev.zh-Hant.tsv.gz,
 * squad.translate.train.en-de.json: de), before the name of a split (de-train.tsv, de.dev.tsv), and as Universal Dependencies has it
 * (de_gsd-ud-dev.conllu). 2 where the name may as well mean something else: tr.tsv and te.tsv are also called so for "train" and "test". */
int xr_language_of_examples(const char *path, char out[XR_LANGUAGE_MAX]);
/* Two letters that are a language's in ISO 639-1, or were and are still written. */
int xr_language_is_code(const char *s, size_t n);

#endif
