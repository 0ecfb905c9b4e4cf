/*
 * A module that owns the directives auth_jwt and auth_jwt_key_file, the variable $jwt_payload and the
 * variables $jwt_claim_NAME and $jwt_header_NAME: what an nginx would bring that has token checks of
 * its own. It checks nothing; the variables say "second".
 *
 * With -DEARLY it stands among nginx's own modules, without at the end of all, behind the module under
 * test, whichever is loaded first.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

static ngx_int_t ngx_http_second_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data);
static ngx_int_t ngx_http_second_add_variables(ngx_conf_t *cf);
static char *ngx_http_second_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

static ngx_command_t ngx_http_second_commands[] = {

    { ngx_string("auth_jwt"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_TAKE12,
      ngx_http_second_directive, 0, 0, NULL },

    { ngx_string("auth_jwt_key_file"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1,
      ngx_http_second_directive, 0, 0, NULL },

    ngx_null_command
};

static ngx_http_module_t ngx_http_second_module_ctx = {
    ngx_http_second_add_variables, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};

ngx_module_t ngx_http_second_module = {
    NGX_MODULE_V1,
    &ngx_http_second_module_ctx,
    ngx_http_second_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};

ngx_module_t *ngx_modules[] = { &ngx_http_second_module, NULL };
char *ngx_module_names[] = { "ngx_http_second_module", NULL };

#ifdef EARLY
char *ngx_module_order[] = { "ngx_http_second_module", "ngx_http_static_module", NULL };
#else
char *ngx_module_order[] = { NULL };
#endif


static char *
ngx_http_second_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_conf_log_error(NGX_LOG_NOTICE, cf, 0, "second: %V", &cmd->name);
    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_second_add_variables(ngx_conf_t *cf)
{
    size_t                     i;
    ngx_http_variable_t       *variable;
    static ngx_http_variable_t variables[] = {
        { ngx_string("jwt_payload"), NULL, ngx_http_second_variable, 0, 0, 0 },
        { ngx_string("jwt_claim_"), NULL, ngx_http_second_variable, 0, NGX_HTTP_VAR_PREFIX, 0 },
        { ngx_string("jwt_header_"), NULL, ngx_http_second_variable, 0, NGX_HTTP_VAR_PREFIX, 0 }
    };

    for (i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        variable = ngx_http_add_variable(cf, &variables[i].name, variables[i].flags);
        if (variable == NULL) {
            return NGX_ERROR;
        }
        variable->get_handler = variables[i].get_handler;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_second_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    v->len = sizeof("second") - 1;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = (u_char *) "second";
    return NGX_OK;
}
