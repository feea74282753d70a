#include "addon.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

#define PAGE 4096

struct slab {
  void *base;
  size_t size;
};

static void slab_free(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  struct slab *slab = hint;
  munmap(slab->base, slab->size);
  free(slab);
}

/*
 * allocSlab(size, payloadOffset): a Buffer whose byte `payloadOffset` is page aligned, so that the payload of a WRITE is.
 * Its pages cost memory only once they were written to.
 */
static napi_value alloc_slab(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2], result;
  uint32_t size, offset;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  CHECK(napi_get_value_uint32(env, argv[0], &size));
  CHECK(napi_get_value_uint32(env, argv[1], &offset));
  struct slab *slab = malloc(sizeof *slab);
  size_t lead = (PAGE - offset % PAGE) % PAGE;
  if (slab != NULL) {
    slab->size = lead + size;
    slab->base = mmap(NULL, slab->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  if (slab == NULL || slab->base == MAP_FAILED) {
    free(slab);
    napi_throw_error(env, NULL, "curvefs: out of memory for a request buffer");
    return NULL;
  }
  if (napi_create_external_buffer(env, size, (char *)slab->base + lead, slab_free, slab, &result) != napi_ok) {
    munmap(slab->base, slab->size);
    free(slab);
    napi_throw_error(env, NULL, "curvefs: no external buffers");
    return NULL;
  }
  return result;
}

/* setIoFlusher(): this thread and those it makes later write back dirty pages; the kernel must not make them wait for that. */
static napi_value set_io_flusher(napi_env env, napi_callback_info info) {
  (void)info;
  return make_int(env, prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0 ? 0 : -errno);
}

/* socketPair(): [ours (close-on-exec), the child's], a negative errno instead of the first when there is none. */
static napi_value socket_pair(napi_env env, napi_callback_info info) {
  (void)info;
  int fds[2];
  napi_value pair, item;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) fds[0] = fds[1] = -errno;
  CHECK(napi_create_array_with_length(env, 2, &pair));
  for (uint32_t i = 0; i < 2; i++) {
    CHECK(napi_create_int32(env, fds[i], &item));
    CHECK(napi_set_element(env, pair, i, item));
  }
  return pair;
}

NAPI_MODULE_INIT() {
  static const struct {
    const char *name;
    napi_callback function;
  } table[] = {
      {"allocSlab", alloc_slab},         {"setIoFlusher", set_io_flusher}, {"socketPair", socket_pair},
      {"channelOpen", channel_open},     {"channelRead", channel_read},    {"channelReply", channel_reply},
      {"channelNotify", channel_notify}, {"channelStart", channel_start},  {"channelStop", channel_stop},
      {"channelClose", channel_close},   {"mount", job_mount},             {"umount", job_umount},
      {"recvFd", job_recv_fd},           {"readCached", file_read_cached},
  };
  if (hub_init(env) == NULL) return NULL;
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    napi_value function;
    CHECK(napi_create_function(env, table[i].name, NAPI_AUTO_LENGTH, table[i].function, NULL, &function));
    CHECK(napi_set_named_property(env, exports, table[i].name, function));
  }
  return exports;
}
