#include "cli/help.h"

#include <stdio.h>
#include <string.h>
#include "train/options_set.h"

enum { FLAG_WIDTH = 30, WIDTH = 100 };

static const char program[] = "train, fine-tune, evaluate and run XLM-RoBERTa on the CPU";
static const char program_usage[] = "xlmr COMMAND [--config FILE.yaml] [--KEY VALUE ...]";
static const char more_help[] = "xlmr COMMAND -h shows examples and the main options, --help all of them. xlmr --version prints the version.\n";
static const char *const group_title[XR_N_GROUPS] = {
    "Input", "Output", "Steps", "Optimisation", "Loss and regularisation", "Watching and choosing", "Common"
};

/* "--learning-rate X", "--[no-]quiet" */
static xr_status put_flag(xr_str *out, const xr_option *r)
{
    char flag[XR_KEY_MAX];
    int on = r->type == XR_OPT_BOOL && r->def && strcmp(r->def, "true") == 0;
    XR_TRY(xr_str_printf(out, "--%s%s", on ? "no-" : "", xr_option_flag(r->key, flag)));
    return r->meta ? xr_str_printf(out, " %s", r->meta) : XR_OK;
}

/* " [default 5; 1 to 1000000]", " [required]", or nothing. */
static xr_status put_facts(xr_str *out, const xr_option *r)
{
    int number = r->type == XR_OPT_INT || r->type == XR_OPT_FLOAT;
    if (r->flags & XR_REQUIRED)
        return xr_str_puts(out, " [required]");
    if (r->type == XR_OPT_BOOL)
        return strcmp(r->def, "true") == 0 ? xr_str_puts(out, " [default: done]") : XR_OK;
    if (!r->def)
        return XR_OK;
    XR_TRY(xr_str_printf(out, " [default %s", r->def));
    if (number) {
        XR_TRY(xr_str_puts(out, "; "));
        XR_TRY(xr_option_number(r, r->min, out));
        XR_TRY(xr_str_puts(out, " to "));
        XR_TRY(xr_option_number(r, r->max, out));
    }
    return xr_str_putc(out, ']');
}

/* For a switch that is on by default the help shows --no-X, so the sentence is turned round with it. */
static xr_status put_sentence(xr_str *out, const xr_option *r)
{
    int on = r->type == XR_OPT_BOOL && strcmp(r->def, "true") == 0;
    XR_TRY(xr_str_printf(out, "%s%s", on ? "do not " : "", r->help));
    return put_facts(out, r);
}

/* Appends `text` broken at blanks, each further line indented to FLAG_WIDTH; `column` is where the first word goes. */
static xr_status put_wrapped(xr_str *out, const char *text, size_t column)
{
    for (const char *p = text; *p;) {
        size_t word = strcspn(p, " ");
        if (column > FLAG_WIDTH && column + 1 + word > WIDTH) {
            XR_TRY(xr_str_printf(out, "\n%*s", FLAG_WIDTH, ""));
            column = FLAG_WIDTH;
        } else if (p != text) {
            XR_TRY(xr_str_putc(out, ' '));
            column++;
        }
        XR_TRY(xr_str_append(out, p, word));
        column += word;
        p += word + (p[word] == ' ');
    }
    return xr_str_putc(out, '\n');
}

static xr_status put_row(xr_str *out, const xr_option *r)
{
    xr_str flag = { 0 }, text = { 0 };
    xr_status st = put_flag(&flag, r);
    if (st >= 0)
        st = put_sentence(&text, r);
    if (st >= 0)
        st = flag.len + 4 <= FLAG_WIDTH ? xr_str_printf(out, "  %-*s", FLAG_WIDTH - 2, flag.s)
                                        : xr_str_printf(out, "  %s\n%*s", flag.s, FLAG_WIDTH, "");
    if (st >= 0)
        st = put_wrapped(out, text.s, FLAG_WIDTH);
    xr_str_free(&flag);
    xr_str_free(&text);
    return st;
}

static xr_status put_usage(xr_str *out, const xr_cmd *c)
{
    if (c->verb & XR_V_ESTIMATE)        /* its first argument decides what options there are */
        return xr_str_printf(out, "xlmr %s %s", c->name, c->positional);
    return xr_str_printf(out, "xlmr %s [--config FILE.yaml] [--KEY VALUE ...]%s%s", c->name, c->positional ? " " : "",
                         c->positional ? c->positional : "");
}

/* The first `lines` lines of the examples, indented. */
static xr_status put_examples(xr_str *out, const xr_cmd *c, int lines)
{
    for (const char *p = c->examples; p && *p && lines > 0; lines--) {
        size_t n = strcspn(p, "\n");
        XR_TRY(xr_str_puts(out, "  "));
        XR_TRY(xr_str_append(out, p, n));
        XR_TRY(xr_str_putc(out, '\n'));
        p += n + (p[n] == '\n');
    }
    return XR_OK;
}

static xr_status put_group(xr_str *out, const xr_cmd *c, int group, unsigned flags)
{
    size_t n, shown = 0;
    const xr_option *table = xr_option_table(&n);
    for (size_t i = 0; i < n; i++) {
        xr_option r = table[i];
        if (!(r.verbs & c->verb) || (int)r.group != group || (flags && !(r.flags & flags)))
            continue;
        if (c->verb & XR_V_ESTIMATE)        /* it needs nothing of what the command that it is about needs */
            r.flags &= ~(unsigned)XR_REQUIRED;
        if (!shown++ && !flags)
            XR_TRY(xr_str_printf(out, "\n%s\n", group_title[group]));
        XR_TRY(put_row(out, &r));
    }
    return XR_OK;
}

static int has_main(const xr_cmd *c)
{
    size_t n, found = 0;
    const xr_option *table = xr_option_table(&n);
    for (size_t i = 0; i < n; i++)
        found += (table[i].verbs & c->verb) && (table[i].flags & XR_MAIN);
    return found > 0;
}

static xr_status build_help(xr_str *out, const xr_cmd *c, int full)
{
    XR_TRY(xr_str_printf(out, "xlmr %s: %s\n\nusage: ", c->name, c->summary));
    XR_TRY(put_usage(out, c));
    XR_TRY(xr_str_puts(out, "\n\nExamples\n"));
    XR_TRY(put_examples(out, c, full ? 100 : 2));
    if (!full && has_main(c))
        XR_TRY(xr_str_puts(out, "\nMain options\n"));
    for (int g = 0; g < XR_N_GROUPS; g++)
        XR_TRY(put_group(out, c, g, full ? 0 : XR_MAIN));
    if (!full)
        return xr_str_printf(out, "\nAll options: xlmr %s --help\n", c->name);
    return xr_str_puts(out, "\nEvery option can stand in the YAML file of --config, as \"learning_rate: 2e-5\", but those that only look (--print-config "
                            "and the like); a flag wins over the file.\n"
                            "A switch is turned off by --no-SWITCH. Exit codes: man page, xlmr help --man VERB.\n");
}

xr_status xr_help_print(const xr_cmd *c, int full)
{
    xr_str out = { 0 };
    xr_status st = build_help(&out, c, full);
    if (st >= 0)
        st = xr_out_bytes(out.s, out.len);
    xr_str_free(&out);
    return st;
}

static xr_status build_program(xr_str *out)
{
    XR_TRY(xr_str_printf(out, "xlmr: %s\n\nusage: %s\n\nCommands\n", program, program_usage));
    for (const xr_cmd *const *c = xr_cmds; *c; c++)
        if ((*c)->verb & XR_V_ALL)
            XR_TRY(xr_str_printf(out, "  %-18s%s\n", (*c)->name, (*c)->summary));
    return xr_str_printf(out, "\n%s", more_help);
}

xr_status xr_help_program(int to_stdout)
{
    xr_str out = { 0 };
    xr_status st = build_program(&out);
    if (st >= 0) {
        if (to_stdout)
            st = xr_out_bytes(out.s, out.len);
        else
            fputs(out.s, stderr);
    }
    xr_str_free(&out);
    return st;
}

/* troff: a backslash, a dash and a leading dot mean something. */
static xr_status put_troff(xr_str *out, const char *s)
{
    if (*s == '.' || *s == '\'')
        XR_TRY(xr_str_puts(out, "\\&"));
    for (; *s; s++)
        XR_TRY(*s == '\\' ? xr_str_puts(out, "\\e") : *s == '-' ? xr_str_puts(out, "\\-") : xr_str_putc(out, *s));
    return XR_OK;
}

static xr_status man_row(xr_str *out, const xr_option *r)
{
    xr_str flag = { 0 }, text = { 0 };
    xr_status st = put_flag(&flag, r);
    if (st >= 0)
        st = put_sentence(&text, r);
    if (st >= 0)
        st = xr_str_puts(out, ".TP\n.B ");
    if (st >= 0)
        st = put_troff(out, flag.s);
    if (st >= 0)
        st = xr_str_putc(out, '\n');
    if (st >= 0)
        st = put_troff(out, text.s);
    if (st >= 0)
        st = xr_str_putc(out, '\n');
    xr_str_free(&flag);
    xr_str_free(&text);
    return st;
}

static xr_status man_options(xr_str *out, const xr_cmd *c)
{
    size_t n;
    const xr_option *table = xr_option_table(&n);
    XR_TRY(xr_str_puts(out, ".SH OPTIONS\n"));
    for (int g = 0; g < XR_N_GROUPS; g++)
        for (size_t i = 0, shown = 0; i < n; i++)
            if ((table[i].verbs & c->verb) && (int)table[i].group == g) {
                if (!shown++)
                    XR_TRY(xr_str_printf(out, ".SS %s\n", group_title[g]));
                XR_TRY(man_row(out, &table[i]));
            }
    return XR_OK;
}

static const char exit_codes[] =
    ".SH EXIT STATUS\n"
    ".TP\n0\nsuccess\n"
    ".TP\n1\ninspect \\-\\-diff: the two differ\n"
    ".TP\n2\nwrong command line\n"
    ".TP\n65\ninput is not what it should be\n"
    ".TP\n66\ninput does not exist or cannot be opened\n"
    ".TP\n69\na library or a feature of the machine is missing\n"
    ".TP\n70\na mistake in xlmr itself\n"
    ".TP\n71\nout of memory, another refusal of the system, or a machine that computes wrongly (--check-steps)\n"
    ".TP\n73\noutput cannot be created\n"
    ".TP\n74\nreading or writing failed midway\n"
    ".TP\n75\ntemporary: the same command may succeed later\n"
    ".TP\n78\nwrong configuration file or value\n"
    ".TP\n80\ntraining diverged\n"
    ".TP\n128+n\nended by signal n\n"
    ".SH ENVIRONMENT\n"
    ".TP\nNO_COLOR\nno colour in messages\n"
    ".TP\nXR_ISA\nportable, avx2, avx512 or amx: use less than the machine can do;\n"
    "amx on a CPU with AVX\\-512 alone: slow, but the bits that \\-\\-precision bf16 has with AMX\n"
    ".TP\nOPENBLAS_CORETYPE\nkernels of OpenBLAS; leave it unset, as one that does not suit the CPU can halve the speed (xlmr doctor says which is used)\n"
    ".TP\nOMP_NUM_THREADS\nthreads, when \\-\\-threads is 0; without it all cores that the process may use, or as many as its control group pays for\n"
    ".TP\nOMP_WAIT_POLICY\npassive: threads that wait for each other sleep at once. On a machine that is busy with other work this can be many times as fast;\n"
    "on an idle one small models lose a little\n";

xr_status xr_help_man(const xr_cmd *c, xr_str *out)
{
    XR_TRY(xr_str_printf(out, ".TH XLMR-%s 1 \"\" \"xlmr %s\" \"xlmr\"\n.SH NAME\nxlmr\\-", c->name, XR_VERSION));
    XR_TRY(put_troff(out, c->name));
    XR_TRY(xr_str_puts(out, " \\- "));
    XR_TRY(put_troff(out, c->summary));
    XR_TRY(xr_str_puts(out, "\n.SH SYNOPSIS\n.B "));
    xr_str usage = { 0 };
    xr_status st = put_usage(&usage, c);
    if (st >= 0)
        st = put_troff(out, usage.s);
    xr_str_free(&usage);
    XR_TRY(st);
    XR_TRY(xr_str_puts(out, "\n"));
    XR_TRY(man_options(out, c));
    XR_TRY(xr_str_puts(out, exit_codes));
    XR_TRY(xr_str_puts(out, ".SH EXAMPLES\n.nf\n"));
    XR_TRY(put_troff(out, c->examples ? c->examples : ""));
    return xr_str_puts(out, ".fi\n.SH SEE ALSO\n.BR xlmr (1)\n");
}

/* ".TP", the name of its man page, and what it is for. */
static xr_status man_command(xr_str *out, const xr_cmd *c)
{
    XR_TRY(xr_str_puts(out, ".TP\n.BR xlmr\\-"));
    XR_TRY(put_troff(out, c->name));
    XR_TRY(xr_str_puts(out, " (1)\n"));
    XR_TRY(put_troff(out, c->summary));
    return xr_str_putc(out, '\n');
}

xr_status xr_help_man_program(xr_str *out)
{
    XR_TRY(xr_str_printf(out, ".TH XLMR 1 \"\" \"xlmr %s\" \"xlmr\"\n.SH NAME\nxlmr \\- ", XR_VERSION));
    XR_TRY(put_troff(out, program));
    XR_TRY(xr_str_puts(out, "\n.SH SYNOPSIS\n.B "));
    XR_TRY(put_troff(out, program_usage));
    XR_TRY(xr_str_puts(out, "\n.SH COMMANDS\n"));
    for (const xr_cmd *const *c = xr_cmds; *c; c++)
        if ((*c)->verb & XR_V_ALL)
            XR_TRY(man_command(out, *c));
    XR_TRY(xr_str_puts(out, ".SH DESCRIPTION\n"));
    XR_TRY(put_troff(out, more_help));
    return xr_str_puts(out, exit_codes);
}

/* estimate takes the options of the commands that it can be about. */
static unsigned verbs_completed(const xr_cmd *c) { return c->verb & XR_V_ESTIMATE ? c->verb | XR_V_TRAIN : c->verb; }

static xr_status bash_flags(xr_str *out, const xr_cmd *c)
{
    size_t n;
    char flag[XR_KEY_MAX];
    const xr_option *table = xr_option_table(&n);
    XR_TRY(xr_str_printf(out, "        %s) flags='", c->name));
    for (size_t i = 0; i < n; i++)
        if (table[i].verbs & verbs_completed(c)) {
            XR_TRY(xr_str_printf(out, "--%s ", xr_option_flag(table[i].key, flag)));
            if (table[i].type == XR_OPT_BOOL)
                XR_TRY(xr_str_printf(out, "--no-%s ", flag));
        }
    return xr_str_puts(out, "' ;;\n");
}

/* Choices depend on the command where a field has a row for each. */
static xr_status bash_choices(xr_str *out, const xr_cmd *c)
{
    size_t n;
    char flag[XR_KEY_MAX];
    const xr_option *table = xr_option_table(&n);
    for (size_t i = 0; i < n; i++) {
        const xr_option *r = &table[i];
        if (!(r->verbs & verbs_completed(c)) || r->type != XR_OPT_CHOICE)
            continue;
        XR_TRY(xr_str_printf(out, "        %s:--%s) choices='", c->name, xr_option_flag(r->key, flag)));
        for (const char *p = r->meta; *p; p++)
            XR_TRY(xr_str_putc(out, *p == '|' ? ' ' : *p));
        XR_TRY(xr_str_puts(out, "' ;;\n"));
    }
    return XR_OK;
}

/* The names of listed commands with a bit of `verbs`, each with a blank behind. */
static xr_status bash_verbs(xr_str *out, unsigned verbs)
{
    for (const xr_cmd *const *c = xr_cmds; *c; c++)
        if ((*c)->verb & verbs)
            XR_TRY(xr_str_printf(out, "%s ", (*c)->name));
    return XR_OK;
}

/* bash breaks "--task=c" into three words; of "--task=" the last is the equals sign. A value is then looked up as if a blank stood there. */
static const char bash_head[] =
    "# bash completion for xlmr; made by: xlmr help --completion bash\n"
    "_xlmr() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]} flags='' choices=''\n"
    "    if [[ $cur == = ]]; then cur=''; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
    "    case \"$verb\" in\n";

static const char bash_tail[] =
    "    esac\n"
    "    if [[ $cur == -* ]]; then mapfile -t COMPREPLY < <(compgen -W \"$flags\" -- \"$cur\")\n"
    "    elif [[ -n $choices ]]; then mapfile -t COMPREPLY < <(compgen -W \"$choices\" -- \"$cur\")\n"
    "    else compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "    fi\n"
    "}\n"
    "complete -F _xlmr xlmr\n";

/* Where a command's name can stand: first, behind help or its --man, behind estimate. */
static xr_status bash_places(xr_str *out)
{
    XR_TRY(xr_str_puts(out, "    esac\n    case \"$COMP_CWORD:$verb:$prev\" in\n        1:*) flags='--help --version' choices='"));
    XR_TRY(bash_verbs(out, XR_V_ALL));
    XR_TRY(xr_str_puts(out, "' ;;\n        *:help:--man) choices='xlmr "));
    XR_TRY(bash_verbs(out, XR_V_ALL));
    XR_TRY(xr_str_puts(out, "' ;;\n        2:help:help) choices='"));
    XR_TRY(bash_verbs(out, XR_V_ALL));
    XR_TRY(xr_str_puts(out, "' ;;\n        2:estimate:estimate) choices='"));
    XR_TRY(bash_verbs(out, XR_V_TRAIN));
    return xr_str_puts(out, "' ;;\n");
}

xr_status xr_help_bash(xr_str *out)
{
    XR_TRY(xr_str_puts(out, bash_head));
    for (const xr_cmd *const *c = xr_cmds; *c; c++)
        XR_TRY(bash_flags(out, *c));
    XR_TRY(xr_str_puts(out, "    esac\n    case \"$verb:$prev\" in\n"));
    for (const xr_cmd *const *c = xr_cmds; *c; c++)
        XR_TRY(bash_choices(out, *c));
    XR_TRY(bash_places(out));
    return xr_str_puts(out, bash_tail);
}
