/*
 * Changes, before the module under test looks, what an nginx tells of its own layout: as if nginx had
 * been built from other sources than the module. ALTERED says what is changed:
 *
 *   1  where a field of the request is        ($uri)
 *   2  where a field of a location's is       (satisfy)
 *   3  the size of a listening socket
 *   4  in a worker: where the events of a connection are, which tells how large both are
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

static ngx_int_t ngx_http_layout_alter(ngx_conf_t *cf);
static ngx_int_t ngx_http_layout_alter_process(ngx_cycle_t *cycle);

static ngx_http_module_t ngx_http_layout_module_ctx = {
    ngx_http_layout_alter, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};

ngx_module_t ngx_http_layout_module = {
    NGX_MODULE_V1,
    &ngx_http_layout_module_ctx,
    NULL,
    NGX_HTTP_MODULE,
    NULL, NULL, ngx_http_layout_alter_process, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};

ngx_module_t *ngx_modules[] = { &ngx_http_layout_module, NULL };
char *ngx_module_names[] = { "ngx_http_layout_module", NULL };
char *ngx_module_order[] = { "ngx_http_layout_module", "ngx_http_static_module", NULL };


static ngx_int_t
ngx_http_layout_alter(ngx_conf_t *cf)
{
#if (ALTERED == 1)
    ngx_uint_t                 i;
    ngx_hash_key_t            *key;
    ngx_http_core_main_conf_t *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    key = cmcf->variables_keys->keys.elts;
    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {
        if (key[i].key.len == 3 && ngx_strncmp(key[i].key.data, "uri", 3) == 0) {
            ((ngx_http_variable_t *) key[i].value)->data += sizeof(void *);
        }
    }
#elif (ALTERED == 2)
    ngx_command_t *command;

    for (command = ngx_http_core_module.commands; command->name.len; command++) {
        if (ngx_strcmp(command->name.data, "satisfy") == 0) {
            command->offset += sizeof(void *);
        }
    }
#elif (ALTERED == 3)
    cf->cycle->listening.size += sizeof(void *);
#endif

    return NGX_OK;
}


static ngx_int_t
ngx_http_layout_alter_process(ngx_cycle_t *cycle)
{
#if (ALTERED == 4)
    cycle->read_events = (ngx_event_t *) ((u_char *) cycle->read_events + sizeof(void *));
#endif

    return NGX_OK;
}
