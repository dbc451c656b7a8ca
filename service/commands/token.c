/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/log.h"
#include "service/config.h"
#include "service/http/token.h"

#include <stdio.h>

static enum fl_status list(const char *state, struct fl_err *err)
{
    struct fl_tokens tokens;
    char scopes[24];
    enum fl_status status = fl_tokens_load(state, &tokens, err);
    for (size_t i = 0; status == FL_OK && i < tokens.n; i++) {
        printf("%-24s %-18s %s\n", tokens.list[i].name, fl_scopes_name(tokens.list[i].scopes, scopes),
               tokens.list[i].created);
    }
    if (status == FL_OK && tokens.n == 0) {
        fl_log(FL_LOG_INFO, "no tokens yet: faultline token add NAME --scope ingest");
    }
    fl_tokens_free(&tokens);
    return status;
}

static enum fl_status add(const char *state, const char *name, const char *scope, struct fl_err *err)
{
    char text[FL_TOKEN_TEXT];
    unsigned scopes = fl_scopes_of(fl_str_of(scope));
    if (!scopes) {
        return fl_fail(err, FL_USAGE, "--scope %s: give ingest, read or admin, or several with commas",
                       scope);
    }
    enum fl_status status = fl_tokens_add(state, name, scopes, text, err);
    if (status == FL_OK) {
        printf("%s\n", text);
        fl_log(FL_LOG_INFO, "this is the only time that it is shown; a running service takes it at SIGHUP");
    }
    return status;
}

int fl_cmd_token(int argc, char **argv)
{
    const char *state = NULL;
    const char *scope = "ingest";
    const struct fl_opt options[] = {
        {"scope", 0, FL_OPT_TEXT, "SCOPE[,SCOPE...]",
         "what it allows: ingest (default), read, admin (all)", &scope},
        {"state", 0, FL_OPT_TEXT, "DIR", "state folder of the service", &state},
    };
    const struct fl_cli cli = {
        "token add NAME | list | revoke NAME",
        "Makes, lists and revokes the tokens of the service (`faultline serve`). A token is shown once; only\n"
        "its SHA-256 is kept.",
        NULL, options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    struct fl_config config;
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    enum fl_status status = fl_cmd_state(&config, state, &err);
    const char *folder = config.value[FL_SET_STATE];
    struct fl_str verb = fl_str_of(argc > 1 ? argv[1] : "");
    if (status == FL_OK && argc == 2 && fl_str_eq(verb, FL_LIT("list"))) {
        status = list(folder, &err);
    } else if (status == FL_OK && argc == 3 && fl_str_eq(verb, FL_LIT("add"))) {
        status = add(folder, argv[2], scope, &err);
    } else if (status == FL_OK && argc == 3 && fl_str_eq(verb, FL_LIT("revoke"))) {
        status = fl_tokens_revoke(folder, argv[2], &err);
    } else if (status == FL_OK) {
        status = fl_fail(&err, FL_USAGE, "say: faultline token add NAME, token list, or token revoke NAME");
    }
    fl_config_free(&config);
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}
