/*
 * Brings results from threads of ours to the event loop. napi's thread-safe functions are not used: in Node 20 they are freed when the
 * environment ends, and a thread that releases its use of one at that moment touches freed memory. Here a thread holds a count of the
 * hub, which outlives the environment if it has to.
 */
#include "addon.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

struct hub {
  napi_env env;
  napi_async_context context;
  uv_async_t async;
  atomic_int holds; /* the environment, the handle until it is closed, and each thread */
  int awaited;      /* results the process must not exit before; event loop only */
  pthread_mutex_t lock;
  struct result *first; /* guarded by lock */
  struct result **last;
  bool closed; /* guarded by lock: after it the handle must not be touched */
};

void hub_hold(struct hub *hub) { atomic_fetch_add(&hub->holds, 1); }

void hub_drop(struct hub *hub) {
  if (atomic_fetch_sub(&hub->holds, 1) != 1) return;
  pthread_mutex_destroy(&hub->lock);
  free(hub);
}

static struct result *take_results(struct hub *hub) {
  pthread_mutex_lock(&hub->lock);
  struct result *results = hub->first;
  hub->first = NULL;
  hub->last = &hub->first;
  pthread_mutex_unlock(&hub->lock);
  return results;
}

static void deliver(struct hub *hub, napi_env env, struct result *results) {
  while (results != NULL) {
    struct result *result = results;
    results = result->next;
    if (result->awaited && --hub->awaited == 0 && env != NULL) uv_unref((uv_handle_t *)&hub->async);
    result->deliver(env, result);
  }
}

/* In a callback scope, so that the promises' reactions run before the loop goes on. */
static void on_async(uv_async_t *handle) {
  struct hub *hub = handle->data;
  struct result *results = take_results(hub);
  napi_env env = hub->env;
  napi_handle_scope handles;
  napi_callback_scope callback;
  napi_value resource;
  if (results == NULL || napi_open_handle_scope(env, &handles) != napi_ok) return;
  bool scoped = napi_create_object(env, &resource) == napi_ok &&
                napi_open_callback_scope(env, resource, hub->context, &callback) == napi_ok;
  deliver(hub, env, results);
  if (scoped) napi_close_callback_scope(env, callback);
  napi_close_handle_scope(env, handles);
}

static void on_closed(uv_handle_t *handle) { hub_drop(handle->data); }

/* The environment ends: what threads still bring is thrown away. */
static void on_env_cleanup(void *data) {
  struct hub *hub = data;
  pthread_mutex_lock(&hub->lock);
  hub->closed = true;
  pthread_mutex_unlock(&hub->lock);
  deliver(hub, NULL, take_results(hub));
  napi_async_destroy(hub->env, hub->context);
  uv_close((uv_handle_t *)&hub->async, on_closed);
  hub_drop(hub);
}

napi_value hub_init(napi_env env) {
  napi_value name;
  uv_loop_t *loop;
  struct hub *hub = calloc(1, sizeof *hub);
  if (hub == NULL) {
    napi_throw_error(env, NULL, "curvefs: out of memory");
    return NULL;
  }
  hub->env = env;
  hub->last = &hub->first;
  atomic_init(&hub->holds, 2);
  pthread_mutex_init(&hub->lock, NULL);
  CHECK(napi_get_uv_event_loop(env, &loop));
  CHECK(napi_create_string_utf8(env, "curvefs:hub", NAPI_AUTO_LENGTH, &name));
  CHECK(napi_async_init(env, NULL, name, &hub->context));
  uv_async_init(loop, &hub->async, on_async);
  uv_unref((uv_handle_t *)&hub->async);
  hub->async.data = hub;
  CHECK(napi_set_instance_data(env, hub, NULL, NULL));
  CHECK(napi_add_env_cleanup_hook(env, on_env_cleanup, hub));
  return name;
}

struct hub *hub_get(napi_env env) {
  void *hub = NULL;
  napi_get_instance_data(env, &hub);
  return hub;
}

void hub_await(struct hub *hub) {
  if (hub->awaited++ == 0) uv_ref((uv_handle_t *)&hub->async);
}

void hub_post(struct hub *hub, struct result *result) {
  result->next = NULL;
  pthread_mutex_lock(&hub->lock);
  bool closed = hub->closed;
  if (!closed) {
    *hub->last = result;
    hub->last = &result->next;
    uv_async_send(&hub->async);
  }
  pthread_mutex_unlock(&hub->lock);
  if (closed) result->deliver(NULL, result);
}
