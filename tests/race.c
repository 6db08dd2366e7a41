/* Whether ThreadSanitizer's findings can be believed here (scripts/tsan.sh): "race unordered" has one race, "race" none, though it is all
 * that makes false ones: loops that follow each other, a reduction, a critical section, rows that one thread writes and another reads next. */
#include <stdio.h>
#include <string.h>

enum { N = 1000, THREADS = 4 };

int main(int argc, char **argv)
{
    static int row[N], before[N], all, parts, any;
    int unordered = argc > 1 && strcmp(argv[1], "unordered") == 0;
#pragma omp parallel for schedule(static) num_threads(THREADS)
    for (int i = 0; i < N; i++) {
        row[i] = i;
        if (unordered)
            any = i;
    }
#pragma omp parallel for schedule(dynamic, 7) num_threads(THREADS)
    for (int i = 0; i < N; i++)
        before[i] = row[N - 1 - i];
#pragma omp parallel for schedule(static) num_threads(THREADS) reduction(+ : all)
    for (int i = 0; i < N; i++)
        all += before[i];
#pragma omp parallel num_threads(THREADS)
#pragma omp critical(parts)
    parts++;
    printf("%d of %d, %d, %d\n", all, N * (N - 1) / 2, parts, any);
    return all == N * (N - 1) / 2 && parts >= 1 ? 0 : 1;
}
