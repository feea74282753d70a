/* Reading files without ever waiting for a disk. */
#include "addon.h"

#include <sys/uio.h>

/*
 * readCached(fd, buffer, position): bytes of the file that the page cache has, from there on, which may be fewer than asked for; 0 at its
 * end; -EAGAIN when it has none, -EOPNOTSUPP when the file system cannot tell.
 */
napi_value file_read_cached(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  int32_t fd;
  int64_t position;
  struct iovec iov;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  CHECK(napi_get_value_int32(env, argv[0], &fd));
  CHECK(napi_get_buffer_info(env, argv[1], &iov.iov_base, &iov.iov_len));
  CHECK(napi_get_value_int64(env, argv[2], &position));
  ssize_t got;
  do {
    got = preadv2(fd, &iov, 1, position, RWF_NOWAIT);
  } while (got < 0 && errno == EINTR);
  return make_int(env, got < 0 ? -errno : got);
}
