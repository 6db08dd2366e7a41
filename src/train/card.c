#include "train/card.h"

xr_status xr_card_command(xr_str *s, const xr_options *o)
{
    xr_str yaml = { 0 };
    xr_status status = xr_options_to_yaml(o, 0, &yaml);
    if (status == XR_OK)
        status = xr_str_printf(s, "## To repeat\n\n`xlmr %s --config FILE` with this file (xlmr %s):\n\n```yaml\n%s```\n", xr_verb_name(o->verb), XR_VERSION,
                               yaml.s);
    xr_str_free(&yaml);
    return status;
}
