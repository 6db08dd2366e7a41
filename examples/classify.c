/* Classifies a pair of texts with a fine-tuned model directory and shows the tokens it sees.
 *
 *   classify DIR TEXT [PAIR [PRECISION]]
 *
 * An empty PAIR is none; PRECISION is f32, bf16 or int8. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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

static void show_labels(xr_context *c, const float *logit)
{
    double sum = 0.0;
    int n = xr_label_count(c);
    for (int k = 0; k < n; k++)
        sum += exp((double)logit[k]);
    for (int k = 0; k < n; k++)
        printf("%-16s %.4f\n", xr_label_name(c, k), exp((double)logit[k]) / sum);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: classify DIR TEXT [PAIR [PRECISION]]\n");
        return 2;
    }
    const char *text = argv[2], *pair = argc > 3 && *argv[3] ? argv[3] : NULL;
    xr_context *c = xr_open(argv[1], XR_READ);
    int n = xr_label_count(c);
    float *logit = malloc((size_t)(n > 0 ? n : 1) * sizeof *logit);
    int good = c && logit && xr_set_precision(c, argc > 4 ? argv[4] : "f32") == 0 && xr_classify(c, &text, pair ? &pair : NULL, 1, logit) == 0;
    if (good) {
        show_tokens(c, text, pair);
        show_labels(c, logit);
    } else {
        fprintf(stderr, "classify: %s\n", xr_error());
    }
    free(logit);
    xr_close(c);
    return good ? 0 : 1;
}
