/* Power loss while token stores are made (disk.h): one that is stopped and gone on with; another in its place; one in two parts that are joined. Whatever a
 * disk holds then, what passes for a store is all of it, bit by bit; from a disk that honours syncs the same commands make the rest of it, and what had
 * returned is there. */
#include "disk.h"
#include "tiny_dir.h"

#include "data/store.h"
#include "train/prepare_plan.h"
#include "util/log.h"

enum { FILES = 4, OLD_STORE = 1, NEW_STORE, JOINED };      /* the three stores; the number of a save is that of the last that is there */

static xr_tokenizer *tokenizer;
static char path[FILES][320];
static const char *input[FILES];

static void write_input(int k)
{
    xr_str text = { 0 };
    for (unsigned i = 0; i < 20 + 10 * (unsigned)k; i++)
        assert_int_equal(xr_str_printf(&text, "%s\n%s", tiny_sentence(1000u * (unsigned)k + i), i % 3 ? "" : "\n"), XR_OK);
    snprintf(path[k], sizeof path[k], "%s/in-%d.en.txt", scratch, k);
    assert_int_equal(xr_file_write(path[k], text.s, text.len), XR_OK);
    input[k] = path[k];
    xr_str_free(&text);
}

/* --- the commands ----------------------------------------------------------------------------------------------- */

static int inputs_left;

static int stop_now(void *context)
{
    (void)context;
    return inputs_left-- == 0;
}

/* `which` store into dir; part 0: all of it. */
static xr_status prepare(const char *dir, int which, int part)
{
    xr_options o;
    xr_prepare_hooks hooks = { .stop = stop_now };
    assert_int_equal(xr_options_init(&o, XR_V_PREPARE), XR_OK);
    assert_int_equal(xr_options_set(&o, "workers", "1"), XR_OK);
    assert_int_equal(xr_options_set(&o, "min-length", which == NEW_STORE ? "20" : "0"), XR_OK);
    xr_prepare_job job = { .o = &o, .tokenizer = tokenizer, .input = input, .n_input = FILES, .output_dir = dir, .part = part, .n_parts = part ? 2 : 0,
                           .overwrite = which == NEW_STORE };
    xr_status status = xr_prepare_run(&job, &hooks, NULL);
    xr_options_free(&o);
    return status;
}

static void must_prepare(const char *dir, int which, int part)
{
    inputs_left = -1;
    if (prepare(dir, which, part) < 0)
        fail_msg("%s", xr_error_message());
}

static void must_join(const char *dir)
{
    must_prepare(dir, JOINED, 1);
    must_prepare(dir, JOINED, 2);
    if (xr_prepare_merge(dir, NULL) < 0)
        fail_msg("%s", xr_error_message());
}

static int began_second;        /* operations that were done when the second store began to take the place of the first */

static void record_stores(void)
{
    char store[PATH_LEN], joined[PATH_LEN];
    begin_recording();
    snprintf(store, sizeof store, "%.400s/data/store", where[0]);
    snprintf(joined, sizeof joined, "%.400s/joined", where[0]);
    inputs_left = 3;
    assert_int_equal(prepare(store, OLD_STORE, 0), XR_ETEMPFAIL);
    xr_error_clear();
    must_prepare(store, OLD_STORE, 0);
    end_save(OLD_STORE);
    began_second = n_ops;
    must_prepare(store, NEW_STORE, 0);
    end_save(NEW_STORE);
    must_join(joined);
    end_save(JOINED);
}

/* --- what is found ---------------------------------------------------------------------------------------------- */

/* As `verify` says: every shard has the digest of a manifest that has its own. */
static int is_accepted(const char *dir)
{
    json_t *m = xr_store_read_manifest(dir), *shard;
    size_t i;
    int good = m != NULL;
    json_array_foreach(json_object_get(m, "shards"), i, shard)
        good = good && xr_store_check_shard(dir, shard) == XR_OK;
    json_decref(m);
    return good;
}

static int is_same_file(const char *dir, const char *other, const char *name)
{
    size_t n, m;
    char one[PATH_LEN], two[PATH_LEN];
    snprintf(one, sizeof one, "%.400s/%s", dir, name);
    snprintf(two, sizeof two, "%.400s/%s", other, name);
    char *a = xr_file_read(one, 1 << 26, &n), *b = xr_file_read(two, 1 << 26, &m);
    int same = a && b && n == m && memcmp(a, b, n) == 0;
    xr_free(a);
    xr_free(b);
    xr_error_clear();
    return same;
}

/* What is accepted is, with all its shards, the store that it says it is. */
static int is_whole(const char *dir, const char *reference)
{
    json_t *m = xr_store_read_manifest(dir), *shard;
    size_t i;
    int same = is_same_file(dir, reference, XR_STORE_MANIFEST);
    json_array_foreach(json_object_get(m, "shards"), i, shard)
        same = same && is_same_file(dir, reference, json_string_value(json_object_get(shard, "file")));
    json_decref(m);
    return same;
}

typedef struct pair { const char *dir, *other; } pair;

static xr_status same_entry(const char *one, const char *name, void *context)
{
    const pair *p = context;
    if (!is_same_file(p->dir, p->other, name))
        fail_msg("%s is not as in %s", one, p->other);
    return XR_OK;
}

/* The same files, and no others. */
static void expect_same(const char *dir, const char *reference)
{
    pair there = { dir, reference }, back = { reference, dir };
    assert_int_equal(xr_dir_each(dir, same_entry, &there), XR_OK);
    assert_int_equal(xr_dir_each(reference, same_entry, &back), XR_OK);
}

/* Which store it is; 0: none that is accepted. */
static int look_at(const char *dir)
{
    if (!is_accepted(dir)) {
        xr_error_clear();
        refusals += xr_path_exists(dir);
        return 0;
    }
    int which = is_whole(dir, in_scratch("first")) ? OLD_STORE : is_whole(dir, in_scratch("second")) ? NEW_STORE : 0;
    if (!which)
        fail_msg("%s: is accepted, and was never made", dir);
    return which;
}

/* The same commands again make what an undisturbed one makes, and leave nothing else. */
static void complete(const char *store, const char *joined)
{
    int which = looking_after > began_second ? NEW_STORE : OLD_STORE;
    must_prepare(store, which, 0);
    expect_same(store, in_scratch(which == NEW_STORE ? "second" : "first"));
    if (xr_path_exists(joined)) {
        must_join(joined);
        expect_same(joined, in_scratch("first"));
    }
}

/* Or, when what had been promised to be on disk is not, something that is told from a store. */
static void try_again(const char *store)
{
    inputs_left = -1;
    if (prepare(store, looking_after > began_second ? NEW_STORE : OLD_STORE, 0) < 0)
        refusals++;
    xr_error_clear();
    (void)look_at(store);
}

static int found(const char *folder, int honest)
{
    char store[PATH_LEN], joined[PATH_LEN];
    snprintf(store, sizeof store, "%.400s/data/store", folder);
    snprintf(joined, sizeof joined, "%.400s/joined", folder);
    int which = look_at(store), in_two = look_at(joined), replacing = looking_after > began_second;
    if (honest)
        complete(store, joined);
    else
        try_again(store);
    if (which != NEW_STORE && replacing)
        which = OLD_STORE;          /* that was given up */
    return in_two && which == NEW_STORE ? JOINED : which;
}

/* Parts have manifests too: a store is committed when its command has returned. */
static const char *name_of(int k)
{
    (void)k;
    return "";
}

static void be_quiet(xr_level level, const char *message)
{
    (void)level;
    (void)message;
}

static void power_loss(void **state)
{
    (void)state;
    xr_log_set_sink(be_quiet);
    must_prepare(in_scratch("first"), OLD_STORE, 0);
    must_prepare(in_scratch("second"), NEW_STORE, 0);
    record_stores();
    replay(name_of, (extent){ 1, 200, 5000, 100 });
}

static int make_everything(void **state)
{
    if (make_disk_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    for (int k = 0; k < FILES; k++)
        write_input(k);
    tokenizer = xr_tokenizer_open(in_scratch("tok"));
    xr_prepare_shard_tokens(500);       /* some inputs become two shards */
    return tokenizer ? 0 : -1;
}

static int free_everything(void **state)
{
    xr_tokenizer_free(tokenizer);
    return remove_scratch(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup(power_loss, clear_error) };
    return cmocka_run_group_tests(tests, make_everything, free_everything);
}
