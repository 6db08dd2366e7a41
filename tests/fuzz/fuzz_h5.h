/* HDF5 files that are nearly what a reader asks for: every dataset as wished, but for what the bytes of the input say. An input of zeros gives the wish. The
 * file is whole, so that what is met is our own reading, not HDF5's of damaged files. */
#ifndef XR_TESTS_FUZZ_H5_H
#define XR_TESTS_FUZZ_H5_H

#include <hdf5.h>

#include "fuzz_dir.h"

typedef struct fuzz_wish {
    const char *name; hid_t type; hsize_t n; const void *values;
    const char *text_name, *text;       /* an attribute; NULL: none */
} fuzz_wish;

/* What is left of an input; at its end all is as wished. */
typedef struct fuzz_bytes { const uint8_t *at; size_t n; } fuzz_bytes;

static inline unsigned fuzz_take(fuzz_bytes *b, unsigned below)
{
    if (b->n == 0)
        return 0;
    b->n--;
    return *b->at++ % below;
}

static inline hid_t fuzz_type(unsigned choice, hid_t wished)
{
    const hid_t plain[] = { wished, H5T_IEEE_F32LE, H5T_IEEE_F64LE, H5T_STD_U16LE, H5T_STD_U32LE, H5T_STD_U64LE, H5T_IEEE_F32BE, H5T_STD_U64BE,
                            H5T_STD_I64LE, H5T_STD_I16LE, H5T_STD_B32LE, H5T_UNIX_D32LE, H5T_STD_U8LE, H5T_STD_REF_OBJ };
    enum { PLAIN = sizeof plain / sizeof *plain };
    hsize_t two = 2;
    hid_t type = choice < PLAIN ? H5Tcopy(plain[choice]) : H5Tcopy(H5T_C_S1);
    if (choice == PLAIN)
        H5Tset_size(type, 4);
    if (choice == PLAIN + 1)
        H5Tset_size(type, H5T_VARIABLE);
    if (choice == PLAIN + 2 || choice == PLAIN + 3 || choice == PLAIN + 4) {
        H5Tclose(type);
        type = choice == PLAIN + 2 ? H5Tvlen_create(wished) : choice == PLAIN + 3 ? H5Tarray_create2(wished, 1, &two) : H5Tcreate(H5T_COMPOUND, 8);
        if (choice == PLAIN + 4)
            H5Tinsert(type, "x", 0, H5T_IEEE_F32LE);
    }
    if (choice == PLAIN + 5) {          /* floats of our size and another layout */
        H5Tclose(type);
        type = H5Tcopy(H5T_IEEE_F32LE);
        H5Tset_fields(type, 31, 26, 5, 0, 26);
    }
    return type;
}
enum { FUZZ_TYPES = 20 };

static inline hid_t fuzz_space(unsigned choice, hsize_t n)
{
    const hsize_t most = (hsize_t)1 << 62, wide = (hsize_t)1 << 33;
    const struct { int rank; hsize_t dims[3]; } shape[] = { { 1, { n } }, { 1, { n + 1 } }, { 1, { n - 1 } }, { 2, { n, 1 } }, { 2, { 1, n } },
                                                            { 2, { n, 0 } }, { 2, { 0, n } }, { 1, { 0 } }, { 3, { n, 1, 1 } }, { 1, { most } },
                                                            { 2, { wide, wide } }, { 2, { most, 0 } }, { 1, { wide } }, { 2, { n, 3 } } };
    enum { SHAPES = sizeof shape / sizeof *shape };
    if (choice >= SHAPES)
        return H5Screate(choice == SHAPES ? H5S_SCALAR : H5S_NULL);
    return H5Screate_simple(shape[choice].rank, shape[choice].dims, NULL);
}
enum { FUZZ_SPACES = 16 };

/* Values that are addresses. */
static inline int fuzz_refers(hid_t type)
{
    return H5Tdetect_class(type, H5T_VLEN) > 0 || H5Tis_variable_str(type) > 0 || H5Tget_class(type) == H5T_REFERENCE;
}

enum { FUZZ_HUGE_CHUNK = 2, FUZZ_LAYOUTS = 10 };
/* Stored how: in chunks with or without filters, or as our files never are. */
static inline hid_t fuzz_layout(unsigned choice, hid_t space, hid_t type)
{
    hsize_t dims[3], chunk[3], most[3];
    int rank = H5Sget_simple_extent_dims(space, dims, NULL);
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    for (int i = 0; i < 3; i++) {
        chunk[i] = choice == FUZZ_HUGE_CHUNK && i == 0 ? (hsize_t)1 << 25 : choice != 1 && i < rank && dims[i] > 3 ? 4 : 1;
        most[i] = H5S_UNLIMITED;
    }
    if (choice == FUZZ_HUGE_CHUNK && rank > 0)  /* a chunk larger than the dataset, as only one that may grow has */
        H5Sset_extent_simple(space, rank, dims, most);
    if (choice <= 6 && rank > 0)
        H5Pset_chunk(create, rank, chunk);
    if (choice == 0 || choice == 3)
        H5Pset_fletcher32(create);
    if (choice == 3)
        H5Pset_deflate(create, 1);
    if (choice == 4)
        H5Pset_nbit(create);
    if (choice == 5)
        H5Pset_filter(create, 32000, H5Z_FLAG_OPTIONAL, 0, NULL);
    if (choice == 6 && !fuzz_refers(type))
        H5Pset_fill_value(create, type, "\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377");
    if (choice == 7)
        H5Pset_layout(create, H5D_COMPACT);
    if (choice == 8)
        H5Pset_external(create, "/dev/zero", 0, H5F_UNLIMITED);
    return create;
}

static inline void fuzz_attribute(hid_t object, const char *name, const char *text, unsigned choice)
{
    static char variable[] = "variable", *pointer = variable;
    hsize_t two = 2, none = 0;
    const char *value = choice == 2 ? "param/other" : choice == 3 ? "\xFF\xFE" : choice == 4 ? "" : text;
    hid_t type = choice == 6 ? H5Tcopy(H5T_STD_I32LE) : H5Tcopy(H5T_C_S1);
    hid_t space = choice == 7 ? H5Screate_simple(1, &two, NULL) : choice == 8 ? H5Screate(H5S_NULL) : choice == 9 ? H5Screate_simple(1, &none, NULL) :
                  H5Screate(H5S_SCALAR);
    if (choice != 6)
        H5Tset_size(type, choice == 5 ? H5T_VARIABLE : *value ? strlen(value) : 1);
    hid_t id = choice == 1 ? H5I_INVALID_HID : H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (id >= 0 && choice < 7 && choice != 6)
        H5Awrite(id, type, choice == 5 ? (const void *)&pointer : value);
    H5Aclose(id);
    H5Sclose(space);
    H5Tclose(type);
}
enum { FUZZ_ATTRIBUTES = 10 };

/* The values as wished where they fit, else bytes of the input. */
static inline void fuzz_write(hid_t id, hid_t type, hid_t space, const fuzz_wish *w, unsigned change)
{
    char raw[1024];
    hssize_t n = H5Sget_simple_extent_npoints(space);
    size_t size = H5Tget_size(type), wished = (size_t)w->n * H5Tget_size(w->type);
    if (n <= 0 || (size_t)n > sizeof raw / size || fuzz_refers(type))
        return;
    memset(raw, change ? (int)change : 1, sizeof raw);
    if (!change)
        memcpy(raw, w->values, wished < sizeof raw ? wished : sizeof raw);
    H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw);
}

static inline void fuzz_dataset(hid_t file, const fuzz_wish *w, fuzz_bytes *in)
{
    hid_t type = fuzz_type(fuzz_take(in, FUZZ_TYPES), w->type), space = fuzz_space(fuzz_take(in, FUZZ_SPACES), w->n);
    unsigned layout = fuzz_take(in, FUZZ_LAYOUTS);
    hid_t create = fuzz_layout(layout, space, type), links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    hid_t id = H5Dcreate2(file, w->name, type, space, links, create, H5P_DEFAULT);
    unsigned change = fuzz_take(in, 256), attribute = fuzz_take(in, FUZZ_ATTRIBUTES);
    if (id >= 0) {
        if (layout != FUZZ_HUGE_CHUNK)      /* it would be written whole */
            fuzz_write(id, type, space, w, change);
        if (w->text)
            fuzz_attribute(id, w->text_name, w->text, attribute);
    }
    H5Dclose(id);
    H5Pclose(links);
    H5Pclose(create);
    H5Sclose(space);
    H5Tclose(type);
}

/* Something else of that name, or nothing. */
static inline void fuzz_impostor(hid_t file, const fuzz_wish *w, const char *other, unsigned kind)
{
    hid_t links = H5Pcreate(H5P_LINK_CREATE), type = H5Tcopy(w->type);
    H5Pset_create_intermediate_group(links, 1);
    if (kind == 1)
        H5Gclose(H5Gcreate2(file, w->name, links, H5P_DEFAULT, H5P_DEFAULT));
    if (kind == 2)
        H5Lcreate_soft(other, file, w->name, links, H5P_DEFAULT);
    if (kind == 3)
        H5Lcreate_external("other.h5", "/x", file, w->name, links, H5P_DEFAULT);
    if (kind == 4)
        H5Lcreate_hard(file, other, file, w->name, links, H5P_DEFAULT);
    if (kind == 5)
        H5Tcommit2(file, w->name, type, links, H5P_DEFAULT, H5P_DEFAULT);
    H5Tclose(type);
    H5Pclose(links);
}
enum { FUZZ_IMPOSTORS = 7 };    /* the last: nothing at all */

/* The file `name` of the folder. wish[0] is of the root itself: only its text. */
static inline void fuzz_h5(const char *name, const fuzz_wish *wish, size_t n, fuzz_bytes *in)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    hid_t file = H5Fcreate(fuzz_path(name), H5F_ACC_TRUNC, H5P_DEFAULT, access);
    if (file < 0)
        abort();
    for (size_t i = 1; i < n; i++) {
        unsigned kind = fuzz_take(in, 2 * FUZZ_IMPOSTORS);
        if (kind == 0 || kind > FUZZ_IMPOSTORS)
            fuzz_dataset(file, &wish[i], in);
        else
            fuzz_impostor(file, &wish[i], i > 1 ? wish[i - 1].name : "/", kind);
    }
    if (wish[0].text)
        fuzz_attribute(file, wish[0].text_name, wish[0].text, fuzz_take(in, FUZZ_ATTRIBUTES));
    if (H5Fclose(file) < 0)
        abort();
    H5Pclose(access);
}

/* Before anything else: as the program does it, the library is not left to its exit handler, which loops over files that were too damaged to be closed. */
static inline void fuzz_h5_begin(void)
{
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    make_fuzz_dir();
}

/* Whoever read a file has closed all of it. */
static inline void fuzz_h5_closed(void)
{
    if (H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL) != 0)
        abort();
}

#endif
