/* Trains a classifier on four sentences until it knows them, and saves it as a Hugging Face directory.
 *
 *   train_step MODEL_DIR OUTPUT_DIR */
#include <stdio.h>

#include "xr.h"

enum { N = 4, STEPS = 30 };

static const char *const labels[] = { "question", "statement" };
static const char *const text[N] = { "Where do you live?", "I live here.", "Was ist das?", "Das ist ein Haus." };
static const int32_t label[N] = { 0, 1, 0, 1 };

static void say(int level, const char *message)
{
    fprintf(stderr, "%s: %s\n", level == 2 ? "warning" : "note", message);
}

static int train(xr_context *c)
{
    xr_recipe recipe = xr_recipe_default(STEPS);
    recipe.learning_rate = 1e-3;
    if (xr_train_begin(c, &recipe) < 0)
        return -1;
    for (int step = 1; step <= STEPS; step++) {
        double loss;
        if (xr_train_step(c, text, NULL, label, N, &loss) < 0)
            return -1;
        if (step == 1 || step % 10 == 0)
            printf("step %d: loss %.4f\n", step, loss);
    }
    return 0;
}

/* How many of the four the model gets right now. */
static int count_right(xr_context *c)
{
    float logit[N][2];
    int right = 0;
    if (xr_classify(c, text, NULL, N, &logit[0][0]) < 0)
        return -1;
    for (int i = 0; i < N; i++)
        right += (logit[i][1] > logit[i][0]) == label[i];
    return right;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: train_step MODEL_DIR OUTPUT_DIR\n");
        return 2;
    }
    xr_set_log(say);
    xr_context *c = xr_open_classifier(argv[1], labels, 2, 42);
    int good = c && train(c) == 0 && xr_save(c, argv[2], 0) == 0;
    if (good)
        printf("%d of %d right; saved in %s\n", count_right(c), N, argv[2]);
    else
        fprintf(stderr, "train_step: %s\n", xr_error());
    xr_close(c);
    return good ? 0 : 1;
}
