/* The command behind a configuration. */
#include <string.h>

#include "train/report_parts.h"

/* As a POSIX shell reads it back. */
static xr_status quote(const char *s, xr_str *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,=+@%";
    if (*s && strspn(s, plain) == strlen(s))
        return xr_str_puts(out, s);
    XR_TRY(xr_str_putc(out, '\''));
    for (; *s; s++)
        XR_TRY(*s == '\'' ? xr_str_puts(out, "'\\''") : xr_str_putc(out, *s));
    return xr_str_putc(out, '\'');
}

static xr_status put_value(const json_t *value, xr_str *out)
{
    if (json_is_string(value))
        return quote(json_string_value(value), out);
    return json_is_integer(value) ? xr_str_printf(out, "%lld", (long long)json_integer_value(value)) : xr_str_double(out, json_real_value(value));
}

static xr_status put_flag(const char *key, const json_t *value, xr_str *out)
{
    XR_TRY(xr_str_puts(out, json_is_false(value) ? " --no-" : " --"));
    for (; *key; key++)
        XR_TRY(xr_str_putc(out, *key == '_' ? '-' : *key));
    if (json_is_boolean(value))
        return XR_OK;
    XR_TRY(xr_str_putc(out, ' '));
    return put_value(value, out);
}

/* A list gives its flag once for each of its items. */
static xr_status put_option(const char *key, const json_t *value, xr_str *out)
{
    if (!json_is_array(value))
        return put_flag(key, value, out);
    for (size_t i = 0; i < json_array_size(value); i++)
        XR_TRY(put_flag(key, json_array_get(value, i), out));
    return XR_OK;
}

static xr_status put_changed(unsigned verb, const json_t *values, const json_t *defaults, xr_str *out)
{
    const char *key;
    json_t *value;
    XR_TRY(xr_str_printf(out, "xlmr %s", xr_verb_name(verb)));
    json_object_foreach((json_t *)values, key, value)
        if (!json_is_null(value) && !json_equal(value, json_object_get(defaults, key)))
            XR_TRY(put_option(key, value, out));
    return XR_OK;
}

xr_status xr_report_command(unsigned verb, const json_t *values, xr_str *out)
{
    xr_options o;
    xr_str command = { 0 };
    json_t *defaults = NULL;
    xr_status status = xr_options_init(&o, verb);
    if (status == XR_OK)
        status = (defaults = xr_options_to_json(&o, XR_RECIPE | XR_RUNTIME)) ? put_changed(verb, values, defaults, &command) : xr_error_status();
    if (status == XR_OK)
        status = xr_markup_put(out, "<pre class=\"command\">%s</pre>\n<p class=\"soft\">The options that differ from the defaults of xlmr %s.</p>\n",
                               command.s, XR_VERSION);
    json_decref(defaults);
    xr_str_free(&command);
    xr_options_free(&o);
    return status;
}

/* A configuration of another version may have options that this one does not know: then its text, which is shown anyway, has to do. */
xr_status xr_report_command_yaml(unsigned verb, const char *yaml, xr_str *out)
{
    xr_options o;
    json_t *values = NULL;
    xr_status status = xr_options_init(&o, verb);
    if (status == XR_OK && xr_options_yaml(&o, yaml, strlen(yaml), "config.yaml") == XR_OK)
        values = xr_options_to_json(&o, XR_RECIPE | XR_RUNTIME);
    if (xr_error_status() == XR_ECONFIG)
        xr_error_clear();
    status = xr_error_status();
    if (status == XR_OK && values)
        status = xr_report_command(verb, values, out);
    json_decref(values);
    xr_options_free(&o);
    return status;
}
