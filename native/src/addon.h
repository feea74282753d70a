/*
 * The curvefs native addon: what Node cannot do for a FUSE daemon.
 *
 *   channel.c  reading /dev/fuse from the event loop (uv_poll, with a short spin) and replying with writev
 *   hub.c      bringing the results of threads to the event loop
 *   notify.c   notifications, which may block in the kernel, on threads of their own
 *   jobs.c     system calls that wait (mount, umount2, receiving an fd), each on a thread of its own
 *   files.c    reading what the page cache has
 *   addon.c    the rest, and the export table
 *
 * Every function returns a non-negative result or a negative errno; exceptions are for wrong arguments only.
 */
#ifndef CURVEFS_ADDON_H
#define CURVEFS_ADDON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Returns NULL to JavaScript (with its exception pending) when a napi call fails. */
#define CHECK(call)                                                                  \
  do {                                                                               \
    if ((call) != napi_ok) {                                                         \
      bool pending = false;                                                          \
      napi_is_exception_pending(env, &pending);                                      \
      if (!pending) napi_throw_type_error(env, NULL, "curvefs: bad argument: " #call); \
      return NULL;                                                                   \
    }                                                                                \
  } while (0)

static inline napi_value make_int(napi_env env, int64_t value) {
  napi_value result = NULL;
  napi_create_int64(env, value, &result);
  return result;
}

/* What a thread brings to the event loop: the head of a structure of its own. */
struct result {
  struct result *next;
  bool awaited; /* hub_await was called for it */
  /* On the event loop; with env NULL when the environment is gone (then on any thread). Frees the result. */
  void (*deliver)(napi_env env, struct result *result);
};

/* The way from threads to the event loop; one in each environment. */
struct hub;
napi_value hub_init(napi_env env); /* NULL with an exception when it fails */
struct hub *hub_get(napi_env env);
/* A thread holds the hub from before it starts until after its last post. */
void hub_hold(struct hub *hub);
void hub_drop(struct hub *hub);
/* Keeps the process from exiting until one awaited result has been delivered. Event loop only. */
void hub_await(struct hub *hub);
void hub_post(struct hub *hub, struct result *result);

/* Sends notifications of one lane. Made on first use, ends by itself after notify_lane_close. */
struct notify_lane;
struct notify_lane *notify_lane_new(int fd, struct hub *hub);
/* Queues a copy of the message; the deferred is resolved with 0 or a positive errno. 0, or a negative errno and no answer. */
int notify_lane_push(struct notify_lane *lane, const void *message, size_t length, napi_deferred deferred);
void notify_lane_close(struct notify_lane *lane);

napi_value channel_open(napi_env env, napi_callback_info info);
napi_value channel_read(napi_env env, napi_callback_info info);
napi_value channel_reply(napi_env env, napi_callback_info info);
napi_value channel_notify(napi_env env, napi_callback_info info);
napi_value channel_start(napi_env env, napi_callback_info info);
napi_value channel_stop(napi_env env, napi_callback_info info);
napi_value channel_close(napi_env env, napi_callback_info info);

napi_value job_mount(napi_env env, napi_callback_info info);
napi_value job_umount(napi_env env, napi_callback_info info);
napi_value job_recv_fd(napi_env env, napi_callback_info info);

napi_value file_read_cached(napi_env env, napi_callback_info info);

#endif
