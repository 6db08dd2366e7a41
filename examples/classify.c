/* Classifies a text or a pair of texts with a fine-tuned model directory and shows its tokens.
 *
 *   classify DIR TEXT [PAIR [PRECISION]]
 *
 * An empty PAIR is none; PRECISION is f32, bf16 or int8. What stands behind a label is its probability, or its value where the model is for regression. The
 * tokens are those of xr_encode_text, which reads "</s>" and the like as special tokens; to xr_classify they are ordinary characters, so that the model sees
 * others for a text with such a string in it. That is said where it happens. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xr.h"

static void show_tokens(xr_context *c, const char *text, const char *pair)
{
    int32_t id[512];
    long n = xr_encode_text(c, text, pair, id, 512);
    printf("tokens:");
    for (long i = 0; i < n && i < 512; i++) {
        char *piece = xr_decode_ids(c, &id[i], 1);
        printf(" %d%s%s", id[i], piece && *piece ? "=" : "", piece ? piece : "");
        xr_free_text(piece);
    }
    printf("\n");
}

static int has_special(const char *text)
{
    static const char *const special[] = { "<s>", "<pad>", "</s>", "<unk>", "<mask>" };
    int found = 0;
    for (size_t k = 0; k < sizeof special / sizeof *special; k++)
        found |= strstr(text, special[k]) != NULL;
    return found;
}

/* The softmax of label k among n. */
static double share(const float *logit, int n, int k)
{
    double sum = 0.0;
    for (int j = 0; j < n; j++)
        sum += exp((double)logit[j] - (double)logit[k]);
    return 1.0 / sum;
}

static void show_answer(xr_context *c, const float *logit)
{
    int n = xr_label_count(c), kind = xr_answer(c);
    for (int k = 0; k < n; k++) {
        double z = (double)logit[k];
        double x = kind == XR_ANSWER_VALUES ? z : kind == XR_ANSWER_ANY_LABELS ? 1.0 / (1.0 + exp(-z)) : share(logit, n, k);
        printf("%-16s %.4f\n", xr_label_name(c, k), x);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: classify DIR TEXT [PAIR [PRECISION]]\n");
        return 2;
    }
    const char *text = argv[2], *pair = argc > 3 && *argv[3] ? argv[3] : NULL;
    xr_context *c = xr_open(argv[1], XR_READ);
    float *logit = c ? malloc((size_t)(xr_label_count(c) + 1) * sizeof *logit) : NULL;      /* one more: never of no bytes */
    int good = logit && xr_set_precision(c, argc > 4 ? argv[4] : "f32") == 0 && xr_classify(c, &text, pair ? &pair : NULL, 1, logit) == 0;
    if (good) {
        show_tokens(c, text, pair);
        if (has_special(text) || (pair && has_special(pair)))
            printf("note: the answer is for other tokens: to xr_classify \"</s>\" and the like are ordinary characters\n");
        show_answer(c, logit);
    } else {
        fprintf(stderr, "classify: %s\n", xr_error());
    }
    free(logit);
    xr_close(c);
    return good ? 0 : 1;
}
