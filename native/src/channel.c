/*
 * One open /dev/fuse on the event loop. JavaScript drives: when the descriptor is readable it calls channelRead until there is nothing
 * more, into buffers that it owns; replies go out at once from the same thread (a reply cannot block in the kernel).
 */
#include "addon.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

/* Chunks of one reply: a READ of 1 MiB gathered from 4 KiB pieces has 256, and one for the head. */
#define IOV_MAX_CHUNKS 1000

/* The spin is tried while it pays: each hit adds, each miss takes away; at zero only every SPIN_PROBE-th chance is tried. */
#define SPIN_SCORE_MAX 16
#define SPIN_HIT 2
#define SPIN_PROBE 32

enum lane { LANE_BLOCKING, LANE_FREE, LANES };

struct channel {
  napi_env env;
  int fd;
  uv_loop_t *loop;
  uv_poll_t poll;
  bool closing;
  bool poll_closed;
  bool finalized;
  napi_async_context context;
  napi_ref on_readable;
  napi_ref reply_ref;
  char *reply_buffer;
  size_t reply_size;
  struct notify_lane *lanes[LANES];
  int spin_score;
  unsigned spin_chances;
};

static void channel_free_when_done(struct channel *channel) {
  if (channel->poll_closed && channel->finalized) free(channel);
}

static void on_poll_closed(uv_handle_t *handle) {
  struct channel *channel = handle->data;
  channel->poll_closed = true;
  channel_free_when_done(channel);
}

static void channel_shut(struct channel *channel);

/* The environment goes away: no callback may run after this. */
static void on_env_cleanup(void *data) { channel_shut(data); }

static void channel_shut(struct channel *channel) {
  if (channel->closing) return;
  channel->closing = true;
  napi_remove_env_cleanup_hook(channel->env, on_env_cleanup, channel);
  uv_poll_stop(&channel->poll);
  uv_close((uv_handle_t *)&channel->poll, on_poll_closed);
  for (int lane = 0; lane < LANES; lane++)
    if (channel->lanes[lane] != NULL) notify_lane_close(channel->lanes[lane]);
  napi_delete_reference(channel->env, channel->on_readable);
  napi_delete_reference(channel->env, channel->reply_ref);
  napi_async_destroy(channel->env, channel->context);
}

static void on_finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct channel *channel = data;
  channel_shut(channel);
  channel->finalized = true;
  channel_free_when_done(channel);
}

/* Readable, or at its end (libuv reports POLLERR as an error): JavaScript reads either way, and read(2) says which. */
static void on_poll(uv_poll_t *handle, int status, int events) {
  (void)status;
  (void)events;
  struct channel *channel = handle->data;
  napi_env env = channel->env;
  napi_handle_scope scope;
  napi_value callback, receiver, result;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_get_reference_value(env, channel->on_readable, &callback);
  napi_get_global(env, &receiver);
  if (napi_make_callback(env, channel->context, receiver, callback, 0, NULL, &result) == napi_pending_exception) {
    napi_value error;
    napi_get_and_clear_last_exception(env, &error);
    napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
}

/* channelOpen(fd, replyBuffer, onReadable()): the channel. The descriptor stays the caller's to close, afterwards. */
napi_value channel_open(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3], name, result;
  int fd;
  void *reply;
  size_t reply_size;
  uv_loop_t *loop;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  CHECK(napi_get_value_int32(env, argv[0], &fd));
  CHECK(napi_get_buffer_info(env, argv[1], &reply, &reply_size));
  CHECK(napi_get_uv_event_loop(env, &loop));
  CHECK(napi_create_string_utf8(env, "curvefs:fuse", NAPI_AUTO_LENGTH, &name));

  struct channel *channel = calloc(1, sizeof *channel);
  if (channel == NULL) {
    napi_throw_error(env, NULL, "curvefs: out of memory");
    return NULL;
  }
  channel->env = env;
  channel->fd = fd;
  channel->loop = loop;
  channel->reply_buffer = reply;
  channel->reply_size = reply_size;
  channel->spin_score = SPIN_SCORE_MAX;
  int failed = uv_poll_init(loop, &channel->poll, fd); /* makes the descriptor non-blocking */
  if (failed != 0) {
    free(channel);
    napi_throw_error(env, NULL, uv_strerror(failed));
    return NULL;
  }
  channel->poll.data = channel;
  CHECK(napi_create_reference(env, argv[2], 1, &channel->on_readable));
  CHECK(napi_create_reference(env, argv[1], 1, &channel->reply_ref));
  CHECK(napi_async_init(env, NULL, name, &channel->context));
  CHECK(napi_add_env_cleanup_hook(env, on_env_cleanup, channel));
  CHECK(napi_create_external(env, channel, on_finalize, NULL, &result));
  return result;
}

/* The channel in argument 0, NULL (with an exception) when it is closed. */
static struct channel *get_channel(napi_env env, napi_value value) {
  struct channel *channel = NULL;
  if (napi_get_value_external(env, value, (void **)&channel) != napi_ok || channel->closing) {
    napi_throw_error(env, NULL, "curvefs: the channel is closed");
    return NULL;
  }
  return channel;
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static bool loop_has_events(const struct channel *channel) {
  struct pollfd backend = {.fd = uv_backend_fd(channel->loop), .events = POLLIN};
  return poll(&backend, 1, 0) != 0;
}

static ssize_t read_request(int fd, void *buffer, size_t size) {
  ssize_t got;
  do {
    got = read(fd, buffer, size);
    /* ENOENT: the request was interrupted while it was being copied; the next one is good. */
  } while (got < 0 && (errno == EINTR || errno == ENOENT));
  return got < 0 ? -errno : got;
}

/* Waits actively for the next request: a caller that was just answered usually has one within microseconds, and waking up costs more. */
static ssize_t spin_read(struct channel *channel, void *buffer, size_t size, uint32_t spin_us) {
  if (channel->spin_score <= 0 && ++channel->spin_chances % SPIN_PROBE != 0) return -EAGAIN;
  int64_t deadline = now_ns() + spin_us * INT64_C(1000);
  do {
    for (int i = 0; i < 4; i++) {
      ssize_t got = read_request(channel->fd, buffer, size);
      if (got != -EAGAIN) {
        if (channel->spin_score < SPIN_SCORE_MAX) channel->spin_score += SPIN_HIT;
        return got;
      }
    }
    if (loop_has_events(channel)) return -EAGAIN; /* a socket or a thread waits for us: not a miss of the spin */
  } while (now_ns() < deadline);
  if (channel->spin_score > 0) channel->spin_score--;
  return -EAGAIN;
}

/* channelRead(channel, buffer, spinUs): bytes of the request now in the buffer, or a negative errno (-EAGAIN: none waits). */
napi_value channel_read(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  void *buffer;
  size_t size;
  uint32_t spin_us;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  struct channel *channel = get_channel(env, argv[0]);
  if (channel == NULL) return NULL;
  CHECK(napi_get_buffer_info(env, argv[1], &buffer, &size));
  CHECK(napi_get_value_uint32(env, argv[2], &spin_us));
  ssize_t got = read_request(channel->fd, buffer, size);
  if (got == -EAGAIN && spin_us > 0) got = spin_read(channel, buffer, size, spin_us);
  return make_int(env, got);
}

/* channelReply(channel, headLength, chunks | undefined): 0 or a negative errno. */
napi_value channel_reply(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  uint32_t head;
  struct iovec small[8];
  struct iovec *iov = small;
  uint32_t chunks = 0;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  struct channel *channel = get_channel(env, argv[0]);
  if (channel == NULL) return NULL;
  CHECK(napi_get_value_uint32(env, argv[1], &head));
  if (head > channel->reply_size) return make_int(env, -EINVAL);

  napi_valuetype type;
  CHECK(napi_typeof(env, argv[2], &type));
  if (type != napi_undefined) {
    CHECK(napi_get_array_length(env, argv[2], &chunks));
    if (chunks > IOV_MAX_CHUNKS) return make_int(env, -E2BIG);
    if (chunks + 1 > sizeof small / sizeof small[0]) iov = malloc((chunks + 1) * sizeof *iov);
    if (iov == NULL) return make_int(env, -ENOMEM);
    for (uint32_t i = 0; i < chunks; i++) {
      napi_value item;
      napi_typedarray_type kind;
      if (napi_get_element(env, argv[2], i, &item) != napi_ok ||
          napi_get_typedarray_info(env, item, &kind, &iov[i + 1].iov_len, &iov[i + 1].iov_base, NULL, NULL) != napi_ok ||
          kind != napi_uint8_array) {
        if (iov != small) free(iov);
        return make_int(env, -EFAULT);
      }
    }
  }
  iov[0].iov_base = channel->reply_buffer;
  iov[0].iov_len = head;
  ssize_t written;
  do {
    written = writev(channel->fd, iov, (int)chunks + 1);
  } while (written < 0 && errno == EINTR);
  int64_t result = written < 0 ? -errno : 0;
  if (iov != small) free(iov);
  return make_int(env, result);
}

/* channelNotify(channel, message, lane): a promise of 0 or a positive errno. */
napi_value channel_notify(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3], promise;
  napi_deferred deferred;
  uint32_t lane;
  void *message;
  size_t length;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  struct channel *channel = get_channel(env, argv[0]);
  if (channel == NULL) return NULL;
  CHECK(napi_get_buffer_info(env, argv[1], &message, &length));
  CHECK(napi_get_value_uint32(env, argv[2], &lane));
  CHECK(napi_create_promise(env, &deferred, &promise));
  int failed = -EINVAL;
  if (lane < LANES) {
    if (channel->lanes[lane] == NULL) channel->lanes[lane] = notify_lane_new(channel->fd, hub_get(env));
    failed = channel->lanes[lane] == NULL ? -ENOMEM : notify_lane_push(channel->lanes[lane], message, length, deferred);
  }
  if (failed != 0) napi_resolve_deferred(env, deferred, make_int(env, -failed));
  return promise;
}

static napi_value with_channel(napi_env env, napi_callback_info info, int (*action)(struct channel *)) {
  size_t argc = 1;
  napi_value argv[1];
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  struct channel *channel = get_channel(env, argv[0]);
  return channel == NULL ? NULL : make_int(env, action(channel));
}

static int start(struct channel *channel) { return uv_poll_start(&channel->poll, UV_READABLE, on_poll); }
static int stop(struct channel *channel) { return uv_poll_stop(&channel->poll); }
static int shut(struct channel *channel) {
  channel_shut(channel);
  return 0;
}

/* channelStart(channel), channelStop(channel), channelClose(channel): 0 or a negative errno. */
napi_value channel_start(napi_env env, napi_callback_info info) { return with_channel(env, info, start); }
napi_value channel_stop(napi_env env, napi_callback_info info) { return with_channel(env, info, stop); }
napi_value channel_close(napi_env env, napi_callback_info info) { return with_channel(env, info, shut); }
